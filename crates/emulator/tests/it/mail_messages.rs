//! Messages: what is honoured at creation, changes, moves, ids, deletion, lists.

use anyhow::Result;
use data_encoding::BASE64;
use emulator::MailBehaviour;
use reqwest::Method;
use serde_json::{Value, json};

use crate::mail_support::{Ask, Bench, DEFAULT, IMMUTABLE, column, refusal, text};

const NOTE: &str = "String {66f5a359-4659-4830-9070-00047ec6ac6e} Name Keepwell";

/// A message as a restore makes it.
fn restored() -> Value {
    json!({
        "subject": "Grüße",
        "body": {"contentType": "html", "content": "<p>ä</p>"},
        "from": {"emailAddress": {"name": "Björn", "address": "b@example.com"}},
        "toRecipients": [{"emailAddress": {"address": "a@example.com"}}],
        "replyTo": [{"emailAddress": {"name": "R", "address": "r@example.com"}}, {"emailAddress": {"name": "S"}}],
        "internetMessageId": "<1@example.com>",
        "importance": "high",
        "categories": ["Blue category"],
        "flag": {"flagStatus": "flagged", "dueDateTime": {"dateTime": "2026-11-03T00:00:00.0000000", "timeZone": "UTC"}},
        "receivedDateTime": "2001-01-01T00:00:00Z",
        "sentDateTime": "2001-01-01T00:00:00Z",
        "internetMessageHeaders": [{"name": "X-Ignored", "value": "1"}],
        "isDraft": true,
        "attachments": [{
            "@odata.type": "#microsoft.graph.fileAttachment",
            "name": "a.txt", "contentType": "text/plain", "contentBytes": "aGk="
        }],
        "singleValueExtendedProperties": [
            {"id": "Integer 0x0E07", "value": "4"},
            {"id": "SystemTime 0x0E06", "value": "2020-02-02T02:02:02Z"},
            {"id": "SystemTime 0x0039", "value": "2020-02-02T01:01:01Z"},
            {"id": "String 0x007D", "value": "Received: from x by y; Sun, 2 Feb 2020 02:02:02 +0000\r\nX-Kept: yes\r\n"},
            {"id": "String 0x1042", "value": "<0@example.com>"},
            {"id": "String 0x1039", "value": "<0@example.com>"},
            {"id": NOTE, "value": "job 1"},
        ],
    })
}

#[tokio::test]
async fn a_created_message_is_what_its_mapi_properties_say() -> Result<()> {
    // survival 108, 109, 113, 114
    let bench = Bench::start().await?;
    let path = "mailFolders/inbox/messages";
    let created = bench.create(path, IMMUTABLE, restored()).await?;
    assert_eq!(created["isDraft"], false);
    assert_eq!(created["isRead"], false);
    assert_eq!(created["receivedDateTime"], "2020-02-02T02:02:02Z");
    assert_eq!(created["sentDateTime"], "2020-02-02T01:01:01Z");
    assert_eq!(created["createdDateTime"], "2026-11-02T08:00:00Z");
    assert_eq!(created["internetMessageId"], "<1@example.com>");
    assert_eq!(created["importance"], "high");
    assert_eq!(created["flag"]["flagStatus"], "flagged");
    assert_eq!(created["sender"], created["from"]);
    assert_eq!(created["hasAttachments"], true);
    assert_eq!(created["replyTo"].as_array().map(Vec::len), Some(2));
    let id = text(&created, "id")?;
    let headers = bench
        .read(
            &format!("messages/{id}?$select=internetMessageHeaders"),
            IMMUTABLE,
        )
        .await?;
    let names: Vec<_> = column(
        headers["internetMessageHeaders"]
            .as_array()
            .expect("a list"),
        "name",
    );
    assert_eq!(names, ["Received", "X-Kept"]);
    assert!(headers.get("subject").is_none());
    let mime = bench
        .get(&format!("messages/{id}/$value"), IMMUTABLE)
        .await?;
    let again = bench
        .get(&format!("messages/{id}/$value"), IMMUTABLE)
        .await?;
    assert_eq!(mime.body, again.body);
    let mime = String::from_utf8_lossy(&mime.body).into_owned();
    for part in [
        "X-Kept: yes",
        "In-Reply-To: <0@example.com>",
        "References: <0@example.com>",
        "Message-ID: <1@example.com>",
        "filename=\"a.txt\"",
    ] {
        assert!(mime.contains(part), "{part} in\n{mime}");
    }
    let read = json!({"singleValueExtendedProperties": [{"id": "Integer 0xe07", "value": "1"}]});
    let read = bench.create("messages", IMMUTABLE, read).await?;
    assert_eq!(
        (&read["isRead"], &read["isDraft"]),
        (&json!(true), &json!(false))
    );
    let unsent = json!({"singleValueExtendedProperties": [{"id": "Integer 0x0E07", "value": "8"}]});
    let unsent = bench.create("messages", IMMUTABLE, unsent).await?;
    assert_eq!(
        (&unsent["isRead"], &unsent["isDraft"]),
        (&json!(false), &json!(true))
    );
    Ok(())
}

