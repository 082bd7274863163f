//! Worlds: generated companies, real mail from directories, churn.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anyhow::{Context, Result};
use emulator::{Behaviour, Churn, Event, Mailbox, Tenant, World};
use jiff::Timestamp;
use testkit::csdl::Checker;

use crate::mail_support::{Ask, Bench, IMMUTABLE, USER, text};

fn now() -> Timestamp {
    "2026-11-02T09:00:00Z".parse().expect("a valid time")
}

fn build(world: World) -> Tenant {
    world
        .build(now(), Behaviour::default())
        .expect("the world can be built")
}

/// Works on each mailbox, by principal name.
fn each(tenant: &Tenant, mut work: impl FnMut(&str, &mut Mailbox)) {
    for user in tenant.users() {
        if let Some(mailbox) = tenant.mailbox(user.id) {
            work(&user.principal_name, &mut mailbox.lock().expect("no panic"));
        }
    }
}

/// Everything that a tenant's mailboxes hold.
fn contents(tenant: &Tenant) -> BTreeMap<String, String> {
    let mut contents = BTreeMap::new();
    each(tenant, |user, mailbox| {
        for folder in mailbox.folder_views() {
            contents.insert(folder.id, folder.path.join("/"));
        }
        for message in mailbox.message_views() {
            let digest = format!("{user} {} {:?}", message.json, message.mime);
            contents.insert(message.id, digest);
        }
    });
    contents
}

#[test]
fn a_seed_makes_one_world() {
    let first = contents(&build(World::new().users(5, 7)));
    assert_eq!(first, contents(&build(World::new().users(5, 7))));
    assert_ne!(first, contents(&build(World::new().users(5, 8))));
}

#[test]
fn exactly_as_many_mailboxes_as_were_asked_for() {
    // survival 71, 72, 75, 81
    for n in [0, 1, 3, 4, 8, 70] {
        let tenant = build(World::new().users(n, 7));
        let users = tenant.users();
        let with = users
            .iter()
            .filter(|user| tenant.mailbox(user.id).is_some());
        assert_eq!(with.count(), n);
        let names: BTreeSet<_> = users.iter().map(|user| &user.principal_name).collect();
        assert_eq!(names.len(), users.len());
        if n >= 4 {
            let purposes: Vec<_> = users.iter().map(|user| user.purpose.name()).collect();
            assert!(purposes.contains(&"shared") && purposes.contains(&"room"));
        }
        if n > 0 {
            let guest = users
                .iter()
                .find(|user| user.properties["userType"] == "Guest");
            assert!(guest.is_some_and(|user| tenant.mailbox(user.id).is_none()));
            assert!(
                users
                    .iter()
                    .any(|user| user.properties["userType"].is_null())
            );
        }
    }
}

#[test]
fn a_generated_company_has_mail_of_every_kind() {
    let tenant = build(World::new().users(8, 7));
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut names = BTreeSet::new();
    each(&tenant, |user, mailbox| {
        let count = mailbox.message_count();
        assert!(
            user.starts_with("room") || (50..=130).contains(&count),
            "{user}: {count}"
        );
        names.extend(
            mailbox
                .folder_views()
                .filter_map(|folder| folder.path.last().cloned()),
        );
        for message in mailbox.message_views() {
            let json = &message.json;
            let mime = String::from_utf8_lossy(&message.mime);
            let mut note = |what, is| {
                if is {
                    seen.insert(what);
                }
            };
            note("draft", json["isDraft"] == true);
            note("unread", json["isRead"] == false);
            note("read", json["isRead"] == true);
            note("flagged", json["flag"]["flagStatus"] == "flagged");
            note(
                "category",
                json["categories"].as_array().is_some_and(|c| !c.is_empty()),
            );
            note("important", json["importance"] == "high");
            note("html", json["body"]["contentType"] == "html");
            note("text", json["body"]["contentType"] == "text");
            note(
                "non-ascii",
                json["subject"].as_str().is_some_and(|s| !s.is_ascii()),
            );
            note("thread", mime.contains("\r\nReferences: <"));
            note("inline", mime.contains("Content-Disposition: inline"));
            note("pdf", mime.contains("application/pdf"));
            note("attached message", mime.contains("message/rfc822"));
            note("alternative", mime.contains("multipart/alternative"));
            note("large", message.mime.len() > 4 << 20);
            // A link is attached, but MIME has nothing of it.
            note(
                "link",
                json["hasAttachments"] == true && !mime.contains("multipart/"),
            );
        }
    });
    let expected = [
        "alternative",
        "attached message",
        "category",
        "draft",
        "flagged",
        "html",
        "important",
        "inline",
        "large",
        "link",
        "non-ascii",
        "pdf",
        "read",
        "text",
        "thread",
        "unread",
    ];
    assert_eq!(seen, BTreeSet::from(expected));
    for name in ["A/B tests", "Offers: open", "🚀 Launch", "2025", "CON"] {
        assert!(names.contains(name), "{name}");
    }
}

