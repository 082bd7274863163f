//! Handlers for folders.

use serde_json::Value;

use super::{
    access::{folder, folder_by_id, with_mailbox},
    folder::{Folder, FolderKey, TOP},
    mailbox::Mailbox,
    read_json,
    schema::FOLDER,
};
use crate::{
    Call, GraphError, Query, Reply,
    odata::{Options, PageSize},
};

/// Ten when the client does not say, as Outlook.
const PAGE: PageSize = PageSize {
    default: 10,
    max: 1000,
};

/// `GET mailFolders`: the folders of the first level.
pub(crate) fn list(call: &Call) -> Result<Reply, GraphError> {
    let context = user_context(call, "mailFolders");
    list_below(call, |_| Ok(TOP), &context)
}

/// `GET mailFolders/{folder}/childFolders`.
pub(crate) fn list_children(call: &Call) -> Result<Reply, GraphError> {
    list_below(
        call,
        |mailbox| folder(call, mailbox),
        &children_context(call),
    )
}

fn list_below(
    call: &Call,
    parent: impl Fn(&Mailbox) -> Result<FolderKey, GraphError>,
    context: &str,
) -> Result<Reply, GraphError> {
    let options = Options::parse(&call.query, &FOLDER)?;
    let hidden = includes_hidden(&call.query)?;
    with_mailbox(call, |mailbox| {
        let parent = parent(mailbox)?;
        let folders = visible(mailbox, parent, hidden);
        Ok(options.list(call, context, &folders, PAGE, |folder| {
            render(mailbox, folder, &options, hidden)
        }))
    })
}

/// By name, as Outlook sorts them.
fn visible(mailbox: &Mailbox, parent: FolderKey, hidden: bool) -> Vec<&Folder> {
    let mut folders: Vec<_> = mailbox
        .children(parent)
        .filter(|folder| hidden || !folder.hidden)
        .collect();
    folders.sort_by_key(|folder| (folder.name.to_lowercase(), folder.key));
    folders
}

fn render(mailbox: &Mailbox, folder: &Folder, options: &Options, hidden: bool) -> Value {
    let mut row = read_json::folder(mailbox, folder);
    if options.expands("childFolders").is_some() {
        row["childFolders"] = visible(mailbox, folder.key, hidden)
            .into_iter()
            .map(|child| read_json::folder(mailbox, child))
            .collect();
    }
    row
}

fn includes_hidden(query: &Query) -> Result<bool, GraphError> {
    match query
        .get("includeHiddenFolders")
        .map(str::to_ascii_lowercase)
    {
        None => Ok(false),
        Some(value) if value == "true" => Ok(true),
        Some(value) if value == "false" => Ok(false),
        Some(_) => Err(GraphError::invalid_request(
            "includeHiddenFolders must be true or false.",
        )),
    }
}

/// The context's fragment for something below the user.
pub(crate) fn user_context(call: &Call, what: &str) -> String {
    format!("users('{}')/{what}", call.param("user"))
}

/// The context's fragment for the folders below another, which it names as the request does.
fn children_context(call: &Call) -> String {
    let folder: String =
        url::form_urlencoded::byte_serialize(call.param("folder").as_bytes()).collect();
    user_context(call, &format!("mailFolders('{folder}')/childFolders"))
}

/// `GET mailFolders/{folder}`.
pub(crate) fn get(call: &Call) -> Result<Reply, GraphError> {
    let options = Options::parse(&call.query, &FOLDER)?;
    let hidden = includes_hidden(&call.query)?;
    with_mailbox(call, |mailbox| {
        let key = folder(call, mailbox)?;
        let found = mailbox.folder(key).ok_or_else(GraphError::item_not_found)?;
        let row = render(mailbox, found, &options, hidden);
        Ok(options.entity(call, &user_context(call, "mailFolders"), row))
    })
}

/// `POST mailFolders`.
pub(crate) fn create(call: &Call) -> Result<Reply, GraphError> {
    let context = user_context(call, "mailFolders");
    create_below(call, |_| Ok(TOP), &context)
}

