//! Fault rules: each kind does what it says, as often as it says.

use std::time::{Duration, Instant};

use emulator::{FaultBody, FaultRule, World};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Site, send};

const USERS: &str = "/v1.0/users";

async fn site() -> Site {
    let site = Site::start(World::new()).await;
    for number in 1..=5 {
        site.add_user(number, &format!("user{number}"), &json!({}));
    }
    // The token is fetched before a rule can be in its way.
    assert_eq!(site.get(USERS).await.status, 200);
    site
}

fn add(site: &Site, rule: Value) {
    let text = rule.to_string();
    for rule in FaultRule::from_json(&text).expect("a rule") {
        site.running.add_fault(rule).expect("a sound rule");
    }
}

async fn statuses(site: &Site, path: &str, times: usize) -> Vec<u16> {
    let mut found = Vec::new();
    for _ in 0..times {
        found.push(site.get(path).await.status);
    }
    found
}

/// Sends, and tells whether a whole answer came.
async fn outcome(site: &Site) -> Result<Vec<u8>, reqwest::Error> {
    let request = site.request(Method::GET, USERS).await;
    let body = request
        .timeout(Duration::from_secs(2))
        .send()
        .await?
        .bytes()
        .await?;
    Ok(body.to_vec())
}

#[tokio::test]
async fn a_rule_strikes_after_so_many_and_so_often() {
    let site = site().await;
    add(
        &site,
        json!({"route": "/users", "method": "get", "after": 1, "count": 2, "status": 503}),
    );
    assert_eq!(statuses(&site, USERS, 5).await, [200, 503, 503, 200, 200]);
    assert_eq!(
        site.get(&format!("{USERS}/user1@contoso.onmicrosoft.com"))
            .await
            .status,
        200
    );
    assert_eq!(site.running.stats().faults, 2);
    site.running.clear_faults();
}

#[tokio::test]
async fn a_probability_follows_from_the_seed() {
    let mut runs = Vec::new();
    for seed in [1, 1, 2] {
        let site = Site::start_with(World::new(), |mut settings| {
            settings.seed = seed;
            settings
        })
        .await;
        add(
            &site,
            json!({"route": "/users", "probability": 0.5, "status": 500}),
        );
        runs.push(statuses(&site, USERS, 40).await);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
    let failed = runs[0].iter().filter(|status| **status == 500).count();
    assert!(
        (5..35).contains(&failed),
        "{failed} of 40 at a probability of one half"
    );
}

/// Survival 2, 7, 20, abuse 33, 35.
#[tokio::test]
async fn status_code_headers_and_body_are_the_rules() {
    let site = site().await;
    let ask = async |rule: Value| -> Answer {
        site.running.clear_faults();
        add(&site, rule);
        site.get(USERS).await
    };
    for retry_after in ["0", "600", "1.5", "Mon, 02 Nov 2026 08:10:00 GMT", "soon"] {
        let answer =
            ask(json!({"route": "/users", "status": 429, "headers": {"Retry-After": retry_after}}))
                .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (429, "ApplicationThrottled")
        );
        assert_eq!(answer.header("retry-after"), retry_after);
    }
    let answer = ask(
        json!({"route": "/users", "status": 400, "code": "ErrorQuotaExceeded", "message": "Full."}),
    )
    .await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "ErrorQuotaExceeded")
    );
    assert_eq!(answer.json()["error"]["message"], "Full.");
    let answer = ask(json!({"route": "/users", "status": 503, "body": "empty"})).await;
    assert_eq!((answer.status, answer.body.len()), (503, 0));
    let answer = ask(json!({"route": "/users", "status": 200, "body": "html"})).await;
    assert!(answer.body.starts_with(b"<html>"));
    assert_eq!(answer.header("content-type"), "text/html");
    let answer = ask(json!({"route": "/users", "body": {"text": "{\"value\": [{\"id\":"}})).await;
    assert_eq!(answer.body, b"{\"value\": [{\"id\":");
    assert_eq!(answer.status, 200);
}

