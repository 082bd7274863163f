//! Step 2: the app registration with its credential, and off to Microsoft.

use askama::Template;
use axum::{
    Form,
    extract::Path,
    http::{
        StatusCode,
        header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    },
    response::{IntoResponse, Redirect, Response},
};
use catalog::{Connection, ConnectionId, Health};
use graph::Walk;
use serde::Deserialize;
use service::{Credential, Permission, needed};
use tokio::task;
use zeroize::Zeroizing;

use super::{Frame, RETURN_PATH, script::script, step};
use crate::{
    Problem, Signed, State, certificate,
    drafts::{Aim, Draft, Leg, Proof},
    page,
    page::Shell,
};

/// A client secret has some forty characters.
const SECRET_MAX: usize = 500;

#[derive(Template)]
#[template(path = "wizard/authenticate.html")]
struct Page {
    shell: Shell,
    frame: Frame,
    redirect_uri: String,
    permissions: &'static [Permission],
    script: String,
    certificate_ends_on: String,
    has_server_app: bool,
    may_keep: bool,
    proof: &'static str,
    tenant: String,
    client_id: String,
    has_secret: bool,
    problem: Option<String>,
}

#[derive(Template)]
#[template(path = "wizard/leave.html")]
struct Leave {
    shell: Shell,
    frame: Frame,
    to: String,
}

#[derive(Deserialize)]
pub(crate) struct Filled {
    proof: String,
    #[serde(default)]
    tenant: String,
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    secret: String,
}

pub(crate) async fn show(
    state: State,
    signed: Signed,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let mut draft = state.drafts().find(&signed, &id)?;
    let problem = draft.problem.clone();
    if draft.certificate.is_none() {
        let now = state.clock().now();
        let made = task::spawn_blocking(move || certificate::make(now)).await;
        draft.certificate = Some(made.map_err(Problem::internal)??);
        let elapsed = state.clock().elapsed();
        state.drafts().keep(&signed, draft.clone(), elapsed);
    }
    fill(&state, &signed, &draft, problem).await
}

/// The certificate for the app registration, as a file.
pub(crate) async fn certificate(
    state: State,
    signed: Signed,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let draft = state.drafts().find(&signed, &id)?;
    let certificate = draft.certificate.ok_or(Problem::NotFound)?;
    let headers = [
        (CONTENT_TYPE, "application/x-pem-file"),
        (CONTENT_DISPOSITION, "attachment; filename=\"keepwell.cer\""),
    ];
    Ok((headers, certificate.public).into_response())
}

/// Keeps what was typed, and sends the browser to Microsoft.
pub(crate) async fn authenticate(
    state: State,
    signed: Signed,
    Path(id): Path<String>,
    Form(filled): Form<Filled>,
) -> Result<Response, Problem> {
    let mut draft = state.drafts().find(&signed, &id)?;
    filled.tenant.trim().clone_into(&mut draft.tenant);
    filled.client_id.trim().clone_into(&mut draft.client_id);
    draft.proof = match filled.proof.as_str() {
        "server" => Proof::Server,
        "secret" => Proof::Secret,
        "kept" if draft.aim != Aim::Task => Proof::Kept,
        _ => Proof::Certificate,
    };
    if !filled.secret.is_empty() {
        draft.secret = Zeroizing::new(filled.secret.trim().to_owned());
    }
    draft.problem = None;
    leave(&state, &signed, draft).await
}

