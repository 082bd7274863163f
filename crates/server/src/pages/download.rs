//! Messages as files: several of them, a folder with the folders inside, or a whole mailbox, as one ZIP that is made while it is sent.
//!
//! In memory are one message at a time, what the folder that is sent holds, and the list of names. A message that cannot be read ends the answer as broken off, so that no browser takes
//! what came until then for a whole file; and a ZIP without its end opens nowhere. Nothing is compressed: most of a mail is so already.

use std::io;

use async_zip::{Compression, ZipDateTimeBuilder, ZipEntryBuilder, base::write::ZipFileWriter};
use axum::{body::Body, response::Response};
use axum_extra::extract::Form;
use catalog::AccountKey;
use futures_util::{StreamExt, stream};
use jiff::tz::TimeZone;
use model::ItemId;
use serde::Deserialize;
use tokio::io::{AsyncWrite, DuplexStream};
use tokio_util::{io::ReaderStream, task::AbortOnDropHandle};
use workload::mail::{Archive, Folder, MessageRef};

use crate::{
    Problem, Signed, State,
    file_name::{Names, plain},
    pages::message::{Headline, file},
    path::Path,
    patient::Patient,
    words::count,
};

/// Messages of one ZIP: their names are kept until its end, some hundred bytes for each, and not every program opens one with 65,536 files or more.
const MESSAGES_MAX: u64 = 60_000;
/// Bytes that are ready before the browser has taken them.
const BUFFER_BYTES: usize = 256 * 1024;
/// Whoever has too many under way is told to wait so long: the shortest take as long.
const SLOT_WAIT_S: u64 = 10;
/// In the ZIP: what is not.
const MISSING: &str = "Not in this ZIP.txt";

/// What is wanted of a restore point: messages, a folder, or everything.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    point: String,
    message: Vec<String>,
    folder: String,
    /// `folder` for the folder, `mailbox` for everything, else the messages.
    what: String,
}

/// Some messages that go into the same folder of the ZIP.
struct Part {
    messages: Messages,
    folder: String,
}

enum Messages {
    These(Vec<MessageRef>),
    /// All of a folder, which is asked for them when it is their turn.
    Of(ItemId),
}

/// Makes the ZIP and sends it.
pub(crate) async fn zip(
    state: State,
    signed: Signed,
    Path(account): Path<AccountKey>,
    Form(wanted): Form<Wanted>,
) -> Result<Response, Problem> {
    let row = signed.organization.account(account).await?;
    let id = |text: String| ItemId::new(text).map_err(|_| Problem::NotFound);
    let files = match wanted.what.as_str() {
        "folder" => Files::Folder(id(wanted.folder)?),
        "mailbox" => Files::Mailbox,
        _ => Files::Messages(
            wanted
                .message
                .into_iter()
                .map(id)
                .collect::<Result<_, _>>()?,
        ),
    };
    let zip = begin(&state, &signed, &row, &wanted.point, files).await?;
    Ok(file(&format!("{}.zip", zip.name), zip.body))
}

/// What is to be in a ZIP.
pub(crate) enum Files {
    Messages(Vec<ItemId>),
    Folder(ItemId),
    Mailbox,
}

/// A ZIP in the making.
pub(crate) struct Zipped {
    /// For people, without its ending.
    name: String,
    pub(crate) body: Body,
}

/// Finds and notes what is wanted, and begins the ZIP.
pub(crate) async fn begin(
    state: &State,
    signed: &Signed,
    row: &catalog::Account,
    point: &str,
    files: Files,
) -> Result<Zipped, Problem> {
    if matches!(&files, Files::Messages(ids) if ids.is_empty()) {
        let what = "No message is selected. Go back and tick the messages to download.";
        return Err(Problem::Invalid(what.to_owned()));
    }
    let organization = signed.organization.id();
    let slot = state.zips().take(organization, signed.user.id);
    let slot = slot.ok_or(Problem::TooOften(SLOT_WAIT_S))?;
    let archive = state.service().archive(organization, row.key, Some(point));
    let archive = archive.await?;
    let (parts, name, object) = match files {
        Files::Folder(id) => {
            let top = archive.folders().iter().find(|folder| folder.id == id);
            let top = top.ok_or(Problem::NotFound)?;
            let parts = of_folders(&archive, &archive.below(top), Some(top))?;
            let name = format!("{} {}", row.name, top.display_name);
            (parts, name, top.id.to_string())
        }
        Files::Mailbox => {
            let all: Vec<_> = archive.folders().iter().collect();
            let parts = of_folders(&archive, &all, None)?;
            (parts, row.name.clone(), "the whole mailbox".to_owned())
        }
        Files::Messages(ids) => {
            let parts = vec![of_messages(&archive, &ids).await?];
            let ids: Vec<_> = ids.iter().map(ItemId::as_str).collect();
            (parts, row.name.clone(), ids.join(" "))
        }
    };
    signed
        .note(
            state,
            "downloaded messages",
            format!("{} {object}", row.key),
        )
        .await?;
    let (writer, reader) = tokio::io::duplex(BUFFER_BYTES);
    let writer = Patient::new(writer, state.clock().clone());
    let work = async move {
        let written = write(archive, parts, writer).await;
        drop(slot);
        written
    };
    let work = AbortOnDropHandle::new(tokio::spawn(work));
    // After the last byte it shows whether it was the last.
    let end = stream::once(work).filter_map(async |ended| match ended {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            tracing::warn!(error = %error, "a download ended early");
            Some(Err(error))
        }
        Err(panicked) => Some(Err(io::Error::other(panicked))),
    });
    let body = Body::from_stream(ReaderStream::new(reader).chain(end));
    Ok(Zipped { name, body })
}

