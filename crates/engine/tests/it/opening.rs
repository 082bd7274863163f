//! Which repository is an account's, and what happens where another one is, or none.

use std::{
    error::Error as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use engine::{Account, Error, open};
use repository::{Options, Repository, Storage};
use serde_json::Value;

use crate::stage::Stage;

async fn refusal(stage: &Stage, account: &Account) -> Result<[Error; 2]> {
    // Without what the cache knows, which needs not open anything.
    let _ = fs::remove_dir_all(stage.vault.root().join("cache").join(account.id.as_str()));
    let local = stage.setting().local();
    let read = open::existing(local, account).await.err();
    let progress = workload::mail::backup::Progress::default();
    let written = engine::backup::run(stage.setting(), account, &progress).await;
    Ok([
        read.context("it opened")?,
        written.err().context("it was backed up to")?,
    ])
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).map_or(true, |mut inside| inside.next().is_none())
}

fn account_file(stage: &Stage, account: &Account) -> PathBuf {
    let name = format!("accounts/{}.json", account.id);
    stage.vault.root().join(name)
}

#[tokio::test]
async fn a_repository_that_is_gone_is_not_replaced_by_an_empty_one() -> Result<()> {
    // Abuse 30: a disk that is not mounted leaves an empty folder, or none.
    let (stage, account) = Stage::with_mail(&[("", 1)]).await?;
    stage.back_up(&account).await?;
    let path = stage.vault.repository_path(&account.id);
    let aside = path.with_extension("aside");
    fs::rename(&path, &aside)?;
    for make in [false, true] {
        if make {
            fs::create_dir(&path)?;
        }
        for error in refusal(&stage, &account).await? {
            assert!(matches!(error, Error::Gone(_)), "{error:?}");
            assert_eq!(error.kind(), engine::Kind::Corrupt);
            assert!(
                error.to_string().contains("is the disk mounted?"),
                "{error}"
            );
        }
        assert!(is_empty(&path), "nothing was made");
    }
    fs::remove_dir(&path)?;
    fs::rename(&aside, &path)?;
    assert_eq!(stage.back_up(&account).await?.snapshot, None);
    Ok(())
}

#[tokio::test]
async fn another_repository_in_its_place_is_refused_and_left_alone() -> Result<()> {
    // Abuse 30: one that the same password opens, an older copy of the data folder for instance, and one that it does not.
    let (stage, account) = Stage::with_mail(&[("", 1)]).await?;
    stage.back_up(&account).await?;
    let path = stage.vault.repository_path(&account.id);
    let aside = path.with_extension("aside");
    fs::rename(&path, &aside)?;
    let options = || Options {
        clock: stage.clock.clone(),
        instance: "other".to_owned(),
        cache: None,
    };
    let password = stage.vault.password(&account.id)?;
    Repository::init(Storage::local(&path)?, &password, options()).await?;
    for error in refusal(&stage, &account).await? {
        assert!(matches!(error, Error::OtherRepository(_)), "{error:?}");
        assert_eq!(error.kind(), engine::Kind::Corrupt);
    }
    assert!(is_empty(&path.join("snapshots")));

    fs::remove_dir_all(&path)?;
    Repository::init(Storage::local(&path)?, "another", options()).await?;
    for error in refusal(&stage, &account).await? {
        assert!(error.to_string().contains("is another one"), "{error}");
        let cause = error.source().context("it has a cause")?.to_string();
        assert!(cause.contains("password"), "{cause}");
    }
    assert!(is_empty(&path.join("snapshots")));
    Ok(())
}

#[tokio::test]
async fn which_repository_it_is_is_noted_at_the_next_opening() -> Result<()> {
    // Files of earlier versions, and those of a run that was killed before it could note it.
    let (stage, account) = Stage::with_mail(&[("", 1)]).await?;
    stage.back_up(&account).await?;
    let file = account_file(&stage, &account);
    let read = || -> Result<Value> { Ok(serde_json::from_slice(&fs::read(&file)?)?) };
    let mut record = read()?;
    let id = stage.repository(&account).await?.id().to_string();
    assert_eq!(record["repository"], id);
    let fields = record.as_object_mut().context("it is an object")?;
    fields.remove("repository");
    fs::write(&file, record.to_string())?;
    stage.repository(&account).await?;
    assert_eq!(read()?["repository"], id);
    // A new name does not lose it.
    let renamed = Account {
        name: "Another".to_owned(),
        ..account
    };
    stage.vault.remember(&renamed)?;
    assert_eq!(read()?["repository"], id);
    Ok(())
}

#[tokio::test]
async fn a_lost_account_file_is_not_made_anew_beside_its_repository() -> Result<()> {
    // Another secret would not open it, and would be in the way of the one that does.
    let (stage, account) = Stage::with_mail(&[("", 1)]).await?;
    stage.back_up(&account).await?;
    let file = account_file(&stage, &account);
    let kept = fs::read(&file)?;
    fs::remove_file(&file)?;
    let error = stage.back_up(&account).await.err().context("it was made")?;
    assert!(error.to_string().contains("it is gone"), "{error}");
    assert!(!file.exists());
    fs::write(&file, kept)?;
    stage.back_up(&account).await?;
    Ok(())
}

#[tokio::test]
async fn an_account_without_repository_has_nothing_to_restore() -> Result<()> {
    let (stage, account) = Stage::with_mail(&[("", 1)]).await?;
    stage.vault.remember(&account)?;
    let opened = open::existing(stage.setting().local(), &account).await;
    assert!(matches!(opened, Err(Error::NoSnapshot)), "{opened:?}");
    Ok(())
}
