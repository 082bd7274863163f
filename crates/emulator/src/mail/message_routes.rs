//! Handlers for messages.

use bytes::Bytes;
use data_encoding::BASE64;
use rand::RngExt;

use super::{
    access::{folder, id_form, message, with_mailbox},
    folder::{DRAFTS, FolderKey, RECOVERABLE},
    folder_routes::{created, destination, user_context},
    mailbox::Mailbox,
    message::{Content, Marks, Message, MessageKey},
    read_json,
    schema::MESSAGE,
    show::Show,
    write_json,
};
use crate::{
    Call, GraphError, Query, Reply,
    odata::{Filter, PageSize},
};

/// Ten when the client does not say, a thousand at most, as Outlook documents.
const PAGE: PageSize = PageSize {
    default: 10,
    max: 1000,
};

/// `GET messages`: of the whole mailbox, without the recoverable items.
pub(crate) fn list(call: &Call) -> Result<Reply, GraphError> {
    list_in(call, |_| Ok(None), "messages")
}

/// `GET mailFolders/{folder}/messages`.
pub(crate) fn list_in_folder(call: &Call) -> Result<Reply, GraphError> {
    let context = format!("mailFolders('{}')/messages", call.param("folder"));
    list_in(call, |mailbox| folder(call, mailbox).map(Some), &context)
}

fn list_in(
    call: &Call,
    place: impl Fn(&Mailbox) -> Result<Option<FolderKey>, GraphError>,
    context: &str,
) -> Result<Reply, GraphError> {
    let mut show = Show::new(call, &call.query)?;
    // Filtered here, because most filters need not read the messages' content.
    show.options.filter = None;
    with_mailbox(call, |mailbox| {
        let mut messages = mailbox.messages_in(place(mailbox)?);
        if let Some(filter) = call.query.get("$filter") {
            keep_matching(call, mailbox, &mut messages, filter)?;
        }
        messages.sort_by_key(|message| (std::cmp::Reverse(message.received), message.key));
        let context = user_context(call, context);
        let reply = show
            .options
            .list(call, &context, &messages, PAGE, |message| {
                show.message(mailbox, message)
            });
        Ok(applied(&show, reply))
    })
}

fn keep_matching(
    call: &Call,
    mailbox: &Mailbox,
    messages: &mut Vec<&Message>,
    text: &str,
) -> Result<(), GraphError> {
    let text = read_json::canonical_filter(text);
    let filter = Filter::parse(&text, &MESSAGE)?;
    let all = Show::new(call, &Query::default())?;
    let light = read_json::is_light(&text);
    messages.retain(|message| {
        let mut row = read_json::light_row(mailbox, message, id_form(call));
        if !light {
            let heavy = all.message(mailbox, message);
            if let (Some(row), serde_json::Value::Object(heavy)) = (row.as_object_mut(), heavy) {
                row.extend(heavy);
            }
        }
        filter.matches(&row)
    });
    Ok(())
}

fn applied(show: &Show, reply: Reply) -> Reply {
    match show.applied() {
        Some(preference) => reply.with_applied(preference),
        None => reply,
    }
}

/// `GET messages/{message}`.
pub(crate) fn get(call: &Call) -> Result<Reply, GraphError> {
    let show = Show::new(call, &call.query)?;
    with_mailbox(call, |mailbox| {
        let key = message(call, mailbox)?;
        answer(call, mailbox, key, &show)
    })
}

fn answer(
    call: &Call,
    mailbox: &Mailbox,
    key: MessageKey,
    show: &Show,
) -> Result<Reply, GraphError> {
    let found = mailbox.existing_message(key)?;
    let row = show.message(mailbox, found);
    let context = user_context(call, "messages");
    Ok(applied(show, show.options.entity(call, &context, row)))
}

/// The message in full, as an answer to a change of it.
fn one(call: &Call, mailbox: &Mailbox, key: MessageKey) -> Result<Reply, GraphError> {
    answer(call, mailbox, key, &Show::new(call, &Query::default())?)
}

/// `GET messages/{message}/$value`: MIME.
pub(crate) fn value(call: &Call) -> Result<Reply, GraphError> {
    with_mailbox(call, |mailbox| {
        let key = message(call, mailbox)?;
        let content = &mailbox.existing_message(key)?.content;
        let mime = content.mime(call.tenant.behaviour.regenerate_mime);
        Ok(Reply::bytes(mime, "text/plain"))
    })
}

