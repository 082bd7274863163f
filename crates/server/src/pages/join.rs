//! Joining: whoever has an invitation's link chooses a password, and is signed in. The link is good once.

use askama::Template;
use axum::{
    Form,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use catalog::{NewAudit, User};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{
    Problem, State, page,
    page::Sheet,
    password,
    path::Path,
    session::{self, Visitor},
    token::Token,
};

#[derive(Template)]
#[template(path = "join.html")]
struct Page {
    sheet: Sheet,
    /// Of this address.
    path: String,
    name: String,
    address: String,
    problem: Option<&'static str>,
}

#[derive(Deserialize)]
pub(crate) struct Filled {
    password: String,
}

/// Who has the invitation, and its hash.
async fn find(state: &State, text: &str) -> Result<Option<(User, String)>, Problem> {
    let Some(token) = Token::read(text) else {
        return Ok(None);
    };
    let hash = token.hash();
    let user = state.catalog().invited(&hash, state.clock().now()).await?;
    Ok(user.map(|user| (user, hash)))
}

fn over() -> Response {
    let text = "This invitation was used, or is too old, or there is a newer one. Ask an administrator of your organization for another.";
    let page = page::notice("Not valid", text);
    (StatusCode::NOT_FOUND, page).into_response()
}

/// The page.
pub(crate) async fn show(
    state: State,
    visitor: Visitor,
    Path(text): Path<String>,
) -> Result<Response, Problem> {
    let found = find(&state, &text).await?;
    Ok(found.map_or_else(over, |(user, _)| form(&visitor, &text, user, None)))
}

fn form(visitor: &Visitor, text: &str, user: User, problem: Option<&'static str>) -> Response {
    page::html(&Page {
        sheet: visitor.sheet(),
        path: format!("/join/{text}"),
        name: user.name,
        address: user.address,
        problem,
    })
}

/// Takes the password.
pub(crate) async fn join(
    state: State,
    visitor: Visitor,
    Path(text): Path<String>,
    Form(filled): Form<Filled>,
) -> Result<Response, Problem> {
    let Some((user, hash)) = find(&state, &text).await? else {
        return Ok(over());
    };
    if let Some(why) = password::objection(&filled.password, &user.address) {
        let page = form(&visitor, &text, user, Some(why));
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    let password = Zeroizing::new(filled.password);
    let password_hash = state.passwords().hash(password).await?;
    let (catalog, now) = (state.catalog(), state.clock().now());
    let audit = NewAudit {
        actor: user.id.to_string(),
        action: "chose a password".to_owned(),
        object: user.id.to_string(),
        detail: String::new(),
    };
    let of = catalog.organization(user.organization);
    of.note(&audit, now).await?;
    let accepted = catalog.accept_invitation(&hash, &password_hash, now).await;
    let user = match accepted {
        Err(error) if error.kind() == catalog::Kind::NotFound => return Ok(over()),
        accepted => accepted?,
    };
    let before = visitor.signed(&state).await?;
    session::begin(&state, &user, before.as_ref(), "/").await
}
