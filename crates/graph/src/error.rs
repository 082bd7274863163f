//! The one error of this crate: what happened, and above all what the caller can do about it.
//!
//! Microsoft's messages are not kept, because they quote addresses and subjects; its codes are.

mod body;

use std::{error::Error as StdError, sync::Arc, time::Duration};

use http::StatusCode;

pub(crate) use body::Codes;

use crate::label::Label;

/// This crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A request that did not succeed, after all retries that were in order.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", self.describe())]
pub struct Error {
    #[source]
    source: Option<Arc<dyn StdError + Send + Sync>>,
    inner: Box<Inner>,
}

#[derive(Clone, Debug)]
struct Inner {
    kind: Kind,
    what: &'static str,
    label: Option<Label>,
    status: Option<StatusCode>,
    codes: Codes,
}

/// What the caller can do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// Microsoft says, with a code of its own, that it does not exist. A 404 without a code never gets this kind (survival 9, 64).
    NotFound,
    /// The delta token is no longer good: list from the beginning (survival 33).
    Resync,
    /// The container has no changes to follow: list it whole, now and from now on (survival 36).
    NoChanges,
    /// The application may not do this.
    AccessDenied,
    /// Graph kept refusing tokens that Entra ID had just issued.
    Unauthorized,
    /// Entra ID issues no token; [`Error::code`] is the AADSTS number.
    SignIn(SignIn),
    /// Still throttled after many patient retries, or told to wait longer than a day. The governor keeps the scope closed meanwhile.
    Throttled {
        /// What Microsoft asked for last.
        retry_after: Option<Duration>,
    },
    /// Not reached, or answered with passing errors until the retries were used up. Nothing is known to have changed.
    Unavailable,
    /// A request that must not be blindly repeated was sent, and what became of it is not known: look before sending it again (abuse 36).
    OutcomeUnknown,
    /// It exists already, or changed meanwhile (409, 412, 423).
    Conflict,
    /// Microsoft refused the request as such, or it could not be made from what was given.
    Invalid,
    /// The answer was incomplete, not what the documentation says, or led elsewhere, also after retries (survival 21).
    BadAnswer,
}

/// Why Entra ID issues no token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SignIn {
    /// The client secret is wrong.
    WrongSecret,
    /// The client secret has expired.
    ExpiredSecret,
    /// The certificate is unknown to the application, expired, or its assertion was refused.
    WrongCertificate,
    /// The certificate's assertion was refused for its time, and this machine's clock is minutes off Microsoft's: set it.
    WrongClock,
    /// There is no such application in the tenant.
    UnknownApplication,
    /// The application is disabled.
    DisabledApplication,
    /// There is no such tenant.
    UnknownTenant,
    /// An administrator has not consented.
    ConsentMissing,
    /// A policy of the tenant forbids it.
    Blocked,
    /// Anything else; the AADSTS number says what.
    Other,
}

impl Error {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.inner.kind
    }

    /// The HTTP status, where there was an answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.inner.status.map(|status| status.as_u16())
    }

    /// Microsoft's own code (`ErrorItemNotFound`, `AADSTS7000215`) as it was spelled. Compare with [`Error::has_code`].
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.inner.codes.first()
    }

    /// Whether Microsoft gave this code, in whatever case, in the error or in its inner errors (survival 22).
    #[must_use]
    pub fn has_code(&self, code: &str) -> bool {
        self.inner.codes.contain(code)
    }

    /// Whether nobody can repair this but an administrator: every further request will fail likewise.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self.kind(), Kind::SignIn(_) | Kind::Unauthorized)
    }

    /// What was to be sent could not be read, for this reason.
    pub fn unreadable(source: impl StdError + Send + Sync + 'static) -> Self {
        Self::invalid("what is to be sent cannot be read").because(source)
    }

    pub(crate) fn new(kind: Kind, what: &'static str) -> Self {
        Self {
            source: None,
            inner: Box::new(Inner {
                kind,
                what,
                label: None,
                status: None,
                codes: Codes::default(),
            }),
        }
    }

    pub(crate) fn invalid(what: &'static str) -> Self {
        Self::new(Kind::Invalid, what)
    }

    pub(crate) fn bad_answer(what: &'static str) -> Self {
        Self::new(Kind::BadAnswer, what)
    }

    /// An answer with a status that is no success, classified by its codes first and its status second (survival 20).
    pub(crate) fn answered(status: StatusCode, codes: Codes) -> Self {
        let mut error = Self::new(kind_of(status, &codes), "answered with an error");
        error.inner.status = Some(status);
        error.inner.codes = codes;
        error
    }

    pub(crate) fn with_kind(mut self, kind: Kind) -> Self {
        self.inner.kind = kind;
        self
    }

    pub(crate) fn with_codes(mut self, codes: Codes) -> Self {
        self.inner.codes = codes;
        self
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.inner.status = Some(status);
        self
    }

    pub(crate) fn about(mut self, label: &Label) -> Self {
        self.inner.label.get_or_insert_with(|| label.clone());
        self
    }

    pub(crate) fn because(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    fn describe(&self) -> String {
        let inner = &self.inner;
        let mut text = match &inner.label {
            Some(label) => format!("{label}: {}", inner.what),
            None => inner.what.to_owned(),
        };
        if let Some(status) = inner.status {
            text.push_str(&format!(", status {}", status.as_u16()));
        }
        if let Some(code) = self.code() {
            text.push_str(&format!(", {code}"));
        }
        text
    }
}

