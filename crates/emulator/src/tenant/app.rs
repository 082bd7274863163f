//! An application as it is registered in Entra ID: who it says it is, how it proves it, where it may be sent back to, and what it asks for.
//!
//! What it was granted is not here but with its service principal, see [`ServicePrincipal`](crate::ServicePrincipal).

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A registered application.
#[derive(Clone, Debug)]
pub struct App {
    /// The client id.
    pub client_id: Uuid,
    /// The id of the registration itself, `id` in Graph's `/applications`.
    pub object_id: Uuid,
    /// The name.
    pub display_name: String,
    /// When it was registered.
    pub created: Timestamp,
    /// The client secrets.
    pub secrets: Vec<Secret>,
    /// The certificates that client assertions may be signed with.
    pub certificates: Vec<Certificate>,
    /// Where people may be sent back to.
    pub redirects: Redirects,
    /// The permissions that `/.default` asks for.
    pub requires: Vec<Requirement>,
    /// Whether the authorization endpoint itself gives out id tokens.
    pub id_tokens: bool,
    /// What else of `microsoft.graph.application` was set, by the names in Graph: the rest is empty.
    pub properties: Map<String, Value>,
    /// Names that certificates were given, by their key ids.
    pub(crate) key_names: BTreeMap<Uuid, String>,
}

/// Redirect URIs by platform. Each is compared exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirects {
    /// Of a server, which keeps a secret.
    pub web: Vec<String>,
    /// Of a page's own script.
    pub spa: Vec<String>,
    /// Of an installed application, which can keep no secret.
    pub public: Vec<String>,
}

/// A permission that an application asks for, one entry of `requiredResourceAccess`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The application id of the resource; Graph's is `00000003-0000-0000-c000-000000000000`.
    pub resource: Uuid,
    /// The id of the app role or of the scope.
    pub id: Uuid,
    /// Whether it is an app role, not a scope.
    pub is_role: bool,
}

/// A client secret.
#[derive(Clone)]
pub struct Secret {
    /// Its id.
    pub key_id: Uuid,
    /// Its name.
    pub display_name: Option<String>,
    /// The secret itself.
    pub value: String,
    /// When it was made.
    pub starts: Timestamp,
    /// When it stops working.
    pub expires: Timestamp,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("key_id", &self.key_id)
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

impl Certificate {
    /// The id under which the registration lists it. It follows from the certificate.
    #[must_use]
    pub fn key_id(&self) -> Uuid {
        let digest = Sha256::digest(&self.der);
        Uuid::new_v5(&Uuid::NAMESPACE_OID, &digest)
    }
}

/// On which platform a redirect URI is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Platform {
    Web,
    Spa,
    Public,
}

impl App {
    /// An application that can neither sign in nor be sent back to yet.
    #[must_use]
    pub fn new(client_id: Uuid, display_name: impl Into<String>, created: Timestamp) -> Self {
        Self {
            client_id,
            object_id: Uuid::new_v5(&client_id, b"application"),
            display_name: display_name.into(),
            created,
            secrets: Vec::new(),
            certificates: Vec::new(),
            redirects: Redirects::default(),
            requires: Vec::new(),
            id_tokens: false,
            properties: Map::new(),
            key_names: BTreeMap::new(),
        }
    }

    /// The platform on which exactly this redirect URI is registered.
    pub(crate) fn platform(&self, redirect_uri: &str) -> Option<Platform> {
        let has = |uris: &[String]| uris.iter().any(|uri| uri == redirect_uri);
        if has(&self.redirects.web) {
            Some(Platform::Web)
        } else if has(&self.redirects.spa) {
            Some(Platform::Spa)
        } else if has(&self.redirects.public) {
            Some(Platform::Public)
        } else {
            None
        }
    }

    /// `signInAudience`.
    pub(crate) fn audience(&self) -> &str {
        self.properties
            .get("signInAudience")
            .and_then(Value::as_str)
            .unwrap_or("AzureADMyOrg")
    }

    /// Whether the application may ask for tokens without proving itself where no redirect tells what it is: `isFallbackPublicClient`.
    pub(crate) fn is_public(&self) -> bool {
        let set = self.properties.get("isFallbackPublicClient");
        set.and_then(Value::as_bool).unwrap_or(false)
    }

    /// Whether tokens list the directory roles of the person, as `groupMembershipClaims` asks.
    pub(crate) fn lists_directory_roles(&self) -> bool {
        self.properties
            .get("groupMembershipClaims")
            .and_then(Value::as_str)
            .is_some_and(|claims| {
                let mut claims = claims.split(',').map(str::trim);
                claims.any(|claim| matches!(claim, "All" | "DirectoryRole"))
            })
    }

    /// Whether id tokens carry an optional claim.
    pub(crate) fn has_optional_claim(&self, name: &str) -> bool {
        self.properties
            .get("optionalClaims")
            .and_then(|claims| claims["idToken"].as_array())
            .is_some_and(|claims| claims.iter().any(|claim| claim["name"] == name))
    }
}
