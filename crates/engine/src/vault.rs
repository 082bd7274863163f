//! The data folder: which accounts there are, where their repositories lie, and how their passwords come about.
//!
//! ```text
//! recovery-key            the organization's recovery key, 64 hexadecimal digits; whoever has it and the rest has everything. It is not there
//!                         where a server keeps it elsewhere
//! accounts/<id>.json      an account's identity, its secret and its repository's id; destroying it makes the repository unreadable for good
//! repositories/<id>/      the account's repository, as stock restic reads it
//! cache/<id>/             what is known of the repository without asking it, sealed; may be deleted at any time
//! ```
//!
//! A repository's password is HKDF-SHA256 of the recovery key with the account's secret as salt, so neither file opens anything without the other,
//! and no password is stored anywhere (docs/adr/0005).

use std::{
    ffi::OsStr,
    fmt, fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use data_encoding::HEXLOWER;
use hkdf::Hkdf;
use model::{AccountId, Service, TenantId};
use rand::{TryRng, rngs::SysRng};
use repository::{KeyRing, RepositoryId, Storage};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{Error, Result};

/// Sets these passwords apart from whatever else may one day be derived from the same keys.
const PASSWORD_INFO: &[u8] = b"keepwell repository password 1";

/// Of the files in `accounts/`.
const RECORD_VERSION: u32 = 1;

/// An opened data folder.
#[derive(Clone, Debug)]
pub struct Vault {
    root: PathBuf,
    recovery_key: Key,
    wrap: Option<Wrap>,
    keys: KeyRing,
}

/// What stands between the engine and a repository's storage.
#[derive(Clone)]
struct Wrap(Arc<dyn Fn(Storage) -> Storage + Send + Sync>);

impl fmt::Debug for Wrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wrap")
    }
}

/// 32 bytes that nobody may see.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct Key([u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What is protected as one, as the data folder knows it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Account {
    /// The account's id at the source: for Exchange the object id of the mailbox's user.
    pub id: AccountId,
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// The service.
    pub service: Service,
    /// The user principal name, as it was when the account was last seen. For people; the id is what counts.
    pub address: String,
    /// The name, as it was when the account was last seen.
    pub name: String,
}

/// The file in `accounts/`.
#[derive(Deserialize, Serialize)]
struct AccountFile {
    version: u32,
    #[serde(flatten)]
    account: Account,
    /// 64 hexadecimal digits.
    secret: Zeroizing<String>,
    /// The account's repository, once it was made: another one in its place, or none, is not it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repository: Option<RepositoryId>,
}

impl Vault {
    /// Makes a data folder, with a recovery key of its own, where nothing is yet.
    ///
    /// # Errors
    /// When the folder has anything in it, or cannot be written.
    pub fn create(root: &Path) -> Result<Self> {
        lay_out(root)?;
        let text = Zeroizing::new(HEXLOWER.encode(&random()?.0));
        write_private(&root.join("recovery-key"), text.as_bytes(), Place::New)?;
        Self::open(root)
    }

    /// Makes a data folder where nothing is yet, whose recovery key is kept elsewhere.
    ///
    /// # Errors
    /// When the folder has anything in it, or cannot be written.
    pub fn create_with_key(root: &Path, recovery_key: Zeroizing<[u8; 32]>) -> Result<Self> {
        lay_out(root)?;
        Self::with_key(root, recovery_key)
    }

    /// Opens a data folder whose recovery key is kept elsewhere. Whether it is the right one shows with the first repository.
    ///
    /// # Errors
    /// When it is no data folder: it is not made, because what was in it may only be out of reach.
    pub fn with_key(root: &Path, recovery_key: Zeroizing<[u8; 32]>) -> Result<Self> {
        if !root.join("accounts").is_dir() {
            return Err(Error::NoData(root.to_owned()));
        }
        Ok(Self {
            root: fs::canonicalize(root).map_err(file(root, "read"))?,
            recovery_key: Key(*recovery_key),
            wrap: None,
            keys: KeyRing::default(),
        })
    }

