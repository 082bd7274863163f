//! 32 bytes that nobody may see, and how one key is wrapped by another.

use std::fmt;

use rand::{TryRng, rngs::SysRng};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{Place, SealError, Sealed};

/// Sets a key's id apart from every other hash of it.
const ID_PREFIX: &[u8] = b"keepwell key id 1";

/// A key of 256 bits. It is wiped when dropped and shows nothing in `Debug`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; 32]);

impl Key {
    /// A new key from the system's randomness.
    ///
    /// # Panics
    /// When the system has no randomness to give, which leaves nothing that could be done safely.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; 32];
        SysRng
            .try_fill_bytes(&mut bytes)
            .expect("the system gives randomness");
        Self(bytes)
    }

    /// Takes the bytes as they are: for keys that are kept outside, such as a recovery key.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for a cipher or for whoever keeps them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Four bytes by which a sealed value says which key sealed it. They tell nothing of the key.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let hash = Sha256::new()
            .chain_update(ID_PREFIX)
            .chain_update(self.0)
            .finalize();
        [hash[0], hash[1], hash[2], hash[3]]
    }

    /// Seals another key with this one, for a place.
    #[must_use]
    pub fn wrap(&self, key: &Key, place: Place<'_>) -> Sealed {
        self.seal(&key.0, place)
    }

    /// The key that was wrapped for the place.
    ///
    /// # Errors
    /// When it was sealed by another key or for another place, or is damaged.
    pub fn unwrap_key(&self, wrapped: &Sealed, place: Place<'_>) -> Result<Key, SealError> {
        let plain: Zeroizing<Vec<u8>> = self.open(wrapped, place)?;
        let bytes = <[u8; 32]>::try_from(plain.as_slice()).map_err(|_| SealError::Damaged)?;
        Ok(Self(bytes))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key([redacted])")
    }
}