fn kind_of(status: StatusCode, codes: &Codes) -> Kind {
    if codes.ask_for_resync() {
        return Kind::Resync;
    }
    match status.as_u16() {
        401 => Kind::Unauthorized,
        403 => Kind::AccessDenied,
        404 if codes.first().is_some() => Kind::NotFound,
        409 | 412 | 423 => Kind::Conflict,
        410 => Kind::Resync,
        429 => Kind::Throttled { retry_after: None },
        400 | 501 if codes.deny_changes() => Kind::NoChanges,
        408 | 424 | 500.. => Kind::Unavailable,
        404 | ..=399 => Kind::BadAnswer,
        _ => Kind::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, body: &str) -> Kind {
        let status = StatusCode::from_u16(status).expect("a status");
        Error::answered(status, Codes::read(body.as_bytes())).kind()
    }

    #[test]
    fn kinds_follow_codes_first_and_statuses_second() {
        let item = r#"{"error":{"code":"ErrorItemNotFound","message":"x"}}"#;
        assert_eq!(kind(404, item), Kind::NotFound);
        assert_eq!(kind(404, ""), Kind::BadAnswer, "survival 9");
        assert_eq!(kind(404, "<html>"), Kind::BadAnswer, "survival 20");
        assert_eq!(kind(410, ""), Kind::Resync);
        for code in ["resyncRequired", "SyncStateNotFound", "SYNCSTATEINVALID"] {
            let body = format!(r#"{{"error":{{"code":"{code}"}}}}"#);
            assert_eq!(kind(400, &body), Kind::Resync, "abuse 38, survival 22");
        }
        let inner =
            r#"{"error":{"code":"gone","innerError":{"code":"resyncChangesApplyDifferences"}}}"#;
        assert_eq!(kind(400, inner), Kind::Resync, "abuse 37, survival 22");
        assert_eq!(kind(403, "Forbidden"), Kind::AccessDenied);
        assert_eq!(kind(503, "<html>busy"), Kind::Unavailable);
        assert_eq!(kind(302, ""), Kind::BadAnswer);
        assert_eq!(kind(400, r#"{"error":"#), Kind::Invalid);
        for message in [
            "Change tracking is not supported against 'microsoft.graph.message'.",
            "Parameter 'DeltaToken' not supported for this request.",
        ] {
            let body = format!(r#"{{"error":{{"code":"BadRequest","message":"{message}"}}}}"#);
            assert_eq!(kind(400, &body), Kind::NoChanges, "survival 36");
        }
        let other = r#"{"error":{"code":"BadRequest","message":"Re: change tracking"}}"#;
        assert_eq!(kind(400, other), Kind::Invalid);
    }

    #[test]
    fn a_message_names_the_kind_of_request_and_the_code_alone() {
        let codes = Codes::read(
            br#"{"error":{"code":"ErrorItemNotFound","message":"ada@contoso.example has none"}}"#,
        );
        let error = Error::answered(StatusCode::NOT_FOUND, codes).about(&Label::of(
            &http::Method::GET,
            "/users/ada@contoso.example/messages/AAMk",
        ));
        assert_eq!(
            error.to_string(),
            "GET messages/{id}: answered with an error, status 404, ErrorItemNotFound"
        );
        assert!(!format!("{error:?}").contains("ada"));
    }
}
