//! Every look into content is noted: the table of routes is walked over a mailbox with one message, and whatever answers with something of the message has to
//! have noted it. An address that is added later is tested, too; one with an id of a new kind makes the test say so.

use std::time::Duration;

use catalog::{
    AccountFilter, AuditEntry, Finished, ItemReport, JobKind, JobResult, NewJob, Progress, Role,
    RunCause, RunId,
};
use model::{FailureCause, ItemId};
use reqwest::Method;
use serde_json::Value;
use server::{RouteInfo, Who};
use service::{RestoreOrder, Selection};
use workload::mail::restore::Destination;

use crate::{
    browser::{Answer, Browser},
    content::Backed,
    isolation::{Ids, call, filled, is_endless},
    stage::new_user,
};

/// Something of the message: its subject, its text, its attachment, and what that is called.
const CANARIES: [&str; 4] = ["quokka-1", "quokka-2", "quokka-3", "quokka-4"];

/// What hands out something of a message; that nothing is missing here keeps the test from passing because nothing was found.
const SHOWING: [&str; 16] = [
    "GET /accounts/{account}",
    "GET /accounts/{account}/message/attachment",
    "GET /accounts/{account}/message/body",
    "GET /accounts/{account}/message/eml",
    "GET /accounts/{account}/restore",
    "GET /accounts/{account}/search",
    "GET /api/v1/accounts/{account}/restore-points/{point}/folders/{folder}/messages",
    "GET /api/v1/accounts/{account}/restore-points/{point}/messages",
    "GET /api/v1/accounts/{account}/restore-points/{point}/messages/{message}",
    "GET /api/v1/accounts/{account}/restore-points/{point}/messages/{message}/attachments/{number}",
    "GET /api/v1/accounts/{account}/restore-points/{point}/messages/{message}/eml",
    "GET /failures",
    "GET /runs/{run}/report",
    "POST /accounts/{account}/download",
    "POST /accounts/{account}/restore",
    "POST /api/v1/accounts/{account}/restore-points/{point}/zip",
];

fn with_canaries() -> String {
    let [subject, text, attachment, name] = CANARIES;
    format!(
        "Received: from x by y; Tue, 2 Jun 2026 10:01:00 +0000\r\nFrom: Zoe <zoe@example.com>\r\nTo: ada@example.com\r\nSubject: {subject}\r\n\
         Message-ID: <1@example.com>\r\nDate: Tue, 2 Jun 2026 09:59:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\n{text}\r\n--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename={name}.txt\r\n\r\n\
         {attachment}\r\n--b--\r\n"
    )
}

/// One of everything that a path can name.
async fn ids(backed: &Backed) -> Ids {
    let (of, browser) = (&backed.organization, &backed.browser);
    let point = backed.account.snapshot.clone().unwrap();
    let messages = format!("/api/v1{}/restore-points/{point}/messages", backed.path(""));
    let found = browser.program(Method::GET, &messages, "").await.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let message = text(&found["items"][0]["message"]["id"]);
    let run = restored(backed, &message).await;
    fail(backed, &message).await;
    let now = backed.service.clock().now();
    let colleague = new_user("colleague@example.com", Role::Auditor);
    let user = of.add_user(&colleague, now).await.unwrap();
    let tokens = of.api_tokens().await.unwrap();
    let connections = of.connections().await.unwrap();
    let csrf = browser.csrf().await;
    let fields = [
        ("csrf", csrf.as_str()),
        ("name", "Other"),
        ("service", "exchange"),
    ];
    let draft = browser.post("/tasks/new", &fields).await;
    vec![
        ("account", backed.account.key.to_string()),
        ("point", point),
        ("folder", text(&found["items"][0]["folder"])),
        ("message", message),
        ("number", "0".to_owned()),
        ("task", backed.task.to_string()),
        ("run", run.to_string()),
        ("connection", connections[0].id.to_string()),
        ("user", user.to_string()),
        ("token", tokens[0].id.to_string()),
        (
            "draft",
            draft.location().split('/').nth(3).unwrap().to_owned(),
        ),
    ]
}

/// A restore of the message that is over.
async fn restored(backed: &Backed, message: &str) -> RunId {
    let order = RestoreOrder {
        snapshot: backed.account.snapshot.clone(),
        selection: Selection::Messages(vec![ItemId::new(message).unwrap()]),
        target: backed.account.key,
        destination: Destination::InPlace,
        key: None,
    };
    let of = backed.organization.id();
    let begun = backed.service.restore(of, backed.account.key, order);
    let run = begun.await.unwrap();
    backed.work_off(run).await;
    run
}

