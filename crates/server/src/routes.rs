//! Every address of the console: method, path, who may, and what answers. A test walks this table.

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    http::Method,
    middleware::{Next, from_fn, from_fn_with_state},
    routing::{MethodFilter, MethodRouter, on},
};
use catalog::Role;

use crate::{Problem, State, assets, guard, headers, health, pages, pages::wizard};

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
    /// GET or POST.
    pub method: Method,
    /// The path; what changes is in braces.
    pub path: &'static str,
    /// Who may call it.
    pub who: Who,
}

struct Route {
    info: RouteInfo,
    handler: MethodRouter<State>,
}

/// The table.
fn table() -> Vec<Route> {
    use Who::{Administrator, Anybody, Operator, User};
    vec![
        get("/assets/{hash}/{name}", Anybody, assets::show),
        get("/sign-in", Anybody, pages::sign_in::show),
        post("/sign-in", Anybody, pages::sign_in::sign_in),
        get("/sign-up", Anybody, pages::sign_up::show),
        post("/sign-up", Anybody, pages::sign_up::sign_up),
        post("/sign-out", User, pages::sign_in::sign_out),
        get("/", User, pages::home::show),
        get("/tasks/{task}", User, pages::task::show),
        post("/tasks/{task}/settings", Administrator, pages::task::save),
        post("/tasks/{task}/backup", Operator, pages::task::backup),
        post("/tasks/{task}/accounts", Operator, pages::task::act),
        get("/runs", User, pages::runs::show),
        get("/runs/{run}", User, pages::run::show),
        get("/runs/{run}/events", User, pages::run::events),
        post("/runs/{run}/stop", Operator, pages::run::stop),
        get("/restores", User, pages::runs::restores),
        get("/failures", User, pages::failures::show),
        get("/accounts/{account}", User, pages::account::show),
        get(
            "/accounts/{account}/restore",
            Operator,
            pages::restore::show,
        ),
        post(
            "/accounts/{account}/restore",
            Operator,
            pages::restore::begin,
        ),
        get("/accounts/{account}/search", Operator, pages::search::show),
        post(
            "/accounts/{account}/download",
            Operator,
            pages::download::zip,
        ),
        get(
            "/accounts/{account}/message/body",
            Operator,
            pages::message::body,
        ),
        get(
            "/accounts/{account}/message/eml",
            Operator,
            pages::message::eml,
        ),
        get(
            "/accounts/{account}/message/attachment",
            Operator,
            pages::message::attachment,
        ),
        post("/undo", Operator, pages::undo::undo),
        get("/audit", User, pages::audit::show),
        get("/audit.csv", User, pages::audit::csv),
        get("/settings", User, pages::settings::show),
        post("/settings/kit", Administrator, pages::settings::kit),
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
    ]
}

/// The table, without what answers.
#[must_use]
pub fn routes() -> Vec<RouteInfo> {
    table().into_iter().map(|route| route.info).collect()
}

/// The console as a service. Wants to know where connections come from: serve it with `into_make_service_with_connect_info`, as [`crate::serve`] does.
pub fn router(state: State) -> Router {
    let mut router = Router::new();
    for Route { info, handler } in table() {
        let who = info.who;
        let allowed = from_fn_with_state(
            state.clone(),
            move |state: State, request: Request, next: Next| {
                guard::allowed(state, who, request, next)
            },
        );
        router = router.route(info.path, handler.route_layer(allowed));
    }
    let console = router
        .fallback(nothing)
        .method_not_allowed_fallback(nothing)
        .layer(from_fn_with_state(state.clone(), guard::form))
        .layer(from_fn(guard::cookies))
        .layer(from_fn_with_state(state.clone(), guard::host));
    // Whatever watches the process asks by its address, and has no cookies.
    Router::new()
        .route("/healthz", on(MethodFilter::GET, health::alive))
        .route("/readyz", on(MethodFilter::GET, health::ready))
        .merge(console)
        .layer(from_fn_with_state(state.clone(), headers::add))
        .with_state(state)
}

async fn nothing() -> Problem {
    Problem::NotFound
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
        info: RouteInfo { method, path, who },
        handler: on(filter, handler),
    }
}
