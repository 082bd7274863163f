//! `/oauth2PermissionGrants`: the delegated permissions that applications were granted, for one user or for everybody.

use http::Method;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{PAGE, applications::created, list_options, row, service_principals::find};
use crate::{
    Call, GraphError, PermissionGrant, Reply, Route, Service,
    odata::{Options, Schema},
    tenant::Registry,
};

/// The rows that this module serves.
pub(super) fn routes() -> Vec<Route> {
    let all = "/oauth2PermissionGrants";
    let one = "/oauth2PermissionGrants/{grant}";
    let of_one = "/servicePrincipals/{principal}/oauth2PermissionGrants";
    vec![
        row(Method::GET, all, READ, LIST, list),
        row(Method::POST, all, WRITE, &[], create),
        row(Method::GET, one, READ, &["$select"], get),
        row(Method::PATCH, one, WRITE, &[], update),
        row(Method::DELETE, one, WRITE, &[], delete),
        row(Method::GET, of_one, READ, LIST, list_of_one),
    ]
}

const READ: &[&str] = &[
    "DelegatedPermissionGrant.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
const WRITE: &[&str] = &[
    "DelegatedPermissionGrant.ReadWrite.All",
    "Directory.ReadWrite.All",
];
const LIST: &[&str] = &["$select", "$filter", "$top", "$skiptoken"];

static GRANT: Schema = Schema {
    name: "microsoft.graph.oAuth2PermissionGrant",
    properties: &[
        "id",
        "clientId",
        "consentType",
        "principalId",
        "resourceId",
        "scope",
    ],
    navigation: &[],
    always: &[],
    default: &[],
    service: Service::Directory,
};

fn list(call: &Call) -> Result<Reply, GraphError> {
    let options = list_options(call, &GRANT)?;
    let grants = call.tenant.permission_grants();
    Ok(options.list(call, "oauth2PermissionGrants", &grants, PAGE, show))
}

fn list_of_one(call: &Call) -> Result<Reply, GraphError> {
    let options = list_options(call, &GRANT)?;
    let registry = call.tenant.registry();
    let id = find(&registry, call.param("principal"))?.id;
    let mut grants = registry.grants.clone();
    grants.retain(|grant| grant.client == id);
    Ok(options.list(call, "oauth2PermissionGrants", &grants, PAGE, show))
}

fn get(call: &Call) -> Result<Reply, GraphError> {
    let options = Options::parse(&call.query, &GRANT)?;
    let registry = call.tenant.registry();
    let grant = &registry.grants[position(call, &registry)?];
    Ok(options.entity(call, "oauth2PermissionGrants", show(grant)))
}

fn create(call: &Call) -> Result<Reply, GraphError> {
    let body = call.json()?;
    let (client, resource) = (id(&body, "clientId")?, id(&body, "resourceId")?);
    let user = match body.get("consentType").and_then(Value::as_str) {
        Some("AllPrincipals") => None,
        Some("Principal") => Some(id(&body, "principalId")?),
        _ => return Err(invalid("consentType")),
    };
    let scopes = scopes(&body)?;
    if let Some(user) = user
        && call.tenant.user(&user.to_string()).is_none()
    {
        return Err(GraphError::directory_not_found(&user.to_string()));
    }
    let mut registry = call.tenant.registry_mut();
    find(&registry, &client.to_string())?;
    if resource != registry.graph() {
        return Err(GraphError::directory_not_found(&resource.to_string()));
    }
    let is_there = |grant: &PermissionGrant| grant.client == client && grant.user == user;
    if registry.grants.iter().any(is_there) {
        return Err(GraphError::directory_conflict(
            "Permission entry already exists.",
        ));
    }
    registry.grant(client, user, scopes.iter().map(String::as_str), call.now);
    let made = registry.grants.iter().find(|grant| is_there(grant));
    let shown = made
        .map(show)
        .ok_or_else(|| GraphError::internal("the grant is not there"))?;
    Ok(created(call, "oauth2PermissionGrants", shown))
}

fn update(call: &Call) -> Result<Reply, GraphError> {
    let body = call.json()?;
    if let Some(name) = body
        .keys()
        .find(|name| *name != "scope" && !name.starts_with('@'))
    {
        return Err(GraphError::directory_bad_request(format!(
            "Property '{name}' is read-only and cannot be set."
        )));
    }
    let scopes = scopes(&body)?;
    let mut registry = call.tenant.registry_mut();
    let index = position(call, &registry)?;
    registry.grants[index].scopes = scopes;
    Ok(Reply::no_content())
}

fn delete(call: &Call) -> Result<Reply, GraphError> {
    let mut registry = call.tenant.registry_mut();
    let index = position(call, &registry)?;
    registry.grants.remove(index);
    Ok(Reply::no_content())
}

fn position(call: &Call, registry: &Registry) -> Result<usize, GraphError> {
    let id = call.param("grant");
    let mut grants = registry.grants.iter();
    grants
        .position(|grant| grant.id == id)
        .ok_or_else(|| GraphError::directory_not_found(id))
}

fn id(body: &Map<String, Value>, name: &str) -> Result<Uuid, GraphError> {
    let text = body.get(name).and_then(Value::as_str);
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| invalid(name))
}

fn scopes(body: &Map<String, Value>) -> Result<Vec<String>, GraphError> {
    let text = body.get("scope").and_then(Value::as_str);
    let text = text.ok_or_else(|| invalid("scope"))?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

fn invalid(name: &str) -> GraphError {
    GraphError::directory_bad_request(format!(
        "Invalid value specified for property '{name}' of resource 'OAuth2PermissionGrant'."
    ))
}

fn show(grant: &PermissionGrant) -> Value {
    let kind = match grant.user {
        Some(_) => "Principal",
        None => "AllPrincipals",
    };
    json!({
        "clientId": grant.client,
        "consentType": kind,
        "id": grant.id,
        "principalId": grant.user,
        "resourceId": grant.resource,
        "scope": grant.scopes.join(" "),
    })
}
