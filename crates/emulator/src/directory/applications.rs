//! `/applications`: registrations, as a script makes and changes them. What is deleted is gone, where Microsoft keeps it for thirty days.

use http::Method;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    PAGE, app_fields,
    credentials::{new_secret, show_certificate, show_secret},
    list_options, row, time,
};
use crate::{
    App, Call, GraphError, Reply, Route, Service,
    odata::{Options, Schema},
    permissions::GRAPH,
    tenant::Registry,
};

/// The rows that this module serves.
pub(super) fn routes() -> Vec<Route> {
    let one = "/applications/{application}";
    vec![
        row(Method::GET, "/applications", READ_LIST, LIST, list),
        row(Method::POST, "/applications", WRITE, &[], create),
        row(Method::GET, one, READ, &["$select"], get),
        row(Method::PATCH, one, WRITE, &[], update),
        row(Method::DELETE, one, WRITE, &[], delete),
        row(
            Method::POST,
            "/applications/{application}/addPassword",
            WRITE,
            &[],
            add_password,
        ),
        row(
            Method::POST,
            "/applications/{application}/removePassword",
            WRITE,
            &[],
            remove_password,
        ),
    ]
}

/// Who may list registrations and service principals. `Application.ReadWrite.OwnedBy` is left out: the emulator knows no owners.
pub(super) const READ_LIST: &[&str] = &[
    "Application.Read.All",
    "Application.ReadWrite.All",
    "Directory.Read.All",
];
/// Who may look at one.
pub(super) const READ: &[&str] = &[
    "Application.Read.All",
    "Application.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
const WRITE: &[&str] = &["Application.ReadWrite.All"];
/// What their lists understand.
pub(super) const LIST: &[&str] = &[
    "$select",
    "$filter",
    "$top",
    "$count",
    "$orderby",
    "$skiptoken",
];

/// Registrations of a tenant: far more than anybody has, so that a script that runs wild ends.
const APPLICATIONS_MAX: usize = 10_000;

static APPLICATION: Schema = Schema {
    name: "microsoft.graph.application",
    properties: &[
        "id",
        "deletedDateTime",
        "addIns",
        "api",
        "appId",
        "appRoles",
        "applicationTemplateId",
        "certification",
        "createdDateTime",
        "defaultRedirectUri",
        "description",
        "disabledByMicrosoftStatus",
        "displayName",
        "groupMembershipClaims",
        "identifierUris",
        "info",
        "isDeviceOnlyAuthSupported",
        "isFallbackPublicClient",
        "keyCredentials",
        "notes",
        "optionalClaims",
        "parentalControlSettings",
        "passwordCredentials",
        "publicClient",
        "publisherDomain",
        "requestSignatureVerification",
        "requiredResourceAccess",
        "samlMetadataUrl",
        "serviceManagementReference",
        "servicePrincipalLockConfiguration",
        "signInAudience",
        "spa",
        "tags",
        "tokenEncryptionKeyId",
        "uniqueName",
        "verifiedPublisher",
        "web",
    ],
    navigation: &[],
    always: &[],
    default: &[],
    service: Service::Directory,
};

fn list(call: &Call) -> Result<Reply, GraphError> {
    let options = list_options(call, &APPLICATION)?;
    let mut apps = call.tenant.registry().apps.clone();
    apps.sort_by_key(|app| app.object_id);
    Ok(options.list(call, "applications", &apps, PAGE, |app| {
        show(call, app, false)
    }))
}

fn create(call: &Call) -> Result<Reply, GraphError> {
    let body = call.json()?;
    if !body.contains_key("displayName") {
        return Err(GraphError::directory_bad_request(
            "A value is required for property 'displayName' of resource 'Application'.",
        ));
    }
    let mut app = App::new(call.tenant.new_id(), "", call.now);
    app.object_id = call.tenant.new_id();
    app_fields::apply(&mut app, &body)?;
    let shown = show(call, &app, false);
    let mut registry = call.tenant.registry_mut();
    if registry.apps.len() >= APPLICATIONS_MAX {
        return Err(GraphError::directory_denied());
    }
    registry.apps.push(app);
    drop(registry);
    Ok(created(call, "applications", shown))
}

fn get(call: &Call) -> Result<Reply, GraphError> {
    let options = Options::parse(&call.query, &APPLICATION)?;
    let registry = call.tenant.registry();
    let app = find(&registry, call.param("application"))?;
    let with_keys = options
        .select
        .as_ref()
        .is_some_and(|names| names.contains(&"keyCredentials"));
    Ok(options.entity(call, "applications", show(call, app, with_keys)))
}

fn update(call: &Call) -> Result<Reply, GraphError> {
    let body = call.json()?;
    let mut registry = call.tenant.registry_mut();
    // All or nothing: what is wrong in one field leaves the others as they were.
    let mut changed = find(&registry, call.param("application"))?.clone();
    app_fields::apply(&mut changed, &body)?;
    let client_id = changed.client_id;
    if body.contains_key("displayName")
        && let Some(principal) = registry
            .principals
            .iter_mut()
            .find(|principal| principal.client_id == client_id)
    {
        principal.display_name.clone_from(&changed.display_name);
    }
    if let Some(app) = registry
        .apps
        .iter_mut()
        .find(|app| app.client_id == client_id)
    {
        *app = changed;
    }
    Ok(Reply::no_content())
}

fn delete(call: &Call) -> Result<Reply, GraphError> {
    let mut registry = call.tenant.registry_mut();
    let client_id = find(&registry, call.param("application"))?.client_id;
    registry.remove_app(client_id);
    Ok(Reply::no_content())
}

fn add_password(call: &Call) -> Result<Reply, GraphError> {
    let body = match call.body.is_empty() {
        true => Map::new(),
        false => call.json()?,
    };
    let wanted = match body.get("passwordCredential") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(wanted)) => wanted.clone(),
        Some(_) => {
            return Err(GraphError::directory_bad_request(
                "Invalid value specified for property 'passwordCredential' of resource 'Application'.",
            ));
        }
    };
    let secret = new_secret(&call.tenant, &wanted, call.now)?;
    let shown = show_secret(&secret, true);
    let mut registry = call.tenant.registry_mut();
    find_mut(&mut registry, call.param("application"))?
        .secrets
        .push(secret);
    let mut answer = Map::new();
    let context = call.context("microsoft.graph.passwordCredential");
    answer.insert("@odata.context".to_owned(), context);
    if let Value::Object(shown) = shown {
        answer.extend(shown);
    }
    Ok(Reply::json(Value::Object(answer)))
}

