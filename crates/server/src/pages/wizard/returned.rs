//! Back from Microsoft: twice, first proven to be somebody of the tenant, then with an administrator's consent; and waiting for what was granted.

use askama::Template;
use axum::{
    extract::{Path, Query},
    response::{IntoResponse, Redirect, Response},
};
use catalog::{ConnectionId, Health};
use graph::{Person, Walk, admin_consent};
use serde::Deserialize;
use service::{NewCredential, needed};

use super::{
    Frame,
    authenticate::{app, credential, is_guid, redirect_uri},
    step,
    words::{CANCELLED, TOO_OLD, WRONG_TENANT, not_redeemed, refused},
};
use crate::{
    Problem, Signed, State,
    drafts::{Aim, Draft, Leg},
    flash::Flash,
    page,
    page::Shell,
    token::Token,
};

/// What Microsoft puts into the address. Whatever else is there is ignored.
#[derive(Deserialize)]
pub(crate) struct Said {
    #[serde(default)]
    state: String,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    #[serde(default)]
    error_description: String,
    admin_consent: Option<String>,
    tenant: Option<String>,
}

#[derive(Template)]
#[template(path = "wizard/checking.html")]
struct Checking {
    shell: Shell,
    frame: Frame,
    permissions: Vec<(&'static str, bool)>,
    /// Whether it is worth waiting.
    is_waiting: bool,
    problem: Option<String>,
}

/// Why somebody comes back without what was asked for, in words.
type Refusal = String;

pub(crate) async fn returned(
    state: State,
    signed: Signed,
    Query(said): Query<Said>,
) -> Result<Response, Problem> {
    let now = state.clock().elapsed();
    let Some((mut draft, leg)) = state.drafts().return_with(&signed, &said.state, now) else {
        return too_late(&state, &signed);
    };
    let next = match leg {
        Leg::SignIn(walk) => signed_in(&state, &signed, &mut draft, walk, &said).await?,
        Leg::Consent(_) => consented(&state, &signed, &mut draft, &said).await?,
    };
    let to = match next {
        Ok(to) => to,
        Err(refusal) => {
            draft.problem = Some(refusal);
            step(&draft, "authenticate")
        }
    };
    state.drafts().keep(&signed, draft, now);
    Ok(Redirect::to(&to).into_response())
}

/// Nobody left with this state, or not from here, or too long ago.
fn too_late(state: &State, signed: &Signed) -> Result<Response, Problem> {
    let Some(mut draft) = state.drafts().latest(signed) else {
        let response = Redirect::to("/tasks/new").into_response();
        return Ok(Flash::warn(TOO_OLD).after(response));
    };
    draft.problem = Some(TOO_OLD.to_owned());
    let to = step(&draft, "authenticate");
    let now = state.clock().elapsed();
    state.drafts().keep(signed, draft, now);
    Ok(Redirect::to(&to).into_response())
}

/// The first return: who it is, and of which tenant, is proven by the code. Gives the way to consent.
async fn signed_in(
    state: &State,
    signed: &Signed,
    draft: &mut Draft,
    walk: Walk,
    said: &Said,
) -> Result<Result<String, Refusal>, Problem> {
    let code = match (&said.error, &said.code) {
        (Some(error), _) => return Ok(Err(refused(error, &said.error_description))),
        (None, Some(code)) => code,
        (None, None) => return Ok(Err(CANCELLED.to_owned())),
    };
    let proof = match credential(state, signed, draft).await? {
        service::Credential::Secret(text) => graph::Credential::secret(text.as_str()),
        service::Credential::Certificate(text) => {
            graph::Credential::certificate(&text, &text).map_err(Problem::internal)?
        }
    };
    let redeemed = state
        .sign_ins()
        .redeem(walk, code, said.iss.as_deref(), &proof)
        .await;
    let person = match redeemed {
        Ok(person) => person,
        Err(error) => {
            tracing::info!(%error, "a person's sign-in was not accepted");
            return Ok(Err(not_redeemed(&error)));
        }
    };
    if !is_tenant_of(draft, &person) {
        return Ok(Err(WRONG_TENANT.to_owned()));
    }
    let consent = Token::random().as_str().to_owned();
    let (_, client_id) = app(state, draft);
    let cloud = state.service().cloud();
    let uri = redirect_uri(state);
    let to = admin_consent(cloud, &person.tenant, &client_id, &uri, &consent)
        .map_err(Problem::internal)?;
    draft.person = Some(person);
    let now = state.clock().elapsed();
    state
        .drafts()
        .leave(signed, &draft.id, Leg::Consent(consent), now);
    Ok(Ok(to.into()))
}

/// The second return: an administrator granted the app its permissions, in the tenant that was proven (abuse 88: what the address says is compared, not
/// believed).
async fn consented(
    state: &State,
    signed: &Signed,
    draft: &mut Draft,
    said: &Said,
) -> Result<Result<String, Refusal>, Problem> {
    if let Some(error) = &said.error {
        return Ok(Err(refused(error, &said.error_description)));
    }
    let is_granted = said
        .admin_consent
        .as_deref()
        .is_some_and(|said| said.eq_ignore_ascii_case("true"));
    if !is_granted {
        return Ok(Err(CANCELLED.to_owned()));
    }
    let Some(person) = &draft.person else {
        return Ok(Err(TOO_OLD.to_owned()));
    };
    let is_same = said
        .tenant
        .as_deref()
        .is_some_and(|tenant| tenant.eq_ignore_ascii_case(person.tenant.as_str()));
    if !is_same {
        return Ok(Err(WRONG_TENANT.to_owned()));
    }
    let (_, client_id) = app(state, draft);
    let new = NewCredential {
        service: draft.service,
        tenant: person.tenant.clone(),
        tenant_name: String::new(),
        client_id,
        credential: credential(state, signed, draft).await?,
    };
    let organization = signed.organization.id();
    let tenant = person.tenant.as_str();
    signed
        .note(state, "authenticated with Microsoft", tenant)
        .await?;
    let service = state.service();
    match draft.connection {
        Some(connection) => service.reconnect(organization, connection, new).await?,
        None => draft.connection = Some(service.connect(organization, new).await?),
    }
    Ok(Ok(step(draft, "checking")))
}

/// Whether a person belongs to the tenant that was named by its id. A domain says nothing: its sign-in page lets nobody else in.
fn is_tenant_of(draft: &Draft, person: &Person) -> bool {
    !is_guid(&draft.tenant) || draft.tenant.eq_ignore_ascii_case(person.tenant.as_str())
}

/// Looks whether what was granted has arrived, and looks again until it has, or is not coming.
pub(crate) async fn checking(
    state: State,
    signed: Signed,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let draft = state.drafts().find(&signed, &id)?;
    let connection = draft.connection.ok_or(Problem::NotFound)?;
    let organization = signed.organization.id();
    let checked = state
        .service()
        .check_connection(organization, connection)
        .await;
    let (missing, is_waiting, problem) = match checked {
        Ok(checked) if checked.health == Health::Connected => {
            return Ok(go_on(&state, &draft, connection));
        }
        Ok(checked) => {
            let is_waiting = checked.health == Health::Checking;
            let problem = (!is_waiting).then(|| crate::problem::sentence(&checked.detail));
            (checked.missing, is_waiting, problem)
        }
        Err(error) if error.kind() == service::Kind::Unavailable => {
            (needed(draft.service).to_vec(), true, None)
        }
        Err(error) => return Err(error.into()),
    };
    let permissions = needed(draft.service).iter();
    Ok(page::html(&Checking {
        shell: signed.shell("").await?,
        frame: Frame::of(&draft, 2),
        permissions: permissions
            .map(|one| (one.name, !missing.contains(one)))
            .collect(),
        is_waiting,
        problem,
    }))
}

/// It is connected.
fn go_on(state: &State, draft: &Draft, connection: ConnectionId) -> Response {
    match draft.aim {
        Aim::Task => Redirect::to(&step(draft, "review")).into_response(),
        Aim::Connection(_) => {
            state.drafts().forget(&draft.id);
            let response = Redirect::to(&format!("/connections/{connection}")).into_response();
            Flash::ok("Connected. Backups go on by the schedule.").after(response)
        }
    }
}
