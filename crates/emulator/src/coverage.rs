//! The whole table of routes, and the page that shows it.

use std::fmt::Write;

use crate::{Access, Route, directory, mail};

/// Rows whose permissions are not in Microsoft's map of permissions by path, with the reason for those that they have here.
const BEYOND_THE_MAP: &[(&str, &str)] = &[];

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
    page
}
