//! Passwords: which are taken, how they are hashed, and that checking one takes the same time whether or not there is such a user.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::{sync::Semaphore, task};
use zeroize::Zeroizing;

use crate::{Problem, token};

/// Characters. NIST SP 800-63B asks for fifteen where nothing else protects an account, and eight at least.
pub(crate) const CHARACTERS_MIN: usize = 12;
/// Bytes; more is an attempt to keep the server busy.
pub(crate) const BYTES_MAX: usize = 1_000;
/// Hashes computed at a time: each takes 19 MiB and tens of milliseconds of a processor.
const AT_ONCE: usize = 2;

/// What computes hashes.
#[derive(Debug)]
pub(crate) struct Passwords {
    places: Semaphore,
    /// The hash of a password that nobody has, for those who do not exist.
    of_nobody: String,
}

impl Passwords {
    pub(crate) fn new() -> Result<Self, Problem> {
        let nobodys = token::Token::random();
        Ok(Self {
            places: Semaphore::new(AT_ONCE),
            of_nobody: hash(nobodys.as_str())?,
        })
    }

    /// The hash of a new password: argon2id with the parameters that OWASP recommends, as text.
    pub(crate) async fn hash(&self, password: Zeroizing<String>) -> Result<String, Problem> {
        let _place = self.places.acquire().await.map_err(Problem::internal)?;
        task::spawn_blocking(move || hash(&password))
            .await
            .map_err(Problem::internal)?
    }

    /// Whether a password has this hash. Without one, it is not, which takes as long to find out.
    pub(crate) async fn verify(
        &self,
        password: Zeroizing<String>,
        hash: Option<String>,
    ) -> Result<bool, Problem> {
        let _place = self.places.acquire().await.map_err(Problem::internal)?;
        let exists = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.of_nobody.clone());
        task::spawn_blocking(move || {
            let hash = PasswordHash::new(&hash).map_err(Problem::internal)?;
            let is_right = Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok();
            Ok(exists && is_right)
        })
        .await
        .map_err(Problem::internal)?
    }
}

/// Why a password is not taken, in words that say what to do; nothing when it is.
pub(crate) fn objection(password: &str, address: &str) -> Option<&'static str> {
    if password.chars().count() < CHARACTERS_MIN {
        return Some("Use at least 12 characters.");
    }
    if password.len() > BYTES_MAX {
        return Some("Use at most 1,000 characters.");
    }
    let address = address.trim().to_lowercase();
    if password.trim().to_lowercase() == address {
        return Some("Use something else than the address.");
    }
    None
}

/// The hash of a password, for whoever makes a user without a console.
///
/// # Errors
/// When the system gives no randomness.
pub fn hash(password: &str) -> Result<String, Problem> {
    let hash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(Problem::internal)?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// abuse 94: for those who do not exist a hash is computed, too, with the same parameters; what it comes to does not count.
    #[tokio::test]
    async fn the_same_work_is_done_for_somebody_and_for_nobody() {
        let given = || Zeroizing::new("correct horse battery".to_owned());
        let of_somebody = hash(&given()).expect("a hash");
        let parameters = |hash: &str| hash.rsplitn(3, '$').nth(2).map(str::to_owned);
        let passwords = Passwords::new().expect("randomness");
        assert_eq!(parameters(&of_somebody), parameters(&passwords.of_nobody));
        assert!(parameters(&of_somebody).is_some_and(|text| text.starts_with("$argon2id$")));
        let with = |of_nobody: &str| Passwords {
            places: Semaphore::new(AT_ONCE),
            of_nobody: of_nobody.to_owned(),
        };
        let known = with(&of_somebody)
            .verify(given(), Some(of_somebody.clone()))
            .await;
        assert!(known.is_ok_and(|is_right| is_right));
        let unknown = with(&of_somebody).verify(given(), None).await;
        assert!(
            unknown.is_ok_and(|is_right| !is_right),
            "also with the password that nobody has"
        );
        assert!(
            with("no hash").verify(given(), None).await.is_err(),
            "it is looked at"
        );
    }

    #[test]
    fn short_passwords_and_addresses_are_not_taken() {
        let check = |password: &str, is_taken: bool| {
            let said = objection(password, "Alex.Wilber@contoso.com");
            assert_eq!(said.is_none(), is_taken, "{password}: {said:?}");
        };
        check("twelve chars", true);
        check("zwölf Zeichen", true);
        check("elevenchars", false);
        check("", false);
        check("alex.wilber@CONTOSO.com", false);
        check(&"x".repeat(1_000), true);
        check(&"x".repeat(1_001), false);
    }
}
