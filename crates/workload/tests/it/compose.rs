//! What is composed from a stored message: golden cases, strange input, bombs, and every mail of the corpus.

use std::{fmt::Write, fs, path::Path, thread};

use bytes::Bytes;
use data_encoding::BASE64;
use model::{AccountId, ItemId, RestoreId};
use proptest::prelude::*;
use serde_json::{Value, json, value::RawValue};
use workload::mail::{
    Outline,
    compose::{self, ATTACHMENT_BYTES_MAX, Composed, Creation, Loss, Manner, Marks, Source},
};

fn marks() -> Marks {
    let id = |text: &str| text.to_owned();
    Marks::new(
        &RestoreId::new(id("restore-1")).expect("an id"),
        &AccountId::new(id("account-1")).expect("an id"),
        &ItemId::new(id("AAMk=")).expect("an id"),
        None,
    )
}

fn composed_with(json: &str, mime: &[u8], kept: &[&str]) -> Composed {
    let json = RawValue::from_string(json.to_owned()).expect("a test's JSON is valid");
    let kept: Vec<_> = kept
        .iter()
        .map(|json| RawValue::from_string((*json).to_owned()).expect("a test's JSON is valid"))
        .collect();
    let mime = Outline::from(Bytes::copy_from_slice(mime));
    let composed = compose::compose(
        Source {
            json: &json,
            mime: &mime,
            attachments: &kept,
        },
        &marks(),
    );
    composed.expect("a whole MIME lacks nothing")
}

fn composed(json: &str, mime: &[u8]) -> Composed {
    composed_with(json, mime, &[])
}

fn body(creation: &Creation) -> Value {
    serde_json::from_str(creation.body.get()).expect("what is composed is JSON")
}

fn property(message: &Value, id: &str) -> Option<String> {
    let properties = message["singleValueExtendedProperties"].as_array()?;
    let found = properties.iter().find(|property| property["id"] == id)?;
    found["value"].as_str().map(str::to_owned)
}

const MAIL: &str = r#"{"@odata.etag":"W/\"x\"","id":"AAMk=","createdDateTime":"2024-05-01T08:00:00Z","changeKey":"CQ==","categories":["Red"],
    "receivedDateTime":"2024-05-01T08:00:01Z","sentDateTime":"2024-05-01T08:00:00Z","hasAttachments":true,"internetMessageId":"<1@x>",
    "subject":"A \ud83d\ude00 subject","bodyPreview":"b","importance":"high","parentFolderId":"F","conversationId":"C","conversationIndex":"AQ==",
    "isDeliveryReceiptRequested":null,"isReadReceiptRequested":true,"isRead":true,"isDraft":false,"webLink":"https://x","inferenceClassification":"focused",
    "body":{"contentType":"html","content":"<p>\u0001é</p>"},"sender":{"emailAddress":{"name":"S","address":"s@x"}},
    "from":{"emailAddress":{"name":"F","address":"f@x"}},"toRecipients":[{"emailAddress":{"name":"T","address":"t@x"}}],"ccRecipients":[],
    "flag":{"flagStatus":"flagged"}}"#;

const MIME: &str = concat!(
    "Received: from a by b; Wed, 1 May 2024 08:00:01 +0000\r\nIn-Reply-To: <0@x>\r\nReferences: <-1@x>\r\n <0@x>\r\nSubject: s\r\nMIME-Version: 1.0\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
    "--b\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n",
    "--b\r\nContent-Type: text/plain; charset=iso-8859-1; name=\"a.txt\"\r\nContent-Disposition: attachment; filename=\"a.txt\"\r\n",
    "Content-Transfer-Encoding: base64\r\n\r\ncaf6/w==\r\n",
    "--b\r\nContent-Type: image/png\r\nContent-ID: <p1@x>\r\nContent-Disposition: inline; filename=\"p.png\"\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n",
    "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nFrom: I <i@x>\r\nDate: Tue, 30 Apr 2024 10:00:00 +0200\r\n\r\nhello\r\n",
    "--b--\r\n",
);

