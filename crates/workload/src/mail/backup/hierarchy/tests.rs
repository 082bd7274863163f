//! Folders that move, are renamed, vanish and come, forty deep: their directories are where a first run would make them.

use std::sync::Arc;

use anyhow::Result;
use model::{AccountId, SystemClock, TenantId};
use proptest::{prelude::*, test_runner::TestRunner};
use repository::{Draft, File, Node, NodeKind, Options, Repository, Storage};
use tempfile::TempDir;

use super::*;
use crate::mail::backup::recorder::Recorder;

/// What happens to folders; each is meant by its number among those there are, modulo how many these are.
#[derive(Clone, Debug)]
enum Deed {
    Make { inside: usize },
    Rename { which: usize },
    Move { which: usize, to: usize },
    Delete { which: usize },
}

/// A folder of the mailbox. `None` as its parent is the root.
#[derive(Clone, Debug)]
struct Folder {
    number: usize,
    name: usize,
    parent: Option<usize>,
}

/// The folders of a mailbox.
#[derive(Clone, Debug, Default)]
struct Forest {
    folders: Vec<Folder>,
    made: usize,
    named: usize,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        2 => any::<usize>().prop_map(|inside| Deed::Make { inside }),
        2 => any::<usize>().prop_map(|which| Deed::Rename { which }),
        4 => any::<(usize, usize)>().prop_map(|(which, to)| Deed::Move { which, to }),
        1 => any::<usize>().prop_map(|which| Deed::Delete { which }),
    ]
}

impl Forest {
    /// So many folders, each inside the one before.
    fn chain(depth: usize) -> Self {
        let mut forest = Self::default();
        for _ in 0..depth {
            forest.make(forest.folders.last().map(|last| last.number));
        }
        forest
    }

    fn make(&mut self, parent: Option<usize>) {
        self.made += 1;
        self.named += 1;
        self.folders.push(Folder {
            number: self.made,
            name: self.named,
            parent,
        });
    }

    /// One of the folders, or the root.
    fn pick(&self, which: usize) -> Option<usize> {
        let which = which % (self.folders.len() + 1);
        self.folders.get(which).map(|folder| folder.number)
    }

    fn get(&mut self, number: usize) -> Option<&mut Folder> {
        let mut folders = self.folders.iter_mut();
        folders.find(|folder| folder.number == number)
    }

    fn is_inside(&self, mut inner: Option<usize>, outer: usize) -> bool {
        while let Some(number) = inner {
            if number == outer {
                return true;
            }
            let folder = self.folders.iter().find(|folder| folder.number == number);
            inner = folder.and_then(|folder| folder.parent);
        }
        false
    }

    fn apply(&mut self, deed: &Deed) {
        match *deed {
            Deed::Make { inside } => self.make(self.pick(inside)),
            Deed::Rename { which } => {
                self.named += 1;
                let name = self.named;
                if let Some(folder) = self.pick(which).and_then(|number| self.get(number)) {
                    folder.name = name;
                }
            }
            Deed::Move { which, to } => {
                let to = self.pick(to);
                if let Some(number) = self.pick(which)
                    && !self.is_inside(to, number)
                    && let Some(folder) = self.get(number)
                {
                    folder.parent = to;
                }
            }
            Deed::Delete { which } => {
                if let Some(outer) = self.pick(which) {
                    let before = self.clone();
                    self.folders
                        .retain(|folder| !before.is_inside(Some(folder.number), outer));
                }
            }
        }
    }

    /// As a walk finds them: the root, what is in it, what is in these, and so on.
    fn found(&self) -> Result<Vec<Found>> {
        let mut all = vec![one("root", None, "root")?];
        let mut level = vec![None];
        while !level.is_empty() {
            let inside = |folder: &&Folder| level.contains(&folder.parent);
            let below: Vec<&Folder> = self.folders.iter().filter(inside).collect();
            for folder in &below {
                let parent = folder
                    .parent
                    .map_or_else(|| "root".to_owned(), |n| n.to_string());
                let name = format!("name {}", folder.name);
                all.push(one(&folder.number.to_string(), Some(&parent), &name)?);
            }
            level = below.iter().map(|folder| Some(folder.number)).collect();
        }
        Ok(all)
    }
}

