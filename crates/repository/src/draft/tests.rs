//! Closing directories in between makes no difference.

use std::sync::Arc;

use model::SystemClock;
use object_store::memory::InMemory;
use proptest::prelude::*;

use super::*;
use crate::{repository::Options, repository::Repository, storage::Storage};

#[derive(Clone, Debug)]
enum Step {
    Put(String, i64),
    MakeDir(String),
    Remove(String),
    Rename(String, String),
    List(String),
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4)
        .prop_map(|names| names.join("/"))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (path(), 0..5_i64).prop_map(|(path, time)| Step::Put(path, time)),
        1 => path().prop_map(Step::MakeDir),
        2 => path().prop_map(Step::Remove),
        2 => (path(), path()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => path().prop_map(Step::List),
    ];
    prop::collection::vec(step, 1..60)
}

/// What a step gave, without what only a stored directory has.
async fn apply(draft: &mut Draft, step: &Step, content: &Content) -> String {
    match step {
        Step::Put(path, time) => {
            let mtime = Timestamp::new(*time, 0).expect("a time near the epoch");
            let content = content.clone();
            format!("{:?}", draft.put(path, File { content, mtime }).await)
        }
        Step::MakeDir(path) => format!("{:?}", draft.make_dir(path).await),
        Step::Remove(path) => format!("{:?}", draft.remove(path).await),
        Step::Rename(from, to) => format!("{:?}", draft.rename(from, to).await),
        Step::List(path) => match draft.list(path).await {
            Ok(nodes) => nodes
                .iter()
                .map(|node| format!("{} {:?} {}, ", node.name(), node.modified(), node.stays()))
                .collect(),
            Err(error) => format!("{error:?}"),
        },
    }
}

/// The steps' outcomes and the root that they lead to.
async fn run(
    repository: &Repository,
    steps: &[Step],
    max_open_entries: usize,
) -> (Vec<String>, BlobId) {
    let mut draft = repository.draft(None).await.expect("memory works");
    draft.close_above = max_open_entries;
    draft.max_open_entries = max_open_entries;
    let stored = draft.writer().store("content".into()).await;
    let content = stored.expect("memory works");
    let mut outcomes = Vec::new();
    for step in steps {
        outcomes.push(apply(&mut draft, step, &content).await);
    }
    let packer = Arc::clone(&draft.reading.packer);
    let (root, _) = draft.root.save(&packer).await.expect("memory works");
    (outcomes, root)
}

#[tokio::test]
async fn a_caller_that_is_not_polled_holds_up_nobody() -> anyhow::Result<()> {
    use futures_util::{FutureExt, future::join_all};
    let options = Options {
        clock: Arc::new(SystemClock::new()),
        instance: "test".to_owned(),
        cache: None,
    };
    let storage = Storage::new(Arc::new(InMemory::new()));
    let repository = Repository::init(storage, "password", options).await?;
    let draft = repository.draft(None).await?;
    let writer = draft.writer();
    let store = |number: u32| Box::pin(writer.store(number.to_le_bytes().to_vec().into()));
    let mut waiting: Vec<_> = (0..1_000).map(store).collect();
    for future in &mut waiting {
        assert!(future.as_mut().now_or_never().is_none());
    }
    store(1_000).await?;
    assert!(join_all(waiting).await.iter().all(Result::is_ok));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]
    #[test]
    fn closing_directories_makes_no_difference(steps in steps()) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
        let (open, closed) = runtime.block_on(async {
            let options = Options {
                clock: Arc::new(SystemClock::new()),
                instance: "test".to_owned(),
                cache: None,
            };
            let storage = Storage::new(Arc::new(InMemory::new()));
            let made = Repository::init(storage, "password", options).await;
            let repository = made.expect("memory works");
            (run(&repository, &steps, usize::MAX).await, run(&repository, &steps, 2).await)
        });
        prop_assert_eq!(open, closed);
    }
}
