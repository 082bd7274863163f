//! `keepwell repository list`.

use engine::Vault;
use serde::Serialize;

use crate::{
    exit::Verdict,
    out::{result, story},
};

/// An account as `--json` gives it.
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

pub(super) fn run(vault: &Vault, json: bool) -> anyhow::Result<Verdict> {
    let listed = vault.accounts()?.into_iter().map(|account| Listed {
        begun: vault.has_begun(&account.id),
        path: vault.repository_path(&account.id).display().to_string(),
        account: account.address,
        id: account.id.to_string(),
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
