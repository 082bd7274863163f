//! `keepwell repository`: names repositories, gives their passwords, and verifies them.

use std::{fs, path::Path};

use engine::{Account, Vault, verify};
use model::SystemClock;
use repository::Damage;
use serde::Serialize;

use crate::{
    cli::Repository,
    exit::{self, Verdict},
    out::{count, result, size, story},
};

/// Carries out one of the sub-commands.
pub(crate) async fn run(command: Repository) -> anyhow::Result<Verdict> {
    match command {
        Repository::List { data, json } => list(&Vault::open(&data.data)?, json),
        Repository::Password { account, data } => {
            let vault = Vault::open(&data.data)?;
            result(&vault.password(&vault.find(&account)?.id)?)?;
            Ok(Verdict::Good)
        }
        Repository::Verify { account, data } => {
            let vault = Vault::open(&data.data)?;
            let accounts = match account {
                Some(name) => vec![vault.find(&name)?],
                None => vault.accounts()?,
            };
            verify_all(&vault, &accounts).await
        }
    }
}

/// An account as `list --json` gives it.
#[derive(Serialize)]
struct Listed {
    /// The address.
    account: String,
    /// The id at the source.
    id: String,
    /// The repository, absolute.
    path: String,
    /// Whether there is a repository, or was one.
    begun: bool,
}

fn list(vault: &Vault, json: bool) -> anyhow::Result<Verdict> {
    let listed = vault.accounts()?.into_iter().map(|account| {
        let path = vault.repository_path(&account.id);
        Listed {
            begun: is_begun(&path),
            path: path.display().to_string(),
            account: account.address,
            id: account.id.to_string(),
        }
    });
    let listed: Vec<Listed> = listed.collect();
    if json {
        result(&serde_json::to_string_pretty(&listed)?)?;
        return Ok(Verdict::Good);
    }
    for account in &listed {
        let remark = if account.begun { "" } else { "\tno backup yet" };
        result(&format!("{}\t{}{remark}", account.account, account.path))?;
    }
    if listed.is_empty() {
        story("there are no accounts yet: they appear with the first backup");
    }
    Ok(Verdict::Good)
}

/// Whether a repository was ever finished at the path. Its folder is made before anything else, and its configuration before any data, so a missing
/// folder is one that was lost, and a folder with neither is one where a first backup was cut short. What cannot be read counts as begun.
fn is_begun(path: &Path) -> bool {
    let is_empty = |kind: &str| {
        fs::read_dir(path.join(kind)).map_or(true, |mut inside| inside.next().is_none())
    };
    let is_there = |name: &str| fs::exists(path.join(name)).unwrap_or(true);
    fs::read_dir(path).is_err()
        || is_there("config")
        || ["data", "index", "snapshots"]
            .iter()
            .any(|kind| is_there(kind) && !is_empty(kind))
}

async fn verify_all(vault: &Vault, accounts: &[Account]) -> anyhow::Result<Verdict> {
    let clock = SystemClock::shared();
    let mut verdict = Verdict::Good;
    for account in accounts {
        if !is_begun(&vault.repository_path(&account.id)) {
            result(&format!("{}\tno backup yet", account.address))?;
            continue;
        }
        let report = match verify::run(vault, account, &clock, &instance()).await {
            Ok(report) => report,
            Err(error) => {
                // The others are looked at all the same.
                verdict = Verdict::Different;
                let why = exit::line(&error.into());
                result(&format!("{}\tnot readable\t{why}", account.address))?;
                continue;
            }
        };
        if report.is_sound() {
            result(&format!(
                "{}\tsound\t{}, {}, {} read",
                account.address,
                count(report.snapshots, "snapshot", "snapshots"),
                count(report.blobs, "blob", "blobs"),
                size(report.bytes)
            ))?;
            continue;
        }
        verdict = Verdict::Different;
        result(&format!(
            "{}\tdamaged\t{}",
            account.address,
            count(report.damage.len() as u64, "problem", "problems")
        ))?;
        for damage in &report.damage {
            result(&format!("\t{}", describe(damage)))?;
        }
    }
    if accounts.is_empty() {
        story("there is nothing to verify: no account has been backed up yet");
    }
    Ok(verdict)
}

/// A damaged thing in one line: what it is, in which way, and what needs it.
pub(crate) fn describe(damage: &Damage) -> String {
    let mut line = format!("{} {}", damage.what, damage.problem);
    for (snapshot, path) in &damage.places {
        line.push_str(&format!("; needed by {path} in snapshot {snapshot}"));
    }
    if damage.more_places > 0 {
        let others = count(damage.more_places, "other", "others");
        line.push_str(&format!("; and by {others}"));
    }
    line
}

/// How this process names itself in locks.
pub(crate) fn instance() -> String {
    format!("keepwell-{}", std::process::id())
}
