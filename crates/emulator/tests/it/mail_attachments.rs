//! Attachments: kinds, pages, and upload sessions.

use anyhow::Result;
use data_encoding::BASE64;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    harness::send,
    mail_support::{Ask, Bench, DEFAULT, IMMUTABLE, column, refusal, text},
};

/// The unit of ranges.
/// A tenth of a large file, more or less.
const UNIT: usize = 320 * 1024;

fn file(name: &str, content: &[u8]) -> Value {
    json!({"@odata.type": "#microsoft.graph.fileAttachment", "name": name, "contentBytes": BASE64.encode(content)})
}

#[tokio::test]
async fn the_three_kinds_are_made_listed_read_and_deleted() -> Result<()> {
    // survival 104, 105, 106
    let bench = Bench::start().await?;
    let id = bench.message("inbox", "m", IMMUTABLE).await?;
    let path = format!("messages/{id}/attachments");
    let made = bench
        .create(&path, IMMUTABLE, file("a.bin", b"bytes"))
        .await?;
    let item = json!({
        "@odata.type": "#microsoft.graph.itemAttachment", "name": "inner",
        "item": {"@odata.type": "#microsoft.graph.message", "subject": "inner", "sentDateTime": "2020-01-01T00:00:00Z"},
    });
    let item = bench.create(&path, IMMUTABLE, item).await?;
    let link = json!({"@odata.type": "#microsoft.graph.referenceAttachment", "name": "link.docx"});
    let link = bench.create(&path, IMMUTABLE, link).await?;
    let (rows, _) = bench.follow(&path, IMMUTABLE).await?;
    assert_eq!(column(&rows, "name"), ["a.bin", "inner", "link.docx"]);
    assert_eq!(rows[0]["contentBytes"], BASE64.encode(b"bytes"));
    assert!(
        rows[0]["size"].as_u64() > Some(5),
        "the size is not that of the content"
    );
    assert!(rows[1].get("item").is_none() && rows[2].get("contentBytes").is_none());
    let one = |row: &Value| format!("{path}/{}", row["id"].as_str().unwrap_or_default());
    let expanded = format!("{}?$expand=microsoft.graph.itemattachment/item", one(&item));
    let expanded = bench.read(&expanded, IMMUTABLE).await?;
    assert_eq!(expanded["item"]["subject"], "inner");
    assert_eq!(expanded["item"]["sentDateTime"], "2020-01-01T00:00:00Z");
    let value = bench
        .get(&format!("{}/$value", one(&made)), IMMUTABLE)
        .await?;
    assert_eq!(value.body, b"bytes");
    let value = bench
        .get(&format!("{}/$value", one(&item)), IMMUTABLE)
        .await?;
    assert!(String::from_utf8_lossy(&value.body).contains("Subject: inner"));
    let value = bench
        .get(&format!("{}/$value", one(&link)), IMMUTABLE)
        .await?;
    assert_eq!(value.status, 405);
    let message = bench
        .read(&format!("messages/{id}?$expand=attachments"), IMMUTABLE)
        .await?;
    assert_eq!(message["attachments"].as_array().map(Vec::len), Some(3));
    assert_eq!(message["hasAttachments"], true);
    assert_eq!(bench.delete(&one(&made), IMMUTABLE).await?.status, 204);
    let again = bench.create(&path, IMMUTABLE, file("a.bin", b"")).await?;
    assert_ne!(again["id"], made["id"]);
    let (rows, _) = bench.follow(&path, IMMUTABLE).await?;
    assert_eq!(column(&rows, "name"), ["inner", "link.docx", "a.bin"]);
    for bad in [
        json!({"name": "x"}),
        json!({"@odata.type": "#microsoft.graph.fileAttachment", "name": "x", "contentBytes": "?"}),
        json!({"@odata.type": "#microsoft.graph.fileAttachment", "contentBytes": ""}),
        json!({"@odata.type": "#microsoft.graph.itemAttachment", "name": "x", "item": {"@odata.type": "#microsoft.graph.event"}}),
    ] {
        assert_eq!(bench.post(&path, IMMUTABLE, bad).await?.status, 400);
    }
    Ok(())
}

#[tokio::test]
async fn many_attachments_come_in_pages() -> Result<()> {
    // survival 100
    let bench = Bench::start().await?;
    let id = bench.message("inbox", "m", DEFAULT).await?;
    let path = format!("messages/{id}/attachments");
    for number in 0..23 {
        bench
            .create(&path, DEFAULT, file(&format!("{number}"), b"x"))
            .await?;
    }
    let first = bench.read(&path, DEFAULT).await?;
    assert_eq!(first["value"].as_array().map(Vec::len), Some(10));
    let (rows, _) = bench
        .follow(&format!("{path}?$select=name,size"), DEFAULT)
        .await?;
    assert_eq!(rows.len(), 23);
    assert!(rows.iter().all(|row| row.get("contentBytes").is_none()));
    Ok(())
}

#[tokio::test]
async fn inline_pictures_do_not_count_as_attachments() -> Result<()> {
    // survival 102
    let bench = Bench::start().await?;
    let body = json!({
        "body": {"contentType": "html", "content": "<img src='cid:p1'>"},
        "attachments": [{
            "@odata.type": "#microsoft.graph.fileAttachment", "name": "p.png", "contentType": "image/png",
            "isInline": true, "contentId": "p1", "contentBytes": "AAAA"
        }],
    });
    let created = bench.create("messages", DEFAULT, body).await?;
    assert_eq!(created["hasAttachments"], false);
    let path = format!("messages/{}/attachments", text(&created, "id")?);
    let (rows, _) = bench.follow(&path, DEFAULT).await?;
    assert_eq!(
        (&rows[0]["isInline"], &rows[0]["contentId"]),
        (&json!(true), &json!("p1"))
    );
    Ok(())
}