fn one(id: &str, parent: Option<&str>, name: &str) -> Result<Found> {
    let json = format!(r#"{{"id":"{id}","displayName":"{name}"}}"#);
    Ok(Found {
        id: ItemId::new(id)?,
        parent: parent.map(ItemId::new).transpose()?,
        name: name.to_owned(),
        hidden: false,
        well_known: None,
        json: RawValue::from_string(json)?,
    })
}

/// A run that finds these folders, and that those missing are gone. In each new folder a file is put that says which it is.
async fn run(draft: Draft, forest: &Forest) -> Result<Draft> {
    let (tenant, account) = (TenantId::new("tenant")?, AccountId::new("account")?);
    let mut recorder = Recorder::open(draft, &tenant, &account).await?;
    let known: Vec<ItemId> = recorder.folders.iter().map(|one| one.id.clone()).collect();
    let gone = recorder.take_hierarchy(forest.found()?).await?;
    recorder.drop_folders(gone).await?;
    let paths: Vec<_> = recorder
        .folders
        .iter()
        .filter(|folder| !known.contains(&folder.id))
        .map(|folder| format!("{}/{}", recorder.folders.path(&folder.id), folder.id))
        .collect();
    for path in paths {
        let content = recorder.draft.writer().store("mail".into()).await?;
        let mtime = jiff::Timestamp::UNIX_EPOCH;
        recorder.draft.put(&path, File { content, mtime }).await?;
    }
    let record = recorder.account.clone();
    record.save(&mut recorder.draft).await?;
    recorder.save().await?;
    Ok(recorder.draft)
}

/// Every path below the directory of mail, in order.
async fn tree(draft: &mut Draft) -> Result<Vec<String>> {
    let mut all = vec![MAIL.to_owned()];
    let mut at = 0;
    while let Some(above) = all.get(at).cloned() {
        let is_directory = |node: &Node| node.kind() == NodeKind::Directory;
        if at == 0 || draft.node(&above).await?.as_ref().is_some_and(is_directory) {
            let inside = draft.list(&above).await?;
            all.extend(inside.iter().map(|node| format!("{above}/{}", node.name())));
        }
        at += 1;
    }
    all.sort();
    Ok(all)
}

/// The forest after each deed, each of them backed up: how the last snapshot's directories are, and how a first run would make them.
async fn compare(
    repository: &Repository,
    depth: usize,
    deeds: &[Vec<Deed>],
) -> Result<(Vec<String>, Vec<String>)> {
    let mut forest = Forest::chain(depth);
    let mut draft = run(repository.draft(None).await?, &forest).await?;
    for deeds in deeds {
        deeds.iter().for_each(|deed| forest.apply(deed));
        draft = run(draft, &forest).await?;
    }
    let mut fresh = run(repository.draft(None).await?, &forest).await?;
    Ok((tree(&mut draft).await?, tree(&mut fresh).await?))
}

/// Runs `work` with a repository.
fn with_repository(work: impl FnOnce(&tokio::runtime::Runtime, &Repository)) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let folder = TempDir::new()?;
    let options = Options {
        clock: Arc::new(SystemClock::new()),
        instance: "test".to_owned(),
        cache: None,
    };
    let made = Repository::init(Storage::local(folder.path())?, "password", options);
    work(&runtime, &runtime.block_on(made)?);
    Ok(())
}

#[test]
fn deep_folders_are_where_a_first_run_would_put_them() -> Result<()> {
    let runs = prop::collection::vec(prop::collection::vec(deed(), 1..5), 1..4);
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(200)
    };
    with_repository(|runtime, repository| {
        let mut runner = TestRunner::new(config);
        let outcome = runner.run(&(0..40_usize, runs), |(depth, deeds)| {
            let compared = runtime.block_on(compare(repository, depth, &deeds));
            let (moved, fresh) =
                compared.map_err(|error| TestCaseError::fail(format!("{error:#}")))?;
            let wrong: Vec<_> = moved.iter().filter(|path| !fresh.contains(path)).collect();
            let missing: Vec<_> = fresh.iter().filter(|path| !moved.contains(path)).collect();
            prop_assert!(
                wrong.is_empty() && missing.is_empty(),
                "{wrong:#?} instead of {missing:#?}"
            );
            Ok(())
        });
        outcome.expect("every directory is where it belongs");
    })
}
