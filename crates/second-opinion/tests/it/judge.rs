//! rustic_core on a folder that it may only read.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use rustic_core::{
    BytesList, CheckOptions, Credentials, ErrorKind, FileType, Id, LsOptions, ReadBackend,
    Repository, RepositoryBackends, RepositoryOptions, RusticError, RusticResult, WriteBackend,
    repofile::{Node, SnapshotFile},
};

use crate::ours::{PASSWORD, Plain, files};

/// A repository's folder. It is never written to: whatever tries is refused.
struct Folder(PathBuf);

impl Folder {
    fn path(&self, kind: FileType, id: &Id) -> PathBuf {
        let hex = id.to_hex();
        match kind {
            FileType::Config => self.0.join("config"),
            FileType::Pack => self.0.join("data").join(&hex.as_str()[..2]).join(hex),
            _ => self.0.join(kind.dirname()).join(hex),
        }
    }
}

fn failed(error: io::Error) -> Box<RusticError> {
    RusticError::with_source(ErrorKind::Backend, "the folder cannot be read", error)
}

impl ReadBackend for Folder {
    fn location(&self) -> String {
        self.0.display().to_string()
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        let listed = if kind == FileType::Config {
            Ok(vec![self.0.join("config")])
        } else {
            files(&self.0.join(kind.dirname()))
        };
        let listed = listed.map_err(failed)?.into_iter();
        listed
            .map(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                // The configuration is the one file that is not named by its hash.
                let id = if kind == FileType::Config {
                    Id::default()
                } else {
                    name.parse()?
                };
                let size = fs::metadata(&path).map_err(failed)?.len();
                Ok((id, u32::try_from(size).unwrap_or(u32::MAX)))
            })
            .collect()
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<Bytes> {
        let read = fs::read(self.path(kind, id));
        Ok(read.map_err(failed)?.into())
    }

    fn read_partial(
        &self,
        kind: FileType,
        id: &Id,
        _cacheable: bool,
        offset: u32,
        length: u32,
    ) -> RusticResult<Bytes> {
        let mut bytes = vec![0; length as usize];
        let mut read = || {
            let mut file = File::open(self.path(kind, id))?;
            file.seek(SeekFrom::Start(offset.into()))?;
            file.read_exact(&mut bytes)
        };
        read().map_err(failed)?;
        Ok(bytes.into())
    }

    fn warmup_path(&self, kind: FileType, id: &Id) -> String {
        self.path(kind, id).display().to_string()
    }
}

impl WriteBackend for Folder {
    fn write_bytes(&self, _: FileType, _: &Id, _: bool, _: BytesList) -> RusticResult<()> {
        Err(failed(io::ErrorKind::ReadOnlyFilesystem.into()))
    }

    fn remove(&self, _: FileType, _: &Id, _: bool) -> RusticResult<()> {
        Err(failed(io::ErrorKind::ReadOnlyFilesystem.into()))
    }
}

fn open(path: &Path) -> Result<Repository<impl rustic_core::Open + use<>>> {
    let folder = Folder(path.to_owned());
    let backends = RepositoryBackends::new(Arc::new(folder), None);
    let options = RepositoryOptions::default().no_cache(true);
    Ok(Repository::new(&options, &backends)?.open(&Credentials::password(PASSWORD))?)
}

/// Reads every byte. What was found, warnings included; nothing if all is sound.
pub(crate) fn findings(path: &Path) -> Result<Vec<String>> {
    let found = open(path)?.check(CheckOptions::default().read_data(true))?;
    Ok(found
        .0
        .into_iter()
        .map(|(_, finding)| finding.to_string())
        .collect())
}

/// Everything in every snapshot, by the snapshot's id: the content of files, and nothing for a directory.
pub(crate) fn contents(path: &Path) -> Result<BTreeMap<String, Plain>> {
    let repository = open(path)?.to_indexed_checked()?;
    let mut found = BTreeMap::new();
    for snapshot in repository.get_all_snapshots()? {
        let mut plain = Plain::new();
        for entry in repository.ls(&root(&snapshot), &LsOptions::default())? {
            let (path, node) = entry?;
            let path = path.to_string_lossy().into_owned();
            let content = if node.is_dir() {
                None
            } else if node.is_file() {
                let mut bytes = Vec::new();
                repository.dump(&node, &mut bytes)?;
                ensure!(bytes.len() as u64 == node.meta.size, "the size of {path}");
                Some(bytes.into())
            } else {
                bail!("{path} is neither a file nor a directory");
            };
            ensure!(
                plain.insert(path.clone(), content).is_none(),
                "{path} is there twice"
            );
        }
        found.insert(snapshot.id.to_hex().to_string(), plain);
    }
    Ok(found)
}

fn root(snapshot: &SnapshotFile) -> Node {
    Node {
        subtree: Some(snapshot.tree),
        node_type: rustic_core::repofile::NodeType::Dir,
        ..Node::default()
    }
}
