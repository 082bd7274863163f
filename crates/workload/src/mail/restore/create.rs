//! Creates one message, exactly once.

use std::time::Duration;

use graph::{Kind, Repeat, Request, segment};
use model::ItemId;
use serde::Deserialize;

use super::{Mailbox, Outcome, Place, attach};
use crate::mail::{
    MimeFile,
    compose::{Composed, Creation, Loss, MARK_RESTORE, Manner, Marks},
};

/// Times that a message is asked to be created when it is not known what became of it.
const ATTEMPTS_MAX: u32 = 4;
/// First wait before looking for what a request may have created, doubled each time: Exchange needs a moment until a search finds it.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// Creates the message with its attachments, or completes `found`, a copy that an earlier run made. Errors are Graph's last word on the message;
/// what of it did not come back goes to `losses`.
pub(super) async fn message(
    mailbox: &Mailbox<'_>,
    place: &Place,
    composed: &Composed,
    mime: &MimeFile,
    marks: &Marks,
    found: Option<ItemId>,
    losses: &mut Vec<Loss>,
) -> Result<Outcome, graph::Error> {
    if let Some(id) = found {
        let creation = composed.render(Manner::Faithful);
        attach::complete(mailbox, &id, &creation, mime, losses).await?;
        return Ok(Outcome::AlreadyThere { id });
    }
    let (id, creation) = create(mailbox, place, composed, marks).await?;
    losses.extend_from_slice(&creation.losses);
    attach::add_rest(mailbox, &id, &creation, mime, losses).await?;
    Ok(Outcome::Restored { id })
}

/// Creates it in the most faithful manner that Graph takes.
async fn create(
    mailbox: &Mailbox<'_>,
    place: &Place,
    composed: &Composed,
    marks: &Marks,
) -> Result<(ItemId, Creation), graph::Error> {
    let mut manner = Manner::Faithful;
    loop {
        let creation = composed.render(manner);
        let refusal = match create_once(mailbox, place, &creation, marks).await {
            Ok(id) => return Ok((id, creation)),
            Err(error) if error.kind() == Kind::Invalid => error,
            Err(error) => return Err(error),
        };
        manner = match manner {
            Manner::Faithful if refusal.has_code("ErrorInvalidRecipients") => Manner::MailAddresses,
            Manner::Faithful | Manner::MailAddresses => Manner::Cautious,
            Manner::Cautious => return Err(refusal),
        };
    }
}

/// One creation: after an answer that leaves open whether the message was made, it is looked for before it is asked for again (abuse 36,
/// survival 19).
async fn create_once(
    mailbox: &Mailbox<'_>,
    place: &Place,
    creation: &Creation,
    marks: &Marks,
) -> Result<ItemId, graph::Error> {
    #[derive(Deserialize)]
    struct Created {
        id: ItemId,
    }
    let path = mailbox.path(&format!(
        "/mailFolders/{}/messages",
        segment(place.id.as_str())
    ));
    let request = Request::post(path)
        .repeat(Repeat::Never)
        .json(&creation.body)?;
    let mut attempt = 0;
    loop {
        let doubt = match mailbox.graph.send(&mailbox.scope, request.clone()).await {
            Ok(response) => match response.json::<Created>() {
                Ok(created) => return Ok(created.id),
                Err(error) => error,
            },
            Err(error) if error.kind() == Kind::OutcomeUnknown => error,
            Err(error) => return Err(error),
        };
        mailbox.clock.sleep(LOOK_AFTER * 2_u32.pow(attempt)).await;
        if let Some(id) = mailbox
            .find(&place.id, MARK_RESTORE, &marks.restore)
            .await?
        {
            return Ok(id);
        }
        attempt += 1;
        if attempt == ATTEMPTS_MAX {
            return Err(doubt);
        }
    }
}
