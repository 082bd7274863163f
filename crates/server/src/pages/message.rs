//! A message of a restore point: what is shown of it, its text in a frame of its own, its attachments, and the message itself as a file.
//!
//! The text is cleaned by ammonia and shown in a sandboxed frame whose policy loads nothing from anywhere; pictures that are part of the message are
//! put into it. What a browser is handed as a file has a harmless type and is never shown by it.

use std::{borrow::Cow, collections::HashMap};

use askama::Template;
use axum::{
    extract::Query,
    http::{
        HeaderName, HeaderValue,
        header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_FRAME_OPTIONS},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use catalog::AccountKey;
use data_encoding::BASE64;
use jiff::Timestamp;
use mail_parser::{MessageParser, MimeHeaders, PartType};
use model::ItemId;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use workload::mail::Message;

use crate::{
    Problem, Signed, State, file_name, page,
    pages::account::View,
    path::Path,
    words::{When, size},
};

/// A message that is longer is not taken apart to be shown; it can be downloaded.
const SHOWN_BYTES_MAX: usize = 30_000_000;
/// Pictures inside a message that are longer all together are left out.
const PICTURES_BYTES_MAX: usize = 10_000_000;
/// The frame loads nothing, runs nothing, and sends nothing.
const FRAME_POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'; sandbox";
/// What is downloaded does nothing should a browser show it after all.
const FILE_POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";
/// What mails may say of how they look: nothing that places things over others or loads anything.
const STYLES: [&str; 26] = [
    "background-color",
    "border",
    "border-bottom",
    "border-collapse",
    "border-color",
    "border-left",
    "border-radius",
    "border-right",
    "border-style",
    "border-top",
    "border-width",
    "color",
    "font-family",
    "font-size",
    "font-style",
    "font-weight",
    "line-height",
    "margin",
    "max-width",
    "padding",
    "text-align",
    "text-decoration",
    "vertical-align",
    "white-space",
    "width",
    "height",
];

/// What Graph says of a message.
pub(crate) struct Headline {
    pub(crate) subject: String,
    pub(crate) received: Option<Timestamp>,
}

impl Headline {
    /// Reads it from what Graph says of the message; what is missing or broken is told as such.
    pub(crate) fn of(json: &RawValue) -> Self {
        let value: Value = serde_json::from_str(json.get()).unwrap_or_default();
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let time = ["receivedDateTime", "sentDateTime"];
        let time = time.iter().find_map(|name| text(name).parse().ok());
        Self {
            subject: or(text("subject"), "(no subject)"),
            received: time,
        }
    }
}

fn or(text: String, other: &str) -> String {
    if text.trim().is_empty() {
        other.to_owned()
    } else {
        text
    }
}

fn person(value: &Value) -> String {
    let address = &value["emailAddress"];
    let of = |name: &str| address[name].as_str().unwrap_or_default();
    match (of("name"), of("address")) {
        ("", address) => address.to_owned(),
        (name, address) if address.is_empty() || name == address => name.to_owned(),
        (name, address) => format!("{name} <{address}>"),
    }
}

/// A message, as the page shows it.
pub(crate) struct Mail {
    pub(crate) subject: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) cc: String,
    pub(crate) time: Option<When>,
    pub(crate) restore: String,
    pub(crate) download: String,
    pub(crate) body: String,
    pub(crate) attachments: Vec<Attachment>,
}

/// An attachment; one that the backup has no bytes of has no address.
pub(crate) struct Attachment {
    pub(crate) name: String,
    pub(crate) size: String,
    pub(crate) href: Option<String>,
}

