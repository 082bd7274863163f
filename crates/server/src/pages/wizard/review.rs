//! Step 3: what will be made, with its settings.

use askama::Template;
use axum::{
    Form,
    extract::Path,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use catalog::{Connection, Health};
use serde::Deserialize;
use service::{Permission, Schedule, TaskSettings, needed};

use super::{Frame, step};
use crate::{
    Problem, Signed, State,
    drafts::{Aim, Draft},
    flash::Flash,
    page,
    page::Shell,
};

#[derive(Template)]
#[template(path = "wizard/review.html")]
struct Page {
    shell: Shell,
    frame: Frame,
    name: String,
    connection: Connection,
    permissions: &'static [Permission],
    filled: Filled,
    problem: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Filled {
    /// `manual`, or how many times a day.
    schedule: String,
    index: Option<String>,
    unlicensed: Option<String>,
    activate_new: Option<String>,
    #[serde(default)]
    retain_days: String,
    #[serde(default)]
    zone: String,
}

pub(crate) async fn show(
    state: State,
    signed: Signed,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let draft = state.drafts().find(&signed, &id)?;
    if draft.connection.is_none() {
        return Ok(Redirect::to(&step(&draft, "authenticate")).into_response());
    }
    let filled = Filled {
        schedule: "2".to_owned(),
        index: Some("on".to_owned()),
        unlicensed: None,
        activate_new: None,
        retain_days: String::new(),
        zone: signed.zone.name().to_owned(),
    };
    fill(&signed, &draft, filled, None).await
}

pub(crate) async fn create(
    state: State,
    signed: Signed,
    Path(id): Path<String>,
    Form(filled): Form<Filled>,
) -> Result<Response, Problem> {
    let draft = state.drafts().find(&signed, &id)?;
    if draft.connection.is_none() {
        return Ok(Redirect::to(&step(&draft, "authenticate")).into_response());
    }
    let connection = connection(&signed, &draft).await?.id;
    let made = match settings(&filled) {
        Ok(settings) => {
            signed.note(&state, "made a task", connection).await?;
            let organization = signed.organization.id();
            let service = state.service();
            let made = service.add_task(organization, connection, &draft.name, &settings);
            match made.await {
                Err(error) if is_about_input(&error) => Err(crate::problem::sentence(&error)),
                made => Ok(made?),
            }
        }
        Err(problem) => Err(problem),
    };
    let task = match made {
        Ok(task) => task,
        Err(problem) => {
            let page = fill(&signed, &draft, filled, Some(problem)).await?;
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    state.drafts().forget(&draft.id);
    // Accounts are looked for at once; the scheduler would do it later, and does when this fails.
    let (service, organization) = (state.service().clone(), signed.organization.id());
    tokio::spawn(async move {
        if let Err(error) = service.discover(organization, task).await {
            tracing::warn!(error = error.text(), "accounts could not be looked for yet");
        }
    });
    let response = Redirect::to(&format!("/tasks/{task}")).into_response();
    let text = format!("{} is made. Keepwell looks for accounts.", draft.name);
    Ok(Flash::ok(text).after(response))
}

/// What was typed may be changed and sent again.
fn is_about_input(error: &service::Error) -> bool {
    matches!(
        error.kind(),
        service::Kind::Conflict | service::Kind::Invalid
    )
}

fn settings(filled: &Filled) -> Result<TaskSettings, String> {
    const DAYS: &str = "Enter a whole number of days, or leave it empty to keep them for ever.";
    let retain = filled.retain_days.trim();
    let schedule = match filled.schedule.parse() {
        Ok(times) => Schedule::TimesADay(times),
        Err(_) => Schedule::Manual,
    };
    let settings = TaskSettings {
        index: filled.index.is_some(),
        unlicensed: filled.unlicensed.is_some(),
        activate_new: filled.activate_new.is_some(),
        retain_archived_days: match retain {
            "" => None,
            days => Some(days.parse().map_err(|_| DAYS.to_owned())?),
        },
        schedule,
        zone: match filled.zone.trim() {
            "" => TaskSettings::default().zone,
            zone => zone.to_owned(),
        },
        ..TaskSettings::default()
    };
    settings
        .check()
        .map_err(|error| crate::problem::sentence(&error))?;
    Ok(settings)
}

/// The connection of a draft that is ready to become a task.
async fn connection(signed: &Signed, draft: &Draft) -> Result<Connection, Problem> {
    let connection = draft.connection.filter(|_| draft.aim == Aim::Task);
    let connection = connection.ok_or(Problem::NotFound)?;
    Ok(signed.organization.connection(connection).await?)
}

async fn fill(
    signed: &Signed,
    draft: &Draft,
    filled: Filled,
    problem: Option<String>,
) -> Result<Response, Problem> {
    let connection = connection(signed, draft).await?;
    if connection.health != Health::Connected {
        return Ok(Redirect::to(&step(draft, "checking")).into_response());
    }
    Ok(page::html(&Page {
        shell: signed.shell("").await?,
        frame: Frame::of(draft, 3),
        name: draft.name.clone(),
        connection,
        permissions: needed(draft.service),
        filled,
        problem,
    }))
}
