//! What must hold for every mail that somebody loads, for the fuzz target. It is part of no ordinary build.

use bytes::Bytes;

use crate::mail::fuzzing as mail;

/// `mime` as a mail: a letter comes out, and a mail can be composed from it, which is read again.
pub fn letter(mime: &[u8]) {
    mail::letter(&Bytes::copy_from_slice(mime));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kept_corpus_holds() {
        testkit::corpus::repeat(&[("mime", letter)]);
    }
}
