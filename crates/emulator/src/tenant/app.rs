//! An application as it is registered in Entra ID, with what was consented to.

use std::fmt;

use jiff::Timestamp;
use uuid::Uuid;

/// A registered application and its service principal in the tenant.
#[derive(Clone, Debug)]
pub struct App {
    /// The client id.
    pub client_id: Uuid,
    /// The id of the service principal, `oid` in tokens.
    pub object_id: Uuid,
    /// The name.
    pub display_name: String,
    /// The client secrets.
    pub secrets: Vec<Secret>,
    /// The certificates that client assertions may be signed with.
    pub certificates: Vec<Certificate>,
    /// The application permissions that an administrator granted, for example `Mail.Read`.
    pub roles: Vec<String>,
    /// Whether an administrator disabled it.
    pub disabled: bool,
}

/// A client secret.
#[derive(Clone)]
pub struct Secret {
    /// The secret itself.
    pub value: String,
    /// When it stops working.
    pub expires: Timestamp,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// A certificate of an application.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate, DER: the thumbprints are made of it.
    pub der: Vec<u8>,
    /// Its public key, DER (SubjectPublicKeyInfo). RSA only, as Entra ID.
    pub public_key_der: Vec<u8>,
    /// When it stops being valid.
    pub expires: Timestamp,
}
