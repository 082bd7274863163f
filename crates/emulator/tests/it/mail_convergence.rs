//! Whatever happens in a mailbox, and however pages fall between it, a client that follows the deltas ends with exactly what is there.

use std::collections::BTreeMap;

use anyhow::Result;
use emulator::{FolderKey, Mailbox, MessageKey, World};
use jiff::Timestamp;
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::mail_support::{Ask, Bench, USER, text};

/// Something to do; numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Deliver(usize),
    Mark(usize),
    Move(usize, usize),
    MoveAndBack(usize, usize),
    Copy(usize, usize),
    Delete(usize),
    Purge(usize),
    CreateFolder(usize),
    MoveFolder(usize, usize),
    RenameFolder(usize),
    DeleteFolder(usize),
    /// The client reads one page of some folder's delta, or of the tree's.
    ReadPage(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0..1000_usize;
    prop_oneof![
        4 => n.clone().prop_map(Step::Deliver),
        2 => n.clone().prop_map(Step::Mark),
        3 => (n.clone(), n.clone()).prop_map(|(a, b)| Step::Move(a, b)),
        2 => (n.clone(), n.clone()).prop_map(|(a, b)| Step::MoveAndBack(a, b)),
        1 => (n.clone(), n.clone()).prop_map(|(a, b)| Step::Copy(a, b)),
        2 => n.clone().prop_map(Step::Delete),
        1 => n.clone().prop_map(Step::Purge),
        1 => n.clone().prop_map(Step::CreateFolder),
        1 => (n.clone(), n.clone()).prop_map(|(a, b)| Step::MoveFolder(a, b)),
        1 => n.clone().prop_map(Step::RenameFolder),
        1 => n.clone().prop_map(Step::DeleteFolder),
        6 => n.prop_map(Step::ReadPage),
    ]
}

/// What a client knows of a mailbox.
#[derive(Default)]
struct Follower {
    tree: Cursor,
    /// By folder id: the parent's id and the name.
    folders: BTreeMap<String, (String, String)>,
    contents: BTreeMap<String, Content>,
}

#[derive(Default)]
struct Content {
    cursor: Cursor,
    /// By message id: the change key.
    messages: BTreeMap<String, String>,
}

#[derive(Default)]
struct Cursor {
    link: Option<String>,
    /// Whether the last page ended a round.
    done: bool,
}

impl Cursor {
    /// Reads the next page; nothing if the folder is gone.
    async fn page(
        &mut self,
        bench: &Bench,
        start: &str,
        ask: Ask<'_>,
    ) -> Result<Option<Vec<Value>>> {
        let link = self.link.clone().unwrap_or_else(|| start.to_owned());
        let answer = bench.get(&link, ask).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let page = answer.json();
        let next = page["@odata.nextLink"].as_str();
        self.done = next.is_none();
        let link = next.or(page["@odata.deltaLink"].as_str());
        self.link = link.map(str::to_owned);
        Ok(page["value"].as_array().cloned())
    }
}

impl Follower {
    async fn read_tree(&mut self, bench: &Bench, ask: Ask<'_>) -> Result<()> {
        let page = self.tree.page(bench, "mailFolders/delta", ask).await?;
        for row in page.unwrap_or_default() {
            let id = text(&row, "id")?;
            if row.get("@removed").is_some() {
                self.folders.remove(&id);
                self.contents.remove(&id);
            } else {
                let place = (text(&row, "parentFolderId")?, text(&row, "displayName")?);
                self.folders.insert(id.clone(), place);
                self.contents.entry(id).or_default();
            }
        }
        Ok(())
    }

    async fn read_folder(&mut self, bench: &Bench, id: &str, ask: Ask<'_>) -> Result<()> {
        let Some(content) = self.contents.get_mut(id) else {
            return Ok(());
        };
        let start = format!("mailFolders/{id}/messages/delta");
        let page = content.cursor.page(bench, &start, ask).await?;
        for row in page.unwrap_or_default() {
            let id = text(&row, "id")?;
            if row.get("@removed").is_some() {
                content.messages.remove(&id);
            } else {
                content.messages.insert(id, text(&row, "changeKey")?);
            }
        }
        Ok(())
    }

    async fn read_some(&mut self, bench: &Bench, which: usize, ask: Ask<'_>) -> Result<()> {
        let ids: Vec<String> = self.contents.keys().cloned().collect();
        match ids.get(which % (ids.len() + 1)) {
            Some(id) => self.read_folder(bench, id, ask).await,
            None => self.read_tree(bench, ask).await,
        }
    }

    /// Reads everything to the end.
    async fn finish(&mut self, bench: &Bench, ask: Ask<'_>) -> Result<()> {
        loop {
            self.read_tree(bench, ask).await?;
            if self.tree.done {
                break;
            }
        }
        let ids: Vec<String> = self.contents.keys().cloned().collect();
        for id in ids {
            loop {
                self.read_folder(bench, &id, ask).await?;
                if self.contents[&id].cursor.done {
                    break;
                }
            }
        }
        Ok(())
    }
}

fn choose<T: Copy>(all: &[T], number: usize) -> Option<T> {
    all.get(number % all.len().max(1)).copied()
}

fn folders(mailbox: &Mailbox) -> Vec<FolderKey> {
    let visible = mailbox.folder_views().filter(|folder| !folder.hidden);
    visible.map(|folder| folder.key).collect()
}

