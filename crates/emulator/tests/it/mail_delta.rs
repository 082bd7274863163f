//! Deltas of messages: tokens, pages, removals, and the moves that Exchange loses.

use anyhow::Result;
use emulator::MailBehaviour;
use serde_json::{Value, json};

use crate::mail_support::{Ask, Bench, DEFAULT, IMMUTABLE, column, refusal, text};

const INBOX: &str = "mailFolders/inbox/messages/delta";
const ARCHIVE: &str = "mailFolders/archive/messages/delta";

/// Ids of removed rows, with the reasons.
fn removed(rows: &[Value]) -> Vec<(String, String)> {
    rows.iter()
        .filter(|row| row.get("@removed").is_some())
        .map(|row| {
            let reason = row["@removed"]["reason"].as_str().unwrap_or_default();
            (
                row["id"].as_str().unwrap_or_default().to_owned(),
                reason.to_owned(),
            )
        })
        .collect()
}

fn present(rows: &[Value]) -> Vec<String> {
    let rows: Vec<_> = rows
        .iter()
        .filter(|row| row.get("@removed").is_none())
        .cloned()
        .collect();
    column(&rows, "id")
}

async fn relocate(bench: &Bench, id: &str, folder: &str) -> Result<()> {
    let body = json!({"destinationId": folder});
    bench
        .create(&format!("messages/{id}/move"), IMMUTABLE, body)
        .await?;
    Ok(())
}

#[tokio::test]
async fn pages_are_as_asked_for_and_tokens_are_opaque() -> Result<()> {
    // survival 38, 42, 43
    let bench = Bench::start().await?;
    for number in 0..25 {
        bench
            .message("inbox", &format!("{number}"), IMMUTABLE)
            .await?;
    }
    let first = bench.get(INBOX, IMMUTABLE).await?.json();
    assert_eq!(first["value"].as_array().map(Vec::len), Some(10));
    let ask = Ask {
        page_size: Some(7),
        ..IMMUTABLE
    };
    let answer = bench.get(INBOX, ask).await?;
    let applied = answer.header("preference-applied").to_owned();
    assert!(applied.contains("odata.maxpagesize=7"), "{applied}");
    assert_eq!(answer.json()["value"].as_array().map(Vec::len), Some(7));
    let (rows, link) = bench.delta(INBOX, ask).await?;
    assert_eq!(rows.len(), 25);
    assert!(
        rows.iter().all(|row| row["body"].is_object()),
        "the JSON is whole"
    );
    let token = link.split("deltatoken=").nth(1).expect("a token");
    assert!(token.len() > 100 && link.contains("$deltatoken="), "{link}");
    let (rows, _) = bench.delta(&link, ask).await?;
    assert_eq!(rows.len(), 0);
    let edited = link.replace(&token[token.len() - 5..], "AAAAA");
    let refused = refusal(&bench.get(&edited, IMMUTABLE).await?);
    assert_eq!(refused, (410, "SyncStateNotFound".to_owned()));
    let elsewhere = link.replace("inbox", "archive");
    assert_eq!(refusal(&bench.get(&elsewhere, IMMUTABLE).await?).0, 410);
    Ok(())
}

#[tokio::test]
async fn creation_change_move_and_deletion_are_told() -> Result<()> {
    // survival 44, 52, 57
    let bench = Bench::start().await?;
    let kept = bench.message("inbox", "kept", IMMUTABLE).await?;
    let moved = bench.message("inbox", "moved", IMMUTABLE).await?;
    let deleted = bench.message("inbox", "deleted", IMMUTABLE).await?;
    let (_, link) = bench.delta(INBOX, IMMUTABLE).await?;
    let (_, archive) = bench.delta(ARCHIVE, IMMUTABLE).await?;
    bench
        .patch(
            &format!("messages/{kept}"),
            IMMUTABLE,
            json!({"isRead": false}),
        )
        .await?;
    relocate(&bench, &moved, "archive").await?;
    bench
        .delete(&format!("messages/{deleted}"), IMMUTABLE)
        .await?;
    let new = bench.message("inbox", "new", IMMUTABLE).await?;
    let brief = bench.message("inbox", "brief", IMMUTABLE).await?;
    bench
        .delete(&format!("messages/{brief}"), IMMUTABLE)
        .await?;
    let (rows, next) = bench.delta(&link, IMMUTABLE).await?;
    assert_eq!(present(&rows), [kept, new]);
    let expected = [
        (moved.clone(), "changed"),
        (deleted, "deleted"),
        (brief, "deleted"),
    ];
    assert_eq!(
        removed(&rows),
        expected.map(|(id, reason)| (id, reason.to_owned()))
    );
    let (rows, _) = bench.delta(&archive, IMMUTABLE).await?;
    assert_eq!(present(&rows), [moved]);
    assert_eq!(bench.delta(&next, IMMUTABLE).await?.0.len(), 0);
    // A link is good for more than one use.
    assert_eq!(bench.delta(&link, IMMUTABLE).await?.0.len(), 5);
    Ok(())
}

