//! Client assertions: a JWT that the application signs with a certificate it has registered, instead of sending a secret.

use data_encoding::{BASE64URL_NOPAD, HEXUPPER_PERMISSIVE};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey};
use rsa::{RsaPublicKey, pkcs8::DecodePublicKey, traits::PublicKeyParts};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{EntraError, LoginRequest};
use crate::{App, Certificate, Tenant};

/// How far the clocks of client and server may differ.
const SKEW_S: i64 = 300;

/// An assertion that was accepted.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) id: String,
    pub(super) expires: Timestamp,
}

#[derive(Debug, Deserialize)]
struct Claims {
    aud: String,
    iss: String,
    sub: String,
    exp: i64,
    #[serde(default)]
    nbf: Option<i64>,
    #[serde(default)]
    jti: Option<String>,
}

/// Checks an assertion of an application.
pub(super) fn check(
    assertion: &str,
    app: &App,
    tenant: &Tenant,
    request: &LoginRequest,
) -> Result<Accepted, EntraError> {
    let malformed = || EntraError::request(50_027, "JWT token is invalid or malformed.");
    let (header, rest) = assertion.split_once('.').ok_or_else(malformed)?;
    let unpadded = format!("{}.{rest}", header.trim_end_matches('='));
    let header = jsonwebtoken::decode_header(unpadded).map_err(|_| malformed())?;
    if !matches!(header.alg, Algorithm::RS256 | Algorithm::PS256) {
        return Err(refused(app, "the signature algorithm is not supported"));
    }
    let certificate = app
        .certificates
        .iter()
        .find(|known| is_named(known, header.x5t.as_deref(), header.x5t_s256.as_deref()))
        .ok_or_else(|| refused(app, "the key was not found by its thumbprint"))?;
    if certificate.expires <= request.stamp.now {
        return Err(refused(app, "the certificate is expired"));
    }
    let claims = verify(assertion, header.alg, certificate)
        .ok_or_else(|| refused(app, "the signature does not match the key"))?;
    let own = app.client_id.to_string();
    if claims.iss != own || claims.sub != own {
        return Err(refused(app, "issuer and subject must be the application"));
    }
    if !is_audience(&claims.aud, tenant, request) {
        return Err(EntraError::client(
            700_023,
            "Client assertion audience claim does not match Realm issuer.",
        ));
    }
    let now = request.stamp.now.as_second();
    let early = claims.nbf.is_some_and(|start| start > now + SKEW_S);
    if early || claims.exp.saturating_add(SKEW_S) <= now {
        return Err(EntraError::client(
            700_024,
            "Client assertion is not within its valid time range.",
        ));
    }
    Ok(Accepted {
        id: claims.jti.unwrap_or_else(|| assertion.to_owned()),
        expires: Timestamp::from_second(claims.exp)
            .unwrap_or(Timestamp::MAX)
            .checked_add(SignedDuration::from_secs(SKEW_S))
            .unwrap_or(Timestamp::MAX),
    })
}

fn refused(app: &App, reason: &str) -> EntraError {
    EntraError::client(
        700_027,
        format!(
            "The certificate with identifier used to sign the client assertion is not registered on application, or client assertion failed signature validation. [Reason - {reason}] Client app ID: {}.",
            app.client_id
        ),
    )
}

/// Whether a header's thumbprint is this certificate's. Base64url is the standard; older clients send hexadecimal digits.
fn is_named(certificate: &Certificate, x5t: Option<&str>, x5t_s256: Option<&str>) -> bool {
    let matches = |text: &str, digest: &[u8]| {
        let text = text.trim_end_matches('=');
        BASE64URL_NOPAD.encode(digest) == text
            || HEXUPPER_PERMISSIVE.decode(text.as_bytes()).as_deref() == Ok(digest)
    };
    if let Some(text) = x5t_s256 {
        return matches(text, &Sha256::digest(&certificate.der));
    }
    x5t.is_some_and(|text| {
        let digest = sha1_smol::Sha1::from(&certificate.der).digest().bytes();
        matches(text, &digest)
    })
}

/// The claims, if the signature is the certificate's. What is signed are the characters as they came: Microsoft's own azure-identity pads its base64url,
/// which RFC 7515 does not know, and Entra ID takes it.
fn verify(assertion: &str, algorithm: Algorithm, certificate: &Certificate) -> Option<Claims> {
    let public = RsaPublicKey::from_public_key_der(&certificate.public_key_der).ok()?;
    let key =
        DecodingKey::from_rsa_raw_components(&public.n().to_bytes_be(), &public.e().to_bytes_be());
    let (signed, signature) = assertion.rsplit_once('.')?;
    let signature = signature.trim_end_matches('=');
    if !jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key, algorithm).ok()? {
        return None;
    }
    let (_, claims) = signed.split_once('.')?;
    let claims = BASE64URL_NOPAD.decode(claims.trim_end_matches('=').as_bytes());
    serde_json::from_slice(&claims.ok()?).ok()
}

/// The audience is the token endpoint; the v1 endpoint and the issuer are taken too, on this host or on Microsoft's.
fn is_audience(audience: &str, tenant: &Tenant, request: &LoginRequest) -> bool {
    let hosts = [request.origin, "https://login.microsoftonline.com"];
    let Some(rest) = hosts.iter().find_map(|host| audience.strip_prefix(host)) else {
        return false;
    };
    let Some((name, path)) = rest.trim_start_matches('/').split_once('/') else {
        return false;
    };
    let path = path.trim_end_matches('/');
    let own = name.eq_ignore_ascii_case(&tenant.id.to_string())
        || name.eq_ignore_ascii_case(&tenant.domain);
    own && ["oauth2/v2.0/token", "oauth2/token", "v2.0", ""].contains(&path)
}
