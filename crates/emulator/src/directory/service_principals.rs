//! `/servicePrincipals`: the applications that are at home in the tenant, Microsoft Graph with its permissions among them.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    PAGE,
    applications::{LIST, READ, READ_LIST, created, empty_info, empty_publisher},
    list_options, row,
};
use crate::{
    Call, GraphError, Reply, Route, Service, ServicePrincipal,
    odata::{Options, Schema},
    permissions::{GRAPH, ROLES, SCOPES},
    tenant::Registry,
};

/// The rows that this module serves.
pub(super) fn routes() -> Vec<Route> {
    let one = "/servicePrincipals/{principal}";
    vec![
        row(Method::GET, "/servicePrincipals", READ_LIST, LIST, list),
        row(Method::POST, "/servicePrincipals", WRITE, &[], create),
        row(Method::GET, one, READ, &["$select"], get),
        row(Method::PATCH, one, WRITE, &[], update),
        row(Method::DELETE, one, WRITE, &[], delete),
    ]
}

const WRITE: &[&str] = &["Application.ReadWrite.All", "Directory.ReadWrite.All"];
/// The tenant that owns Microsoft's own applications.
const MICROSOFT: &str = "f8cdef31-a31e-4b4a-93e4-5f571e91255a";

static PRINCIPAL: Schema = Schema {
    name: "microsoft.graph.servicePrincipal",
    properties: &[
        "id",
        "deletedDateTime",
        "accountEnabled",
        "addIns",
        "alternativeNames",
        "appDescription",
        "appDisplayName",
        "appId",
        "applicationTemplateId",
        "appOwnerOrganizationId",
        "appRoleAssignmentRequired",
        "appRoles",
        "description",
        "disabledByMicrosoftStatus",
        "displayName",
        "homepage",
        "info",
        "keyCredentials",
        "loginUrl",
        "logoutUrl",
        "notes",
        "notificationEmailAddresses",
        "oauth2PermissionScopes",
        "passwordCredentials",
        "preferredSingleSignOnMode",
        "preferredTokenSigningKeyThumbprint",
        "replyUrls",
        "resourceSpecificApplicationPermissions",
        "samlSingleSignOnSettings",
        "servicePrincipalNames",
        "servicePrincipalType",
        "signInAudience",
        "tags",
        "tokenEncryptionKeyId",
        "verifiedPublisher",
    ],
    navigation: &[],
    always: &[],
    default: &[],
    service: Service::Directory,
};

fn list(call: &Call) -> Result<Reply, GraphError> {
    let options = list_options(call, &PRINCIPAL)?;
    let registry = call.tenant.registry();
    let mut principals: Vec<_> = registry.principals.iter().collect();
    principals.sort_by_key(|principal| principal.id);
    let shown = |principal: &&ServicePrincipal| show(call, &registry, principal);
    Ok(options.list(call, "servicePrincipals", &principals, PAGE, shown))
}

fn create(call: &Call) -> Result<Reply, GraphError> {
    let mut body = call.json()?;
    let app_id = body.shift_remove("appId");
    let app_id = app_id.as_ref().and_then(Value::as_str).unwrap_or_default();
    let id = call.tenant.new_id();
    let mut registry = call.tenant.registry_mut();
    let app = app_id.parse().ok().and_then(|id: Uuid| registry.app(id));
    let Some(app) = app else {
        return Err(GraphError::new(
            StatusCode::BAD_REQUEST,
            "NoBackingApplicationObject",
            format!(
                "The appId '{app_id}' of the service principal does not reference a valid application object."
            ),
        ));
    };
    let mut principal = ServicePrincipal {
        id,
        client_id: app.client_id,
        display_name: app.display_name.clone(),
        enabled: true,
        tags: Vec::new(),
        created: call.now,
    };
    if registry.principal_of(principal.client_id).is_some() {
        return Err(GraphError::directory_conflict(format!(
            "The service principal cannot be created, updated, or restored because the service principal name {app_id} is already in use."
        )));
    }
    apply(&mut principal, &body)?;
    let shown = show(call, &registry, &principal);
    registry.principals.push(principal);
    Ok(created(call, "servicePrincipals", shown))
}

fn get(call: &Call) -> Result<Reply, GraphError> {
    let options = Options::parse(&call.query, &PRINCIPAL)?;
    let registry = call.tenant.registry();
    let principal = find(&registry, call.param("principal"))?;
    let shown = show(call, &registry, principal);
    Ok(options.entity(call, "servicePrincipals", shown))
}

fn update(call: &Call) -> Result<Reply, GraphError> {
    let body = call.json()?;
    let mut registry = call.tenant.registry_mut();
    let mut changed = find_own(&registry, call.param("principal"))?.clone();
    apply(&mut changed, &body)?;
    if let Some(principal) = registry
        .principals
        .iter_mut()
        .find(|principal| principal.id == changed.id)
    {
        *principal = changed;
    }
    Ok(Reply::no_content())
}

