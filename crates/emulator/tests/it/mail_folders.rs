//! Folders: listing, well-known names, changes, and what is refused.

use anyhow::Result;
use serde_json::json;

use crate::mail_support::{Ask, Bench, DEFAULT, USER, column, refusal, text};

#[tokio::test]
async fn listing_is_one_level_without_hidden_ones_in_pages_of_ten() -> Result<()> {
    // survival 43, 88, 89
    let bench = Bench::start().await?;
    for number in 0..5 {
        let name = format!("Extra {number}");
        bench.folder("mailFolders", &name).await?;
    }
    bench
        .folder("mailFolders/inbox/childFolders", "Below")
        .await?;
    let first = bench.read("mailFolders", DEFAULT).await?;
    assert_eq!(first["value"].as_array().map(Vec::len), Some(10));
    let (rows, _) = bench.follow("mailFolders", DEFAULT).await?;
    let names = column(&rows, "displayName");
    assert!(names.contains(&"Inbox".to_owned()) && names.contains(&"Extra 4".to_owned()));
    assert!(!names.contains(&"Below".to_owned()) && !names.contains(&"Sync Issues".to_owned()));
    let (rows, _) = bench
        .follow("mailFolders?includeHiddenFolders=true&$top=50", DEFAULT)
        .await?;
    assert!(column(&rows, "displayName").contains(&"Sync Issues".to_owned()));
    assert!(!column(&rows, "displayName").contains(&"Deletions".to_owned()));
    let path = "mailFolders/syncissues/childFolders";
    assert_eq!(bench.follow(path, DEFAULT).await?.0.len(), 0);
    let path = "mailFolders/syncissues/childFolders?includeHiddenFolders=true";
    assert_eq!(bench.follow(path, DEFAULT).await?.0.len(), 1);
    let path = "mailFolders?$filter=displayName eq 'inbox'&$select=displayName";
    let (rows, _) = bench.follow(path, DEFAULT).await?;
    assert_eq!(column(&rows, "displayName"), ["Inbox"]);
    assert!(rows[0].get("totalItemCount").is_none() && rows[0].get("id").is_some());
    Ok(())
}

#[tokio::test]
async fn well_known_names_are_ids_and_counts_are_kept() -> Result<()> {
    let bench = Bench::start().await?;
    bench.message("inbox", "one", DEFAULT).await?;
    let id = bench.message("inbox", "two", DEFAULT).await?;
    let path = format!("messages/{id}");
    bench
        .patch(&path, DEFAULT, json!({"isRead": false}))
        .await?;
    let below = bench
        .folder("mailFolders/Inbox/childFolders", "a/b: 🚀")
        .await?;
    let inbox = bench.read("mailFolders/INBOX", DEFAULT).await?;
    assert_eq!(inbox["totalItemCount"], 2);
    assert_eq!(inbox["unreadItemCount"], 1);
    assert_eq!(inbox["childFolderCount"], 1);
    assert_eq!(inbox["isHidden"], false);
    let child = bench.read(&format!("mailFolders/{below}"), DEFAULT).await?;
    assert_eq!(child["parentFolderId"], inbox["id"]);
    assert_eq!(child["displayName"], "a/b: 🚀");
    let top = bench.read("mailFolders/msgfolderroot", DEFAULT).await?;
    assert_eq!(inbox["parentFolderId"], top["id"]);
    for name in [
        "drafts",
        "sentitems",
        "deleteditems",
        "junkemail",
        "archive",
        "outbox",
        "conversationhistory",
        "recoverableitemsdeletions",
    ] {
        bench.read(&format!("mailFolders/{name}"), DEFAULT).await?;
    }
    let refused = refusal(&bench.get("mailFolders/nonsense", DEFAULT).await?);
    assert_eq!(refused, (400, "ErrorInvalidIdMalformed".to_owned()));
    let other = text(&inbox, "id")?.to_lowercase();
    let refused = bench.get(&format!("mailFolders/{other}"), DEFAULT).await?;
    assert_eq!(refusal(&refused), (404, "ErrorItemNotFound".to_owned()));
    Ok(())
}

