//! zstd, with its contexts kept for reuse and its output bounded.
//!
//! Making a context for compression costs more than compressing a small mail does, and one for expansion as much, so both are pooled; and what
//! came from storage is never allowed to expand beyond what was stated or sensible (abuse 28).

use std::sync::{Mutex, PoisonError};

use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::compress_bound,
};

use crate::{blob::Opener, error::Problem};

/// The level of restic's default: beyond it, mail gains little and costs much.
const LEVEL: i32 = 3;

/// Memory that is kept between two uses: room for all but one chunk in 400. To give back and take so much again for each leaves holes in the
/// memory of every thread that does it, of a hundred megabytes in all.
pub(crate) const KEPT_BYTES: usize = 4 << 20;
/// Idle contexts for expansion, of 160 KB each, that are kept: as many as processors usually work at once.
const KEPT_DECOMPRESSORS: usize = 16;

/// Workbenches that are idle. There are never more than threads that worked at the same time.
#[derive(Default)]
pub(crate) struct Compressors(Mutex<Vec<Workbench>>);

/// What a thread needs to seal blobs and to open them again.
pub(crate) struct Workbench {
    compressor: Compressor<'static>,
    /// What it writes to.
    room: Vec<u8>,
    pub(crate) opener: Opener,
}

impl Compressors {
    /// `plain`, compressed.
    pub(crate) fn compress(&self, plain: &[u8]) -> Vec<u8> {
        self.with(|workbench| {
            let (length, room) = workbench.compress(plain, 0, 0);
            room[..length].to_vec()
        })
    }

    /// Lends a workbench.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Workbench) -> T) -> T {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut workbench = idle.unwrap_or_else(|| Workbench {
            compressor: Compressor::new(LEVEL).expect("the level is one that zstd has"),
            room: Vec::new(),
            opener: Opener::default(),
        });
        let made = work(&mut workbench);
        workbench.opener.tidy();
        if workbench.room.len() > KEPT_BYTES {
            workbench.room = Vec::new();
        }
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(workbench);
        made
    }
}

impl Workbench {
    /// Compresses `plain`. Gives the length of the outcome and the room where it lies, so many bytes from the beginning, with place for
    /// `plain` itself and so many bytes behind.
    pub(crate) fn compress(
        &mut self,
        plain: &[u8],
        before: usize,
        behind: usize,
    ) -> (usize, &mut [u8]) {
        let needed = before + compress_bound(plain.len()) + behind;
        if self.room.len() < needed {
            self.room.resize(needed, 0);
        }
        let length = self
            .compressor
            .compress_to_buffer(plain, &mut self.room[before..])
            .expect("the output buffer is as large as zstd can need");
        (length, &mut self.room)
    }
}

static DECOMPRESSORS: Mutex<Vec<Decompressor<'static>>> = Mutex::new(Vec::new());

/// Expands `compressed` to exactly `length` bytes, in memory that was used before. After an error nothing useful is in it.
pub(crate) fn decompress_into(
    compressed: &[u8],
    length: usize,
    plain: &mut Vec<u8>,
) -> Result<(), Problem> {
    let idle = || DECOMPRESSORS.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = idle().pop();
    let made = kept.map_or_else(Decompressor::new, Ok);
    let mut decompressor = made.map_err(|_| Problem::Expansion)?;
    plain.clear();
    plain.reserve(length);
    let expanded = decompressor.decompress_to_buffer(compressed, plain);
    let mut idle = idle();
    if idle.len() < KEPT_DECOMPRESSORS {
        idle.push(decompressor);
    }
    match expanded {
        Ok(expanded) if expanded == length => Ok(()),
        _ => Err(Problem::Expansion),
    }
}

/// Expands `compressed` to at most `limit` bytes.
pub(crate) fn decompress_within(compressed: &[u8], limit: usize) -> Result<Vec<u8>, Problem> {
    use std::io::Read;
    let mut plain = Vec::new();
    let bounded = zstd::stream::read::Decoder::new(compressed)
        .map(|decoder| decoder.take(limit as u64 + 1))
        .and_then(|mut decoder| decoder.read_to_end(&mut plain));
    match bounded {
        Ok(length) if length <= limit => Ok(plain),
        _ => Err(Problem::Expansion),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_expands_beyond_its_bound() {
        let bomb = Compressors::default().compress(&vec![0; 50_000_000]);
        assert!(bomb.len() < 10_000, "abuse 28: it is small");
        assert_eq!(decompress_within(&bomb, 1 << 20), Err(Problem::Expansion));
        let mut plain = Vec::new();
        for wrong in [1 << 20, 49_999_999, 50_000_001] {
            let expanded = decompress_into(&bomb, wrong, &mut plain);
            assert_eq!(expanded, Err(Problem::Expansion));
        }
        assert_eq!(decompress_into(&bomb, 50_000_000, &mut plain), Ok(()));
        assert_eq!(plain, vec![0; 50_000_000]);
        let shorter = Compressors::default().compress(b"short");
        let expanded = decompress_into(&shorter, 4, &mut plain);
        assert_eq!(expanded, Err(Problem::Expansion), "though there is room");
        assert_eq!(decompress_into(&shorter, 5, &mut plain), Ok(()));
        assert_eq!(plain, b"short");
        assert_eq!(decompress_within(b"no zstd", 100), Err(Problem::Expansion));
    }
}
