//! `/users/{user}/mailboxSettings`: reading. Of the settings, what the world says, and otherwise Exchange's defaults.

use serde_json::{Map, Value, json};

use crate::{
    Call, GraphError, Reply, Service,
    odata::{Options, Schema},
};

static SETTINGS: Schema = Schema {
    name: "microsoft.graph.mailboxSettings",
    properties: &[
        "archiveFolder",
        "automaticRepliesSetting",
        "dateFormat",
        "delegateMeetingMessageDeliveryOptions",
        "language",
        "timeFormat",
        "timeZone",
        "userPurpose",
        "workingHours",
    ],
    navigation: &[],
    always: &[],
    default: &[],
    service: Service::Outlook,
};

/// `GET /users/{user}/mailboxSettings`
pub(super) fn get(call: &Call) -> Result<Reply, GraphError> {
    let options = Options::parse(&call.query, &SETTINGS)?;
    call.mailbox()?;
    let user = call.user()?;
    let mut settings = defaults(call);
    for (name, value) in &user.mailbox_settings {
        settings.insert(name.clone(), value.clone());
    }
    settings.insert("userPurpose".to_owned(), json!(user.purpose.name()));
    options.shape(&mut settings);
    let mut body = Map::new();
    let context = format!("users('{}')/mailboxSettings", user.id);
    body.insert("@odata.context".to_owned(), call.context(&context));
    body.extend(settings);
    Ok(Reply::json(Value::Object(body)))
}

fn defaults(call: &Call) -> Map<String, Value> {
    let day = |time: jiff::Timestamp| {
        json!({
            "dateTime": time.strftime("%Y-%m-%dT%H:00:00.0000000").to_string(),
            "timeZone": "UTC",
        })
    };
    let tomorrow = call.now + jiff::SignedDuration::from_hours(24);
    let settings = json!({
        "archiveFolder": null,
        "timeZone": "W. Europe Standard Time",
        "delegateMeetingMessageDeliveryOptions": "sendToDelegateOnly",
        "dateFormat": "dd.MM.yyyy",
        "timeFormat": "HH:mm",
        "automaticRepliesSetting": {
            "status": "disabled",
            "externalAudience": "all",
            "internalReplyMessage": "",
            "externalReplyMessage": "",
            "scheduledStartDateTime": day(call.now),
            "scheduledEndDateTime": day(tomorrow),
        },
        "language": {"locale": "en-US", "displayName": "English (United States)"},
        "workingHours": {
            "daysOfWeek": ["monday", "tuesday", "wednesday", "thursday", "friday"],
            "startTime": "08:00:00.0000000",
            "endTime": "17:00:00.0000000",
            "timeZone": {"name": "W. Europe Standard Time"},
        },
    });
    match settings {
        Value::Object(settings) => settings,
        _ => Map::new(),
    }
}
