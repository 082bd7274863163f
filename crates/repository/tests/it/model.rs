//! Any sequence of changes through drafts equals a plain map, and restic agrees.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use repository::{Draft, NodeKind, Repository, SnapshotId};

use crate::support::{Fixture, PASSWORD, in_memory, meta, options, put, storage, view};

#[derive(Clone, Debug)]
enum Step {
    Put(String, u8),
    MakeDir(String),
    Remove(String),
    Rename(String, String),
    Commit,
}

/// What should be at each path.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Item {
    File(Vec<u8>),
    Directory { stays: bool },
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Plain(BTreeMap<String, Item>);

impl Plain {
    /// What the step does, or false if it must be refused or has nothing to do.
    fn apply(&mut self, step: &Step) -> bool {
        match step {
            Step::Put(path, content) => {
                let free = !matches!(self.0.get(path), Some(Item::Directory { .. }));
                free && self.add(path, Item::File(content_of(*content)))
            }
            Step::MakeDir(path) => {
                let free = !matches!(self.0.get(path), Some(Item::File(_)));
                free && self.add(path, Item::Directory { stays: true })
            }
            Step::Remove(path) => !self.take(path).is_empty(),
            Step::Rename(from, to) => self.rename(from, to),
            Step::Commit => true,
        }
    }

    fn add(&mut self, path: &str, item: Item) -> bool {
        let above: Vec<&str> = path.match_indices('/').map(|(at, _)| &path[..at]).collect();
        if above
            .iter()
            .any(|path| matches!(self.0.get(*path), Some(Item::File(_))))
        {
            return false;
        }
        for path in above {
            self.0
                .entry(path.to_owned())
                .or_insert(Item::Directory { stays: false });
        }
        self.0.insert(path.to_owned(), item);
        true
    }

    /// Removes what is at a path and below it, and gives it with paths relative to this one.
    fn take(&mut self, path: &str) -> Vec<(String, Item)> {
        let below = format!("{path}/");
        let mut taken = Vec::new();
        self.0.retain(|there, item| {
            let inside = there == path || there.starts_with(&below);
            if inside {
                taken.push((there[path.len()..].to_owned(), item.clone()));
            }
            !inside
        });
        let above: Vec<&str> = path.match_indices('/').map(|(at, _)| &path[..at]).collect();
        for directory in above.into_iter().rev().filter(|_| !taken.is_empty()) {
            let below = format!("{directory}/");
            let stays = self.0.get(directory) != Some(&Item::Directory { stays: false });
            if stays || self.0.keys().any(|path| path.starts_with(&below)) {
                break;
            }
            self.0.remove(directory);
        }
        taken
    }

    fn rename(&mut self, from: &str, to: &str) -> bool {
        if !self.0.contains_key(from) {
            return false;
        }
        if from == to {
            return true;
        }
        let above_is_file = to
            .match_indices('/')
            .any(|(at, _)| matches!(self.0.get(&to[..at]), Some(Item::File(_))));
        if to.starts_with(&format!("{from}/")) || self.0.contains_key(to) || above_is_file {
            return false;
        }
        for (path, item) in self.take(from) {
            self.add(&format!("{to}{path}"), item);
        }
        true
    }
}

fn content_of(number: u8) -> Vec<u8> {
    format!("content {number}")
        .repeat(usize::from(number))
        .into_bytes()
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "ü", "a b"]), 1..4)
        .prop_map(|names| names.join("/"))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (path(), 0..6_u8).prop_map(|(path, content)| Step::Put(path, content)),
        1 => path().prop_map(Step::MakeDir),
        2 => path().prop_map(Step::Remove),
        3 => (path(), path()).prop_map(|(from, to)| Step::Rename(from, to)),
        2 => Just(Step::Commit),
    ];
    prop::collection::vec(step, 1..60)
}

