//! App role assignments: the application permissions that a service principal was granted, seen from it (`appRoleAssignments`) and from the
//! resource (`appRoleAssignedTo`). Assignments to users and groups are not served.

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    PAGE,
    applications::{READ, created},
    list_options, row,
    service_principals::find,
    time,
};
use crate::{
    Call, GraphError, Reply, RoleAssignment, Route, Service,
    odata::{Options, Schema},
    permissions,
    tenant::Registry,
};

/// The rows that this module serves.
pub(super) fn routes() -> Vec<Route> {
    let held = "/servicePrincipals/{principal}/appRoleAssignments";
    let given = "/servicePrincipals/{principal}/appRoleAssignedTo";
    let one_held = "/servicePrincipals/{principal}/appRoleAssignments/{assignment}";
    let one_given = "/servicePrincipals/{principal}/appRoleAssignedTo/{assignment}";
    vec![
        row(Method::GET, held, READ, LIST, |call| list(call, Side::Held)),
        row(Method::POST, held, ASSIGN, &[], |call| {
            assign(call, Side::Held)
        }),
        row(Method::GET, one_held, READ, &["$select"], |call| {
            get(call, Side::Held)
        }),
        row(Method::DELETE, one_held, ASSIGN, &[], |call| {
            delete(call, Side::Held)
        }),
        row(Method::GET, given, READ, LIST, |call| {
            list(call, Side::Given)
        }),
        row(Method::POST, given, ASSIGN, &[], |call| {
            assign(call, Side::Given)
        }),
        row(Method::GET, one_given, READ, &["$select"], |call| {
            get(call, Side::Given)
        }),
        row(Method::DELETE, one_given, ASSIGN, &[], |call| {
            delete(call, Side::Given)
        }),
    ]
}

/// Beside it, assigning takes a permission to read applications, see [`may_read`].
const ASSIGN: &[&str] = &["AppRoleAssignment.ReadWrite.All"];
const LIST: &[&str] = &["$select", "$filter", "$top", "$count", "$skiptoken"];

static ASSIGNMENT: Schema = Schema {
    name: "microsoft.graph.appRoleAssignment",
    properties: &[
        "id",
        "deletedDateTime",
        "appRoleId",
        "createdDateTime",
        "principalDisplayName",
        "principalId",
        "principalType",
        "resourceDisplayName",
        "resourceId",
    ],
    navigation: &[],
    always: &[],
    default: &[],
    service: Service::Directory,
};

/// From where an assignment is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// By the service principal that holds it.
    Held,
    /// By the resource.
    Given,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Held => "appRoleAssignments",
            Self::Given => "appRoleAssignedTo",
        }
    }

    fn has(self, assignment: &RoleAssignment, id: Uuid) -> bool {
        match self {
            Self::Held => assignment.principal == id,
            Self::Given => assignment.resource == id,
        }
    }

    fn context(self, id: Uuid) -> String {
        format!("servicePrincipals('{id}')/{}", self.name())
    }
}

fn list(call: &Call, side: Side) -> Result<Reply, GraphError> {
    let options = list_options(call, &ASSIGNMENT)?;
    let registry = call.tenant.registry();
    let id = find(&registry, call.param("principal"))?.id;
    let assignments = registry.assignments.iter();
    let own: Vec<_> = assignments
        .filter(|assignment| side.has(assignment, id))
        .collect();
    let shown = |assignment: &&RoleAssignment| show(&registry, assignment);
    Ok(options.list(call, &side.context(id), &own, PAGE, shown))
}

fn get(call: &Call, side: Side) -> Result<Reply, GraphError> {
    let options = Options::parse(&call.query, &ASSIGNMENT)?;
    let registry = call.tenant.registry();
    let id = find(&registry, call.param("principal"))?.id;
    let assignment = find_one(call, &registry, side)?;
    let shown = show(&registry, assignment);
    Ok(options.entity(call, &side.context(id), shown))
}

fn assign(call: &Call, side: Side) -> Result<Reply, GraphError> {
    may_read(call)?;
    let body = call.json()?;
    let read = |name: &str| {
        let text = body.get(name).and_then(Value::as_str);
        text.and_then(|text| text.parse::<Uuid>().ok())
            .ok_or_else(|| {
                GraphError::directory_bad_request(format!(
                    "A value is required for property '{name}' of resource 'AppRoleAssignment'."
                ))
            })
    };
    let (principal, resource, role) = (
        read("principalId")?,
        read("resourceId")?,
        read("appRoleId")?,
    );
    let mut registry = call.tenant.registry_mut();
    let id = find(&registry, call.param("principal"))?.id;
    let expected = match side {
        Side::Held => principal,
        Side::Given => resource,
    };
    let is_known = registry.principal(principal).is_some();
    if id != expected || !is_known || resource != registry.graph() {
        return Err(GraphError::directory_bad_request(
            "Not a valid reference update.",
        ));
    }
    let Some(role) = permissions::role(role) else {
        return Err(GraphError::directory_bad_request(format!(
            "Permission being assigned was not found on application '{}'",
            permissions::GRAPH
        )));
    };
    let is_held = registry
        .assignments
        .iter()
        .any(|known| known.principal == principal && known.role == role.id);
    if is_held {
        return Err(GraphError::directory_bad_request(
            "Permission being assigned already exists on the object",
        ));
    }
    let delay = call.tenant.behaviour.grant_delay;
    let effective = call.now.checked_add(delay).unwrap_or(Timestamp::MAX);
    let assignment = registry
        .assign(principal, role.id, call.now, effective)
        .clone();
    let shown = show(&registry, &assignment);
    Ok(created(call, &side.context(id), shown))
}

fn delete(call: &Call, side: Side) -> Result<Reply, GraphError> {
    let mut registry = call.tenant.registry_mut();
    let id = find_one(call, &registry, side)?.id.clone();
    registry.assignments.retain(|known| known.id != id);
    Ok(Reply::no_content())
}

/// Microsoft asks for two permissions at once: to assign, and to read what is assigned.
fn may_read(call: &Call) -> Result<(), GraphError> {
    let may = call.roles.iter().any(|role| READ.contains(&role.as_str()));
    match may {
        true => Ok(()),
        false => Err(GraphError::directory_denied()),
    }
}

fn find_one<'a>(
    call: &Call,
    registry: &'a Registry,
    side: Side,
) -> Result<&'a RoleAssignment, GraphError> {
    let id = find(registry, call.param("principal"))?.id;
    let name = call.param("assignment");
    let mut own = registry.assignments.iter();
    own.find(|assignment| side.has(assignment, id) && assignment.id == name)
        .ok_or_else(|| GraphError::directory_not_found(name))
}

fn show(registry: &Registry, assignment: &RoleAssignment) -> Value {
    let name = |id| registry.principal(id).map(|known| &known.display_name);
    json!({
        "id": assignment.id,
        "deletedDateTime": null,
        "appRoleId": assignment.role,
        "createdDateTime": time(assignment.created),
        "principalDisplayName": name(assignment.principal),
        "principalId": assignment.principal,
        "principalType": "ServicePrincipal",
        "resourceDisplayName": name(assignment.resource),
        "resourceId": assignment.resource,
    })
}
