//! What must hold for every input of this crate's decoders, for the fuzz targets and the tests that repeat their corpus.
//!
//! State is this crate's own, read back from a repository; messages are Microsoft's JSON and strangers' MIME. A function here returns when all is
//! well and panics otherwise. It is part of no ordinary build.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::mail::fuzzing as mail;

/// `bytes` as a shard of the messages held: what is understood is written again as it was.
pub fn items(bytes: &[u8]) {
    mail::items(bytes);
}

/// `json` as a folder's record, as the ledger and as the account's record: what is understood comes back.
pub fn records(json: &[u8]) {
    mail::records(json);
}

/// `json` as a message in a listing: it can be placed, under names that every system can restore.
pub fn message(json: &[u8]) {
    if let Ok(raw) = serde_json::from_slice::<&RawValue>(json) {
        mail::message(raw);
    }
}

/// `mime` as a stored message's MIME: something is composed from it that Graph can be sent.
pub fn compose(mime: &[u8]) {
    mail::compose(&Bytes::copy_from_slice(mime));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kept_corpus_holds() {
        testkit::corpus::repeat(&[
            ("items", items),
            ("records", records),
            ("message", message),
            ("mime", compose),
        ]);
    }
}
