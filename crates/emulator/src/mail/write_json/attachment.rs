//! Attachments in a client's JSON.

use bytes::Bytes;
use data_encoding::BASE64;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::values::{boolean, known, object, string, text, unknown_property, wrong_type};
use crate::{
    GraphError,
    mail::{
        compose,
        letter::{Attachment, AttachmentKind},
    },
};

/// What every kind of attachment may be sent with; some of it is ignored.
const COMMON: [&str; 6] = [
    "id",
    "name",
    "contentType",
    "isInline",
    "size",
    "lastModifiedDateTime",
];

/// Reads an attachment to be made.
///
/// # Errors
/// 400 for an unknown kind or property, or a value of the wrong type.
pub(crate) fn attachment(
    body: &Map<String, Value>,
    number: u64,
    now: Timestamp,
) -> Result<Attachment, GraphError> {
    let text = |name: &str| text(body, name);
    let odata_type = string(
        "@odata.type",
        body.get("@odata.type").unwrap_or(&Value::Null),
    )?;
    let odata_type = odata_type.trim_start_matches('#');
    let allow = |more: &[&str]| {
        let kind = odata_type.trim_start_matches("microsoft.graph.");
        known(body, &[&COMMON, more].concat(), kind)
    };
    let kind = match odata_type.to_ascii_lowercase().as_str() {
        "microsoft.graph.fileattachment" => {
            allow(&["contentBytes", "contentId", "contentLocation"])?;
            AttachmentKind::File(content(text("contentBytes")?)?)
        }
        "microsoft.graph.itemattachment" => {
            allow(&["item"])?;
            let item = object("item", body.get("item").unwrap_or(&Value::Null))?;
            AttachmentKind::Item(item_mime(item, now)?)
        }
        "microsoft.graph.referenceattachment" => {
            allow(&[])?;
            AttachmentKind::Reference
        }
        _ => return Err(unknown_property("@odata.type", "attachment")),
    };
    let name = text("name")?
        .ok_or_else(|| GraphError::invalid_request("An attachment must have a name."))?;
    let content_type = match (text("contentType")?, &kind) {
        (None, AttachmentKind::File(_)) => Some("application/octet-stream".to_owned()),
        (given, _) => given,
    };
    Ok(Attachment {
        number,
        name: Some(name),
        content_type,
        inline: body
            .get("isInline")
            .map_or(Ok(false), |v| boolean("isInline", v))?,
        content_id: text("contentId")?,
        content_location: text("contentLocation")?,
        kind,
    })
}

fn content(base64: Option<String>) -> Result<Bytes, GraphError> {
    let base64 = base64.unwrap_or_default();
    BASE64
        .decode(base64.as_bytes())
        .map(Bytes::from)
        .map_err(|_| wrong_type("contentBytes"))
}

/// An attached message. Events and contacts cannot be attached here yet.
fn item_mime(item: &Map<String, Value>, now: Timestamp) -> Result<Bytes, GraphError> {
    let odata_type = string(
        "@odata.type",
        item.get("@odata.type").unwrap_or(&Value::Null),
    )?;
    if !odata_type.eq_ignore_ascii_case("#microsoft.graph.message")
        && !odata_type.eq_ignore_ascii_case("microsoft.graph.message")
    {
        return Err(GraphError::invalid_request(
            "Only messages can be attached as items.",
        ));
    }
    let times = |name: &str| super::time(item.get(name)?.as_str()?);
    let mut letter = super::message(item, now)?.letter;
    // An attached message is not delivered anywhere: Exchange takes its dates as they are given.
    letter.sent = times("sentDateTime").or(letter.sent);
    letter.received = times("receivedDateTime").or(letter.received);
    Ok(compose::mime(&letter).into())
}
