//! Making and opening: what is wrong is told apart.

use repository::{Error, Kind, Repository, Storage};

use crate::support::{Fixture, PASSWORD, commit, files, in_memory, options, storage};

async fn open(path: &std::path::Path, password: &str) -> Result<Repository, Error> {
    Repository::open(Storage::local(path)?, password, options()).await
}

/// Survival 186, abuse 26.
#[tokio::test]
async fn wrong_password_damage_and_absence_are_different_errors() -> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    let path = &fixture.path();
    let before = files(path)?;
    let kind =
        |outcome: Result<Repository, Error>| outcome.map(|_| ()).map_err(|error| error.kind());
    assert_eq!(kind(open(path, PASSWORD).await), Ok(()));
    assert!(matches!(
        open(path, "wrong").await,
        Err(Error::WrongPassword)
    ));
    assert!(matches!(
        open(&fixture.beside("nothing"), PASSWORD).await,
        Err(Error::NoRepository)
    ));
    assert!(
        !std::fs::exists(fixture.beside("nothing"))?,
        "looking makes no folder"
    );
    assert_eq!(files(path)?, before, "nothing was written");

    let config = std::fs::read(path.join("config"))?;
    std::fs::write(path.join("config"), &config[1..])?;
    assert_eq!(kind(open(path, PASSWORD).await), Err(Kind::Corrupt));
    assert!(matches!(
        open(path, "wrong").await,
        Err(Error::WrongPassword)
    ));
    std::fs::write(path.join("config"), config)?;

    let key = files(&path.join("keys"))?.remove(0);
    let sealed = std::fs::read(&key)?;
    std::fs::write(&key, sealed.repeat(2))?;
    assert_eq!(kind(open(path, PASSWORD).await), Err(Kind::Corrupt));
    std::fs::remove_file(&key)?;
    assert_eq!(kind(open(path, PASSWORD).await), Err(Kind::Corrupt));

    let (_, store) = in_memory().await?;
    store.die_after(0);
    let unavailable = Repository::open(storage(&store), PASSWORD, options()).await;
    assert_eq!(kind(unavailable), Err(Kind::Unavailable));
    Ok(())
}

/// Abuse 17.
#[tokio::test]
async fn two_that_make_one_repository_make_one() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let storage = Storage::local(folder.path())?;
    let make = || Repository::init(storage.clone(), PASSWORD, options());
    let (a, b, c) = tokio::join!(make(), make(), make());
    let made = [a, b, c];
    assert_eq!(made.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for error in made.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert_eq!(error.kind(), Kind::Conflict);
    }
    let winner = made.into_iter().find_map(Result::ok).expect("one was made");
    assert_eq!(open(folder.path(), PASSWORD).await?.id(), winner.id());
    for restic in testkit::restic::both() {
        restic.check(folder.path(), PASSWORD)?;
    }
    Ok(())
}

#[tokio::test]
async fn keys_that_restic_made_open_too() -> anyhow::Result<()> {
    let Some(restic) = testkit::restic::stock() else {
        return Ok(());
    };
    let fixture = Fixture::new().await?;
    let file = fixture.beside("password");
    std::fs::write(&file, "another")?;
    let args = ["key", "add", "--new-password-file", &file.to_string_lossy()];
    restic.run(&fixture.path(), PASSWORD, args)?.into_result()?;
    assert_eq!(
        open(&fixture.path(), "another").await?.id(),
        fixture.repository.id()
    );
    assert_eq!(
        open(&fixture.path(), PASSWORD).await?.id(),
        fixture.repository.id()
    );
    Ok(())
}

/// Abuse 29.
#[tokio::test]
async fn a_repository_that_cannot_be_written_is_read() -> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    let id = commit(&fixture.repository, None, 0, &[("a", "a")]).await?;
    let disk = object_store::local::LocalFileSystem::new_with_prefix(fixture.path())?;
    let store = testkit::store::Watched::new(std::sync::Arc::new(disk));
    store.refuse_writes();
    let ours = Repository::open(storage(&store), PASSWORD, options()).await?;
    assert_eq!(
        crate::support::text(&ours, id, "a").await?.as_deref(),
        Some("a")
    );
    assert!(ours.verify(|_| {}).await?.is_sound());
    let refused = commit(&ours, Some(id), 60, &[("b", "b")]).await;
    assert!(refused.is_err());
    Ok(())
}
