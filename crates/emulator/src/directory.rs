//! The directory: users, the organization, applications and what they are granted, and the settings of a user's mailbox.

mod app_fields;
mod applications;
mod assignments;
mod credentials;
mod organization;
mod permission_grants;
mod service_principals;
mod settings;
mod users;

use http::Method;

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    Access, Call, GraphError, Handler, Route, Service,
    odata::{Options, PageSize, Schema},
};

/// The rows that this module serves.
pub(crate) fn routes() -> Vec<Route> {
    let read = |template, access, query, service, handler| Route {
        method: Method::GET,
        template,
        access: Access::Roles(access),
        query,
        service,
        handler,
    };
    let mut rows = vec![
        read("/users", USERS_READ, LIST, Service::Directory, users::list),
        read(
            "/users/{user}",
            USERS_READ,
            ENTITY,
            Service::Directory,
            users::get,
        ),
        read(
            "/users/{user}/mailboxSettings",
            SETTINGS_READ,
            ENTITY,
            Service::Outlook,
            settings::get,
        ),
        read(
            "/organization",
            ORGANIZATION_READ,
            ENTITY,
            Service::Directory,
            organization::list,
        ),
        read(
            "/organization/{organization}",
            ORGANIZATION_ONE_READ,
            ENTITY,
            Service::Directory,
            organization::get,
        ),
    ];
    rows.extend(applications::routes());
    rows.extend(service_principals::routes());
    rows.extend(assignments::routes());
    rows.extend(permission_grants::routes());
    rows
}

/// A row of the directory.
fn row(
    method: Method,
    template: &'static str,
    access: &'static [&'static str],
    query: &'static [&'static str],
    handler: Handler,
) -> Route {
    Route {
        method,
        template,
        access: Access::Roles(access),
        query,
        service: Service::Directory,
        handler,
    }
}

/// The directory's times: whole seconds, UTC.
fn time(time: Timestamp) -> Value {
    Value::String(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// Runs an advanced query only with the header that the directory asks for; without it, a count is not given.
fn list_options(call: &Call, schema: &'static Schema) -> Result<Options, GraphError> {
    let mut options = Options::parse(&call.query, schema)?;
    if let Some(top) = options.top
        && top > PAGE.max
    {
        return Err(GraphError::unsupported_query(format!(
            "Invalid page size specified: '{top}'. Must be between 1 and {} inclusive.",
            PAGE.max
        )));
    }
    let eventual = call
        .headers
        .get("consistencylevel")
        .is_some_and(|level| level.as_bytes().eq_ignore_ascii_case(b"eventual"));
    if !eventual {
        let resource = schema.name.rsplit('.').next().unwrap_or(schema.name);
        if options
            .filter
            .as_ref()
            .is_some_and(|filter| filter.is_advanced())
        {
            return Err(GraphError::unsupported_query(format!(
                "Unsupported or invalid query filter clause specified for resource '{}'.",
                capital(resource)
            )));
        }
        if options.filter.is_some() && call.query.get("$orderby").is_some() {
            return Err(GraphError::unsupported_query(
                "Sorting not supported for current query.",
            ));
        }
        // Without the header the directory ignores the option.
        options.count = false;
    }
    Ok(options)
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// Page sizes of the directory.
const PAGE: PageSize = PageSize {
    default: 100,
    max: 999,
};

const LIST: &[&str] = &[
    "$select",
    "$filter",
    "$top",
    "$count",
    "$orderby",
    "$skiptoken",
    "$search",
];
const ENTITY: &[&str] = &["$select"];

/// Those of the application permissions for reading users that an administrator may think of; the others belong to device management.
const USERS_READ: &[&str] = &[
    "User.ReadBasic.All",
    "User.Read.All",
    "User.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
const SETTINGS_READ: &[&str] = &["MailboxSettings.Read", "MailboxSettings.ReadWrite"];
const ORGANIZATION_READ: &[&str] = &[
    "Organization.Read.All",
    "Organization.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
    "User.Read.All",
];
const ORGANIZATION_ONE_READ: &[&str] = &["User.Read.All"];
