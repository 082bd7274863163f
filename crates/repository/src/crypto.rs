//! Sealing and opening: AES-256-CTR with Poly1305-AES, as restic defines it.
//!
//! A sealed text is `nonce (16) | ciphertext | tag (16)`, 32 bytes longer than the plain text. Nonces are random; nothing here keeps state.

use aes256ctr_poly1305aes::{Aes256CtrPoly1305Aes, Nonce, Tag, aead::AeadInPlace};
use rand::Rng;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::Problem;

/// What sealing adds to a text: nonce and tag.
pub(crate) const OVERHEAD_BYTES: usize = NONCE_BYTES + TAG_BYTES;
/// Stands before a sealed text.
pub(crate) const NONCE_BYTES: usize = 16;
/// Stands behind it.
pub(crate) const TAG_BYTES: usize = 16;

/// 32 bytes for AES-256, 16 for the AES-128 of Poly1305-AES, 16 for Poly1305's `r`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Key(Box<[u8; 64]>);

impl Key {
    /// A new key from the operating system's randomness.
    pub(crate) fn random() -> Self {
        let mut bytes = Box::new([0; 64]);
        rand::rng().fill_bytes(&mut bytes[..]);
        Self(bytes)
    }

    /// The key with these bytes, in the order `encryption | k | r`.
    pub(crate) fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(Box::new(bytes))
    }

    /// Another key, for a purpose and a thing, which tells nothing of this one.
    pub(crate) fn derive(&self, purpose: &str, thing: &[u8]) -> Self {
        let mut bytes = Box::new([0; 64]);
        for (half, number) in bytes.chunks_exact_mut(32).zip(["1", "2"]) {
            let mut hash = Sha256::new();
            hash.update(format!("keepwell {purpose} key {number}: "));
            hash.update(&self.0[..]);
            hash.update(thing);
            half.copy_from_slice(&hash.finalize());
        }
        Self(bytes)
    }

    /// The bytes, in the order `encryption | k | r`.
    pub(crate) fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// Seals `plain` with a fresh nonce.
    pub(crate) fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD_BYTES);
        sealed.resize(NONCE_BYTES, 0);
        sealed.extend_from_slice(plain);
        sealed.resize(plain.len() + OVERHEAD_BYTES, 0);
        self.seal_in_place(&mut sealed);
        sealed
    }

    /// Seals the text that lies in `room` with [`NONCE_BYTES`] free before it and [`TAG_BYTES`] behind.
    pub(crate) fn seal_in_place(&self, room: &mut [u8]) {
        let (before, rest) = room.split_at_mut(NONCE_BYTES);
        let (text, behind) = rest.split_at_mut(rest.len() - TAG_BYTES);
        let mut nonce = Nonce::default();
        rand::rng().fill_bytes(&mut nonce);
        before.copy_from_slice(&nonce);
        let tag = self
            .cipher()
            .encrypt_in_place_detached(&nonce, b"", text)
            .expect("only texts of many gigabytes are refused, and ours are bounded");
        behind.copy_from_slice(&tag);
    }

    /// The plain text of `sealed`; an error when it is too short or not as it was sealed with this key.
    pub(crate) fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, Problem> {
        let mut plain = Vec::new();
        self.open_into(sealed, &mut plain)?;
        Ok(plain)
    }

    /// As [`Self::open`], in memory that was used before. After an error nothing useful is in it.
    pub(crate) fn open_into(&self, sealed: &[u8], plain: &mut Vec<u8>) -> Result<(), Problem> {
        let (nonce, rest) = sealed
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(Problem::Truncated)?;
        let (text, tag) = rest
            .split_last_chunk::<TAG_BYTES>()
            .ok_or(Problem::Truncated)?;
        plain.clear();
        plain.extend_from_slice(text);
        self.cipher()
            .decrypt_in_place_detached(&Nonce::from(*nonce), b"", plain, &Tag::from(*tag))
            .map_err(|_| Problem::BrokenSeal)
    }

    fn cipher(&self) -> Aes256CtrPoly1305Aes {
        Aes256CtrPoly1305Aes::new((&self.0[..]).into())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_and_nothing_else_does() {
        let key = Key::random();
        for plain in [&b""[..], b"x", &[7; 100_000]] {
            let sealed = key.seal(plain);
            assert_eq!(sealed.len(), plain.len() + OVERHEAD_BYTES);
            assert_eq!(key.open(&sealed).as_deref(), Ok(plain));
            assert_eq!(Key::random().open(&sealed), Err(Problem::BrokenSeal));
            for place in [0, 16, sealed.len() - 1] {
                let mut changed = sealed.clone();
                changed[place] ^= 1;
                assert_eq!(key.open(&changed), Err(Problem::BrokenSeal));
            }
        }
        assert_eq!(key.open(&[0; 31]), Err(Problem::Truncated));
    }
}
