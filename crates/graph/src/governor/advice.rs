//! How long Microsoft asks us to wait: `Retry-After`, and `RateLimit-Remaining` with `RateLimit-Reset` (draft 3 of the IETF's).
//!
//! It only reads; whoever gets the advice closes the gate.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header::DATE, header::RETRY_AFTER};
use jiff::Timestamp;

/// A gate is never closed for longer at a time: after a day it does no harm to ask again. Whoever was told to wait longer is given an error
/// instead of an early repetition.
pub(crate) const CLOSED_MAX: Duration = Duration::from_secs(24 * 3600);

/// What an answer says about waiting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Advice(Duration);

impl Advice {
    /// Reads an answer's headers; `now` serves where it has no `Date` of its own, whose clock is the one that counts (survival 70).
    pub(crate) fn read(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Option<Self> {
        let refused = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
        let reset = seconds(headers, "ratelimit-reset");
        let span = if refused {
            retry_after(headers, now).max(reset)
        } else if text(headers, "ratelimit-remaining") == Some("0") {
            reset
        } else {
            None
        };
        span.filter(|span| !span.is_zero()).map(Self)
    }

    /// For how long, in full.
    pub(crate) fn span(self) -> Duration {
        self.0
    }

    /// For how long to close the gate.
    pub(crate) fn closed(self) -> Duration {
        self.0.min(CLOSED_MAX)
    }
}

/// Seconds, fractions of them, or a date (survival 2); anything else is as if it were missing.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = text(headers, RETRY_AFTER.as_str())?;
    seconds(headers, RETRY_AFTER.as_str()).or_else(|| {
        let until = date(value)?;
        let now = answered_at(headers).unwrap_or(now);
        Duration::try_from(until.duration_since(now)).ok()
    })
}

/// When the server answered, by its own clock.
pub(crate) fn answered_at(headers: &HeaderMap) -> Option<Timestamp> {
    text(headers, DATE.as_str()).and_then(date)
}

fn seconds(headers: &HeaderMap, name: &str) -> Option<Duration> {
    let seconds: f64 = text(headers, name)?.parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0)
        .then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

fn date(text: &str) -> Option<Timestamp> {
    Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn advice(status: u16, headers: &[(&'static str, &'static str)]) -> Option<Duration> {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        let status = StatusCode::from_u16(status).expect("a status");
        let now = "2026-11-10T12:00:00Z".parse().expect("a time");
        Advice::read(status, &headers, now).map(Advice::span)
    }

    /// survival 2 and 7, abuse 33.
    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        let check = |value: &'static str, expected: Option<f64>| {
            for status in [429, 503] {
                let expected = expected.map(Duration::from_secs_f64);
                assert_eq!(
                    advice(status, &[("retry-after", value)]),
                    expected,
                    "{value}"
                );
            }
        };
        check("1", Some(1.0));
        check(" 41 ", Some(41.0));
        check("1.5", Some(1.5));
        check("600", Some(600.0));
        check("Tue, 10 Nov 2026 12:00:30 GMT", Some(30.0));
        check("0", None);
        check("Tue, 10 Nov 2026 11:00:00 GMT", None);
        for garbage in ["", "soon", "-5", "NaN", "inf", "1,5", "Tue, 99 Nov"] {
            check(garbage, None);
        }
        assert_eq!(advice(429, &[]), None);
        assert_eq!(
            advice(429, &[("retry-after", "1e300")]),
            Some(Duration::MAX)
        );
        assert_eq!(advice(404, &[("retry-after", "5")]), None);
    }

    #[test]
    fn a_date_is_measured_by_the_clock_of_the_server_that_sent_it() {
        let headers = [
            ("date", "Wed, 11 Nov 2026 12:00:00 GMT"),
            ("retry-after", "Wed, 11 Nov 2026 12:00:09 GMT"),
        ];
        assert_eq!(
            advice(429, &headers),
            Some(Duration::from_secs(9)),
            "survival 70"
        );
    }

    #[test]
    fn rate_limit_headers_count_when_nothing_remains() {
        let check = |status, headers: &[(&'static str, &'static str)], expected: Option<u64>| {
            assert_eq!(advice(status, headers), expected.map(Duration::from_secs));
        };
        check(
            200,
            &[("ratelimit-remaining", "0"), ("ratelimit-reset", "7")],
            Some(7),
        );
        check(
            200,
            &[("ratelimit-remaining", "20"), ("ratelimit-reset", "7")],
            None,
        );
        check(
            429,
            &[("retry-after", "3"), ("ratelimit-reset", "7")],
            Some(7),
        );
        check(
            429,
            &[("retry-after", "9"), ("ratelimit-reset", "7")],
            Some(9),
        );
    }
}