#[tokio::test]
async fn extended_properties_are_found_by_filter_and_by_expand() -> Result<()> {
    let bench = Bench::start().await?;
    bench.message("inbox", "other", IMMUTABLE).await?;
    let created = bench
        .create("mailFolders/inbox/messages", IMMUTABLE, restored())
        .await?;
    let id = text(&created, "id")?;
    let note = NOTE.replace("66f5a359", "66F5A359");
    for (value, expected) in [("job 1", vec![id.clone()]), ("job 2", vec![])] {
        for path in ["messages", "mailFolders/inbox/messages"] {
            let path = format!(
                "{path}?$select=id&$filter=singleValueExtendedProperties/Any(ep: ep/id eq '{note}' and ep/value eq '{value}')"
            );
            let (rows, _) = bench.follow(&path, IMMUTABLE).await?;
            assert_eq!(column(&rows, "id"), expected);
        }
    }
    let path = format!(
        "messages/{id}?$select=subject&$expand=singleValueExtendedProperties($filter=id eq '{NOTE}' or id eq 'Integer 0x0E07')"
    );
    let row = bench.read(&path, IMMUTABLE).await?;
    let properties = row["singleValueExtendedProperties"]
        .as_array()
        .expect("a list");
    assert_eq!(column(properties, "id"), [NOTE, "Integer 0xe07"]);
    assert_eq!(column(properties, "value"), ["job 1", "0"]);
    let refused = bench
        .get("messages?$expand=singleValueExtendedProperties", IMMUTABLE)
        .await?;
    assert_eq!(refused.status, 400);
    Ok(())
}

#[tokio::test]
async fn mime_that_is_posted_becomes_a_draft_and_keeps_its_bytes() -> Result<()> {
    let bench = Bench::start().await?;
    let mime = b"Subject: hi\r\nDate: Sun, 1 Mar 2020 10:00:00 +0000\r\n\r\nbody\xff\r\n";
    let ask = Ask {
        content_type: Some("text/plain"),
        ..IMMUTABLE
    };
    let body = BASE64.encode(mime).into_bytes();
    let created = bench
        .ask(Method::POST, "mailFolders/inbox/messages", ask, body)
        .await?;
    assert_eq!(created.status, 201);
    let created = created.json();
    assert_eq!(
        (&created["isDraft"], &created["subject"]),
        (&json!(true), &json!("hi"))
    );
    let id = text(&created, "id")?;
    let value = bench
        .get(&format!("messages/{id}/$value"), IMMUTABLE)
        .await?;
    assert_eq!(&value.body[..], mime);
    assert_eq!(value.header("content-type"), "text/plain");
    let bad = bench
        .ask(Method::POST, "messages", ask, b"not base64!".to_vec())
        .await?;
    assert_eq!(
        refusal(&bad),
        (400, "ErrorMimeContentInvalidBase64String".to_owned())
    );
    // Where the folder is in the path, Exchange serves no MIME (survival 110).
    let path = format!("mailFolders/inbox/messages/{id}/$value");
    assert_eq!(bench.get(&path, IMMUTABLE).await?.status, 405);
    Ok(())
}

#[tokio::test]
async fn marks_can_always_be_changed_and_content_only_in_drafts() -> Result<()> {
    // survival 57
    let bench = Bench::start().await?;
    let created = bench
        .create("mailFolders/inbox/messages", IMMUTABLE, restored())
        .await?;
    let path = format!("messages/{}", text(&created, "id")?);
    bench.wait_s(60);
    let marks = json!({
        "isRead": true, "categories": ["Red category"], "importance": "low", "inferenceClassification": "other",
        "flag": {"flagStatus": "complete"},
        "singleValueExtendedProperties": [{"id": NOTE, "value": "job 2"}],
    });
    let changed = bench.patch(&path, IMMUTABLE, marks).await?;
    assert_eq!(changed.status, 200);
    let changed = changed.json();
    assert_ne!(changed["changeKey"], created["changeKey"]);
    assert_eq!(changed["lastModifiedDateTime"], "2026-11-02T08:01:00Z");
    assert_eq!(changed["importance"], "low");
    assert_eq!(changed["flag"], json!({"flagStatus": "complete"}));
    for body in [
        json!({"subject": "x"}),
        json!({"body": {"contentType": "text", "content": "x"}}),
        json!({"toRecipients": []}),
        json!({"internetMessageId": "<x>"}),
        json!({"singleValueExtendedProperties": [{"id": "Integer 0x0E07", "value": "1"}]}),
    ] {
        let refused = bench.patch(&path, IMMUTABLE, body.clone()).await?;
        assert_eq!(
            refusal(&refused),
            (400, "ErrorInvalidPropertySet".to_owned()),
            "{body}"
        );
    }
    for body in [
        json!({"colour": 1}),
        json!({"isRead": "yes"}),
        json!({"importance": "urgent"}),
        json!({"flag": {"flagStatus": "x"}}),
        json!([1]),
    ] {
        let refused = bench.patch(&path, IMMUTABLE, body.clone()).await?;
        assert_eq!(refused.status, 400, "{body}");
    }
    let draft = bench.message("drafts", "before", IMMUTABLE).await?;
    let path = format!("messages/{draft}");
    let edited = bench
        .patch(&path, IMMUTABLE, json!({"subject": "after"}))
        .await?;
    assert_eq!(edited.json()["subject"], "after");
    Ok(())
}

