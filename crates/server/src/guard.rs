//! What every request passes before a handler sees it: cookies are read, the host is ours, a form is ours, and who sends it may.

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{
        HeaderMap, Method, StatusCode,
        header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN},
    },
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use url::form_urlencoded;

use crate::{
    Problem, Signed, State, Who,
    attempts::TRIES_OF_A_NETWORK,
    cookies::{self, Cookies},
    pace::Costly,
    page,
    peer::Peer,
    token::{self, Token},
};

/// A form's bytes: a page of selected accounts takes a few thousand, a pasted certificate as many.
const FORM_BYTES_MAX: usize = 256 * 1024;
/// The field of every form, and the header of a script's request, that shows whose page it comes from.
const FIELD: &str = "csrf";
const HEADER: &str = "x-csrf-token";

/// Reads the cookies for whoever comes after, and writes those that an answer needs.
pub(crate) async fn cookies(mut request: Request, next: Next) -> Response {
    let cookies = Cookies::read(request.headers());
    request.extensions_mut().insert(cookies.clone());
    let mut response = next.run(request).await;
    if page::is_html(&response) {
        let is_shown = cookies.flash.is_some() && response.status().is_success();
        if is_shown && !cookies::sets_flash(response.headers()) {
            cookies::clear_flash(response.headers_mut());
        }
        if cookies.is_new_visitor {
            cookies::set_visitor(response.headers_mut(), &cookies.visitor);
        }
    }
    response
}

/// Refuses any host but ours: nothing that we write depends on it, and a page elsewhere whose name was turned to this address gets no answer
/// (abuse 91).
pub(crate) async fn host(state: State, request: Request, next: Next) -> Response {
    let named = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    let named = named.or_else(|| {
        request
            .uri()
            .authority()
            .map(|authority| authority.as_str())
    });
    if named.is_some_and(|named| named.eq_ignore_ascii_case(&state.public().host)) {
        return next.run(request).await;
    }
    Problem::Elsewhere(state.public().origin.clone()).into_response()
}

/// Lets through what changes nothing, and forms of our own pages (abuse 86).
pub(crate) async fn form(state: State, request: Request, next: Next) -> Response {
    if matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    ) {
        return next.run(request).await;
    }
    if !comes_from_us(request.headers(), &state.public().origin) {
        return refused("This was not sent by a page of this console, so nothing was done.");
    }
    let is_form = request.headers().get(CONTENT_TYPE).is_none_or(|value| {
        value
            .as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    });
    if !is_form {
        return (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            page::notice("Not a form", "This address takes forms."),
        )
            .into_response();
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, FORM_BYTES_MAX).await else {
        return (
            StatusCode::PAYLOAD_TOO_LARGE,
            page::notice("Too large", "This is larger than any form of this console."),
        )
            .into_response();
    };
    let in_header = parts
        .headers
        .get(HEADER)
        .and_then(|value| value.to_str().ok());
    let in_form = form_urlencoded::parse(&body).find(|(name, _)| name == FIELD);
    let brought = in_header
        .map(str::to_owned)
        .or(in_form.map(|(_, value)| value.into_owned()));
    let is_ours = parts.extensions.get::<Cookies>().is_some_and(|cookies| {
        let brought = brought.unwrap_or_default();
        let tokens = cookies.session.iter().chain([&cookies.visitor]);
        tokens
            .map(token::Token::form_token)
            .any(|expected| token::equal(&brought, &expected))
    });
    if !is_ours {
        return refused(
            "This page is too old, so nothing was done. Load it again, and send it once more.",
        );
    }
    next.run(Request::from_parts(parts, Body::from(body))).await
}

/// Whether the browser says that one of our own pages sent it. A browser that says nothing is not believed.
fn comes_from_us(headers: &HeaderMap, origin: &str) -> bool {
    let said = |name: &str| headers.get(name).map(|value| value.as_bytes());
    let site = said("sec-fetch-site").map(|site| site == b"same-origin");
    let from = said(ORIGIN.as_str()).map(|from| from == origin.as_bytes());
    match (site, from) {
        (None, None) => false,
        (site, from) => site.unwrap_or(true) && from.unwrap_or(true),
    }
}

fn refused(text: &str) -> Response {
    (StatusCode::FORBIDDEN, page::notice("Not accepted", text)).into_response()
}