impl Mail {
    /// What the page shows of a message.
    pub(crate) async fn new(message: Message, account: AccountKey, view: &View) -> Self {
        let headline = Headline::of(&message.json);
        let value: Value = serde_json::from_str(message.json.get()).unwrap_or_default();
        let people = |name: &str| {
            let list = value[name]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            list.iter().map(person).collect::<Vec<_>>().join(", ")
        };
        let mut attachments = Vec::new();
        for (number, (name, bytes)) in taken_apart(message.mime.clone(), attachments_of)
            .await
            .unwrap_or_default()
            .into_iter()
            .enumerate()
        {
            attachments.push(Attachment {
                name,
                size: size(bytes as u64),
                href: Some(format!(
                    "{}&number={number}",
                    view.href(account, "/message/attachment")
                )),
            });
        }
        for json in &message.attachments {
            let value: Value = serde_json::from_str(json.get()).unwrap_or_default();
            attachments.push(Attachment {
                name: or(
                    value["name"].as_str().unwrap_or_default().to_owned(),
                    "(no name)",
                ),
                size: "kept as Microsoft describes it".to_owned(),
                href: None,
            });
        }
        Self {
            subject: headline.subject,
            from: or(person(&value["from"]), "(no sender)"),
            to: or(people("toRecipients"), "—"),
            cc: people("ccRecipients"),
            time: headline.received.map(When),
            restore: view.href(account, "/restore"),
            download: view.href(account, "/message/eml"),
            body: view.href(account, "/message/body"),
            attachments,
        }
    }
}

/// What `work` makes of a message's MIME; nothing when it cannot be taken apart. Broken mail must not stop anything else.
pub(crate) async fn taken_apart<T: Send + 'static>(
    mime: Bytes,
    work: fn(&mail_parser::Message<'_>) -> T,
) -> Option<T> {
    if mime.is_empty() || mime.len() > SHOWN_BYTES_MAX {
        return None;
    }
    let work = move || {
        MessageParser::default()
            .parse(&mime[..])
            .map(|message| work(&message))
    };
    tokio::task::spawn_blocking(work).await.ok().flatten()
}

/// The names and lengths of a message's attachments.
pub(crate) fn attachments_of(message: &mail_parser::Message<'_>) -> Vec<(String, usize)> {
    message
        .attachments()
        .map(|part| (name_of(part), content(part).len()))
        .collect()
}

fn name_of(part: &mail_parser::MessagePart<'_>) -> String {
    let is_mail = matches!(part.body, PartType::Message(_));
    let other = if is_mail { "message.eml" } else { "attachment" };
    or(part.attachment_name().unwrap_or_default().to_owned(), other)
}

fn content<'a>(part: &'a mail_parser::MessagePart<'_>) -> &'a [u8] {
    match &part.body {
        PartType::Message(inner) => inner.raw_message(),
        _ => part.contents(),
    }
}

/// How a look at a message is noted.
pub(crate) const LOOKED: &str = "looked at a message";
/// How it is noted that somebody had an attachment.
pub(crate) const DOWNLOADED_ATTACHMENT: &str = "downloaded an attachment";

/// Notes that somebody looks at a message on a page; the frame with its text, which belongs to it, is then not noted.
pub(crate) async fn note_look(
    state: &State,
    signed: &Signed,
    account: AccountKey,
    id: &ItemId,
) -> Result<(), Problem> {
    let object = format!("{account} {id}");
    signed.note(state, LOOKED, &object).await?;
    let now = state.clock().elapsed();
    state.looks().remember(&signed.token_hash, &object, now);
    Ok(())
}

/// The message that a request names. That somebody looks at it is noted first.
async fn asked_for(
    state: &State,
    signed: &Signed,
    account: AccountKey,
    view: &View,
    action: &str,
) -> Result<Message, Problem> {
    let of = &signed.organization;
    of.account(account).await?;
    if view.message.is_empty() {
        return Err(Problem::Invalid("The address names no message.".to_owned()));
    }
    let id = ItemId::new(view.message.clone()).map_err(|_| Problem::NotFound)?;
    let (object, now) = (format!("{account} {id}"), state.clock().elapsed());
    let is_noted = action == LOOKED && state.looks().is_noted(&signed.token_hash, &object, now);
    if !is_noted {
        signed.note(state, action, object).await?;
    }
    let archive = state
        .service()
        .archive(of.id(), account, Some(&view.point))
        .await?;
    let at = archive.find(&id).await?;
    let message = archive.message(&at.ok_or(Problem::NotFound)?).await;
    Ok(message?)
}

