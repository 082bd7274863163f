//! Settings: the organization and its emergency kit, its users, its connections.

use askama::Template;
use axum::{
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use catalog::{Connection, Role, User};

use crate::{Problem, Signed, State, page, page::Shell};

#[derive(Template)]
#[template(path = "settings.html")]
struct Page {
    shell: Shell,
    is_administrator: bool,
    kit_taken_on: Option<String>,
    users: Vec<User>,
    connections: Vec<Connection>,
}

pub(crate) async fn show(signed: Signed) -> Result<Response, Problem> {
    let organization = signed.organization.get().await?;
    let day = |time: jiff::Timestamp| time.strftime("%-d %B %Y").to_string();
    Ok(page::html(&Page {
        shell: signed.shell("settings").await?,
        is_administrator: signed.user.role == Role::Administrator,
        kit_taken_on: organization.kit_taken_at.map(day),
        users: signed.organization.users().await?,
        connections: signed.organization.connections().await?,
    }))
}

/// The emergency kit, as a file. It opens every backup of the organization, so that somebody took it is noted first.
pub(crate) async fn kit(state: State, signed: Signed) -> Result<Response, Problem> {
    let id = signed.organization.id();
    signed.note(&state, "took the emergency kit", id).await?;
    let kit = state.service().emergency_kit(id).await?;
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (
            CONTENT_DISPOSITION,
            "attachment; filename=\"keepwell-emergency-kit.txt\"",
        ),
    ];
    Ok((headers, kit.to_text().to_string()).into_response())
}