fn remove_password(call: &Call) -> Result<Reply, GraphError> {
    let body = call.json()?;
    let key_id = body
        .get("keyId")
        .and_then(Value::as_str)
        .and_then(|id| id.parse::<Uuid>().ok());
    let mut registry = call.tenant.registry_mut();
    let app = find_mut(&mut registry, call.param("application"))?;
    let before = app.secrets.len();
    app.secrets.retain(|secret| Some(secret.key_id) != key_id);
    match app.secrets.len() == before {
        true => Err(GraphError::directory_bad_request(
            "No password credential found with keyId.",
        )),
        false => Ok(Reply::no_content()),
    }
}

/// 201 with an entity.
pub(super) fn created(call: &Call, set: &str, shown: Value) -> Reply {
    let mut body = Map::new();
    let context = call.context(&format!("{set}/$entity"));
    body.insert("@odata.context".to_owned(), context);
    if let Value::Object(shown) = shown {
        body.extend(shown);
    }
    Reply::created(Value::Object(body))
}

/// By object id, or by `appId=…`.
fn is_named(app: &App, name: &str) -> bool {
    match name.strip_prefix("appId=") {
        Some(id) => id.parse() == Ok(app.client_id),
        None => name.parse() == Ok(app.object_id),
    }
}

fn find<'a>(registry: &'a Registry, name: &str) -> Result<&'a App, GraphError> {
    let mut apps = registry.apps.iter();
    apps.find(|app| is_named(app, name))
        .ok_or_else(|| missing(name))
}

fn find_mut<'a>(registry: &'a mut Registry, name: &str) -> Result<&'a mut App, GraphError> {
    let mut apps = registry.apps.iter_mut();
    apps.find(|app| is_named(app, name))
        .ok_or_else(|| missing(name))
}

