//! Taking back what was just done.

use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::Form;
use catalog::{AccountFilter, TaskId};
use serde::Deserialize;
use service::TaskSettings;

use crate::{Problem, Signed, State, Who, flash::Flash, undo::Act, words::noun};

/// Accounts whose status one statement changes: databases bound how many values it may name.
const ACCOUNTS_AT_ONCE: usize = 10_000;

/// What somebody is told who comes too late.
pub(crate) const NOTHING: &str =
    "Nothing was taken back: something else was done since, or it is too long ago.";

#[derive(Deserialize)]
pub(crate) struct Fields {
    #[serde(default)]
    id: String,
}

/// What was taken back.
pub(crate) enum TakenBack {
    /// So many accounts have the status that they had; it was done at this page.
    Accounts(u64, String),
    /// This task has the settings that it had.
    Settings(TaskId),
}

/// Takes back what this session did last, if that is what is meant.
pub(crate) async fn undo(
    state: State,
    signed: Signed,
    Form(fields): Form<Fields>,
) -> Result<Response, Problem> {
    Ok(match take_back(&state, &signed, &fields.id).await? {
        None => Flash::warn(NOTHING).after(Redirect::to("/").into_response()),
        Some(TakenBack::Accounts(changed, at)) => {
            let text = format!("{} as before.", noun(changed, "account is", "accounts are"));
            Flash::ok(text).after(Redirect::to(&at).into_response())
        }
        Some(TakenBack::Settings(task)) => {
            let back = Redirect::to(&format!("/tasks/{task}")).into_response();
            Flash::ok("The settings are as before.").after(back)
        }
    })
}

/// Takes back what was done last by whoever asks; nothing when that has another id.
pub(crate) async fn take_back(
    state: &State,
    signed: &Signed,
    id: &str,
) -> Result<Option<TakenBack>, Problem> {
    let of = &signed.organization;
    let now = state.clock().elapsed();
    let Some(act) = state.undos().take(signed.hand(), id, now) else {
        return Ok(None);
    };
    match act {
        Act::Accounts { task, back, at } => {
            of.task(task).await?;
            signed
                .note(state, "took back a change of accounts", task)
                .await?;
            let mut changed = 0;
            for (change, keys) in back {
                for some in keys.chunks(ACCOUNTS_AT_ONCE) {
                    let filter = AccountFilter {
                        keys: Some(some.to_vec()),
                        ..AccountFilter::default()
                    };
                    changed += of.change_status(task, &filter, change).await?;
                }
            }
            Ok(Some(TakenBack::Accounts(changed, at)))
        }
        Act::Settings { task, before } => {
            // The role may have changed since.
            if !Who::Administrator.includes(signed.user.role) {
                return Err(Problem::Forbidden);
            }
            let task = of.task(task).await?;
            let settings = TaskSettings::from_text(&before).map_err(Problem::internal)?;
            signed
                .note(state, "took back a task's settings", task.id)
                .await?;
            state
                .service()
                .set_settings(of.id(), task.id, &settings)
                .await?;
            Ok(Some(TakenBack::Settings(task.id)))
        }
    }
}
