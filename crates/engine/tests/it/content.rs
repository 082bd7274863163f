//! Mail as strangers make it: nothing in a message keeps it, or any other, from being held byte for byte and taken out with restic.

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use emulator::FaultRule;
use engine::Account;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    stage::{Stage, mail},
    tools::{NOW, folder, message},
};

/// A mail with this subject, these header lines and this body.
fn letter(subject: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let start = format!(
        "Received: from x by y; Tue, 2 Jun 2026 10:00:00 +0000\r\nFrom: a@example.com\r\nSubject: {subject}\r\n{headers}\r\n"
    );
    [start.as_bytes(), body].concat()
}

/// A mail of `parts` parts with these contents.
fn multipart(kind: &str, parts: &[&str]) -> Vec<u8> {
    let mut body = String::new();
    for part in parts {
        let _ = write!(body, "--b\r\n{part}\r\n");
    }
    body.push_str("--b--\r\n");
    let headers = format!("MIME-Version: 1.0\r\nContent-Type: multipart/{kind}; boundary=b\r\n");
    letter("parts", &headers, body.as_bytes())
}

/// What people, programs and attackers send.
fn odd_mails() -> Vec<Vec<u8>> {
    let subjects = [
        "",
        " ",
        ".",
        "..",
        "../../etc/passwd",
        "..\\..\\windows",
        "/absolute",
        "C:\\absolute",
        "CON",
        "nul",
        "aux.",
        "trailing.",
        "trailing ",
        "-rf",
        "file:ADS",
        "a\tb",
        "\u{202e}gpj.exe",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
        "\u{e9}",
        "e\u{301}",
        "=?utf-8?q?=00=0A=1B[31m?=",
        "=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=",
        "=?utf-7?q?+AGEAYg-?=",
        "=?utf-8?b?7aCA?=",
        "%2e%2e%2f",
        "$(id)",
        "2026-11~0",
        ".keepwell",
        "~0000000000000000.eml",
    ];
    let mut mails: Vec<Vec<u8>> = subjects
        .iter()
        .map(|s| letter(s, "", b"text\r\n"))
        .collect();
    mails.push(letter(&"x".repeat(400), "", b"text\r\n"));
    mails.push(letter(&"\u{8a9e}".repeat(400), "", b"text\r\n"));
    mails.push(letter(&"\u{1f600}".repeat(255), "", b"text\r\n"));
    // No header at all, nothing at all in the body, no subject, no sender (survival 103).
    mails.push(b"\r\nonly text\r\n".to_vec());
    mails.push(letter("empty", "", b""));
    mails.push(b"Received: from x by y; Tue, 2 Jun 2026 10:00:00 +0000\r\n\r\ntext\r\n".to_vec());
    // Bytes that are no text (survival 107, abuse 75).
    mails.push(letter(
        "bytes",
        "Content-Type: text/plain; charset=utf-8\r\n",
        b"\xff\xfe\x00\x01 \xed\xa0\x80\r\n",
    ));
    mails.push(letter(
        "caf\u{e9}",
        "Content-Type: text/plain; charset=iso-2022-jp\r\n",
        b"\x1b$BF|K\\\x1b(B\r\n",
    ));
    mails.push(letter(
        "utf-7",
        "Content-Type: text/plain; charset=utf-7\r\n",
        b"+ADw-script+AD4-\r\n",
    ));
    mails.push(
        [
            b"Subject: \xc3\x28 \xff\r\nX-Long: ".to_vec(),
            vec![b'a'; 1_000_000],
            b"\r\n\r\ntext\r\n".to_vec(),
        ]
        .concat(),
    );
    // People who have no address (survival 108, 109).
    mails.push(letter("people", "To: undisclosed-recipients:;\r\nReply-To: a@b.example, <c@d.example>, /o=ExchangeLabs/ou=x\r\n", b"text\r\n"));
    // Signed, encrypted, protected (survival 112): not a byte may change.
    mails.push(letter("smime", "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n", b"MIAGCSqGSIb3DQEHA6CAMIACAQAxggFn\r\n"));
    mails.push(multipart("signed; micalg=sha-256; protocol=\"application/pkcs7-signature\"", &[
        "Content-Type: text/plain\r\n\r\nsigned text, with trailing blanks   \r\n",
        "Content-Type: application/pkcs7-signature; name=smime.p7s\r\nContent-Transfer-Encoding: base64\r\n\r\nMIIB\r\n",
    ]));
    mails.push(multipart("mixed", &[
        "Content-Type: text/plain\r\n\r\nThis message is protected.\r\n",
        "Content-Type: application/x-microsoft-rpmsg-message; name=message.rpmsg\r\nContent-Transfer-Encoding: base64\r\n\r\ndugEAAAA\r\n",
    ]));
    // Attachments: inline by cid, without a name, without a byte (survival 102, 104, abuse 76).
    mails.push(multipart("related", &[
        "Content-Type: text/html\r\n\r\n<img src=\"cid:p1\">\r\n",
        "Content-Type: image/png\r\nContent-ID: <p1>\r\nContent-Disposition: inline\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n",
    ]));
    mails.push(multipart("mixed", &[
        "Content-Type: text/plain\r\n\r\ntext\r\n",
        "Content-Type: application/octet-stream\r\nContent-Disposition: attachment\r\n\r\n",
        "Content-Type: application/octet-stream; name=\"../../evil\"\r\nContent-Disposition: attachment; filename*0*=utf-8''..%2F; filename*1=x\r\n\r\n\r\n",
    ]));
    // Structures that no reader expects (survival 105, abuse 74).
    mails.push(multipart(
        "mixed",
        &["Content-Type: message/partial; id=x; number=1; total=2\r\n\r\nhalf"],
    ));
    mails.push(letter(
        "boundary",
        "Content-Type: multipart/mixed; boundary=never\r\n",
        b"no part ever begins\r\n",
    ));
    mails.push(letter(
        "prefix",
        "Content-Type: multipart/mixed; boundary=b\r\n",
        b"--bb\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--c\r\n",
    ));
    let nested = (0..1_000).fold(letter("inner", "", b"text\r\n"), |inner, _| {
        letter("outer", "Content-Type: message/rfc822\r\n", &inner)
    });
    mails.push(nested);
    let many = "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n".repeat(10_000);
    mails.push(letter(
        "many",
        "Content-Type: multipart/mixed; boundary=b\r\n",
        many.as_bytes(),
    ));
    // A meeting request (survival 117).
    mails.push(letter(
        "meeting",
        "Content-Type: text/calendar; method=REQUEST\r\n",
        b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n",
    ));
    mails
}

