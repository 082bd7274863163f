//! API tokens: making one, which is shown once, and ending one. Everybody has their own; an administrator sees and ends all of them.

use std::collections::HashMap;

use askama::Template;
use axum::{
    Form,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use catalog::{ApiToken, ApiTokenId, NewApiToken, Role, UserId};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::{
    Problem, Signed, State,
    flash::Flash,
    page::{self, Shell},
    path::Path,
    token::Token,
    words::When,
};

/// Names on a page.
const NAME_MAX: usize = 100;
/// So many that work at a time are more than anybody keeps track of.
const TOKENS_MAX: usize = 100;
/// How long a token may be valid, in days, with the words for it; the first is offered.
const LIFETIMES: [(u16, &str); 4] = [
    (90, "90 days"),
    (7, "7 days"),
    (30, "30 days"),
    (365, "A year"),
];

#[derive(Template)]
#[template(path = "tokens.html")]
struct Page {
    shell: Shell,
    tokens: Vec<Row>,
    /// Whether whose a token is goes without saying.
    only_own: bool,
    name: String,
    roles: Vec<Choice>,
    lifetimes: Vec<Choice>,
    problem: Option<String>,
    /// The token that was made just now.
    made: Option<String>,
}

struct Row {
    id: ApiTokenId,
    name: String,
    user: String,
    role: &'static str,
    used: Option<When>,
    expires: When,
    is_over: bool,
}

struct Choice {
    value: String,
    words: &'static str,
    chosen: bool,
}

/// What is typed into the form.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filled {
    name: String,
    role: String,
    days: String,
}

/// The page.
pub(crate) async fn show(state: State, signed: Signed) -> Result<Response, Problem> {
    page(&state, &signed, Filled::default(), None, None).await
}

async fn page(
    state: &State,
    signed: &Signed,
    filled: Filled,
    problem: Option<String>,
    made: Option<String>,
) -> Result<Response, Problem> {
    let now = state.clock().now();
    let users = signed.organization.users().await?.into_iter();
    let users: HashMap<UserId, String> = users.map(|user| (user.id, user.name)).collect();
    let tokens = signed.organization.api_tokens().await?.into_iter();
    let tokens = tokens
        .filter(|token| token.revoked_at.is_none() && may_end(signed, token))
        .map(|token| Row::new(token, &users, now));
    let allowed = Role::ALL
        .iter()
        .filter(|role| role.and(signed.user.role) == **role);
    Ok(page::html(&Page {
        shell: signed.shell("settings").await?,
        tokens: tokens.collect(),
        only_own: signed.user.role != Role::Administrator,
        roles: allowed
            .map(|role| Choice {
                value: role.word().to_owned(),
                words: role_words(*role),
                chosen: filled.role == role.word()
                    || (filled.role.is_empty() && *role == Role::Auditor),
            })
            .collect(),
        lifetimes: LIFETIMES
            .iter()
            .map(|(days, words)| Choice {
                value: days.to_string(),
                words,
                chosen: filled.days == days.to_string(),
            })
            .collect(),
        name: filled.name,
        problem,
        made,
    }))
}

impl Row {
    fn new(token: ApiToken, users: &HashMap<UserId, String>, now: Timestamp) -> Self {
        Self {
            id: token.id,
            name: token.name,
            user: users.get(&token.user).cloned().unwrap_or_default(),
            role: role_name(token.role),
            used: token.used_at.map(When),
            expires: When(token.expires_at),
            is_over: token.expires_at <= now,
        }
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Administrator => "Administrator",
        Role::Operator => "Operator",
        Role::Auditor => "Auditor",
    }
}

/// A role in words that say what it allows.
pub(crate) fn role_words(role: Role) -> &'static str {
    match role {
        Role::Administrator => "Administrator: everything",
        Role::Operator => "Operator: backs up, restores, looks into backups",
        Role::Auditor => "Auditor: sees what was done, and no content",
    }
}

/// One's own; an administrator anybody's. Others' are not there.
fn may_end(signed: &Signed, token: &ApiToken) -> bool {
    token.user == signed.user.id || signed.user.role == Role::Administrator
}

/// Makes a token, and shows it.
pub(crate) async fn make(
    state: State,
    signed: Signed,
    Form(filled): Form<Filled>,
) -> Result<Response, Problem> {
    let now = state.clock().now();
    let role = Role::from_word(&filled.role).filter(|role| role.and(signed.user.role) == *role);
    let days = LIFETIMES.iter().map(|(days, _)| *days);
    let days = days
        .into_iter()
        .find(|days| filled.days == days.to_string());
    let name = filled.name.trim().to_owned();
    let length = name.chars().count();
    let working = signed.organization.api_tokens().await?.into_iter();
    let working = working.filter(|token| token.revoked_at.is_none() && token.expires_at > now);
    let (role, days) = match (role, days) {
        (Some(role), Some(days)) if (1..=NAME_MAX).contains(&length) => (role, days),
        _ => {
            let why = if (1..=NAME_MAX).contains(&length) {
                "Choose a role that is no higher than yours, and for how long."
            } else {
                "Enter a name of at most 100 characters."
            };
            let page = page(&state, &signed, filled, Some(why.to_owned()), None).await?;
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    if working.count() >= TOKENS_MAX {
        let why = format!("There are {TOKENS_MAX} tokens that work. Revoke one first.");
        return Err(Problem::Conflict(why));
    }
    let token = Token::random();
    let new = NewApiToken {
        user: signed.user.id,
        name,
        role,
        token_hash: token.hash(),
        expires_at: now + SignedDuration::from_hours(24 * i64::from(days)),
    };
    let id = signed.organization.add_api_token(&new, now).await?;
    signed.note(&state, "made an API token", id).await?;
    let made = Some(token.to_api_token());
    page(&state, &signed, Filled::default(), None, made).await
}

/// Ends a token.
pub(crate) async fn revoke(
    state: State,
    signed: Signed,
    Path(id): Path<ApiTokenId>,
) -> Result<Response, Problem> {
    let tokens = signed.organization.api_tokens().await?;
    let mut tokens = tokens.into_iter().filter(|token| may_end(&signed, token));
    let token = tokens.find(|token| token.id == id);
    let token = token.ok_or(Problem::NotFound)?;
    signed.note(&state, "revoked an API token", id).await?;
    let now = state.clock().now();
    signed.organization.revoke_api_token(id, now).await?;
    let back = Redirect::to("/settings/tokens").into_response();
    Ok(Flash::ok(format!("{} is revoked.", token.name)).after(back))
}