    /// Opens a data folder.
    ///
    /// # Errors
    /// When it is none, or its key cannot be read.
    pub fn open(root: &Path) -> Result<Self> {
        let path = root.join("recovery-key");
        let text = match fs::read_to_string(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error)
                if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory]
                    .contains(&error.kind()) =>
            {
                return Err(Error::NoData(root.to_owned()));
            }
            Err(error) => return Err(file(&path, "read")(error)),
        };
        let root = fs::canonicalize(root).map_err(file(root, "read"))?;
        Ok(Self {
            recovery_key: parse_key(&text, &path)?,
            root,
            wrap: None,
            keys: KeyRing::default(),
        })
    }

    /// The same data folder, the storage of every repository wrapped by `wrap`: to count, limit or disturb what is done to it.
    #[must_use]
    pub fn with_storage(self, wrap: impl Fn(Storage) -> Storage + Send + Sync + 'static) -> Self {
        Self {
            wrap: Some(Wrap(Arc::new(wrap))),
            ..self
        }
    }

    /// The same data folder, with the keys of its repositories on a ring that outlives it.
    #[must_use]
    pub fn with_keys(self, keys: KeyRing) -> Self {
        Self { keys, ..self }
    }

    pub(crate) fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// The data folder, absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The accounts, by address.
    ///
    /// # Errors
    /// When one of their files cannot be read.
    pub fn accounts(&self) -> Result<Vec<Account>> {
        let folder = self.root.join("accounts");
        let mut accounts = Vec::new();
        for entry in fs::read_dir(&folder).map_err(file(&folder, "read"))? {
            let path = entry.map_err(file(&folder, "read"))?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                accounts.push(read_account(&path)?.account);
            }
        }
        accounts.sort_by(|a, b| (&a.address, &a.id).cmp(&(&b.address, &b.id)));
        Ok(accounts)
    }

    /// The account with this id, address, or part of an address before the `@`.
    ///
    /// # Errors
    /// When there is none, or the part before the `@` is that of several.
    pub fn find(&self, name: &str) -> Result<Account> {
        let accounts = self.accounts()?;
        let exact = |account: &&Account| {
            account.id.as_str() == name || account.address.eq_ignore_ascii_case(name)
        };
        if let Some(account) = accounts.iter().find(exact) {
            return Ok(account.clone());
        }
        let alias = |account: &&Account| {
            account
                .address
                .split('@')
                .next()
                .is_some_and(|alias| alias.eq_ignore_ascii_case(name))
        };
        match accounts.iter().filter(alias).collect::<Vec<_>>()[..] {
            [account] => Ok(account.clone()),
            [_, ..] => Err(Error::SeveralAccounts(name.to_owned())),
            [] => Err(Error::NoAccount(name.to_owned())),
        }
    }

    /// Takes the account in, with a new secret, or brings its name and address up to date.
    ///
    /// # Errors
    /// When its id is no GUID, its file cannot be written, or an older one cannot be understood: its secret is the only one there is, so it is left
    /// alone. When the file is gone and the repository is not: another secret would not open it.
    pub fn remember(&self, account: &Account) -> Result<()> {
        check_id(&account.id)?;
        let path = self.account_path(&account.id);
        let (secret, repository) = match fs::exists(&path).map_err(file(&path, "read"))? {
            true => {
                let known = read_account(&path)?;
                if known.account == *account {
                    return Ok(());
                }
                (known.secret, known.repository)
            }
            false => {
                let folder = self.repository_path(&account.id);
                if has_repository(&folder) {
                    return Err(damaged(
                        &path,
                        &"it is gone, though its repository is there",
                    ));
                }
                // Before the record, so that an account without a folder is one that lost it, and none whose first backup was cut short.
                make_folder(&folder)?;
                return self.enter(account, &path);
            }
        };
        let record = AccountFile {
            version: RECORD_VERSION,
            account: account.clone(),
            secret,
            repository,
        };
        record.write(&path, Place::Taken)
    }

    /// Makes the account's file, with a new secret. If another process is faster, its secret is the account's, and ours is that of nothing: the other may
    /// have made a repository with it already (abuse 17, survival 184).
    fn enter(&self, account: &Account, path: &Path) -> Result<()> {
        let record = AccountFile {
            version: RECORD_VERSION,
            account: account.clone(),
            secret: Zeroizing::new(HEXLOWER.encode(&random()?.0)),
            repository: None,
        };
        match record.write(path, Place::New) {
            Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                self.remember(account)
            }
            entered => entered,
        }
    }

    /// The account's secret, for whoever keeps another copy of it.
    ///
    /// # Errors
    /// When the account's file cannot be read.
    pub fn secret(&self, account: &AccountId) -> Result<Zeroizing<[u8; 32]>> {
        let path = self.account_path(account);
        let secret = parse_key(&read_account(&path)?.secret, &path)?;
        Ok(Zeroizing::new(secret.0))
    }

    /// Makes the file of an account again that was lost, with the secret that somebody kept. Nothing is made where there is no repository.
    ///
    /// # Errors
    /// When there is no repository or there is a file, the id is no GUID, or the file cannot be written.
    pub fn take_back(&self, account: &Account, secret: &[u8; 32]) -> Result<()> {
        check_id(&account.id)?;
        let path = self.account_path(&account.id);
        if !self.has_files(&account.id) {
            return Err(Error::Gone(self.repository_path(&account.id)));
        }
        let record = AccountFile {
            version: RECORD_VERSION,
            account: account.clone(),
            secret: Zeroizing::new(HEXLOWER.encode(secret)),
            repository: None,
        };
        record.write(&path, Place::New)
    }

    /// Deletes everything of an account: its secret first, without which nobody reads what may be left of the rest. What is gone already is no error.
    ///
    /// # Errors
    /// When the id is no GUID, or something cannot be removed.
    pub fn erase(&self, account: &AccountId) -> Result<()> {
        check_id(account)?;
        let path = self.account_path(account);
        clear_staged(&path);
        gone(&path, fs::remove_file(&path))?;
        if let Some(folder) = path.parent() {
            let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(file(folder, "written"))?;
        }
        let repository = self.repository_path(account);
        gone(&repository, fs::remove_dir_all(&repository))?;
        self.forget_cache(account)
    }

    /// Whether the account was taken in, so that it has a secret.
    ///
    /// # Errors
    /// When its id is no GUID, or the folder cannot be read.
    pub fn knows(&self, account: &AccountId) -> Result<bool> {
        check_id(account)?;
        let path = self.account_path(account);
        fs::exists(&path).map_err(file(&path, "read"))
    }

    /// The repository that was made for the account, if one was. Files of an earlier version do not tell before the repository was opened once more.
    pub(crate) fn repository_id(&self, account: &AccountId) -> Result<Option<RepositoryId>> {
        Ok(read_account(&self.account_path(account))?.repository)
    }

    /// Notes which repository is the account's.
    pub(crate) fn record_repository(&self, account: &AccountId, id: RepositoryId) -> Result<()> {
        let path = self.account_path(account);
        let mut known = read_account(&path)?;
        known.repository = Some(id);
        known.write(&path, Place::Taken)
    }

    /// Whether the account ever had a repository. Its folder is made before anything else, and its configuration before any data, so a missing folder is
    /// one that was lost, and a folder with neither is one where a first backup was cut short. What cannot be read counts as begun.
    #[must_use]
    pub fn has_begun(&self, account: &AccountId) -> bool {
        let folder = self.repository_path(account);
        !matches!(self.repository_id(account), Ok(None))
            || fs::read_dir(&folder).is_err()
            || has_repository(&folder)
    }

    /// Whether there is anything of a repository in the account's folder.
    #[must_use]
    pub fn has_files(&self, account: &AccountId) -> bool {
        has_repository(&self.repository_path(account))
    }

    /// Where is kept what is known of the account's repository without asking it.
    pub(crate) fn cache_path(&self, account: &AccountId) -> PathBuf {
        self.root.join("cache").join(account.as_str())
    }

    /// Removes what is kept there, so that the repository is asked again.
    pub(crate) fn forget_cache(&self, account: &AccountId) -> Result<()> {
        let path = self.cache_path(account);
        gone(&path, fs::remove_dir_all(&path))
    }

    /// Removes the lists of messages that backups have left for pages and searches ([`workload::mail::Archive::make_lists`]).
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn forget_lists(&self, account: &AccountId) -> Result<()> {
        let cache = self.cache_path(account);
        repository::forget_summaries(&cache).map_err(file(&cache, "removed"))
    }

    /// The storage of the account's repository.
    pub(crate) fn storage(&self, account: &AccountId) -> Result<Storage> {
        let storage = Storage::local(self.repository_path(account)).map_err(Error::repository(
            "the repository's folder could not be opened",
        ))?;
        Ok(match &self.wrap {
            Some(Wrap(wrap)) => wrap(storage),
            None => storage,
        })
    }

    /// Where the account's repository lies, absolute.
    #[must_use]
    pub fn repository_path(&self, account: &AccountId) -> PathBuf {
        self.root.join("repositories").join(account.as_str())
    }

    /// The password with which stock restic opens the account's repository.
    ///
    /// # Errors
    /// When the account's file cannot be read.
    pub fn password(&self, account: &AccountId) -> Result<Zeroizing<String>> {
        let path = self.account_path(account);
        let secret = parse_key(&read_account(&path)?.secret, &path)?;
        let mut password = Zeroizing::new([0; 32]);
        let derivation = Hkdf::<Sha256>::new(Some(&secret.0), &self.recovery_key.0);
        // HKDF-SHA256 gives up to 8,160 bytes; this asks for 32.
        derivation
            .expand(PASSWORD_INFO, &mut *password)
            .map_err(|error| damaged(&path, &error))?;
        Ok(Zeroizing::new(HEXLOWER.encode(&*password)))
    }

    fn account_path(&self, account: &AccountId) -> PathBuf {
        self.root.join("accounts").join(format!("{account}.json"))
    }
}