#[tokio::test]
async fn folders_are_renamed_moved_copied_and_deleted() -> Result<()> {
    // survival 92
    let bench = Bench::start().await?;
    let a = bench.folder("mailFolders", "A").await?;
    let b = bench.folder("mailFolders", "B").await?;
    let same = bench
        .folder(&format!("mailFolders/{a}/childFolders"), "B")
        .await?;
    let clash = bench
        .post("mailFolders", DEFAULT, json!({"displayName": "b"}))
        .await?;
    assert_eq!(refusal(&clash), (409, "ErrorFolderExists".to_owned()));
    let message = bench.message(&same, "kept", DEFAULT).await?;
    let path = format!("mailFolders/{same}");
    let moved = json!({"destinationId": "msgfolderroot"});
    let clash = bench.post(&format!("{path}/move"), DEFAULT, moved).await?;
    assert_eq!(refusal(&clash), (409, "ErrorFolderExists".to_owned()));
    let renamed = bench
        .patch(&path, DEFAULT, json!({"displayName": "C"}))
        .await?;
    assert_eq!(
        (renamed.status, text(&renamed.json(), "id")?),
        (200, same.clone())
    );
    let moved = json!({"destinationId": b});
    let moved = bench
        .create(&format!("{path}/move"), DEFAULT, moved)
        .await?;
    assert_eq!(text(&moved, "id")?, same);
    assert_eq!(text(&moved, "parentFolderId")?, b);
    bench.read(&format!("messages/{message}"), DEFAULT).await?;
    let copy = json!({"destinationId": "inbox"});
    let copy = bench
        .create(&format!("mailFolders/{b}/copy"), DEFAULT, copy)
        .await?;
    let copied = text(&copy, "id")?;
    let (below, _) = bench
        .follow(&format!("mailFolders/{copied}/childFolders"), DEFAULT)
        .await?;
    assert_eq!(below[0]["totalItemCount"], 1);
    let gone = bench.delete(&format!("mailFolders/{b}"), DEFAULT).await?;
    assert_eq!(gone.status, 204);
    for path in [
        format!("mailFolders/{b}"),
        path,
        format!("messages/{message}"),
    ] {
        let refused = refusal(&bench.get(&path, DEFAULT).await?);
        assert_eq!(refused, (404, "ErrorItemNotFound".to_owned()), "{path}");
    }
    let recoverable = bench
        .read("mailFolders/recoverableitemsdeletions", DEFAULT)
        .await?;
    assert_eq!(recoverable["totalItemCount"], 1);
    Ok(())
}

#[tokio::test]
async fn what_exchange_refuses_is_refused() -> Result<()> {
    let bench = Bench::start().await?;
    let a = bench.folder("mailFolders", "A").await?;
    let path = format!("mailFolders/{a}/childFolders");
    let below = bench.folder(&path, "Below").await?;
    let refused = bench.delete("mailFolders/inbox", DEFAULT).await?;
    assert_eq!(refusal(&refused).1, "ErrorDeleteDistinguishedFolder");
    for (target, code) in [
        (below.as_str(), "ErrorMoveCopyFailed"),
        ("recoverableitemsdeletions", "ErrorAccessDenied"),
        ("nowhere", "ErrorInvalidIdMalformed"),
    ] {
        for action in ["move", "copy"] {
            let into = json!({"destinationId": target});
            let path = format!("mailFolders/{a}/{action}");
            let refused = bench.post(&path, DEFAULT, into).await?;
            assert_eq!(refusal(&refused).1, code, "{action} to {target}");
        }
    }
    for body in [
        json!({}),
        json!({"displayName": 1}),
        json!({"displayName": "x", "colour": 1}),
    ] {
        let refused = bench.post("mailFolders", DEFAULT, body).await?;
        assert_eq!(refused.status, 400);
    }
    for query in [
        "$search=x",
        "$top=0",
        "$filter=colour eq 1",
        "includeHiddenFolders=maybe",
    ] {
        let refused = bench.get(&format!("mailFolders?{query}"), DEFAULT).await?;
        assert_eq!(refused.status, 400, "{query}");
    }
    Ok(())
}

