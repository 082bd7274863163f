//! `/metrics`: who gets it, what it says, and that it says nothing about anybody.

use std::time::Duration;

use catalog::{AccountFilter, StatusChange};
use model::{Clock, Service, SystemClock, TenantId};
use reqwest::Method;
use service::{Credential, NewCredential, TaskSettings, Which};
use tokio_util::sync::CancellationToken;

use crate::{
    browser::Answer,
    stage::{METRICS_TOKEN, Stage},
};

/// Whatever a test waits for comes sooner, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

async fn ask(stage: &Stage, authorization: Option<&str>) -> Answer {
    let browser = stage.browser();
    let request = browser.request(Method::GET, "/metrics");
    let request = match authorization {
        Some(value) => request.header("authorization", value),
        None => request,
    };
    browser.send(request).await
}

/// The text of an answer; whether it is what OpenMetrics says is judged by another parser in `cargo xtask api`.
struct Metrics(String);

impl Metrics {
    async fn of(stage: &Stage) -> Self {
        let answer = ask(stage, Some(&format!("Bearer {METRICS_TOKEN}"))).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let kind = answer.header("content-type");
        assert!(kind.starts_with("application/openmetrics-text;"), "{kind}");
        Self(answer.text)
    }

    /// The sum over what has these labels; nothing when there is no such sample.
    fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let values = self.0.lines().filter_map(|line| {
            let rest = line.strip_prefix(metric)?;
            let (with, value) = rest.rsplit_once(' ')?;
            let has = |(name, value): &(&str, &str)| with.contains(&format!("{name}=\"{value}\""));
            let is_it = with.is_empty() || with.starts_with('{');
            (is_it && labels.iter().all(has)).then(|| value.parse::<f64>().unwrap())
        });
        values.reduce(|sum, value| sum + value)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_token_shows_them() {
    let stage = Stage::start().await;
    for wrong in [
        None,
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearer a token for the watchin"),
        Some(METRICS_TOKEN),
    ] {
        let refused = ask(&stage, wrong).await;
        assert_eq!(refused.status, 401, "{wrong:?}");
        assert!(!refused.text.contains("keepwell_"));
    }
    // An API token is none.
    let (_tenant, ada) = stage.signed_in("ada").await;
    let token = ada.make_token("administrator").await;
    let refused = ask(&stage, Some(&format!("Bearer {token}"))).await;
    assert_eq!(refused.status, 401);
    Metrics::of(&stage).await;
}

/// abuse: nothing personal in metrics.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_moves_them_and_names_nobody() {
    let (stage, microsoft) = Stage::that_backs_up().await;
    let (tenant, ada) = stage.signed_in("ada").await;
    let of = &tenant.organization;
    let new = NewCredential {
        service: Service::Exchange,
        tenant: TenantId::new(microsoft.tenant_id.to_string()).unwrap(),
        tenant_name: "Contoso".to_owned(),
        client_id: microsoft.client_id.to_string(),
        credential: Credential::Secret(microsoft.client_secret.clone().into()),
    };
    let service = &stage.service;
    let connection = service.connect(of.id(), new).await.unwrap();
    let settings = TaskSettings::default();
    let task = service
        .add_task(of.id(), connection, "Head office", &settings)
        .await
        .unwrap();
    service.discover(of.id(), task).await.unwrap();
    let all = AccountFilter::default();
    of.change_status(task, &all, StatusChange::Activate)
        .await
        .unwrap();
    let run = service.backup_now(of.id(), task, Which::All).await.unwrap();
    let queued = [("kind", "backup"), ("state", "queued")];
    let finished = [("kind", "backup"), ("result", "success")];

    let before = Metrics::of(&stage).await;
    assert_eq!(before.sum("keepwell_jobs", &queued), Some(2.0));
    assert_eq!(before.sum("keepwell_runs", &[]), Some(1.0));
    assert!(before.sum("keepwell_oldest_due_job_age_seconds", &[]) > Some(0.0));
    assert_eq!(before.sum("keepwell_jobs_finished_total", &finished), None);
    assert_eq!(before.sum("keepwell_items_backed_up_total", &[]), Some(0.0));

    let stop = CancellationToken::new();
    let work = {
        let (service, stop) = (service.clone(), stop.clone());
        tokio::spawn(async move { service.work(stop).await })
    };
    let clock = SystemClock::new();
    while of.run(run).await.unwrap().finished_at.is_none() {
        assert!(clock.elapsed() < PATIENCE, "the backup is not over");
        clock.sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    work.await.unwrap();
    ada.get(&format!("/tasks/{task}")).await;
    ada.get("/nowhere/anna").await;

    let after = Metrics::of(&stage).await;
    assert_eq!(after.sum("keepwell_jobs", &[]), None);
    assert_eq!(after.sum("keepwell_runs", &[]), Some(0.0));
    assert_eq!(
        after.sum("keepwell_oldest_due_job_age_seconds", &[]),
        Some(0.0)
    );
    assert_eq!(
        after.sum("keepwell_jobs_finished_total", &finished),
        Some(2.0)
    );
    let totals = of.account_totals(stage.now()).await.unwrap();
    let items: u64 = totals.iter().map(|(_, totals)| totals.items).sum();
    assert!(items > 0);
    #[expect(clippy::cast_precision_loss, reason = "some hundred")]
    let items = items as f64;
    assert_eq!(
        after.sum("keepwell_items_backed_up_total", &[]),
        Some(items)
    );
    assert!(after.sum("keepwell_backed_up_bytes_total", &[]) > Some(1_000.0));
    let asked = |metrics: &Metrics| metrics.sum("keepwell_graph_requests_total", &[]);
    assert!(asked(&after) > asked(&before));
    assert!(after.sum("keepwell_graph_sign_ins_total", &[]) >= Some(1.0));
    let shown = |route, status| {
        let labels = [("method", "GET"), ("route", route), ("status", status)];
        after.sum("keepwell_http_requests_total", &labels)
    };
    assert_eq!(shown("/tasks/{task}", "200"), Some(1.0));
    assert_eq!(shown("none", "404"), Some(1.0));

    let mut secrets = vec![
        of.id().to_string(),
        task.to_string(),
        microsoft.tenant_id.to_string(),
        "Contoso".to_owned(),
        "Head office".to_owned(),
        "anna".to_owned(),
        tenant.address.clone(),
    ];
    let page = of
        .accounts(
            task,
            &all,
            catalog::AccountSort::Name,
            catalog::Direction::Ascending,
            None,
            10,
        )
        .await
        .unwrap();
    for account in page.rows {
        secrets.extend([account.name, account.address, account.source.to_string()]);
    }
    for secret in secrets {
        assert!(!after.0.contains(&secret), "{secret}: {}", after.0);
    }
}
