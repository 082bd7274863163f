//! Step 1: the task's name and service.

use askama::Template;
use axum::{
    Form,
    extract::{Path, Query},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use model::Service;
use serde::Deserialize;
use service::needed;

use super::{Frame, step};
use crate::{
    Problem, Signed, State,
    drafts::{Aim, Draft},
    page,
    page::Shell,
};

/// Names in lists.
const NAME_MAX: usize = 100;

#[derive(Template)]
#[template(path = "wizard/name.html")]
struct Page {
    shell: Shell,
    frame: Frame,
    /// Where the form goes.
    action: String,
    name: String,
    services: Vec<Choice>,
    problem: Option<&'static str>,
}

struct Choice {
    service: Service,
    chosen: bool,
    covered: bool,
}

impl Choice {
    /// As the form sends it back.
    fn value(&self) -> &'static str {
        match self.service {
            Service::Exchange => "exchange",
            Service::OneDrive => "onedrive",
            Service::SharePoint => "sharepoint",
            Service::Groups => "groups",
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    service: Option<Service>,
}

#[derive(Deserialize)]
pub(crate) struct Filled {
    name: String,
    service: Service,
}

/// An empty form, or, with `draft`, what was typed.
pub(crate) async fn show(signed: Signed, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let service = asked.service.unwrap_or(Service::Exchange);
    let draft = Draft::new(Aim::Task, service);
    fill(&signed, &draft, true, None).await
}

/// The same form with what was typed before.
pub(crate) async fn change(
    state: State,
    signed: Signed,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let draft = state.drafts().find(&signed, &id)?;
    fill(&signed, &draft, false, None).await
}

pub(crate) async fn name(
    state: State,
    signed: Signed,
    draft: Option<Path<String>>,
    Form(filled): Form<Filled>,
) -> Result<Response, Problem> {
    let is_new = draft.is_none();
    let mut draft = match draft {
        Some(Path(id)) => state.drafts().find(&signed, &id)?,
        None => Draft::new(Aim::Task, filled.service),
    };
    filled.name.trim().clone_into(&mut draft.name);
    draft.service = filled.service;
    if let Some(problem) = objection(&signed, &draft).await? {
        let page = fill(&signed, &draft, is_new, Some(problem)).await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    let to = step(&draft, "authenticate");
    state.drafts().keep(&signed, draft, state.clock().elapsed());
    Ok(Redirect::to(&to).into_response())
}

async fn objection(signed: &Signed, draft: &Draft) -> Result<Option<&'static str>, Problem> {
    if draft.name.is_empty() || draft.name.chars().count() > NAME_MAX {
        return Ok(Some("Enter a name of at most 100 characters."));
    }
    if needed(draft.service).is_empty() {
        return Ok(Some("This service is not covered yet. Exchange is."));
    }
    let tasks = signed.organization.tasks().await?;
    let name = draft.name.to_lowercase();
    let is_taken = tasks.iter().any(|task| task.name.to_lowercase() == name);
    Ok(is_taken.then_some("There is a task with this name already. Choose another one."))
}

async fn fill(
    signed: &Signed,
    draft: &Draft,
    is_new: bool,
    problem: Option<&'static str>,
) -> Result<Response, Problem> {
    let all = [
        Service::Exchange,
        Service::OneDrive,
        Service::SharePoint,
        Service::Groups,
    ];
    Ok(page::html(&Page {
        shell: signed.shell("").await?,
        frame: Frame::of(draft, 1),
        action: match is_new {
            true => "/tasks/new".to_owned(),
            false => format!("/tasks/new/{}", draft.id),
        },
        name: draft.name.clone(),
        services: all
            .into_iter()
            .map(|service| Choice {
                service,
                chosen: service == draft.service,
                covered: !needed(service).is_empty(),
            })
            .collect(),
        problem,
    }))
}
