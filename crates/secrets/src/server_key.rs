//! The server's key: the one secret that no database holds.
//!
//! As a text it is one line, `keepwell-server-key-1:` with 64 hexadecimal digits and eight more that betray a slip of whoever copied it.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::Key;

const PREFIX: &str = "keepwell-server-key-1:";
const CHECK_BYTES: usize = 4;

/// The key at the root of the chain.
#[derive(Clone, Debug)]
pub struct ServerKey(Key);

/// Why a text is no server key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ServerKeyError {
    /// It does not begin as one.
    #[error("it does not begin with {PREFIX:?}: is it the file that `keepwell key create` made?")]
    NotAKey,
    /// It has the form, but not the right digits.
    #[error("its digits were cut or changed: bring back the file from a copy")]
    Damaged,
}

impl ServerKey {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self(Key::random())
    }

    /// Reads it from its text; white space around it is allowed.
    ///
    /// # Errors
    /// When the text is no such key.
    pub fn from_text(text: &str) -> Result<Self, ServerKeyError> {
        let digits = text
            .trim()
            .strip_prefix(PREFIX)
            .ok_or(ServerKeyError::NotAKey)?;
        let bytes = HEXLOWER
            .decode(digits.as_bytes())
            .map(Zeroizing::new)
            .map_err(|_| ServerKeyError::Damaged)?;
        let (key, check) = bytes.split_at_checked(32).ok_or(ServerKeyError::Damaged)?;
        let key = <[u8; 32]>::try_from(key).map_err(|_| ServerKeyError::Damaged)?;
        if check != checksum(&key) {
            return Err(ServerKeyError::Damaged);
        }
        Ok(Self(Key::from_bytes(key)))
    }

    /// The text that [`ServerKey::from_text`] reads, with a line's end.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let key = self.0.as_bytes();
        let mut text = Zeroizing::new(String::with_capacity(100));
        text.push_str(PREFIX);
        HEXLOWER.encode_append(key, &mut text);
        HEXLOWER.encode_append(&checksum(key), &mut text);
        text.push('\n');
        text
    }

    /// The key itself, which wraps the organizations' keys.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.0
    }
}

/// Betrays a slip in copying; it protects nothing.
pub(crate) fn checksum(key: &[u8; 32]) -> [u8; CHECK_BYTES] {
    let hash = Sha256::new()
        .chain_update(b"keepwell key checksum 1")
        .chain_update(key)
        .finalize();
    [hash[0], hash[1], hash[2], hash[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_gives_the_key_back() {
        let key = ServerKey::random();
        let text = key.to_text();
        let again = ServerKey::from_text(&format!("  {}\n", text.as_str())).expect("a key");
        assert_eq!(again.key().as_bytes(), key.key().as_bytes());
    }

    #[test]
    fn every_slip_in_copying_is_noticed() {
        let text = ServerKey::random().to_text();
        let text = text.trim();
        for at in PREFIX.len()..text.len() {
            let mut slip = text.to_owned();
            let digit = if &text[at..=at] == "0" { "1" } else { "0" };
            slip.replace_range(at..=at, digit);
            assert!(ServerKey::from_text(&slip).is_err(), "digit {at}");
            assert!(ServerKey::from_text(&text[..at]).is_err(), "cut at {at}");
        }
        assert!(matches!(
            ServerKey::from_text("hello"),
            Err(ServerKeyError::NotAKey)
        ));
    }
}
