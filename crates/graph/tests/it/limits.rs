//! Keeping to the documented limits without being told.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use graph::{Client, Governor, Limits, Options, Request, Scope};
use model::SimulatedClock;
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
        server.elapsed_s() < least * 603 + 60,
        "nobody waited longer than the windows demand"
    );
}

/// Nobody knows when a slow request was counted, only that it was before its answer came.
#[tokio::test]
async fn a_request_counts_from_its_answer() {
    let (clock, answering) = (Arc::new(OnceLock::<SimulatedClock>::new()), 100);
    let shared = Arc::clone(&clock);
    let server = Server::start(graph_only(move |_, _| {
        let clock = shared.get().expect("it is set before anybody asks");
        clock.advance(Duration::from_secs(answering));
        Reply::ok()
    }))
    .await;
    clock.set(server.clock.clone()).expect("it is set once");
    let client = server.client_with(Limits {
        outlook_requests: 1,
        ..Limits::default()
    });
    for _ in 0..2 {
        let request = Request::get("/users/u/messages");
        client
            .send(&mailbox("u"), request)
            .await
            .expect("an answer");
    }
    let apart = server.seen()[1].at - server.seen()[0].at;
    assert!(apart > Duration::from_secs(600 + answering), "{apart:?}");
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

/// Waits until `count` requests have arrived, and for so long that one more would be there as well.
async fn arrive(server: &Server, count: usize) {
    while server.seen().len() < count {
        tokio::task::yield_now().await;
    }
    for _ in 0..2_000 {
        tokio::task::yield_now().await;
    }
}

/// survival 3: a request is under way until its body is read to the end, and a repetition is a request like any other.
#[tokio::test]
async fn bodies_and_repetitions_count_as_requests_at_a_time() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n{".to_vec();
    for (scope, width, refused) in [
        (mailbox("u"), 4, 0),
        (mailbox("u"), 4, 4),
        (Scope::Directory, 8, 0),
    ] {
        let reply = Reply::Silence(head.clone());
        let server = Server::start(graph_only(move |_, number| match number < refused {
            true => Reply::status(401),
            false => reply.clone(),
        }))
        .await;
        let client = server.client();
        let asked = (0..20).map(|_| client.send(&scope, Request::get("/users/u/messages")));
        tokio::select! {
            _ = join_all(asked) => panic!("nothing was answered"),
            () = arrive(&server, refused + width) => {}
        }
        assert_eq!(server.seen().len(), refused + width);
    }
}

/// survival 26: however many mailboxes are busy, a client has so many connections and no more.
#[tokio::test]
async fn many_mailboxes_share_a_bounded_number_of_connections() {
    let server = Server::start(graph_only(|_, _| Reply::Silence(Vec::new()))).await;
    let client = Client::new(Options {
        exchanges_max: 10,
        ..server.options()
    })
    .expect("good options");
    let scopes: Vec<_> = (0..50).map(|number| mailbox(&number.to_string())).collect();
    let asked = scopes.iter().flat_map(|scope| [scope; 4]);
    let asked = asked.map(|scope| client.send(scope, Request::get("/users/u/messages")));
    tokio::select! {
        _ = join_all(asked) => panic!("nothing was answered"),
        () = arrive(&server, 10) => {}
    }
    assert_eq!(server.seen().len(), 10);
}

/// A large upload gets its turn, although there are always small ones that would fit into what is left.
#[tokio::test]
async fn small_uploads_do_not_starve_a_large_one() {
    let server = Server::start(graph_only(|_, _| Reply::status(202))).await;
    let client = server.client_with(Limits {
        outlook_upload_bytes: 100_000,
        ..Limits::default()
    });
    let scope = mailbox("u");
    let upload = |bytes: usize| {
        let body = json!("x".repeat(bytes));
        let request = Request::post("/users/u/messages").json(&body);
        client.send(&scope, request.expect("JSON"))
    };
    let (large, small) = (AtomicBool::new(false), AtomicUsize::new(0));
    let small_ones = || async {
        for _ in 0..50 {
            upload(1_500).await.expect("accepted");
            let late = small.fetch_add(1, Ordering::Relaxed) > 80;
            assert!(!late || large.load(Ordering::Relaxed), "it still waits");
            // They come one after the other, so that the window empties bit by bit.
            server.clock.advance(Duration::from_secs(3));
        }
    };
    let large_one = async {
        while small.load(Ordering::Relaxed) < 10 {
            tokio::task::yield_now().await;
        }
        upload(90_000).await.expect("accepted");
        large.store(true, Ordering::Relaxed);
    };
    tokio::join!(small_ones(), small_ones(), small_ones(), large_one);
    assert!(large.load(Ordering::Relaxed));
}
