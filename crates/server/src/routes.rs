//! Every address of the console and of the interface to programs: method, path, who may, and what answers. Tests walk this table.

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    http::Method,
    middleware::{Next, from_fn, from_fn_with_state},
    routing::{MethodFilter, MethodRouter, on},
};
use catalog::Role;
use tower_http::compression::CompressionLayer;
use utoipa_axum::{router::UtoipaMethodRouter, routes};

use crate::{
    Problem, Signed, State,
    api::{self, answer::problems, document::Description},
    assets, guard, headers, health, metrics,
    pace::Costly,
    pages,
    pages::wizard,
    panics,
};

/// What lies below this is the interface to programs.
const API: &str = "/api";

/// Who may call an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Who {
    /// Nobody needs to be signed in.
    Anybody,
    /// Whoever is signed in, of whatever role.
    User,
    /// Who backs up, restores and looks into backups.
    Operator,
    /// Who changes the organization.
    Administrator,
}

impl Who {
    pub(crate) fn includes(self, role: Role) -> bool {
        match self {
            Self::Anybody | Self::User => true,
            Self::Operator => role != Role::Auditor,
            Self::Administrator => role == Role::Administrator,
        }
    }
}

/// A row of the table, for tests and documents.
#[derive(Clone, Debug)]
pub struct RouteInfo {
    /// GET, POST or PUT.
    pub method: Method,
    /// The path; what changes is in braces.
    pub path: String,
    /// Who may call it.
    pub who: Who,
}

impl RouteInfo {
    /// Whether programs call it, with a token, and not browsers, with a cookie.
    #[must_use]
    pub fn is_api(&self) -> bool {
        self.path.starts_with(API)
    }
}

struct Route {
    info: RouteInfo,
    handler: MethodRouter<State>,
    /// Of a row of the interface to programs.
    description: Option<Description>,
    /// What is counted by user.
    costs: Option<Costly>,
}

impl Route {
    /// A user may not ask for it as often as they like.
    fn costs(self, what: Costly) -> Self {
        Self {
            costs: Some(what),
            ..self
        }
    }
}

