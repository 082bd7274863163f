//! The cache's folder: small files that appear whole or not at all, and operations that fail in silence.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// What a file is called while it is written.
const STAGING: &str = "new";

/// Tells apart what this process is writing at the same time.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// A folder of a cache. It is made when something is first written into it.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// A folder in this one.
    pub(super) fn within(&self, name: &str) -> Self {
        Self(self.0.join(name))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The whole file, if it is there and can be read.
    pub(super) fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.path(name)).ok()
    }

    /// Writes a file, whole or not at all. Says whether it is there now.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> bool {
        self.stage(name, content, false).is_ok()
    }

    /// As [`write`](Self::write), and the file outlasts a loss of power.
    pub(super) fn write_durably(&self, name: &str, content: &[u8]) -> bool {
        let synchronised = || fs::File::open(&self.0)?.sync_all();
        self.stage(name, content, true).is_ok() && (cfg!(windows) || synchronised().is_ok())
    }

    pub(super) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).ok();
    }

    /// What is in the folder, but for what is being written, and what an interrupted write has left.
    pub(super) fn list(&self) -> Vec<fs::DirEntry> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        entries.filter(|entry| !is_staging(entry)).collect()
    }

    /// Whether files can be written.
    pub(super) fn is_writable(&self) -> bool {
        let name = "probe";
        let writable = self.write(name, b"");
        self.remove(name);
        writable
    }

    /// Removes what interrupted writes have left. Who is writing at this moment fails, and does without.
    pub(super) fn remove_staging(&self) {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        for entry in entries.filter(is_staging) {
            fs::remove_file(entry.path()).ok();
        }
    }

    fn stage(&self, name: &str, content: &[u8], durable: bool) -> io::Result<()> {
        let number = WRITES.fetch_add(1, Ordering::Relaxed);
        let staging = self.path(&format!("{name}.{}-{number}.{STAGING}", std::process::id()));
        let written = match write_new(&staging, content, durable) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.0)?;
                write_new(&staging, content, durable)
            }
            written => written,
        };
        let renamed = written.and_then(|()| fs::rename(&staging, self.path(name)));
        if renamed.is_err() {
            fs::remove_file(&staging).ok();
        }
        renamed
    }
}

fn write_new(path: &Path, content: &[u8], durable: bool) -> io::Result<()> {
    use io::Write;
    let mut file = fs::File::create_new(path)?;
    file.write_all(content)?;
    if durable { file.sync_all() } else { Ok(()) }
}

fn is_staging(entry: &fs::DirEntry) -> bool {
    Path::new(&entry.file_name())
        .extension()
        .is_some_and(|extension| extension == STAGING)
}
