//! Sealed values: AES-256-GCM with the place where the value is kept as associated data.
//!
//! ```text
//! base64url, without padding, of:
//!   1 byte    version, 1
//!   4 bytes   id of the key that sealed it
//!   12 bytes  nonce, random
//!   n bytes   ciphertext
//!   16 bytes  tag
//! associated data: "keepwell sealed 1", then for table, column and row: a zero byte and the text
//! ```
//!
//! A key seals at most some thousands of values in its life, far below the 2^32 at which random nonces of 96 bits become a risk (NIST SP 800-38D,
//! section 8.3).

use std::fmt;

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use data_encoding::BASE64URL_NOPAD;
use rand::{TryRng, rngs::SysRng};
use zeroize::Zeroizing;

use crate::Key;

const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const HEAD_BYTES: usize = 1 + KEY_ID_BYTES + NONCE_BYTES;

/// Where a sealed value is kept. It opens nowhere else.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place<'a> {
    /// The table.
    pub table: &'a str,
    /// The column.
    pub column: &'a str,
    /// The id of the row.
    pub row: &'a str,
}

impl Place<'_> {
    fn associated_data(self) -> Vec<u8> {
        let mut data = b"keepwell sealed 1".to_vec();
        for part in [self.table, self.column, self.row] {
            data.push(0);
            data.extend_from_slice(part.as_bytes());
        }
        data
    }
}

/// A sealed value as text, for a database or a file.
#[derive(Clone, Eq, PartialEq)]
pub struct Sealed(String);

impl Sealed {
    /// Takes a text that was once a sealed value; whether it is one shows when it is opened.
    #[must_use]
    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}

/// Why a sealed value does not open.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SealError {
    /// Another key sealed it.
    #[error("it was sealed by another key")]
    OtherKey,
    /// It was changed, or belongs to another place.
    #[error("it is damaged, or belongs to another place")]
    Damaged,
    /// A later version of Keepwell sealed it.
    #[error("it was sealed by a later version of Keepwell")]
    OtherVersion,
}

impl Key {
    /// Seals a value for a place.
    ///
    /// # Panics
    /// When the system has no randomness to give.
    #[must_use]
    pub fn seal(&self, plain: &[u8], place: Place<'_>) -> Sealed {
        let mut nonce = [0; NONCE_BYTES];
        SysRng
            .try_fill_bytes(&mut nonce)
            .expect("the system gives randomness");
        let payload = Payload {
            msg: plain,
            aad: &place.associated_data(),
        };
        let sealed = Aes256Gcm::new(self.as_bytes().into())
            .encrypt(&nonce.into(), payload)
            .expect("a value is far shorter than the cipher's limit of 64 GiB");
        let mut bytes = Vec::with_capacity(HEAD_BYTES + sealed.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.id());
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        Sealed(BASE64URL_NOPAD.encode(&bytes))
    }

    /// The value that was sealed for the place.
    ///
    /// # Errors
    /// When it was sealed by another key or for another place, or is damaged.
    pub fn open(&self, sealed: &Sealed, place: Place<'_>) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let bytes = BASE64URL_NOPAD
            .decode(sealed.0.as_bytes())
            .map_err(|_| SealError::Damaged)?;
        if bytes.len() < HEAD_BYTES + TAG_BYTES {
            return Err(SealError::Damaged);
        }
        let (head, body) = bytes.split_at(HEAD_BYTES);
        if head[0] != VERSION {
            return Err(SealError::OtherVersion);
        }
        let (id, nonce) = head[1..].split_at(KEY_ID_BYTES);
        if id != self.id() {
            return Err(SealError::OtherKey);
        }
        let nonce = <[u8; NONCE_BYTES]>::try_from(nonce).map_err(|_| SealError::Damaged)?;
        let payload = Payload {
            msg: body,
            aad: &place.associated_data(),
        };
        Aes256Gcm::new(self.as_bytes().into())
            .decrypt(&nonce.into(), payload)
            .map(Zeroizing::new)
            .map_err(|_| SealError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HERE: Place<'_> = Place {
        table: "connections",
        column: "credential",
        row: "1",
    };

    #[test]
    fn a_value_opens_only_where_it_was_sealed_and_by_the_key_that_sealed_it() {
        let key = Key::random();
        let sealed = key.seal(b"secret", HERE);
        assert_eq!(
            key.open(&sealed, HERE)
                .expect("it was sealed here")
                .as_slice(),
            b"secret"
        );
        for elsewhere in [
            Place { row: "2", ..HERE },
            Place {
                column: "key",
                ..HERE
            },
            Place {
                table: "tasks",
                ..HERE
            },
        ] {
            assert_eq!(key.open(&sealed, elsewhere), Err(SealError::Damaged));
        }
        assert_eq!(Key::random().open(&sealed, HERE), Err(SealError::OtherKey));
    }

    #[test]
    fn the_parts_of_a_place_cannot_be_shifted() {
        let key = Key::random();
        let place = |table, column| Place {
            table,
            column,
            row: "1",
        };
        let sealed = key.seal(b"secret", place("ab", "c"));
        assert_eq!(key.open(&sealed, place("a", "bc")), Err(SealError::Damaged));
    }

    #[test]
    fn nothing_secret_is_shown() {
        let key = Key::from_bytes(*b"0123456789abcdef0123456789abcdef");
        let shown = format!("{key:?} {:?}", key.seal(b"secret", HERE));
        assert_eq!(shown, "Key([redacted]) Sealed(…)");
    }

    proptest! {
        #[test]
        fn every_value_comes_back_and_no_change_goes_unnoticed(
            plain in proptest::collection::vec(any::<u8>(), 0..200),
            at in any::<prop::sample::Index>(),
            bit in 0..8u8,
        ) {
            let key = Key::random();
            let sealed = key.seal(&plain, HERE);
            let opened = key.open(&sealed, HERE).expect("it was sealed here");
            prop_assert_eq!(opened.as_slice(), plain.as_slice());
            let mut bytes = BASE64URL_NOPAD.decode(sealed.as_str().as_bytes()).expect("base64");
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let changed = Sealed::from_text(BASE64URL_NOPAD.encode(&bytes));
            prop_assert!(key.open(&changed, HERE).is_err());
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,120}") {
            prop_assert!(Key::random().open(&Sealed::from_text(text), HERE).is_err());
        }
    }
}
