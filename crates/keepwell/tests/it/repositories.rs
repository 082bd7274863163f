//! The repositories of a data folder, found and opened as README says: by `repository list` and `repository password`.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::restic::Restic;

use crate::run::{Ran, files, keepwell};

/// What stock restic needs to know.
pub(crate) struct Repository {
    pub(crate) account: String,
    pub(crate) path: PathBuf,
    pub(crate) password: String,
}

/// `keepwell repository COMMAND … --data DATA`.
pub(crate) fn repository(data: &Path, args: &[&str]) -> Result<Ran> {
    let order = ["repository"].iter().chain(args).map(OsStr::new);
    keepwell(order.chain(["--data".as_ref(), data.as_os_str()]))
}

/// All of them.
pub(crate) fn all(data: &Path) -> Result<Vec<Repository>> {
    let listed = repository(data, &["list", "--json"])?.ended(0)?;
    let listed: Value = serde_json::from_str(&listed.stdout)?;
    let listed = listed.as_array().context("the list is no list")?;
    listed.iter().map(|listed| open(data, listed)).collect()
}

/// The only one.
pub(crate) fn only(data: &Path) -> Result<Repository> {
    let mut all = all(data)?;
    ensure!(all.len() == 1, "{} repositories", all.len());
    all.pop().context("there is one")
}

fn open(data: &Path, listed: &Value) -> Result<Repository> {
    let text = |name: &str| listed[name].as_str().context("it lacks a text");
    let account = text("account")?.to_owned();
    let password = repository(data, &["password", &account])?.ended(0)?;
    ensure!(password.stderr.is_empty(), "{}", password.stderr);
    let password = password.stdout.strip_suffix('\n').context("no line")?;
    let is_plain = !password.is_empty() && password.bytes().all(|b| b.is_ascii_alphanumeric());
    ensure!(is_plain, "the password is not alone on its line");
    Ok(Repository {
        account,
        path: text("path")?.into(),
        password: password.to_owned(),
    })
}

impl Repository {
    /// Runs restic on it, successfully, and gives what it printed.
    pub(crate) fn restic(&self, restic: &Restic, args: &[&str]) -> Result<Vec<u8>> {
        let output = restic.run(&self.path, &self.password, args)?;
        Ok(output.into_result()?.stdout)
    }

    pub(crate) fn check(&self, restic: &Restic) -> Result<()> {
        restic
            .check(&self.path, &self.password)
            .with_context(|| format!("{} by {:?}", self.account, restic.version()))
    }

    /// Its snapshots, as restic describes them.
    pub(crate) fn snapshots(&self, restic: &Restic) -> Result<Vec<Value>> {
        let listed = self.restic(restic, &["snapshots", "--json"])?;
        Ok(serde_json::from_slice(&listed)?)
    }

    /// The mails of the first snapshot as restic restores them, sorted.
    pub(crate) fn first_mails(&self, restic: &Restic) -> Result<Vec<Vec<u8>>> {
        let target = tempfile::tempdir()?;
        let to = target.path().to_str().context("a plain path")?;
        let snapshots = self.snapshots(restic)?;
        // Not the first by time: on a simulated clock one may be as old as the next.
        let first = snapshots.iter().find(|one| one.get("parent").is_none());
        let first = first.and_then(|first| first["id"].as_str());
        let first = first.context("a snapshot without parent")?;
        self.restic(restic, &["restore", first, "--target", to])?;
        let restored = files(target.path())?;
        let mails = restored
            .iter()
            .filter(|path| path.extension() == Some("eml".as_ref()));
        let mut mails = mails.map(std::fs::read).collect::<Result<Vec<_>, _>>()?;
        mails.sort();
        Ok(mails)
    }
}
