//! Blobs: what content and directories are stored as, and their sealed form inside a pack.

use sha2::{Digest, Sha256};

use crate::{
    compression::{KEPT_BYTES, Workbench, decompress_into},
    crypto::{Key, NONCE_BYTES, OVERHEAD_BYTES, TAG_BYTES},
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
#[derive(Clone, Copy)]
pub(crate) struct SealedBlob<'a> {
    pub(crate) id: BlobId,
    pub(crate) bytes: &'a [u8],
    /// The expanded length when it is compressed.
    pub(crate) expanded: Option<u32>,
}

/// Compresses and seals `plain`, whose hash is `id`. Content that does not get smaller is left as it is; directories are always compressed.
pub(crate) fn seal<'a>(
    key: &Key,
    workbench: &'a mut Workbench,
    kind: BlobKind,
    id: BlobId,
    plain: &[u8],
) -> SealedBlob<'a> {
    let (compressed, room) = workbench.compress(plain, NONCE_BYTES, TAG_BYTES);
    let smaller = compressed < plain.len() || kind == BlobKind::Tree;
    let (text, expanded) = if smaller {
        let length = u32::try_from(plain.len()).expect("blobs are at most 128 MiB");
        (compressed, Some(length))
    } else {
        room[NONCE_BYTES..][..plain.len()].copy_from_slice(plain);
        (plain.len(), None)
    };
    let sealed = &mut room[..text + OVERHEAD_BYTES];
    key.seal_in_place(sealed);
    SealedBlob {
        id,
        bytes: sealed,
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
    let mut opener = Opener::default();
    opener.open(key, id, sealed, expanded)?;
    Ok(match expanded {
        Some(_) => opener.plain,
        None => opener.text,
    })
}

/// Opens blobs one after the other in the same memory.
#[derive(Default)]
pub(crate) struct Opener {
    text: Vec<u8>,
    plain: Vec<u8>,
}

impl Opener {
    /// Gives back memory that is seldom needed.
    pub(crate) fn tidy(&mut self) {
        for memory in [&mut self.text, &mut self.plain] {
            if memory.capacity() > KEPT_BYTES {
                *memory = Vec::new();
            }
        }
    }

    /// As [`open`].
    pub(crate) fn open(
        &mut self,
        key: &Key,
        id: BlobId,
        sealed: &[u8],
        expanded: Option<u32>,
    ) -> Result<&[u8], Problem> {
        let length = expanded.map_or(sealed.len(), |length| length as usize);
        if length > MAX_BLOB_BYTES {
            return Err(Problem::Expansion);
        }
        key.open_into(sealed, &mut self.text)?;
        let plain = match expanded {
            Some(_) => {
                decompress_into(&self.text, length, &mut self.plain)?;
                &self.plain
            }
            None => &self.text,
        };
        if Sha256::digest(plain)[..] == id.0 {
            Ok(plain)
        } else {
            Err(Problem::WrongHash)
        }
    }
}
