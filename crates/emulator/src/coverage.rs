//! The whole table of routes, and the page that shows it.

use std::fmt::Write;

use crate::{Access, Route, directory, mail};

/// Rows whose permissions are not those of Microsoft's map of permissions by path, with the reason for what they have here.
pub const BEYOND_THE_MAP: &[(&str, &str)] = &[
    ("GET /users/{user}/messages/{message}", MORE_READS),
    (
        "GET /users/{user}/mailFolders/{folder}/messages/{message}",
        MORE_READS,
    ),
    (
        "GET /users/{user}/messages/{message}/attachments",
        MORE_READS,
    ),
    ("GET /users/{user}/messages/{message}/$value", MESSAGE),
    (
        "GET /users/{user}/mailFolders/{folder}/messages/{message}/$value",
        MESSAGE,
    ),
    (
        "GET /users/{user}/messages/{message}/attachments/{attachment}",
        ATTACHMENTS,
    ),
    (
        "DELETE /users/{user}/messages/{message}/attachments/{attachment}",
        ATTACHMENTS,
    ),
    (
        "GET /users/{user}/messages/{message}/attachments/{attachment}/$value",
        ATTACHMENTS,
    ),
    (
        "GET /servicePrincipals/{principal}/appRoleAssignments/{assignment}",
        ASSIGNMENTS,
    ),
    (
        "GET /servicePrincipals/{principal}/appRoleAssignedTo/{assignment}",
        ASSIGNMENTS,
    ),
];

const MORE_READS: &str =
    "the map omits `Mail.ReadWrite`, which includes `Mail.Read` by its own description";
const MESSAGE: &str =
    "not in the map: the message's own permission, without the basic one, which shows no content";
const ATTACHMENTS: &str = "not in the map: the permission of the list of attachments";

const ASSIGNMENTS: &str = "not in the map: the permission of the list of assignments";

/// Everything that is served, `$batch` apart, which any valid token may use.
#[must_use]
pub fn routes() -> Vec<Route> {
    let mut routes = directory::routes();
    routes.extend(mail::routes());
    routes
}

/// The page `docs/emulator-coverage.md`, made from the table.
#[must_use]
pub fn coverage() -> String {
    let mut page = String::from(
        "# What the emulator serves\n\n\
         This page is made from the table of routes; a test fails when it is out of date. Under `/v1.0`, any one of the permissions suffices.\n\n\
         | method | path | application permissions | query options |\n|---|---|---|---|\n",
    );
    for route in routes() {
        let access = match route.access {
            Access::Roles(roles) => roles.join(", "),
            Access::UrlToken => "none: the URL carries its own token, outside `/v1.0`".to_owned(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "| {} | `{}` | {access} | {} |",
            route.method,
            route.template,
            route.query.join(" ")
        );
    }
    page.push_str(
        "\nBeside these, `POST /v1.0/$batch` takes up to twenty of them with any valid token.\n\n\
         ## Where Microsoft's map of permissions does not decide\n\n\
         | row | reason |\n|---|---|\n",
    );
    for (row, reason) in BEYOND_THE_MAP {
        let _ = writeln!(page, "| `{row}` | {reason} |");
    }
    page
}