fn delete(call: &Call) -> Result<Reply, GraphError> {
    let mut registry = call.tenant.registry_mut();
    let id = find_own(&registry, call.param("principal"))?.id;
    registry.remove_principal(id);
    Ok(Reply::no_content())
}

/// Puts all fields of a body into a service principal. What is not listed cannot be set here.
fn apply(
    principal: &mut ServicePrincipal,
    body: &serde_json::Map<String, Value>,
) -> Result<(), GraphError> {
    for (name, value) in body.iter().filter(|(name, _)| !name.starts_with('@')) {
        match (name.as_str(), value) {
            ("accountEnabled", Value::Bool(enabled)) => principal.enabled = *enabled,
            ("tags", Value::Array(tags)) if tags.iter().all(Value::is_string) => {
                let tags = tags.iter().filter_map(Value::as_str);
                principal.tags = tags.map(str::to_owned).collect();
            }
            ("accountEnabled" | "tags", _) => {
                return Err(GraphError::directory_bad_request(format!(
                    "Invalid value specified for property '{name}' of resource 'ServicePrincipal'."
                )));
            }
            _ => {
                return Err(GraphError::directory_bad_request(format!(
                    "Property '{name}' of resource 'ServicePrincipal' cannot be set in the emulator."
                )));
            }
        }
    }
    Ok(())
}

/// By object id, or by `appId=…`.
pub(super) fn find<'a>(
    registry: &'a Registry,
    name: &str,
) -> Result<&'a ServicePrincipal, GraphError> {
    let found = match name.strip_prefix("appId=") {
        Some(id) => id.parse().ok().and_then(|id| registry.principal_of(id)),
        None => name.parse().ok().and_then(|id| registry.principal(id)),
    };
    found
        .ok_or_else(|| GraphError::directory_not_found(name.strip_prefix("appId=").unwrap_or(name)))
}

/// The same, for a change: Microsoft's own cannot be changed.
fn find_own<'a>(registry: &'a Registry, name: &str) -> Result<&'a ServicePrincipal, GraphError> {
    let principal = find(registry, name)?;
    match principal.client_id == GRAPH {
        true => Err(GraphError::directory_denied()),
        false => Ok(principal),
    }
}

fn show(call: &Call, registry: &Registry, principal: &ServicePrincipal) -> Value {
    let is_graph = principal.client_id == GRAPH;
    let app = registry.app(principal.client_id);
    let replies = app.map_or_else(Vec::new, |app| {
        let redirects = &app.redirects;
        [&redirects.web, &redirects.spa, &redirects.public]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    });
    let mut names = vec![principal.client_id.to_string()];
    let owner = if is_graph {
        names.push("https://graph.microsoft.com".to_owned());
        MICROSOFT.to_owned()
    } else {
        call.tenant.id.to_string()
    };
    let (roles, scopes) = match is_graph {
        true => (show_roles(), show_scopes()),
        false => (Vec::new(), Vec::new()),
    };
    json!({
        "id": principal.id,
        "deletedDateTime": null,
        "accountEnabled": principal.enabled,
        "alternativeNames": [],
        "appDisplayName": principal.display_name,
        "appDescription": null,
        "appId": principal.client_id,
        "applicationTemplateId": null,
        "appOwnerOrganizationId": owner,
        "appRoleAssignmentRequired": false,
        "description": null,
        "disabledByMicrosoftStatus": null,
        "displayName": principal.display_name,
        "homepage": null,
        "loginUrl": null,
        "logoutUrl": null,
        "notes": null,
        "notificationEmailAddresses": [],
        "preferredSingleSignOnMode": null,
        "preferredTokenSigningKeyThumbprint": null,
        "replyUrls": replies,
        "servicePrincipalNames": names,
        "servicePrincipalType": "Application",
        "signInAudience": app.map_or("AzureADMultipleOrgs", |app| app.audience()),
        "tags": principal.tags,
        "tokenEncryptionKeyId": null,
        "samlSingleSignOnSettings": null,
        "addIns": [],
        "appRoles": roles,
        "info": empty_info(),
        "keyCredentials": [],
        "oauth2PermissionScopes": scopes,
        "passwordCredentials": [],
        "resourceSpecificApplicationPermissions": [],
        "verifiedPublisher": empty_publisher(),
    })
}

fn show_roles() -> Vec<Value> {
    let roles = ROLES.iter().map(|role| {
        json!({
            "allowedMemberTypes": ["Application"],
            "description": role.description,
            "displayName": role.name,
            "id": role.id,
            "isEnabled": true,
            "origin": "Application",
            "value": role.value,
        })
    });
    roles.collect()
}

fn show_scopes() -> Vec<Value> {
    let scopes = SCOPES.iter().map(|scope| {
        json!({
            "adminConsentDescription": scope.description,
            "adminConsentDisplayName": scope.name,
            "id": scope.id,
            "isEnabled": true,
            "type": if scope.admin_only { "Admin" } else { "User" },
            "userConsentDescription": scope.description,
            "userConsentDisplayName": scope.user_name,
            "value": scope.value,
        })
    });
    scopes.collect()
}