#[derive(Template)]
#[template(path = "mail_body.html")]
struct Body<'a> {
    style: &'static str,
    body: &'a str,
}

/// The text, for the frame. It is noted here when it is asked for without the page around it.
pub(crate) async fn body(
    state: State,
    signed: Signed,
    Path(account): Path<AccountKey>,
    Query(view): Query<View>,
) -> Result<Response, Problem> {
    let message = asked_for(&state, &signed, account, &view, LOOKED).await?;
    let text = match taken_apart(message.mime.clone(), clean).await {
        Some(text) => text,
        None if message.mime.len() > SHOWN_BYTES_MAX => {
            "<p>This message is too large to be shown. It can be downloaded.</p>".to_owned()
        }
        None => of_json(&message.json),
    };
    let style = include_str!("../../assets/mail.css");
    let mut response = page::html(&Body { style, body: &text });
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(FRAME_POLICY),
    );
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    Ok(response)
}

/// A message's text without anything that acts or loads.
fn clean(message: &mail_parser::Message<'_>) -> String {
    let has_html = message
        .html_body
        .first()
        .and_then(|id| message.part(*id))
        .is_some_and(|part| matches!(part.body, PartType::Html(_)));
    if let Some(html) = message.body_html(0).filter(|_| has_html) {
        return clean_html(&html, pictures(message));
    }
    let text = message.body_text(0).unwrap_or_default();
    format!("<pre>{}</pre>", ammonia::clean_text(&text))
}

/// What Graph says the text is, for a message that Microsoft could make no MIME of.
fn of_json(json: &RawValue) -> String {
    let value: Value = serde_json::from_str(json.get()).unwrap_or_default();
    let text = value["body"]["content"].as_str().unwrap_or_default();
    match value["body"]["contentType"].as_str() {
        Some("html") => clean_html(text, HashMap::new()),
        _ => format!("<pre>{}</pre>", ammonia::clean_text(text)),
    }
}

/// Pictures inside a message, by their content ids, as addresses that carry them.
type Pictures = HashMap<String, String>;

fn clean_html(html: &str, pictures: Pictures) -> String {
    ammonia::Builder::default()
        .add_tags(["center", "font"])
        .add_generic_attributes(["style", "align", "valign", "bgcolor", "width", "height"])
        .add_tag_attributes("font", ["color", "size", "face"])
        .add_tag_attributes("table", ["border", "cellpadding", "cellspacing"])
        .filter_style_properties(STYLES.into_iter().collect())
        .url_schemes(["cid", "http", "https", "mailto"].into_iter().collect())
        // No address that would be loaded is left: pictures of the message become part of the page, others go.
        .attribute_filter(
            move |element, attribute, value| match (element, attribute) {
                ("img", "src") => {
                    let name = value.trim().strip_prefix("cid:")?;
                    pictures.get(name).cloned().map(Cow::Owned)
                }
                (_, "href" | "cite") => None,
                (_, "style") if value.contains("url") => None,
                _ => Some(Cow::Borrowed(value)),
            },
        )
        .clean(html)
        .to_string()
}

fn pictures(message: &mail_parser::Message<'_>) -> Pictures {
    let mut pictures = Pictures::new();
    let mut left = PICTURES_BYTES_MAX;
    for part in &message.parts {
        let (Some(id), Some(kind)) = (part.content_id(), part.content_type()) else {
            continue;
        };
        let subtype = kind.subtype().unwrap_or_default().to_ascii_lowercase();
        let is_picture = kind.ctype().eq_ignore_ascii_case("image")
            && ["png", "jpeg", "jpg", "gif", "webp", "bmp"].contains(&subtype.as_str());
        let bytes = part.contents();
        if is_picture && bytes.len() <= left {
            left -= bytes.len();
            let address = format!("data:image/{subtype};base64,{}", BASE64.encode(bytes));
            pictures.insert(id.trim_matches(['<', '>']).to_owned(), address);
        }
    }
    pictures
}

