//! Random texts that nobody can guess: what cookies and programs carry, and what is derived from them.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use rand::{TryRng, rngs::SysRng};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// 256 bits, as 43 characters of base64url.
const TOKEN_CHARACTERS: usize = 43;

/// What API tokens begin with.
const API_PREFIX: &str = "kw_";

/// A secret that a cookie or a program carries. It shows nothing in `Debug`.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// A new one.
    pub(crate) fn random() -> Self {
        Self(BASE64URL_NOPAD.encode(&random_bytes::<32>()))
    }

    /// Takes what a cookie says, if it has the form of a token.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (text.len() == TOKEN_CHARACTERS && text.bytes().all(is_plain))
            .then(|| Self(text.to_owned()))
    }

    /// Takes what a program brings in `Authorization`, if it has the form of an API token.
    pub(crate) fn read_bearer(text: &str) -> Option<Self> {
        let (scheme, token) = text.split_once(' ')?;
        let token = token.trim_start_matches(' ').strip_prefix(API_PREFIX)?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| Self::read(token))?
    }

    /// As a program brings it: with a prefix by which people and scanners know what it is.
    pub(crate) fn to_api_token(&self) -> String {
        format!("{API_PREFIX}{}", self.0)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What the database knows it by: SHA-256 in hexadecimal digits.
    pub(crate) fn hash(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(self.0.as_bytes()))
    }

    /// What a form must bring along to show that it comes from a page that was made for this token.
    pub(crate) fn form_token(&self) -> String {
        let hash = Sha256::new()
            .chain_update(b"keepwell form 1\0")
            .chain_update(self.0.as_bytes())
            .finalize();
        BASE64URL_NOPAD.encode(&hash)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token([redacted])")
    }
}

/// Bytes from the system's randomness.
///
/// # Panics
/// When the system has none to give, which leaves nothing that could be done safely.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SysRng
        .try_fill_bytes(&mut bytes)
        .expect("the system gives randomness");
    bytes
}

/// Compares secrets in a time that depends on their lengths alone.
pub(crate) fn equal(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn an_api_token_is_known_by_its_form() {
        let token = Token::random();
        let text = token.to_api_token();
        let read = |text: String| Token::read_bearer(&text).map(|token| token.hash());
        assert_eq!(read(format!("Bearer {text}")), Some(token.hash()));
        assert_eq!(read(format!("bearer  {text}")), Some(token.hash()));
        for wrong in [
            text.clone(),
            format!("Basic {text}"),
            format!("Bearer {}", token.as_str()),
            format!("Bearer {text}="),
            "Bearer kw_".to_owned(),
            "Bearer".to_owned(),
            String::new(),
        ] {
            assert_eq!(read(wrong.clone()), None, "{wrong}");
        }
    }
}