#[tokio::test]
async fn the_default_id_changes_with_the_folder_and_the_immutable_one_stays() -> Result<()> {
    // survival 59, 60, 61; abuse 55
    let bench = Bench::start().await?;
    let immutable = bench.message("inbox", "m", IMMUTABLE).await?;
    let same = bench.read("mailFolders/inbox/messages", DEFAULT).await?;
    let default = text(&same["value"][0], "id")?;
    let moved = json!({"destinationId": "archive"});
    let moved = bench
        .create(&format!("messages/{default}/move"), DEFAULT, moved)
        .await?;
    let next = text(&moved, "id")?;
    assert_ne!(next, default);
    let missing = |path: String, ask| {
        let bench = &bench;
        async move {
            let refused = refusal(&bench.get(&path, ask).await?);
            assert_eq!(refused, (404, "ErrorItemNotFound".to_owned()), "{path}");
            anyhow::Ok(())
        }
    };
    missing(format!("messages/{default}"), DEFAULT).await?;
    missing(format!("messages/{immutable}"), DEFAULT).await?;
    missing(format!("messages/{}", immutable.to_lowercase()), IMMUTABLE).await?;
    missing(format!("mailFolders/inbox/messages/{next}"), DEFAULT).await?;
    let found = bench
        .get(&format!("messages/{immutable}"), IMMUTABLE)
        .await?;
    assert_eq!(found.header("preference-applied"), "IdType=\"ImmutableId\"");
    assert_eq!(text(&found.json(), "id")?, immutable);
    bench
        .read(&format!("mailFolders/archive/messages/{next}"), DEFAULT)
        .await?;
    let copy = json!({"destinationId": "inbox"});
    let copy = bench
        .create(&format!("messages/{immutable}/copy"), IMMUTABLE, copy)
        .await?;
    assert_ne!(text(&copy, "id")?, immutable);
    Ok(())
}

#[tokio::test]
async fn deleted_messages_can_be_recovered_until_they_are_deleted_for_good() -> Result<()> {
    // survival 90
    for deleted_by_id in [false, true] {
        let behaviour = MailBehaviour {
            deleted_by_id,
            ..MailBehaviour::default()
        };
        let bench = Bench::with(behaviour, |_| {}).await?;
        let id = bench.message("inbox", "m", IMMUTABLE).await?;
        let path = format!("messages/{id}");
        assert_eq!(bench.delete(&path, IMMUTABLE).await?.status, 204);
        let status = if deleted_by_id { 200 } else { 404 };
        assert_eq!(bench.get(&path, IMMUTABLE).await?.status, status);
        let folder = "mailFolders/recoverableitemsdeletions/messages";
        let (rows, _) = bench.follow(folder, IMMUTABLE).await?;
        assert_eq!(column(&rows, "id"), [id.as_str()]);
        let (rows, _) = bench.follow("messages", IMMUTABLE).await?;
        assert_eq!(rows.len(), 0);
        let path = format!("{folder}/{id}");
        assert_eq!(bench.delete(&path, IMMUTABLE).await?.status, 403);
        let gone = bench
            .post(&format!("{path}/permanentDelete"), IMMUTABLE, json!({}))
            .await?;
        assert_eq!(gone.status, 204);
        assert_eq!(bench.get(&path, IMMUTABLE).await?.status, 404);
    }
    Ok(())
}

