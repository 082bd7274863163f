//! What a user of the repository has made of directories, so that it need not be made again: beside the blobs, and within their bound.
//!
//! ```text
//! length before compression (u32, little-endian) | what was made, compressed                          all of it sealed
//! ```
//!
//! The key is derived from the master key and the directory's id, so that no file can stand for another directory's. A directory with other content has another
//! id, so that nothing here is ever outdated.

use std::{fs, io, path::Path};

use super::{Cache, Folder};
use crate::{compression, crypto::Key, id::BlobId};

/// In the cache.
const FOLDER: &str = "blobs";
/// Of the files' names.
const EXTENSION: &str = "summary";
/// Most bytes that are kept of a directory, compressed.
const SEALED_BYTES_MAX: usize = 1 << 20;
/// Most bytes before compression: what is larger is not ours.
const BYTES_MAX: usize = 32 << 20;

impl Cache {
    /// What was made of a directory, if it is here.
    pub(crate) fn summary(&self, directory: BlobId) -> Option<Vec<u8>> {
        let (folder, name) = (self.summaries(), self.summary_name(directory));
        let sealed = folder.read(&name)?;
        let opened = self.summary_key(directory).open(&sealed).ok();
        let opened = opened.and_then(|opened| {
            let (length, compressed) = opened.split_first_chunk()?;
            let length = u32::from_le_bytes(*length) as usize;
            let mut plain = Vec::new();
            let fits = length <= BYTES_MAX;
            let expanded =
                fits.then(|| compression::decompress_into(compressed, length, &mut plain));
            expanded?.ok().map(|()| plain)
        });
        match &opened {
            Some(_) => _ = self.touch(&folder.path(&name)),
            None => folder.remove(&name),
        }
        opened
    }

    /// Whether something is kept of a directory, which counts as used.
    pub(crate) fn has_summary(&self, directory: BlobId) -> bool {
        self.touch(&self.summaries().path(&self.summary_name(directory)))
    }

    /// Keeps what was made of a directory: so many bytes, compressed.
    pub(crate) fn keep_summary(&self, directory: BlobId, length: usize, compressed: &[u8]) {
        if length > BYTES_MAX || compressed.len() > SEALED_BYTES_MAX {
            return;
        }
        let mut plain = (length as u32).to_le_bytes().to_vec();
        plain.extend_from_slice(compressed);
        let sealed = self.summary_key(directory).seal(&plain);
        self.keep(&self.summaries(), &self.summary_name(directory), &sealed);
    }

    fn summaries(&self) -> Folder {
        self.0.folder.within(FOLDER)
    }

    fn summary_name(&self, directory: BlobId) -> String {
        format!("{}.{EXTENSION}", self.blob_name(directory))
    }

    fn summary_key(&self, directory: BlobId) -> Key {
        self.0.key.derive("cached summary", &directory.0)
    }
}

/// Removes what was made of all directories from the local cache at `cache` of a repository, which need not be opened. That there is none is no error.
///
/// # Errors
/// When the folder cannot be read, or a file not removed.
pub fn forget_summaries(cache: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(cache.join(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == EXTENSION) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::SystemClock;

    use super::*;
    use crate::compression::Compressors;

    #[test]
    fn what_was_made_of_a_directory_is_found_for_it_alone_until_it_is_forgotten() {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let path = folder.path().to_owned();
        let cache = Cache::new(path.clone(), Key::random(), Arc::new(SystemClock::new()));
        let keep = |directory, plain: &[u8]| {
            let compressed = Compressors::default().compress(plain);
            cache.keep_summary(directory, plain.len(), &compressed);
        };
        let [one, other] = [b"one", b"two"].map(|content| BlobId::of(content));
        assert!(!cache.has_summary(one) && cache.summary(one).is_none());
        keep(one, b"a list of messages");
        assert!(cache.has_summary(one) && !cache.has_summary(other));
        assert_eq!(
            cache.summary(one).as_deref(),
            Some(&b"a list of messages"[..])
        );

        // Another directory's does not open, nor does what was changed; both are removed.
        let file = |directory| cache.summaries().path(&cache.summary_name(directory));
        let sealed = fs::read(file(one)).expect("it was kept");
        assert!(!sealed.windows(4).any(|part| part == b"list"));
        fs::write(file(other), &sealed).expect("a copy");
        let mut changed = sealed;
        changed[20] ^= 1;
        fs::write(file(one), changed).expect("a change");
        for directory in [one, other] {
            assert_eq!(cache.summary(directory), None);
            assert!(!file(directory).exists());
        }

        keep(one, b"1");
        keep(other, b"2");
        forget_summaries(&path).expect("they can be removed");
        assert!(!cache.has_summary(one) && !cache.has_summary(other));
        let mut large = vec![0; SEALED_BYTES_MAX + 1];
        large.fill_with(rand::random);
        keep(one, &large);
        assert!(!cache.has_summary(one), "too large to be kept");
    }
}
