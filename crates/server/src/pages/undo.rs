//! Taking back what was just done.

use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::Form;
use catalog::AccountFilter;
use serde::Deserialize;
use service::TaskSettings;

use crate::{Problem, Signed, State, Who, flash::Flash, undo::Act, words::noun};

/// Accounts whose status one statement changes: databases bound how many values it may name.
const ACCOUNTS_AT_ONCE: usize = 10_000;

#[derive(Deserialize)]
pub(crate) struct Fields {
    #[serde(default)]
    id: String,
}

/// Takes back what this session did last, if that is what is meant.
pub(crate) async fn undo(
    state: State,
    signed: Signed,
    Form(fields): Form<Fields>,
) -> Result<Response, Problem> {
    let of = &signed.organization;
    let now = state.clock().elapsed();
    let Some(act) = state.undos().take(&signed.token_hash, &fields.id, now) else {
        let back = Redirect::to("/").into_response();
        let text = "Nothing was taken back: something else was done since, or it is too long ago.";
        return Ok(Flash::warn(text).after(back));
    };
    match act {
        Act::Accounts { task, back, at } => {
            of.task(task).await?;
            signed
                .note(&state, "took back a change of accounts", task)
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
            let text = format!("{} as before.", noun(changed, "account is", "accounts are"));
            Ok(Flash::ok(text).after(Redirect::to(&at).into_response()))
        }
        Act::Settings { task, before } => {
            // The role may have changed since.
            if !Who::Administrator.includes(signed.user.role) {
                return Err(Problem::Forbidden);
            }
            let task = of.task(task).await?;
            let settings = TaskSettings::from_text(&before).map_err(Problem::internal)?;
            signed
                .note(&state, "took back a task's settings", task.id)
                .await?;
            state
                .service()
                .set_settings(of.id(), task.id, &settings)
                .await?;
            let back = Redirect::to(&format!("/tasks/{}", task.id)).into_response();
            Ok(Flash::ok("The settings are as before.").after(back))
        }
    }
}
