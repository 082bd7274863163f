//! Blobs: what content and directories are stored as, and their sealed form inside a pack.

use sha2::{Digest, Sha256};

use crate::{
    compression::{Compressors, decompress_exactly},
    crypto::Key,
    error::{Problem, Subject},
    id::BlobId,
};

/// Largest blob that is written or read, expanded. Content is cut to 8 MiB; a directory of 100,000 mails has 29 MB.
pub(crate) const MAX_BLOB_BYTES: usize = 128 << 20;

/// What a blob is part of. Packs hold blobs of one kind.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum BlobKind {
    Content,
    Tree,
}

impl BlobKind {
    pub(crate) fn subject(self, id: BlobId) -> Subject {
        match self {
            Self::Content => Subject::Content(id),
            Self::Tree => Subject::Tree(id),
        }
    }
}

/// A blob as it goes into a pack.
pub(crate) struct SealedBlob {
    pub(crate) id: BlobId,
    pub(crate) bytes: Vec<u8>,
    /// The expanded length when it is compressed.
    pub(crate) expanded: Option<u32>,
}

/// Compresses and seals `plain`, whose hash is `id`. Content that does not get smaller is left as it is; directories are always compressed.
pub(crate) fn seal(
    key: &Key,
    compressors: &Compressors,
    kind: BlobKind,
    id: BlobId,
    plain: &[u8],
) -> SealedBlob {
    let compressed = compressors.compress(plain);
    let smaller = compressed.len() < plain.len() || kind == BlobKind::Tree;
    let (text, expanded) = if smaller {
        let length = u32::try_from(plain.len()).expect("blobs are at most 128 MiB");
        (compressed.as_slice(), Some(length))
    } else {
        (plain, None)
    };
    SealedBlob {
        id,
        bytes: key.seal(text),
        expanded,
    }
}

/// Opens a sealed blob and checks that it is the one called `id` (abuse 27).
pub(crate) fn open(
    key: &Key,
    id: BlobId,
    sealed: &[u8],
    expanded: Option<u32>,
) -> Result<Vec<u8>, Problem> {
    let length = expanded.map_or(sealed.len(), |length| length as usize);
    if length > MAX_BLOB_BYTES {
        return Err(Problem::Expansion);
    }
    let text = key.open(sealed)?;
    let plain = match expanded {
        Some(_) => decompress_exactly(&text, length)?,
        None => text,
    };
    if Sha256::digest(&plain)[..] == id.0 {
        Ok(plain)
    } else {
        Err(Problem::WrongHash)
    }
}
