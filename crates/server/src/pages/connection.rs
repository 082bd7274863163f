//! A connection: to what, whether it works, and how to authenticate again.

use askama::Template;
use axum::{
    extract::Path,
    response::{IntoResponse, Redirect, Response},
};
use catalog::{Connection, ConnectionId, CredentialKind, Health, Role};
use service::{Permission, needed};

use crate::{Problem, Signed, State, flash::Flash, page, page::Shell, words::When};

#[derive(Template)]
#[template(path = "connection.html")]
struct Page {
    shell: Shell,
    connection: Connection,
    checked: Option<When>,
    class: &'static str,
    word: &'static str,
    credential: &'static str,
    permissions: &'static [Permission],
    is_administrator: bool,
}

pub(crate) async fn show(
    signed: Signed,
    Path(id): Path<ConnectionId>,
) -> Result<Response, Problem> {
    let connection = signed.organization.connection(id).await?;
    let (class, word) = match connection.health {
        Health::Checking => ("info", "Checking permissions"),
        Health::Connected => ("ok", "Connected"),
        Health::Incomplete => ("warn", "Permissions missing"),
        Health::Disconnected => ("bad", "Disconnected"),
    };
    Ok(page::html(&Page {
        shell: signed.shell("settings").await?,
        class,
        word,
        credential: match connection.credential_kind {
            CredentialKind::Certificate => "A certificate",
            CredentialKind::Secret => "A client secret",
        },
        permissions: needed(connection.service),
        checked: connection.checked_at.map(When),
        connection,
        is_administrator: signed.user.role == Role::Administrator,
    }))
}

/// Looks whether it works, now.
pub(crate) async fn check(
    state: State,
    signed: Signed,
    Path(id): Path<ConnectionId>,
) -> Result<Response, Problem> {
    let organization = signed.organization.id();
    signed.organization.connection(id).await?;
    signed.note(&state, "checked a connection", id).await?;
    let checked = state.service().check_connection(organization, id).await?;
    let response = Redirect::to(&format!("/connections/{id}")).into_response();
    Ok(match checked.health {
        Health::Connected => Flash::ok("Connected.").after(response),
        _ => Flash::warn(crate::problem::sentence(&checked.detail)).after(response),
    })
}