#[tokio::test]
async fn a_message_that_moves_away_and_back_is_lost_only_where_exchange_loses_it() -> Result<()> {
    // survival 45, 59
    for lossy in [false, true] {
        let lost_moves = if lossy { 1.0 } else { 0.0 };
        let bench = Bench::with(MailBehaviour::default(), |settings| {
            settings.behaviour.lost_moves = lost_moves;
        })
        .await?;
        let back = bench.message("inbox", "back", IMMUTABLE).await?;
        let away = bench.message("inbox", "away", IMMUTABLE).await?;
        let (_, inbox) = bench.delta(INBOX, IMMUTABLE).await?;
        let (_, archive) = bench.delta(ARCHIVE, IMMUTABLE).await?;
        relocate(&bench, &back, "archive").await?;
        relocate(&bench, &back, "inbox").await?;
        relocate(&bench, &away, "archive").await?;
        let (rows, inbox) = bench.delta(&inbox, IMMUTABLE).await?;
        let (arrived, archive) = bench.delta(&archive, IMMUTABLE).await?;
        let gone: Vec<_> = removed(&rows).into_iter().map(|(id, _)| id).collect();
        if lossy {
            assert_eq!(present(&rows), Vec::<String>::new());
            assert_eq!(gone, [back.clone(), away.clone()]);
            assert_eq!(present(&arrived), Vec::<String>::new());
        } else {
            assert_eq!(present(&rows), [back.as_str()]);
            assert_eq!(gone, [away.as_str()]);
            assert_eq!(present(&arrived), [away.as_str()]);
        }
        // A later change brings it back, and a first listing is always whole.
        for id in [&back, &away] {
            bench
                .patch(
                    &format!("messages/{id}"),
                    IMMUTABLE,
                    json!({"isRead": false}),
                )
                .await?;
        }
        assert_eq!(
            present(&bench.delta(&inbox, IMMUTABLE).await?.0),
            [back.as_str()]
        );
        assert_eq!(
            present(&bench.delta(&archive, IMMUTABLE).await?.0),
            [away.as_str()]
        );
        assert_eq!(present(&bench.delta(INBOX, IMMUTABLE).await?.0), [back]);
    }
    Ok(())
}

#[tokio::test]
async fn with_default_ids_a_moved_message_is_another_one() -> Result<()> {
    let bench = Bench::start().await?;
    let old = bench.message("inbox", "m", DEFAULT).await?;
    let (_, link) = bench.delta(INBOX, DEFAULT).await?;
    let mut id = old.clone();
    for folder in ["archive", "inbox"] {
        let body = json!({"destinationId": folder});
        let moved = bench
            .create(&format!("messages/{id}/move"), DEFAULT, body)
            .await?;
        id = text(&moved, "id")?;
    }
    let (rows, _) = bench.delta(&link, DEFAULT).await?;
    assert_eq!(present(&rows), [id]);
    assert_eq!(removed(&rows), [(old, "changed".to_owned())]);
    Ok(())
}

