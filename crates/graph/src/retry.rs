//! What to do with an attempt that did not succeed: try again and when, or give up and as what.
//!
//! Pure: it sees an outcome and says what follows. The client does the waiting.

use std::time::Duration;

use http::{Method, StatusCode};

use crate::{
    error::{Codes, Error, Kind},
    governor::Advice,
    request::{Repeat, Request},
    transport::Failure,
};

/// Passing failures of one request: with the waits below, a minute of trouble is outlasted.
const TRANSIENT_MAX: u32 = 6;
/// Throttled attempts of one request. Each waited as it was told, so many more would mean that somebody else eats the quota.
const THROTTLED_MAX: u32 = 20;
/// Fresh tokens tried: Graph may refuse new tokens for some seconds (survival 11).
const UNAUTHORIZED_MAX: u32 = 6;
/// Answers that are hard to believe: an empty 404, a sudden `invalidRequest`, a page without its parts. Asking three times settles it.
const DOUBTED_MAX: u32 = 3;
/// First wait, doubled each time.
const WAIT_FIRST: Duration = Duration::from_secs(1);
/// No wait of ours is longer; Microsoft's may be.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Why an attempt is repeated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reason {
    /// Told to slow down; the gate is closed for as long as advised.
    Throttled(Option<Advice>),
    /// The token was refused.
    Unauthorized,
    /// The network or the service failed in passing.
    Transient,
    /// The answer is not believed yet.
    Doubted,
}

/// What follows from an attempt.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// Why to repeat it, if at all.
    pub(crate) again: Option<Reason>,
    /// What to report when it is not repeated, or no more.
    pub(crate) error: Error,
}

/// Judges an answer that is no success.
pub(crate) fn judge_answer(
    request: &Request,
    status: StatusCode,
    codes: Codes,
    advice: Option<Advice>,
) -> Verdict {
    let repeat = request.repeats();
    let is_get = *request.method() == Method::GET;
    let refused = status == StatusCode::TOO_MANY_REQUESTS
        || (status == StatusCode::SERVICE_UNAVAILABLE && advice.is_some());
    let again = match status.as_u16() {
        401 if request.is_authorized() => Some(Reason::Unauthorized),
        429 | 503 if refused => Some(Reason::Throttled(advice)),
        408 | 500 | 502 | 503 | 504 | 509 => match advice {
            Some(_) => Some(Reason::Throttled(advice)),
            None => Some(Reason::Transient),
        },
        404 if is_get && codes.first().is_none() => Some(Reason::Doubted),
        400 if is_get && codes.contain("invalidRequest") && !codes.ask_for_resync() => {
            Some(Reason::Doubted)
        }
        _ => None,
    };
    let mut error = Error::answered(status, codes);
    if refused {
        let retry_after = advice.map(Advice::span);
        error = error.with_kind(Kind::Throttled { retry_after });
    }
    let known = match repeat {
        Repeat::Safe => true,
        Repeat::IfRefused => refused || status.is_client_error(),
        Repeat::Never => status.is_client_error() && !refused,
    };
    if known {
        Verdict { again, error }
    } else {
        Verdict {
            again: None,
            error: error.with_kind(Kind::OutcomeUnknown),
        }
    }
}

/// Judges an attempt that brought no whole answer.
pub(crate) fn judge_failure(request: &Request, failure: Failure) -> Verdict {
    let known = !failure.may_have_arrived || request.repeats() == Repeat::Safe;
    let again = (known && failure.is_passing).then_some(Reason::Transient);
    let mut error = failure.error;
    if !known {
        error = error.with_kind(Kind::OutcomeUnknown);
    }
    Verdict { again, error }
}

/// Judges a success whose body is not what it should be.
pub(crate) fn judge_defect(request: &Request, status: StatusCode, error: Error) -> Verdict {
    let error = error.with_status(status);
    match request.repeats() {
        Repeat::Safe => Verdict {
            again: Some(Reason::Doubted),
            error,
        },
        _ => Verdict {
            again: None,
            error: error.with_kind(Kind::OutcomeUnknown),
        },
    }
}

/// How often one request may still be repeated, for each reason.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    transient: u32,
    throttled: u32,
    unauthorized: u32,
    doubted: u32,
}

