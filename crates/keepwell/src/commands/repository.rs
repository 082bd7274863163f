//! `keepwell repository`: names repositories, gives their passwords, and looks after them.

mod forget;
mod list;
mod prune;
mod repair;
mod round;
mod verify;

use engine::Vault;
use repository::Damage;

use crate::{
    cli::Repository,
    exit::Verdict,
    out::{count, result},
};

/// Carries out one of the sub-commands.
pub(crate) async fn run(command: Repository) -> anyhow::Result<Verdict> {
    match command {
        Repository::List { data, json } => list::run(&Vault::open(&data.data)?, json),
        Repository::Password { account, data } => {
            let vault = Vault::open(&data.data)?;
            result(&vault.password(&vault.find(&account)?.id)?)?;
            Ok(Verdict::Good)
        }
        Repository::Verify(which) => verify::run(&which).await,
        Repository::Repair(options) => repair::run(&options).await,
        Repository::Forget(options) => forget::run(&options).await,
        Repository::Prune(options) => prune::run(&options).await,
    }
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
