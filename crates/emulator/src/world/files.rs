//! Real mail from a directory: every regular file is a message, every directory a folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use jiff::Timestamp;

use crate::{
    Error, FolderKey, Mailbox,
    mail::{INBOX, TOP},
};

/// How deep directories may be nested, as folders in Exchange.
const DEPTH_MAX: usize = 250;

/// Loads a directory; files directly in it go to the Inbox.
pub(super) fn load(mailbox: &mut Mailbox, directory: &Path, now: Timestamp) -> Result<(), Error> {
    load_into(mailbox, directory, INBOX, TOP, now, 0)
}

/// `messages` takes the files, `folders` is the parent of the folders.
fn load_into(
    mailbox: &mut Mailbox,
    directory: &Path,
    messages: FolderKey,
    folders: FolderKey,
    now: Timestamp,
    depth: usize,
) -> Result<(), Error> {
    if depth > DEPTH_MAX {
        return Err(Error::Invalid(format!(
            "{} is more than {DEPTH_MAX} directories deep",
            directory.display()
        )));
    }
    for path in sorted(directory)? {
        let kind = fs::symlink_metadata(&path).map_err(|e| unreadable(&path, e))?;
        if kind.is_dir() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let folder = find_or_create(mailbox, folders, &name)?;
            load_into(mailbox, &path, folder, folder, now, depth + 1)?;
        } else if kind.is_file() {
            let mime = fs::read(&path).map_err(|e| unreadable(&path, e))?;
            mailbox
                .deliver(messages, Bytes::from(mime), now)
                .map_err(|refusal| Error::Invalid(refusal.message.into_owned()))?;
        }
    }
    Ok(())
}

/// By name, because the order of a directory is the file system's whim.
fn sorted(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |error| unreadable(directory, error);
    let entries = fs::read_dir(directory).map_err(unreadable)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(unreadable)?;
    paths.sort();
    Ok(paths)
}

/// Directories whose names differ only in case are one folder, as Exchange has no two such.
fn find_or_create(
    mailbox: &mut Mailbox,
    parent: FolderKey,
    name: &str,
) -> Result<FolderKey, Error> {
    if let Some(known) = mailbox.child(parent, name) {
        return Ok(known);
    }
    mailbox
        .create_folder(parent, name, false)
        .map_err(|refusal| Error::Invalid(refusal.message.into_owned()))
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::Read {
        path: path.to_owned(),
        source,
    }
}
