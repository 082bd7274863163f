//! The rows of the route table that mail has.
//!
//! Not served: search folders, message rules, extensions, mentions, replying, forwarding and sending (nothing here ever leaves the mailbox), and paths that
//! name several levels of folders.

use http::Method;

use super::{attachment_routes, delta_routes, folder_routes, message_routes, upload};
use crate::{Access, Handler, Route, Service};

/// Lists and the tree: what is in the letters is left out by Microsoft for the first of these.
const READ_BASIC: Access = Access::Roles(&["Mail.ReadBasic.All", "Mail.Read", "Mail.ReadWrite"]);
const READ: Access = Access::Roles(&["Mail.Read", "Mail.ReadWrite"]);
const WRITE: Access = Access::Roles(&["Mail.ReadWrite"]);

const NONE: &[&str] = &[];
const ONE: &[&str] = &["$select", "$expand"];
const ONE_FOLDER: &[&str] = &["$select", "$expand", "includehiddenfolders"];
const MANY: &[&str] = &[
    "$count",
    "$expand",
    "$filter",
    "$orderby",
    "$select",
    "$skip",
    "$skiptoken",
    "$top",
];
const MANY_FOLDERS: &[&str] = &[
    "$count",
    "$expand",
    "$filter",
    "$orderby",
    "$select",
    "$skip",
    "$skiptoken",
    "$top",
    "includehiddenfolders",
];
const DELTA_FOLDERS: &[&str] = &["$deltatoken", "$select", "$skiptoken", "$top"];
const DELTA: &[&str] = &[
    "$deltatoken",
    "$expand",
    "$filter",
    "$select",
    "$skiptoken",
    "$top",
    "changetype",
];
const TOKEN: &[&str] = &["authtoken"];

/// All rows.
pub(crate) fn routes() -> Vec<Route> {
    [folders(), messages(), attachments(), uploads()].concat()
}

fn row(
    method: Method,
    template: &'static str,
    access: Access,
    query: &'static [&'static str],
    handler: Handler,
) -> Route {
    Route {
        method,
        template,
        access,
        query,
        service: Service::Outlook,
        handler,
    }
}

fn get(
    template: &'static str,
    access: Access,
    query: &'static [&'static str],
    handler: Handler,
) -> Route {
    row(Method::GET, template, access, query, handler)
}

fn post(template: &'static str, handler: Handler) -> Route {
    row(Method::POST, template, WRITE, NONE, handler)
}

fn patch(template: &'static str, handler: Handler) -> Route {
    row(Method::PATCH, template, WRITE, NONE, handler)
}

fn delete(template: &'static str, handler: Handler) -> Route {
    row(Method::DELETE, template, WRITE, NONE, handler)
}

fn folders() -> Vec<Route> {
    use folder_routes as on;
    const ALL: &str = "/users/{user}/mailFolders";
    const FOLDER: &str = "/users/{user}/mailFolders/{folder}";
    const CHILDREN: &str = "/users/{user}/mailFolders/{folder}/childFolders";
    vec![
        get(ALL, READ_BASIC, MANY_FOLDERS, on::list),
        post(ALL, on::create),
        get(
            "/users/{user}/mailFolders/delta",
            READ_BASIC,
            DELTA_FOLDERS,
            delta_routes::folders,
        ),
        get(FOLDER, READ_BASIC, ONE_FOLDER, on::get),
        patch(FOLDER, on::update),
        delete(FOLDER, on::delete),
        get(CHILDREN, READ_BASIC, MANY_FOLDERS, on::list_children),
        post(CHILDREN, on::create_child),
        post("/users/{user}/mailFolders/{folder}/move", on::relocate),
        post("/users/{user}/mailFolders/{folder}/copy", on::copy),
    ]
}

fn messages() -> Vec<Route> {
    use message_routes as on;
    const ALL: &str = "/users/{user}/messages";
    const MESSAGE: &str = "/users/{user}/messages/{message}";
    const IN_FOLDER: &str = "/users/{user}/mailFolders/{folder}/messages";
    const BY_FOLDER: &str = "/users/{user}/mailFolders/{folder}/messages/{message}";
    vec![
        get(ALL, READ_BASIC, MANY, on::list),
        post(ALL, on::create),
        get(IN_FOLDER, READ_BASIC, MANY, on::list_in_folder),
        post(IN_FOLDER, on::create_in_folder),
        get(
            "/users/{user}/mailFolders/{folder}/messages/delta",
            READ_BASIC,
            DELTA,
            delta_routes::messages,
        ),
        get(MESSAGE, READ_BASIC, ONE, on::get),
        patch(MESSAGE, on::update),
        delete(MESSAGE, on::delete),
        get(BY_FOLDER, READ_BASIC, ONE, on::get),
        patch(BY_FOLDER, on::update),
        delete(BY_FOLDER, on::delete),
        get(
            "/users/{user}/messages/{message}/$value",
            READ,
            NONE,
            on::value,
        ),
        get(
            "/users/{user}/mailFolders/{folder}/messages/{message}/$value",
            READ,
            NONE,
            on::value_in_folder,
        ),
        post("/users/{user}/messages/{message}/move", on::relocate),
        post("/users/{user}/messages/{message}/copy", on::copy),
        post(
            "/users/{user}/messages/{message}/permanentDelete",
            on::delete_permanently,
        ),
        post(
            "/users/{user}/mailFolders/{folder}/messages/{message}/move",
            on::relocate,
        ),
        post(
            "/users/{user}/mailFolders/{folder}/messages/{message}/copy",
            on::copy,
        ),
        post(
            "/users/{user}/mailFolders/{folder}/messages/{message}/permanentDelete",
            on::delete_permanently,
        ),
    ]
}

fn attachments() -> Vec<Route> {
    use attachment_routes as on;
    const ALL: &str = "/users/{user}/messages/{message}/attachments";
    const ATTACHMENT: &str = "/users/{user}/messages/{message}/attachments/{attachment}";
    vec![
        get(ALL, READ, MANY, on::list),
        post(ALL, on::create),
        post(
            "/users/{user}/messages/{message}/attachments/createUploadSession",
            upload::create,
        ),
        get(ATTACHMENT, READ, ONE, on::get),
        delete(ATTACHMENT, on::delete),
        get(
            "/users/{user}/messages/{message}/attachments/{attachment}/$value",
            READ,
            NONE,
            on::value,
        ),
    ]
}

fn uploads() -> Vec<Route> {
    const SESSION: &str = "/api/gv1.0/Users/{user}/Messages/{message}/AttachmentSessions/{session}";
    let row = |method, handler| row(method, SESSION, Access::UrlToken, TOKEN, handler);
    vec![
        row(Method::PUT, upload::put),
        row(Method::GET, upload::status),
        row(Method::DELETE, upload::cancel),
    ]
}
