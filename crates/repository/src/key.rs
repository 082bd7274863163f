//! Key files: the master key, sealed with a key that scrypt derives from a password.
//!
//! A repository may have several, one for each password; restic adds and removes them. We write one, for a password of full entropy, and
//! therefore cheaply derived; we open whatever restic wrote.

use data_encoding::BASE64;
use jiff::Timestamp;
use rand::Rng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{crypto::Key, error::Problem};

/// N = 2^14: our passwords are random keys, which no stretching makes harder to guess. Opening takes 0.06 s instead of restic's 0.4 s.
const LOG_N: u8 = 14;
const R: u32 = 8;
const P: u32 = 1;
const SALT_BYTES: usize = 64;
/// Most memory (128·N·r bytes) that a key file may make us use; restic itself uses 32 MiB.
const MAX_SCRYPT_BYTES: u64 = 1 << 30;
/// Most lanes; restic's calibration on a fast machine gives about ten.
const MAX_P: u32 = 64;

#[derive(Serialize, Deserialize)]
pub(crate) struct KeyFile {
    created: String,
    username: String,
    hostname: String,
    kdf: String,
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
    salt: String,
    data: String,
}

#[derive(Serialize, Deserialize)]
struct MasterKey {
    mac: MacKey,
    encrypt: Zeroizing<String>,
}

#[derive(Serialize, Deserialize)]
struct MacKey {
    k: Zeroizing<String>,
    r: Zeroizing<String>,
}

impl KeyFile {
    /// Seals `master` with `password`.
    pub(crate) fn seal(master: &Key, password: &str, hostname: &str, now: Timestamp) -> Self {
        let mut salt = [0; SALT_BYTES];
        rand::rng().fill_bytes(&mut salt);
        let params = scrypt::Params::new(LOG_N, R, P).expect("our parameters are valid");
        Self {
            created: now.to_string(),
            username: "keepwell".to_owned(),
            hostname: hostname.to_owned(),
            kdf: "scrypt".to_owned(),
            n: 1 << LOG_N,
            r: R,
            p: P,
            salt: BASE64.encode(&salt),
            data: BASE64.encode(&derive(password, &salt, &params).seal(&to_json(master))),
        }
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        serde_json::from_slice(bytes).map_err(|_| Problem::Malformed)
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a record of texts and numbers")
    }

    /// The master key, or nothing when `password` is not this key's.
    pub(crate) fn open(&self, password: &str) -> Result<Option<Key>, Problem> {
        let salt = decode(&self.salt)?;
        let data = decode(&self.data)?;
        let master = match derive(password, &salt, &self.params()?).open(&data) {
            Ok(json) => Zeroizing::new(json),
            Err(Problem::BrokenSeal) => return Ok(None),
            Err(problem) => return Err(problem),
        };
        from_json(&master).map(Some)
    }

    fn params(&self) -> Result<scrypt::Params, Problem> {
        let sensible = self.kdf == "scrypt"
            && self.n.is_power_of_two()
            && self
                .n
                .checked_mul(128 * u64::from(self.r.min(1 << 20)))
                .is_some_and(|bytes| bytes <= MAX_SCRYPT_BYTES)
            && self.p <= MAX_P;
        if !sensible {
            return Err(Problem::Malformed);
        }
        // A power of two has at most 63 trailing zeros.
        scrypt::Params::new(self.n.trailing_zeros() as u8, self.r, self.p)
            .map_err(|_| Problem::Malformed)
    }
}

fn derive(password: &str, salt: &[u8], params: &scrypt::Params) -> Key {
    let mut derived = Zeroizing::new([0; 64]);
    scrypt::scrypt(password.as_bytes(), salt, params, &mut derived[..])
        .expect("64 bytes are a length that scrypt can give");
    Key::from_bytes(*derived)
}

fn to_json(master: &Key) -> Zeroizing<Vec<u8>> {
    let (encrypt, mac) = master.as_bytes().split_at(32);
    let (k, r) = mac.split_at(16);
    let encoded = |bytes| Zeroizing::new(BASE64.encode(bytes));
    let record = MasterKey {
        mac: MacKey {
            k: encoded(k),
            r: encoded(r),
        },
        encrypt: encoded(encrypt),
    };
    Zeroizing::new(serde_json::to_vec(&record).expect("a record of texts"))
}

fn from_json(json: &[u8]) -> Result<Key, Problem> {
    let record: MasterKey = serde_json::from_slice(json).map_err(|_| Problem::Malformed)?;
    let parts = [&record.encrypt, &record.mac.k, &record.mac.r];
    let mut joined = Zeroizing::new(Vec::with_capacity(64));
    for (part, length) in parts.into_iter().zip([32, 16, 16]) {
        let bytes = Zeroizing::new(decode(part)?);
        if bytes.len() != length {
            return Err(Problem::Malformed);
        }
        joined.extend_from_slice(&bytes);
    }
    let bytes: [u8; 64] = joined[..].try_into().map_err(|_| Problem::Malformed)?;
    Ok(Key::from_bytes(bytes))
}

fn decode(base64: &str) -> Result<Vec<u8>, Problem> {
    BASE64
        .decode(base64.as_bytes())
        .map_err(|_| Problem::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_opens_with_its_password_only() {
        let master = Key::random();
        let file = KeyFile::seal(&master, "right", "here", Timestamp::UNIX_EPOCH);
        let file = KeyFile::parse(&file.to_bytes()).expect("what we wrote");
        let opened = file.open("right").expect("it is whole");
        assert_eq!(
            opened.expect("the password is right").as_bytes(),
            master.as_bytes()
        );
        assert!(file.open("wrong").expect("it is whole").is_none());
    }

    #[test]
    fn nonsensical_parameters_are_refused() {
        for (n, r, p) in [
            (0, 8, 1),
            (3, 8, 1),
            (1 << 40, 8, 1),
            (1 << 14, u32::MAX, 1),
            (1 << 14, 8, 1 << 20),
            (2, 0, 1),
        ] {
            let mut file = KeyFile::seal(&Key::random(), "x", "here", Timestamp::UNIX_EPOCH);
            (file.n, file.r, file.p) = (n, r, p);
            assert_eq!(
                file.open("x").err(),
                Some(Problem::Malformed),
                "{n} {r} {p}"
            );
        }
    }
}