/// The table.
fn table() -> Vec<Route> {
    use Who::{Administrator, Anybody, Operator, User};
    vec![
        // These alone are compressed: where a secret stands beside what somebody else may choose, the length would tell of it.
        get(
            "/assets/{hash}/{name}",
            Anybody,
            assets::show.layer(CompressionLayer::new()),
        ),
        get("/sign-in", Anybody, pages::sign_in::show),
        post("/sign-in", Anybody, pages::sign_in::sign_in),
        get("/sign-up", Anybody, pages::sign_up::show),
        post("/sign-up", Anybody, pages::sign_up::sign_up),
        get("/join/{invitation}", Anybody, pages::join::show),
        post("/join/{invitation}", Anybody, pages::join::join),
        post("/sign-out", User, pages::sign_in::sign_out),
        get("/", User, pages::home::show),
        get("/tasks/{task}", User, pages::task::show),
        post("/tasks/{task}/settings", Administrator, pages::task::save),
        post("/tasks/{task}/backup", Operator, pages::task::backup),
        post("/tasks/{task}/accounts", Operator, pages::task::act),
        get("/runs", User, pages::runs::show),
        get("/runs/{run}", User, pages::run::show),
        get("/runs/{run}/events", User, pages::run::events),
        get("/runs/{run}/report", User, pages::report::show),
        get("/runs/{run}/report.csv", User, pages::report::csv),
        post("/runs/{run}/stop", Operator, pages::run::stop),
        get("/restores", User, pages::runs::restores),
        get("/failures", User, pages::failures::show),
        get("/accounts/{account}", User, pages::account::show).costs(Costly::Message),
        get(
            "/accounts/{account}/restore",
            Operator,
            pages::restore::show,
        ),
        post(
            "/accounts/{account}/restore",
            Operator,
            pages::restore::go_on,
        ),
        get("/accounts/{account}/search", Operator, pages::search::show).costs(Costly::Search),
        post(
            "/accounts/{account}/download",
            Operator,
            pages::download::zip,
        )
        .costs(Costly::Zip),
        get(
            "/accounts/{account}/message/body",
            Operator,
            pages::message::body,
        )
        .costs(Costly::Message),
        get(
            "/accounts/{account}/message/eml",
            Operator,
            pages::message::eml,
        )
        .costs(Costly::Message),
        get(
            "/accounts/{account}/message/attachment",
            Operator,
            pages::message::attachment,
        )
        .costs(Costly::Message),
        post("/undo", Operator, pages::undo::undo),
        get("/audit", User, pages::audit::show),
        get("/audit.csv", User, pages::audit::csv),
        get("/settings", User, pages::settings::show),
        post("/settings/kit", Administrator, pages::settings::kit),
        get("/settings/tokens", User, pages::tokens::show),
        post("/settings/tokens", User, pages::tokens::make),
        post(
            "/settings/tokens/{token}/revoke",
            User,
            pages::tokens::revoke,
        ),
        get("/settings/users", Administrator, pages::users::show),
        post("/settings/users", Administrator, pages::users::add),
        get("/settings/users/{user}", Administrator, pages::users::one),
        post(
            "/settings/users/{user}/role",
            Administrator,
            pages::users::set_role,
        ),
        post(
            "/settings/users/{user}/invite",
            Administrator,
            pages::users::invite,
        ),
        post(
            "/settings/users/{user}/disable",
            Administrator,
            pages::users::disable,
        ),
        post(
            "/settings/users/{user}/enable",
            Administrator,
            pages::users::enable,
        ),
        get("/connections/{connection}", User, pages::connection::show),
        post(
            "/connections/{connection}/check",
            Administrator,
            pages::connection::check,
        ),
        post(
            "/connections/{connection}/authenticate",
            Administrator,
            wizard::again,
        ),
        get("/tasks/new", Administrator, wizard::show_name),
        post("/tasks/new", Administrator, wizard::name),
        get("/tasks/new/{draft}", Administrator, wizard::change_name),
        post("/tasks/new/{draft}", Administrator, wizard::name),
        get(
            "/tasks/new/{draft}/authenticate",
            Administrator,
            wizard::show_authenticate,
        ),
        post(
            "/tasks/new/{draft}/authenticate",
            Administrator,
            wizard::authenticate,
        ),
        get(
            "/tasks/new/{draft}/certificate",
            Administrator,
            wizard::certificate,
        ),
        get(wizard::RETURN_PATH, Administrator, wizard::returned),
        get(
            "/tasks/new/{draft}/checking",
            Administrator,
            wizard::checking,
        ),
        get(
            "/tasks/new/{draft}/review",
            Administrator,
            wizard::show_review,
        ),
        post("/tasks/new/{draft}/review", Administrator, wizard::create),
        program(Anybody, routes!(api::document::get_document)),
        program(User, routes!(api::organization::get_organization)),
        program(User, routes!(api::users::list_users)),
        program(Administrator, routes!(api::users::add_user)),
        program(User, routes!(api::users::get_user)),
        program(Administrator, routes!(api::users::set_user_role)),
        program(Administrator, routes!(api::users::invite_user)),
        program(Administrator, routes!(api::users::disable_user)),
        program(Administrator, routes!(api::users::enable_user)),
        program(User, routes!(api::connections::list_connections)),
        program(User, routes!(api::connections::get_connection)),
        program(Administrator, routes!(api::connections::check_connection)),
        program(User, routes!(api::tasks::list_tasks)),
        program(Administrator, routes!(api::tasks::create_task)),
        program(User, routes!(api::tasks::get_task)),
        program(Administrator, routes!(api::tasks::set_task_settings)),
        program(User, routes!(api::accounts::list_accounts)),
        program(Operator, routes!(api::accounts::activate_accounts)),
        program(Operator, routes!(api::accounts::pause_accounts)),
        program(Operator, routes!(api::accounts::undo)),
        program(Operator, routes!(api::tasks::back_up)),
        program(User, routes!(api::tasks::list_task_runs)),
        program(User, routes!(api::runs::list_runs)),
        program(User, routes!(api::runs::get_run)),
        program(User, routes!(api::runs::list_jobs)),
        program(User, routes!(api::runs::list_restored_items)),
        program(Operator, routes!(api::runs::pause_run)),
        program(Operator, routes!(api::runs::resume_run)),
        program(Operator, routes!(api::runs::cancel_run)),
        program(User, routes!(api::accounts::get_account)),
        program(User, routes!(api::failures::list_account_failures)),
        program(User, routes!(api::points::list_restore_points)),
        program(Operator, routes!(api::points::list_folders)),
        program(Operator, routes!(api::points::list_messages)).costs(Costly::Message),
        program(Operator, routes!(api::points::find_messages)).costs(Costly::Search),
        program(Operator, routes!(api::points::download_messages)).costs(Costly::Zip),
        program(Operator, routes!(api::points::get_message)).costs(Costly::Message),
        program(Operator, routes!(api::points::get_message_file)).costs(Costly::Message),
        program(Operator, routes!(api::points::get_attachment)).costs(Costly::Message),
        program(Operator, routes!(api::restores::restore)),
        program(User, routes!(api::failures::list_failures)),
        program(User, routes!(api::audit::list_audit)),
        program(User, routes!(api::audit::check_audit)),
    ]
}