#[test]
fn everything_that_can_be_said_is_said_at_creation() {
    let creation = composed(MAIL, MIME.as_bytes()).render(Manner::Faithful);
    let message = body(&creation);
    let source: Value = serde_json::from_str(MAIL).expect("valid");
    for field in [
        "subject",
        "body",
        "importance",
        "isRead",
        "flag",
        "categories",
        "internetMessageId",
        "isReadReceiptRequested",
        "inferenceClassification",
        "from",
        "sender",
        "toRecipients",
    ] {
        assert_eq!(message[field], source[field], "{field}");
    }
    for absent in [
        "id",
        "changeKey",
        "ccRecipients",
        "parentFolderId",
        "webLink",
        "conversationId",
        "isDeliveryReceiptRequested",
        "isDraft",
        "@odata.etag",
    ] {
        assert!(
            message.get(absent).is_none(),
            "{absent} is Graph's to set, or empty"
        );
    }
    let expected = [
        ("Integer 0x0E07", "1"),
        ("SystemTime 0x0E06", "2024-05-01T08:00:01Z"),
        ("SystemTime 0x0039", "2024-05-01T08:00:00Z"),
        ("String 0x1042", "<0@x>"),
        ("String 0x1039", "<-1@x> <0@x>"),
        ("Binary 0x0071", "AQ=="),
        (compose::MARK_RESTORE, &marks().restore),
        (compose::MARK_SOURCE, &marks().source),
    ];
    for (id, value) in expected {
        assert_eq!(
            property(&message, id).as_deref(),
            Some(value),
            "survival 113: {id}"
        );
    }
    let headers = property(&message, "String 0x007D").expect("header lines");
    assert!(
        headers.starts_with("Received: from a") && headers.ends_with("boundary=b\r\n"),
        "{headers:?}"
    );
    assert!(marks().restore.starts_with("restore-1:"));
    assert!(
        creation.rest.is_empty() && creation.losses.is_empty(),
        "{:?}",
        creation.losses
    );
}

#[test]
fn attachments_are_the_bytes_that_were_attached() {
    let message = body(&composed(MAIL, MIME.as_bytes()).render(Manner::Faithful));
    let attachments = message["attachments"].as_array().expect("attachments");
    assert_eq!(attachments[0]["name"], "a.txt");
    assert_eq!(attachments[0]["contentType"], "text/plain");
    assert_eq!(
        attachments[0]["contentBytes"], "caf6/w==",
        "abuse 75: the character set of a text file is not touched"
    );
    assert_eq!(attachments[1]["isInline"], true);
    assert_eq!(attachments[1]["contentId"], "p1@x");
    let inner = &attachments[2];
    assert_eq!(
        inner["@odata.type"], "#microsoft.graph.itemAttachment",
        "survival 105"
    );
    assert_eq!(inner["item"]["@odata.type"], "#microsoft.graph.message");
    assert_eq!(inner["item"]["subject"], "inner");
    assert_eq!(inner["item"]["from"]["emailAddress"]["address"], "i@x");
    assert_eq!(
        inner["item"]["body"]["content"].as_str().map(str::trim),
        Some("hello")
    );
    assert_eq!(
        property(&inner["item"], "SystemTime 0x0039").as_deref(),
        Some("2024-04-30T08:00:00Z")
    );
}

#[test]
fn an_attachment_without_a_name_or_a_byte_is_one_all_the_same() {
    let part =
        "--b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment\r\n\r\n";
    let mail =
        format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{part}\r\n{part}x\r\n--b--\r\n");
    let message = body(&composed(MAIL, mail.as_bytes()).render(Manner::Faithful));
    let attachments = message["attachments"].as_array().expect("attachments");
    let shown = |at: usize| (&attachments[at]["name"], &attachments[at]["contentBytes"]);
    assert_eq!(attachments.len(), 2);
    let name = json!("attachment");
    assert_eq!(shown(0), (&name, &json!("")), "survival 104, abuse 76");
    assert_eq!(shown(1), (&name, &json!("eA==")), "survival 104");
}

#[test]
fn header_lines_in_any_character_set_come_back_as_text() {
    let mail = b"X-Name: caf\xe9\x01\r\n\r\nx";
    let message = body(&composed(MAIL, mail).render(Manner::Faithful));
    assert_eq!(
        property(&message, "String 0x007D").as_deref(),
        Some("X-Name: caf\u{e9} \r\n"),
        "abuse 75"
    );
}

#[test]
fn the_cautious_form_leaves_out_what_graph_may_have_refused() {
    let mail = r#"{"isDraft":false,"toRecipients":[{"emailAddress":{"name":"Old","address":"/o=ExchangeLabs/cn=old"}}]}"#;
    let creation = composed(mail, MIME.as_bytes()).render(Manner::Cautious);
    let message = body(&creation);
    assert!(message.get("toRecipients").is_none(), "survival 97, 108");
    assert_eq!(message["attachments"][2]["name"], "inner.eml");
    assert_eq!(message["attachments"][2]["contentType"], "message/rfc822");
    assert_eq!(
        creation.losses,
        [Loss::AddressesLeftOut { count: 1 }, Loss::NestedAsFile]
    );
}

