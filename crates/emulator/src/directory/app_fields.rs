//! What a body may say of an application, read and checked field by field. A field that exists at Microsoft but decides nothing here is refused
//! rather than forgotten.

use serde_json::{Map, Value};
use url::Url;
use uuid::Uuid;

use super::credentials::read_certificates;
use crate::{App, GraphError, Requirement};

/// Audiences that a registration may have.
const AUDIENCES: [&str; 4] = [
    "AzureADMyOrg",
    "AzureADMultipleOrgs",
    "AzureADandPersonalMicrosoftAccount",
    "PersonalMicrosoftAccount",
];

/// What only the directory itself sets.
const READ_ONLY: [&str; 5] = [
    "appId",
    "createdDateTime",
    "deletedDateTime",
    "id",
    "publisherDomain",
];

/// Puts all fields of a body into an application.
pub(super) fn apply(app: &mut App, body: &Map<String, Value>) -> Result<(), GraphError> {
    for (name, value) in body.iter().filter(|(name, _)| !name.starts_with('@')) {
        apply_one(app, name, value)?;
    }
    Ok(())
}

fn apply_one(app: &mut App, name: &str, value: &Value) -> Result<(), GraphError> {
    let wrong = || invalid(name);
    match name {
        "displayName" => {
            let text = value.as_str().filter(|text| !text.trim().is_empty());
            app.display_name = text.ok_or_else(wrong)?.to_owned();
        }
        "description" | "notes" | "serviceManagementReference" | "groupMembershipClaims" => {
            if !value.is_string() && !value.is_null() {
                return Err(wrong());
            }
            app.properties.insert(name.to_owned(), value.clone());
        }
        "signInAudience" => {
            let known = |text: &&str| AUDIENCES.contains(text);
            let text = value.as_str().filter(known).ok_or_else(wrong)?;
            app.properties.insert(name.to_owned(), text.into());
        }
        "isFallbackPublicClient" => {
            if !value.is_boolean() && !value.is_null() {
                return Err(wrong());
            }
            app.properties.insert(name.to_owned(), value.clone());
        }
        "tags" | "identifierUris" => {
            texts(value).ok_or_else(wrong)?;
            app.properties.insert(name.to_owned(), value.clone());
        }
        "optionalClaims" => {
            if !is_optional_claims(value) {
                return Err(wrong());
            }
            app.properties.insert(name.to_owned(), value.clone());
        }
        "web" => apply_web(app, value)?,
        "spa" => app.redirects.spa = redirect_uris(name, value)?.unwrap_or_default(),
        "publicClient" => app.redirects.public = redirect_uris(name, value)?.unwrap_or_default(),
        "requiredResourceAccess" => app.requires = requirements(value).ok_or_else(wrong)?,
        "keyCredentials" => (app.certificates, app.key_names) = read_certificates(value, app)?,
        "passwordCredentials" => {
            return match value.as_array() {
                Some(list) if list.is_empty() && app.secrets.is_empty() => Ok(()),
                _ => Err(GraphError::directory_bad_request(
                    "New password credentials must be generated with service actions.",
                )),
            };
        }
        _ if READ_ONLY.contains(&name) => {
            return Err(GraphError::directory_bad_request(format!(
                "Property '{name}' is read-only and cannot be set."
            )));
        }
        _ => {
            return Err(GraphError::directory_bad_request(format!(
                "Property '{name}' of resource 'Application' cannot be set in the emulator."
            )));
        }
    }
    Ok(())
}

fn invalid(name: &str) -> GraphError {
    GraphError::directory_bad_request(format!(
        "Invalid value specified for property '{name}' of resource 'Application'."
    ))
}

fn apply_web(app: &mut App, value: &Value) -> Result<(), GraphError> {
    let web = value.as_object().ok_or_else(|| invalid("web"))?;
    for (name, value) in web.iter().filter(|(name, _)| !name.starts_with('@')) {
        match name.as_str() {
            "redirectUris" => {}
            "homePageUrl" | "logoutUrl" if value.is_string() || value.is_null() => {
                app.properties.insert(name.clone(), value.clone());
            }
            "implicitGrantSettings" => {
                let settings = value.as_object().ok_or_else(|| invalid(name))?;
                match settings.get("enableIdTokenIssuance") {
                    Some(Value::Bool(on)) => app.id_tokens = *on,
                    None => {}
                    Some(_) => return Err(invalid(name)),
                }
                // Access tokens are never given out by the authorization endpoint here.
                if settings.get("enableAccessTokenIssuance") == Some(&Value::Bool(true)) {
                    return Err(invalid(name));
                }
            }
            _ => return Err(invalid(&format!("web/{name}"))),
        }
    }
    if let Some(uris) = redirect_uris("web", value)? {
        app.redirects.web = uris;
    }
    Ok(())
}

/// The `redirectUris` of a platform: absolute, without a fragment, and for a server or page over TLS unless on loopback.
fn redirect_uris(platform: &str, value: &Value) -> Result<Option<Vec<String>>, GraphError> {
    let object = value.as_object().ok_or_else(|| invalid(platform))?;
    let Some(uris) = object.get("redirectUris") else {
        return Ok(None);
    };
    let uris = texts(uris).ok_or_else(|| invalid("redirectUris"))?;
    for uri in &uris {
        let is_good = Url::parse(uri).is_ok_and(|url| {
            let is_loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1"));
            let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback);
            url.fragment().is_none() && (is_safe || platform == "publicClient")
        });
        if !is_good {
            return Err(GraphError::directory_bad_request(format!(
                "Invalid value specified for property 'redirectUris' of resource 'Application': the redirect URI '{uri}' is not allowed."
            )));
        }
    }
    Ok(Some(uris))
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let texts = value.as_array()?.iter();
    texts.map(|text| text.as_str().map(str::to_owned)).collect()
}

fn requirements(value: &Value) -> Option<Vec<Requirement>> {
    let mut requirements = Vec::new();
    for resource in value.as_array()? {
        let resource_id: Uuid = resource["resourceAppId"].as_str()?.parse().ok()?;
        for access in resource["resourceAccess"].as_array()? {
            requirements.push(Requirement {
                resource: resource_id,
                id: access["id"].as_str()?.parse().ok()?,
                is_role: match access["type"].as_str()? {
                    "Role" => true,
                    "Scope" => false,
                    _ => return None,
                },
            });
        }
    }
    Some(requirements)
}

fn is_optional_claims(value: &Value) -> bool {
    let is_claim = |claim: &Value| {
        claim.as_object().is_some_and(|claim| {
            claim.get("name").is_some_and(Value::is_string)
                && claim.iter().all(|(name, value)| match name.as_str() {
                    "name" => true,
                    "source" => value.is_string() || value.is_null(),
                    "essential" => value.is_boolean(),
                    "additionalProperties" => texts(value).is_some(),
                    _ => false,
                })
        })
    };
    match value {
        Value::Null => true,
        Value::Object(kinds) => kinds.iter().all(|(kind, claims)| {
            ["idToken", "accessToken", "saml2Token"].contains(&kind.as_str())
                && claims
                    .as_array()
                    .is_some_and(|claims| claims.iter().all(is_claim))
        }),
        _ => false,
    }
}