/// Does what can be done; a refusal (a clash of names, a built-in folder) is no step.
fn apply(mailbox: &mut Mailbox, now: Timestamp, step: &Step) {
    let messages: Vec<MessageKey> = mailbox.message_views().map(|message| message.key).collect();
    let folders = folders(mailbox);
    let folder = |number: &usize| choose(&folders, *number).expect("there are always folders");
    let refused = match (step, |number: &usize| choose(&messages, *number)) {
        (Step::Deliver(at), _) => mailbox
            .deliver(folder(at), format!("Subject: {at}\r\n\r\n").into(), now)
            .map(|_| ()),
        (Step::Move(m, f), message) => match message(m) {
            Some(key) => mailbox.move_message(key, folder(f), false, now),
            None => Ok(()),
        },
        (Step::MoveAndBack(m, f), message) => match message(m) {
            Some(key) => mailbox
                .message_home(key)
                .ok_or_else(emulator::GraphError::item_not_found)
                .and_then(|home| {
                    mailbox.move_message(key, folder(f), false, now)?;
                    mailbox.move_message(key, home, false, now)
                }),
            None => Ok(()),
        },
        (Step::Copy(m, f), message) => match message(m) {
            Some(key) => mailbox.copy_message(key, folder(f), now).map(|_| ()),
            None => Ok(()),
        },
        (Step::Delete(m), message) => match message(m) {
            Some(key) => mailbox.delete_message(key, now),
            None => Ok(()),
        },
        (Step::Purge(m), message) => {
            if let Some(key) = message(m) {
                mailbox.purge_message(key);
            }
            Ok(())
        }
        (Step::CreateFolder(f), _) => mailbox
            .create_folder(folder(f), &format!("F{f}"), false)
            .map(|_| ()),
        (Step::MoveFolder(f, to), _) => mailbox.move_folder(folder(f), folder(to)),
        (Step::RenameFolder(f), _) => mailbox.rename_folder(folder(f), &format!("R{f}")),
        (Step::DeleteFolder(f), _) => mailbox.delete_folder(folder(f), now),
        (Step::Mark(_) | Step::ReadPage(_), _) => Ok(()),
    };
    drop(refused);
}

async fn mark(bench: &Bench, number: usize, ask: Ask<'_>) -> Result<()> {
    let ids: Vec<String> =
        bench.mailbox(|mailbox, _| mailbox.message_views().map(|message| message.id).collect());
    if let Some(id) = ids.get(number % ids.len().max(1)) {
        let immutable = Ask {
            immutable: true,
            ..ask
        };
        let body = json!({"isRead": number.is_multiple_of(2)});
        bench
            .patch(&format!("messages/{id}"), immutable, body)
            .await?;
    }
    Ok(())
}

/// What is really there, as the follower should know it.
fn truth(mailbox: &Mailbox, immutable: bool) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut truth: BTreeMap<String, BTreeMap<String, String>> = mailbox
        .folder_views()
        .filter(|folder| !folder.hidden)
        .map(|folder| (folder.id, BTreeMap::new()))
        .collect();
    for message in mailbox.message_views() {
        let id = match immutable {
            true => message.id,
            false => mailbox.default_id(message.key).expect("it is there"),
        };
        let key = message.json["changeKey"].as_str().unwrap_or_default();
        truth
            .get_mut(&message.folder_id)
            .expect("every message lies in a folder")
            .insert(id, key.to_owned());
    }
    truth
}

async fn run(bench: &Bench, steps: &[Step], ask: Ask<'_>) -> Result<()> {
    let mut follower = Follower::default();
    for step in steps {
        match step {
            Step::ReadPage(which) => follower.read_some(bench, *which, ask).await?,
            Step::Mark(which) => mark(bench, *which, ask).await?,
            step => bench.mailbox(|mailbox, now| apply(mailbox, now, step)),
        }
    }
    follower.finish(bench, ask).await?;
    let known: BTreeMap<_, _> = follower
        .contents
        .into_iter()
        .map(|(id, content)| (id, content.messages))
        .collect();
    let (expected, tree) = bench.mailbox(|mailbox, _| {
        let tree: BTreeMap<String, String> = mailbox
            .folder_views()
            .filter(|folder| !folder.hidden)
            .map(|folder| (folder.id, folder.path.last().cloned().unwrap_or_default()))
            .collect();
        (truth(mailbox, ask.immutable), tree)
    });
    assert_eq!(known, expected);
    let names: BTreeMap<_, _> = follower
        .folders
        .into_iter()
        .map(|(id, (_, name))| (id, name))
        .collect();
    assert_eq!(names, tree);
    Ok(())
}

#[test]
fn a_client_that_follows_deltas_ends_with_what_is_there() {
    // survival 44 to 51
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let bench = runtime.block_on(async {
        let empty = tempfile::tempdir().expect("a directory can be made");
        Bench::on(World::new().mail(USER, empty.path()), |settings| settings).await
    });
    let tenant = bench.site.running.tenant().clone();
    let user = tenant.user(USER).expect("the user exists").id;
    let number = std::cell::Cell::new(0_u128);
    let strategy = (vec(step(), 1..60), any::<bool>(), 1..6_usize);
    TestRunner::default()
        .run(&strategy, |(steps, immutable, size)| {
            // Each case has a mailbox of its own, in the one emulator.
            number.set(number.get() + 1);
            tenant.set_mailbox(user, Mailbox::new(Uuid::from_u128(number.get()), USER));
            let ask = Ask {
                immutable,
                page_size: Some(size),
                text_body: false,
                content_type: None,
            };
            runtime
                .block_on(run(&bench, &steps, ask))
                .map_err(|error| TestCaseError::fail(format!("{error:#}")))
        })
        .expect("every sequence converges");
}
