//! Bad weather: faults as they occur together, each with a likelihood of its own.

use emulator::FaultRule;
use rand::{RngExt, rngs::StdRng};

const ALL: &str = "/v1.0/users/*";
const MIME: &str = "/users/{user}/messages/{message}/$value";
const MESSAGE: &str = "/users/{user}/messages/{message}";
const DELTA: &str = "/users/{user}/mailFolders/{folder}/messages/delta";
const FOLDER: &str = "/users/{user}/mailFolders/{folder}";

/// Likely and unlikely faults; most are absent at a time, or hardly any run would come to its end.
pub(super) fn weather(random: &mut StdRng) -> Vec<FaultRule> {
    let mut rules = vec![
        FaultRule {
            headers: [("Retry-After".to_owned(), "7".to_owned())].into(),
            ..answer(ALL, 429, "ApplicationThrottled")
        },
        answer(ALL, 503, "ErrorServerBusy"),
        answer(ALL, 500, "ErrorInternalServerError"),
        answer(DELTA, 403, "ErrorAccessDenied"),
        answer(DELTA, 400, "ErrorInvalidRequest"),
        answer(MIME, 500, "ErrorMimeContentConversionFailed"),
        answer(MIME, 404, "ErrorItemNotFound"),
        answer(MESSAGE, 403, "ErrorAccessDenied"),
        answer(FOLDER, 403, "ErrorAccessDenied"),
        FaultRule {
            reset: true,
            ..FaultRule::on(ALL)
        },
        FaultRule {
            truncate: Some(30),
            ..FaultRule::on(ALL)
        },
        FaultRule {
            resync: true,
            ..FaultRule::on("/v1.0/users/*/delta")
        },
        FaultRule {
            expire_tokens: true,
            ..FaultRule::on(ALL)
        },
    ];
    for rule in &mut rules {
        rule.probability = match random.random_range(0..4) {
            0 => 0.2,
            1 => 0.03,
            _ => 0.0,
        };
    }
    rules.push(FaultRule {
        page_size: Some(random.random_range(1..8)),
        probability: 0.5,
        ..FaultRule::on("/v1.0/users/*/delta")
    });
    rules
}

fn answer(route: &str, status: u16, code: &str) -> FaultRule {
    FaultRule {
        status: Some(status),
        code: Some(code.to_owned()),
        ..FaultRule::on(route)
    }
}