/// Lets through whoever the route is for, and hands them to the handler.
pub(crate) async fn allowed(state: State, who: Who, mut request: Request, next: Next) -> Response {
    if who == Who::Anybody {
        return next.run(request).await;
    }
    let cookies = request.extensions().get::<Cookies>().cloned();
    let found = match cookies {
        Some(cookies) => Signed::find(&state, &cookies).await,
        None => Ok(None),
    };
    match found {
        Ok(Some(signed)) if who.includes(signed.user.role) => {
            request.extensions_mut().insert(signed);
            next.run(request).await
        }
        Ok(Some(_)) => Problem::Forbidden.into_response(),
        Ok(None) => to_sign_in(&request),
        Err(problem) => problem.into_response(),
    }
}

/// Lets through programs that the route is for, and hands the handler for whom they act. Cookies do not matter: a page elsewhere can make a browser
/// send them, but not a token.
pub(crate) async fn bearer(state: State, who: Who, mut request: Request, next: Next) -> Response {
    if who == Who::Anybody {
        return next.run(request).await;
    }
    let Some(brought) = request.headers().get(AUTHORIZATION) else {
        return Problem::Unauthorized.into_response();
    };
    let token = brought.to_str().ok().and_then(Token::read_bearer);
    let found = match token {
        Some(token) => Signed::find_program(&state, &token).await,
        None => Ok(None),
    };
    match found {
        Ok(Some(signed)) if who.includes(signed.user.role) => {
            request.extensions_mut().insert(signed);
            next.run(request).await
        }
        Ok(Some(_)) => Problem::Forbidden.into_response(),
        Ok(None) => {
            // Only what is wrong is counted: one program with an old token does not shut out the others of its network.
            let Peer(peer) = Peer::of(&state, request.extensions(), request.headers());
            let (what, now) = (format!("token from {peer}"), state.clock().elapsed());
            let counted = state.attempts().begin(&what, TRIES_OF_A_NETWORK, now);
            match counted {
                Ok(()) => Problem::Unauthorized,
                Err(wait) => Problem::TooOften(wait.as_secs() + 1),
            }
            .into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

/// Lets through who does not ask too often for what costs much (abuse 98).
pub(crate) async fn paced(
    state: State,
    signed: Signed,
    what: Costly,
    request: Request,
    next: Next,
) -> Response {
    let now = state.clock().elapsed();
    match state.paces().take(signed.user.id, what, now) {
        Ok(()) => next.run(request).await,
        Err(wait) => Problem::TooOften(wait.as_secs() + 1).into_response(),
    }
}

/// To the sign-in page, and from there back to the page that was asked for. A script gets a status, because it cannot sign in.
fn to_sign_in(request: &Request) -> Response {
    let accept = request.headers().get(ACCEPT);
    let is_script = accept
        .is_some_and(|accept| accept.as_bytes().starts_with(b"text/event-stream"))
        || request
            .headers()
            .get("sec-fetch-mode")
            .is_some_and(|mode| mode == "cors");
    if is_script {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let asked = request
        .uri()
        .path_and_query()
        .map_or("/", |asked| asked.as_str());
    if *request.method() != Method::GET || asked == "/" {
        return Redirect::to("/sign-in").into_response();
    }
    let next: String = form_urlencoded::byte_serialize(asked.as_bytes()).collect();
    Redirect::to(&format!("/sign-in?next={next}")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// abuse 86.
    #[test]
    fn only_our_own_pages_send_forms() {
        let check = |site: Option<&str>, origin: Option<&str>, is_ours: bool| {
            let mut headers = HeaderMap::new();
            for (name, value) in [("sec-fetch-site", site), ("origin", origin)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().expect("a value"));
                }
            }
            let said = comes_from_us(&headers, "https://a.example");
            assert_eq!(said, is_ours, "{site:?} {origin:?}");
        };
        check(Some("same-origin"), Some("https://a.example"), true);
        check(Some("same-origin"), None, true);
        check(None, Some("https://a.example"), true);
        check(None, None, false);
        for foreign in [
            "https://a.example.evil.test",
            "http://a.example",
            "https://a.example:8443",
            "null",
        ] {
            check(None, Some(foreign), false);
            check(Some("same-origin"), Some(foreign), false);
        }
        for site in ["cross-site", "same-site", "none"] {
            check(Some(site), Some("https://a.example"), false);
        }
    }
}