/// All files below, relative.
fn files(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
            if kind.is_dir() {
                open.push(path);
            } else {
                ensure!(kind.is_file(), "{path:?} is neither file nor folder");
                found.insert(path.strip_prefix(root)?.to_owned());
            }
        }
    }
    Ok(found)
}

/// The newest snapshot, on disk.
fn restored(stage: &Stage, account: &Account) -> Result<TempDir> {
    let target = TempDir::new()?;
    let restic = testkit::restic::both().pop().context("there is a restic")?;
    let at = target.path().to_str().context("a plain path")?;
    restic
        .run(
            &stage.vault.repository_path(&account.id),
            &stage.vault.password(&account.id)?,
            ["restore", "latest", "--target", at],
        )?
        .into_result()?;
    Ok(target)
}

#[tokio::test]
async fn whatever_strangers_send_is_held_and_can_be_taken_out() -> Result<()> {
    // Survival 92, 102-105, 107-109, 112, 117; abuse 71, 74, 75, 76.
    let (stage, account) = Stage::with_mail(&[("", 1)]).await?;
    let mails = odd_mails();
    let names = [
        "..",
        ".",
        "../x",
        "..\\x",
        "/x",
        "CON",
        "nul",
        "aux.",
        "trailing.",
        "x ",
        "-x",
        "x:y",
        "\u{202e}x",
        "\u{1f468}\u{200d}\u{1f469}",
        "\u{e9}",
        "e\u{301}",
        "line\nbreak",
        "2026-11~0",
        "deep~0",
        "=2+2",
        "%2e%2e",
    ];
    stage.at_source(&account, |mailbox| -> Result<()> {
        let inbox = folder(mailbox, "Inbox")?;
        for mime in &mails {
            mailbox.deliver(inbox, mime.clone().into(), NOW.parse()?)?;
        }
        for name in names
            .into_iter()
            .map(str::to_owned)
            .chain(["x".repeat(400)])
        {
            let key = mailbox.create_folder(inbox, &name, false)?;
            mailbox.deliver(key, mail(1).into_bytes().into(), NOW.parse()?)?;
        }
        Ok(())
    })??;
    let (outcome, _) = stage.back_up_equal(&account).await?;
    let messages = stage.source(&account)?.len();
    assert_eq!(outcome.report.added, messages as u64);
    stage.restic_agrees(&account)?;

    // Taken out, everything lies inside the target, under names that every system takes and that never meet, also where case does not count.
    let target = restored(&stage, &account)?;
    let files = files(target.path())?;
    let eml = files
        .iter()
        .filter(|path| path.extension().is_some_and(|it| it == "eml"));
    assert_eq!(eml.count(), messages);
    let mut folded = BTreeSet::new();
    for path in &files {
        let text = path.to_str().context("a name is no text")?;
        assert!(folded.insert(text.to_lowercase()), "{text} meets another");
        for name in text.split('/').filter(|name| *name != ".keepwell") {
            assert!(repository::name::is_plain(name), "{name:?} in {text:?}");
        }
    }
    // And the true names are with them.
    let archive = stage
        .archive(&account, outcome.snapshot.context("it made one")?)
        .await?;
    for name in names {
        let mut folders = archive.folders().iter();
        assert!(
            folders.any(|folder| folder.display_name == name),
            "{name:?}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deepest_folders_with_the_longest_names_can_be_taken_out() -> Result<()> {
    // Survival 88: 300 levels, and a path of 4,096 bytes is the longest that Linux takes.
    let (stage, account) = Stage::with_mail(&[("", 1)]).await?;
    let levels = stage.at_source(&account, |mailbox| -> Result<_> {
        let name = "\u{8a9e}".repeat(100);
        let mut parent = folder(mailbox, "Inbox")?;
        let mut levels = 0;
        while let Ok(child) = mailbox.create_folder(parent, &name, false) {
            parent = child;
            levels += 1;
            if levels % 10 == 0 {
                mailbox.deliver(child, mail(levels).into_bytes().into(), NOW.parse()?)?;
            }
        }
        Ok(levels)
    })??;
    assert!(levels > 290, "{levels}");
    tokio::spawn(async move {
        stage.back_up_equal(&account).await?;
        stage.restic_agrees(&account)?;
        let mails = |target: &TempDir| -> Result<usize> {
            let files = files(target.path())?;
            let is_eml = |path: &&PathBuf| path.extension().is_some_and(|it| it == "eml");
            Ok(files.iter().filter(is_eml).count())
        };
        assert_eq!(mails(&restored(&stage, &account)?)?, levels / 10 + 1);
        // The whole pile moves one level down, and everything in it to other places.
        stage.at_source(&account, |mailbox| -> Result<()> {
            let inbox = folder(mailbox, "Inbox")?;
            let top = mailbox.child(inbox, &"\u{8a9e}".repeat(100));
            mailbox.rename_folder(top.context("it is there")?, "top")?;
            let bottom = mailbox.folder_views().max_by_key(|view| view.path.len());
            let bottom = bottom.context("there are folders")?.key;
            mailbox.delete_folder(bottom, NOW.parse()?)?;
            let archive = folder(mailbox, "Archive")?;
            let between = mailbox.create_folder(archive, "between", false)?;
            mailbox.move_folder(folder(mailbox, "top")?, between)?;
            Ok(())
        })??;
        let (outcome, asked) = stage.back_up_equal(&account).await?;
        assert_eq!(asked.of("GET messages/$value"), 0, "{:?}", outcome.report);
        stage.restic_agrees(&account)?;
        let left = stage.source(&account)?.len();
        assert_eq!(mails(&restored(&stage, &account)?)?, left);
        anyhow::Ok(())
    })
    .await?
}

#[tokio::test]
async fn thousands_of_attachments_cost_a_few_requests() -> Result<()> {
    // Survival 43, 100, abuse 76: as many as the emulator counts.
    const MANY: usize = 4_900;
    let (stage, account) = Stage::with_mail(&[("", 1)]).await?;
    let part = "--b\r\nContent-Type: application/octet-stream; name=x\r\nContent-Disposition: attachment; filename=x\r\n\r\nx\r\n";
    let body = part.repeat(MANY) + "--b--\r\n";
    let headers = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n";
    let mime = letter("many", headers, body.as_bytes());
    stage.at_source(&account, |mailbox| -> Result<()> {
        let inbox = folder(mailbox, "Inbox")?;
        mailbox.deliver(inbox, mime.into(), NOW.parse()?)?;
        Ok(())
    })??;
    let (_, asked) = stage.back_up_equal(&account).await?;
    let pages = asked.of("GET attachments");
    assert!((1..=(MANY / 100) as u64).contains(&pages), "{asked:?}");
    Ok(())
}

#[tokio::test]
async fn a_link_to_a_file_is_held_as_graph_gives_it() -> Result<()> {
    // Survival 105: MIME has nothing of it. What MIME has is not asked for twice.
    let (stage, account) = Stage::with_mail(&[("", 2)]).await?;
    let (_, id) = stage.at_source(&account, |mailbox| message(mailbox, "Inbox"))??;
    let path = format!(
        "/users/{}/messages/{}/attachments",
        graph::segment(account.id.as_str()),
        graph::segment(&id)
    );
    let scope = graph::Scope::Outlook {
        mailbox: account.id.clone(),
    };
    for kind in ["reference", "file"] {
        let kind = format!("#microsoft.graph.{kind}Attachment");
        let mut attachment = json!({"@odata.type": kind, "name": "plan"});
        if kind.contains("file") {
            attachment["contentBytes"] = json!("AAAA");
        }
        let request = graph::Request::post(path.as_str()).json(&attachment)?;
        stage.graph.send(&scope, request).await?;
    }
    let (outcome, _) = stage.back_up_equal(&account).await?;
    let archive = stage
        .archive(&account, outcome.snapshot.context("it made one")?)
        .await?;
    let at = archive.find(&model::ItemId::new(id)?).await?;
    let held = archive.message(&at.context("it is held")?).await?;
    let [link] = &held.attachments[..] else {
        panic!("the link alone: {:?}", held.attachments)
    };
    let link: serde_json::Value = serde_json::from_str(link.get())?;
    assert_eq!(link["@odata.type"], "#microsoft.graph.referenceAttachment");
    assert_eq!(link["name"], "plan");
    Ok(())
}

#[tokio::test]
async fn a_large_mail_is_stored_as_it_comes_in_also_when_it_breaks_off() -> Result<()> {
    // Abuse 41, 76, survival 14: the second attempt stores the same chunks, and the first leaves nothing behind.
    let (stage, account) = Stage::with_mail(&[("", 1)]).await?;
    let mut line = 0_u32;
    let mut body = Vec::new();
    while body.len() < 24 << 20 {
        line = line.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        body.extend_from_slice(format!("{line:08x}{:08x}\r\n", line.rotate_left(7)).as_bytes());
    }
    let headers =
        "Content-Type: application/octet-stream; name=x\r\nContent-Disposition: attachment\r\n";
    let mime = letter("large", headers, &body);
    stage.at_source(&account, |mailbox| -> Result<()> {
        let inbox = folder(mailbox, "Inbox")?;
        mailbox.deliver(inbox, mime.into(), NOW.parse()?)?;
        Ok(())
    })??;
    for (after, megabytes) in [(0, 3), (1, 15), (2, 24)] {
        stage.emulator.add_fault(FaultRule {
            truncate: Some(megabytes << 20),
            after,
            count: Some(1),
            ..FaultRule::on("/v1.0/users/*/$value")
        })?;
    }
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert!(outcome.report.bytes > 24 << 20);
    stage.restic_agrees(&account)?;
    let root = stage.vault.repository_path(&account.id);
    let sizes: Result<Vec<u64>> = files(&root)?
        .iter()
        .map(|path| Ok(fs::metadata(root.join(path))?.len()))
        .collect();
    let stored: u64 = sizes?.iter().sum();
    assert!(stored < 16 << 20, "{stored} bytes are more than one copy");
    Ok(())
}
