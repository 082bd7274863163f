//! What of a message's content is read, and when.
//!
//! Composing needs a message's outline. Then the small attachments that may travel with the message are read; the others stay in the archive, and
//! of a large one a range is read when it is its turn to be uploaded.

use std::{io, ops::Range};

use bytes::{Bytes, BytesMut};
use graph::Content;

use crate::{
    Error, Result,
    mail::{
        MimeFile, Outlined,
        compose::{self, Attachment, CREATE_BYTES_MAX, Composed, Marks, Source},
        outline::{self, Far, Outline, Step},
    },
};

/// Takes a message apart, and reads what of its attachments may travel with it.
///
/// # Errors
/// When the archive cannot be read.
pub(super) async fn composed(message: &mut Outlined, marks: &Marks) -> Result<Composed> {
    let mut composed = compose_apart(message, marks).await;
    if composed.is_none() {
        message.mime = Outline::from(message.file.whole().await?);
        composed = compose_apart(message, marks).await;
    }
    let mut composed = composed.expect("a whole MIME lacks nothing");
    let mut room = CREATE_BYTES_MAX;
    for attachment in composed.attachments_mut() {
        if attachment.far().is_some()
            && !attachment.is_large()
            && let Some(left) = room.checked_sub(attachment.json_bytes())
        {
            room = left;
            *attachment = near(attachment, &message.file).await?;
        }
    }
    Ok(composed)
}

/// Composes on a thread of its own: a large message takes seconds.
async fn compose_apart(message: &Outlined, marks: &Marks) -> Option<Composed> {
    let (json, mime) = (message.json.clone(), message.mime.clone());
    let (attachments, marks) = (message.attachments.clone(), marks.clone());
    let compose = move || {
        let source = Source {
            json: &json,
            mime: &mime,
            attachments: &attachments,
        };
        compose::compose(source, &marks)
    };
    tokio::task::spawn_blocking(compose)
        .await
        .expect("composing does not panic, whatever the message")
}

/// The attachment with its content in memory.
pub(super) async fn near(attachment: &Attachment, mime: &MimeFile) -> Result<Attachment> {
    let Some(far) = attachment.far() else {
        return Ok(attachment.clone());
    };
    let all = read(far, mime, 0..far.size_bytes()).await?;
    Ok(attachment.with_file(all))
}

/// An attachment's content that stays in the archive until it is uploaded.
pub(super) struct Archived<'a> {
    pub(super) far: &'a Far,
    pub(super) mime: &'a MimeFile,
}

impl Content for Archived<'_> {
    fn size_bytes(&self) -> u64 {
        self.far.size_bytes()
    }

    async fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        read(self.far, self.mime, range)
            .await
            .map_err(io::Error::other)
    }
}

async fn read(far: &Far, mime: &MimeFile, range: Range<u64>) -> Result<Bytes> {
    let mut content = BytesMut::with_capacity((range.end - range.start) as usize);
    for step in far.steps(range) {
        match step {
            Step::Take(bytes) => content.extend_from_slice(&bytes),
            Step::Copy(range) => content.extend_from_slice(&mime.read(range).await?),
            Step::Decode(range, part) => {
                let raw = mime.read(range).await?;
                let decoded = outline::decode_lines(raw.into());
                let part = decoded.as_deref().and_then(|decoded| decoded.get(part));
                content.extend_from_slice(
                    part.ok_or(Error::state("a message", "its MIME is not what it was"))?,
                );
            }
        }
    }
    Ok(content.freeze())
}
