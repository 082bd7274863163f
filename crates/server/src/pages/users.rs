//! Users: an administrator invites people, says what they may, and ends that. Whoever is invited chooses a password by a link that is shown once.

use askama::Template;
use axum::{
    Form,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use catalog::{Role, User, UserId};
use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    Problem, Signed, State,
    flash::Flash,
    page::{self, Shell},
    pages::tokens::role_words,
    path::Path,
    users::{self, Invitation},
    words::{Pill, When},
};

/// All of them, and a form for another one.
#[derive(Template)]
#[template(path = "users.html")]
struct All {
    shell: Shell,
    users: Vec<Row>,
    name: String,
    address: String,
    roles: Vec<Choice>,
    /// The field that is wrong, and why.
    problem: Option<(&'static str, String)>,
}

/// One of them, and what can be done.
#[derive(Template)]
#[template(path = "user.html")]
struct One {
    shell: Shell,
    user: Row,
    roles: Vec<Choice>,
    /// Why something was not done.
    problem: Option<String>,
    /// What was made just now.
    invitation: Option<Invitation>,
}

struct Row {
    id: UserId,
    name: String,
    address: String,
    role: &'static str,
    state: Access,
    disabled: bool,
    /// Has no password yet.
    is_awaited: bool,
    signed_in: Option<When>,
}

/// Whether somebody can sign in.
#[derive(Clone, Copy)]
enum Access {
    Active,
    Invited,
    /// Invited, and did not come in time.
    Late,
    Disabled,
}

struct Choice {
    value: &'static str,
    words: &'static str,
    chosen: bool,
}

impl Access {
    fn of(user: &User, now: Timestamp) -> Self {
        match user.invited_until {
            _ if user.disabled => Self::Disabled,
            _ if !user.password_hash.is_empty() => Self::Active,
            Some(until) if until > now => Self::Invited,
            _ => Self::Late,
        }
    }
}

impl Pill for Access {
    fn class(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Invited | Self::Late | Self::Disabled => "inactive",
        }
    }

    fn icon(&self) -> &'static str {
        match self {
            Self::Active => "dot",
            Self::Invited => "clock",
            Self::Late => "alert",
            Self::Disabled => "stop",
        }
    }

    fn words(&self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Invited => "Invited",
            Self::Late => "Invitation is over",
            Self::Disabled => "Disabled",
        }
    }
}

impl All {
    /// What is wrong with a field, if it is.
    fn wrong(&self, field: &str) -> Option<&str> {
        let (wrong, why) = self.problem.as_ref()?;
        (*wrong == field).then_some(why)
    }
}

impl Row {
    fn new(user: User, now: Timestamp) -> Self {
        Self {
            id: user.id,
            role: user.role.word(),
            state: Access::of(&user, now),
            disabled: user.disabled,
            is_awaited: user.password_hash.is_empty(),
            signed_in: user.signed_in_at.map(When),
            name: user.name,
            address: user.address,
        }
    }
}

fn roles(chosen: Role) -> Vec<Choice> {
    let roles = Role::ALL.iter().map(|role| Choice {
        value: role.word(),
        words: role_words(*role),
        chosen: *role == chosen,
    });
    roles.collect()
}

/// What is typed into a form.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filled {
    name: String,
    address: String,
    role: String,
}

/// The page of all.
pub(crate) async fn show(state: State, signed: Signed) -> Result<Response, Problem> {
    all(&state, &signed, Filled::default(), None).await
}

