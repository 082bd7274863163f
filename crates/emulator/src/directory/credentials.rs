//! The keys of a registration as Graph shows and takes them: secrets, which are told once, and certificates.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};
use rand::RngExt;
use rsa::{RsaPublicKey, pkcs8::DecodePublicKey};
use serde_json::{Map, Value, json};
use uuid::Uuid;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::time;
use crate::{App, Certificate, GraphError, Secret, Tenant};

/// How long a secret works when its maker does not say.
const LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 365 * 2);
/// How long a secret is.
const SECRET_LENGTH: usize = 40;
/// What it is made of.
const SECRET_LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.~-";

/// Makes a secret as `addPassword` is asked to.
pub(super) fn new_secret(
    tenant: &Tenant,
    wanted: &Map<String, Value>,
    now: Timestamp,
) -> Result<Secret, GraphError> {
    let at = |name: &str| {
        match wanted.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_str()
            .and_then(|text| text.parse::<Timestamp>().ok())
            .map(Some)
            .ok_or_else(|| {
                GraphError::directory_bad_request(format!(
                    "Invalid value specified for property '{name}' of resource 'PasswordCredential'."
                ))
            }),
    }
    };
    let starts = at("startDateTime")?.unwrap_or(now);
    let expires = at("endDateTime")?
        .unwrap_or_else(|| starts.checked_add(LIFETIME).unwrap_or(Timestamp::MAX));
    if expires <= starts {
        return Err(GraphError::directory_bad_request(
            "Key credential end date is invalid.",
        ));
    }
    let key_id = tenant.new_id();
    let mut random = tenant.random();
    let value = (0..SECRET_LENGTH)
        .map(|_| char::from(SECRET_LETTERS[random.random_range(0..SECRET_LETTERS.len())]))
        .collect();
    Ok(Secret {
        key_id,
        display_name: wanted
            .get("displayName")
            .and_then(Value::as_str)
            .map(str::to_owned),
        value,
        starts,
        expires,
    })
}

/// A secret, with its text only when it has just been made.
pub(super) fn show_secret(secret: &Secret, is_new: bool) -> Value {
    json!({
        "customKeyIdentifier": null,
        "displayName": secret.display_name,
        "endDateTime": time(secret.expires),
        "hint": secret.value.chars().take(3).collect::<String>(),
        "keyId": secret.key_id,
        "secretText": is_new.then_some(&secret.value),
        "startDateTime": time(secret.starts),
    })
}

/// A certificate; its bytes only when they are asked for by name.
pub(super) fn show_certificate(certificate: &Certificate, app: &App, with_key: bool) -> Value {
    let thumbprint = sha1_smol::Sha1::from(&certificate.der).digest().bytes();
    let read = X509Certificate::from_der(&certificate.der).ok();
    let starts = read
        .as_ref()
        .and_then(|(_, read)| Timestamp::from_second(read.validity().not_before.timestamp()).ok())
        .unwrap_or(app.created);
    let id = certificate.key_id();
    let name = app.key_names.get(&id).cloned();
    json!({
        "customKeyIdentifier": BASE64.encode(&thumbprint),
        "displayName": name.or_else(|| read.map(|(_, read)| read.subject().to_string())),
        "endDateTime": time(certificate.expires),
        "key": with_key.then(|| BASE64.encode(&certificate.der)),
        "keyId": id,
        "startDateTime": time(starts),
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
    })
}

/// Certificates, and the names that some of them were given.
type Keys = (Vec<Certificate>, BTreeMap<Uuid, String>);

/// Reads `keyCredentials`: the whole new list, in which a known certificate may stand by its id alone.
pub(super) fn read_certificates(value: &Value, app: &App) -> Result<Keys, GraphError> {
    let invalid = |reason: &str| {
        GraphError::directory_bad_request(format!(
            "Invalid value specified for property 'keyCredentials' of resource 'Application': {reason}."
        ))
    };
    let items = value.as_array().ok_or_else(|| invalid("it is no list"))?;
    let mut certificates = Vec::new();
    let mut names = BTreeMap::new();
    for item in items {
        let certificate = match item["key"].as_str() {
            Some(key) => read_certificate(item, key).map_err(invalid)?,
            None => app
                .certificates
                .iter()
                .find(|known| item["keyId"] == json!(known.key_id()))
                .cloned()
                .ok_or_else(|| invalid("a new key credential has no key"))?,
        };
        if let Some(name) = item["displayName"].as_str() {
            names.insert(certificate.key_id(), name.to_owned());
        }
        certificates.push(certificate);
    }
    Ok((certificates, names))
}

fn read_certificate(item: &Value, key: &str) -> Result<Certificate, &'static str> {
    if item["type"] != "AsymmetricX509Cert" || item["usage"] != "Verify" {
        return Err("type and usage must be AsymmetricX509Cert and Verify");
    }
    let der = BASE64
        .decode(key.as_bytes())
        .map_err(|_| "the key is not base64")?;
    let (_, read) =
        X509Certificate::from_der(&der).map_err(|_| "the key is not an X.509 certificate")?;
    let public_key_der = read.public_key().raw.to_vec();
    RsaPublicKey::from_public_key_der(&public_key_der).map_err(|_| "the key is not RSA")?;
    let expires = Timestamp::from_second(read.validity().not_after.timestamp())
        .map_err(|_| "the certificate's time is out of range")?;
    Ok(Certificate {
        public_key_der,
        expires,
        der,
    })
}