impl AccountFile {
    fn write(&self, path: &Path, place: Place) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(|error| damaged(path, &error))?;
        write_private(path, &Zeroizing::new(text), place)
    }
}

/// Whether there is, or was, a repository in the folder: its configuration, or anything that is stored after it.
fn has_repository(folder: &Path) -> bool {
    let is_empty = |kind: &str| {
        fs::read_dir(folder.join(kind)).map_or(true, |mut inside| inside.next().is_none())
    };
    let is_there = |name: &str| fs::exists(folder.join(name)).unwrap_or(true);
    is_there("config")
        || ["data", "index", "snapshots"]
            .iter()
            .any(|kind| is_there(kind) && !is_empty(kind))
}

fn read_account(path: &Path) -> Result<AccountFile> {
    let text = Zeroizing::new(fs::read(path).map_err(file(path, "read"))?);
    let record: AccountFile =
        serde_json::from_slice(&text).map_err(|error| damaged(path, &error))?;
    if record.version != RECORD_VERSION {
        return Err(damaged(
            path,
            &"it is of a version that this program does not know; update it",
        ));
    }
    // A file in another's place would make one account's repository another's.
    if path.file_stem() != Some(OsStr::new(record.account.id.as_str())) {
        return Err(damaged(path, &"it is another account's"));
    }
    Ok(record)
}