/// `POST mailFolders/{folder}/childFolders`.
pub(crate) fn create_child(call: &Call) -> Result<Reply, GraphError> {
    create_below(
        call,
        |mailbox| folder(call, mailbox),
        &children_context(call),
    )
}

fn create_below(
    call: &Call,
    parent: impl Fn(&Mailbox) -> Result<FolderKey, GraphError>,
    context: &str,
) -> Result<Reply, GraphError> {
    let (name, hidden) = read_body(call, &["displayName", "isHidden"])?;
    with_mailbox(call, |mailbox| {
        let parent = parent(mailbox)?;
        let name = name.ok_or_else(no_name)?;
        let key = mailbox.create_folder(parent, &name, hidden)?;
        one_of(call, mailbox, key, context).map(created)
    })
}

/// `PATCH mailFolders/{folder}`: another name.
pub(crate) fn update(call: &Call) -> Result<Reply, GraphError> {
    let (name, _) = read_body(call, &["displayName"])?;
    with_mailbox(call, |mailbox| {
        let key = folder(call, mailbox)?;
        if let Some(name) = name {
            mailbox.rename_folder(key, &name)?;
        }
        one(call, mailbox, key)
    })
}

/// `DELETE mailFolders/{folder}`.
pub(crate) fn delete(call: &Call) -> Result<Reply, GraphError> {
    with_mailbox(call, |mailbox| {
        let key = folder(call, mailbox)?;
        mailbox.delete_folder(key, call.now)?;
        Ok(Reply::no_content())
    })
}

/// `POST mailFolders/{folder}/move`.
pub(crate) fn relocate(call: &Call) -> Result<Reply, GraphError> {
    with_mailbox(call, |mailbox| {
        let key = folder(call, mailbox)?;
        let target = destination(call, mailbox)?;
        mailbox.move_folder(key, target)?;
        one(call, mailbox, key).map(created)
    })
}

/// `POST mailFolders/{folder}/copy`.
pub(crate) fn copy(call: &Call) -> Result<Reply, GraphError> {
    with_mailbox(call, |mailbox| {
        let key = folder(call, mailbox)?;
        let target = destination(call, mailbox)?;
        let copy = mailbox.copy_folder(key, target, call.now)?;
        one(call, mailbox, copy).map(created)
    })
}

/// The folder that `destinationId` of the body means.
pub(crate) fn destination(call: &Call, mailbox: &Mailbox) -> Result<FolderKey, GraphError> {
    let body = call.json()?;
    let id = body.iter().find_map(|(name, value)| {
        name.eq_ignore_ascii_case("destinationId")
            .then_some(value)?
            .as_str()
    });
    let id = id.ok_or_else(|| GraphError::invalid_request("destinationId is missing."))?;
    folder_by_id(mailbox, id)
}

fn one(call: &Call, mailbox: &Mailbox, key: FolderKey) -> Result<Reply, GraphError> {
    one_of(call, mailbox, key, &user_context(call, "mailFolders"))
}

fn one_of(
    call: &Call,
    mailbox: &Mailbox,
    key: FolderKey,
    context: &str,
) -> Result<Reply, GraphError> {
    let options = Options::parse(&Query::default(), &FOLDER)?;
    let found = mailbox.folder(key).ok_or_else(GraphError::item_not_found)?;
    let row = read_json::folder(mailbox, found);
    Ok(options.entity(call, context, row))
}

/// The same answer with 201.
pub(crate) fn created(reply: Reply) -> Reply {
    Reply {
        status: http::StatusCode::CREATED,
        ..reply
    }
}

fn no_name() -> GraphError {
    GraphError::invalid_request("The folder's displayName is missing.")
}

/// `displayName` and `isHidden`.
fn read_body(call: &Call, known: &[&str]) -> Result<(Option<String>, bool), GraphError> {
    let body = call.json()?;
    super::write_json::check_known(&body, known, "mailFolder")?;
    let name = match body.get("displayName") {
        None => None,
        Some(Value::String(name)) => Some(name.clone()),
        Some(_) => return Err(no_name()),
    };
    let hidden = body.get("isHidden").and_then(Value::as_bool);
    Ok((name, hidden.unwrap_or(false)))
}
