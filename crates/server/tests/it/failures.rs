//! The page of failures, where there are more than it has room for.

use std::time::Duration;

use catalog::{
    AccountFilter, Discovered, Finished, ItemReport, JobKind, JobResult, NewJob, Progress,
    RunCause, StatusChange,
};
use model::{AccountId, FailureCause, Service, TenantId};
use service::{Credential, NewCredential, TaskSettings};

use crate::stage::Stage;

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
