//! Restores into emulated mailboxes: what comes back, that it comes back once, and that nothing is sent, changed or deleted.

mod archive;
mod large;
mod stage;

use std::collections::HashMap;

use anyhow::{Context, Result};
use emulator::FaultRule;
use model::ItemId;
use serde_json::json;
use workload::mail::{
    compose::Loss,
    restore::{Destination, Outcome, Selection},
};

use archive::archive_of;
use stage::{Restored, Stage, assert_same, later, mail, write};

const NEW: &str = "Restored 2026-11-22 14.05";
const CREATE: &str = "/users/{user}/mailFolders/{folder}/messages";

fn new_folder() -> Destination {
    Destination::NewFolder {
        name: NEW.to_owned(),
    }
}

/// `ada` with seven mails: three in the inbox, the others in folders within each other, and one with attachments.
async fn stage() -> Result<Stage> {
    let folder = tempfile::tempdir()?;
    write(
        folder.path(),
        &[
            ("1", mail(1)),
            ("2", mail(2)),
            ("3", rich()),
            ("Projects/4", mail(4)),
            ("Projects/5", mail(5)),
            ("Projects/O'Neil, 50% & more/6", mail(6)),
            ("Projects/O'Neil, 50% & more/Deep/7", mail(7)),
        ],
    )?;
    Stage::with(folder.path()).await
}

/// HTML, an inline picture, a file in a legacy character set, an attached message with an attachment, people of every kind.
fn rich() -> String {
    let inner = "Subject: Inner\r\nFrom: Ivo <ivo@example.com>\r\nTo: Ann <ann@example.com>\r\nDate: Fri, 1 May 2026 08:00:00 +0000\r\nMessage-ID: <i@example.com>\r\n\r\nhello\r\n";
    format!(
        "Received: from x by y; Tue, 2 Jun 2026 10:00:00 +0000\r\nReceived: from w by x; Tue, 2 Jun 2026 09:59:59 +0000\r\nFrom: =?utf-8?q?Z=C3=B6e?= <zoe@example.com>\r\n\
         Sender: Desk <desk@example.com>\r\nTo: Ada <ada@example.com>, b@example.com\r\nCc: C <c@example.com>\r\nReply-To: R <r@example.com>, S <s@example.com>\r\n\
         Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nImportance: high\r\nMessage-ID: <3@example.com>\r\nDate: Tue, 2 Jun 2026 09:59:00 +0000\r\nList-Id: <l.example.com>\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Gr\u{fc}\u{df}e <img src=\"cid:p@x\"></p>\r\n\
         --b\r\nContent-Type: image/png; name=\"p.png\"\r\nContent-ID: <p@x>\r\nContent-Disposition: inline; filename=\"p.png\"\r\nContent-Transfer-Encoding: base64\r\n\r\nAAECAw==\r\n\
         --b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\ncaf6/w==\r\n\
         --b\r\nContent-Type: message/rfc822\r\n\r\n{inner}\r\n--b--\r\n"
    )
}

/// Every restored message is, field by field, what `docs/fidelity.md` says.
async fn assert_faithful(stage: &Stage, restored: &Restored, to: &str) -> Result<()> {
    for (source, id) in restored.ids() {
        let source = stage.shown("ada", source.as_str()).await?;
        assert_same(&source, &stage.shown(to, id.as_str()).await?);
    }
    Ok(())
}

