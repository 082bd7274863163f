//! Index files, snapshots, locks and the configuration: JSON, compressed except for the configuration, sealed with the master key.
//!
//! Version 2 of the format puts the byte 2 before compressed JSON; text that begins with `{` or `[` is JSON as it is.

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    compression::{Compressors, decompress_within},
    crypto::Key,
    error::Problem,
};

/// Largest JSON that is read. restic lists 50,000 blobs in an index file, with some 150 bytes each; this leaves room for what prune merges.
const MAX_JSON_BYTES: usize = 128 << 20;
const COMPRESSED: u8 = 2;

/// `value` as it is stored.
pub(crate) fn encode<T: Serialize>(key: &Key, compressors: &Compressors, value: &T) -> Vec<u8> {
    let mut plain = vec![COMPRESSED];
    plain.extend(compressors.compress(&json(value)));
    key.seal(&plain)
}

/// `value` as it is stored, uncompressed: only the configuration is, so that it can be read before the version is known.
pub(crate) fn encode_uncompressed<T: Serialize>(key: &Key, value: &T) -> Vec<u8> {
    key.seal(&json(value))
}

/// What [`encode`], [`encode_uncompressed`] or restic stored.
pub(crate) fn decode<T: DeserializeOwned>(key: &Key, sealed: &[u8]) -> Result<T, Problem> {
    let plain = key.open(sealed)?;
    // Only one of the two is kept: a list of many blobs is large.
    let json = match plain.split_first() {
        Some((&COMPRESSED, compressed)) => decompress_within(compressed, MAX_JSON_BYTES)?,
        _ => plain,
    };
    serde_json::from_slice(&json).map_err(|_| Problem::Malformed)
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("these records have string keys and no failing parts")
}