/// The table, without what answers.
#[must_use]
pub fn routes() -> Vec<RouteInfo> {
    table().into_iter().map(|route| route.info).collect()
}

/// What the rows of the interface to programs say of themselves, and who may call them.
pub(crate) fn descriptions() -> impl Iterator<Item = (Who, Description)> {
    let rows = table().into_iter();
    rows.filter_map(|row| Some((row.info.who, row.description?)))
}

/// The console and the interface to programs as a service. Wants to know where connections come from: serve it with
/// `into_make_service_with_connect_info`, as [`crate::serve`] does.
pub fn router(state: State) -> Router {
    let (mut console, mut programs) = (Router::new(), Router::new());
    for row in table() {
        let (who, info) = (row.info.who, row.info);
        let handler = match row.costs {
            None => row.handler,
            Some(what) => {
                let paced = move |state: State, signed: Signed, request: Request, next: Next| {
                    guard::paced(state, signed, what, request, next)
                };
                let paced = from_fn_with_state(state.clone(), paced);
                row.handler.route_layer(paced)
            }
        };
        if let Some(path) = info.path.strip_prefix(API) {
            let allowed = from_fn_with_state(
                state.clone(),
                move |state: State, request: Request, next: Next| {
                    guard::bearer(state, who, request, next)
                },
            );
            programs = programs.route(path, handler.route_layer(allowed));
        } else {
            let allowed = from_fn_with_state(
                state.clone(),
                move |state: State, request: Request, next: Next| {
                    guard::allowed(state, who, request, next)
                },
            );
            console = console.route(&info.path, handler.route_layer(allowed));
        }
    }
    let console = console
        .fallback(nothing)
        .method_not_allowed_fallback(nothing)
        .layer(from_fn_with_state(state.clone(), guard::form))
        .layer(from_fn(guard::cookies))
        .layer(from_fn_with_state(state.clone(), guard::host))
        .layer(from_fn(panics::answered));
    let programs = programs
        .fallback(nothing)
        .method_not_allowed_fallback(another_method)
        .layer(from_fn_with_state(state.clone(), guard::host))
        .layer(from_fn(panics::answered))
        .layer(from_fn(problems));
    // Whatever watches the process asks by its address, and has no cookies.
    Router::new()
        .route("/healthz", on(MethodFilter::GET, health::alive))
        .route("/readyz", on(MethodFilter::GET, health::ready))
        .nest(API, programs)
        .merge(console)
        .layer(from_fn_with_state(state.clone(), headers::add))
        .layer(from_fn_with_state(state.clone(), metrics::count))
        .with_state(state)
}

async fn nothing() -> Problem {
    Problem::NotFound
}

async fn another_method() -> Problem {
    Problem::AnotherMethod
}

/// A row of the interface to programs, whose handler says method and path itself.
fn program(who: Who, (schemas, paths, handler): UtoipaMethodRouter<State>) -> Route {
    let first = paths.paths.iter().next();
    let (path, method) = first.map_or((String::new(), Method::GET), |(path, item)| {
        let method = match item {
            item if item.post.is_some() => Method::POST,
            item if item.put.is_some() => Method::PUT,
            item if item.delete.is_some() => Method::DELETE,
            _ => Method::GET,
        };
        (path.clone(), method)
    });
    Route {
        info: RouteInfo { method, path, who },
        handler,
        description: Some(Description { schemas, paths }),
        costs: None,
    }
}

fn get<T: 'static>(path: &'static str, who: Who, handler: impl Handler<T, State>) -> Route {
    route(Method::GET, MethodFilter::GET, path, who, handler)
}

fn post<T: 'static>(path: &'static str, who: Who, handler: impl Handler<T, State>) -> Route {
    route(Method::POST, MethodFilter::POST, path, who, handler)
}

fn route<T: 'static>(
    method: Method,
    filter: MethodFilter,
    path: &'static str,
    who: Who,
    handler: impl Handler<T, State>,
) -> Route {
    Route {
        info: RouteInfo {
            method,
            path: path.to_owned(),
            who,
        },
        handler: on(filter, handler),
        description: None,
        costs: None,
    }
}
