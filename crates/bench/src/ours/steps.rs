//! The steps that no writer of this format can leave out, on all processors and with nothing around them: the ceiling of a full backup.
//!
//! Every file is read, its blobs are hashed, compressed as we compress and encrypted, and what comes of it is hashed again, as a pack is. Nothing is
//! looked up, decoded again, written or kept.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use aes256ctr_poly1305aes::{Aes256CtrPoly1305Aes, Nonce, aead::AeadInPlace};
use anyhow::{Context, anyhow};
use sha2::{Digest, Sha256};

use super::{Span, Stopwatch, Told};
use crate::folder;

/// The level at which the repository compresses.
const LEVEL: i32 = 3;
/// A large file's blobs have about this size.
const BLOB_BYTES: usize = 1 << 20;

pub(super) fn run(source: &Path) -> anyhow::Result<Told> {
    let mut watch = Stopwatch::start();
    let files = folder::files(source)?;
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism()?.get();
    let bytes = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers)
            .map(|_| scope.spawn(|| work(&files, &next)))
            .collect();
        let mut bytes = 0;
        for worker in workers {
            bytes += worker.join().map_err(|_| anyhow!("a worker panicked"))??;
        }
        anyhow::Ok(bytes)
    })?;
    Ok(Told {
        opening: Span::default(),
        work: watch.lap(),
        items: files.len() as u64,
        bytes,
        ..Told::default()
    })
}

/// Takes files until none is left; returns how many bytes they had.
fn work(files: &[PathBuf], next: &AtomicUsize) -> anyhow::Result<u64> {
    let cipher = Aes256CtrPoly1305Aes::new(&[7; 64].into());
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    let mut plain = vec![0; BLOB_BYTES];
    let mut sealed = vec![0; zstd::zstd_safe::compress_bound(BLOB_BYTES)];
    let mut pack = Sha256::new();
    let mut total = 0;
    while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
        let mut file = File::open(path).with_context(|| path.display().to_string())?;
        loop {
            let mut bytes = 0;
            while bytes < BLOB_BYTES {
                match file.read(&mut plain[bytes..])? {
                    0 => break,
                    more => bytes += more,
                }
            }
            if bytes == 0 {
                break;
            }
            std::hint::black_box(Sha256::digest(&plain[..bytes]));
            let compressed = compressor.compress_to_buffer(&plain[..bytes], &mut sealed)?;
            cipher
                .encrypt_in_place_detached(&Nonce::default(), b"", &mut sealed[..compressed])
                .map_err(|_| anyhow!("the cipher refuses"))?;
            pack.update(&sealed[..compressed]);
            total += bytes as u64;
        }
    }
    std::hint::black_box(pack.finalize());
    Ok(total)
}