/// Survival 109, 111, 113-115, 192: every field, drafts and marks included, into the same mailbox and into another.
#[tokio::test]
async fn a_mailbox_comes_back_in_a_new_folder_as_it_was() -> Result<()> {
    let stage = stage().await?;
    let inbox = stage.in_folder("ada", &["Inbox"])?;
    stage
        .patch(
            "ada",
            &inbox[0],
            json!({"isRead": true, "categories": ["Blue", "Späti"], "importance": "low"}),
        )
        .await?;
    let due = json!({"dateTime": "2026-06-09T00:00:00.0000000", "timeZone": "UTC"});
    stage.patch("ada", &inbox[1], json!({"flag": {"flagStatus": "flagged", "startDateTime": due, "dueDateTime": due}, "inferenceClassification": "other"})).await?;
    let person = json!([{"emailAddress": {"name": "Later", "address": "later@example.com"}}]);
    stage.draft(json!({"subject": "Unfinished", "body": {"contentType": "html", "content": "<p>to be</p>"}, "toRecipients": person, "bccRecipients": person})).await?;
    later(&stage).await;
    let archive = archive_of(&stage, "ada").await?;
    for to in ["bob", "ada"] {
        stage.take_seen();
        let restored = stage
            .restore(&archive, Selection::Mailbox, to, new_folder())
            .await?;
        assert_eq!(restored.counts(), (8, 0, 0, 0));
        assert!(
            restored.report.notable.is_empty(),
            "{:?}",
            restored.report.notable
        );
        let seen = stage.take_seen();
        assert!(
            seen.iter()
                .all(|seen| seen.method == "GET" || seen.method == "POST"),
            "nothing is changed or deleted"
        );
        assert!(
            !seen
                .iter()
                .any(|seen| seen.path.to_lowercase().contains("send")),
            "survival 114: nothing is sent"
        );
        let creations = seen
            .iter()
            .filter(|seen| seen.method == "POST" && seen.path.ends_with("/messages"))
            .count();
        assert_eq!(
            creations, 8,
            "one request for each message, attachments included"
        );
        assert!(
            !seen
                .iter()
                .any(|seen| seen.method == "GET" && seen.path.contains("/messages")),
            "a fresh folder is not searched"
        );
        assert_faithful(&stage, &restored, to).await?;
        for path in [
            &[NEW, "Inbox"][..],
            &[NEW, "Drafts"],
            &[NEW, "Projects"],
            &[NEW, "Projects", "O'Neil, 50% & more", "Deep"],
        ] {
            assert!(!stage.in_folder(to, path)?.is_empty(), "{path:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_folder_and_a_message_come_back_alone() -> Result<()> {
    let stage = stage().await?;
    let archive = archive_of(&stage, "ada").await?;
    let folder = archive
        .folders()
        .iter()
        .find(|folder| folder.display_name == "Projects")
        .context("no such folder")?;
    let restored = stage
        .restore(
            &archive,
            Selection::Folder(folder.id.clone()),
            "bob",
            new_folder(),
        )
        .await?;
    assert_eq!(restored.counts(), (4, 0, 0, 0));
    assert_eq!(stage.in_folder("bob", &[NEW, "Projects"])?.len(), 2);
    let id = &stage.in_folder("ada", &["Projects", "O'Neil, 50% & more"])?[0];
    let selection = Selection::Messages(vec![ItemId::new(id.as_str())?]);
    let destination = Destination::NewFolder {
        name: "One".to_owned(),
    };
    let restored = stage
        .restore_as("r2", &archive, selection, "bob", destination)
        .await?;
    assert_eq!(restored.counts(), (1, 0, 0, 0));
    assert_eq!(stage.in_folder("bob", &["One"])?.len(), 1);
    let unknown = Selection::Messages(vec![ItemId::new("nothing")?]);
    assert!(
        stage
            .restore(&archive, unknown, "bob", new_folder())
            .await
            .is_err()
    );
    Ok(())
}

/// Ticked messages of several folders, one of them twice and one that the archive does not hold: one restore, and what became of each.
#[tokio::test]
async fn messages_of_several_folders_come_back_as_one_restore() -> Result<()> {
    let stage = stage().await?;
    let archive = archive_of(&stage, "ada").await?;
    let inbox = stage.in_folder("ada", &["Inbox"])?;
    let deep = stage.in_folder("ada", &["Projects", "O'Neil, 50% & more", "Deep"])?;
    let wanted = [&inbox[0], "gone", &deep[0], &inbox[0], &inbox[1]];
    let ids: Result<Vec<_>, _> = wanted.map(ItemId::new).into_iter().collect();
    let restored = stage
        .restore(&archive, Selection::Messages(ids?), "bob", new_folder())
        .await?;
    assert_eq!(restored.counts(), (3, 0, 0, 1));
    assert_eq!(stage.in_folder("bob", &[NEW])?.len(), 3);
    assert_eq!(restored.report.folders_created, 1, "the new one alone");
    let [missing] = restored.report.notable.as_slice() else {
        panic!("{:?}", restored.report.notable);
    };
    assert_eq!(missing.outcome, Outcome::NotHeld);
    assert_eq!(missing.source, Some(ItemId::new("gone")?));
    assert_faithful(&stage, &restored, "bob").await
}

/// What ends a restore leaves the report of what was done until then, and the same restore again brings the rest.
#[tokio::test]
async fn an_error_at_the_third_message_keeps_the_report_of_the_two_before() -> Result<()> {
    let stage = stage().await?;
    let archive = archive_of(&stage, "ada").await?;
    let mut ids = Vec::new();
    for path in [
        &["Inbox"][..],
        &["Projects"],
        &["Projects", "O'Neil, 50% & more"],
    ] {
        ids.push(ItemId::new(stage.in_folder("ada", path)?[0].as_str())?);
    }
    let mut rule = FaultRule::on(CREATE);
    (rule.method, rule.status, rule.code, rule.after) = (
        Some("POST".to_owned()),
        Some(401),
        Some("InvalidAuthenticationToken".to_owned()),
        2,
    );
    stage.emulator.add_fault(rule)?;
    let selection = || Selection::Messages(ids.clone());
    let restored = stage
        .restore(&archive, selection(), "bob", new_folder())
        .await?;
    assert_eq!(restored.counts(), (2, 0, 0, 0));
    assert!(restored.report.stopped.is_some() && !restored.report.is_complete());
    stage.emulator.clear_faults();
    let again = stage
        .restore(&archive, selection(), "bob", new_folder())
        .await?;
    assert_eq!(again.counts(), (1, 2, 0, 0));
    assert!(again.report.is_complete());
    Ok(())
}

/// Survival 19, abuse 36: the message was made, and the answer says that it was not.
#[tokio::test]
async fn a_creation_whose_answer_is_lost_is_made_once() -> Result<()> {
    for status in [500, 429] {
        let stage = stage().await?;
        let archive = archive_of(&stage, "ada").await?;
        for route in [CREATE, "/users/{user}/mailFolders/{folder}/childFolders"] {
            let mut rule = FaultRule::on(route);
            (rule.method, rule.status, rule.after_effect, rule.count) =
                (Some("POST".to_owned()), Some(status), true, Some(3));
            stage.emulator.add_fault(rule)?;
        }
        let restored = stage
            .restore(&archive, Selection::Mailbox, "bob", new_folder())
            .await?;
        assert_eq!(restored.counts(), (7, 0, 0, 0), "{status}");
        assert_eq!(stage.emulator.stats().faults, 6);
        assert_eq!(stage.messages("bob")?.len(), 7, "exactly one copy of each");
        assert_faithful(&stage, &restored, "bob").await?;
    }
    Ok(())
}

/// The message was not made, and neither is it given up.
#[tokio::test]
async fn a_creation_that_failed_is_asked_for_again() -> Result<()> {
    for status in [None, Some(429), Some(503)] {
        let stage = stage().await?;
        let archive = archive_of(&stage, "ada").await?;
        let mut rule = FaultRule::on(CREATE);
        rule.method = Some("POST".to_owned());
        (rule.status, rule.reset, rule.count) = (status, status.is_none(), Some(2));
        stage.emulator.add_fault(rule)?;
        let restored = stage
            .restore(&archive, Selection::Mailbox, "bob", new_folder())
            .await?;
        assert_eq!(restored.counts(), (7, 0, 0, 0), "{status:?}");
        assert_eq!(stage.messages("bob")?.len(), 7);
    }
    Ok(())
}

/// Survival 193: what Graph refuses is reported by item, and the restore can be run again for it.
#[tokio::test]
async fn what_is_refused_is_reported_and_comes_with_the_next_run() -> Result<()> {
    let stage = stage().await?;
    let archive = archive_of(&stage, "ada").await?;
    let mut rule = FaultRule::on(CREATE);
    (rule.method, rule.status, rule.code, rule.after) = (
        Some("POST".to_owned()),
        Some(403),
        Some("ErrorQuotaExceeded".to_owned()),
        4,
    );
    stage.emulator.add_fault(rule)?;
    let restored = stage
        .restore(&archive, Selection::Mailbox, "bob", new_folder())
        .await?;
    assert_eq!(restored.counts(), (4, 0, 0, 3));
    for item in &restored.report.notable {
        let Outcome::Failed { code, .. } = &item.outcome else {
            panic!("only failures are notable here: {item:?}");
        };
        assert_eq!(code.as_deref(), Some("ErrorQuotaExceeded"));
    }
    stage.emulator.clear_faults();
    let again = stage
        .restore(&archive, Selection::Mailbox, "bob", new_folder())
        .await?;
    assert_eq!(again.counts(), (3, 4, 0, 0));
    assert_eq!(stage.messages("bob")?.len(), 7);
    let third = stage
        .restore(&archive, Selection::Mailbox, "bob", new_folder())
        .await?;
    assert_eq!(
        (third.counts(), third.report.folders_created),
        ((0, 7, 0, 0), 0),
        "run again, it adds nothing"
    );
    assert_eq!(stage.messages("bob")?.len(), 7);
    Ok(())
}

/// Survival 191: in place, only what is missing comes back, and what is there stays as it is.
#[tokio::test]
async fn in_place_only_what_is_missing_comes_back() -> Result<()> {
    let stage = stage().await?;
    let archive = archive_of(&stage, "ada").await?;
    let before = stage.messages("ada")?;
    let mut shown = HashMap::new();
    for (_, id, _) in &before {
        shown.insert(id.clone(), stage.shown("ada", id).await?);
    }
    later(&stage).await;
    // One is read meanwhile, one is moved to the deleted items, three are purged with their folders' deletion or by hand.
    let by_subject = |number: usize| before[number - 1].clone();
    stage
        .patch("ada", &by_subject(1).1, json!({"isRead": true}))
        .await?;
    let now = stage.clock.now();
    stage
        .mailbox("ada", |mailbox| -> Result<(), emulator::GraphError> {
            let deleted = mailbox
                .folder_views()
                .find(|folder| folder.well_known == Some("deleteditems"))
                .expect("every mailbox has one")
                .key;
            mailbox.move_message(by_subject(2).2, deleted, false, now)?;
            mailbox.purge_message(by_subject(4).2);
            let folder = mailbox
                .folder_views()
                .find(|folder| {
                    folder
                        .path
                        .last()
                        .is_some_and(|name| name.starts_with("O'Neil"))
                })
                .expect("it is there")
                .key;
            mailbox.move_folder(folder, deleted)
        })?
        .map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let restored = stage
        .restore(&archive, Selection::Mailbox, "ada", Destination::InPlace)
        .await?;
    assert_eq!(restored.counts(), (4, 0, 3, 0), "{:?}", restored.items);
    for (source, id) in restored.ids() {
        assert_same(
            &shown[source.as_str()],
            &stage.shown("ada", id.as_str()).await?,
        );
    }
    assert_eq!(stage.in_folder("ada", &["Inbox"])?.len(), 3);
    assert_eq!(stage.in_folder("ada", &["Projects"])?.len(), 2);
    assert_eq!(
        stage
            .in_folder("ada", &["Projects", "O'Neil, 50% & more", "Deep"])?
            .len(),
        1
    );
    let again = stage
        .restore_as(
            "r2",
            &archive,
            Selection::Mailbox,
            "ada",
            Destination::InPlace,
        )
        .await?;
    assert_eq!(
        (again.counts(), again.report.folders_created),
        ((0, 4, 3, 0), 0),
        "another restore finds the copies of the first"
    );
    Ok(())
}

/// A folder of many messages is listed, not asked for message by message.
#[tokio::test]
async fn in_place_a_large_folder_costs_few_questions() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mails: Vec<_> = (0..60)
        .map(|number| (format!("{number:02}"), mail(number)))
        .collect();
    let mails: Vec<_> = mails
        .iter()
        .map(|(name, mail)| (name.as_str(), mail.clone()))
        .collect();
    write(folder.path(), &mails)?;
    let stage = Stage::with(folder.path()).await?;
    let archive = archive_of(&stage, "ada").await?;
    let before = stage.messages("ada")?;
    stage
        .patch("ada", &before[1].1, json!({"isRead": true}))
        .await?;
    stage.mailbox("ada", |mailbox| {
        for (_, _, key) in before.iter().step_by(2) {
            mailbox.purge_message(*key);
        }
    })?;
    stage.take_seen();
    let restored = stage
        .restore(&archive, Selection::Mailbox, "ada", Destination::InPlace)
        .await?;
    assert_eq!(restored.counts(), (30, 0, 30, 0));
    let seen = stage.take_seen();
    let questions = seen
        .iter()
        .filter(|seen| seen.method == "GET" && seen.path.contains("/messages"))
        .count();
    let folders = archive.folders().len();
    assert!(
        questions <= folders + 2,
        "a listing, a question for the one that was read, and one for copies in each of {folders} folders: {questions}"
    );
    let again = stage
        .restore_as(
            "r2",
            &archive,
            Selection::Mailbox,
            "ada",
            Destination::InPlace,
        )
        .await?;
    assert_eq!(again.counts(), (0, 30, 30, 0));
    assert_eq!(stage.messages("ada")?.len(), 60);
    Ok(())
}

/// Survival 91, 192: another mailbox has other ids, and its folders may have other names.
#[tokio::test]
async fn in_place_in_another_mailbox_goes_by_well_known_folders_and_names() -> Result<()> {
    let stage = stage().await?;
    let archive = archive_of(&stage, "ada").await?;
    stage
        .mailbox("bob", |mailbox| {
            let inbox = mailbox
                .folder_views()
                .find(|folder| folder.well_known == Some("inbox"))
                .expect("every mailbox has one")
                .key;
            mailbox.rename_folder(inbox, "Posteingang")
        })?
        .map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let restored = stage
        .restore(&archive, Selection::Mailbox, "bob", Destination::InPlace)
        .await?;
    assert_eq!(restored.counts(), (7, 0, 0, 0));
    assert_eq!(stage.in_folder("bob", &["Posteingang"])?.len(), 3);
    assert_eq!(
        stage
            .in_folder("bob", &["Projects", "O'Neil, 50% & more", "Deep"])?
            .len(),
        1
    );
    let again = stage
        .restore_as(
            "r2",
            &archive,
            Selection::Mailbox,
            "bob",
            Destination::InPlace,
        )
        .await?;
    assert_eq!(again.counts(), (0, 7, 0, 0));
    assert_eq!(stage.messages("bob")?.len(), 7);
    Ok(())
}

/// A draft that was edited since is another version: it stays, and the older one comes back beside it.
#[tokio::test]
async fn an_edited_draft_is_not_overwritten() -> Result<()> {
    let stage = stage().await?;
    let id = stage.draft(json!({"subject": "First"})).await?;
    let archive = archive_of(&stage, "ada").await?;
    later(&stage).await;
    stage
        .patch("ada", &id, json!({"subject": "Second"}))
        .await?;
    let selection = || Selection::Messages(vec![ItemId::new(id.as_str()).expect("an id")]);
    let restored = stage
        .restore(&archive, selection(), "ada", Destination::InPlace)
        .await?;
    assert_eq!(restored.counts(), (1, 0, 0, 0), "survival 191");
    assert_eq!(stage.in_folder("ada", &["Drafts"])?.len(), 2);
    assert_eq!(stage.shown("ada", &id).await?["subject"], "Second");
    let again = stage
        .restore_as("r2", &archive, selection(), "ada", Destination::InPlace)
        .await?;
    assert_eq!(again.counts(), (0, 1, 0, 0));
    Ok(())
}

/// Survival 97, 108: refused for its people, a message comes back without the addresses that are none, and with all else.
#[tokio::test]
async fn a_message_refused_for_its_people_comes_back_without_them() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let odd = rich().replace("R <r@example.com>", "Old <IMCEAEX-_o=Exchange>");
    write(folder.path(), &[("1", odd)])?;
    let stage = Stage::with(folder.path()).await?;
    let archive = archive_of(&stage, "ada").await?;
    let mut rule = FaultRule::on(CREATE);
    (rule.method, rule.status, rule.code, rule.count) = (
        Some("POST".to_owned()),
        Some(400),
        Some("ErrorInvalidRecipients".to_owned()),
        Some(1),
    );
    stage.emulator.add_fault(rule)?;
    let restored = stage
        .restore(&archive, Selection::Mailbox, "bob", new_folder())
        .await?;
    assert_eq!(restored.counts(), (1, 0, 0, 0));
    assert_eq!(
        restored.report.notable[0].losses,
        [Loss::AddressesLeftOut { count: 1 }]
    );
    Ok(())
}

/// Survival 102: Graph says that nothing is attached, and there is a picture in the text.
#[tokio::test]
async fn a_picture_in_the_text_comes_back_though_graph_calls_it_no_attachment() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let inner = "Content-Type: message/rfc822\r\n";
    let at = rich().find(inner).context("there is one")?;
    let file = "--b\r\nContent-Type: application/octet-stream\r\n";
    let text = rich();
    let end = text[..at].rfind(file).context("there is a file")?;
    write(
        folder.path(),
        &[("1", text[..end].to_owned() + "--b--\r\n")],
    )?;
    let stage = Stage::with(folder.path()).await?;
    let says = stage.mailbox("ada", |mailbox| {
        let views = mailbox.message_views();
        let says = views.map(|view| view.json["hasAttachments"].clone());
        says.collect::<Vec<_>>()
    })?;
    assert_eq!(says, [json!(false)]);
    let archive = archive_of(&stage, "ada").await?;
    let restored = stage
        .restore(&archive, Selection::Mailbox, "bob", new_folder())
        .await?;
    assert_eq!(restored.counts(), (1, 0, 0, 0));
    let (_, id) = restored.ids().remove(0);
    let shown = stage.shown("bob", id.as_str()).await?;
    let attachments = shown["attachments"].as_array().context("a list")?;
    assert_eq!(attachments.len(), 1, "{shown}");
    assert_faithful(&stage, &restored, "bob").await
}

