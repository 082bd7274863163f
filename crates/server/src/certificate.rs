//! A certificate for an app registration: self-signed, because Entra ID compares it with the one that was registered and asks no authority.

use data_encoding::BASE64;
use jiff::Timestamp;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_RSA_SHA256};
use rsa::{RsaPrivateKey, pkcs8::EncodePrivateKey};
use zeroize::Zeroizing;

use crate::Problem;

/// Entra ID takes 2,048 bits and more.
const KEY_BITS: usize = 2048;
/// Years until it has to be replaced.
const YEARS: i16 = 2;

/// A certificate and its private key. It shows nothing in `Debug`.
#[derive(Clone)]
pub(crate) struct Certificate {
    /// The certificate alone, for the registration: PEM.
    pub(crate) public: String,
    /// The same as one line of Base64, for a script.
    pub(crate) base64: String,
    /// Both, one PEM block after the other.
    pub(crate) whole: Zeroizing<String>,
    /// Until when it works.
    pub(crate) ends_on: String,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certificate([redacted])")
    }
}

/// Makes one. It takes up to some seconds of a processor: not for the threads that serve requests.
///
/// # Errors
/// When the system has no randomness to give.
pub(crate) fn make(now: Timestamp) -> Result<Certificate, Problem> {
    // ring makes no RSA keys, and Entra ID takes no others.
    let key =
        RsaPrivateKey::new(&mut rsa::rand_core::OsRng, KEY_BITS).map_err(Problem::internal)?;
    let key = key
        .to_pkcs8_pem(rsa::pkcs8::LineEnding::LF)
        .map_err(Problem::internal)?;
    let pair =
        KeyPair::from_pkcs8_pem_and_sign_algo(&key, &PKCS_RSA_SHA256).map_err(Problem::internal)?;
    let mut parameters = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "Keepwell");
    parameters.distinguished_name = name;
    let date = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let day = |year: i16| {
        // The first of the month, so that there is such a day in every year.
        rcgen::date_time_ymd(i32::from(year), date.month().unsigned_abs(), 1)
    };
    parameters.not_before = day(date.year());
    parameters.not_after = day(date.year() + YEARS);
    let certificate = parameters.self_signed(&pair).map_err(Problem::internal)?;
    let public = certificate.pem();
    Ok(Certificate {
        base64: BASE64.encode(certificate.der()),
        whole: Zeroizing::new(format!("{public}{}", key.as_str())),
        public,
        ends_on: format!("{}-{:02}-01", date.year() + YEARS, date.month()),
    })
}

#[cfg(test)]
mod tests {
    use super::make;

    #[test]
    fn a_certificate_signs_in_an_app() {
        let now = "2026-11-22T08:00:00Z".parse().expect("a time");
        let certificate = make(now).expect("a certificate");
        let credential = graph::Credential::certificate(&certificate.whole, &certificate.whole);
        assert!(credential.is_ok());
        assert!(!certificate.public.contains("PRIVATE"));
        assert_eq!(certificate.ends_on, "2028-11-01");
    }
}
