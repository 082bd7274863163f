//! Sessions and tokens: who is signed in or for whom a program acts, and what every handler that is not for anybody is handed.

use axum::{
    extract::FromRequestParts,
    http::request::Parts,
    response::{IntoResponse, Redirect, Response},
};
use catalog::{NewAudit, NewSession, Organization, RunCause, User};
use jiff::SignedDuration;
use model::Service;

use crate::{
    Problem, State, Who,
    cookies::{self, Cookies},
    flash::Flash,
    page::{NavTask, Sheet, Shell},
    token::Token,
    zone::Zone,
};

/// Runs in progress that the navigation counts.
const RUNNING_MAX: u32 = 99;
/// A session ends when it is not used for so long.
pub(crate) const IDLE_MAX: SignedDuration = SignedDuration::from_hours(2);
/// A session ends after so long, used or not.
const LIFETIME: SignedDuration = SignedDuration::from_hours(12);

/// Somebody who is signed in, or for whom a program acts, and the only way to what their organization owns.
#[derive(Clone, Debug)]
pub struct Signed {
    pub(crate) user: User,
    /// Who the audit says it was: the user, or the API token that acts for the user.
    actor: String,
    pub(crate) organization: Organization,
    pub(crate) csrf: String,
    pub(crate) token_hash: String,
    pub(crate) flash: Option<Flash>,
    /// By whose clock days begin.
    pub(crate) zone: Zone,
}

impl Signed {
    /// Whose session a request has, if it has one.
    pub(crate) async fn find(state: &State, cookies: &Cookies) -> Result<Option<Self>, Problem> {
        let Some(token) = &cookies.session else {
            return Ok(None);
        };
        let now = state.clock().now();
        let idle_since = now - IDLE_MAX;
        let catalog = state.catalog();
        let session = catalog.session(&token.hash(), idle_since, now).await?;
        Ok(session.map(|session| Self {
            organization: catalog.organization(session.user.organization),
            actor: session.user.id.to_string(),
            user: session.user,
            csrf: token.form_token(),
            token_hash: token.hash(),
            flash: cookies.flash.as_deref().and_then(Flash::read),
            zone: cookies.zone.clone(),
        }))
    }

    /// For whom a program acts that brings this token. It may what the token and the user may both. It has no forms.
    pub(crate) async fn find_program(
        state: &State,
        token: &Token,
    ) -> Result<Option<Self>, Problem> {
        let (now, catalog) = (state.clock().now(), state.catalog());
        let found = catalog.api_token(&token.hash(), now).await?;
        Ok(found.map(|(token, mut user)| {
            user.role = user.role.and(token.role);
            Self {
                organization: catalog.organization(user.organization),
                actor: token.id.to_string(),
                user,
                csrf: String::new(),
                token_hash: String::new(),
                flash: None,
                zone: Zone::utc(),
            }
        }))
    }

    /// What `layout.html` shows around this user's pages. `here` names the entry of the navigation.
    pub(crate) async fn shell(&self, here: &'static str) -> Result<Shell, Problem> {
        let of = &self.organization;
        // All at once: each would else wait behind the others.
        let (organization, tasks, failures, running) = tokio::try_join!(
            of.get(),
            of.tasks(),
            of.failures_by_cause(),
            of.runs_in_progress(RUNNING_MAX)
        )?;
        let (restores, runs): (Vec<_>, Vec<_>) = running
            .iter()
            .partition(|run| run.cause == RunCause::Restore);
        Ok(Shell {
            organization: organization.name,
            user_name: self.user.name.clone(),
            user_address: self.user.address.clone(),
            csrf: self.csrf.clone(),
            role: self.user.role,
            here,
            tasks: tasks
                .into_iter()
                .map(|task| NavTask {
                    id: task.id.to_string(),
                    name: task.name,
                    icon: icon(task.service),
                    current: false,
                })
                .collect(),
            running: runs.len() as u64,
            restoring: restores.len() as u64,
            failures: failures.iter().map(|(_, count)| count).sum(),
            flash: self.flash.clone(),
        })
    }

    /// By which is kept what was done last: the session, or the API token.
    pub(crate) fn hand(&self) -> &str {
        match self.token_hash.as_str() {
            "" => &self.actor,
            hash => hash,
        }
    }

    /// Whether this user backs up, restores and looks into backups.
    pub(crate) fn may_act(&self) -> bool {
        Who::Operator.includes(self.user.role)
    }

    /// Notes in the audit what this user does. Call it before doing it: what cannot be noted is not done.
    pub(crate) async fn note(
        &self,
        state: &State,
        action: &str,
        object: impl ToString,
    ) -> Result<(), Problem> {
        let new = NewAudit {
            actor: self.actor.clone(),
            action: action.to_owned(),
            object: object.to_string(),
            detail: String::new(),
        };
        self.organization.note(&new, state.clock().now()).await?;
        Ok(())
    }
}

/// The layer around the handler has found out who it is.
impl FromRequestParts<State> for Signed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Problem> {
        let signed = parts.extensions.get::<Self>().cloned();
        signed.ok_or_else(|| Problem::internal(Unguarded))
    }
}

/// Somebody who need not be signed in.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    cookies: Cookies,
}

impl Visitor {
    /// What `sheet.html` shows around a visitor's pages.
    pub(crate) fn sheet(&self) -> Sheet {
        Sheet {
            csrf: self.cookies.visitor.form_token(),
        }
    }

    pub(crate) async fn signed(&self, state: &State) -> Result<Option<Signed>, Problem> {
        Signed::find(state, &self.cookies).await
    }
}

impl FromRequestParts<State> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Problem> {
        let cookies = parts.extensions.get::<Cookies>().cloned();
        let cookies = cookies.ok_or_else(|| Problem::internal(Unguarded))?;
        Ok(Self { cookies })
    }
}

/// Signs somebody in: always with a new token, so that one that was planted or seen before is worth nothing (abuse 87). `before` is ended.
pub(crate) async fn begin(
    state: &State,
    user: &User,
    before: Option<&Signed>,
    to: &str,
) -> Result<Response, Problem> {
    let now = state.clock().now();
    let catalog = state.catalog();
    let organization = catalog.organization(user.organization);
    let audit = NewAudit {
        actor: user.id.to_string(),
        action: "signed in".to_owned(),
        object: user.id.to_string(),
        detail: String::new(),
    };
    organization.note(&audit, now).await?;
    if let Some(before) = before {
        catalog.end_session(&before.token_hash).await?;
    }
    let token = Token::random();
    let session = NewSession {
        token_hash: token.hash(),
        user: user.id,
        organization: user.organization,
        password_hash: user.password_hash.clone(),
        expires_at: now + LIFETIME,
    };
    catalog.begin_session(&session, now).await?;
    let mut response = Redirect::to(to).into_response();
    cookies::set_session(response.headers_mut(), &token);
    Ok(response)
}

/// The symbol of a service.
pub(crate) fn icon(service: Service) -> &'static str {
    match service {
        Service::Exchange => "mail",
        Service::OneDrive => "cloud",
        Service::SharePoint => "site",
        Service::Groups => "team",
    }
}

/// A route without its layers: our mistake.
#[derive(Debug, thiserror::Error)]
#[error("a handler was called without the layers that guard it")]
struct Unguarded;