#[test]
fn every_generated_message_is_valid_by_microsofts_metadata() {
    let Some(checker) = Checker::load() else {
        return;
    };
    each(&build(World::new().users(8, 7)), |_, mailbox| {
        for message in mailbox.message_views() {
            let found = checker.check("microsoft.graph.message", &message.json);
            assert!(found.is_empty(), "{found:?} in {}", message.json);
        }
    });
}

#[test]
fn a_directory_that_cannot_be_loaded_is_told_with_its_user() -> Result<()> {
    let told = |directory: &std::path::Path| {
        let world = World::new().mail("ada", directory);
        let refused = world.build(now(), Behaviour::default());
        let error = refused.err().context("it is refused")?;
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        anyhow::Ok((error.to_string(), cause.unwrap_or_default()))
    };
    let root = tempfile::tempdir()?;
    let missing = root.path().join("missing");
    let path = missing.display();
    let expected = (
        format!("cannot load the mail of ada from {path}"),
        format!("cannot read {path}"),
    );
    assert_eq!(told(&missing)?, expected);
    let deep = root.path().join("d/".repeat(251));
    fs::create_dir_all(&deep)?;
    let (_, cause) = told(root.path())?;
    let expected = "/d/d is more than 250 directories deep";
    assert!(cause.ends_with(expected), "{cause}");
    Ok(())
}

#[test]
fn directories_become_folders_and_files_messages() -> Result<()> {
    let root = tempfile::tempdir()?;
    let deep = root.path().join("Sub/Deeper");
    fs::create_dir_all(&deep)?;
    fs::create_dir_all(root.path().join("inbox"))?;
    fs::write(root.path().join("any name.bin"), "Subject: one\r\n\r\n")?;
    fs::write(root.path().join(".hidden"), "")?;
    fs::write(root.path().join("inbox/two"), [0xff, 0, b'\n'])?;
    fs::write(deep.join("three.eml"), "Subject: three\r\n\r\n")?;
    #[cfg(unix)]
    std::os::unix::fs::symlink("/", root.path().join("loop"))?;
    // Once by alias and once by principal name: the user is one.
    let world = World::new()
        .mail("new", root.path())
        .mail("New@contoso.onmicrosoft.com", root.path());
    let tenant = build(world);
    assert_eq!(tenant.users().len(), 1);
    each(&tenant, |user, mailbox| {
        assert_eq!(user, "new@contoso.onmicrosoft.com");
        let paths: BTreeMap<_, _> = mailbox
            .folder_views()
            .map(|folder| (folder.id, folder.path.join("/")))
            .collect();
        let mut found: Vec<_> = mailbox
            .message_views()
            .map(|message| (paths[&message.folder_id].clone(), message.mime.to_vec()))
            .collect();
        found.sort();
        found.dedup();
        let expected = [
            ("Inbox", &b""[..]),
            ("Inbox", &b"Subject: one\r\n\r\n"[..]),
            ("Inbox", &[0xff, 0, b'\n'][..]),
            ("Sub/Deeper", &b"Subject: three\r\n\r\n"[..]),
        ];
        assert_eq!(
            found,
            expected.map(|(path, mime)| (path.to_owned(), mime.to_vec()))
        );
    });
    assert!(
        World::new()
            .mail("x", root.path().join("absent"))
            .build(now(), Behaviour::default())
            .is_err()
    );
    assert!(
        World::new()
            .mail("", root.path())
            .build(now(), Behaviour::default())
            .is_err()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mail_of_the_corpus_is_served_and_its_bytes_are_exact() -> Result<()> {
    // survival 103, 107, 110
    let Some(corpus) = testkit::shared::path("corpora/mail") else {
        return Ok(());
    };
    let mut files: Vec<Vec<u8>> = Vec::new();
    let mut open = vec![corpus.clone()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => open.push(entry.path()),
                _ => files.push(fs::read(entry.path())?),
            }
        }
    }
    let bench = Bench::on(World::new().mail(USER, &corpus), |settings| settings).await;
    let ask = Ask {
        page_size: Some(500),
        ..IMMUTABLE
    };
    let folders: Vec<String> =
        bench.mailbox(|mailbox, _| mailbox.folder_views().map(|f| f.id).collect());
    let mut served = Vec::new();
    for folder in folders {
        let path = format!("mailFolders/{folder}/messages/delta");
        let (rows, _) = bench.delta(&path, ask).await?;
        for row in rows {
            let id = text(&row, "id")?;
            row["receivedDateTime"]
                .as_str()
                .context("every message has a time")?;
            let value = bench
                .get(&format!("messages/{id}/$value"), IMMUTABLE)
                .await?;
            assert_eq!(value.status, 200);
            served.push(value.body);
        }
    }
    served.sort();
    files.sort();
    assert_eq!(served.len(), files.len());
    assert!(served == files, "the bytes differ");
    bench.site.assert_clean();
    Ok(())
}

