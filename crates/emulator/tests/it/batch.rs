//! `$batch`.

use data_encoding::BASE64;
use emulator::{FaultRule, World};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Site, send};

async fn batch(site: &Site, requests: Value) -> Answer {
    site.post("/v1.0/$batch", &json!({"requests": requests}))
        .await
}

/// Status by id, in the order of the answer.
fn statuses(answer: &Answer) -> Vec<(String, u64)> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let json = answer.json();
    let responses = json["responses"].as_array().expect("a list").iter();
    responses
        .map(|part| {
            let id = part["id"].as_str().expect("an id");
            (id.to_owned(), part["status"].as_u64().expect("a status"))
        })
        .collect()
}

#[tokio::test]
async fn parts_have_their_own_status_headers_and_body() {
    let site = Site::start(World::new()).await;
    site.add_user(1, "ann", &json!({"city": null}));
    let answer = batch(
        &site,
        json!([
            {"id": "1", "method": "GET", "url": "/users/ann@contoso.onmicrosoft.com"},
            {"id": "2", "method": "GET", "url": "users?$select=id,displayName&$filter=city eq null&$count=true",
             "headers": {"ConsistencyLevel": "eventual"}},
            {"id": "3", "method": "GET", "url": "/users/nobody"},
            {"id": "4", "method": "GET", "url": "https://example.com/users"},
            {"id": "5", "method": "PATCH", "url": "/users/x", "body": {"city": "Rome"}},
            {"id": "6", "method": "POST", "url": "/$batch", "headers": {"Content-Type": "application/json"}, "body": {"requests": []}},
        ]),
    )
    .await;
    let expected = [
        ("1", 200),
        ("2", 200),
        ("3", 404),
        ("4", 400),
        ("5", 400),
        ("6", 400),
    ];
    assert_eq!(
        statuses(&answer),
        expected.map(|(id, status)| (id.to_owned(), status))
    );
    let json = answer.json();
    let responses = &json["responses"];
    assert_eq!(responses[0]["body"]["displayName"], "ann");
    assert_eq!(responses[1]["body"]["@odata.count"], 1);
    assert_eq!(
        responses[2]["body"]["error"]["code"],
        "Request_ResourceNotFound"
    );
    assert!(
        responses[0]["headers"]["Content-Type"]
            .as_str()
            .is_some_and(|value| value.starts_with("application/json"))
    );
    assert_eq!(site.running.stats().route("GET /users/{user}"), 2);
    site.assert_clean();
}

#[tokio::test]
async fn bytes_travel_as_base64() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mail = b"From: a@example.com\r\nSubject: x\r\n\r\n\xff\xfe\r\n";
    std::fs::write(folder.path().join("one"), mail).expect("it can be written");
    let site = Site::start(World::new().mail("ann", folder.path())).await;
    let base = "/users/ann@contoso.onmicrosoft.com";
    let list = site.get(&format!("/v1.0{base}/messages")).await;
    let id = &list.column("id")[0];
    let answer = batch(
        &site,
        json!([
            {"id": "1", "method": "GET", "url": format!("{base}/messages/{id}/$value")},
            {"id": "2", "method": "POST", "url": format!("{base}/messages"), "headers": {"Content-Type": "text/plain"},
             "body": BASE64.encode(BASE64.encode(mail).as_bytes())},
        ]),
    )
    .await;
    let json = answer.json();
    let value = json["responses"][0]["body"]
        .as_str()
        .expect("base64 is text");
    assert_eq!(BASE64.decode(value.as_bytes()).expect("it is base64"), mail);
    assert_eq!(json["responses"][1]["status"], 201, "{json}");
    site.assert_clean();
}

#[tokio::test]
async fn a_failed_predecessor_stops_its_successors() {
    let site = Site::start(World::new()).await;
    let answer = batch(
        &site,
        json!([
            {"id": "c", "method": "GET", "url": "/users", "dependsOn": ["b"]},
            {"id": "b", "method": "GET", "url": "/users/nobody", "dependsOn": ["a"]},
            {"id": "a", "method": "GET", "url": "/users"},
            {"id": "d", "method": "GET", "url": "/users", "dependsOn": ["a"]},
        ]),
    )
    .await;
    let expected = [("c", 424), ("b", 404), ("a", 200), ("d", 200)];
    assert_eq!(
        statuses(&answer),
        expected.map(|(id, status)| (id.to_owned(), status))
    );
}

#[tokio::test]
async fn a_batch_that_is_not_one_is_refused() {
    let site = Site::start(World::new()).await;
    let part = |id: &str| json!({"id": id, "method": "GET", "url": "/users"});
    let many: Vec<_> = (0..21).map(|n| part(&n.to_string())).collect();
    let cases = [
        json!({"requests": many}),
        json!({"requests": []}),
        json!({"requests": [part("1"), part("1")]}),
        json!({"requests": [{"id": "1", "method": "GET"}]}),
        json!({"requests": [{"id": "1", "method": "GET", "url": "/users", "dependsOn": ["9"]}]}),
        json!({"requests": [
            {"id": "1", "method": "GET", "url": "/users", "dependsOn": ["2"]},
            {"id": "2", "method": "GET", "url": "/users", "dependsOn": ["1"]},
        ]}),
        json!({"requests": "x"}),
        json!([]),
    ];
    for case in cases {
        let answer = site.post("/v1.0/$batch", &case).await;
        assert_eq!(answer.status, 400, "{case}");
    }
    assert_eq!(site.get("/v1.0/$batch").await.status, 405);
    let bare = site
        .bare(Method::POST, "/v1.0/$batch")
        .json(&json!({"requests": [part("1")]}));
    assert_eq!(send(bare).await.status, 401);
}

/// Abuse 34.
#[tokio::test]
async fn a_throttled_part_has_its_own_retry_after() {
    let site = Site::start(World::new()).await;
    let mut rule = FaultRule::on("/users");
    rule.status = Some(429);
    rule.count = Some(1);
    rule.headers
        .insert("Retry-After".to_owned(), "17".to_owned());
    site.running.add_fault(rule).expect("a sound rule");
    let part = |id: &str| json!({"id": id, "method": "GET", "url": "/users"});
    let answer = batch(&site, json!([part("1"), part("2")])).await;
    assert_eq!(
        statuses(&answer),
        [("1".to_owned(), 429), ("2".to_owned(), 200)]
    );
    let json = answer.json();
    assert_eq!(json["responses"][0]["headers"]["Retry-After"], "17");
}
