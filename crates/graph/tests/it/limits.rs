//! Keeping to the documented limits without being told.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use graph::{Client, Governor, Limits, Options, Request, Scope};
use serde_json::json;

use crate::server::{Reply, Server, graph_only, mailbox};

/// survival 3: four at a time in a mailbox, and eight in a directory; the server answers only once that many are there.
#[tokio::test]
async fn as_many_requests_are_in_flight_as_allowed_and_no_more() {
    for (scope, width) in [(mailbox("u"), 4), (Scope::Directory, 8)] {
        let server = Server::start(graph_only(move |_, _| {
            Reply::Together(width, Box::new(Reply::ok()))
        }))
        .await;
        let client = server.client();
        client.sign_in().await.expect("a token");
        let asked = (0..5 * width).map(|_| client.send(&scope, Request::get("/users/u/messages")));
        for outcome in join_all(asked).await {
            outcome.expect("an answer");
        }
        assert_eq!(server.most_in_flight(), width);
    }
}

/// survival 4: in no ten minutes more than the limit, retries included (survival 6).
#[tokio::test]
async fn no_ten_minutes_see_more_requests_than_allowed() {
    let server = Server::start(graph_only(|_, number| match number % 10 {
        3 => Reply::status(502),
        _ => Reply::ok(),
    }))
    .await;
    let client = server.client_with(Limits {
        outlook_requests: 60,
        ..Limits::default()
    });
    let scope = mailbox("u");
    let asked = (0..200).map(|_| client.send(&scope, Request::get("/users/u/messages")));
    for outcome in join_all(asked).await {
        outcome.expect("an answer");
    }
    let times: Vec<Duration> = server.seen().iter().map(|seen| seen.at).collect();
    assert!(times.len() > 220, "failed attempts count too");
    for (index, end) in times.iter().enumerate() {
        let begin = end.checked_sub(Duration::from_secs(600));
        let within = times[..=index]
            .iter()
            .filter(|at| begin.is_none_or(|begin| **at > begin));
        assert!(within.count() <= 60);
    }
    let least = times.len().div_ceil(60) as u64 - 1;
    assert!(
        server.elapsed_s() < least * 602 + 60,
        "nobody waited longer than the windows demand"
    );
}

#[tokio::test]
async fn uploads_keep_to_their_volume() {
    let server = Server::start(graph_only(|_, _| Reply::status(202))).await;
    let client = server.client_with(Limits {
        outlook_upload_bytes: 1_000_000,
        ..Limits::default()
    });
    let body = json!({"comment": "x".repeat(300_000)});
    for _ in 0..9 {
        let request = Request::post("/users/u/messages")
            .json(&body)
            .expect("JSON");
        client.send(&mailbox("u"), request).await.expect("accepted");
    }
    client
        .send(&mailbox("u"), Request::get("/users/u/messages/m/$value"))
        .await
        .expect("not held");
    let times: Vec<u64> = server
        .seen()
        .iter()
        .map(|seen| seen.at.as_secs() / 300)
        .collect();
    assert_eq!(times, [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]);
    assert_eq!(
        client.counters().bytes_up,
        9 * body.to_string().len() as u64
    );
}

/// Ten thousand mailboxes, one after another, leave no trace behind.
#[tokio::test]
async fn idle_lanes_are_forgotten() {
    let server = Server::start(graph_only(|_, _| Reply::ok())).await;
    let governor = Governor::new(Limits::default(), Arc::new(server.clock.clone()));
    let client = Client::new(Options {
        governor: governor.clone(),
        ..server.options()
    })
    .expect("good options");
    for number in 0..1000 {
        let scope = mailbox(&number.to_string());
        client
            .send(&scope, Request::get("/users/u/messages"))
            .await
            .expect("an answer");
        server.clock.advance(Duration::from_secs(60));
    }
    assert!(
        governor.lanes_held() <= 70,
        "{} lanes",
        governor.lanes_held()
    );
}
