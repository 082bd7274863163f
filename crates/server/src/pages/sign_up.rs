//! Signing up: who has the set-up code makes the first organization. Afterwards nobody signs up.

use askama::Template;
use axum::{
    Form,
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use service::NewFirstUser;
use zeroize::Zeroizing;

use crate::{
    Problem, State,
    attempts::TRIES,
    page,
    page::Sheet,
    password,
    peer::Peer,
    session::{self, Visitor},
    users,
};

#[derive(Template)]
#[template(path = "sign-up.html")]
struct Page<'a> {
    sheet: Sheet,
    organization: &'a str,
    name: &'a str,
    address: &'a str,
    /// The field that is wrong, and why.
    problem: Option<(&'static str, String)>,
}

#[derive(Deserialize)]
pub(crate) struct Filled {
    code: String,
    organization: String,
    name: String,
    address: String,
    password: String,
}

impl Page<'_> {
    /// What is wrong with a field, if it is.
    fn wrong(&self, field: &str) -> Option<&str> {
        let (wrong, why) = self.problem.as_ref()?;
        (*wrong == field).then_some(why)
    }
}

pub(crate) async fn show(state: State, visitor: Visitor) -> Result<Response, Problem> {
    if state.catalog().has_users().await? {
        return Ok(closed());
    }
    Ok(page::html(&Page {
        sheet: visitor.sheet(),
        organization: "",
        name: "",
        address: "",
        problem: None,
    }))
}

pub(crate) async fn sign_up(
    state: State,
    visitor: Visitor,
    peer: Peer,
    Form(filled): Form<Filled>,
) -> Result<Response, Problem> {
    let _alone = state.founding().lock().await;
    if state.catalog().has_users().await? {
        return Ok(closed());
    }
    let organization = filled.organization.trim();
    let (name, address) = (filled.name.trim(), filled.address.trim());
    let refuse = |status: StatusCode, field, why: String| {
        let page = Page {
            sheet: visitor.sheet(),
            organization,
            name,
            address,
            problem: Some((field, why)),
        };
        (status, page::html(&page)).into_response()
    };
    let tries = format!("sign up from {}", peer.0);
    // Somebody with many addresses does not get more tries.
    let all = "sign up";
    let now = state.clock().elapsed();
    let attempts = state.attempts();
    let may_try = attempts
        .begin(&tries, TRIES, now)
        .and_then(|()| attempts.begin(all, 4 * TRIES, now));
    if let Err(wait) = may_try {
        let seconds = wait.as_secs() + 1;
        let why = format!("Too many tries. Wait {seconds} seconds, then try again.");
        let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, "code", why);
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
        return Ok(response);
    }
    let invalid = |field, why: &str| {
        Ok(refuse(
            StatusCode::UNPROCESSABLE_ENTITY,
            field,
            why.to_owned(),
        ))
    };
    if !state.set_up_code().is(&filled.code) {
        let why = "The set-up code is not right. It is in the output of keepwell serve.";
        return invalid("code", why);
    }
    attempts.succeeded(&tries);
    attempts.succeeded(all);
    if !users::is_name(organization) {
        return invalid("organization", users::NO_NAME);
    }
    if let Some((field, why)) = users::objection(name, address) {
        return invalid(field, why);
    }
    if let Some(why) = password::objection(&filled.password, address) {
        return invalid("password", why);
    }
    let password_hash = state
        .passwords()
        .hash(Zeroizing::new(filled.password))
        .await?;
    let first = NewFirstUser {
        name: name.to_owned(),
        address: address.to_owned(),
        password_hash,
    };
    let (id, user) = state.service().found(organization, first).await?;
    let user = state.catalog().organization(id).user(user).await?;
    session::begin(&state, &user, None, "/settings").await
}

fn closed() -> Response {
    let text = "There is an organization on this server. Ask an administrator for an invitation.";
    (StatusCode::FORBIDDEN, page::notice("Not open", text)).into_response()
}
