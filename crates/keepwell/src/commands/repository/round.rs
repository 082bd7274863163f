//! One account after the other: works on the repository of each, tells of it, and lets none that fails hide the others.

use anyhow::bail;
use engine::{Account, Kind, Vault, open::Local};
use model::SystemClock;
use repository::Progress;
use serde::Serialize;

use crate::{
    cli::Which,
    commands::instance,
    exit::{self, Verdict},
    out::{Line, count, result, size, story},
};

/// What is told of an account.
pub(super) trait Told: Serialize {
    /// In a word or two.
    fn state(&self) -> &'static str;
    /// What stands behind it.
    fn headline(&self) -> String;
    /// What stands below it.
    fn details(&self) -> Vec<String>;
    /// Whether everything is as it should be.
    fn is_good(&self) -> bool;
}

/// An account, as `--json` gives it.
#[derive(Serialize)]
struct Entry<'a, T> {
    /// The address.
    account: &'a str,
    /// The id at the source.
    id: &'a str,
    /// In a word or two.
    state: &'static str,
    /// Why nothing could be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten)]
    told: Option<T>,
}

/// Does `work` on the repositories that `which` names. It is given what shows how far it has come.
pub(super) async fn run<T: Told>(
    which: &Which,
    work: impl AsyncFn(Local<'_>, &Account, &Line) -> engine::Result<T>,
) -> anyhow::Result<Verdict> {
    let vault = Vault::open(&which.data.data)?;
    let accounts = match &which.account {
        Some(name) => vec![vault.find(name)?],
        None => vault.accounts()?,
    };
    let (clock, instance) = (SystemClock::shared(), instance::name());
    let local = Local {
        vault: &vault,
        clock: &clock,
        instance: &instance,
    };
    let (mut verdict, mut undone) = (Verdict::Good, 0);
    let mut listed = Vec::new();
    for account in &accounts {
        let line = Line::new(format!("{}: ", account.address));
        let entry = |state, error, told| Entry {
            account: &account.address,
            id: account.id.as_str(),
            state,
            error,
            told,
        };
        let entry = if !vault.has_begun(&account.id) {
            entry("no backup yet", None, None)
        } else {
            match work(local, account, &line).await {
                Ok(told) => {
                    if !told.is_good() {
                        verdict = Verdict::Different;
                    }
                    entry(told.state(), None, Some(told))
                }
                Err(error) => {
                    let state = if error.kind() == Kind::Corrupt {
                        verdict = Verdict::Different;
                        "not readable"
                    } else {
                        undone += 1;
                        "not done"
                    };
                    entry(state, Some(exit::line(&error.into())), None)
                }
            }
        };
        drop(line);
        if !which.json {
            tell(&entry)?;
        }
        listed.push(entry);
    }
    if which.json {
        result(&serde_json::to_string_pretty(&listed)?)?;
    } else if accounts.is_empty() {
        story("there is nothing to do: no account has been backed up yet");
    }
    if undone > 0 {
        let repositories = count(undone, "repository", "repositories");
        bail!("{repositories} could not be worked on, as said above: try again later");
    }
    Ok(verdict)
}

fn tell<T: Told>(entry: &Entry<'_, T>) -> anyhow::Result<()> {
    let mut line = format!("{}\t{}", entry.account, entry.state);
    if let Some(why) = &entry.error {
        line.push_str(&format!("\t{why}"));
    }
    if let Some(told) = &entry.told {
        line.push_str(&format!("\t{}", told.headline()));
    }
    result(&line)?;
    for detail in entry.told.iter().flat_map(Told::details) {
        result(&format!("\t{detail}"))?;
    }
    Ok(())
}

/// How far work on packs has come, in words.
pub(super) fn packs(progress: Progress) -> String {
    format!(
        "{} of {}, {}",
        progress.packs,
        count(progress.packs_total, "pack", "packs"),
        size(progress.bytes)
    )
}
