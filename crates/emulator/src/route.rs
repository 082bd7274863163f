//! The table of what is served: one row for each method and path, with the permissions that suffice and the query options that are
//! taken. Anything that has no row is refused in Microsoft's words.
//!
//! Permissions, coverage page and matching all read this one table, so that a route cannot be served without being declared.

use http::Method;

use crate::{Call, GraphError, Reply, call::decode};

/// Answers one call. Handlers do not wait for anything: the state is in memory.
pub type Handler = fn(&Call) -> Result<Reply, GraphError>;

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path after the version, for example `/users/{user}/mailFolders/{folder}`. A parameter is a whole segment. Bound functions and
    /// casts stand without parentheses and namespace. With [`Access::UrlToken`] the path is the whole path.
    pub template: &'static str,
    /// Who may call it.
    pub access: Access,
    /// Query options that are taken, in lower case; a token option such as `$skiptoken` is named like any other.
    pub query: &'static [&'static str],
    /// The service that answers.
    pub service: Service,
    /// What answers.
    pub handler: Handler,
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A token with any one of these application permissions.
    Roles(&'static [&'static str]),
    /// A URL that carries its own token, as upload sessions have, outside `/v1.0`. The handler checks it; an `Authorization` header is refused.
    UrlToken,
}

/// The service behind a route: decides the words of errors and the throttling limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// Entra ID's directory.
    Directory,
    /// Exchange Online.
    Outlook,
}

/// A path that matched a row, with the values of its parameters.
#[derive(Debug)]
pub(crate) struct Match<'a> {
    pub(crate) route: &'a Route,
    pub(crate) params: Vec<(&'static str, String)>,
}

/// Finds the row for a method and a normalised path.
///
/// # Errors
/// 400 for a segment that no row has at that place, 405 if only other methods are taken.
pub(crate) fn find<'a>(
    routes: &'a [Route],
    method: &Method,
    segments: &[String],
) -> Result<Match<'a>, GraphError> {
    let mut best: Option<(Vec<bool>, Match<'a>)> = None;
    let mut path_known = false;
    for route in routes {
        let Some((shape, params)) = fit(route.template, segments) else {
            continue;
        };
        path_known = true;
        // A fixed segment is preferred to a parameter, leftmost first: `mailFolders/delta` is not the folder `delta`.
        if route.method == *method && best.as_ref().is_none_or(|(known, _)| shape > *known) {
            best = Some((shape, Match { route, params }));
        }
    }
    match best {
        Some((_, found)) => Ok(found),
        None if path_known => Err(GraphError::method_not_allowed()),
        None => Err(GraphError::unknown_segment(first_unknown(routes, segments))),
    }
}

