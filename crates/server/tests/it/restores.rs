//! Restores by way of the console: begun once however often they are ordered, and told item by item.

use catalog::{Role, RunId};
use emulator::FaultRule;
use reqwest::Method;

use crate::{
    browser::Browser,
    content::{Backed, mail},
    stage::new_user,
};

/// Two clicks without script, a reload, a proxy that sends it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_form_that_is_sent_twice_begins_one_restore() {
    let backed = Backed::with(&[mail(1, "Hello")]).await;
    let send = async |fields: &[(String, String)]| {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        backed.browser.post(&backed.path("/restore"), &fields).await
    };
    let mut fields = backed.form("messages").await;
    fields.push(("step".to_owned(), "begin".to_owned()));
    let review = send(&fields).await;
    assert_eq!(review.status, 200, "nothing begins without a review");
    assert!(review.has("Nothing has begun yet"));
    fields.push(("order".to_owned(), review.field("order")));
    let (first, second) = (send(&fields).await, send(&fields).await);
    assert_eq!((first.status, second.status), (303, 303), "{}", first.text);
    assert_eq!(first.location(), second.location());
    assert_eq!(backed.noted().await.get("began a restore"), Some(&1));
    let mut other = fields.clone();
    other.retain(|(name, _)| name != "what");
    other.push(("what".to_owned(), "mailbox".to_owned()));
    let refused = send(&other).await;
    assert_eq!(refused.status, 422);
    assert!(refused.has("used for another order"));
    let causes = [catalog::RunCause::Restore];
    let runs = backed.organization.runs_of_all_tasks(&causes, None, 9);
    assert_eq!(runs.await.unwrap().len(), 1);
}

/// The same for programs, by a header.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_with_a_key_that_a_program_sends_twice_is_one() {
    let backed = Backed::with(&[mail(1, "Hello")]).await;
    backed.browser.make_token("operator").await;
    let point = backed.account.snapshot.clone().unwrap();
    let order = async |key: Option<&str>, what: &str| {
        let body = serde_json::json!({"restore_point": point, "what": what}).to_string();
        let path = format!("/api/v1{}", backed.path("/restores"));
        let mut request = backed.browser.of_program(Method::POST, &path, &body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let answer = request.send().await.unwrap();
        let at = answer.headers().get("location").cloned();
        (answer.status().as_u16(), at)
    };
    let first = order(Some("a key"), "mailbox").await;
    assert_eq!(first.0, 202);
    assert_eq!(order(Some("a key"), "mailbox").await, first);
    for key in [Some("another key"), None, None] {
        let other = order(key, "mailbox").await;
        assert_eq!(other.0, 202);
        assert_ne!(other, first);
    }
    assert_eq!(order(Some(""), "mailbox").await.0, 422);
    assert_eq!(order(Some(&"k".repeat(256)), "mailbox").await.0, 422);
    assert_eq!(backed.noted().await.get("began a restore"), Some(&4));
    let form = backed.form("messages").await;
    let id = &form.iter().find(|(name, _)| name == "message").unwrap().1;
    let body = serde_json::json!({"restore_point": point, "what": {"messages": [id]}}).to_string();
    let path = format!("/api/v1{}", backed.path("/restores"));
    let request = backed.browser.of_program(Method::POST, &path, &body);
    let refused = request.header("Idempotency-Key", "a key").send().await;
    assert_eq!(refused.unwrap().status(), 409);
}