fn parse_key(text: &str, path: &Path) -> Result<Key> {
    let bytes = Zeroizing::new(
        HEXLOWER
            .decode(text.trim().as_bytes())
            .map_err(|error| damaged(path, &error))?,
    );
    bytes[..]
        .try_into()
        .map(Key)
        .map_err(|error| damaged(path, &error))
}

fn random() -> Result<Key> {
    let mut key = Key([0; 32]);
    SysRng
        .try_fill_bytes(&mut key.0)
        .map_err(|error| Error::File {
            path: PathBuf::from("the system's source of randomness"),
            action: "read",
            source: io::Error::other(error),
        })?;
    Ok(key)
}

/// The id becomes the name of files and folders; Microsoft's are GUIDs.
fn check_id(account: &AccountId) -> Result<()> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    match account.as_str().bytes().all(is_plain) {
        true => Ok(()),
        false => Err(Error::BadId),
    }
}

/// Makes the folders of a data folder where nothing is yet.
fn lay_out(root: &Path) -> Result<()> {
    if root.is_file() {
        return Err(Error::NoFolder(root.to_owned()));
    }
    make_folder(root)?;
    let mut entries = fs::read_dir(root).map_err(file(root, "read"))?;
    if entries.next().is_some() {
        return Err(Error::NotEmpty(root.to_owned()));
    }
    for folder in ["accounts", "cache", "repositories"] {
        make_folder(&root.join(folder))?;
    }
    Ok(())
}

fn make_folder(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(file(path, "made"))
}

/// What there may be where a file is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// Nothing: a file that somebody put there meanwhile stays.
    New,
    /// An older file, which is replaced.
    Taken,
}

/// Writes a file that only its owner may read, whole or not at all.
fn write_private(path: &Path, bytes: &[u8], place: Place) -> Result<()> {
    clear_staged(path);
    // Of its own for each process, or two of them write into one file.
    let staged = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let write = || -> io::Result<()> {
        let mut out = options.open(&staged)?;
        out.write_all(bytes)?;
        out.sync_all()?;
        match place {
            Place::New => fs::hard_link(&staged, path)?,
            Place::Taken => fs::rename(&staged, path)?,
        }
        match path.parent() {
            Some(folder) => fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    let written = write().map_err(file(path, "written"));
    clear_staged(path);
    written
}

/// Removes what writers of the file left, ended or killed: secrets must not lie about. One that is just writing it fails, which is better than two that
/// believe they wrote it.
fn clear_staged(path: &Path) {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let beside = path.parent().and_then(|folder| fs::read_dir(folder).ok());
    for entry in beside.into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| {
            name.strip_prefix(stem?)?
                .strip_prefix('.')?
                .strip_suffix(".new")
        });
        if number.is_some_and(|number| number.bytes().all(|digit| digit.is_ascii_digit())) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// That something is removed already is as good.
fn gone(path: &Path, removed: io::Result<()>) -> Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file(path, "removed")(error)),
        _ => Ok(()),
    }
}

fn file(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File {
        path,
        action,
        source,
    }
}

fn damaged(path: &Path, detail: &dyn fmt::Display) -> Error {
    Error::Damaged {
        path: path.to_owned(),
        detail: detail.to_string(),
    }
}
