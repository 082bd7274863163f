//! What lists and searches show of the messages of a month's directory, kept in the local cache beside what it was made from: to read it is to read one small
//! file instead of every message.
//!
//! A list is JSON, `{"version": 1, "messages": […]}`; a message is what [`Listed`] says, with the name of its file in place of its path, because a folder's
//! directory may come to lie elsewhere. One of another version is as good as none. [`Archive::make_lists`] makes them; where there is none, every message is
//! read, as ever.

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use model::ItemId;
use serde::{Deserialize, Serialize};

use super::{Archive, Listed, MessageRef, WHAT, file_name, messages_in};
use crate::{Error, Result, mail::backup::Progress};

/// Of what is kept.
const VERSION: u32 = 1;
/// Messages that are read at a time: over a network each takes tens of milliseconds.
const READS_AT_ONCE: usize = 8;

/// What is kept of a directory.
#[derive(Deserialize, Serialize)]
struct List {
    version: u32,
    messages: Vec<Row>,
}

#[derive(Deserialize, Serialize)]
struct Row {
    file: String,
    id: ItemId,
    subject: String,
    sender_name: String,
    sender_address: String,
    received: Option<Timestamp>,
    has_attachments: bool,
    is_read: bool,
    size_bytes: u64,
}

impl Archive {
    /// Makes the lists that are missing, for the pages and searches to come, until the run that `progress` is of is asked to stop. A directory with a message
    /// that cannot be read gets none.
    ///
    /// # Errors
    /// When the snapshot cannot be read.
    pub async fn make_lists(&self, progress: &Progress) -> Result<()> {
        for record in self.records.iter() {
            let path = self.records.path(&record.id);
            for month in &record.months {
                let directory = format!("{path}/{}", month.name);
                if progress.is_asked_to_stop() {
                    return Ok(());
                }
                let known = self.view.has_summary(&directory).await;
                if known.map_err(Error::repository(WHAT))? {
                    continue;
                }
                if let Err(error) = self.make_list(&directory).await {
                    tracing::debug!(error = %error, "a directory gets no list");
                }
            }
        }
        Ok(())
    }

    /// The messages of a directory as lists show them, if its list is there.
    pub(super) async fn known(&self, directory: &str) -> Result<Option<Vec<Listed>>> {
        let kept = self.view.summary(directory).await;
        let kept = kept.map_err(Error::repository(WHAT))?;
        let list = kept.and_then(|kept| serde_json::from_slice::<List>(&kept).ok());
        let list = list.filter(|list| list.version == VERSION);
        let shape = |row: Row| Listed {
            at: MessageRef {
                path: format!("{directory}/{}", row.file),
            },
            id: row.id,
            subject: row.subject,
            sender_name: row.sender_name,
            sender_address: row.sender_address,
            received: row.received,
            has_attachments: row.has_attachments,
            is_read: row.is_read,
            size_bytes: row.size_bytes,
        };
        Ok(list.map(|list| list.messages.into_iter().map(shape).collect()))
    }

    async fn make_list(&self, directory: &str) -> Result<()> {
        let nodes = self.list(directory).await?;
        let reads = messages_in(directory, &nodes).map(|(at, size_bytes)| async move {
            let listed = self.listed(at, size_bytes).await?;
            Ok::<_, Error>(Row {
                file: file_name(&listed.at).to_owned(),
                id: listed.id,
                subject: listed.subject,
                sender_name: listed.sender_name,
                sender_address: listed.sender_address,
                received: listed.received,
                has_attachments: listed.has_attachments,
                is_read: listed.is_read,
                size_bytes: listed.size_bytes,
            })
        });
        let reads = reads.collect::<Vec<_>>();
        let messages = stream::iter(reads).buffered(READS_AT_ONCE).try_collect();
        let list = List {
            version: VERSION,
            messages: messages.await?,
        };
        let text = serde_json::to_vec(&list).map_err(|error| Error::state("a list", error))?;
        let kept = self.view.keep_summary(directory, text).await;
        kept.map_err(Error::repository(WHAT))
    }
}