#[tokio::test]
async fn the_delta_of_the_tree_follows_it() -> Result<()> {
    // survival 47, 48, 49, 89
    let bench = Bench::start().await?;
    let paged = Ask {
        page_size: Some(3),
        ..DEFAULT
    };
    let (rows, link) = bench.delta("mailFolders/delta", paged).await?;
    let names = column(&rows, "displayName");
    assert_eq!(names.len(), 8, "{names:?}");
    assert!(!names.contains(&"Sync Issues".to_owned()));
    let (rows, link) = bench.delta(&link, paged).await?;
    assert_eq!(rows, Vec::<serde_json::Value>::new());
    let a = bench.folder("mailFolders", "A").await?;
    let b = bench
        .folder(&format!("mailFolders/{a}/childFolders"), "B")
        .await?;
    let (rows, link) = bench.delta(&link, paged).await?;
    assert_eq!(column(&rows, "id"), [a.clone(), b.clone()]);
    let moved = json!({"destinationId": "inbox"});
    bench
        .create(&format!("mailFolders/{a}/move"), DEFAULT, moved)
        .await?;
    let (rows, link) = bench.delta(&link, paged).await?;
    assert_eq!(column(&rows, "id"), [a.as_str()], "children are not told");
    bench.delete(&format!("mailFolders/{a}"), DEFAULT).await?;
    let again = bench.folder("mailFolders/inbox/childFolders", "A").await?;
    assert_ne!(again, a);
    let (rows, _) = bench.delta(&link, paged).await?;
    assert_eq!(column(&rows, "id"), [b, a, again]);
    assert_eq!(rows[1]["@removed"]["reason"], "deleted");
    Ok(())
}

#[tokio::test]
async fn the_context_of_folders_below_a_folder_names_it() -> Result<()> {
    let bench = Bench::start().await?;
    let a = bench.folder("mailFolders", "A").await?;
    let path = format!("mailFolders/{a}/childFolders");
    let of = |answer: &serde_json::Value| -> Result<String> {
        let context = text(answer, "@odata.context")?;
        Ok(context
            .split_once("/$metadata#")
            .map(|(_, fragment)| fragment.to_owned())
            .unwrap_or_default())
    };
    let encoded = a.replace('=', "%3D");
    let expected = format!("users('{USER}')/mailFolders('{encoded}')/childFolders");
    assert_eq!(of(&bench.read(&path, DEFAULT).await?)?, expected);
    let made = bench
        .create(&path, DEFAULT, json!({"displayName": "B"}))
        .await?;
    assert_eq!(of(&made)?, format!("{expected}/$entity"));
    bench.site.assert_clean();
    Ok(())
}

#[tokio::test]
async fn a_name_is_free_again_when_its_folder_is_renamed_moved_or_deleted() -> Result<()> {
    let bench = Bench::start().await?;
    for change in ["rename", "move", "delete"] {
        let id = bench.folder("mailFolders", "Taken").await?;
        let again = json!({"displayName": "TAKEN"});
        let clash = bench.post("mailFolders", DEFAULT, again.clone()).await?;
        assert_eq!(refusal(&clash), (409, "ErrorFolderExists".to_owned()));
        let path = format!("mailFolders/{id}");
        let answer = match change {
            "rename" => bench.patch(&path, DEFAULT, json!({"displayName": "Other"})),
            "move" => {
                let into = json!({"destinationId": "inbox"});
                let moved = bench.post(&format!("{path}/move"), DEFAULT, into).await?;
                assert_eq!(moved.status, 201);
                continue;
            }
            _ => {
                assert_eq!(bench.delete(&path, DEFAULT).await?.status, 204);
                bench.folder("mailFolders", "taken").await?;
                continue;
            }
        };
        assert_eq!(answer.await?.status, 200);
    }
    let inbox = bench
        .follow("mailFolders/inbox/childFolders", DEFAULT)
        .await?;
    assert_eq!(column(&inbox.0, "displayName"), ["Taken"]);
    Ok(())
}
