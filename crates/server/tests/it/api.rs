//! The interface to programs: what the console does, with the same facts.

use std::{collections::BTreeSet, io::Cursor, time::Duration};

use catalog::{AccountFilter, Discovered};
use model::{AccountId, Clock, Service, SystemClock, TenantId};
use reqwest::Method;
use serde_json::{Value, json};
use service::{Credential, NewCredential};
use tokio_util::sync::CancellationToken;

use crate::{
    browser::{Answer, Browser},
    stage::{Stage, Tenant},
};

async fn get(browser: &Browser, path: &str) -> Value {
    let answer = browser.program(Method::GET, path, "").await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.json()
}

async fn post(browser: &Browser, path: &str, body: &Value) -> Answer {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    browser.program(Method::POST, path, &body).await
}

/// Every page of a list, and how many pages it has.
async fn pages(browser: &Browser, path: &str) -> (Vec<Value>, usize) {
    let (mut items, mut count, mut cursor) = (Vec::new(), 0, None::<String>);
    loop {
        let path = match &cursor {
            None => path.to_owned(),
            Some(cursor) => {
                let cursor: String =
                    url::form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
                format!("{path}&cursor={cursor}")
            }
        };
        let page = get(browser, &path).await;
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        count += 1;
        match page["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return (items, count),
        }
    }
}

/// Asks until the answer is as it should be, which comes sooner than this on any machine.
async fn until(browser: &Browser, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    const PATIENCE: Duration = Duration::from_secs(120);
    let clock = SystemClock::new();
    loop {
        let answer = get(browser, path).await;
        if is_so(&answer) {
            return answer;
        }
        assert!(clock.elapsed() < PATIENCE, "in vain: {path}: {answer}");
        clock.sleep(Duration::from_millis(20)).await;
    }
}

fn texts<'a>(items: &'a [Value], field: &str) -> Vec<&'a str> {
    let values = items.iter().map(|item| item[field].as_str().unwrap());
    values.collect()
}

