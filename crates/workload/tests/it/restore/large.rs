//! Messages too large for one request: large attachments, and texts that are cut.

use anyhow::{Context, Result};
use data_encoding::BASE64;
use emulator::FaultRule;
use workload::mail::{compose::Loss, restore::Selection};

use super::{
    archive::archive_of,
    assert_faithful, new_folder,
    stage::{Stage, assert_same, mail, write},
};

const UPLOAD: &str = "/api/gv1.0/Users/{user}/Messages/{message}/AttachmentSessions/{session}";
const ATTACH: &str = "/users/{user}/messages/{message}/attachments";

fn with_attachments(files: &[(&str, Vec<u8>)]) -> String {
    let mut text = mail(9).replace("\r\n\r\nText 9\r\n", "\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nText\r\n");
    for (name, bytes) in files {
        text.push_str(&format!(
            "--b\r\nContent-Type: application/pdf; name=\"{name}\"\r\nContent-Disposition: attachment; filename=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        ));
        for line in BASE64.encode(bytes).as_bytes().chunks(76) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push_str("\r\n");
        }
    }
    text + "--b--\r\n"
}

async fn stage_with_large_attachments() -> Result<Stage> {
    let folder = tempfile::tempdir()?;
    let bytes = |count: u32| (0..count).map(|i| (i * 7 % 253) as u8).collect::<Vec<u8>>();
    let files = [
        ("small.pdf", bytes(1_000)),
        ("large.pdf", bytes(9_000_000)),
        ("middle.pdf", bytes(2_900_000)),
        ("other.pdf", bytes(2_900_001)),
    ];
    write(folder.path(), &[("1", with_attachments(&files))])?;
    Stage::with(folder.path()).await
}

/// Survival 116: from 3 MB on by upload session, in order, and Graph's 404 for a message just made is outlasted.
#[tokio::test]
async fn large_attachments_come_back() -> Result<()> {
    let stage = stage_with_large_attachments().await?;
    let archive = archive_of(&stage, "ada").await?;
    for (template, method) in [
        (ATTACH, "POST"),
        (
            "/users/{user}/messages/{message}/attachments/createUploadSession",
            "POST",
        ),
    ] {
        let mut rule = FaultRule::on(template);
        (rule.method, rule.status, rule.code, rule.count) = (
            Some(method.to_owned()),
            Some(404),
            Some("ErrorItemNotFound".to_owned()),
            Some(2),
        );
        stage.emulator.add_fault(rule)?;
    }
    let restored = stage
        .restore(&archive, Selection::Mailbox, "bob", new_folder())
        .await?;
    assert_eq!(restored.counts(), (1, 0, 0, 0));
    assert!(
        restored.report.notable.is_empty(),
        "{:?}",
        restored.report.notable
    );
    assert_faithful(&stage, &restored, "bob").await
}

/// Survival 25: an upload address lives for a while only. When it has expired before the last range, another is asked for.
#[tokio::test]
async fn an_upload_address_that_expires_is_replaced() -> Result<()> {
    let stage = stage_with_large_attachments().await?;
    let archive = archive_of(&stage, "ada").await?;
    let mut expired = FaultRule::on(UPLOAD);
    (
        expired.method,
        expired.status,
        expired.code,
        expired.after,
        expired.count,
    ) = (
        Some("PUT".to_owned()),
        Some(404),
        Some("itemNotFound".to_owned()),
        1,
        Some(1),
    );
    stage.emulator.add_fault(expired)?;
    let before = stage.client.counters();
    let restored = stage
        .restore(&archive, Selection::Mailbox, "bob", new_folder())
        .await?;
    assert_eq!(restored.counts(), (1, 0, 0, 0));
    let asked = stage.client.counters().since(&before);
    assert_eq!(asked.of("POST attachments/createUploadSession"), 2);
    assert_faithful(&stage, &restored, "bob").await
}

/// An attachment whose answer is lost is added once, and one that a broken run left out is added by the next.
#[tokio::test]
async fn attachments_are_added_once_and_completed_later() -> Result<()> {
    let stage = stage_with_large_attachments().await?;
    let archive = archive_of(&stage, "ada").await?;
    let mut lost = FaultRule::on(ATTACH);
    (lost.method, lost.status, lost.after_effect, lost.count) =
        (Some("POST".to_owned()), Some(502), true, Some(1));
    let mut refused =
        FaultRule::on("/users/{user}/messages/{message}/attachments/createUploadSession");
    (refused.status, refused.code) = (Some(400), Some("ErrorInvalidRequest".to_owned()));
    stage.emulator.add_fault(lost)?;
    stage.emulator.add_fault(refused)?;
    let restored = stage
        .restore(&archive, Selection::Mailbox, "bob", new_folder())
        .await?;
    let losses = &restored.report.notable.first().context("a loss")?.losses;
    assert_eq!(
        *losses,
        [Loss::AttachmentRefused {
            code: Some("ErrorInvalidRequest".to_owned())
        }]
    );
    let names = |shown: &serde_json::Value| {
        let mut names: Vec<String> = shown["attachments"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|row| row["name"].to_string())
            .collect();
        names.sort();
        names.join(" ")
    };
    let id = restored.ids().first().context("a message")?.1.clone();
    assert_eq!(
        names(&stage.shown("bob", id.as_str()).await?),
        r#""middle.pdf" "other.pdf" "small.pdf""#
    );
    stage.emulator.clear_faults();
    let again = stage
        .restore(&archive, Selection::Mailbox, "bob", new_folder())
        .await?;
    assert_eq!(again.counts(), (0, 1, 0, 0));
    assert_eq!(
        names(&stage.shown("bob", id.as_str()).await?),
        r#""large.pdf" "middle.pdf" "other.pdf" "small.pdf""#
    );
    Ok(())
}

/// A text that is larger than Graph's request comes back cut, with all of it attached, once, and its other attachments beside it.
#[tokio::test]
async fn a_text_too_large_for_a_request_comes_back_cut_and_attached() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let long = "Größe \"x\" 😀\r\n".repeat(500_000);
    let head = |kind: &str| {
        mail(1).replace(
            "\r\n\r\nText 1\r\n",
            &format!("\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\nContent-Type: {kind}\r\n\r\n"),
        )
    };
    let plain = head("text/plain; charset=utf-8") + &long;
    let rows = format!("<tr><td title=\"a>b\">{}</td></tr>\r\n", "word ".repeat(10)).repeat(80_000);
    let html =
        head("text/html; charset=utf-8") + "<html><body><table>" + &rows + "</table></body></html>";
    let with_file = with_attachments(&[("small.pdf", vec![7; 1_000])]).replace(
        "\r\n\r\nText\r\n",
        &format!("\r\n\r\n{}", "A line of text.\r\n".repeat(250_000)),
    );
    write(
        folder.path(),
        &[("1", plain), ("2", html), ("3", with_file)],
    )?;
    let stage = Stage::with(folder.path()).await?;
    let archive = archive_of(&stage, "ada").await?;
    let restored = stage
        .restore(&archive, Selection::Mailbox, "bob", new_folder())
        .await?;
    assert_eq!(restored.counts(), (3, 0, 0, 0), "{:?}", restored.items);
    for item in &restored.items {
        assert_eq!(item.losses, [Loss::BodyCut]);
    }
    for (source, id) in restored.ids() {
        let mut whole = stage.shown("ada", source.as_str()).await?;
        let mut cut = stage.shown("bob", id.as_str()).await?;
        let (text, shown) = (
            whole["body"]["content"].take(),
            cut["body"]["content"].take(),
        );
        let (text, shown) = (
            text.as_str().context("a text")?,
            shown.as_str().context("a text")?,
        );
        let last = shown.lines().last().context("a last line")?;
        assert!(
            last.contains("is in the attachment \"whole message.eml\""),
            "{last}"
        );
        let kept = shown.split("[Cut here").next().context("a beginning")?;
        let kept = kept
            .trim_end_matches("</table><p>")
            .trim_end_matches("</td></tr>")
            .trim_end();
        assert!(
            text.starts_with(kept) && kept.len() > 2_000_000,
            "{} bytes kept",
            kept.len()
        );
        let attached = cut["attachments"].as_array_mut().context("attachments")?;
        let eml = attached.pop().context("the whole message")?;
        let mime = stage.mailbox("ada", |mailbox| {
            let found = mailbox
                .message_views()
                .find(|view| view.id == source.as_str());
            found.map(|view| BASE64.encode(&view.mime))
        })?;
        assert!(
            eml["contentBytes"].as_str() == mime.as_deref(),
            "the MIME is attached byte for byte"
        );
        assert_same(&whole, &cut);
    }
    let again = stage
        .restore(&archive, Selection::Mailbox, "bob", new_folder())
        .await?;
    assert_eq!(again.counts(), (0, 3, 0, 0));
    assert_eq!(stage.messages("bob")?.len(), 3);
    Ok(())
}