#[test]
fn drafts_stay_drafts() {
    let draft = MAIL.replace("\"isDraft\":false", "\"isDraft\":true");
    let message = body(&composed(&draft, MIME.as_bytes()).render(Manner::Faithful));
    assert_eq!(property(&message, "Integer 0x0E07"), None, "survival 115");
    assert_eq!(property(&message, "String 0x007D"), None);
    let unread = MAIL.replace("\"isRead\":true", "\"isRead\":false");
    let message = body(&composed(&unread, b"").render(Manner::Faithful));
    assert_eq!(
        property(&message, "Integer 0x0E07").as_deref(),
        Some("0"),
        "survival 114: neither unsent nor to be sent"
    );
}

#[test]
fn a_message_without_mime_is_composed_from_its_json() {
    let kept = r##"{"@odata.type":"#microsoft.graph.referenceAttachment","@odata.etag":"x","id":"a","size":9,"lastModifiedDateTime":"2024-01-01T00:00:00Z","name":"plan","isInline":false}"##;
    let creation = composed_with(MAIL, b"", &[kept]).render(Manner::Faithful);
    assert_eq!(
        body(&creation)["body"]["contentType"],
        "html",
        "survival 110"
    );
    assert_eq!(creation.rest.len(), 1, "a link goes by itself");
    let link: Value = serde_json::from_str(creation.rest[0].json().expect("it is in memory").get())
        .expect("JSON");
    assert_eq!(
        link,
        json!({"@odata.type": "#microsoft.graph.referenceAttachment", "name": "plan", "isInline": false})
    );
}

#[test]
fn a_message_without_json_body_takes_it_from_the_mime() {
    let message = body(
        &composed(
            r#"{"subject":null,"body":null,"from":null}"#,
            MIME.as_bytes(),
        )
        .render(Manner::Faithful),
    );
    assert_eq!(
        message["body"],
        json!({"contentType": "html", "content": "<p>x</p>"}),
        "survival 103"
    );
    assert!(message.get("from").is_none());
}

#[test]
fn broken_text_does_not_fail_the_message() {
    let creation = composed(
        r#"{"subject":"half \ud83d","body":{"contentType":"text","content":"\u0000\ude00"},"x\ud800":1}"#,
        b"",
    );
    let message = body(&creation.render(Manner::Faithful));
    assert_eq!(
        message["subject"], "half \u{fffd}",
        "survival 107, abuse 58"
    );
    assert_eq!(message["body"]["content"], "\u{0}\u{fffd}");
    for strange in [
        "[]",
        "null",
        "1",
        "{\"body\":7,\"toRecipients\":1,\"flag\":[],\"isDraft\":\"x\",\"receivedDateTime\":3}",
    ] {
        body(&composed(strange, b"").render(Manner::Cautious));
    }
}

#[test]
fn meeting_messages_say_what_they_lose() {
    let creation = composed(
        r##"{"@odata.type":"#microsoft.graph.eventMessageRequest","subject":"s"}"##,
        b"",
    )
    .render(Manner::Faithful);
    assert_eq!(creation.losses, [Loss::MeetingTie], "survival 117");
}

fn attached(bytes: &[u8]) -> String {
    let mut mail = String::from(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/octet-stream; name=big\r\nContent-Disposition: attachment\r\n",
    );
    mail.push_str("Content-Transfer-Encoding: base64\r\n\r\n");
    let encoded = BASE64.encode(bytes);
    for line in encoded.as_bytes().chunks(76) {
        mail.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        mail.push_str("\r\n");
    }
    mail.push_str("--b--\r\n");
    mail
}

#[test]
fn large_attachments_wait_for_an_upload_session_and_too_large_ones_are_told() {
    let bytes: Vec<u8> = (0..4_000_000_u32).map(|i| (i % 251) as u8).collect();
    let creation = composed(MAIL, attached(&bytes).as_bytes()).render(Manner::Faithful);
    assert!(creation.body.get().len() < 10_000);
    let [attachment] = &creation.rest[..] else {
        panic!("one attachment, found {}", creation.rest.len());
    };
    assert!(attachment.is_large());
    assert_eq!(attachment.file().map(|file| file == &bytes), Some(true));
    let request: Value = serde_json::from_str(attachment.session_request().get()).expect("JSON");
    assert_eq!(request["AttachmentItem"]["size"], 4_000_000);
    assert_eq!(request["AttachmentItem"]["attachmentType"], "file");
}

