//! What a request's options make of a message: which properties, expansions and ids.

use serde_json::{Map, Value};

use super::{
    access,
    mailbox::Mailbox,
    message::Message,
    read_json::{self, Manner},
    schema::{ATTACHMENT, EXTENDED, MESSAGE},
};
use crate::{
    Call, GraphError, Query,
    odata::{Filter, Options},
};

/// What Mail.ReadBasic.All keeps from its holder.
const NOT_BASIC: [&str; 3] = ["body", "bodyPreview", "uniqueBody"];

/// How the messages of one answer are shown.
pub(crate) struct Show {
    pub(crate) options: Options,
    form: super::id::IdForm,
    text_bodies: bool,
    attachments: Option<Options>,
    extended: Option<Filter>,
    basic: bool,
}

impl Show {
    /// Reads the options of a query.
    ///
    /// # Errors
    /// 400 for what the types lack, and for extended properties without a filter, which Exchange does not list; 403 for what the caller's
    /// permission does not cover.
    pub(crate) fn new(call: &Call, query: &Query) -> Result<Self, GraphError> {
        let options = Options::parse(query, &MESSAGE)?;
        let basic = !call
            .roles
            .iter()
            .any(|role| role == "Mail.Read" || role == "Mail.ReadWrite");
        let selects = |name| {
            let selected = options.select.as_ref();
            selected.is_some_and(|selected| selected.contains(name))
        };
        if basic && (!options.expand.is_empty() || NOT_BASIC.iter().any(selects)) {
            return Err(GraphError::access_denied());
        }
        let attachments = options
            .expands("attachments")
            .map(|expand| Options::parse(&expand.query, &ATTACHMENT))
            .transpose()?;
        let extended = options
            .expands("singleValueExtendedProperties")
            .map(|expand| {
                let filter = expand.query.get("$filter").ok_or_else(|| {
                    GraphError::invalid_request(
                        "Extended properties are expanded only with a $filter on their ids.",
                    )
                })?;
                Filter::parse(&read_json::canonical_filter(filter), &EXTENDED)
            })
            .transpose()?;
        Ok(Self {
            options,
            form: access::id_form(call),
            text_bodies: call.prefer.body_content_type.as_deref() == Some("text"),
            attachments,
            extended,
            basic,
        })
    }

    /// The message with all that is wanted, and perhaps more: [`Options::shape`] takes that away.
    pub(crate) fn message(&self, mailbox: &Mailbox, message: &Message) -> Value {
        let extended = self.extended.as_ref();
        let wanted = extended.map(|filter| move |row: &Value| filter.matches(row));
        let mut row = read_json::message(
            mailbox,
            message,
            &Manner {
                form: self.form,
                text_bodies: self.text_bodies,
                wants: &|name| self.options.wants(name),
                extended: wanted
                    .as_ref()
                    .map(|wanted| wanted as &dyn Fn(&Value) -> bool),
            },
        );
        if let Some(options) = &self.attachments {
            let letter = message.content.letter();
            let all = letter.attachments.iter();
            row["attachments"] = all
                .map(|attachment| {
                    let item = options.expands("item").is_some();
                    let row = read_json::attachment(mailbox, message, attachment, self.form, item);
                    shaped(options, row)
                })
                .collect();
        }
        if let Some(row) = row.as_object_mut().filter(|_| self.basic) {
            row.retain(|name, _| !NOT_BASIC.contains(&name.as_str()));
        }
        row
    }

    /// The message with what is wanted and no more.
    pub(crate) fn shaped(&self, mailbox: &Mailbox, message: &Message) -> Map<String, Value> {
        match shaped(&self.options, self.message(mailbox, message)) {
            Value::Object(row) => row,
            _ => Map::new(),
        }
    }

    /// What was honoured, for `Preference-Applied`.
    pub(crate) fn applied(&self) -> Option<&'static str> {
        self.text_bodies
            .then_some("outlook.body-content-type=\"text\"")
    }
}

fn shaped(options: &Options, mut row: Value) -> Value {
    if let Value::Object(map) = &mut row {
        options.shape(map);
    }
    row
}