#[tokio::test]
async fn what_the_first_request_asked_for_is_frozen() -> Result<()> {
    // survival 41
    let bench = Bench::start().await?;
    let created = json!({
        "subject": "old", "singleValueExtendedProperties": [{"id": "SystemTime 0x0E06", "value": "2019-01-01T00:00:00Z"}],
    });
    bench
        .create("mailFolders/inbox/messages", IMMUTABLE, created)
        .await?;
    bench.message("inbox", "young", IMMUTABLE).await?;
    let start =
        format!("{INBOX}?$select=subject,isRead&$filter=receivedDateTime ge 2020-01-01T00:00:00Z");
    let (rows, link) = bench.delta(&start, IMMUTABLE).await?;
    assert_eq!(column(&rows, "subject"), ["young"]);
    assert!(rows[0].get("body").is_none());
    bench.message("inbox", "new", IMMUTABLE).await?;
    let (rows, _) = bench.delta(&link, IMMUTABLE).await?;
    assert_eq!(column(&rows, "subject"), ["new"]);
    assert!(rows[0].get("body").is_none());
    for (kind, expected) in [("created", 1), ("updated", 1), ("deleted", 1)] {
        let bench = Bench::start().await?;
        let a = bench.message("inbox", "a", IMMUTABLE).await?;
        let b = bench.message("inbox", "b", IMMUTABLE).await?;
        let (_, link) = bench
            .delta(&format!("{INBOX}?changeType={kind}"), IMMUTABLE)
            .await?;
        bench.delete(&format!("messages/{a}"), IMMUTABLE).await?;
        bench
            .patch(
                &format!("messages/{b}"),
                IMMUTABLE,
                json!({"isRead": false}),
            )
            .await?;
        bench.message("inbox", "c", IMMUTABLE).await?;
        assert_eq!(
            bench.delta(&link, IMMUTABLE).await?.0.len(),
            expected,
            "{kind}"
        );
    }
    for query in [
        "changeType=moved",
        "$filter=subject eq 'x'",
        "$orderby=subject",
        "$skip=1",
    ] {
        let refused = bench.get(&format!("{INBOX}?{query}"), IMMUTABLE).await?;
        assert_eq!(refused.status, 400, "{query}");
    }
    Ok(())
}

#[tokio::test]
async fn tokens_expire_and_folders_vanish() -> Result<()> {
    // survival 33, 94; abuse 38
    let mut bench = Bench::start().await?;
    let folder = bench.folder("mailFolders", "F").await?;
    let path = format!("mailFolders/{folder}/messages/delta");
    let (_, link) = bench.delta(&path, IMMUTABLE).await?;
    bench.wait_s(29 * 24 * 3600);
    bench.sign_in().await;
    let (_, link) = bench.delta(&link, IMMUTABLE).await?;
    bench.wait_s(31 * 24 * 3600);
    bench.sign_in().await;
    let expired = (410, "SyncStateNotFound".to_owned());
    assert_eq!(refusal(&bench.get(&link, IMMUTABLE).await?), expired);
    let (_, link) = bench.delta(&path, IMMUTABLE).await?;
    bench.mailbox(|mailbox, _| mailbox.expire_delta_tokens());
    assert_eq!(refusal(&bench.get(&link, IMMUTABLE).await?), expired);
    let (_, link) = bench.delta(&path, IMMUTABLE).await?;
    bench
        .delete(&format!("mailFolders/{folder}"), IMMUTABLE)
        .await?;
    let refused = refusal(&bench.get(&link, IMMUTABLE).await?);
    assert_eq!(refused, (404, "ErrorSyncFolderNotFound".to_owned()));
    let refused = refusal(&bench.get(&path, IMMUTABLE).await?);
    assert_eq!(refused, (404, "ErrorItemNotFound".to_owned()));
    Ok(())
}

#[tokio::test]
async fn pages_may_be_empty_and_still_go_on() -> Result<()> {
    let behaviour = MailBehaviour {
        empty_delta_pages: true,
        ..MailBehaviour::default()
    };
    let bench = Bench::with(behaviour, |_| {}).await?;
    for number in 0..5 {
        bench
            .message("inbox", &format!("{number}"), IMMUTABLE)
            .await?;
    }
    let ask = Ask {
        page_size: Some(2),
        ..IMMUTABLE
    };
    let first = bench.read(INBOX, ask).await?;
    assert_eq!(first["value"], json!([]));
    assert!(first.get("@odata.nextLink").is_some());
    assert_eq!(bench.delta(INBOX, ask).await?.0.len(), 5);
    Ok(())
}

#[tokio::test]
async fn hidden_folders_are_in_the_delta_of_the_tree_by_a_switch() -> Result<()> {
    let behaviour = MailBehaviour {
        hidden_folders_in_delta: true,
        ..MailBehaviour::default()
    };
    let bench = Bench::with(behaviour, |_| {}).await?;
    let (rows, _) = bench.delta("mailFolders/delta", IMMUTABLE).await?;
    assert!(column(&rows, "displayName").contains(&"Conflicts".to_owned()));
    Ok(())
}