#[test]
fn an_attachment_larger_than_graph_takes_is_told() {
    let size = usize::try_from(ATTACHMENT_BYTES_MAX).expect("fits") + 1;
    let mut mail = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment\r\n\r\n".to_vec();
    mail.resize(mail.len() + size, b'x');
    mail.extend_from_slice(b"\r\n--b--\r\n");
    let creation = composed(MAIL, &mail).render(Manner::Faithful);
    assert!(creation.rest.is_empty());
    assert_eq!(
        creation.losses,
        [Loss::AttachmentTooLarge {
            size_bytes: size as u64
        }],
        "survival 116, 193"
    );
}

#[test]
fn thousands_of_attachments_fit_and_what_is_beyond_the_bound_is_counted() {
    let many = |count: usize| {
        let mut mail = String::from("Content-Type: multipart/mixed; boundary=b\r\n\r\n");
        for index in 0..count {
            let _ = write!(
                mail,
                "--b\r\nContent-Type: application/x; name=f{index}\r\nContent-Disposition: attachment\r\n\r\n\r\n"
            );
        }
        mail + "--b--\r\n"
    };
    let creation = composed(MAIL, many(5_000).as_bytes()).render(Manner::Faithful);
    let message = body(&creation);
    let within = message["attachments"].as_array().map_or(0, Vec::len);
    assert_eq!(within + creation.rest.len(), 5_000, "abuse 76");
    assert!(creation.losses.is_empty() && creation.body.get().len() < 4_000_000);
    let creation = composed(MAIL, many(20_000).as_bytes()).render(Manner::Faithful);
    assert_eq!(
        creation.losses,
        [Loss::AttachmentsTooMany { count: 10_000 }],
        "abuse 74"
    );
    let message = body(&creation);
    let within = message["attachments"].as_array().map_or(0, Vec::len);
    assert_eq!(within + creation.rest.len(), 10_000);
}

#[test]
fn messages_within_messages_end_in_a_file() {
    // On a small stack, which the second would overflow if messages were taken apart, or dropped, one within the other.
    for levels in [1_000, 10_000] {
        let thread = thread::Builder::new().stack_size(256 * 1024);
        let composing = thread.spawn(move || messages_end_in_a_file(levels));
        composing.expect("a thread").join().expect("no panic");
    }
}

fn messages_end_in_a_file(levels: usize) {
    let mut mail = String::new();
    for level in 0..levels {
        let _ = write!(
            mail,
            "Subject: {level}\r\nContent-Type: message/rfc822\r\n\r\n"
        );
    }
    mail.push_str("Subject: heart\r\n\r\nhello\r\n");
    let creation = composed(MAIL, mail.as_bytes()).render(Manner::Faithful);
    assert_eq!(creation.losses, [Loss::NestedAsFile], "abuse 74");
    let message = body(&creation);
    let mut item = &message["attachments"][0];
    let mut levels = 0;
    while let Some(inner) = item["item"].as_object() {
        item = &inner["attachments"][0];
        levels += 1;
    }
    assert_eq!(levels, 3);
    let eml = BASE64
        .decode(item["contentBytes"].as_str().expect("a file").as_bytes())
        .expect("base64");
    assert!(
        eml.starts_with(b"Subject: 4\r\n") && eml.ends_with(b"hello\r\n"),
        "{:?}",
        String::from_utf8_lossy(&eml[..40])
    );
}

#[test]
fn bombs_are_refused_before_they_are_taken_apart() {
    let parts = "Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned()
        + &"--b\r\n\r\n".repeat(250_000);
    let deep = "Content-Type: message/rfc822\n\n".repeat(400_000);
    let lost = "Content-Type: multipart/mixed; boundary=b\n\n".to_owned()
        + &"--b\nContent-Type: multipart/mixed; boundary=zz\n\n".repeat(100_000);
    let lines = "a:\n".repeat(3_000_000);
    // Levels that show only once the part is decoded.
    let inner = "Content-Type: message/rfc822\n\n".repeat(20_000);
    let hidden = "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n".to_owned()
        + &BASE64.encode(inner.as_bytes());
    for (what, bomb) in [
        ("parts", parts),
        ("nesting", deep),
        ("boundaries", lost),
        ("headers", lines),
        ("hidden", hidden),
    ] {
        let creation = composed(MAIL, bomb.as_bytes()).render(Manner::Faithful);
        assert!(
            creation.losses.contains(&Loss::MimeTooComplex),
            "abuse 74: {what}: {:?}",
            creation.losses
        );
        assert_eq!(body(&creation)["subject"], "A 😀 subject");
    }
    let long = format!("Subject: {}\r\n\r\nx", "y".repeat(20_000_000));
    let creation = composed(MAIL, long.as_bytes()).render(Manner::Faithful);
    assert_eq!(creation.losses, [Loss::HeadersCut]);
    assert!(creation.body.get().len() < 300_000);
}

