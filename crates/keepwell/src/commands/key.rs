//! `keepwell key`: makes the server's key, once, and tells keys apart.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
    path::Path,
};

use anyhow::{Context, bail};
use secrets::ServerKey;
use zeroize::Zeroizing;

use crate::{cli, exit::Verdict, out};

/// Carries out one of the sub-commands.
pub(crate) fn run(command: cli::Key) -> anyhow::Result<Verdict> {
    match command {
        cli::Key::Create { file } => {
            out::result(&id(&make(&file)?))?;
            out::story(
                "keep a copy of this file where the server is not: without it nothing in the database opens",
            );
            Ok(Verdict::Good)
        }
        cli::Key::ShowId { file } => {
            out::result(&id(&read(&file)?))?;
            Ok(Verdict::Good)
        }
    }
}

/// Makes a key in a new file, which only its owner reads. One that is there is never replaced: everything that it sealed would be lost.
pub(crate) fn make(file: &Path) -> anyhow::Result<ServerKey> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut open = match options.open(file) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!(
            "{} is there already, and a key is never replaced: what it sealed would be lost",
            file.display()
        ),
        open => open.with_context(|| format!("{} could not be made", file.display()))?,
    };
    let key = ServerKey::random();
    open.write_all(key.to_text().as_bytes())
        .and_then(|()| open.sync_all())
        .with_context(|| format!("{} could not be written", file.display()))?;
    Ok(key)
}

/// The key in a file.
pub(crate) fn read(file: &Path) -> anyhow::Result<ServerKey> {
    #[cfg(unix)]
    if let Ok(about) = std::fs::metadata(file) {
        let mode = std::os::unix::fs::PermissionsExt::mode(&about.permissions());
        if mode & 0o077 != 0 {
            bail!(
                "{} can be read by others than its owner: chmod 600 it",
                file.display()
            );
        }
    }
    let text = std::fs::read_to_string(file)
        .map(Zeroizing::new)
        .with_context(|| {
            format!(
                "the server's key {} cannot be read; a first one is made by keepwell key create",
                file.display()
            )
        })?;
    ServerKey::from_text(&text).with_context(|| format!("{} holds no key", file.display()))
}

/// A password of sixteen letters and digits that nobody mixes up, for a user who is made here.
pub(crate) fn password() -> String {
    let key = ServerKey::random().to_text();
    let letters = key.chars().rev().filter(char::is_ascii_alphanumeric);
    letters.take(16).collect()
}

/// What tells keys apart, and nothing of the key.
fn id(key: &ServerKey) -> String {
    key.key().id().map(|byte| format!("{byte:02x}")).concat()
}
