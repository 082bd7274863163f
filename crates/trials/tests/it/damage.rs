//! Damage of every kind to every kind of file: it is found, told apart from what is whole, and never handed out.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use engine::Vault;
use repository::{SnapshotId, VerifyReport};
use trials::{
    Ground, folder,
    mailbox::{self, Held},
};
use workload::mail::Archive;

/// What is done to a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Harm {
    /// One bit in its middle is another.
    Flipped,
    /// Its second half is missing.
    CutShort,
    /// It is empty.
    Empty,
    /// All of it is something else.
    Garbage,
    /// It is gone.
    Gone,
}

const HARMS: [Harm; 5] = [
    Harm::Flipped,
    Harm::CutShort,
    Harm::Empty,
    Harm::Garbage,
    Harm::Gone,
];

impl Harm {
    fn befall(self, file: &Path) -> Result<()> {
        let mut bytes = fs::read(file)?;
        let middle = bytes.len() / 2;
        match self {
            Self::Flipped => bytes[middle] ^= 4,
            Self::CutShort => bytes.truncate(middle),
            Self::Empty => bytes.clear(),
            Self::Garbage => bytes
                .iter_mut()
                .for_each(|byte| *byte = byte.wrapping_mul(7)),
            Self::Gone => return Ok(fs::remove_file(file)?),
        }
        Ok(fs::write(file, bytes)?)
    }
}

/// What became of a snapshot's messages: how many read as they were, and how many cannot be read. One that reads otherwise is an error.
async fn read_all(ground: &Ground, vault: &Vault, id: SnapshotId, truth: &Held) -> Result<usize> {
    let mut sound = 0;
    let Ok(repository) = ground.repository(vault).await else {
        return Ok(0);
    };
    let Ok(Some(snapshot)) = repository.snapshot(id).await else {
        return Ok(0);
    };
    let Ok(archive) = Archive::open(repository.view(snapshot.tree)).await else {
        return Ok(0);
    };
    for folder in archive.folders() {
        let Ok(messages) = archive.messages(&folder.id).await else {
            continue;
        };
        for at in messages {
            let Ok(message) = archive.message(&at).await else {
                continue;
            };
            let expected = truth.get(message.id.as_str()).context("nobody wrote it")?;
            ensure!(
                message.mime[..] == expected.mime[..],
                "a wrong byte was handed out"
            );
            ensure!(
                mailbox::said(serde_json::from_str(message.json.get())?) == expected.json,
                "something wrong was said of a message"
            );
            sound += 1;
        }
    }
    Ok(sound)
}

/// What verification says; nothing if the repository cannot even be opened.
async fn verified(ground: &Ground, vault: &Vault) -> Option<VerifyReport> {
    let repository = ground.repository(vault).await.ok()?;
    repository.verify(|_| {}).await.ok()
}

/// Abuse 13-16, 26.
#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_and_never_handed_out() -> Result<()> {
    let ground = Ground::new().await?;
    let vault = Vault::create(&ground.place("filled"))?;
    let outcome = ground.back_up(&vault).await?;
    let id = outcome.snapshot.context("it made one")?;
    let truth = ground.source()?;
    let whole = mailbox::differences(&ground.snapshot(&vault, id).await?, &truth);
    ensure!(whole.is_empty(), "{whole:?}");
    let mut unnoticed = Vec::new();
    let mut located = 0;
    let repository = vault.repository_path(&ground.account.id);
    let top = fs::canonicalize(ground.place("filled"))?;
    for file in folder::files(&repository)? {
        let file = file.strip_prefix(&top)?;
        let kind = file.iter().nth(2).context("it is in a repository")?;
        let kind = kind.to_string_lossy().into_owned();
        for harm in HARMS {
            let data = ground.place("harmed");
            folder::copy(&ground.place("filled"), &data)?;
            harm.befall(&data.join(file))?;
            let harmed = Vault::open(&data)?;
            let what = format!("{kind} {harm:?}");
            let sound = read_all(&ground, &harmed, id, &truth)
                .await
                .context(what.clone())?;
            match verified(&ground, &harmed).await {
                // Keys and the configuration: nothing can be opened, and nothing is read.
                None => ensure!(sound == 0, "{what}"),
                Some(report) if report.is_sound() => unnoticed.push((kind.clone(), harm)),
                Some(report) => {
                    located += usize::from(report.damage.iter().any(|it| !it.places.is_empty()));
                }
            }
            fs::remove_dir_all(&data)?;
        }
    }
    // That a snapshot was taken away whole, nothing in the repository can tell.
    unnoticed.retain(|it| *it != ("snapshots".to_owned(), Harm::Gone));
    ensure!(unnoticed.is_empty(), "{unnoticed:?}");
    ensure!(located > 0, "damage to packs is located by item");
    Ok(())
}

/// Abuse 13, 17: the files beside the repositories, a bit at a time: what opens nothing or another account's reads nothing, and what only names the account
/// for people does no harm.
#[tokio::test(flavor = "multi_thread")]
async fn damage_to_what_opens_a_repository_is_found() -> Result<()> {
    let ground = Ground::new().await?;
    let filled = ground.place("filled");
    let vault = Vault::create(&filled)?;
    let outcome = ground.back_up(&vault).await?;
    let id = outcome.snapshot.context("it made one")?;
    let truth = ground.source()?;
    let data = ground.place("harmed");
    for harm in HARMS {
        for file in [ground.account_file(&data), data.join("recovery-key")] {
            let _ = fs::remove_dir_all(&data);
            folder::copy(&filled, &data)?;
            harm.befall(&file)?;
            let what = format!("{harm:?}: {}", file.display());
            let Ok(harmed) = Vault::open(&data) else {
                continue;
            };
            let sound = read_all(&ground, &harmed, id, &truth)
                .await
                .context(what.clone())?;
            let named_only = harm == Harm::Flipped && file == ground.account_file(&data);
            ensure!(sound == 0 || named_only, "{what}");
        }
    }
    let record: serde_json::Value =
        serde_json::from_slice(&fs::read(ground.account_file(&filled))?)?;
    let _ = fs::remove_dir_all(&data);
    folder::copy(&filled, &data)?;
    let mut opened = Vec::new();
    for (name, value) in record.as_object().context("it is an object")? {
        let mut harmed = record.clone();
        harmed[name] = match value {
            serde_json::Value::String(text) => flipped(text).into(),
            serde_json::Value::Number(number) => (number.as_u64().context("a version")? ^ 2).into(),
            other => anyhow::bail!("{name} is {other}"),
        };
        fs::write(ground.account_file(&data), harmed.to_string())?;
        let sound = read_all(&ground, &Vault::open(&data)?, id, &truth).await?;
        ensure!(sound == 0 || sound == truth.len(), "{name}: {sound}");
        if sound > 0 {
            opened.push(name.as_str());
        }
    }
    opened.sort_unstable();
    ensure!(opened == ["address", "name", "tenant"], "{opened:?}");
    Ok(())
}

/// With one bit of its middle changed, in such a way that it is of the same alphabet still.
fn flipped(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] = if bytes[middle] == b'1' { b'0' } else { b'1' };
    String::from_utf8_lossy(&bytes).into_owned()
}