#[tokio::test]
async fn lists_are_paged_sorted_filtered_and_selected() -> Result<()> {
    // survival 43
    let bench = Bench::start().await?;
    for number in 10..35 {
        let body = json!({
            "subject": format!("Subject {number}"), "isRead": number % 2 == 0,
            "singleValueExtendedProperties": [{"id": "SystemTime 0x0E06", "value": format!("2020-01-{:02}T00:00:00Z", 35 - number)}],
        });
        bench
            .create("mailFolders/inbox/messages", DEFAULT, body)
            .await?;
    }
    let page = bench.read("messages?$select=subject", DEFAULT).await?;
    assert_eq!(page["value"].as_array().map(Vec::len), Some(10));
    assert_eq!(
        page["value"][0]["subject"], "Subject 10",
        "the youngest first"
    );
    assert!(page["value"][0].get("body").is_none() && page["value"][0].get("id").is_some());
    let (rows, _) = bench
        .follow(
            "messages?$orderby=subject desc&$top=7&$select=subject",
            DEFAULT,
        )
        .await?;
    assert_eq!(
        (rows.len(), &rows[0]["subject"]),
        (25, &json!("Subject 34"))
    );
    let filters = [
        ("isRead eq true", 13),
        ("receivedDateTime ge 2020-01-21T00:00:00Z", 5),
        ("subject eq 'subject 12'", 1),
        ("startswith(subject, 'Subject 2') and isRead eq false", 5),
    ];
    for (filter, expected) in filters {
        let path = format!("messages?$filter={filter}&$top=1000");
        assert_eq!(
            bench.follow(&path, DEFAULT).await?.0.len(),
            expected,
            "{filter}"
        );
    }
    for query in [
        "$filter=colour eq 1",
        "$select=colour",
        "$expand=colour",
        "$top=x",
        "$apply=x",
        "$top=1&$top=2",
    ] {
        let refused = bench.get(&format!("messages?{query}"), DEFAULT).await?;
        assert_eq!(refused.status, 400, "{query}");
    }
    Ok(())
}

#[tokio::test]
async fn html_bodies_are_given_as_text_when_that_is_preferred() -> Result<()> {
    let bench = Bench::start().await?;
    let created = bench
        .create(
            "messages",
            DEFAULT,
            json!({"body": {"contentType": "html", "content": "<p>a &amp; b</p>"}}),
        )
        .await?;
    let ask = Ask {
        text_body: true,
        ..DEFAULT
    };
    let found = bench
        .get(&format!("messages/{}", text(&created, "id")?), ask)
        .await?;
    assert_eq!(
        found.header("preference-applied"),
        "outlook.body-content-type=\"text\""
    );
    let body = &found.json()["body"];
    assert_eq!(body["contentType"], "text");
    assert_eq!(text(body, "content")?.trim(), "a & b");
    Ok(())
}

#[tokio::test]
async fn mime_is_given_as_loaded_or_generated_anew_by_a_switch() -> Result<()> {
    // survival 110, 111
    for regenerate in [false, true] {
        let bench = Bench::with(MailBehaviour::default(), |settings| {
            settings.behaviour.regenerate_mime = regenerate;
        })
        .await?;
        for mime in [&b""[..], b"Subject: x\n\nbare line feeds\n"] {
            bench.mailbox(|mailbox, now| {
                let inbox = mailbox.find_folder("inbox").expect("it is built in");
                mailbox.clear(now);
                mailbox
                    .deliver(inbox, mime.into(), now)
                    .expect("it arrives");
            });
            let (rows, _) = bench.follow("messages", IMMUTABLE).await?;
            let path = format!("messages/{}/$value", text(&rows[0], "id")?);
            let value = bench.get(&path, IMMUTABLE).await?;
            assert_eq!(value.status, 200);
            assert_eq!(value.body == mime, !regenerate);
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_basic_permission_shows_no_bodies() -> Result<()> {
    let bench = Bench::with(MailBehaviour::default(), |settings| {
        settings.roles = vec!["Mail.ReadBasic.All".to_owned()];
    })
    .await?;
    bench.mailbox(|mailbox, now| {
        let inbox = mailbox.find_folder("inbox").expect("it is built in");
        let mime = b"Subject: x\r\n\r\nsecret".as_slice();
        mailbox
            .deliver(inbox, mime.into(), now)
            .expect("it arrives");
    });
    let (rows, _) = bench.follow("messages", DEFAULT).await?;
    assert_eq!(rows[0]["subject"], "x");
    let path = format!("messages/{}", text(&rows[0], "id")?);
    let whole = bench.read(&path, DEFAULT).await?;
    let (changes, _) = bench
        .delta("mailFolders/inbox/messages/delta", DEFAULT)
        .await?;
    for row in [&rows[0], &whole, &changes[0]] {
        assert!(!row.to_string().contains("secret"), "{row}");
    }
    for path in [
        format!("{path}?$select=body"),
        format!("{path}?$expand=attachments"),
        format!("{path}/attachments"),
        format!("{path}/$value"),
    ] {
        let refused = refusal(&bench.get(&path, DEFAULT).await?);
        assert_eq!(refused, (403, "ErrorAccessDenied".to_owned()), "{path}");
    }
    Ok(())
}
