//! Signing in and out.
//!
//! An unknown address and a wrong password get the same answer after the same work, and count the same (abuse 94).

use askama::Template;
use axum::{
    Form,
    extract::Query,
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use crate::{
    Problem, Signed, State,
    attempts::{TRIES, TRIES_OF_A_NETWORK},
    cookies, page,
    page::Sheet,
    peer::Peer,
    session::{self, Visitor},
};

#[derive(Template)]
#[template(path = "sign-in.html")]
struct Page<'a> {
    sheet: Sheet,
    address: &'a str,
    next: &'a str,
    problem: Option<String>,
    may_sign_up: bool,
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    next: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Filled {
    address: String,
    password: String,
    next: Option<String>,
}

pub(crate) async fn show(
    state: State,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let next = asked.next.unwrap_or_default();
    let next = within(&next);
    if visitor.signed(&state).await?.is_some() {
        return Ok(Redirect::to(&next).into_response());
    }
    Ok(page::html(&Page {
        sheet: visitor.sheet(),
        address: "",
        next: &next,
        problem: None,
        may_sign_up: !state.catalog().has_users().await?,
    }))
}

pub(crate) async fn sign_in(
    state: State,
    visitor: Visitor,
    peer: Peer,
    Form(filled): Form<Filled>,
) -> Result<Response, Problem> {
    let next = within(filled.next.as_deref().unwrap_or_default());
    let address = filled.address.trim();
    let refuse = |status, problem| {
        let page = Page {
            sheet: visitor.sheet(),
            address,
            next: &next,
            problem: Some(problem),
            may_sign_up: false,
        };
        (status, page::html(&page)).into_response()
    };
    let now = state.clock().elapsed();
    let by_address = format!("sign in as {}", address.to_lowercase());
    let by_peer = format!("sign in from {}", peer.0);
    let attempts = state.attempts();
    let may_try = attempts
        .begin(&by_peer, TRIES_OF_A_NETWORK, now)
        .and_then(|()| attempts.begin(&by_address, TRIES, now));
    if let Err(wait) = may_try {
        let seconds = wait.as_secs() + 1;
        let text = format!("Too many tries. Wait {seconds} seconds, then try again.");
        let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, text);
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
        return Ok(response);
    }
    let user = state.catalog().user_by_address(address).await?;
    let user = user.filter(|user| !user.disabled && !user.password_hash.is_empty());
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    let is_right = state
        .passwords()
        .verify(Zeroizing::new(filled.password), hash)
        .await?;
    let Some(user) = user.filter(|_| is_right) else {
        let text = "Address or password is not right.".to_owned();
        return Ok(refuse(StatusCode::UNPROCESSABLE_ENTITY, text));
    };
    attempts.succeeded(&by_address);
    attempts.succeeded(&by_peer);
    let before = visitor.signed(&state).await?;
    session::begin(&state, &user, before.as_ref(), &next).await
}

pub(crate) async fn sign_out(state: State, signed: Signed) -> Result<Response, Problem> {
    signed.note(&state, "signed out", signed.user.id).await?;
    state.catalog().end_session(&signed.token_hash).await?;
    let mut response = Redirect::to("/sign-in").into_response();
    cookies::clear_session(response.headers_mut());
    Ok(response)
}

/// The page that was asked for before signing in, if it is one of ours (abuse 90); otherwise the Homepage.
fn within(next: &str) -> String {
    let base = Url::parse("https://console.invalid").ok();
    let url = base.and_then(|base| {
        let url = base.join(next).ok()?;
        let is_ours = next.starts_with('/') && url.origin() == base.origin();
        // `/..//evil.example` becomes this, which browsers take for another host.
        (is_ours && !url.path().starts_with("//")).then_some(url)
    });
    // What browsers would read differently from the parser is written anew.
    url.map_or_else(
        || "/".to_owned(),
        |url| match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::within;

    /// abuse 90.
    #[test]
    fn the_way_back_stays_within_the_console() {
        let check = |next: &str, expected: &str| assert_eq!(within(next), expected, "{next}");
        check("/tasks/1?tab=a%20b", "/tasks/1?tab=a%20b");
        check("/", "/");
        check("", "/");
        for foreign in [
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "javascript:alert(1)",
            "evil",
        ] {
            check(foreign, "/");
        }
        check("/%2f%2fevil.example", "/%2f%2fevil.example");
        check("/a\r\nSet-Cookie: x", "/aSet-Cookie:%20x");
        check("/..//evil.example", "/");
    }
}
