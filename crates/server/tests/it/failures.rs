//! Failures: more than a page has room for, and jobs that wait to be tried again.

use std::time::Duration;

use jiff::SignedDuration;
use reqwest::Method;

use catalog::{
    AccountFilter, Discovered, Finished, ItemReport, JobKind, JobResult, Left, NewJob, Progress,
    RunCause, StatusChange,
};
use model::{AccountId, FailureCause, Service, TenantId};
use service::{Credential, NewCredential, TaskSettings};

use crate::{isolation::owner, stage::Stage};

#[tokio::test]
async fn all_accounts_that_failed_are_counted_and_can_be_reached() {
    let stage = Stage::start().await;
    let (tenant, browser) = stage.signed_in("anna").await;
    let of = &tenant.organization;
    let at = TenantId::new("8d1f5f6e-0000-4000-8000-000000000001").unwrap();
    let credential = NewCredential {
        service: Service::Exchange,
        tenant: at.clone(),
        tenant_name: "anna".to_owned(),
        client_id: "11111111-0000-4000-8000-000000000001".to_owned(),
        credential: Credential::Secret("secret".to_owned().into()),
    };
    let connection = stage.service.connect(of.id(), credential).await.unwrap();
    let settings = TaskSettings::default();
    let task = stage
        .service
        .add_task(of.id(), connection, "Mail", &settings);
    let task = task.await.unwrap();
    let found: Vec<_> = (0..120)
        .map(|n| Discovered {
            source: AccountId::new(format!("{n}")).unwrap(),
            name: format!("Person {n:03}"),
            address: format!("person{n}@example.com"),
        })
        .collect();
    of.note_accounts(task, &at, &found, stage.now())
        .await
        .unwrap();
    let all = AccountFilter::default();
    of.change_status(task, &all, StatusChange::Activate)
        .await
        .unwrap();
    let job = NewJob {
        kind: JobKind::Backup,
        priority: 0,
        input: String::new(),
    };
    let begun = of.begin_run(task, RunCause::BackupNow, &all, &job, stage.now());
    begun.await.unwrap().unwrap();
    // Every second one fails, the others lack an item.
    for n in 0..120 {
        let claim = stage
            .catalog
            .claim("worker", Duration::from_secs(60), stage.now());
        let claim = claim.await.unwrap().unwrap();
        let lacks = ItemReport {
            item: format!("item {n}"),
            cause: FailureCause::Corrupt,
            attempts: 1,
            first_seen_at: stage.now(),
            last_tried_at: stage.now(),
        };
        let (result, failures) = match n % 2 {
            0 => (JobResult::Failed, None),
            _ => (JobResult::Partial, Some(vec![lacks])),
        };
        let finished = Finished {
            result,
            outcome: String::new(),
            progress: Progress::default(),
            snapshot: None,
            failures,
            restored: Vec::new(),
        };
        stage
            .catalog
            .finish(&claim.lease, &finished, stage.now())
            .await
            .unwrap();
    }
    let page = browser.get("/failures").await;
    assert!(page.has(
        "60 accounts could not be backed up the last time, and 60 items could not be copied yet."
    ));
    let words = "50 of 60 accounts of Mail are listed here.";
    assert_eq!(page.text.matches(words).count(), 2, "{}", page.text);
    for show in ["failed", "failures"] {
        let place = format!("/tasks/{task}?show={show}");
        assert!(page.has(&place), "{place}");
        let there = browser.get(&place).await;
        assert_eq!(there.status, 200);
        let addresses = there.text.split("@example.com");
        let people = addresses.filter(|before| before.ends_with(|c: char| c.is_ascii_digit()));
        assert_eq!(people.count(), 50);
    }
}

/// Wherever the job shows, it says why it waits and until when.
#[tokio::test]
async fn a_job_that_waits_to_be_tried_again_says_why_and_until_when() {
    let stage = Stage::start().await;
    let (_, browser, ids) = owner(&stage, "anna").await;
    let id = |name: &str| &ids.iter().find(|(one, _)| *one == name).unwrap().1;
    let (run, task) = (id("run"), id("task"));
    let lease = Duration::from_secs(60);
    let claim = stage.catalog.claim("worker", lease, stage.now()).await;
    let lease = claim.unwrap().unwrap().lease;
    let again = stage.now() + SignedDuration::from_mins(2);
    let left = Left {
        waiting_for: "the account could not be opened: storage failed to read: refused".to_owned(),
        counts: true,
        ..Left::until(again)
    };
    let given = stage.catalog.give_back(&lease, &left, stage.now());
    given.await.unwrap();
    let time = format!("datetime=\"{again}\"");
    for page in [format!("/runs/{run}"), format!("/tasks/{task}")] {
        let page = browser.get(&page).await;
        let (_, told) = page.text.split_once("Waiting to try again ").unwrap();
        let (told, _) = told.split_once("</span>").unwrap();
        assert!(told.contains(&time), "{told}");
        assert!(told.ends_with(": the storage did not answer"), "{told}");
    }
    let path = format!("/api/v1/runs/{run}/jobs");
    let jobs = browser.program(Method::GET, &path, "").await.json();
    let job = &jobs["items"][0];
    assert_eq!(job["not_before"], again.to_string());
    assert_eq!(job["progress"]["waiting_for"], left.waiting_for);
    stage.pass(121);
    let page = browser.get(&format!("/tasks/{task}")).await;
    assert!(!page.has("Waiting to try again"), "it waits for a worker");
}
