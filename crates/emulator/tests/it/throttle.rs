//! Microsoft's documented limits, on a clock that the test moves.

use std::time::Duration;

use emulator::{FaultRule, World};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Site, send};

async fn site(users: usize) -> Site {
    Site::start_with(World::new().users(users, 5), |mut settings| {
        settings.throttle = true;
        settings
    })
    .await
}

/// Statuses of `count` equal requests, sent in batches.
async fn many(site: &Site, url: &str, count: usize) -> Vec<u64> {
    let mut found = Vec::new();
    while found.len() < count {
        let parts: Vec<_> = (0..20.min(count - found.len()))
            .map(|n| json!({"id": n.to_string(), "method": "GET", "url": url}))
            .collect();
        let answer = site.post("/v1.0/$batch", &json!({"requests": parts})).await;
        let json = answer.json();
        let responses = json["responses"].as_array().expect("a list");
        found.extend(
            responses
                .iter()
                .map(|part| part["status"].as_u64().expect("a status")),
        );
    }
    found
}

fn assert_throttled(answer: &Answer, code: &str) -> u64 {
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (429, code),
        "{answer:?}"
    );
    answer.header("retry-after").parse().expect("whole seconds")
}

#[tokio::test]
async fn outlook_takes_ten_thousand_requests_in_ten_minutes() {
    let site = site(2).await;
    let [first, second] = &site.mailboxes()[..] else {
        panic!("two mailboxes");
    };
    let url = format!("{first}/mailFolders/inbox?$select=id");
    assert!(
        many(&site, &url, 5_000)
            .await
            .iter()
            .all(|status| *status == 200)
    );
    site.clock.advance(Duration::from_secs(300));
    assert!(
        many(&site, &url, 5_000)
            .await
            .iter()
            .all(|status| *status == 200)
    );
    let refused = site.get(&format!("/v1.0{url}")).await;
    let wait = assert_throttled(&refused, "ApplicationThrottled");
    assert!((300..=301).contains(&wait), "{wait}");
    // The limit is each mailbox's own (abuse 56).
    assert_eq!(
        site.get(&format!("/v1.0{second}/mailFolders/inbox"))
            .await
            .status,
        200
    );
    assert_eq!(site.running.stats().throttled, 1);
    site.clock.advance(Duration::from_secs(wait));
    assert_eq!(site.get(&format!("/v1.0{url}")).await.status, 200);
}

#[tokio::test]
async fn outlook_takes_four_requests_at_a_time() {
    let site = site(2).await;
    let [first, second] = &site.mailboxes()[..] else {
        panic!("two mailboxes");
    };
    let mut slow = FaultRule::on("/users/{user}/mailFolders/{folder}");
    slow.delay_ms = 500;
    site.running.add_fault(slow).expect("a sound rule");
    let ask = |user: &str| {
        let path = format!("/v1.0{user}/mailFolders/inbox");
        let site = &site;
        async move { site.get(&path).await }
    };
    let together = tokio::join!(
        ask(first),
        ask(first),
        ask(first),
        ask(first),
        ask(first),
        ask(second)
    );
    let (a, b, c, d, e, other) = together;
    let mut statuses = [a.status, b.status, c.status, d.status, e.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 429]);
    assert_eq!(other.status, 200);
    // What is finished no longer counts: four at a time, again and again, are never refused.
    site.running.clear_faults();
    let before = site.running.stats().throttled;
    for _ in 0..50 {
        tokio::join!(ask(first), ask(first), ask(first), ask(first));
    }
    assert_eq!(site.running.stats().throttled, before);
}

#[tokio::test]
async fn outlook_takes_150_megabytes_in_five_minutes() {
    let site = site(1).await;
    let user = &site.mailboxes()[0];
    let path = format!("/v1.0{user}/messages");
    let body = vec![b'x'; 4_000_000];
    let upload = || async {
        let request = site.request(Method::POST, &path).await;
        send(
            request
                .header("content-type", "application/json")
                .body(body.clone()),
        )
        .await
    };
    for _ in 0..37 {
        assert_eq!(
            upload().await.status,
            400,
            "it is not a message, but it was sent"
        );
    }
    let wait = assert_throttled(&upload().await, "ApplicationThrottled");
    assert!((300..=301).contains(&wait), "{wait}");
    assert_eq!(site.get(&path).await.status, 200, "reading goes on");
    site.clock.advance(Duration::from_secs(wait));
    assert_eq!(upload().await.status, 400);
}

#[tokio::test]
async fn the_directory_counts_resource_units() {
    let site = site(1).await;
    let answer = site.get("/v1.0/users").await;
    assert_eq!(answer.header("x-ms-resource-unit"), "2");
    let answer = site.get("/v1.0/users?$select=id&$top=5").await;
    assert_eq!(answer.header("x-ms-resource-unit"), "1");
    assert_eq!(answer.header("x-ms-throttle-limit-percentage"), "");
    let statuses = many(&site, "/users", 1_748).await;
    assert!(statuses.iter().all(|status| *status == 200));
    let last = site.get("/v1.0/users?$select=id").await;
    assert_eq!(last.header("x-ms-throttle-limit-percentage"), "1.0");
    let refused = site.get("/v1.0/users").await;
    assert_eq!(
        assert_throttled(&refused, "Request_ThrottledTemporarily"),
        10
    );
    site.clock.advance(Duration::from_secs(10));
    assert_eq!(site.get("/v1.0/users").await.status, 200);
}

#[tokio::test]
async fn without_the_switch_nothing_is_throttled() {
    let site = Site::start(World::new().users(1, 5)).await;
    let statuses = many(&site, "/users", 4_000).await;
    assert!(statuses.iter().all(|status| *status == 200));
    assert_eq!(site.get("/v1.0/users").await.json()["error"], Value::Null);
}
