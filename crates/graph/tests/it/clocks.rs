//! Wall clocks that are wrong or jump (abuse 53): nothing is asked too early, too late or too often for it.

use std::time::Duration;

use graph::Request;
use jiff::SignedDuration;
use model::Clock;

use crate::server::{Reply, Server, graph_only, mailbox};

const DAY: SignedDuration = SignedDuration::from_hours(24);

#[tokio::test]
async fn a_token_lives_as_long_as_it_was_given_whatever_the_wall_clock_says() {
    let server = Server::start(graph_only(|_, _| Reply::ok())).await;
    let client = server.client();
    for by in [DAY, -DAY * 2, -DAY * 365] {
        server.clock.set_wall_clock(by);
        let request = Request::get("/users/u/messages");
        client
            .send(&mailbox("u"), request)
            .await
            .expect("an answer");
    }
    assert_eq!(server.tokens().len(), 1, "neither expired nor doubted");
    server.clock.advance(Duration::from_secs(3600));
    server.clock.set_wall_clock(-DAY);
    let request = Request::get("/users/u/messages");
    client
        .send(&mailbox("u"), request)
        .await
        .expect("an answer");
    assert_eq!(server.tokens().len(), 2, "an hour is an hour");
}

#[tokio::test]
async fn a_wait_is_as_long_as_the_server_meant() {
    for by in [DAY, -DAY] {
        let server = Server::start(graph_only(|_, number| match number {
            0 => Reply::status(429)
                .with("date", "Tue, 10 Nov 2026 12:00:00 GMT")
                .with("retry-after", "Tue, 10 Nov 2026 12:00:41 GMT"),
            _ => Reply::ok(),
        }))
        .await;
        let client = server.client();
        server.clock.set_wall_clock(by);
        let request = Request::get("/users/u/messages");
        client
            .send(&mailbox("u"), request)
            .await
            .expect("an answer");
        assert_eq!(server.seen()[1].at, Duration::from_secs(41), "{by}");
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_within_a_wait_does_not_prolong_it() {
    let server = Server::start(graph_only(|_, number| match number {
        0 => Reply::status(429).with("retry-after", "41"),
        _ => Reply::ok(),
    }))
    .await;
    let client = server.client();
    let scope = mailbox("u");
    let asking = client.send(&scope, Request::get("/users/u/messages"));
    let setting_back = async {
        let busy = server.clock.busy("a test");
        while client.waiting().is_empty() {
            tokio::task::yield_now().await;
        }
        server.clock.set_wall_clock(-DAY);
        assert_eq!(client.waiting()[0].left, Duration::from_secs(41));
        drop(busy);
    };
    let (answer, ()) = tokio::join!(asking, setting_back);
    answer.expect("an answer");
    assert_eq!(server.seen()[1].at, Duration::from_secs(41));
}
