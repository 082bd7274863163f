//! Restores into a new folder, and what people must find there.

use std::collections::BTreeMap;

use ::model::RestoreId;
use anyhow::{Result, ensure};
use emulator::Mailbox;
use engine::restore;
use rand::{RngExt, seq::IndexedRandom};
use workload::mail::{
    Archive,
    restore::{Destination, Selection},
};

use super::world::{World, lock};

impl World {
    pub(super) async fn restore(&mut self) -> Result<String> {
        let ids = self.model.ids();
        let Some(id) = ids.choose(&mut self.random).copied() else {
            return Ok("nothing".to_owned());
        };
        let archive = restore::archive(self.setting(), &self.account, Some(id)).await?;
        let filled = archive
            .folders()
            .iter()
            .filter(|folder| folder.messages > 0);
        let folders: Vec<_> = filled.map(|folder| folder.id.clone()).collect();
        let whole = self.random.random_bool(0.3);
        let selection = match folders.choose(&mut self.random) {
            Some(folder) if !whole => Selection::Folder(folder.clone()),
            _ => Selection::Mailbox,
        };
        let name = format!("Restored {}", self.history().moment());
        let order = restore::Order {
            source: &self.account,
            target: &self.account.id,
            selection,
            destination: Destination::NewFolder { name: name.clone() },
            restore: RestoreId::new(name.clone())?,
        };
        let report = restore::run(self.setting(), &archive, &order, &|_| ()).await?;
        ensure!(report.is_complete(), "{report:?}");
        let expected = shown_by(&archive, &order.selection).await?;
        let count: usize = expected.values().sum();
        ensure!(
            report.restored == count as u64,
            "{count} were to be restored: {report:?}"
        );
        let mailbox = self.mailbox()?;
        let found = shown_below(&lock(&mailbox), &name);
        ensure!(
            found == expected,
            "restored {found:?} instead of {expected:?}"
        );
        if self.random.random_bool(0.7) {
            purge_below(&mut lock(&mailbox), &name);
        }
        self.note_source()?;
        Ok(format!("{count} messages of {id}"))
    }
}

/// Messages as people see them, with how many there are of each: restored ones have other ids.
type Shown = BTreeMap<(String, bool), usize>;

fn show(shown: &mut Shown, json: &serde_json::Value) {
    let subject = json["subject"].as_str().unwrap_or_default().to_owned();
    *shown.entry((subject, json["isRead"] == true)).or_default() += 1;
}

/// What a selection of an archive has to become.
async fn shown_by(archive: &Archive, selection: &Selection) -> Result<Shown> {
    let mut shown = Shown::new();
    for folder in archive.folders() {
        let mut at = Some(&folder.id);
        let mut above = Vec::new();
        while let Some(id) = at {
            above.push(id);
            let found = archive.folders().iter().find(|folder| folder.id == *id);
            at = found.and_then(|folder| folder.parent.as_ref());
        }
        if matches!(selection, Selection::Folder(top) if !above.contains(&top)) {
            continue;
        }
        for at in archive.messages(&folder.id).await? {
            let message = archive.message(&at).await?;
            show(&mut shown, &serde_json::from_str(message.json.get())?);
        }
    }
    Ok(shown)
}

/// What is in a folder of the mailbox and those below it.
fn shown_below(mailbox: &Mailbox, name: &str) -> Shown {
    let mut shown = Shown::new();
    let folders = folders_below(mailbox, name);
    let messages = mailbox.message_views();
    for message in messages.filter(|message| folders.contains(&message.folder_id)) {
        show(&mut shown, &message.json);
    }
    shown
}

fn purge_below(mailbox: &mut Mailbox, name: &str) {
    let folders = folders_below(mailbox, name);
    let messages = mailbox.message_views();
    let keys: Vec<_> = messages
        .filter(|message| folders.contains(&message.folder_id))
        .map(|message| message.key)
        .collect();
    keys.into_iter().for_each(|key| mailbox.purge_message(key));
}

fn folders_below(mailbox: &Mailbox, name: &str) -> Vec<String> {
    let folders = mailbox.folder_views();
    folders
        .filter(|folder| folder.path.first().is_some_and(|first| first == name))
        .map(|folder| folder.id)
        .collect()
}