/// Survival 21, abuse 40.
#[tokio::test]
async fn links_and_values_can_be_taken_out_or_put_in() {
    let site = site().await;
    add(
        &site,
        json!({"route": "/users", "count": 1, "remove": ["value", "@odata.context"]}),
    );
    assert_eq!(site.get(USERS).await.json(), json!({}));
    add(
        &site,
        json!({"route": "/users", "count": 1, "set": {"@odata.nextLink": "{self}"}}),
    );
    let path = "/v1.0/users?$top=2";
    let own = format!("{}{path}", site.running.base_url);
    assert_eq!(site.get(path).await.json()["@odata.nextLink"], own);
    add(
        &site,
        json!({"route": "/users", "count": 1, "set": {"@odata.nextLink": "https://example.com/x"}}),
    );
    assert_eq!(
        site.get(path).await.json()["@odata.nextLink"],
        "https://example.com/x"
    );
}

/// Survival 14, abuse 41.
#[tokio::test]
async fn a_body_can_be_cut_short() {
    let site = site().await;
    add(
        &site,
        json!({"route": "/users", "count": 1, "truncate": 20}),
    );
    let request = site.request(Method::GET, USERS).await;
    let mut response = request.send().await.expect("the head comes");
    let promised = response.content_length().expect("a length is promised");
    assert!(promised > 20);
    let first = response
        .chunk()
        .await
        .expect("the beginning comes")
        .expect("some bytes");
    assert_eq!(first.len(), 20);
    assert!(response.chunk().await.is_err(), "the rest does not come");
    assert!(outcome(&site).await.is_ok());
}

/// Survival 17.
#[tokio::test]
async fn a_body_can_stall() {
    let site = site().await;
    add(
        &site,
        json!({"route": "/users", "count": 1, "truncate": 10, "stall": true}),
    );
    let error = outcome(&site).await.expect_err("the rest never comes");
    assert!(error.is_timeout(), "{error}");
    assert!(outcome(&site).await.is_ok());
}

/// Abuse 41.
#[tokio::test]
async fn a_body_can_drip() {
    let site = site().await;
    let rule =
        json!({"route": "/users", "count": 1, "body": {"text": "{\"value\":[]}"}, "drip_ms": 5});
    add(&site, rule);
    let request = site.request(Method::GET, USERS).await;
    let mut response = request.send().await.expect("the head comes");
    let mut pieces = 0;
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.expect("the body goes on") {
        pieces += 1;
        body.extend(piece);
    }
    assert_eq!(body, b"{\"value\":[]}");
    assert!(pieces > 3, "{pieces} pieces");
}

/// Survival 13.
#[tokio::test]
async fn a_connection_can_be_reset() {
    let site = site().await;
    add(&site, json!({"route": "/users", "count": 1, "reset": true}));
    let error = outcome(&site).await.expect_err("no answer comes");
    assert!(error.is_request(), "{error}");
    let mut source: Option<&dyn std::error::Error> = Some(&error);
    let mut found = None;
    while let Some(cause) = source {
        found = found.or(cause
            .downcast_ref::<std::io::Error>()
            .map(std::io::Error::kind));
        source = cause.source();
    }
    assert_eq!(found, Some(std::io::ErrorKind::ConnectionReset));
    assert!(outcome(&site).await.is_ok());
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the delay is real time")]
async fn an_answer_can_be_late() {
    let site = site().await;
    add(&site, json!({"route": "/users", "delay_ms": 150}));
    let start = Instant::now();
    assert_eq!(site.get(USERS).await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(150));
}

/// Survival 11, 12, abuse 39.
#[tokio::test]
async fn tokens_can_expire_at_any_moment() {
    let site = site().await;
    add(
        &site,
        json!({"route": "/users", "count": 1, "expire_tokens": true}),
    );
    let answer = site.get(USERS).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (401, "InvalidAuthenticationToken")
    );
    assert_eq!(site.get(USERS).await.status, 401);
    let fresh = site.new_token().await;
    let request = site.bare(Method::GET, USERS).bearer_auth(&fresh);
    assert_eq!(send(request).await.status, 200);
    site.running.expire_tokens();
    let request = site.bare(Method::GET, USERS).bearer_auth(&fresh);
    assert_eq!(send(request).await.status, 401);
}

