//! A certificate authority of the emulator's own, made anew at each start, which vouches for whatever name a client reaches it by.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::Error;

const NAME: &str = "Keepwell emulator's certificate authority";
/// A client that takes longer to shake hands is dropped (real time).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);
/// Names that are remembered; a client could think up any number of `*.sharepoint.com`.
const NAMES_MAX: usize = 64;

/// See the module's text.
pub(crate) struct CertificateAuthority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// One key for all names: it is as secret as the emulator, which is not at all.
    key: KeyPair,
    known: Mutex<HashMap<String, Arc<ServerConfig>>>,
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority")
            .finish_non_exhaustive()
    }
}

impl CertificateAuthority {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(crate) fn new() -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, NAME);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(failed)?;
        Ok(Self {
            issuer: CertifiedIssuer::self_signed(params, key).map_err(failed)?,
            key: KeyPair::generate().map_err(failed)?,
            known: Mutex::default(),
        })
    }

    /// Its certificate, for clients to trust.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Shakes hands as `name`. Nothing when the client does not come to terms, which is its own business.
    pub(super) async fn welcome<S>(&self, name: &str, stream: S) -> Option<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = match self.config(name) {
            Ok(config) => config,
            Err(error) => {
                tracing::warn!(%error, "no certificate could be made");
                return None;
            }
        };
        let handshake = TlsAcceptor::from(config).accept(stream);
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a client did not shake hands");
                None
            }
            Err(_) => None,
        }
    }

    fn config(&self, name: &str) -> Result<Arc<ServerConfig>, Error> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = known.get(name) {
            return Ok(config.clone());
        }
        let config = Arc::new(self.vouch(name)?);
        if known.len() >= NAMES_MAX {
            known.clear();
        }
        known.insert(name.to_owned(), config.clone());
        Ok(config)
    }

    /// A certificate for a host or an address. At an address of this machine `localhost` is meant too.
    fn vouch(&self, name: &str) -> Result<ServerConfig, Error> {
        let mut names = vec![name.to_owned()];
        if name.parse::<std::net::IpAddr>().is_ok() {
            names.extend([
                "localhost".to_owned(),
                "127.0.0.1".to_owned(),
                "::1".to_owned(),
            ]);
            names.dedup();
        }
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&self.key, &self.issuer).map_err(failed)?;
        let key = PrivateKeyDer::try_from(self.key.serialize_der())
            .map_err(|error| Error::Key(error.into()))?;
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Key(error.into()))?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .map_err(|error| Error::Key(error.into()))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn failed(error: rcgen::Error) -> Error {
    Error::Key(error.into())
}