async fn connect(
    stage: &Stage,
    tenant: &Tenant,
    at: TenantId,
    client: &str,
    secret: &str,
) -> String {
    let new = NewCredential {
        service: Service::Exchange,
        tenant: at,
        tenant_name: "Contoso".to_owned(),
        client_id: client.to_owned(),
        credential: Credential::Secret(secret.to_owned().into()),
    };
    let organization = tenant.organization.id();
    let connected = stage.service.connect(organization, new).await;
    connected.unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_made_set_and_run() {
    let stage = Stage::start().await;
    let (tenant, ada) = stage.signed_in("ada").await;
    ada.make_token("administrator").await;
    let at = TenantId::new("8d1f5f6e-0000-4000-8000-000000000001").unwrap();
    let connection = connect(&stage, &tenant, at.clone(), "client", "hush").await;
    let listed = get(&ada, "/api/v1/connections").await;
    assert_eq!(listed["items"][0]["id"], connection.as_str());
    assert_eq!(listed["items"][0]["health"], "checking");
    assert!(!listed.to_string().contains("hush"), "{listed}");

    let new =
        json!({"name": " Mail ", "connection": connection, "settings": {"schedule": "manual"}});
    let made = post(&ada, "/api/v1/tasks", &new).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let task = made.json();
    assert_eq!(
        (&task["name"], &task["service"]),
        (&json!("Mail"), &json!("exchange"))
    );
    assert_eq!(task["settings"]["schedule"], "manual");
    let path = made.header("location").to_owned();
    assert_eq!(get(&ada, &path).await, task);
    assert_eq!(post(&ada, "/api/v1/tasks", &new).await.status, 409);

    let settings = json!({"schedule": {"times_a_day": 4}, "retention": {"daily": 30}, "zone": "Europe/Zurich"});
    let set = ada
        .program(
            Method::PUT,
            &format!("{path}/settings"),
            &settings.to_string(),
        )
        .await;
    assert_eq!(set.json()["settings"]["retention"]["daily"], 30);
    assert_eq!(
        set.json()["settings"]["schedule"],
        json!({"times_a_day": 4})
    );
    for wrong in [
        r#"{"schedule": {"times_a_day": 0}}"#,
        r#"{"shedule": "manual"}"#,
        r#"{"zone": "Ada's garden"}"#,
        r#"{"retention": [1, 2]}"#,
        r#"[true, "Ada"]"#,
        "nonsense of Ada's",
    ] {
        let refused = ada
            .program(Method::PUT, &format!("{path}/settings"), wrong)
            .await;
        assert_eq!(refused.status, 422, "{wrong}");
        refused.problem();
    }

    // Accounts, as the console's table.
    let names = ["Alex", "Bea", "Cleo", "Dan", "Eva"];
    let found: Vec<_> = names
        .iter()
        .map(|name| Discovered {
            source: AccountId::new(*name).unwrap(),
            name: (*name).to_owned(),
            address: format!("{name}@example.com"),
        })
        .collect();
    let of = &tenant.organization;
    let id = task["id"].as_str().unwrap().parse().unwrap();
    of.note_accounts(id, &at, &found, stage.now())
        .await
        .unwrap();
    let (all, count) = pages(&ada, &format!("{path}/accounts?limit=2")).await;
    assert_eq!((texts(&all, "name"), count), (names.to_vec(), 3));
    let sorted = format!("{path}/accounts?limit=3&sort=address&order=descending");
    let (sorted, _) = pages(&ada, &sorted).await;
    let backwards: Vec<_> = names.iter().rev().copied().collect();
    assert_eq!(texts(&sorted, "name"), backwards);
    let (some, _) = pages(&ada, &format!("{path}/accounts?search=A%40&limit=9")).await;
    assert_eq!(texts(&some, "name"), ["Bea", "Eva"]);
    for wrong in [
        "sort=colour",
        "limit=0",
        "limit=501",
        "lmit=3",
        "cursor=x",
        "status=Active",
    ] {
        let refused = ada
            .program(Method::GET, &format!("{path}/accounts?{wrong}"), "")
            .await;
        assert_eq!(refused.status, 422, "{wrong}");
        refused.problem();
    }

    for wrong in [
        r#"{"all": [null, null]}"#,
        r#"{"all": []}"#,
        "[]",
        r#""all""#,
    ] {
        let activate = format!("{path}/accounts/activate");
        let refused = ada.program(Method::POST, &activate, wrong).await;
        assert_eq!(refused.status, 422, "{wrong}");
    }
    let (all_of, one) = (json!({"all": {}}), json!({"accounts": [all[0]["id"]]}));
    let changed = async |action: &str, body: &Value| {
        let answer = post(&ada, &format!("{path}/accounts/{action}"), body).await;
        answer.json()["changed"].clone()
    };
    assert_eq!(
        post(&ada, &format!("{path}/backups"), &all_of).await.status,
        409
    );
    assert_eq!(
        changed("activate", &json!({"all": {"search": "a@"}})).await,
        2
    );
    assert_eq!(changed("activate", &all_of).await, 3);
    assert_eq!(changed("pause", &one).await, 1);
    let paused = format!("{path}/accounts?status=paused&limit=9");
    assert_eq!(texts(&pages(&ada, &paused).await.0, "name"), ["Alex"]);
    let active = AccountFilter {
        status: Some(catalog::Status::Active),
        ..AccountFilter::default()
    };
    assert_eq!(of.count_accounts(id, &active).await.unwrap(), 4);

    // A run that nobody works on.
    let begun = post(&ada, &format!("{path}/backups"), &all_of).await;
    assert_eq!(begun.status, 202);
    let run = begun.header("location").to_owned();
    let shown = get(&ada, &run).await;
    assert_eq!(
        (&shown["result"], &shown["jobs"]["queued"]),
        (&json!("scheduled"), &json!(4))
    );
    assert_eq!(
        (&shown["percent"], &shown["items_per_second"]),
        (&json!(0), &json!(0.0))
    );
    let (jobs, count) = pages(&ada, &format!("{run}/jobs?limit=3")).await;
    let states: Vec<_> = texts(&jobs, "state");
    assert_eq!((states, count), (vec!["queued"; 4], 2));
    for (action, result) in [
        ("pause", "paused"),
        ("resume", "scheduled"),
        ("cancel", "stopped"),
    ] {
        let answer = post(&ada, &format!("{run}/{action}"), &Value::Null).await;
        assert_eq!(answer.json()["result"], result);
    }
    assert_eq!(
        post(&ada, &format!("{run}/resume"), &Value::Null)
            .await
            .status,
        409
    );
    let (runs, _) = pages(&ada, "/api/v1/runs?cause=backup+now&limit=1").await;
    assert_eq!(runs, [get(&ada, &run).await]);
    assert_eq!(pages(&ada, &format!("{path}/runs?limit=1")).await.0, runs);
    assert!(
        pages(&ada, "/api/v1/runs?cause=restore&limit=1")
            .await
            .0
            .is_empty()
    );
    let audit = get(&ada, "/api/v1/audit?limit=3").await;
    let actions = texts(audit["items"].as_array().unwrap(), "action");
    assert_eq!(actions, ["stopped a run", "resumed a run", "paused a run"]);
    assert_eq!(get(&ada, "/api/v1/audit/check").await["unbroken"], true);
    assert_eq!(
        get(&ada, "/api/v1/users").await["items"][0]["role"],
        "administrator"
    );
    assert_eq!(get(&ada, "/api/v1/failures").await["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_a_problem_that_quotes_nothing() {
    let stage = Stage::start().await;
    let (_tenant, ada) = stage.signed_in("ada").await;
    ada.make_token("administrator").await;
    let nothing = ada.program(Method::GET, "/api/v1/nothing", "").await;
    assert_eq!(nothing.status, 404);
    nothing.problem();
    for path in ["/api/v1", "/api/v2/tasks", "/api/v1/tasks/Ada"] {
        let answer = ada.program(Method::GET, path, "").await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.problem().contains("Ada"));
    }
    let other = ada.program(Method::DELETE, "/api/v1/tasks", "").await;
    assert_eq!(other.status, 405);
    let allowed = other.header("allow");
    assert!(
        allowed.contains("GET") && allowed.contains("POST"),
        "{allowed}"
    );
    other.problem();
    let body = r#"{"name": "Ada's mail", "connection": "Ada's"}"#;
    let wrong = ada.program(Method::POST, "/api/v1/tasks", body).await;
    assert_eq!(wrong.status, 422);
    assert!(!wrong.problem().contains("Ada"));
    let elsewhere = ada
        .request(Method::GET, "/api/v1/openapi.json")
        .header("host", "evil.example");
    let elsewhere = ada.send(elsewhere).await;
    assert_eq!(elsewhere.status, 421);
    elsewhere.problem();
    let large = format!(r#"{{"name": "{}"}}"#, "x".repeat(300_000));
    let large = ada.program(Method::POST, "/api/v1/tasks", &large).await;
    assert_eq!(large.status, 422);
}

/// abuse 96.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_json_is_refused_and_not_quoted() {
    let stage = Stage::start().await;
    let (_tenant, ada) = stage.signed_in("ada").await;
    ada.make_token("administrator").await;
    let deep = |open: &str, close: &str| {
        let inside = format!("{}{}", open.repeat(10_000), close.repeat(10_000));
        format!(r#"{{"name": "Ada", "connection": {inside}}}"#)
    };
    for hostile in [
        deep("[", "]"),
        deep(r#"{"Ada":"#, "}"),
        r#"{"name": "Ada", "name": "Ada", "connection": 1e999}"#.to_owned(),
        r#"{"name": "Ada", "connection": null, "role": "administrator"}"#.to_owned(),
        r#"{"name": "\ud800", "connection": "Ada"}"#.to_owned(),
        format!(
            r#"{{"name": "Ada", "settings": {{"retain_archived_days": {}}}}}"#,
            "9".repeat(5_000)
        ),
        "{".to_owned(),
        "\u{feff}{}".to_owned(),
    ] {
        let refused = ada.program(Method::POST, "/api/v1/tasks", &hostile).await;
        assert_eq!(refused.status, 422, "{}", &hostile[..hostile.len().min(80)]);
        assert!(!refused.problem().contains("Ada"));
    }
    let form = ada
        .of_program(Method::POST, "/api/v1/tasks", "")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("name=Ada");
    assert_eq!(form.send().await.unwrap().status(), 415);
}

/// What was backed up is found again, byte for byte, and every look is noted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_looked_into_and_restored_from() {
    let (stage, microsoft) = Stage::that_backs_up().await;
    let (tenant, ada) = stage.signed_in("ada").await;
    ada.make_token("administrator").await;
    let at = TenantId::new(microsoft.tenant_id.to_string()).unwrap();
    let client = microsoft.client_id.to_string();
    let connection = connect(&stage, &tenant, at, &client, &microsoft.client_secret).await;
    let check = format!("/api/v1/connections/{connection}/check");
    let checked = post(&ada, &check, &Value::Null).await;
    assert_eq!(checked.json()["health"], "connected", "{}", checked.text);
    let new = json!({"name": "Mail", "connection": connection, "settings": {"schedule": "manual"}});
    let task = post(&ada, "/api/v1/tasks", &new).await;
    let task = task.header("location").to_owned();
    let accounts = format!("{task}/accounts?limit=1");
    let found = until(&ada, &accounts, |found| found["items"] != json!([])).await;
    let account = found["items"][0]["id"].as_str().unwrap();
    let account = format!("/api/v1/accounts/{account}");
    post(
        &ada,
        &format!("{task}/accounts/activate"),
        &json!({"all": {}}),
    )
    .await;
    let empty = get(&ada, &format!("{account}/restore-points")).await;
    assert_eq!(empty["items"], json!([]));

    let begun = post(&ada, &format!("{task}/backups"), &json!({"all": {}})).await;
    let run = begun.header("location").to_owned();
    let (service, stop) = (stage.service.clone(), CancellationToken::new());
    let told = stop.clone();
    let worker = tokio::spawn(async move { service.work(told).await });
    let over = until(&ada, &run, |run| !run["finished_at"].is_null()).await;
    assert_eq!(
        (&over["result"], &over["percent"]),
        (&json!("success"), &json!(100))
    );
    for rate in ["items_per_second", "bytes_per_second"] {
        assert!(over[rate].as_f64() > Some(0.0), "{over}");
    }

    let points = get(&ada, &format!("{account}/restore-points")).await;
    let point = points["items"][0]["id"].as_str().unwrap();
    assert_eq!(get(&ada, &account).await["restore_point"], point);
    let inside = format!("{account}/restore-points/{point}");
    let folders = get(&ada, &format!("{inside}/folders")).await;
    let folders = folders["items"].as_array().unwrap();
    let inbox = folders
        .iter()
        .find(|folder| folder["well_known"] == "inbox");
    let inbox = inbox.unwrap();
    let messages = format!(
        "{inside}/folders/{}/messages",
        inbox["id"].as_str().unwrap()
    );
    let (listed, _) = pages(&ada, &format!("{messages}?limit=2")).await;
    assert_eq!(listed.len() as u64, inbox["messages"].as_u64().unwrap());
    let ids: BTreeSet<_> = texts(&listed, "id").into_iter().collect();
    assert_eq!(ids.len(), listed.len());
    let message = format!("{inside}/messages/{}", listed[0]["id"].as_str().unwrap());
    let whole = get(&ada, &message).await;
    assert_eq!(whole["graph"]["subject"], listed[0]["subject"]);
    let file = ada
        .program(Method::GET, &format!("{message}/eml"), "")
        .await;
    assert_eq!(file.header("content-type"), "message/rfc822");
    assert_eq!(
        file.header("content-disposition"),
        "attachment; filename=\"message.eml\""
    );
    assert_eq!(file.text.len() as u64, whole["eml_bytes"].as_u64().unwrap());

    // What is looked for is what the lists have.
    let subject = listed[0]["subject"].as_str().unwrap();
    let word: String = url::form_urlencoded::byte_serialize(subject.as_bytes()).collect();
    let search = format!("{inside}/messages?words={word}&limit=1");
    let (found, _) = pages(&ada, &search).await;
    let hit = json!({"folder": inbox["id"], "message": listed[0]});
    assert!(found.contains(&hit), "{found:?}");
    let (all, _) = pages(&ada, &format!("{inside}/messages?limit=3")).await;
    let counts = folders.iter().map(|folder| folder["messages"].as_u64());
    let expected: u64 = counts.map(Option::unwrap).sum();
    assert_eq!(all.len() as u64, expected);
    let of_inbox = format!(
        "{inside}/messages?folder={}&limit=500",
        inbox["id"].as_str().unwrap()
    );
    assert_eq!(get(&ada, &of_inbox).await["looked_at"], listed.len() as u64);
    let none = get(
        &ada,
        &format!("{inside}/messages?until=1990-01-01T00:00:00Z"),
    )
    .await;
    assert_eq!((&none["items"], &none["next"]), (&json!([]), &Value::Null));
    for (wrong, status) in [
        ("folder=none", 404),
        ("from=yesterday", 422),
        ("cursor=none", 422),
    ] {
        let path = format!("{inside}/messages?{wrong}");
        let refused = ada.program(Method::GET, &path, "").await;
        assert_eq!(refused.status, status, "{wrong}: {}", refused.text);
    }

    // As one ZIP: the same file as alone.
    let zip = format!("{inside}/zip");
    let files = async |order: Value| {
        let request = ada.of_program(Method::POST, &zip, &order.to_string());
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let bytes = answer.bytes().await.unwrap().to_vec();
        zip::ZipArchive::new(Cursor::new(bytes)).unwrap()
    };
    let mut one = files(json!({"messages": [listed[0]["id"]]})).await;
    assert_eq!(one.len(), 1);
    assert_eq!(one.by_index(0).unwrap().size(), whole["eml_bytes"]);
    let folder = files(json!({"folder": inbox["id"]})).await;
    assert!(folder.len() >= listed.len());
    for (wrong, status) in [
        (json!({"messages": []}), 422),
        (json!({"folder": "none"}), 404),
        (json!({"messages": ["none"]}), 404),
    ] {
        let refused = post(&ada, &zip, &wrong).await;
        assert_eq!(refused.status, status, "{wrong}: {}", refused.text);
    }
    get(&ada, &message).await;
    ada.program(Method::GET, &format!("{message}/eml"), "")
        .await;

    let audit = get(&ada, "/api/v1/audit?limit=4").await;
    let entries = audit["items"].as_array().unwrap();
    assert_eq!(
        texts(&entries[..2], "action"),
        ["downloaded a message", "looked at a message"]
    );
    let token = tenant.organization.api_tokens().await.unwrap()[0].id;
    assert_eq!(entries[0]["actor"], token.to_string());
    for missing in [
        format!("{account}/restore-points/{}/folders", "0".repeat(64)),
        format!("{account}/restore-points/latest/folders"),
        format!("{inside}/folders/none/messages"),
        format!("{inside}/messages/none"),
        format!("{inside}/messages/none/eml"),
    ] {
        let answer = ada.program(Method::GET, &missing, "").await;
        assert_eq!(answer.status, 404, "{missing}: {}", answer.text);
    }

    let order = json!({"restore_point": point, "what": {"messages": [listed[0]["id"]]}});
    let mut nowhere = order.clone();
    nowhere["restore_point"] = json!("0".repeat(64));
    let refused = post(&ada, &format!("{account}/restores"), &nowhere).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    let begun = post(&ada, &format!("{account}/restores"), &order).await;
    assert_eq!(begun.status, 202, "{}", begun.text);
    let restore = begun.header("location").to_owned();
    until(&ada, &restore, |run| !run["finished_at"].is_null()).await;
    let jobs = get(&ada, &format!("{restore}/jobs")).await;
    let report = &jobs["items"][0]["report"];
    assert_eq!(
        (&report["restored"], &report["failures"]),
        (&json!(1), &json!(0))
    );
    assert!(!report["into"].as_str().unwrap().is_empty());
    stop.cancel();
    worker.await.unwrap();
}