/// Sends the browser to Microsoft, if what was typed can be.
async fn leave(state: &State, signed: &Signed, draft: Draft) -> Result<Response, Problem> {
    let (tenant, client_id) = app(state, &draft);
    let elapsed = state.clock().elapsed();
    state.drafts().keep(signed, draft.clone(), elapsed);
    let begun = match objection(state, &draft) {
        Some(problem) => Err(problem),
        None => Walk::begin(
            state.service().cloud(),
            &tenant,
            &client_id,
            &redirect_uri(state),
        )
        .map_err(|_| "Enter the tenant's id or its domain, as contoso.com.".to_owned()),
    };
    let (walk, to) = match begun {
        Ok(begun) => begun,
        Err(problem) => {
            let page = fill(state, signed, &draft, Some(problem)).await?;
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    state
        .drafts()
        .leave(signed, &draft.id, Leg::SignIn(walk), elapsed);
    // A page in between: as the answer to a form, a redirect to Microsoft would need `form-action` to allow whatever hosts Microsoft sends people on to.
    Ok(page::html(&Leave {
        shell: signed.shell("").await?,
        frame: Frame::of(&draft, 2),
        to: to.into(),
    }))
}

#[derive(Deserialize)]
pub(crate) struct Again {
    /// Not empty: the app or its credential is to be another one.
    #[serde(default)]
    change: String,
}

/// Authenticates a connection again: straight to Microsoft with the same app and the credential that it has, unless something has to be entered first.
pub(crate) async fn again(
    state: State,
    signed: Signed,
    Path(id): Path<ConnectionId>,
    Form(asked): Form<Again>,
) -> Result<Response, Problem> {
    let connection = signed.organization.connection(id).await?;
    let is_useless = is_useless(&connection);
    let mut draft = Draft::new(Aim::Connection(id), connection.service);
    draft.tenant = connection.tenant.to_string();
    draft.client_id = connection.client_id;
    draft.proof = Proof::Kept;
    draft.connection = Some(id);
    if asked.change.is_empty() && !is_useless {
        return leave(&state, &signed, draft).await;
    }
    let to = step(&draft, "authenticate");
    state.drafts().keep(&signed, draft, state.clock().elapsed());
    Ok(Redirect::to(&to).into_response())
}

/// Whether Microsoft refuses the credential itself, or the app, so that consenting once more would not help.
fn is_useless(connection: &Connection) -> bool {
    let said = ["client secret", "certificate", "not in the tenant"];
    let detail = &connection.health_detail;
    connection.health == Health::Disconnected && said.iter().any(|said| detail.contains(said))
}

/// Where Microsoft is to send people back to.
pub(super) fn redirect_uri(state: &State) -> String {
    format!("{}{RETURN_PATH}", state.public().origin)
}

/// Whose tenant's sign-in page is shown, and which app asks.
pub(super) fn app(state: &State, draft: &Draft) -> (String, String) {
    match state.app(draft.service) {
        Some(app) if draft.proof == Proof::Server => {
            let tenant = match draft.aim {
                Aim::Task => app.tenant.clone(),
                Aim::Connection(_) => Some(draft.tenant.clone()),
            };
            let tenant = tenant.unwrap_or_else(|| "organizations".to_owned());
            (tenant, app.client_id.clone())
        }
        _ => (draft.tenant.clone(), draft.client_id.clone()),
    }
}

/// With what the app proves itself.
pub(super) async fn credential(
    state: &State,
    signed: &Signed,
    draft: &Draft,
) -> Result<Credential, Problem> {
    match (draft.proof, &draft.certificate, &draft.aim) {
        (Proof::Secret, ..) => Ok(Credential::Secret(draft.secret.clone())),
        (Proof::Certificate, Some(certificate), _) => {
            Ok(Credential::Certificate(certificate.whole.clone()))
        }
        (Proof::Kept, _, Aim::Connection(id)) => {
            let service = state.service();
            Ok(service.credential(signed.organization.id(), *id).await?)
        }
        (Proof::Server, ..) => {
            let app = state.app(draft.service).ok_or(Problem::NotFound)?;
            Ok(app.credential.clone())
        }
        _ => Err(Problem::NotFound),
    }
}

fn objection(state: &State, draft: &Draft) -> Option<String> {
    let problem = match draft.proof {
        Proof::Server if state.app(draft.service).is_some() => return None,
        Proof::Server => "This server has no app of its own. Register one.",
        Proof::Secret if draft.secret.is_empty() || draft.secret.len() > SECRET_MAX => {
            "Enter the client secret's value."
        }
        _ if !is_guid(&draft.client_id) => {
            "Enter the application (client) id, as 00000000-0000-0000-0000-000000000000."
        }
        _ if draft.tenant.is_empty() => "Enter the tenant's id or its domain, as contoso.com.",
        _ => return None,
    };
    Some(problem.to_owned())
}

/// Whether a text has the form of Microsoft's ids.
pub(super) fn is_guid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

async fn fill(
    state: &State,
    signed: &Signed,
    draft: &Draft,
    problem: Option<String>,
) -> Result<Response, Problem> {
    let redirect_uri = redirect_uri(state);
    let permissions = needed(draft.service);
    let has_server_app = state.app(draft.service).is_some();
    let certificate = draft.certificate.as_ref();
    let is_untouched = draft.client_id.is_empty() && draft.proof == Proof::Certificate;
    let proof = match draft.proof {
        _ if has_server_app && is_untouched => "server",
        Proof::Certificate => "certificate",
        Proof::Secret => "secret",
        Proof::Kept => "kept",
        Proof::Server => "server",
    };
    Ok(page::html(&Page {
        shell: signed.shell("").await?,
        frame: Frame::of(draft, 2),
        script: script(
            draft.service,
            permissions,
            &redirect_uri,
            certificate.map_or("", |certificate| &certificate.base64),
        ),
        certificate_ends_on: certificate.map_or_else(String::new, |one| one.ends_on.clone()),
        redirect_uri,
        permissions,
        has_server_app,
        may_keep: draft.aim != Aim::Task,
        proof,
        tenant: draft.tenant.clone(),
        client_id: draft.client_id.clone(),
        has_secret: !draft.secret.is_empty(),
        problem,
    }))
}

#[cfg(test)]
mod tests {
    use super::is_guid;

    #[test]
    fn microsofts_ids_are_known_by_their_form() {
        assert!(is_guid("8D1f5f6e-0000-4000-8000-000000000001"));
        for wrong in [
            "",
            "contoso.com",
            "8d1f5f6e-0000-4000-8000-00000000000",
            "8d1f5f6e-0000-4000-8000-00000000000g",
        ] {
            assert!(!is_guid(wrong), "{wrong}");
        }
    }
}
