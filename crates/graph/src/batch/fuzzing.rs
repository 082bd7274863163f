//! What must hold for every answer to a batch; see [`crate::fuzzing`].

use serde_json::value::RawValue;

use super::{BATCH_MAX, part::Answers};
use crate::request::Request;

/// Each part is read as JSON, as bytes, or refused.
pub(crate) fn answers(body: &[u8]) {
    let Ok(answers) = serde_json::from_slice::<Answers>(body) else {
        return;
    };
    let answers = answers.by_number();
    for answer in answers.values().take(BATCH_MAX) {
        let _ = answer.status();
        let _ = answer.headers();
        let bytes = answer.body(&Request::get("/users/u/messages/m").raw());
        let json = answer.body(&Request::get("/users/u/messages/m"));
        assert!(json.is_ok_and(|json| {
            json.is_empty() || serde_json::from_slice::<&RawValue>(&json).is_ok()
        }));
        drop(bytes);
    }
}
