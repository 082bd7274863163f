//! What Microsoft's refusals mean, and what to do. Its own texts are not shown: anybody can put words into an address.

use graph::{Kind, SignIn};

pub(super) const WRONG_ROLE: &str =
    "This needs a Global Administrator or a Privileged Role Administrator.";
pub(super) const CANCELLED: &str =
    "Nothing was granted, because consent was cancelled. Authenticate again when you are ready.";
pub(super) const TOO_OLD: &str = "The way back from Microsoft was used already, took too long, or belongs to another session. \
Nothing that you typed is lost: authenticate again.";
pub(super) const WRONG_TENANT: &str = "You signed in to another tenant than the one named here. Sign in with an account of this tenant, or change it.";

/// What the login host says in the address with which it sends somebody back.
pub(super) fn refused(error: &str, description: &str) -> String {
    match number(description) {
        Some(90_093 | 90_094 | 50_105) => WRONG_ROLE.to_owned(),
        Some(65_004) => CANCELLED.to_owned(),
        Some(number) => format!(
            "Microsoft did not accept it (AADSTS{number}). Nothing was granted: look the number up, then authenticate again."
        ),
        None if matches!(
            error,
            "access_denied" | "consent_required" | "permission_denied"
        ) =>
        {
            CANCELLED.to_owned()
        }
        None => "Microsoft did not accept it. Nothing was granted: authenticate again.".to_owned(),
    }
}

/// Why a code could not be redeemed.
pub(super) fn not_redeemed(error: &graph::Error) -> String {
    let text = match error.kind() {
        Kind::SignIn(SignIn::WrongSecret) => {
            "The client secret is not right. Copy its value, not its id, and authenticate again."
        }
        Kind::SignIn(SignIn::ExpiredSecret) => {
            "The client secret has expired. Make a new one, and authenticate again."
        }
        Kind::SignIn(SignIn::WrongCertificate) => {
            "The app does not know this certificate. Upload it to the app registration, and authenticate again."
        }
        Kind::SignIn(SignIn::WrongClock) => {
            "This server's clock is minutes off Microsoft's. Set it, and authenticate again."
        }
        Kind::SignIn(SignIn::UnknownApplication) => {
            "There is no app with this id in the tenant. Compare the id, and authenticate again."
        }
        Kind::SignIn(_) => {
            return match error.code() {
                Some(code) => format!(
                    "Microsoft did not accept it ({code}). Look the number up, then authenticate again."
                ),
                None => "Microsoft did not accept it. Authenticate again.".to_owned(),
            };
        }
        Kind::BadAnswer => {
            "What came back from Microsoft proves nothing, so nothing was done. Authenticate again."
        }
        _ => "Microsoft does not answer. Nothing is lost: authenticate again in a minute.",
    };
    text.to_owned()
}

/// The number in `AADSTS90094: …`.
fn number(description: &str) -> Option<u32> {
    let digits = description.strip_prefix("AADSTS")?;
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_in_words_that_say_what_to_do() {
        let check = |error, description, expected| {
            assert_eq!(refused(error, description), expected, "{description}");
        };
        check(
            "access_denied",
            "AADSTS90094: The grant requires admin permission.",
            WRONG_ROLE,
        );
        check(
            "access_denied",
            "AADSTS65004: User declined to consent.",
            CANCELLED,
        );
        check(
            "consent_required",
            "AADSTS65004: The resource owner denied.",
            CANCELLED,
        );
        check("access_denied", "", CANCELLED);
        let other = refused("server_error", "AADSTS90033: <b>Call 555-0100</b>");
        assert!(
            other.contains("AADSTS90033") && !other.contains("555"),
            "{other}"
        );
        let other = refused("<script>", "anything");
        assert!(
            !other.contains("script") && !other.contains("anything"),
            "{other}"
        );
    }
}