fn missing(name: &str) -> GraphError {
    GraphError::directory_not_found(name.strip_prefix("appId=").unwrap_or(name))
}

fn show(call: &Call, app: &App, with_keys: bool) -> Value {
    let set = |name: &str| app.properties.get(name).cloned().unwrap_or(Value::Null);
    let list = |name: &str| app.properties.get(name).cloned().unwrap_or(json!([]));
    let keys: Vec<_> = app
        .certificates
        .iter()
        .map(|certificate| show_certificate(certificate, app, with_keys))
        .collect();
    let secrets: Vec<_> = app
        .secrets
        .iter()
        .map(|secret| show_secret(secret, false))
        .collect();
    let mut shown = json!({
        "id": app.object_id,
        "deletedDateTime": null,
        "appId": app.client_id,
        "applicationTemplateId": null,
        "disabledByMicrosoftStatus": null,
        "createdDateTime": time(app.created),
        "displayName": app.display_name,
        "description": set("description"),
        "groupMembershipClaims": set("groupMembershipClaims"),
        "identifierUris": list("identifierUris"),
        "isDeviceOnlyAuthSupported": null,
        "isFallbackPublicClient": set("isFallbackPublicClient"),
        "notes": set("notes"),
        "publisherDomain": call.tenant.domain,
        "serviceManagementReference": set("serviceManagementReference"),
        "signInAudience": app.audience(),
        "tags": list("tags"),
        "tokenEncryptionKeyId": null,
        "uniqueName": null,
        "samlMetadataUrl": null,
        "defaultRedirectUri": null,
        "certification": null,
        "optionalClaims": set("optionalClaims"),
        "requestSignatureVerification": null,
        "servicePrincipalLockConfiguration": null,
    });
    let structured = json!({
        "addIns": [],
        "api": {
            "acceptMappedClaims": null,
            "knownClientApplications": [],
            "requestedAccessTokenVersion": null,
            "oauth2PermissionScopes": [],
            "preAuthorizedApplications": [],
        },
        "appRoles": [],
        "info": empty_info(),
        "keyCredentials": keys,
        "parentalControlSettings": {"countriesBlockedForMinors": [], "legalAgeGroupRule": "Allow"},
        "passwordCredentials": secrets,
        "publicClient": {"redirectUris": app.redirects.public},
        "requiredResourceAccess": show_requirements(app),
        "verifiedPublisher": empty_publisher(),
        "web": {
            "homePageUrl": set("homePageUrl"),
            "logoutUrl": set("logoutUrl"),
            "redirectUris": app.redirects.web,
            "implicitGrantSettings": {
                "enableAccessTokenIssuance": false,
                "enableIdTokenIssuance": app.id_tokens,
            },
            "redirectUriSettings": [],
        },
        "spa": {"redirectUris": app.redirects.spa},
    });
    if let (Value::Object(shown), Value::Object(structured)) = (&mut shown, structured) {
        shown.extend(structured);
    }
    shown
}

/// Links that nobody has given.
pub(super) fn empty_info() -> Value {
    json!({
        "logoUrl": null,
        "marketingUrl": null,
        "privacyStatementUrl": null,
        "supportUrl": null,
        "termsOfServiceUrl": null,
    })
}

/// Nobody has verified who publishes it.
pub(super) fn empty_publisher() -> Value {
    json!({"displayName": null, "verifiedPublisherId": null, "addedDateTime": null})
}

/// One entry for each resource, Graph first.
fn show_requirements(app: &App) -> Vec<Value> {
    let mut resources: Vec<Uuid> = app.requires.iter().map(|asked| asked.resource).collect();
    resources.sort_by_key(|resource| (*resource != GRAPH, *resource));
    resources.dedup();
    let shown = resources.into_iter().map(|resource| {
        let asked = app
            .requires
            .iter()
            .filter(|asked| asked.resource == resource);
        let access: Vec<_> = asked
            .map(|asked| {
                let kind = if asked.is_role { "Role" } else { "Scope" };
                json!({"id": asked.id, "type": kind})
            })
            .collect();
        json!({"resourceAppId": resource, "resourceAccess": access})
    });
    shown.collect()
}
