//! The `config` object: format version, identity and chunker polynomial of a repository.

use serde::{Deserialize, Serialize};

use crate::{
    crypto::Key,
    error::{Error, Problem, Result, Subject},
    id::RepositoryId,
    polynomial, sealed_file,
};

/// The one version that is written and read: the first with compression, which restic reads since 0.14.
const VERSION: u32 = 2;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Config {
    version: u32,
    pub(crate) id: RepositoryId,
    /// Hexadecimal, without leading zeros.
    chunker_polynomial: String,
}

impl Config {
    /// The configuration of a new repository.
    pub(crate) fn random() -> Self {
        Self {
            version: VERSION,
            id: RepositoryId(rand::random()),
            chunker_polynomial: format!("{:x}", polynomial::random_irreducible()),
        }
    }

    pub(crate) fn seal(&self, key: &Key) -> Vec<u8> {
        sealed_file::encode_uncompressed(key, self)
    }

    pub(crate) fn open(key: &Key, sealed: &[u8]) -> Result<Self> {
        let config: Self = sealed_file::decode(key, sealed)
            .map_err(|problem| Error::damaged(Subject::Config, problem))?;
        if config.version != VERSION {
            return Err(Error::Version(config.version));
        }
        if u64::from_str_radix(&config.chunker_polynomial, 16).is_err() {
            return Err(Error::damaged(Subject::Config, Problem::Malformed));
        }
        Ok(config)
    }
}
