//! Single values of a client's JSON, checked for their types.

use http::StatusCode;
use serde_json::{Map, Value};

use crate::{
    GraphError,
    mail::{
        letter::{Importance, Person},
        message::{Flag, FlagStatus, ZonedText},
    },
};

/// 400 for a property that the type lacks.
pub(crate) fn unknown_property(name: &str, kind: &str) -> GraphError {
    GraphError::new(
        StatusCode::BAD_REQUEST,
        "RequestBodyRead",
        format!(
            "The property '{name}' does not exist on type 'microsoft.graph.{kind}'. Make sure to only use property names that are defined by the type or mark the type as open type."
        ),
    )
}

/// 400 for a value of the wrong type.
pub(crate) fn wrong_type(name: &str) -> GraphError {
    GraphError::new(
        StatusCode::BAD_REQUEST,
        "RequestBodyRead",
        format!("Cannot convert the value of '{name}' to the type that is expected."),
    )
}

/// 400 for a property that can be set no more.
pub(crate) fn refused() -> GraphError {
    GraphError::new(
        StatusCode::BAD_REQUEST,
        "ErrorInvalidPropertySet",
        "Set action is invalid for property.",
    )
}

pub(crate) fn object<'a>(
    name: &str,
    value: &'a Value,
) -> Result<&'a Map<String, Value>, GraphError> {
    value.as_object().ok_or_else(|| wrong_type(name))
}

pub(crate) fn string<'a>(name: &str, value: &'a Value) -> Result<&'a str, GraphError> {
    value.as_str().ok_or_else(|| wrong_type(name))
}

/// Null and absent are the same.
pub(crate) fn optional(name: &str, value: &Value) -> Result<Option<String>, GraphError> {
    match value {
        Value::Null => Ok(None),
        value => string(name, value).map(|text| Some(text.to_owned())),
    }
}

/// A property that is text, null or absent.
pub(crate) fn text(map: &Map<String, Value>, name: &str) -> Result<Option<String>, GraphError> {
    map.get(name)
        .map_or(Ok(None), |value| optional(name, value))
}

pub(crate) fn boolean(name: &str, value: &Value) -> Result<bool, GraphError> {
    match value {
        Value::Null => Ok(false),
        value => value.as_bool().ok_or_else(|| wrong_type(name)),
    }
}

pub(crate) fn list<'a>(name: &str, value: &'a Value) -> Result<&'a [Value], GraphError> {
    match value {
        Value::Null => Ok(&[]),
        value => value
            .as_array()
            .map(Vec::as_slice)
            .ok_or_else(|| wrong_type(name)),
    }
}

pub(crate) fn strings(name: &str, value: &Value) -> Result<Vec<String>, GraphError> {
    list(name, value)?
        .iter()
        .map(|item| string(name, item).map(str::to_owned))
        .collect()
}

pub(crate) fn importance(name: &str, value: &Value) -> Result<Importance, GraphError> {
    Importance::from_word(string(name, value)?).ok_or_else(|| wrong_type(name))
}

/// `recipient`. Exchange refuses what has neither a name nor an address.
pub(crate) fn person(name: &str, value: &Value) -> Result<Person, GraphError> {
    let outer = object(name, value)?;
    known(outer, &["emailAddress"], "recipient")?;
    let inner = object(name, outer.get("emailAddress").unwrap_or(&Value::Null))?;
    known(inner, &["name", "address"], "emailAddress")?;
    let (label, address) = (text(inner, "name")?, text(inner, "address")?);
    if label.is_none() && address.is_none() {
        return Err(GraphError::new(
            StatusCode::BAD_REQUEST,
            "ErrorInvalidRecipients",
            "At least one recipient is not valid.",
        ));
    }
    let address = address.unwrap_or_default();
    Ok(Person {
        name: label.unwrap_or_else(|| address.clone()),
        address,
    })
}

/// `itemBody`: whether it is HTML, and the content.
pub(crate) fn body(name: &str, value: &Value) -> Result<(bool, String), GraphError> {
    let body = object(name, value)?;
    known(body, &["contentType", "content"], "itemBody")?;
    let html = match body.get("contentType").unwrap_or(&Value::Null) {
        Value::Null => false,
        kind => match string(name, kind)?.to_ascii_lowercase().as_str() {
            "html" => true,
            "text" => false,
            _ => return Err(wrong_type(name)),
        },
    };
    let content = text(body, "content")?;
    Ok((html, content.unwrap_or_default()))
}

/// `followupFlag`.
pub(crate) fn flag(name: &str, value: &Value) -> Result<Flag, GraphError> {
    const TIMES: [&str; 3] = ["startDateTime", "dueDateTime", "completedDateTime"];
    let flag = object(name, value)?;
    known(
        flag,
        &[&TIMES[..], &["flagStatus"]].concat(),
        "followupFlag",
    )?;
    let status = match flag.get("flagStatus") {
        None | Some(Value::Null) => FlagStatus::NotFlagged,
        Some(status) => {
            FlagStatus::from_word(string(name, status)?).ok_or_else(|| wrong_type(name))?
        }
    };
    let zoned = |part: &str| flag.get(part).map_or(Ok(None), |v| zoned(part, v));
    Ok(Flag {
        status,
        start: zoned(TIMES[0])?,
        due: zoned(TIMES[1])?,
        completed: zoned(TIMES[2])?,
    })
}

fn zoned(name: &str, value: &Value) -> Result<Option<ZonedText>, GraphError> {
    if value.is_null() {
        return Ok(None);
    }
    let value = object(name, value)?;
    known(value, &["dateTime", "timeZone"], "dateTimeTimeZone")?;
    let part = |part: &str| -> Result<String, GraphError> {
        string(name, value.get(part).unwrap_or(&Value::Null)).map(str::to_owned)
    };
    Ok(Some(ZonedText {
        date_time: part("dateTime")?,
        time_zone: part("timeZone")?,
    }))
}

/// Refuses properties that a type lacks; annotations are no properties.
pub(crate) fn known(
    map: &Map<String, Value>,
    names: &[&str],
    kind: &str,
) -> Result<(), GraphError> {
    let stranger = map
        .keys()
        .find(|name| !name.contains('@') && !names.contains(&name.as_str()));
    match stranger {
        Some(name) => Err(unknown_property(name, kind)),
        None => Ok(()),
    }
}