async fn all(
    state: &State,
    signed: &Signed,
    filled: Filled,
    problem: Option<(&'static str, String)>,
) -> Result<Response, Problem> {
    let now = state.clock().now();
    let users = signed.organization.users().await?.into_iter();
    let role = Role::from_word(&filled.role).unwrap_or(Role::Operator);
    let status = match problem {
        None => StatusCode::OK,
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let page = page::html(&All {
        shell: signed.shell("settings").await?,
        users: users.map(|user| Row::new(user, now)).collect(),
        name: filled.name,
        address: filled.address,
        roles: roles(role),
        problem,
    });
    Ok((status, page).into_response())
}

/// The page of one.
pub(crate) async fn one(
    state: State,
    signed: Signed,
    Path(id): Path<UserId>,
) -> Result<Response, Problem> {
    let user = signed.organization.user(id).await?;
    page_of(&state, &signed, user, None, None).await
}

async fn page_of(
    state: &State,
    signed: &Signed,
    user: User,
    problem: Option<String>,
    invitation: Option<Invitation>,
) -> Result<Response, Problem> {
    let status = match problem {
        None => StatusCode::OK,
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let page = page::html(&One {
        shell: signed.shell("settings").await?,
        roles: roles(user.role),
        user: Row::new(user, state.clock().now()),
        problem,
        invitation,
    });
    Ok((status, page).into_response())
}

/// Adds somebody, who is to choose a password.
pub(crate) async fn add(
    state: State,
    signed: Signed,
    Form(filled): Form<Filled>,
) -> Result<Response, Problem> {
    let role = Role::from_word(&filled.role);
    let wrong = users::objection(filled.name.trim(), filled.address.trim());
    let wrong = wrong.or(role.is_none().then_some(("role", "Choose a role.")));
    let (Some(role), None) = (role, wrong) else {
        let wrong = wrong.map(|(field, why)| (field, why.to_owned()));
        return all(&state, &signed, filled, wrong).await;
    };
    match users::add(&state, &signed, &filled.name, &filled.address, role).await {
        Err(Problem::Conflict(why)) => all(&state, &signed, filled, Some(("address", why))).await,
        added => show_invitation(&state, &signed, added?).await,
    }
}

/// Gives somebody a new invitation.
pub(crate) async fn invite(
    state: State,
    signed: Signed,
    Path(id): Path<UserId>,
) -> Result<Response, Problem> {
    let invitation = users::invite(&state, &signed, id).await?;
    show_invitation(&state, &signed, invitation).await
}

async fn show_invitation(
    state: &State,
    signed: &Signed,
    invitation: Invitation,
) -> Result<Response, Problem> {
    let user = invitation.user.clone();
    page_of(state, signed, user, None, Some(invitation)).await
}

/// Changes what somebody may.
pub(crate) async fn set_role(
    state: State,
    signed: Signed,
    Path(id): Path<UserId>,
    Form(filled): Form<Filled>,
) -> Result<Response, Problem> {
    signed.organization.user(id).await?;
    let role = Role::from_word(&filled.role);
    let role = role.ok_or_else(|| Problem::Invalid("Choose a role.".to_owned()))?;
    let changed = users::set_role(&state, &signed, id, role).await;
    let say = |user: &User| format!("{} is {} now.", user.name, role.word());
    done(&state, &signed, id, changed, say).await
}

/// Ends what somebody may, at once.
pub(crate) async fn disable(
    state: State,
    signed: Signed,
    Path(id): Path<UserId>,
) -> Result<Response, Problem> {
    let disabled = users::disable(&state, &signed, id).await;
    let say = |user: &User| format!("{} is signed out and can no longer sign in.", user.name);
    done(&state, &signed, id, disabled, say).await
}

/// Lets somebody in again.
pub(crate) async fn enable(
    state: State,
    signed: Signed,
    Path(id): Path<UserId>,
) -> Result<Response, Problem> {
    let enabled = users::enable(&state, &signed, id).await;
    let say = |user: &User| format!("{} can sign in again.", user.name);
    done(&state, &signed, id, enabled, say).await
}

/// What was done is said on the user's page, and why something cannot be done, too.
async fn done(
    state: &State,
    signed: &Signed,
    id: UserId,
    done: Result<User, Problem>,
    say: impl Fn(&User) -> String,
) -> Result<Response, Problem> {
    match done {
        Ok(user) => {
            // Who gave up the role sees no page of a user any more.
            let to = match user.id == signed.user.id && user.role != Role::Administrator {
                true => "/settings".to_owned(),
                false => format!("/settings/users/{id}"),
            };
            Ok(Flash::ok(say(&user)).after(Redirect::to(&to).into_response()))
        }
        Err(Problem::Invalid(why)) => {
            let user = signed.organization.user(id).await?;
            page_of(state, signed, user, Some(why), None).await
        }
        Err(problem) => Err(problem),
    }
}
