//! Handlers for deltas. All that the first request asked for is frozen in its tokens; a request with a token is answered by that alone.

use serde_json::{Map, Value, json};

use super::{
    access::{folder, id_form, with_mailbox},
    id::IdForm,
    mailbox::{Change, ChangeTypes, Cursor, Mailbox, Scope, View},
    read_json,
    schema::{FOLDER, MESSAGE},
    show::Show,
};
use crate::{
    Call, GraphError, Query, Reply,
    odata::{Filter, Options},
};

/// Ten when the client does not say, a thousand at most.
const PAGE_DEFAULT: usize = 10;
const PAGE_MAX: usize = 1000;

/// `GET mailFolders/delta`.
pub(crate) fn folders(call: &Call) -> Result<Reply, GraphError> {
    with_mailbox(call, |mailbox| page(call, mailbox, Scope::Folders))
}

/// `GET mailFolders/{folder}/messages/delta`.
pub(crate) fn messages(call: &Call) -> Result<Reply, GraphError> {
    with_mailbox(call, |mailbox| {
        let key = folder(call, mailbox).map_err(|error| {
            if token(call).is_some() {
                GraphError::new(
                    http::StatusCode::NOT_FOUND,
                    "ErrorSyncFolderNotFound",
                    "The specified sync folder could not be found.",
                )
            } else {
                error
            }
        })?;
        page(call, mailbox, Scope::Messages(key))
    })
}

fn token(call: &Call) -> Option<&str> {
    call.query
        .get("$deltatoken")
        .or_else(|| call.query.get("$skiptoken"))
}

fn page(call: &Call, mailbox: &mut Mailbox, scope: Scope) -> Result<Reply, GraphError> {
    let cursor = match token(call) {
        Some(token) => resume(call, mailbox, token, scope)?,
        None => begin(call, mailbox, scope)?,
    };
    let changes = mailbox.changes_after(&cursor, view(call));
    let kept = filter_changes(mailbox, &cursor, changes)?;
    let wanted = call.prefer.max_page_size.or(cursor.page_size);
    let size = call.page_size(wanted, PAGE_DEFAULT, PAGE_MAX);
    let pause = call.tenant.behaviour.mail.empty_delta_pages && !cursor.paused && !kept.is_empty();
    let shown = if pause {
        &[][..]
    } else {
        &kept[..size.min(kept.len())]
    };
    let rows = Rows::new(call, &cursor)?.render(mailbox, shown);
    let more = shown.len() < kept.len();
    let last = mailbox.last_change();
    let mut next = Cursor {
        at: shown.last().map_or(cursor.at, |(number, _)| *number),
        paused: pause,
        issued: call.now,
        ..cursor
    };
    if !more {
        (next.base, next.at, next.start) = (last, last, last);
    }
    let token = mailbox.keep_cursor(next);
    Ok(answer(call, scope, rows, more, &token))
}

fn answer(call: &Call, scope: Scope, rows: Vec<Value>, more: bool, token: &str) -> Reply {
    let kind = match scope {
        Scope::Folders => "mailFolder",
        Scope::Messages(_) => "message",
    };
    let (link, parameter) = if more {
        ("@odata.nextLink", "$skiptoken")
    } else {
        ("@odata.deltaLink", "$deltatoken")
    };
    let reply = Reply::json(json!({
        "@odata.context": call.context(&format!("Collection({kind})")),
        link: call.link(&[(parameter, token)]),
        "value": rows,
    }));
    match call.prefer.max_page_size {
        Some(wanted) => reply.with_applied(format!("odata.maxpagesize={wanted}")),
        None => reply,
    }
}

fn begin(call: &Call, mailbox: &Mailbox, scope: Scope) -> Result<Cursor, GraphError> {
    let own = |name: &str| call.query.get(name).map(str::to_owned);
    let options = match scope {
        Scope::Folders => Options::parse(&call.query, &FOLDER)?,
        Scope::Messages(_) => Show::new(call, &call.query)?.options,
    };
    if let Some(filter) = call.query.get("$filter") {
        check_filter(filter)?;
    }
    Ok(Cursor {
        select: own("$select"),
        filter: own("$filter"),
        expand: own("$expand"),
        page_size: options.top.or(call.prefer.max_page_size),
        change_types: change_types(call.query.get("changeType"))?,
        ..Cursor::first(scope, mailbox.last_change(), call.now)
    })
}

fn resume(call: &Call, mailbox: &Mailbox, token: &str, scope: Scope) -> Result<Cursor, GraphError> {
    let cursor = mailbox
        .cursor(token)
        .ok_or_else(GraphError::sync_state_not_found)?;
    if cursor.scope != scope {
        return Err(GraphError::new(
            http::StatusCode::GONE,
            "SyncStateInvalid",
            "The sync state is invalid for this folder.",
        ));
    }
    let age = call.now.duration_since(cursor.issued).unsigned_abs();
    if age > call.tenant.behaviour.delta_token_lifetime {
        return Err(GraphError::sync_state_not_found());
    }
    Ok(cursor.clone())
}