proptest! {
    #[test]
    fn arbitrary_bytes_compose(mime in proptest::collection::vec(any::<u8>(), 0..2000)) {
        for manner in [Manner::Faithful, Manner::Cautious] {
            body(&composed(MAIL, &mime).render(manner));
        }
    }

    /// Fragments of MIME in any order reach further into the parser than bytes do.
    #[test]
    fn arbitrary_mime_composes(fragments in proptest::collection::vec(fragment(), 0..60)) {
        body(&composed("{}", fragments.concat().as_bytes()).render(Manner::Faithful));
    }
}

fn fragment() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "Content-Type: multipart/mixed; boundary=b\r\n",
        "Content-Type: multipart/alternative; boundary=\"c\"\n",
        "Content-Type: message/rfc822\r\n",
        "Content-Type: multipart/digest; boundary=d\r\n",
        "Content-Transfer-Encoding: base64\r\n",
        "Content-Transfer-Encoding: quoted-printable\n",
        "Content-Type: text/plain; charset=iso-2022-jp\r\n",
        "Content-Type: text/html; charset=utf-7\n",
        "\r\n",
        "\n",
        "--b\r\n",
        "--b--\r\n",
        "--c\n",
        "--c--",
        "--d\r\n",
        "--",
        "b",
        "Subject: =?utf-8?B?4pi?=\r\n",
        "Content-Disposition: attachment; filename*0*=utf-8''%e2; filename*1=x\r\n",
        "AAAA",
        "=C3=28",
        "\r",
        " ",
        "\t\n",
        "From: <@,;:\"(\r\n",
        "Date: 99 99 9999\r\n",
        ":",
        "\u{0}",
        "é",
        "References: <a> <b\r\n",
    ])
}

/// Every mail of the corpus becomes JSON that Graph could be given, whole or with its losses told.
#[test]
fn the_corpus_composes() {
    let Some(corpus) = testkit::shared::path("corpora/mail") else {
        return;
    };
    let mut files = Vec::new();
    list(&corpus, &mut files);
    assert!(files.len() > 4_000, "found {}", files.len());
    for path in files {
        let mime = fs::read(&path).expect("a file of the corpus can be read");
        let creation = composed("{}", &mime).render(Manner::Faithful);
        body(&creation);
        let beyond_limits = creation
            .losses
            .iter()
            .any(|loss| *loss != Loss::NestedAsFile);
        assert!(!beyond_limits, "{}: {:?}", path.display(), creation.losses);
    }
}

fn list(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the corpus can be listed") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            list(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// Whatever is missing or long, one request holds the message and an attachment holds its whole text.
#[test]
fn a_text_too_large_is_cut_and_attached() {
    let long = |unit: &str| unit.repeat(6_000_000 / unit.len());
    let source = |kind: &str, content: &str| {
        json!({ "isDraft": false, "body": { "contentType": kind, "content": content } }).to_string()
    };
    for (kind, unit, name) in [
        ("text", "\u{1}é😀\n", "whole message.txt"),
        ("html", "<div><p style='x'>a &amp; b", "whole message.html"),
        ("html", "<style>a", "whole message.html"),
    ] {
        let content = long(unit);
        let creation = composed(&source(kind, &content), b"").render(Manner::Faithful);
        assert_eq!(creation.losses, [Loss::BodyCut]);
        assert!(
            creation.body.get().len() < 4_000_000,
            "{}",
            creation.body.get().len()
        );
        let [whole] = &creation.rest[..] else {
            panic!("the whole text alone is attached: {:?}", creation.within);
        };
        assert_eq!(whole.name(), name);
        assert!(
            whole
                .file()
                .is_some_and(|bytes| bytes == content.as_bytes())
        );
        let shown = body(&creation)["body"]["content"].to_string();
        let last = shown.rsplit("[Cut here").next().unwrap_or_default();
        assert!(last.contains(name), "{last}");
        // The same with its MIME, which may be anything.
        let creation =
            composed(&source(kind, &content), &[0xFF; 4_000_000]).render(Manner::Cautious);
        assert_eq!(creation.rest[0].name(), "whole message.eml");
        assert_eq!(creation.rest[0].size_bytes(), 4_000_000);
    }
    let fits = composed(&source("text", &"x".repeat(3_000_000)), b"").render(Manner::Faithful);
    assert!(fits.losses.is_empty() && fits.rest.is_empty());
}