#[tokio::test]
async fn a_large_file_is_uploaded_in_ranges() -> Result<()> {
    // survival 116
    let bench = Bench::start().await?;
    let id = bench.message("inbox", "m", IMMUTABLE).await?;
    let path = format!("messages/{id}/attachments");
    let content: Vec<u8> = (0..10 * UNIT + 7).map(|n| (n % 251) as u8).collect();
    let size = content.len();
    let session =
        json!({"AttachmentItem": {"attachmentType": "file", "name": "big.bin", "size": size}});
    let create = format!("{path}/createUploadSession");
    let session = bench.create(&create, IMMUTABLE, session).await?;
    let url = text(&session, "uploadUrl")?;
    assert_eq!(session["nextExpectedRanges"], json!(["0-"]));
    let put = |first: usize, last: usize| {
        let range = format!("bytes {first}-{last}/{size}");
        let (bench, url, content) = (&bench, &url, content[first..=last].to_vec());
        async move { bench.put_range(url, &range, content).await }
    };
    let first = put(0, 5 * UNIT - 1).await;
    assert_eq!(first.status, 200);
    assert_eq!(
        first.json()["nextExpectedRanges"],
        json!([(5 * UNIT).to_string()])
    );
    assert_eq!(put(0, 5 * UNIT - 1).await.status, 416, "sent again");
    assert_eq!(put(6 * UNIT, size - 1).await.status, 416, "a gap");
    let status = send(bench.site.bare(Method::GET, &url)).await;
    assert_eq!(
        status.json()["nextExpectedRanges"],
        json!([(5 * UNIT).to_string()])
    );
    let wrong = url.replace("authtoken=", "authtoken=x");
    assert_eq!(
        bench.put_range(&wrong, "bytes 0-0/1", vec![0]).await.status,
        401
    );
    let last = put(5 * UNIT, size - 1).await;
    assert_eq!(last.status, 201);
    let (rows, _) = bench
        .follow(&format!("{path}?$select=name"), IMMUTABLE)
        .await?;
    assert_eq!(column(&rows, "name"), ["big.bin"]);
    assert!(last.header("location").contains(&text(&rows[0], "id")?));
    let value = format!("{path}/{}/$value", text(&rows[0], "id")?);
    assert_eq!(bench.get(&value, IMMUTABLE).await?.body, content);
    assert_eq!(put(0, UNIT - 1).await.status, 404, "it is over");
    Ok(())
}

#[tokio::test]
async fn upload_sessions_have_limits_and_end() -> Result<()> {
    let bench = Bench::start().await?;
    let id = bench.message("inbox", "m", IMMUTABLE).await?;
    let path = format!("messages/{id}/attachments/createUploadSession");
    let session = |size: usize| json!({"AttachmentItem": {"attachmentType": "file", "name": "x", "size": size}});
    for size in [1, 200 * 1024 * 1024] {
        let refused = bench.post(&path, IMMUTABLE, session(size)).await?;
        assert!(refusal(&refused).1.starts_with("ErrorAttachmentSize"));
    }
    let size = 4 * 1024 * 1024;
    let cancelled = bench.create(&path, IMMUTABLE, session(size)).await?;
    let url = text(&cancelled, "uploadUrl")?;
    assert_eq!(
        send(bench.site.bare(Method::DELETE, &url)).await.status,
        204
    );
    assert_eq!(send(bench.site.bare(Method::GET, &url)).await.status, 404);
    let expired = bench.create(&path, IMMUTABLE, session(size)).await?;
    bench.wait_s(25 * 3600);
    let url = text(&expired, "uploadUrl")?;
    assert_eq!(
        bench.put_range(&url, "bytes 0-0/1", vec![0]).await.status,
        404
    );
    Ok(())
}

#[tokio::test]
async fn a_request_over_four_mebibytes_is_refused() -> Result<()> {
    let bench = Bench::start().await?;
    let id = bench.message("inbox", "m", IMMUTABLE).await?;
    let path = format!("messages/{id}/attachments");
    let refused = bench
        .post(&path, IMMUTABLE, file("x", &vec![0; 4 << 20]))
        .await?;
    assert_eq!(refused.status, 413);
    Ok(())
}

#[tokio::test]
async fn encoded_messages_in_messages_can_be_posted_and_listed() -> Result<()> {
    // survival 105: the parser alone overflows the stack of a server's thread.
    let bench = Bench::start().await?;
    let inside = "Content-Type:message/rfc822\n\n".repeat(20_000) + "Subject: x\n\ny";
    let mime = format!(
        "Subject: deep\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\
         Content-Transfer-Encoding: base64\n\n{}\n--b--\n",
        BASE64.encode(inside.as_bytes())
    );
    let ask = Ask {
        content_type: Some("text/plain"),
        ..IMMUTABLE
    };
    let body = BASE64.encode(mime.as_bytes()).into_bytes();
    let created = bench.ask(Method::POST, "messages", ask, body).await?;
    assert_eq!(created.status, 201);
    let id = text(&created.json(), "id")?.to_owned();
    for query in ["", "?$expand=microsoft.graph.itemattachment/item"] {
        let path = format!("messages/{id}/attachments{query}");
        let rows = bench.follow(&path, IMMUTABLE).await?.0;
        assert_eq!(
            column(&rows, "@odata.type"),
            ["#microsoft.graph.itemAttachment"]
        );
    }
    let value = bench
        .get(&format!("messages/{id}/$value"), IMMUTABLE)
        .await?;
    assert_eq!(value.body, mime.as_bytes());
    Ok(())
}