/// Which segments were matched by a fixed name, and the parameters' values.
type Fit = (Vec<bool>, Vec<(&'static str, String)>);

fn fit(template: &'static str, segments: &[String]) -> Option<Fit> {
    let parts = template.split('/').skip(1);
    if parts.clone().count() != segments.len() {
        return None;
    }
    let mut shape = Vec::with_capacity(segments.len());
    let mut params = Vec::new();
    for (part, segment) in parts.zip(segments) {
        let name = parameter(part);
        match name {
            Some(name) => params.push((name, segment.clone())),
            None if part.eq_ignore_ascii_case(segment) => {}
            None => return None,
        }
        shape.push(name.is_none());
    }
    Some((shape, params))
}

fn parameter(part: &'static str) -> Option<&'static str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

/// The first segment up to which no template agrees; the last one if the path is only too short.
fn first_unknown<'a>(routes: &[Route], segments: &'a [String]) -> &'a str {
    let known = routes
        .iter()
        .map(|route| {
            let parts = route.template.split('/').skip(1);
            parts
                .zip(segments)
                .take_while(|(part, segment)| {
                    parameter(part).is_some() || part.eq_ignore_ascii_case(segment)
                })
                .count()
        })
        .max()
        .unwrap_or(0);
    segments
        .get(known)
        .or(segments.last())
        .map_or("", String::as_str)
}

/// Splits a path into decoded segments: `//` counts as `/`, `users('x')` is `users` and `x`, `applications(appId='x')` is
/// `applications` and `appId=x`, `delta()` and `microsoft.graph.delta()` are `delta`.
///
/// # Errors
/// 400 if an encoding is not UTF-8.
pub(crate) fn segments(path: &str) -> Result<Vec<String>, GraphError> {
    let mut segments = Vec::new();
    for raw in path.split('/').filter(|raw| !raw.is_empty()) {
        let segment = decode(raw).ok_or_else(|| {
            GraphError::bad_request("The path is not valid percent-encoded UTF-8.")
        })?;
        let name = strip_namespace(&segment);
        match name.strip_suffix(')').and_then(|rest| rest.split_once('(')) {
            Some((name, "")) => segments.push(name.to_owned()),
            Some((name, key)) if key.len() >= 2 && key.starts_with('\'') && key.ends_with('\'') => {
                segments.push(name.to_owned());
                segments.push(key[1..key.len() - 1].replace("''", "'"));
            }
            Some((name, key)) => {
                segments.push(name.to_owned());
                segments.extend(alternate_key(key));
            }
            None => segments.push(name.to_owned()),
        }
    }
    Ok(segments)
}

/// `appId='x'`, by which applications are addressed too, as `appId=x`. Anything else in parentheses belongs to a function.
fn alternate_key(key: &str) -> Option<String> {
    let (name, value) = key.split_once('=')?;
    let value = value.trim().strip_prefix('\'')?.strip_suffix('\'')?;
    name.trim()
        .eq_ignore_ascii_case("appId")
        .then(|| format!("appId={value}"))
}

/// Takes `microsoft.graph.` off a name.
pub(crate) fn strip_namespace(segment: &str) -> &str {
    const NAMESPACE: &str = "microsoft.graph.";
    match segment.get(..NAMESPACE.len()) {
        Some(start) if start.eq_ignore_ascii_case(NAMESPACE) => &segment[NAMESPACE.len()..],
        _ => segment,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: Method, template: &'static str) -> Route {
        Route {
            method,
            template,
            access: Access::Roles(&[]),
            query: &[],
            service: Service::Outlook,
            handler: |_| Ok(Reply::no_content()),
        }
    }

    fn table() -> Vec<Route> {
        vec![
            route(Method::GET, "/users/{user}"),
            route(Method::GET, "/users/{user}/mailFolders/{folder}"),
            route(Method::DELETE, "/users/{user}/mailFolders/{folder}"),
            route(Method::GET, "/users/{user}/mailFolders/delta"),
            route(Method::GET, "/users/{user}/messages/{message}/$value"),
        ]
    }

    fn check(method: Method, path: &str, expected: &str) {
        let table = table();
        let segments = segments(path).expect("the path is well encoded");
        let found = match find(&table, &method, &segments) {
            Ok(found) => {
                let values: Vec<_> = found
                    .params
                    .iter()
                    .map(|(_, value)| value.as_str())
                    .collect();
                format!("{} {}", found.route.template, values.join(" "))
            }
            Err(error) => format!("{} {}", error.status.as_u16(), error.message),
        };
        assert_eq!(found.trim_end(), expected, "{path}");
    }

    #[test]
    fn all_spellings_of_a_path_are_one() {
        let folder = "/users/{user}/mailFolders/{folder} a inbox";
        check(Method::GET, "/users/a/mailFolders/inbox", folder);
        check(Method::GET, "//USERS/a//mailfolders/inbox/", folder);
        check(Method::GET, "/users('a')/mailFolders('inbox')", folder);
        check(Method::GET, "/users/a/mailFolders%28'inbox'%29", folder);
        let delta = "/users/{user}/mailFolders/delta a";
        for name in [
            "delta",
            "delta()",
            "Delta",
            "microsoft.graph.delta()",
            "microsoft.graph.delta",
        ] {
            check(Method::GET, &format!("/users/a/mailFolders/{name}"), delta);
        }
        check(
            Method::GET,
            "/users/a/messages/m%2F1/%24value",
            "/users/{user}/messages/{message}/$value a m/1",
        );
        check(Method::GET, "/users(appId='x')", "/users/{user} appId=x");
        check(
            Method::GET,
            "/users/a/mailFolders/delta(token='x')",
            "/users/{user}/mailFolders/delta a",
        );
        check(Method::GET, "/users('o''neil')", "/users/{user} o'neil");
    }

    #[test]
    fn what_has_no_row_is_refused() {
        check(
            Method::GET,
            "/planets",
            "400 Resource not found for the segment 'planets'.",
        );
        check(
            Method::GET,
            "/users/a/moons/1",
            "400 Resource not found for the segment 'moons'.",
        );
        check(
            Method::PUT,
            "/users/a/mailFolders/x",
            "405 Specified HTTP method is not allowed for the request target.",
        );
        assert!(segments("/users/%ff").is_err());
    }
}
