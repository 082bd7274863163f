//! What must hold for every mail; see [`crate::fuzzing`].

use bytes::Bytes;

use super::{compose, parse};

pub(crate) fn letter(mime: &Bytes) {
    let letter = parse::letter(mime);
    let composed = compose::mime(&letter);
    // Base64, headers and boundaries; what is nested is composed once more at each level that the parser bears.
    assert!(
        composed.len() <= 100_000 + mime.len() * 8,
        "{} bytes of {}",
        composed.len(),
        mime.len()
    );
    let _ = parse::letter(&composed.into());
    let _ = parse::received(mime);
    let _ = compose::transport_headers(&letter);
}
