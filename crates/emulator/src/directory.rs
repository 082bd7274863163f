//! The directory: users, the organization, and the settings of a user's mailbox.

mod organization;
mod settings;
mod users;

use http::Method;

use crate::{Access, Route, Service};

/// The rows that this module serves.
pub(crate) fn routes() -> Vec<Route> {
    let row = |template, access, query, service, handler| Route {
        method: Method::GET,
        template,
        access: Access::Roles(access),
        query,
        service,
        handler,
    };
    vec![
        row("/users", USERS_READ, LIST, Service::Directory, users::list),
        row(
            "/users/{user}",
            USERS_READ,
            ENTITY,
            Service::Directory,
            users::get,
        ),
        row(
            "/users/{user}/mailboxSettings",
            SETTINGS_READ,
            ENTITY,
            Service::Outlook,
            settings::get,
        ),
        row(
            "/organization",
            ORGANIZATION_READ,
            ENTITY,
            Service::Directory,
            organization::list,
        ),
        row(
            "/organization/{organization}",
            ORGANIZATION_ONE_READ,
            ENTITY,
            Service::Directory,
            organization::get,
        ),
    ]
}

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