impl Budget {
    /// How long to wait before repeating, beside the governor's gate; `None` when it is enough. `jitter` is from 0 to 1.
    pub(crate) fn spend(&mut self, reason: Reason, jitter: f64) -> Option<Duration> {
        let (spent, max) = match reason {
            Reason::Throttled(_) => (&mut self.throttled, THROTTLED_MAX),
            Reason::Unauthorized => (&mut self.unauthorized, UNAUTHORIZED_MAX),
            Reason::Transient => (&mut self.transient, TRANSIENT_MAX),
            Reason::Doubted => (&mut self.doubted, DOUBTED_MAX),
        };
        *spent += 1;
        if *spent > max {
            return None;
        }
        match reason {
            Reason::Throttled(Some(advice)) if advice.closed() < advice.span() => None,
            Reason::Throttled(Some(_)) => Some(Duration::ZERO),
            // The first fresh token is tried at once: an expired token is the usual case.
            Reason::Unauthorized if *spent == 1 => Some(Duration::ZERO),
            _ => Some(backoff(*spent, jitter)),
        }
    }
}

/// Doubles from [`WAIT_FIRST`] to [`WAIT_MAX`], between half and all of it, so that many waiters do not come back as one.
fn backoff(attempt: u32, jitter: f64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(10);
    let whole = (WAIT_FIRST * 2u32.pow(doublings)).min(WAIT_MAX);
    whole.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(
        request: &Request,
        status: u16,
        body: &str,
        retry_after: bool,
    ) -> (Option<Reason>, Kind) {
        let status = StatusCode::from_u16(status).expect("a status");
        let mut headers = http::HeaderMap::new();
        if retry_after {
            headers.insert("retry-after", http::HeaderValue::from_static("5"));
        }
        let advice = Advice::read(status, &headers, jiff::Timestamp::UNIX_EPOCH);
        let verdict = judge_answer(request, status, Codes::read(body.as_bytes()), advice);
        let again = verdict.again.map(|reason| match reason {
            Reason::Throttled(_) => Reason::Throttled(None),
            reason => reason,
        });
        (again, verdict.error.kind())
    }

    #[test]
    fn a_get_is_repeated_after_everything_that_may_pass() {
        let get = Request::get("/users");
        for status in [408, 500, 502, 503, 504, 509] {
            assert_eq!(
                judge(&get, status, "", false).0,
                Some(Reason::Transient),
                "survival 7"
            );
        }
        assert_eq!(
            judge(&get, 503, "", true).0,
            Some(Reason::Throttled(None)),
            "survival 7"
        );
        assert_eq!(judge(&get, 429, "", false).0, Some(Reason::Throttled(None)));
        assert_eq!(
            judge(&get, 404, "", false).0,
            Some(Reason::Doubted),
            "survival 9"
        );
        let odd = r#"{"error":{"code":"invalidRequest"}}"#;
        assert_eq!(
            judge(&get, 400, odd, false).0,
            Some(Reason::Doubted),
            "survival 10"
        );
        let gone = r#"{"error":{"code":"ErrorItemNotFound"}}"#;
        assert_eq!(judge(&get, 404, gone, false), (None, Kind::NotFound));
        for status in [302, 400, 403, 409, 410, 501] {
            assert_eq!(judge(&get, status, "", false).0, None, "{status}");
        }
    }

    #[test]
    fn a_post_is_repeated_only_when_it_was_refused() {
        let post = Request::post("/users/u/messages");
        assert_eq!(judge(&post, 429, "", true).0, Some(Reason::Throttled(None)));
        assert_eq!(judge(&post, 503, "", true).0, Some(Reason::Throttled(None)));
        assert_eq!(judge(&post, 401, "", false).0, Some(Reason::Unauthorized));
        for status in [500, 502, 503, 504] {
            assert_eq!(
                judge(&post, status, "", false),
                (None, Kind::OutcomeUnknown),
                "survival 19"
            );
        }
        let once = post.clone().repeat(Repeat::Never);
        assert_eq!(
            judge(&once, 429, "", true),
            (None, Kind::OutcomeUnknown),
            "abuse 36"
        );
        assert_eq!(judge(&once, 400, "", false), (None, Kind::Invalid));
        let twice = post.idempotent(true);
        assert_eq!(judge(&twice, 502, "", false).0, Some(Reason::Transient));
    }

    #[test]
    fn waits_double_and_end() {
        let mut budget = Budget::default();
        let waits: Vec<_> = (0..7)
            .map(|_| {
                budget
                    .spend(Reason::Transient, 1.0)
                    .map(|wait| wait.as_secs())
            })
            .collect();
        assert_eq!(
            waits,
            [Some(1), Some(2), Some(4), Some(8), Some(16), Some(32), None]
        );
        assert_eq!(backoff(40, 0.0), WAIT_MAX / 2);
    }
}