/// MIME of a message by way of its folder: Exchange does not serve it there.
pub(crate) fn value_in_folder(_: &Call) -> Result<Reply, GraphError> {
    Err(GraphError::method_not_allowed())
}

/// `POST messages`: into Drafts.
pub(crate) fn create(call: &Call) -> Result<Reply, GraphError> {
    create_in(call, |_| Ok(DRAFTS))
}

/// `POST mailFolders/{folder}/messages`.
pub(crate) fn create_in_folder(call: &Call) -> Result<Reply, GraphError> {
    create_in(call, |mailbox| folder(call, mailbox))
}

fn create_in(
    call: &Call,
    place: impl Fn(&Mailbox) -> Result<FolderKey, GraphError>,
) -> Result<Reply, GraphError> {
    with_mailbox(call, |mailbox| {
        let folder = place(mailbox)?;
        let key = if call.content_type().starts_with("text/plain") {
            let content = Content::Mime(mime_body(&call.body)?);
            let marks = Marks {
                draft: true,
                read: true,
                ..Marks::default()
            };
            mailbox.add_message(folder, content, marks, Vec::new(), call.now)?
        } else {
            let new = write_json::message(&call.json()?, call.now)?;
            let mut letter = new.letter;
            if letter.message_id.is_none() {
                letter.message_id = Some(new_message_id(call, mailbox));
            }
            let content = Content::Letter(Box::new(letter));
            mailbox.add_message(folder, content, new.marks, new.extended, call.now)?
        };
        one(call, mailbox, key).map(created)
    })
}

/// The body of a MIME request is base64.
fn mime_body(body: &[u8]) -> Result<Bytes, GraphError> {
    let packed: Vec<u8> = body
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    BASE64.decode(&packed).map(Bytes::from).map_err(|_| {
        GraphError::new(
            http::StatusCode::BAD_REQUEST,
            "ErrorMimeContentInvalidBase64String",
            "Invalid base64 string for MIME content.",
        )
    })
}

fn new_message_id(call: &Call, mailbox: &Mailbox) -> String {
    let domain = mailbox.address.rsplit('@').next().unwrap_or_default();
    format!("<{}@{domain}>", call.tenant.new_id().simple())
}

/// `PATCH messages/{message}`.
pub(crate) fn update(call: &Call) -> Result<Reply, GraphError> {
    let body = call.json()?;
    with_mailbox(call, |mailbox| {
        let key = message(call, mailbox)?;
        mailbox.change_message(key, call.now, |message| write_json::update(message, &body))?;
        one(call, mailbox, key)
    })
}

/// `POST messages/{message}/move`. Whether the target's delta learns of it is up to the fault rules and the tenant's behaviour.
pub(crate) fn relocate(call: &Call) -> Result<Reply, GraphError> {
    let lost = call
        .effects
        .lost_moves
        .unwrap_or_else(|| call.tenant.random().random_bool(likelihood(call)));
    with_mailbox(call, |mailbox| {
        let key = message(call, mailbox)?;
        let target = destination(call, mailbox)?;
        mailbox.move_message(key, target, lost, call.now)?;
        one(call, mailbox, key).map(created)
    })
}

fn likelihood(call: &Call) -> f64 {
    call.tenant.behaviour.lost_moves.clamp(0.0, 1.0)
}

/// `POST messages/{message}/copy`.
pub(crate) fn copy(call: &Call) -> Result<Reply, GraphError> {
    with_mailbox(call, |mailbox| {
        let key = message(call, mailbox)?;
        let target = destination(call, mailbox)?;
        let copy = mailbox.copy_message(key, target, call.now)?;
        one(call, mailbox, copy).map(created)
    })
}

/// `DELETE messages/{message}`: to the recoverable items.
pub(crate) fn delete(call: &Call) -> Result<Reply, GraphError> {
    with_mailbox(call, |mailbox| {
        let key = message(call, mailbox)?;
        if mailbox.existing_message(key)?.folder == RECOVERABLE {
            return Err(GraphError::new(
                http::StatusCode::FORBIDDEN,
                "ErrorAccessDenied",
                "Items in the recoverable items folder can only be deleted permanently.",
            ));
        }
        mailbox.delete_message(key, call.now)?;
        Ok(Reply::no_content())
    })
}

/// `POST messages/{message}/permanentDelete`.
pub(crate) fn delete_permanently(call: &Call) -> Result<Reply, GraphError> {
    with_mailbox(call, |mailbox| {
        let key = message(call, mailbox)?;
        mailbox.purge_message(key);
        Ok(Reply::no_content())
    })
}