/// Which attachment.
#[derive(Deserialize)]
pub(crate) struct Which {
    #[serde(default)]
    number: usize,
}

/// One attachment as a file.
pub(crate) async fn attachment(
    state: State,
    signed: Signed,
    Path(account): Path<AccountKey>,
    Query(view): Query<View>,
    Query(which): Query<Which>,
) -> Result<Response, Problem> {
    let message = asked_for(&state, &signed, account, &view, DOWNLOADED_ATTACHMENT).await?;
    let found = attached(message.mime, which.number).await;
    let (name, bytes) = found.ok_or(Problem::NotFound)?;
    Ok(file(&name, bytes))
}

/// An attachment of a message, with its name, if there are so many.
pub(crate) async fn attached(mime: Bytes, number: usize) -> Option<(String, Bytes)> {
    let found = tokio::task::spawn_blocking(move || {
        let parsed = MessageParser::default().parse(&mime[..])?;
        let part = parsed.attachments().nth(number)?;
        Some((name_of(part), Bytes::copy_from_slice(content(part))))
    });
    found.await.ok().flatten()
}

/// The message as a file.
pub(crate) async fn eml(
    state: State,
    signed: Signed,
    Path(account): Path<AccountKey>,
    Query(view): Query<View>,
) -> Result<Response, Problem> {
    let message = asked_for(&state, &signed, account, &view, "downloaded a message").await?;
    if !message.has_mime {
        return Err(Problem::Conflict(
            "Microsoft could not make a file of this message. It can be restored.".to_owned(),
        ));
    }
    let name = format!("{}.eml", Headline::of(&message.json).subject);
    Ok(file(&name, message.mime))
}

pub(crate) fn file(name: &str, bytes: impl IntoResponse) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(FILE_POLICY),
    );
    if let Ok(value) = HeaderValue::from_str(&file_name::disposition(name)) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    let options = HeaderName::from_static("x-download-options");
    headers.insert(options, HeaderValue::from_static("noopen"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mails_text_neither_acts_nor_loads() {
        let logo = ("logo".to_owned(), "data:image/png;base64,AA==".to_owned());
        let cleaned = |html: &str| clean_html(html, Pictures::from([logo.clone()]));
        for (hostile, forbidden) in [
            ("<script>alert(1)</script>x", "alert"),
            ("<p onclick=alert(1)>x</p>", "onclick"),
            ("<img src=https://tracker.example/x.gif>", "tracker"),
            ("<img src='data:image/svg+xml,x'>", "svg"),
            ("<a href='javascript:alert(1)'>x</a>", "javascript"),
            ("<a href='https://phish.example'>x</a>", "phish"),
            ("<iframe src=https://x.example></iframe>", "iframe"),
            ("<style>@import url(https://x.example)</style>", "import"),
            (
                "<p style='background-image:url(https://x.example)'>x</p>",
                "url",
            ),
            ("<p style='position:fixed;color:red'>x</p>", "position"),
            ("<form action=https://x.example><input></form>", "form"),
            (
                "<meta http-equiv=refresh content='0;url=https://x.example'>",
                "meta",
            ),
            ("<svg><use href='https://x.example#a'/></svg>", "svg"),
            ("<link rel=stylesheet href=https://x.example>", "link"),
        ] {
            assert!(
                !cleaned(hostile).contains(forbidden),
                "{hostile} became {}",
                cleaned(hostile)
            );
        }
        assert_eq!(
            cleaned("<p style=\"color:red\">Hello</p>"),
            "<p style=\"color:red\">Hello</p>"
        );
        assert!(cleaned("<img src='cid:logo'>").contains("data:image/png;base64,AA=="));
        assert!(!cleaned("<img src='cid:other'>").contains("src"));
    }
}
