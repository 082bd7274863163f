//! The key that tokens are signed with.

use std::sync::OnceLock;

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use rsa::{RsaPrivateKey, pkcs1::EncodeRsaPrivateKey, rand_core::OsRng, traits::PublicKeyParts};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::Error;

/// What Entra ID uses.
const BITS: usize = 2048;

/// An RSA key for RS256.
pub(super) struct SigningKey {
    pub(super) id: String,
    pub(super) sign: EncodingKey,
    pub(super) verify: DecodingKey,
    jwk: Value,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl SigningKey {
    /// The key of this process. Making one costs a good part of a second, so that all emulators of a process share it.
    pub(super) fn shared() -> Result<&'static Self, Error> {
        static KEY: OnceLock<SigningKey> = OnceLock::new();
        if let Some(key) = KEY.get() {
            return Ok(key);
        }
        let made = Self::make().map_err(Error::Key)?;
        Ok(KEY.get_or_init(|| made))
    }

    fn make() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let private = RsaPrivateKey::new(&mut OsRng, BITS)?;
        let modulus = private.n().to_bytes_be();
        let exponent = private.e().to_bytes_be();
        let id = BASE64URL_NOPAD.encode(&Sha256::digest(&modulus)[..20]);
        let jwk = json!({
            "kty": "RSA",
            "use": "sig",
            "kid": id,
            "x5t": id,
            "n": BASE64URL_NOPAD.encode(&modulus),
            "e": BASE64URL_NOPAD.encode(&exponent),
            "cloud_instance_name": "microsoftonline.com",
        });
        Ok(Self {
            id,
            sign: EncodingKey::from_rsa_der(private.to_pkcs1_der()?.as_bytes()),
            verify: DecodingKey::from_rsa_raw_components(&modulus, &exponent),
            jwk,
        })
    }

    /// The key as the JSON Web Key Set shows it.
    pub(super) fn public(&self) -> Value {
        self.jwk.clone()
    }
}