#[test]
fn churn_does_all_kinds_of_things_and_the_same_again() {
    let churn = Churn {
        seed: 3,
        events: 30,
        lost_moves: 0.5,
    };
    let run = || {
        let tenant = build(World::new().users(8, 7));
        let before = contents(&tenant);
        let happenings = churn.run(&tenant, now());
        (
            before,
            contents(&tenant),
            Churn::tally(&happenings),
            happenings.len(),
        )
    };
    let (before, after, tally, total) = run();
    assert_ne!(before, after);
    assert!(total > 150, "{tally:?}");
    assert_eq!(tally.len(), 15, "{tally:?}");
    assert!(tally[&Event::MovedUnseen] > 0);
    assert_eq!((before, after, tally, total), run());
}

#[test]
fn what_happens_is_seen_also_when_it_is_undone() {
    let churn = Churn {
        seed: 3,
        events: 60,
        lost_moves: 0.0,
    };
    let tenant = build(World::new().users(8, 7));
    let mut edited = BTreeMap::new();
    let happenings = churn.run_watched(&tenant, now(), |mailbox, happening| {
        if happening.event == Event::DraftEdited {
            let draft = mailbox.view_message(&happening.id).expect("it is there");
            edited.insert(happening.id.clone(), draft.mime);
        }
        if matches!(happening.event, Event::Deleted | Event::DeletedForGood) {
            assert!(mailbox.view_message(&happening.id).is_none());
        }
    });
    let mut left = BTreeMap::new();
    each(&tenant, |_, mailbox| {
        left.extend(mailbox.message_views().map(|view| (view.id, view.mime)));
    });
    let undone = edited.keys().filter(|id| !left.contains_key(*id)).count();
    assert!(undone > 0, "{} of {}", edited.len(), happenings.len());
}

#[test]
fn a_small_mailbox_is_not_churned_to_pieces() -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("one"), "Subject: one\r\n\r\none")?;
    let tenant = build(World::new().mail("ada", folder.path()));
    let churn = Churn {
        seed: 3,
        events: 40,
        lost_moves: 0.5,
    };
    assert!(churn.run(&tenant, now()).len() <= 1);
    Ok(())
}

#[test]
fn a_mailbox_can_be_emptied() {
    let tenant = build(World::new().users(2, 7));
    each(&tenant, |_, mailbox| {
        mailbox.clear(now());
        assert_eq!(mailbox.message_count(), 0);
        let made = mailbox
            .folder_views()
            .filter(|folder| folder.well_known.is_none() && !folder.hidden);
        assert_eq!(made.count(), 0);
    });
}
