//! How the application proves itself to Entra ID: a secret, or a certificate whose key signs an assertion.
//!
//! Nothing here talks to anybody. Secrets are wiped when dropped and never shown.

use std::{fmt, sync::Arc};

use data_encoding::{BASE64, BASE64URL_NOPAD};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PSS_SHA256, RsaKeyPair},
};
use serde_json::json;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Entra ID accepts assertions that live up to ten minutes; half of that forgives a skewed clock.
const ASSERTION_LIFETIME_S: i64 = 300;

/// See the module's text.
#[derive(Clone)]
pub struct Credential(pub(crate) Proof);

#[derive(Clone)]
pub(crate) enum Proof {
    Secret(Zeroizing<String>),
    Certificate {
        thumbprint: String,
        key: Arc<RsaKeyPair>,
    },
}

impl Credential {
    /// A client secret.
    #[must_use]
    pub fn secret(secret: impl Into<String>) -> Self {
        Self(Proof::Secret(Zeroizing::new(secret.into())))
    }

    /// A certificate and its RSA key, as PEM: the first `CERTIFICATE` block and a `PRIVATE KEY` (PKCS #8) block.
    ///
    /// # Errors
    /// `Invalid` when either cannot be read, the key has fewer than 2,048 bits, or it is not the certificate's.
    pub fn certificate(certificate_pem: &str, key_pem: &str) -> Result<Self> {
        let certificate = pem_block(certificate_pem, "CERTIFICATE")
            .ok_or_else(|| Error::invalid("there is no certificate in the PEM text"))?;
        let pkcs8 = pem_block(key_pem, "PRIVATE KEY")
            .ok_or_else(|| Error::invalid("there is no PKCS #8 private key in the PEM text"))?;
        let key = RsaKeyPair::from_pkcs8(&pkcs8)
            .map_err(|_| Error::invalid("the private key is no RSA key of 2048 bits or more"))?;
        // A certificate holds its public key in the very encoding that ring gives.
        let public = key.public().as_ref();
        if !certificate
            .windows(public.len())
            .any(|window| window == public)
        {
            return Err(Error::invalid("the private key is not the certificate's"));
        }
        Ok(Self(Proof::Certificate {
            thumbprint: BASE64URL_NOPAD.encode(&Sha256::digest(&*certificate)),
            key: Arc::new(key),
        }))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Proof::Secret(_) => "Credential(secret)",
            Proof::Certificate { .. } => "Credential(certificate)",
        })
    }
}

/// A signed JWT by which the owner of the key is `application`, for the token endpoint `audience`; `id` is its own, `now` in Unix seconds.
pub(crate) fn assertion(
    thumbprint: &str,
    key: &RsaKeyPair,
    application: &str,
    audience: &str,
    id: &str,
    now: i64,
) -> Result<Zeroizing<String>> {
    let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint});
    let claims = json!({
        "aud": audience,
        "iss": application,
        "sub": application,
        "jti": id,
        "iat": now,
        "nbf": now,
        "exp": now + ASSERTION_LIFETIME_S,
    });
    let encode = |part: serde_json::Value| BASE64URL_NOPAD.encode(part.to_string().as_bytes());
    let mut token = format!("{}.{}", encode(header), encode(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &RSA_PSS_SHA256,
        &SystemRandom::new(),
        token.as_bytes(),
        &mut signature,
    )
    .map_err(|_| Error::invalid("the private key cannot sign"))?;
    token.push('.');
    token.push_str(&BASE64URL_NOPAD.encode(&signature));
    Ok(Zeroizing::new(token))
}

/// The bytes of the first block with this name.
fn pem_block(pem: &str, name: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (_, rest) = pem.split_once(&format!("-----BEGIN {name}-----"))?;
    let (text, _) = rest.split_once(&format!("-----END {name}-----"))?;
    let base64: Zeroizing<String> = Zeroizing::new(text.split_ascii_whitespace().collect());
    BASE64.decode(base64.as_bytes()).ok().map(Zeroizing::new)
}