/// What became of each item, why and what to do: on the run's page, on a page of its own, as a file that no spreadsheet runs, and for programs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_tells_what_became_of_each_item() {
    let mails: Vec<_> = (1..=4)
        .map(|n| mail(n, &format!("=1+1, \"{n}\"")))
        .collect();
    let backed = Backed::with(&mails).await;
    let (of, browser) = (&backed.organization, &backed.browser);
    browser.make_token("operator").await;
    let mut rule = FaultRule::on("/users/{user}/mailFolders/{folder}/messages");
    (rule.method, rule.status, rule.code, rule.after) = (
        Some("POST".to_owned()),
        Some(403),
        Some("ErrorQuotaExceeded".to_owned()),
        1,
    );
    backed.microsoft.add_fault(rule).unwrap();
    let point = backed.account.snapshot.clone().unwrap();
    let form = backed.form("messages").await;
    let mut ids = fields(&form, "message");
    ids.push("gone");
    let order = serde_json::json!({"restore_point": point, "what": {"messages": ids}});
    let path = format!("/api/v1{}", backed.path("/restores"));
    let begun = browser
        .program(Method::POST, &path, &order.to_string())
        .await;
    let run: RunId = begun
        .header("location")
        .rsplit('/')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let early = browser.get(&format!("/runs/{run}/report")).await;
    assert_eq!(early.status, 409);
    assert!(early.has("it has no report yet"));
    backed.work_off(run).await;

    let page = browser.get(&format!("/runs/{run}")).await;
    assert!(page.has("1 item restored into the folder"), "{}", page.text);
    assert!(page.has("4 items could not be restored"));
    assert!(page.has("<dt>Items restored</dt><dd>1</dd>"));
    assert!(page.has("The mailbox is full") && page.has("<code>ErrorQuotaExceeded</code>"));
    assert!(page.has("The restore point does not have it"));
    let report = browser.get(&format!("/runs/{run}/report")).await;
    assert!(report.has("1 item restored, 0 left alone, 4 not restored."));
    assert!(report.has("All 5") && report.has("Not restored 4"));
    assert!(report.has("<code>ErrorQuotaExceeded</code>"));
    assert!(report.has("=1+1, \""), "subjects: {}", report.text);
    let missing = browser
        .get(&format!("/runs/{run}/report?show=missing"))
        .await;
    assert_eq!(missing.text.matches("<tr><th scope=\"row\">").count(), 4);

    let file = browser.get(&format!("/runs/{run}/report.csv")).await;
    let mut reader = csv::Reader::from_reader(file.text.as_bytes());
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    let became: Vec<_> = rows.iter().map(|row| &row[1]).collect();
    assert_eq!(
        became,
        ["failed", "failed", "failed", "not held", "restored"]
    );
    for row in &rows[..3] {
        assert!(row[2].starts_with("'=1+1, \""), "{row:?}");
        assert_eq!(
            (&row[3], &row[4]),
            ("The mailbox is full", "ErrorQuotaExceeded")
        );
        assert!(ids.contains(&&row[7]), "{row:?}");
    }
    assert_eq!(&rows[3][7], "gone");
    let noted = backed.noted().await;
    assert_eq!(noted.get("looked at the report of a restore"), Some(&2));
    assert_eq!(noted.get("exported the report of a restore"), Some(&1));

    let items = format!("/api/v1/runs/{run}/restored-items");
    let first = browser
        .program(Method::GET, &format!("{items}?limit=4"), "")
        .await
        .json();
    assert_eq!(first["items"].as_array().unwrap().len(), 4);
    assert_eq!(first["items"][0]["cause"], "access-denied");
    let next = first["next"].as_str().unwrap();
    let rest = browser
        .program(Method::GET, &format!("{items}?cursor={next}"), "")
        .await
        .json();
    assert_eq!(rest["items"][0]["became"], "restored");
    let held = browser
        .program(Method::GET, &format!("{items}?became=not+held"), "")
        .await
        .json();
    assert_eq!(held["items"][0]["item"], "gone");

    // Whoever may not look into backups sees ids, and no subject.
    let now = backed.service.clock().now();
    of.add_user(&new_user("auditor@example.com", Role::Auditor), now)
        .await
        .unwrap();
    let auditor = Browser::new(&browser.url());
    auditor.sign_in("auditor@example.com").await;
    for page in ["report", "report.csv"] {
        let page = auditor.get(&format!("/runs/{run}/{page}")).await;
        assert!(
            page.status == 200 && !page.has("1+1") && page.has("gone"),
            "{}",
            page.text
        );
    }
    assert_eq!(
        backed.noted().await.get("exported the report of a restore"),
        Some(&1)
    );
}

/// The values of a form's fields with a name.
fn fields<'a>(form: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    let named = form.iter().filter(|(one, _)| one == name);
    named.map(|(_, value)| value.as_str()).collect()
}
