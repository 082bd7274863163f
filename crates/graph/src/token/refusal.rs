//! Refusals: why Entra ID issued no token (AADSTS numbers), and what Graph demands of the next one (claims challenge).
//!
//! Of Entra ID's text only the number is kept: the rest names applications, tenants and people.

use std::time::Duration;

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD};
use http::{HeaderMap, header::WWW_AUTHENTICATE};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    error::{Codes, Error, Kind, SignIn},
    governor::{Advice, answered_at},
    request::Request,
    retry::{Reason, Verdict, judge_answer},
    transport::Answer,
};

/// Numbers by which Entra ID says that it is busy.
const PASSING: &[u64] = &[90033, 90024];

/// Numbers by which Entra ID says that an assertion's times do not fit.
const OUT_OF_TIME: &[u64] = &[700_024, 50_013];
/// So far Entra ID forgives a clock.
const FORGIVEN: SignedDuration = SignedDuration::from_mins(5);
const NO_TOKEN: &str = "no token was issued";

/// Judges an error of the token endpoint, and says how long it told us to wait.
pub(crate) fn judge(
    policy: &Request,
    answer: &Answer,
    now: Timestamp,
) -> (Verdict, Option<Duration>) {
    let advice = Advice::read(answer.status, &answer.headers, now);
    let told = advice.map(Advice::closed);
    let number = number(&answer.body);
    let Some(number) = number.filter(|_| answer.status.is_client_error() && answer.status != 429)
    else {
        let mut verdict = judge_answer(policy, answer.status, Codes::default(), advice);
        if verdict.again == Some(Reason::Unauthorized) {
            verdict.again = None;
            verdict.error = verdict.error.with_kind(Kind::SignIn(SignIn::Other));
        }
        return (verdict, told);
    };
    let again = PASSING.contains(&number).then_some(Reason::Transient);
    let (kind, what) = match again {
        Some(_) => (Kind::Unavailable, NO_TOKEN),
        None if OUT_OF_TIME.contains(&number) && is_off(now, &answer.headers) => (
            Kind::SignIn(SignIn::WrongClock),
            "no token was issued, because this machine's clock is off by more than five minutes: set it",
        ),
        None => (Kind::SignIn(classify(number)), NO_TOKEN),
    };
    let error = Error::new(kind, what)
        .with_status(answer.status)
        .with_codes(Codes::one(format!("AADSTS{number}")));
    (Verdict { again, error }, told)
}

/// Whether our clock differs from the answer's `Date` by more than is forgiven.
fn is_off(now: Timestamp, headers: &HeaderMap) -> bool {
    answered_at(headers).is_some_and(|theirs| theirs.duration_until(now).abs() > FORGIVEN)
}

fn classify(number: u64) -> SignIn {
    match number {
        7_000_215 => SignIn::WrongSecret,
        7_000_222 => SignIn::ExpiredSecret,
        700_023 | 700_024 | 700_027 | 700_030 | 50_012 => SignIn::WrongCertificate,
        700_016 | 70_001 => SignIn::UnknownApplication,
        7_000_112 => SignIn::DisabledApplication,
        90_002 | 900_021 | 900_023 => SignIn::UnknownTenant,
        65_001 | 65_004 | 90_094 | 650_052 => SignIn::ConsentMissing,
        53_000..=53_004 | 50_105 | 530_035 => SignIn::Blocked,
        _ => SignIn::Other,
    }
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    error_codes: Vec<u64>,
    #[serde(default)]
    error_description: String,
}

/// The AADSTS number: from its own field, or else from the text.
fn number(body: &[u8]) -> Option<u64> {
    let refusal: Refusal = serde_json::from_slice(body).ok()?;
    refusal.error_codes.first().copied().or_else(|| {
        let digits = refusal.error_description.strip_prefix("AADSTS")?;
        let end = digits
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(digits.len());
        digits[..end].parse().ok()
    })
}

/// The claims of a challenge as the token endpoint takes them: JSON, which the challenge carries as Base64.
pub(crate) fn claims(headers: &HeaderMap) -> Option<String> {
    let challenges = headers.get_all(WWW_AUTHENTICATE);
    let encoded = challenges.iter().find_map(|challenge| {
        let (_, rest) = challenge.to_str().ok()?.split_once("claims=\"")?;
        Some(rest.split_once('"')?.0)
    })?;
    let json = [BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD]
        .iter()
        .find_map(|alphabet| alphabet.decode(encoded.as_bytes()).ok())?;
    let text = String::from_utf8(json).ok()?;
    serde_json::from_str::<Value>(&text)
        .ok()?
        .is_object()
        .then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_found_in_either_place() {
        let check = |body: &str, expected| assert_eq!(number(body.as_bytes()), expected, "{body}");
        check(
            r#"{"error":"invalid_client","error_codes":[7000215]}"#,
            Some(7_000_215),
        );
        check(
            r#"{"error_description":"AADSTS65001: The user …"}"#,
            Some(65_001),
        );
        check(r#"{"error_description":"AADSTS"}"#, None);
        check("<html>", None);
    }

    /// abuse 39.
    #[test]
    fn claims_are_taken_from_a_challenge() {
        let check = |challenge: &'static str, expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(WWW_AUTHENTICATE, http::HeaderValue::from_static(challenge));
            assert_eq!(claims(&headers).as_deref(), expected, "{challenge}");
        };
        check(
            r#"Bearer realm="", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ==""#,
            Some(r#"{"access_token":{}}"#),
        );
        check(
            r#"Bearer realm="", claims="eyJhIjoxfQ""#,
            Some(r#"{"a":1}"#),
        );
        check(r#"Bearer realm="", authorization_uri="x""#, None);
        check(r#"Bearer claims="%%%""#, None);
    }
}
