//! The way to a new backup task: name it, let Microsoft say who asks and let an administrator consent, review, create. A connection that is there is
//! authenticated again by the same way, without the ends.

mod authenticate;
mod name;
mod returned;
mod review;
mod script;
mod words;

pub(crate) use authenticate::{again, authenticate, certificate, show as show_authenticate};
pub(crate) use name::{change as change_name, name, show as show_name};
pub(crate) use returned::{checking, returned};
pub(crate) use review::{create, show as show_review};

use crate::drafts::{Aim, Draft};

/// Where Microsoft sends people back to; it is registered with the app, letter by letter.
pub(crate) const RETURN_PATH: &str = "/connect/return";

/// The address of a step.
fn step(draft: &Draft, step: &str) -> String {
    format!("/tasks/new/{}/{step}", draft.id)
}

/// What the pages of the wizard have in common.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Of the draft.
    pub(crate) id: String,
    pub(crate) service: &'static str,
    /// 1 to 3.
    pub(crate) step: u8,
    /// The connection that is authenticated again; nothing for a new task.
    pub(crate) again: Option<String>,
}

impl Frame {
    fn of(draft: &Draft, step: u8) -> Self {
        Self {
            id: draft.id.clone(),
            service: draft.service.name(),
            step,
            again: match draft.aim {
                Aim::Task => None,
                Aim::Connection(id) => Some(id.to_string()),
            },
        }
    }
}
