//! `keepwell recover`: the database is lost or old, the data folder and the emergency kit are there.

use anyhow::{Context, anyhow};
use catalog::NewAudit;
use service::NewFirstUser;
use zeroize::Zeroizing;

use super::{key, serve};
use crate::{
    cli::Recover,
    config::Config,
    exit::Verdict,
    out::{count, result, story},
};

/// Makes the database say what the data folder holds, and prints what that was.
pub(crate) async fn run(options: Recover) -> anyhow::Result<Verdict> {
    let kit = std::fs::read_to_string(&options.kit).map(Zeroizing::new);
    let kit = kit.with_context(|| format!("{} cannot be read", options.kit.display()))?;
    let mut config = Config::read(&options.config)?;
    config.data = options.data.unwrap_or(config.data);
    let service = serve::open(&config).await?;
    let password = key::password();
    let user = options.administrator.clone().map(|address| {
        let hash = server::hash_password(&password);
        let hash = hash.map_err(|problem| anyhow!("no password could be made: {problem:?}"))?;
        anyhow::Ok(NewFirstUser {
            name: address.clone(),
            address,
            password_hash: hash,
        })
    });
    let recovered = service
        .recover(&kit, user.transpose()?)
        .await
        .with_context(|| format!("{} recovers nothing", options.kit.display()))?;
    let note = NewAudit {
        actor: "keepwell".to_owned(),
        action: "recovered the organization".to_owned(),
        object: recovered.organization.to_string(),
        detail: String::new(),
    };
    let of = service.catalog().organization(recovered.organization);
    of.note(&note, service.clock().now()).await?;
    result(&format!("organization {}", recovered.organization))?;
    let many = |number, what: &str| count(number, what, &format!("{what}s"));
    result(&format!(
        "{} entered, {} brought up to date, {} in all",
        many(recovered.accounts, "account"),
        many(recovered.behind, "account"),
        many(recovered.restore_points, "restore point")
    ))?;
    if let (Some(_), Some(address)) = (recovered.user, options.administrator) {
        result(&format!("address    {address}"))?;
        result(&format!("password   {}", password.as_str()))?;
        story("sign in with it at the console, and authenticate the connections again");
    }
    if recovered.unreadable > 0 {
        let what = count(recovered.unreadable, "repository", "repositories");
        story(&format!(
            "{what} could not be read: see keepwell repository verify"
        ));
        return Ok(Verdict::Different);
    }
    Ok(Verdict::Good)
}