#[tokio::test]
async fn pages_can_be_split() {
    let site = site().await;
    add(&site, json!({"route": "/users", "page_size": 2}));
    let mut path = USERS.to_owned();
    let mut pages = Vec::new();
    loop {
        let answer = site.get(&path).await;
        pages.push(answer.column("id").len());
        match answer.json()["@odata.nextLink"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(pages, [2, 2, 1]);
}

/// Survival 33, abuse 38.
#[tokio::test]
async fn a_delta_token_can_be_refused() {
    let site = Site::start(World::new().users(1, 3)).await;
    let user = &site.mailboxes()[0];
    let path = format!("/v1.0{user}/mailFolders/inbox/messages/delta");
    let mut page = site.get(&path).await.json();
    while let Some(next) = page["@odata.nextLink"].as_str() {
        page = site.get(next).await.json();
    }
    let delta = page["@odata.deltaLink"]
        .as_str()
        .expect("a delta link")
        .to_owned();
    let template = "/users/{user}/mailFolders/{id}/messages/delta";
    add(&site, json!({"route": template, "resync": true}));
    assert_eq!(site.get(&path).await.status, 200, "a fresh listing passes");
    let answer = site.get(&delta).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (410, "SyncStateNotFound")
    );
    site.running.clear_faults();
    assert_eq!(site.get(&delta).await.status, 200);
}

/// Survival 19, abuse 36.
#[tokio::test]
async fn a_write_can_succeed_and_be_answered_by_an_error() {
    let site = Site::start(World::new().users(1, 3)).await;
    let user = &site.mailboxes()[0];
    let path = format!("/v1.0{user}/mailFolders");
    add(
        &site,
        json!({"route": "/users/{user}/mailFolders", "method": "POST", "count": 1, "status": 504, "after_effect": true}),
    );
    let body = json!({"displayName": "Projects"});
    assert_eq!(site.post(&path, &body).await.status, 504);
    let again = site.post(&path, &body).await;
    assert_eq!(
        (again.status, again.code().as_str()),
        (409, "ErrorFolderExists")
    );
}

#[tokio::test]
async fn the_token_endpoint_fails_in_its_own_words() {
    let site = site().await;
    add(
        &site,
        json!({"route": "/*/oauth2/v2.0/token", "count": 1, "status": 503, "aadsts": 90033}),
    );
    let id = site.running.client_id.to_string();
    let secret = site.running.client_secret.clone();
    let fields = [
        ("client_id", id.as_str()),
        ("client_secret", secret.as_str()),
    ];
    let answer = site.token_request(&fields).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["error_codes"], json!([90033]));
    assert_eq!(site.token_request(&fields).await.status, 200);
}

#[tokio::test]
async fn the_admin_endpoint_is_there_only_when_asked_for() {
    let closed = site().await;
    let answer = closed.get("/_emulator/faults").await;
    assert_eq!(answer.status, 400, "the path is unknown");

    let site = Site::start_with(World::new(), |mut settings| {
        settings.admin = true;
        settings
    })
    .await;
    let path = "/_emulator/faults";
    let rule = json!({"fault": [{"route": "/users", "status": 503}]});
    assert_eq!(
        send(site.bare(Method::POST, path).json(&rule)).await.status,
        204
    );
    assert_eq!(site.get(USERS).await.status, 503);
    let listed = send(site.bare(Method::GET, path)).await.json();
    assert_eq!(
        (&listed[0]["met"], &listed[0]["struck"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(listed[0]["rule"]["route"], "/users");
    for wrong in [
        json!({"route": "/users", "colour": "red"}),
        json!({"route": "/planets/{planet}", "status": 500}),
        json!({"route": "/users", "probability": 2.0}),
        json!({"route": "/users", "status": 99}),
        json!("x"),
    ] {
        let answer = send(site.bare(Method::POST, path).json(&wrong)).await;
        assert_eq!(answer.status, 400, "{wrong}");
    }
    assert_eq!(send(site.bare(Method::DELETE, path)).await.status, 204);
    assert_eq!(site.get(USERS).await.status, 200);
}

/// The examples of `docs/emulator.md` are rules.
#[test]
fn the_documented_examples_are_understood() {
    let page = include_str!("../../../../docs/emulator.md");
    let mut count = 0;
    for block in page.split("```toml\n").skip(1) {
        let text = block.split("```").next().expect("a block ends");
        let rules = FaultRule::from_toml(text).expect("the example is understood");
        count += rules.len();
    }
    assert!(count >= 5, "{count} rules");
    let empty = FaultRule::from_toml("[[fault]]\nroute = \"*\"\nbody = \"empty\"\n");
    assert_eq!(empty.expect("a rule")[0].body, Some(FaultBody::Empty));
    assert!(FaultRule::from_toml("[[fault]]\nroute = \"*\"\nstatuss = 500\n").is_err());
}
