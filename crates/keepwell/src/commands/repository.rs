//! `keepwell repository`: names repositories, gives their passwords, and verifies them.

use engine::{Account, Vault, open::Local, verify};
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
            begun: vault.has_begun(&account.id),
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

async fn verify_all(vault: &Vault, accounts: &[Account]) -> anyhow::Result<Verdict> {
    let (clock, instance) = (SystemClock::shared(), instance());
    let local = Local {
        vault,
        clock: &clock,
        instance: &instance,
    };
    let mut verdict = Verdict::Good;
    for account in accounts {
        if !vault.has_begun(&account.id) {
            result(&format!("{}\tno backup yet", account.address))?;
            continue;
        }
        let report = match verify::run(local, account).await {
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
