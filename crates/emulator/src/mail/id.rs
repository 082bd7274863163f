//! Identifiers as Exchange shapes them: Base64 over fixed fields and a counter, so that they have the lengths, the
//! prefixes and the case-sensitivity that clients meet, and can be read back without an index.
//!
//! A message has two: the default id changes whenever the message changes folder, the immutable one never does. A
//! folder has one, which is stable. Two ids may differ in the case of one letter only.

use data_encoding::{BASE64, BASE64URL};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Which of a message's two ids a caller asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum IdForm {
    /// The id that changes when the message moves.
    Default,
    /// The id that stays (`Prefer: IdType="ImmutableId"`).
    Immutable,
}

/// Bytes of the entry id inside a message's default id.
const MESSAGE_ENTRY: usize = 70;
/// Bytes of the entry id inside a folder's id and inside an immutable id.
const SHORT_ENTRY: usize = 46;
/// Where the six-byte counter ends, from the end of an entry id.
const COUNTER_FROM_END: usize = 2;

/// The ids of one mailbox: all are derived from its GUID and a counter.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    guid: Uuid,
}

impl Ids {
    pub(crate) fn new(guid: Uuid) -> Self {
        Self { guid }
    }

    /// 120 characters.
    pub(crate) fn folder(&self, number: u64) -> String {
        BASE64URL.encode(&self.long(b"folder", number, SHORT_ENTRY))
    }

    /// 152 characters.
    pub(crate) fn message(&self, instance: u64) -> String {
        BASE64URL.encode(&self.long(b"message", instance, MESSAGE_ENTRY))
    }

    /// 68 characters, beginning with `AAkALg`.
    pub(crate) fn immutable(&self, key: u64) -> String {
        let mut bytes = vec![0, 9, 0, 0x2e, 0];
        bytes.extend(self.entry(b"immutable", key, SHORT_ENTRY));
        BASE64URL.encode(&bytes)
    }

    /// The id of an attachment: that of its message, continued.
    pub(crate) fn attachment(&self, message: &str, number: u64) -> String {
        let mut bytes = BASE64URL.decode(message.as_bytes()).unwrap_or_default();
        bytes.extend([1, 0x12, 0, 0x10, 0]);
        bytes.extend(&self.digest(b"attachment", &number.to_be_bytes())[..16]);
        BASE64URL.encode(&bytes)
    }

    /// 80 characters; messages of a thread share it.
    pub(crate) fn conversation(&self, thread: &[u8; 16]) -> String {
        let mut bytes = self.owner(4);
        bytes.extend([0x10, 0]);
        bytes.extend(thread);
        BASE64URL.encode(&bytes)
    }

    /// 40 characters; a new one for each change.
    pub(crate) fn change_key(&self, change: u64) -> String {
        let mut bytes = vec![9, 0, 0, 0, 0x16, 0, 0, 0];
        bytes.extend(&self.digest(b"replica", &[])[..16]);
        bytes.extend(&change.to_be_bytes()[2..]);
        BASE64.encode(&bytes)
    }

    /// The counter in a folder's id, or nothing if this mailbox never made that id.
    pub(crate) fn read_folder(&self, id: &str) -> Option<u64> {
        self.read(id, |number| self.folder(number))
    }

    /// The counter in a default message id, or nothing if this mailbox never made that id.
    pub(crate) fn read_message(&self, id: &str) -> Option<u64> {
        self.read(id, |instance| self.message(instance))
    }

    /// The counter in an immutable message id, or nothing if this mailbox never made that id.
    pub(crate) fn read_immutable(&self, id: &str) -> Option<u64> {
        self.read(id, |key| self.immutable(key))
    }

    /// Decodes the counter and makes the id again: only an exact match, also in case, is one of ours.
    fn read(&self, id: &str, make: impl Fn(u64) -> String) -> Option<u64> {
        let bytes = BASE64URL.decode(id.as_bytes()).ok()?;
        let trailer = if bytes.get(1) == Some(&9) { 0 } else { 1 };
        let end = bytes.len().checked_sub(COUNTER_FROM_END + trailer)?;
        let digits = bytes.get(end.checked_sub(6)?..end)?;
        let counter = digits
            .iter()
            .fold(0, |sum, digit| sum << 8 | u64::from(*digit));
        (make(counter) == id).then_some(counter)
    }

    fn long(&self, kind: &[u8], counter: u64, length: usize) -> Vec<u8> {
        let mut bytes = self.owner(3);
        bytes.extend([u8::try_from(length).unwrap_or(u8::MAX), 0]);
        bytes.extend(self.entry(kind, counter, length));
        bytes.push(0);
        bytes
    }

    /// The head that names the mailbox: storage kind, length, GUID as text.
    fn owner(&self, kind: u8) -> Vec<u8> {
        let mut bytes = vec![0, kind, 0x24, 0];
        bytes.extend(self.guid.hyphenated().to_string().as_bytes());
        bytes
    }

    fn entry(&self, kind: &[u8], counter: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; 4];
        bytes.extend(self.digest(kind, &[]));
        bytes.extend(self.digest(kind, b"more"));
        bytes.truncate(length - 8);
        bytes.extend(&counter.to_be_bytes()[2..]);
        bytes.extend([0; COUNTER_FROM_END]);
        bytes
    }

    fn digest(&self, kind: &[u8], more: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.guid.as_bytes());
        hash.update(kind);
        hash.update(more);
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> Ids {
        Ids::new(Uuid::from_u128(7))
    }

    #[test]
    fn ids_have_the_shape_of_exchange() {
        let message = ids().message(5);
        assert_eq!(message.len(), 152);
        assert!(
            message.starts_with("AAMkA") && message.ends_with("AAA="),
            "{message}"
        );
        assert_eq!(ids().folder(5).len(), 120);
        let immutable = ids().immutable(5);
        assert_eq!(immutable.len(), 68);
        assert!(immutable.starts_with("AAkALg"), "{immutable}");
        assert_eq!(ids().conversation(&[0; 16]).len(), 80);
        assert_eq!(ids().change_key(5).len(), 40);
    }

    #[test]
    fn ids_are_read_back_exactly_or_not_at_all() {
        for counter in [0, 1, 63, 64, 1 << 40] {
            assert_eq!(ids().read_message(&ids().message(counter)), Some(counter));
            assert_eq!(ids().read_folder(&ids().folder(counter)), Some(counter));
            assert_eq!(
                ids().read_immutable(&ids().immutable(counter)),
                Some(counter)
            );
        }
        let folder = ids().folder(9);
        assert_eq!(ids().read_message(&folder), None);
        assert_eq!(ids().read_folder(&folder.to_lowercase()), None);
        assert_eq!(Ids::new(Uuid::from_u128(8)).read_folder(&folder), None);
    }

    #[test]
    fn some_ids_differ_only_in_case() {
        // abuse 55
        let ids: Vec<String> = (0..1024).map(|n| ids().message(n)).collect();
        let mut folded: Vec<String> = ids.iter().map(|id| id.to_lowercase()).collect();
        folded.sort();
        folded.dedup();
        assert!(folded.len() < ids.len());
    }
}