/// A backup in which the message could not be copied again.
async fn fail(backed: &Backed, message: &str) {
    let (of, now) = (&backed.organization, backed.service.clock().now());
    let job = NewJob {
        kind: JobKind::Backup,
        priority: 0,
        input: String::new(),
    };
    let all = AccountFilter::default();
    let begun = of.begin_run(backed.task, RunCause::BackupNow, &all, &job, now);
    begun.await.unwrap().unwrap();
    let catalog = backed.service.catalog();
    let claim = catalog.claim("worker", Duration::from_secs(60), now).await;
    let failure = ItemReport {
        item: message.to_owned(),
        cause: FailureCause::Corrupt,
        attempts: 1,
        first_seen_at: now,
        last_tried_at: now,
    };
    let finished = Finished {
        result: JobResult::Partial,
        outcome: String::new(),
        progress: Progress::default(),
        snapshot: None,
        failures: Some(vec![failure]),
        restored: Vec::new(),
    };
    let lease = claim.unwrap().unwrap().lease;
    catalog.finish(&lease, &finished, now).await.unwrap();
}

/// Asks so that something of the message is in the answer, if there can be.
async fn ask(browser: &Browser, route: &RouteInfo, ids: &Ids) -> Answer {
    let path = filled(&route.path, ids);
    let path = path.unwrap_or_else(|| panic!("an id of a new kind: name one in `ids`: {route:?}"));
    let of = |name: &str| ids.iter().find(|(one, _)| *one == name).unwrap().1.as_str();
    let named = [
        ("point", of("point")),
        ("folder", of("folder")),
        ("message", of("message")),
        ("words", CANARIES[0]),
        ("account", of("account")),
    ];
    match (route.is_api(), &route.method) {
        (false, &Method::GET) => {
            let query: String = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(named)
                .finish();
            browser.get(&format!("{path}?{query}")).await
        }
        (false, _) if path.ends_with("/download") => {
            let csrf = browser.csrf().await;
            let fields = [&named[..], &[("csrf", csrf.as_str())]].concat();
            browser.post(&path, &fields).await
        }
        (false, _) if path.ends_with("/restore") => {
            let csrf = browser.csrf().await;
            let order = [
                ("csrf", csrf.as_str()),
                ("what", "messages"),
                ("step", "review"),
            ];
            browser.post(&path, &[&named[..], &order].concat()).await
        }
        (true, _) if path.ends_with("/zip") => {
            let wanted = serde_json::json!({"messages": [of("message")]}).to_string();
            browser.program(Method::POST, &path, &wanted).await
        }
        _ => call(browser, route, &path).await,
    }
}

/// abuse 102.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_look_into_content_is_noted() {
    let backed = Backed::with(&[with_canaries()]).await;
    let token = backed.browser.make_token("administrator").await;
    let (ids, key) = (ids(&backed).await, backed.account.key.to_string());
    let of = &backed.organization;
    let mut showing = Vec::new();
    for route in server::routes() {
        // What ends with the session, goes on for ever, or takes away what is asked with.
        let is_left_out =
            route.path == "/sign-out" || is_endless(&route.path) || route.path.ends_with("/revoke");
        if route.who == Who::Anybody || is_left_out {
            continue;
        }
        // A session that has looked at nothing yet.
        let browser = Browser::new(&backed.browser.url());
        browser.sign_in("ada@example.com").await;
        browser.bring(Some(&token));
        let before = of.audit(None, 1).await.unwrap()[0].number;
        let answer = ask(&browser, &route, &ids).await;
        if !CANARIES.iter().any(|canary| answer.text.contains(canary)) || answer.status != 200 {
            continue;
        }
        let noted = of.audit(None, 100).await.unwrap();
        let is_look = |entry: &&AuditEntry| entry.number > before && entry.object.starts_with(&key);
        assert!(
            noted.iter().any(|entry| is_look(&entry)),
            "{route:?} is not noted"
        );
        showing.push(format!("{} {}", route.method, route.path));
    }
    // Whoever may not look is told that the backup has it, and nothing of what it is.
    let auditor = Browser::new(&backed.browser.url());
    auditor.sign_in("colleague@example.com").await;
    let before = of.audit(None, 1).await.unwrap()[0].number;
    let failures = auditor.get(&format!("/failures?account={key}")).await;
    assert!(failures.has("Held in the backup") && failures.has("Kept its last good version"));
    assert!(!CANARIES.iter().any(|canary| failures.text.contains(canary)));
    assert_eq!(
        of.audit(None, 1).await.unwrap()[0].number,
        before,
        "it is no look"
    );
    showing.sort();
    assert_eq!(showing, SHOWING, "what shows something of a message");
}
