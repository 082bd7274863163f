//! Input that no honest client sends: the emulator refuses it and goes on (abuse 58, 96, 97).

use std::{net::SocketAddr, time::Duration};

use emulator::World;
use proptest::{
    prelude::{Just, Strategy, any},
    strategy::ValueTree,
    test_runner::TestRunner,
};
use reqwest::{Client, Method};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{Site, send};

/// Sends bytes and reads until the emulator closes or is silent for a moment.
async fn raw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut tcp = TcpStream::connect(address).await.expect("it listens");
    // It may close before it has read all.
    let _ = tcp.write_all(bytes).await;
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(2), tcp.read(&mut answer)).await;
    let length = read.map_or(0, |read| read.unwrap_or(0));
    answer.truncate(length);
    answer
}

async fn assert_alive(site: &Site) {
    assert_eq!(site.get("/v1.0/users").await.status, 200);
}

#[tokio::test]
async fn garbage_on_the_wire_is_survived() {
    let site = Site::start(World::new()).await;
    let long = format!(
        "GET /v1.0/users HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "a".repeat(1 << 20)
    );
    let cases: [&[u8]; 8] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1.0/users HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /v1.0/$batch HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"POST /v1.0/$batch HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\xff\x99\x99\x99\x99\x99\x99",
        long.as_bytes(),
    ];
    for case in cases {
        let answer = raw(site.running.address, case).await;
        let text = String::from_utf8_lossy(&answer);
        assert!(
            !text.starts_with("HTTP/1.1 2") && !text.contains(" 500 "),
            "{text}"
        );
    }
    assert_alive(&site).await;
}

#[tokio::test]
async fn any_request_line_gets_an_answer() {
    let site = Site::start(World::new().users(1, 1)).await;
    let token = site.new_token().await;
    let address = site.running.address;
    let piece = proptest::prop_oneof![
        Just("/v1.0/".to_owned()),
        Just("users".to_owned()),
        Just("('".to_owned()),
        Just("')".to_owned()),
        Just("mailFolders".to_owned()),
        Just("messages".to_owned()),
        Just("delta()".to_owned()),
        Just("$value".to_owned()),
        Just("?$filter=".to_owned()),
        Just("&$expand=a($select=".to_owned()),
        Just("%2".to_owned()),
        Just("//".to_owned()),
        Just("/../".to_owned()),
        "[!-~]{1,8}",
        any::<u8>().prop_map(|byte| format!("%{byte:02X}")),
    ];
    let paths = proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat());
    let methods = proptest::sample::select(vec![
        "GET", "POST", "PATCH", "DELETE", "PUT", "OPTIONS", "X",
    ]);
    let mut runner = TestRunner::deterministic();
    let mut statuses = std::collections::BTreeMap::new();
    for _ in 0..400 {
        let (method, path) = (&methods, &paths)
            .new_tree(&mut runner)
            .expect("a case can be made")
            .current();
        let request = format!(
            "{method} /v1.0/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Length: 2\r\n\r\n{{}}"
        );
        let answer = raw(address, request.as_bytes()).await;
        let status = String::from_utf8_lossy(&answer)
            .split(' ')
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        assert!(
            !status.is_empty() && status != "500",
            "{status:?} for {request}"
        );
        *statuses.entry(status).or_insert(0) += 1;
    }
    assert!(statuses.len() > 1, "{statuses:?}");
    assert_alive(&site).await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let site = Site::start(World::new()).await;
    let request = site.request(Method::POST, "/v1.0/$batch").await;
    let request = request
        .header("content-type", "application/json")
        .body(vec![b' '; 5 * 1024 * 1024]);
    // The emulator answers before it has read all, so that the client may see its own sending fail instead.
    if let Ok(response) = request.send().await {
        assert_eq!(response.status(), 413);
    }
    assert_alive(&site).await;
}

#[tokio::test]
async fn deep_and_odd_json_is_refused() {
    let site = Site::start(World::new().users(1, 1)).await;
    let user = &site.mailboxes()[0];
    let bodies = [
        "[".repeat(1_000_000),
        format!("{{\"requests\":{}", "[".repeat(100_000)),
        "{\"a\":1,\"a\":2}".to_owned(),
        "\"\\ud800\"".to_owned(),
        "1e999999".to_owned(),
        String::new(),
        "null".to_owned(),
    ];
    for path in [
        "/v1.0/$batch".to_owned(),
        format!("/v1.0{user}/mailFolders"),
    ] {
        for body in &bodies {
            let request = site.request(Method::POST, &path).await;
            let request = request
                .header("content-type", "application/json")
                .body(body.clone());
            let answer = send(request).await;
            assert_eq!(answer.status, 400, "{path} {}", &body[..body.len().min(40)]);
        }
    }
    assert_alive(&site).await;
}

#[tokio::test]
async fn http2_without_tls_is_spoken() {
    let site = Site::start(World::new()).await;
    site.add_user(1, "ann", &json!({}));
    let token = site.new_token().await;
    let client = Client::builder()
        .no_proxy()
        .http2_prior_knowledge()
        .build()
        .expect("a client can be made");
    let url = format!("{}/v1.0/users?$top=1", site.running.base_url);
    let response = client
        .get(url)
        .bearer_auth(token)
        .send()
        .await
        .expect("an answer comes");
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    let text = response.text().await.expect("the body comes");
    assert!(
        text.contains(&site.running.base_url),
        "links name the host: {text}"
    );
}

#[tokio::test]
async fn stopping_cuts_connections_and_frees_the_port() {
    let site = Site::start(World::new()).await;
    assert_alive(&site).await;
    let address = site.running.address;
    site.running.stop().await;
    let refused = TcpStream::connect(address).await;
    assert!(refused.is_err(), "nobody listens any more");
}