fn view(call: &Call) -> View {
    let returns_lost = call.effects.lost_moves;
    View {
        immutable: call.prefer.immutable_ids,
        returns_lost: returns_lost.unwrap_or(call.tenant.behaviour.lost_moves > 0.0),
        hidden: call.tenant.behaviour.mail.hidden_folders_in_delta,
    }
}

fn change_types(value: Option<&str>) -> Result<ChangeTypes, GraphError> {
    let Some(value) = value else {
        return Ok(ChangeTypes::ALL);
    };
    let is = |name: &str| value.eq_ignore_ascii_case(name);
    let types = ChangeTypes {
        created: is("created"),
        updated: is("updated"),
        deleted: is("deleted"),
    };
    if types.created || types.updated || types.deleted {
        Ok(types)
    } else {
        Err(GraphError::invalid_request(
            "changeType must be created, updated or deleted.",
        ))
    }
}

/// Only the received time can be filtered by, as Microsoft documents.
fn check_filter(filter: &str) -> Result<(), GraphError> {
    let words: Vec<&str> = filter.split_whitespace().collect();
    match words[..] {
        [property, operator, _]
            if property.eq_ignore_ascii_case("receivedDateTime")
                && ["ge", "gt"].contains(&operator.to_ascii_lowercase().as_str()) =>
        {
            Ok(())
        }
        _ => Err(GraphError::new(
            http::StatusCode::BAD_REQUEST,
            "ErrorInvalidUrlQueryFilter",
            "The query filter is not supported: change tracking takes only receivedDateTime ge or gt.",
        )),
    }
}

fn filter_changes(
    mailbox: &Mailbox,
    cursor: &Cursor,
    mut changes: Vec<(u64, Change)>,
) -> Result<Vec<(u64, Change)>, GraphError> {
    if let Some(filter) = &cursor.filter {
        let filter = Filter::parse(filter, &MESSAGE)?;
        changes.retain(|(_, change)| match change {
            Change::Message(key) => mailbox.message(*key).is_some_and(|message| {
                filter.matches(&read_json::light_row(mailbox, message, IdForm::Default))
            }),
            _ => true,
        });
    }
    Ok(changes)
}

/// How the rows of a page are made, by what was frozen in the cursor.
struct Rows {
    show: Show,
    folders: Options,
    form: IdForm,
}

impl Rows {
    fn new(call: &Call, cursor: &Cursor) -> Result<Self, GraphError> {
        let frozen = [("$select", &cursor.select), ("$expand", &cursor.expand)];
        let text: Vec<String> = frozen
            .iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", value.as_deref()?)))
            .collect();
        let query = Query::parse_nested(&text.join(";"))?;
        let none = Query::default();
        let (messages, folders) = match cursor.scope {
            Scope::Folders => (&none, &query),
            Scope::Messages(_) => (&query, &none),
        };
        Ok(Self {
            show: Show::new(call, messages)?,
            folders: Options::parse(folders, &FOLDER)?,
            form: id_form(call),
        })
    }

    fn render(&self, mailbox: &Mailbox, changes: &[(u64, Change)]) -> Vec<Value> {
        changes
            .iter()
            .filter_map(|(_, change)| self.row(mailbox, *change))
            .collect()
    }

    fn row(&self, mailbox: &Mailbox, change: Change) -> Option<Value> {
        match change {
            Change::Message(key) => {
                let message = mailbox.message(key)?;
                let mut row = Map::new();
                row.insert("@odata.type".to_owned(), json!("#microsoft.graph.message"));
                row.extend(self.show.shaped(mailbox, message));
                Some(Value::Object(row))
            }
            Change::MessageGone {
                key,
                instance,
                moved,
            } => {
                let id = match self.form {
                    IdForm::Default => mailbox.ids.message(instance),
                    IdForm::Immutable => mailbox.ids.immutable(key.0),
                };
                let reason = if moved { "changed" } else { "deleted" };
                Some(json!({
                    "@odata.type": "#microsoft.graph.message",
                    "id": id,
                    "@removed": {"reason": reason},
                }))
            }
            Change::Folder(key) => {
                let mut row = read_json::folder(mailbox, mailbox.folder(key)?);
                if let Value::Object(map) = &mut row {
                    self.folders.shape(map);
                }
                Some(row)
            }
            Change::FolderGone(key) => Some(json!({
                "id": mailbox.ids.folder(key.0),
                "@removed": {"reason": "deleted"},
            })),
        }
    }
}