async fn of_messages(archive: &Archive, ids: &[ItemId]) -> Result<Part, Problem> {
    let mut found = Vec::new();
    for id in ids {
        found.push(archive.find(id).await?.ok_or(Problem::NotFound)?);
    }
    Ok(Part {
        messages: Messages::These(found),
        folder: String::new(),
    })
}

/// Some folders as they lie below the one that `top` is in, or all below the root of the mailbox.
fn of_folders(
    archive: &Archive,
    folders: &[&Folder],
    top: Option<&Folder>,
) -> Result<Vec<Part>, Problem> {
    let messages: u64 = folders.iter().map(|folder| folder.messages).sum();
    if messages > MESSAGES_MAX {
        let (what, instead) = match top {
            Some(_) => ("The folder", "Download the folders inside one by one"),
            None => ("The mailbox", "Download its folders one by one"),
        };
        return Err(Problem::Conflict(format!(
            "{what} has {} messages, and one download holds {} at most. {instead}, or restore it.",
            count(messages),
            count(MESSAGES_MAX)
        )));
    }
    let paths = archive.paths();
    let path_of = |id: &ItemId| {
        let found = paths.iter().find(|(one, _)| one == id);
        found.map_or(&[][..], |(_, path)| path)
    };
    let kept = top.map_or(0, |top| path_of(&top.id).len().saturating_sub(1));
    let parts = folders.iter().map(|folder| {
        let names = path_of(&folder.id);
        let names = names[kept.min(names.len())..].iter();
        Part {
            messages: Messages::Of(folder.id.clone()),
            folder: names.map(|name| format!("{}/", plain(name))).collect(),
        }
    });
    Ok(parts.collect())
}

/// Writes the ZIP to its end, or breaks off.
async fn write(
    archive: Archive,
    parts: Vec<Part>,
    writer: Patient<DuplexStream>,
) -> io::Result<()> {
    let mut zip = Zip {
        writer: ZipFileWriter::with_tokio(writer),
        names: Names::default(),
    };
    let mut missing = String::new();
    for Part { messages, folder } in parts {
        let messages = match messages {
            Messages::These(messages) => messages,
            Messages::Of(id) => archive.messages(&id).await.map_err(io::Error::other)?,
        };
        for at in messages {
            let message = archive.message(&at).await.map_err(io::Error::other)?;
            let headline = Headline::of(&message.json);
            if message.has_mime {
                zip.add(&folder, &headline, &message.mime).await?;
            } else {
                let time = headline.received.map(|time| time.to_string());
                let subject = plain(&headline.subject);
                let time = time.unwrap_or_default();
                missing.push_str(&format!("{folder}{subject}\t{time}\r\n"));
            }
        }
    }
    if !missing.is_empty() {
        let text = format!(
            "Microsoft could not make files of these messages. They can be restored.\r\n\r\n{missing}"
        );
        let entry = ZipEntryBuilder::new(MISSING.into(), Compression::Stored);
        let added = zip.writer.write_entry_whole(entry, text.as_bytes()).await;
        added.map_err(io::Error::other)?;
    }
    zip.writer.close().await.map_err(io::Error::other)?;
    Ok(())
}

struct Zip<W: AsyncWrite + Unpin> {
    writer: async_zip::tokio::write::ZipFileWriter<W>,
    names: Names,
}

impl<W: AsyncWrite + Unpin> Zip<W> {
    async fn add(&mut self, folder: &str, headline: &Headline, mime: &[u8]) -> io::Result<()> {
        let time = headline.received.map(|time| time.to_zoned(TimeZone::UTC));
        let stem = match &time {
            Some(time) => format!("{} {}", time.strftime("%Y-%m-%d %H%M"), headline.subject),
            None => headline.subject.clone(),
        };
        let name = self.names.give(folder, &stem, "eml");
        let mut entry = ZipEntryBuilder::new(name.into(), Compression::Stored);
        // What ZIP can tell: from 1980 on.
        if let Some(time) = time.filter(|time| (1980..2100).contains(&time.year())) {
            let date = ZipDateTimeBuilder::new()
                .year(time.year().into())
                .month(time.month().unsigned_abs().into())
                .day(time.day().unsigned_abs().into())
                .hour(time.hour().unsigned_abs().into())
                .minute(time.minute().unsigned_abs().into())
                .second(time.second().unsigned_abs().into());
            entry = entry.last_modification_date(date.build());
        }
        let added = self.writer.write_entry_whole(entry, mime).await;
        added.map_err(io::Error::other)
    }
}