/// A folder that cannot be made costs the messages in it and below it, and no others.
#[tokio::test]
async fn a_folder_that_is_refused_costs_its_messages_only() -> Result<()> {
    let stage = stage().await?;
    let archive = archive_of(&stage, "ada").await?;
    let mut rule = FaultRule::on("/users/{user}/mailFolders/{folder}/childFolders");
    (rule.method, rule.status, rule.code) = (
        Some("POST".to_owned()),
        Some(400),
        Some("ErrorInvalidFolder".to_owned()),
    );
    rule.after = stage.mailbox("ada", |mailbox| {
        mailbox
            .folder_views()
            .filter(|folder| folder.path.len() == 1 && !folder.hidden)
            .count() as u64
    })?;
    stage.emulator.add_fault(rule)?;
    let restored = stage
        .restore(&archive, Selection::Mailbox, "bob", new_folder())
        .await?;
    let (done, .., failed) = restored.counts();
    assert_eq!(done + failed, 7);
    assert!(failed > 0 && done > 0, "{:?}", restored.counts());
    Ok(())
}

/// Dropped at any moment and run again, a restore has made every message once.
#[tokio::test]
async fn a_restore_that_is_dropped_can_be_run_again() -> Result<()> {
    let stage = stage().await?;
    let archive = archive_of(&stage, "ada").await?;
    for polls in 1..40 {
        let work = stage.restore(&archive, Selection::Mailbox, "bob", new_folder());
        let mut work = Box::pin(work);
        let mut left = polls * 3;
        let cut = std::future::poll_fn(|context| {
            left -= 1;
            match work.as_mut().poll(context) {
                std::task::Poll::Pending if left == 0 => std::task::Poll::Ready(None),
                other => other.map(Some),
            }
        });
        if cut.await.is_some() {
            break;
        }
    }
    let restored = stage
        .restore(&archive, Selection::Mailbox, "bob", new_folder())
        .await?;
    assert_eq!(restored.report.failed, 0);
    assert_eq!(stage.messages("bob")?.len(), 7);
    Ok(())
}

/// Every mail of the corpus, however broken, comes back as it was.
#[tokio::test]
async fn the_corpus_comes_back() -> Result<()> {
    let Some(corpus) = testkit::shared::path("corpora/mail") else {
        return Ok(());
    };
    let stage = Stage::with(&corpus).await?;
    let archive = archive_of(&stage, "ada").await?;
    let restored = stage
        .restore(&archive, Selection::Mailbox, "bob", new_folder())
        .await?;
    assert_eq!(restored.report.failed, 0, "{:?}", restored.report.notable);
    assert_eq!(
        restored.report.restored,
        stage.messages("ada")?.len() as u64
    );
    assert_faithful(&stage, &restored, "bob").await
}
