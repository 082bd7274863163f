//! Which folder claims each message that a run heard of.
//!
//! A run over a large mailbox hears of every message, so what it remembers of each is small: 32 bytes, in sorted buckets that grow by an eighth,
//! some 40 bytes a message in all. It does not know what a claim is good for.

use jiff::Timestamp;

use crate::mail::layout::IdHash;

/// So many that a bucket of a million messages' claims is moved in a microsecond.
const BUCKETS: usize = 1 << 12;
/// A bucket that is full grows by this part of its length.
const GROWTH: usize = 8;
/// And by so many at least.
const GROWTH_MIN: usize = 4;
/// When a message was changed is not known.
const UNKNOWN: i64 = i64::MIN;

/// The claims of a run.
#[derive(Default)]
pub(super) struct Claims {
    /// By the first bits of the hash; empty until the first claim, so that a quiet run costs nothing.
    buckets: Vec<Vec<Claim>>,
    /// The folders that claims name by their place here.
    folders: Vec<IdHash>,
    reports: u32,
}

#[derive(Clone, Copy)]
struct Claim {
    hash: IdHash,
    /// Microseconds since 1970, or [`UNKNOWN`].
    modified: i64,
    folder: u32,
    report: u32,
}

impl Claims {
    /// Notes that the folder reports the message. Returns the number of this report; a later one is greater.
    pub(super) fn insert(
        &mut self,
        hash: IdHash,
        folder: IdHash,
        modified: Option<Timestamp>,
    ) -> u32 {
        self.reports += 1;
        let claim = Claim {
            hash,
            modified: modified.map_or(UNKNOWN, Timestamp::as_microsecond),
            folder: self.number(folder),
            report: self.reports,
        };
        if self.buckets.is_empty() {
            self.buckets.resize_with(BUCKETS, Vec::new);
        }
        let bucket = &mut self.buckets[bucket_of(&hash)];
        match bucket.binary_search_by_key(&hash, |claim| claim.hash) {
            Ok(at) => bucket[at] = claim,
            Err(at) => {
                if bucket.len() == bucket.capacity() {
                    bucket.reserve_exact((bucket.len() / GROWTH).max(GROWTH_MIN));
                }
                bucket.insert(at, claim);
            }
        }
        self.reports
    }

    /// The number of the report that stands for the message.
    pub(super) fn report(&self, hash: &IdHash) -> Option<u32> {
        self.get(hash).map(|claim| claim.report)
    }

    /// The folder that claims the message.
    pub(super) fn folder(&self, hash: &IdHash) -> Option<IdHash> {
        let claim = self.get(hash)?;
        Some(self.folders[claim.folder as usize])
    }

    /// Whether what is claimed was changed later than `modified`: then a report of that time is of the past.
    pub(super) fn is_newer(&self, hash: &IdHash, modified: Option<Timestamp>) -> bool {
        match (self.get(hash), modified) {
            (Some(claim), Some(modified)) => claim.modified > modified.as_microsecond(),
            _ => false,
        }
    }

    /// Whether the folder claims a message whose hash begins so.
    pub(super) fn has_suffix(&self, suffix: &[u8; 8], folder: &IdHash) -> bool {
        let Some(folder) = self.folders.iter().position(|known| known == folder) else {
            return false;
        };
        let mut first = [0; 16];
        first[..8].copy_from_slice(suffix);
        let first = IdHash(first);
        let Some(bucket) = self.buckets.get(bucket_of(&first)) else {
            return false;
        };
        let from = bucket.partition_point(|claim| claim.hash < first);
        bucket[from..]
            .iter()
            .take_while(|claim| claim.hash.0.starts_with(suffix))
            .any(|claim| claim.folder as usize == folder)
    }

    /// Whether a claim was ever made for the folder.
    pub(super) fn names_folder(&self, folder: &IdHash) -> bool {
        self.folders.contains(folder)
    }

    /// Forgets the claim to a message.
    pub(super) fn remove(&mut self, hash: &IdHash) {
        if let Some(bucket) = self.buckets.get_mut(bucket_of(hash))
            && let Ok(at) = bucket.binary_search_by_key(hash, |claim| claim.hash)
        {
            bucket.remove(at);
        }
    }

    /// Forgets all claims of a folder.
    pub(super) fn forget_folder(&mut self, folder: &IdHash) {
        if let Some(number) = self.folders.iter().position(|known| known == folder) {
            for bucket in &mut self.buckets {
                bucket.retain(|claim| claim.folder as usize != number);
            }
        }
    }

    fn get(&self, hash: &IdHash) -> Option<&Claim> {
        let bucket = self.buckets.get(bucket_of(hash))?;
        let at = bucket.binary_search_by_key(hash, |claim| claim.hash);
        Some(&bucket[at.ok()?])
    }

    fn number(&mut self, folder: IdHash) -> u32 {
        let known = self.folders.iter().rposition(|known| *known == folder);
        let number = known.unwrap_or_else(|| {
            self.folders.push(folder);
            self.folders.len() - 1
        });
        u32::try_from(number).expect("a mailbox has fewer than four billion folders")
    }
}

fn bucket_of(hash: &IdHash) -> usize {
    (usize::from(u16::from_be_bytes([hash.0[0], hash.0[1]])) * BUCKETS) >> 16
}

#[cfg(test)]
mod tests {
    use model::ItemId;

    use super::*;

    fn hash(text: &str) -> IdHash {
        IdHash::of(&ItemId::new(text).expect("an identifier"))
    }

    #[test]
    fn the_last_report_of_a_message_stands() {
        let (message, a, b) = (hash("message"), hash("a"), hash("b"));
        let (early, late) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        let mut claims = Claims::default();
        assert!(!claims.is_newer(&message, Some(early)));
        let first = claims.insert(message, a, None);
        assert!(!claims.is_newer(&message, Some(early)), "nobody knows");
        let second = claims.insert(message, b, Some(late));
        assert!(second > first);
        assert_eq!(claims.report(&message), Some(second));
        assert_eq!(claims.folder(&message), Some(b));
        assert!(claims.is_newer(&message, Some(early)));
        let suffix = message.0[..8].try_into().expect("8 bytes");
        assert!(claims.has_suffix(&suffix, &b) && !claims.has_suffix(&suffix, &a));
        claims.forget_folder(&a);
        assert_eq!(
            claims.folder(&message),
            Some(b),
            "a claims nothing any more"
        );
        claims.forget_folder(&b);
        assert_eq!(claims.folder(&message), None);
        claims.insert(message, a, None);
        claims.remove(&message);
        assert_eq!(claims.report(&message), None);
    }

    #[test]
    fn a_million_claims_take_some_forty_bytes_each() {
        const MANY: usize = 1_000_000;
        let folder = hash("inbox");
        let mut claims = Claims::default();
        for n in 0..MANY {
            // As well spread as a hash is, and made in a fraction of the time.
            let spread = (n as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            claims.insert(IdHash(spread.to_be_bytes()), folder, None);
        }
        let room: usize = claims.buckets.iter().map(Vec::capacity).sum();
        let bytes = room * size_of::<Claim>() + BUCKETS * size_of::<Vec<Claim>>();
        assert!(bytes < 40 * MANY, "{} bytes each", bytes / MANY);
    }
}