/// Does the step in a draft; gives whether it was done.
async fn apply(draft: &mut Draft, step: &Step) -> anyhow::Result<bool> {
    let done = match step {
        Step::Put(path, content) => match put(draft, path, content_of(*content)).await {
            Err(error) => Err(error.downcast::<repository::Error>()?),
            Ok(()) => Ok(true),
        },
        Step::MakeDir(path) => draft.make_dir(path).await.map(|()| true),
        Step::Remove(path) => draft.remove(path).await,
        Step::Rename(from, to) => draft.rename(from, to).await.map(|()| true),
        Step::Commit => Ok(true),
    };
    match done {
        Ok(done) => Ok(done),
        Err(repository::Error::Taken(_) | repository::Error::NotFound(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Runs the steps and gives each snapshot with what it should hold.
async fn run(repository: &Repository, steps: &[Step]) -> anyhow::Result<Vec<(SnapshotId, Plain)>> {
    let mut snapshots: Vec<(SnapshotId, Plain)> = Vec::new();
    let mut plain = Plain::default();
    let mut draft = repository.draft(None).await?;
    for step in steps.iter().chain([&Step::Commit]) {
        let expected = plain.apply(step);
        ensure!(
            apply(&mut draft, step).await? == expected,
            "{step:?} should be {expected}"
        );
        if matches!(step, Step::Commit) {
            let before = snapshots.last().map(|(_, before)| before);
            let unchanged = before == Some(&plain);
            let committed = draft.commit(meta(snapshots.len() as i64)).await?;
            ensure!(
                committed.is_none() == unchanged,
                "a snapshot is made exactly for a change"
            );
            snapshots.extend(committed.map(|id| (id, plain.clone())));
            draft = repository
                .draft(snapshots.last().map(|(id, _)| *id))
                .await?;
        }
    }
    draft.abandon().await?;
    Ok(snapshots)
}

/// What a snapshot holds.
async fn read(repository: &Repository, id: SnapshotId) -> anyhow::Result<Plain> {
    let view = view(repository, id).await?;
    let mut found = Plain::default();
    let mut walk = view.walk("").await?;
    while let Some(walked) = walk.next().await? {
        let item = match walked.node.kind() {
            NodeKind::Directory => Item::Directory {
                stays: walked.node.stays(),
            },
            _ => {
                let read = view.read(&walked.node).await?;
                ensure!(read.len() as u64 == walked.node.size());
                Item::File(read.to_vec())
            }
        };
        found.0.insert(walked.path, item);
    }
    Ok(found)
}

async fn equals_the_model(steps: &[Step]) -> anyhow::Result<()> {
    let (ours, store) = in_memory().await?;
    let snapshots = run(&ours, steps).await?;
    let reopened = Repository::open(storage(&store), PASSWORD, options()).await?;
    for (id, plain) in &snapshots {
        ensure!(read(&ours, *id).await? == *plain);
        ensure!(read(&reopened, *id).await? == *plain);
    }
    let report = reopened.verify(|_| {}).await?;
    ensure!(report.is_sound(), "{report:?}");
    Ok(())
}

proptest! {
    #![proptest_config(Config { cases: 40, ..Config::default() })]
    #[test]
    fn any_sequence_of_changes_equals_a_plain_map(steps in steps()) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
        let outcome = runtime.block_on(equals_the_model(&steps));
        prop_assert!(outcome.is_ok(), "{:?}", outcome);
    }
}

#[tokio::test]
async fn restic_agrees_on_some_sequences() -> anyhow::Result<()> {
    let mut runner = TestRunner::deterministic();
    for _ in 0..3 {
        let steps = steps()
            .new_tree(&mut runner)
            .expect("steps can be made")
            .current();
        let fixture = Fixture::new().await?;
        let snapshots = run(&fixture.repository, &steps).await?;
        for restic in testkit::restic::both() {
            restic.check(&fixture.path(), PASSWORD)?;
            let (id, plain) = snapshots.last().context("at least one snapshot")?;
            let target = fixture.beside(&format!("{:?}", restic.version()));
            let id = id.to_string();
            let listed = restic
                .run(&fixture.path(), PASSWORD, ["ls", "--json", &id])?
                .into_result()?;
            let listed = listed.text();
            let nodes = listed.lines().filter_map(|line| {
                let node: serde_json::Value = serde_json::from_str(line).ok()?;
                Some((
                    node["path"].as_str()?.trim_start_matches('/').to_owned(),
                    node["type"] == "dir",
                ))
            });
            let expected = plain
                .0
                .iter()
                .map(|(path, item)| (path.clone(), !matches!(item, Item::File(_))));
            assert_eq!(nodes.collect::<BTreeMap<_, _>>(), expected.collect());
            let arguments = ["restore", &id, "--target", &target.to_string_lossy()];
            restic
                .run(&fixture.path(), PASSWORD, arguments)?
                .into_result()?;
            for (path, item) in &plain.0 {
                if let Item::File(content) = item {
                    assert_eq!(&std::fs::read(target.join(path))?, content, "{path}");
                }
            }
        }
    }
    Ok(())
}
