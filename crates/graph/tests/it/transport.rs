//! What the network does to an answer, and what the client makes of it.

use std::{io::Write, time::Duration};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use graph::{Client, Cloud, Kind, Link, Options, Repeat, Request, Scope};
use model::Clock;
use serde_json::json;
use tokio::time::timeout;

use crate::server::{self, Reply, Server, graph_only, mailbox, render};

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

/// A good answer, for comparison and for cutting.
fn good() -> Vec<u8> {
    render(
        200,
        &[("content-type", "application/json".to_owned())],
        br#"{"ok": true}"#,
    )
}

fn zipped(body: &[u8]) -> Vec<u8> {
    let mut answer = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n".to_vec();
    answer.extend_from_slice(body);
    answer
}

/// Answers that are broken in passing, each by its name.
fn moods() -> Vec<(&'static str, Reply)> {
    let html = b"<html><body>Our services aren't available right now</body></html>".to_vec();
    let kind = vec![("content-type", "text/html".to_owned())];
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"ok\"\r\n".to_vec();
    let whole = gzip(&[b'7'; 5000]);
    vec![
        ("closed before any byte", Reply::Bytes(Vec::new())),
        ("reset before any byte", Reply::Reset(Vec::new())),
        ("reset within the head", Reply::Reset(good()[..20].to_vec())),
        (
            "reset within the body",
            Reply::Reset(good()[..good().len() - 3].to_vec()),
        ),
        (
            "closed within the head",
            Reply::Bytes(good()[..20].to_vec()),
        ),
        (
            "closed within the body",
            Reply::Bytes(good()[..good().len() - 3].to_vec()),
        ),
        ("chunks without an end", Reply::Bytes(chunked)),
        (
            "gzip without its end",
            Reply::Bytes(zipped(&whole[..whole.len() - 9])),
        ),
        ("not gzip at all", Reply::Bytes(zipped(b"{\"ok\": true}"))),
        (
            "no HTTP",
            Reply::Bytes(b"220 mail.example ESMTP\r\n".to_vec()),
        ),
        (
            "length that is no number",
            Reply::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n{}".to_vec()),
        ),
        (
            "HTML with 200",
            Reply::Answer(200, kind.clone(), html.clone()),
        ),
        (
            "HTML with 503",
            Reply::Answer(503, kind.clone(), html.clone()),
        ),
        ("HTML with 404", Reply::Answer(404, kind, html)),
        ("empty 200", Reply::status(200)),
        ("empty 503", Reply::status(503)),
        ("empty 404", Reply::status(404)),
        ("502", Reply::status(502)),
        ("504", Reply::error(504, "UnknownError")),
        ("500", Reply::error(500, "InternalServerError")),
        ("509", Reply::status(509)),
        ("sudden invalidRequest", Reply::error(400, "invalidRequest")),
        (
            "JSON that stops",
            Reply::Answer(200, Vec::new(), b"{\"value\": [".to_vec()),
        ),
    ]
}

/// survival 7, 9, 10, 13, 14, 20, 21; abuse 35, 41, 57.
#[tokio::test]
async fn a_get_outlasts_every_passing_mood() {
    for (name, mood) in moods() {
        let server = Server::start(graph_only(move |_, number| match number {
            0 => mood.clone(),
            _ => Reply::ok(),
        }))
        .await;
        let client = server.client();
        let answer = client.send(&Scope::Directory, Request::get("/users")).await;
        let answer = answer.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(&answer.body[..], br#"{"ok":true}"#, "{name}");
        assert_eq!(server.seen().len(), 2, "{name}");
        assert_eq!(client.counters().retries, 1, "{name}");
    }
}

/// survival 18, 19; abuse 36: whatever may have happened, a POST is not sent twice, and the caller is told to look.
#[tokio::test]
async fn a_post_is_never_repeated_blindly() {
    for (name, mood) in moods() {
        let server = Server::start(graph_only(move |_, _| mood.clone())).await;
        let request = Request::post("/users/u/messages")
            .json(&json!({"subject": "x"}))
            .expect("JSON");
        let outcome = server.client().send(&mailbox("u"), request).await;
        let expected = match name {
            "sudden invalidRequest" => Kind::Invalid,
            "HTML with 404" | "empty 404" => Kind::BadAnswer,
            "empty 200" => {
                assert!(outcome.is_ok(), "a POST may have nothing to say");
                continue;
            }
            _ => Kind::OutcomeUnknown,
        };
        assert_eq!(outcome.expect_err(name).kind(), expected, "{name}");
        assert_eq!(server.seen().len(), 1, "{name}");
    }
}

/// survival 18: a repetition carries the whole body again.
#[tokio::test]
async fn a_repeated_body_is_whole() {
    let server = Server::start(graph_only(|_, number| match number {
        0 => Reply::status(429).with("retry-after", "3"),
        1 => Reply::status(503).with("retry-after", "2"),
        2 => Reply::status(401),
        _ => Reply::json(201, &json!({"id": "m"})),
    }))
    .await;
    let body = json!({"subject": "x".repeat(300_000)});
    let request = Request::post("/users/u/messages")
        .json(&body)
        .expect("JSON");
    let answer = server
        .client()
        .send(&mailbox("u"), request)
        .await
        .expect("sent");
    assert_eq!(answer.status, 201);
    let seen = server.seen();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|seen| seen.json() == body));
}

#[tokio::test]
async fn trouble_that_stays_is_reported_as_what_it_is() {
    let check = |reply: Reply, kind: Kind, requests: usize| async move {
        let server = Server::start(graph_only(move |_, _| reply.clone())).await;
        let error = server
            .client()
            .send(&mailbox("u"), Request::get("/users/u/messages/m"))
            .await
            .expect_err("it never succeeds");
        assert_eq!(
            (error.kind(), server.seen().len()),
            (kind, requests),
            "{error}"
        );
    };
    check(Reply::status(502), Kind::Unavailable, 7).await;
    check(Reply::Reset(Vec::new()), Kind::Unavailable, 7).await;
    check(Reply::status(404), Kind::BadAnswer, 4).await;
    check(Reply::error(404, "ErrorItemNotFound"), Kind::NotFound, 1).await;
    check(
        Reply::error(403, "ErrorAccessDenied"),
        Kind::AccessDenied,
        1,
    )
    .await;
    check(Reply::error(410, "SyncStateNotFound"), Kind::Resync, 1).await;
    check(Reply::error(409, "ErrorFolderExists"), Kind::Conflict, 1).await;
    check(Reply::status(200), Kind::BadAnswer, 4).await;
}

/// survival 23, abuse 40: a redirect is not followed, so no token goes with it.
#[tokio::test]
async fn a_redirect_leads_nowhere() {
    let elsewhere = Server::start(graph_only(|_, _| Reply::ok())).await;
    let target = elsewhere.link("/v1.0/users");
    let server = Server::start(graph_only(move |_, _| {
        Reply::status(302).with("location", &target)
    }))
    .await;
    let outcome = server
        .client()
        .send(&Scope::Directory, Request::get("/users"))
        .await;
    assert_eq!(outcome.expect_err("no answer").kind(), Kind::BadAnswer);
    assert!(elsewhere.seen().is_empty());
}

/// abuse 57: nothing was sent, so even a POST may be tried again, and its fate is known.
#[tokio::test]
async fn a_connection_that_never_was_leaves_no_doubt() {
    let token = r#"{"token_type":"Bearer","expires_in":3599,"access_token":"t"}"#;
    let server = Server::start(move |_, _| {
        Reply::Bytes(render(
            200,
            &[("connection", "close".to_owned())],
            token.as_bytes(),
        ))
    })
    .await;
    let client = server.client();
    client.sign_in().await.expect("a token");
    let clock = server.clock.clone();
    server.stop().await;
    let request = Request::post("/users/u/messages")
        .json(&json!({}))
        .expect("JSON");
    let error = client
        .send(&mailbox("u"), request.repeat(Repeat::Never))
        .await
        .expect_err("nobody listens");
    assert_eq!(error.kind(), Kind::Unavailable);
    assert_eq!(client.counters().retries, 6);
    assert!(clock.elapsed() > Duration::from_secs(31));
}

/// Long enough on any machine for what takes some hundredths of a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// survival 17, abuse 41: silence is given up and asked again, whether it begins before the answer or within it.
#[tokio::test]
async fn silence_is_not_waited_for() {
    for said in [Vec::new(), good()[..good().len() - 3].to_vec()] {
        let server = Server::start(graph_only(move |_, number| match number {
            0 => Reply::Silence(said.clone()),
            _ => Reply::ok(),
        }))
        .await;
        let idle_timeout = Duration::from_millis(50);
        let client = Client::new(Options {
            idle_timeout,
            ..server.options()
        })
        .expect("good options");
        let asking = client.send(&Scope::Directory, Request::get("/users"));
        let answer = timeout(PATIENCE, asking).await.expect("it waits for ever");
        assert!(answer.is_ok(), "{answer:?}");
        assert_eq!(server.seen().len(), 2);
    }
}

/// abuse 41: a few kilobytes that become gigabytes, and a length that nobody would hold in memory.
#[tokio::test]
async fn an_answer_beyond_its_bound_is_dropped_at_once() {
    let bomb = gzip(&vec![0; 64 << 20]);
    assert!(bomb.len() < 100_000);
    let claims = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n{".to_vec();
    for reply in [Reply::Bytes(zipped(&bomb)), Reply::Silence(claims)] {
        let server = Server::start(graph_only(move |_, _| reply.clone())).await;
        let request = Request::get("/users/u/messages/m/$value").max_bytes(1 << 20);
        let error = server
            .client()
            .send(&mailbox("u"), request)
            .await
            .expect_err("too large");
        assert_eq!(error.kind(), Kind::BadAnswer);
        assert_eq!(server.seen().len(), 1, "the next answer would be as large");
    }
}

/// abuse 41: chunks, or lines of a head, that never end.
#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let reply = Reply::Endless(chunked, b"5\r\nxxxxx\r\n".to_vec());
    let server = Server::start(graph_only(move |_, _| reply.clone())).await;
    let request = Request::get("/users/u/messages/m/$value").max_bytes(1 << 20);
    let outcome = server.client().send(&mailbox("u"), request).await;
    assert_eq!(outcome.expect_err("no end").kind(), Kind::BadAnswer);
    assert_eq!(server.seen().len(), 1);
    let lines = Reply::Endless(
        b"HTTP/1.1 200 OK\r\n".to_vec(),
        b"x-more: more\r\n".to_vec(),
    );
    let server = Server::start(graph_only(move |_, _| lines.clone())).await;
    let request = Request::get("/users/u/messages/m/$value");
    let outcome = server.client().send(&mailbox("u"), request).await;
    assert_eq!(outcome.expect_err("no end").kind(), Kind::Unavailable);
}

/// abuse 41: a head that comes letter by letter is no sign of life.
#[tokio::test]
async fn a_head_that_only_drips_is_given_up() {
    let server = Server::start(graph_only(|_, number| match number {
        0 => Reply::Dripping(b"HTTP/1.1 200 OK\r\nx-slow: ".to_vec(), b"x".repeat(10_000)),
        _ => Reply::ok(),
    }))
    .await;
    let client = Client::new(Options {
        idle_timeout: Duration::from_millis(100),
        ..server.options()
    })
    .expect("good options");
    let answer = client.send(&Scope::Directory, Request::get("/users")).await;
    answer.expect("the second is good");
    assert_eq!(server.seen().len(), 2);
}

/// survival 17: what is slow but comes is waited for, however long it takes in all.
#[tokio::test]
async fn a_slow_body_may_take_longer_than_silence_may_last() {
    let body = br#"{"ok": "slowly but surely"}"#;
    let server = Server::start(graph_only(|_, _| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        Reply::Dripping(head.into_bytes(), body.to_vec())
    }))
    .await;
    let client = Client::new(Options {
        idle_timeout: server::DRIP * 10,
        ..server.options()
    })
    .expect("good options");
    let answer = client.send(&Scope::Directory, Request::get("/users")).await;
    assert_eq!(&answer.expect("an answer").body[..], body);
    assert_eq!(server.seen().len(), 1);
}

/// survival 17: a large body on a slow line is no silence.
#[tokio::test]
async fn what_is_sent_may_take_its_time() {
    let server = Server::start(graph_only(|_, _| {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
        Reply::Dripping(Vec::new(), [&head[..], b"{}"].concat())
    }))
    .await;
    let client = Client::new(Options {
        idle_timeout: server::DRIP * 10,
        ..server.options()
    })
    .expect("good options");
    let send = async |length: usize| {
        let request = Request::post("/users/u/messages").json(&json!({"x": "x".repeat(length)}));
        client.send(&mailbox("u"), request.expect("JSON")).await
    };
    let answer = send(64 * 1024).await;
    assert_eq!(answer.expect("an answer").status, 200);
    let given_up = send(1).await.expect_err("silence");
    assert_eq!(given_up.kind(), Kind::OutcomeUnknown, "{given_up}");
}

/// abuse 57: a name that nobody knows. Nothing was sent, so nothing is in doubt.
#[tokio::test]
async fn a_name_without_an_address_is_reported_as_that() {
    let server = Server::start(graph_only(|_, _| Reply::ok())).await;
    let cloud = Cloud::at("https://nowhere.invalid").expect("an https address");
    let client = Client::new(Options {
        cloud,
        ..server.options()
    })
    .expect("good options");
    let link = Link::new("https://nowhere.invalid/upload?authtoken=secret");
    let content = Bytes::from_static(b"content");
    let error = client
        .upload(&mailbox("u"), &link, content)
        .await
        .expect_err("there is no such host");
    assert_eq!(
        (error.kind(), client.counters().retries),
        (Kind::Unavailable, 6)
    );
    assert!(!format!("{error:?}").contains("authtoken"), "survival 28");
    let error = client.sign_in().await.expect_err("there is no such host");
    assert_eq!(error.kind(), Kind::Unavailable);
}

/// abuse 57: reset while the request itself is on its way. It may have arrived, so a POST is in doubt and a GET is asked again.
#[tokio::test]
async fn a_reset_within_the_request_leaves_a_doubt() {
    let token = r#"{"token_type":"Bearer","expires_in":3599,"access_token":"t"}"#;
    for read in [0, 10, 200, 70_000] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let resetting = tokio::spawn(async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut requests = 0;
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = Vec::new();
                let is_token = loop {
                    let mut some = [0; 1024];
                    let count = stream.read(&mut some).await.unwrap_or(0);
                    bytes.extend_from_slice(&some[..count]);
                    let is_token = bytes.starts_with(b"POST /tenant/");
                    if count == 0 || bytes.len() >= read || is_token {
                        break is_token;
                    }
                };
                if is_token {
                    let close = [("connection", "close".to_owned())];
                    let _ = stream
                        .write_all(&render(200, &close, token.as_bytes()))
                        .await;
                } else {
                    requests += 1;
                    let _ = stream.set_zero_linger();
                    if requests == 8 {
                        break;
                    }
                }
            }
        });
        let server = Server::start(graph_only(|_, _| Reply::ok())).await;
        let client = Client::new(Options {
            cloud: Cloud::at(&base).expect("a loopback address"),
            ..server.options()
        })
        .expect("good options");
        client.sign_in().await.expect("a token");
        let body = json!({"subject": "x".repeat(3_000_000)});
        let post = Request::post("/users/u/messages").json(&body);
        let outcome = client.send(&mailbox("u"), post.expect("JSON")).await;
        assert_eq!(
            outcome.expect_err("reset").kind(),
            Kind::OutcomeUnknown,
            "{read}"
        );
        assert_eq!(client.counters().retries, 0, "{read}");
        let patch = Request::patch("/users/u/messages/m").json(&body);
        let outcome = client.send(&mailbox("u"), patch.expect("JSON")).await;
        assert_eq!(
            outcome.expect_err("reset").kind(),
            Kind::Unavailable,
            "{read}"
        );
        assert_eq!(client.counters().retries, 6, "{read}");
        resetting.await.expect("no panic");
    }
}

/// abuse 41, slow drip: a body that never stops and never comes.
#[tokio::test]
async fn a_body_that_only_drips_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let server = Server::start(graph_only(|_, _| Reply::ok())).await;
    let clock = server.clock.clone();
    let dripping = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut connections = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            connections += 1;
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await;
            assert!(read.is_ok_and(|bytes| bytes > 0));
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n";
            let mut open = stream.write_all(head).await.is_ok();
            while open {
                clock.advance(Duration::from_secs(1));
                open = stream.write_all(b" ").await.is_ok();
                tokio::task::yield_now().await;
            }
            if connections == 7 {
                break;
            }
        }
        connections
    });
    let cloud = Cloud::at(&base).expect("a loopback address");
    let client = Client::new(Options {
        cloud,
        ..server.options()
    })
    .expect("good options");
    let error = client.sign_in().await.expect_err("no token comes");
    assert_eq!(error.kind(), Kind::Unavailable);
    assert_eq!(dripping.await.expect("no panic"), 7);
}

/// abuse 54, 58: odd JSON passes through untouched, and none of it harms.
#[tokio::test]
async fn odd_json_is_carried_as_it_is() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let odd = [
        format!(r#"{{"value": [{{"id": "a", "deep": {deep}}}]}}"#),
        r#"{"value": [{"id": "a", "id": "b", "subject": "\ud800 alone", "n": 1e999}]}"#.to_owned(),
        r##"{"value": [null, 7, {"@odata.type": "#microsoft.graph.never"}], "new": {"x": [1]}}"##
            .to_owned(),
    ];
    for body in odd {
        let text = body.clone();
        let server = Server::start(graph_only(move |_, _| {
            Reply::Answer(200, Vec::new(), text.clone().into_bytes())
        }))
        .await;
        let client = server.client();
        let answer = client
            .send(&Scope::Directory, Request::get("/users"))
            .await
            .expect("JSON");
        assert_eq!(answer.body, Bytes::from(body.clone()));
        let page = client
            .pages(&Scope::Directory, Request::get("/users"))
            .next()
            .await;
        let page = page.expect("a page").expect("the first page");
        assert!(
            body.contains(page.items[0].get()),
            "items are the bytes that came"
        );
    }
}

/// survival 16, 28, 60: what goes with every request, and what must not.
#[tokio::test]
async fn requests_say_who_asks_and_want_ids_that_last() {
    let server = Server::start(graph_only(|_, _| Reply::ok())).await;
    let client = server.client();
    let request = Request::get("/users/u/messages").prefer("odata.maxpagesize=50");
    client
        .send(&mailbox("u"), request)
        .await
        .expect("an answer");
    client
        .send(&mailbox("u"), Request::get("/users/u/messages/m/$value"))
        .await
        .expect("an answer");
    client
        .send(&Scope::Directory, Request::get("/users"))
        .await
        .expect("an answer");
    let seen = server.seen();
    for seen in &seen {
        let agent = seen.header("user-agent").expect("a user agent");
        assert!(agent.starts_with("ISV|Keepwell|Keepwell/"), "{agent}");
        assert_eq!(seen.header("authorization"), Some("Bearer token-1"));
        assert_eq!(seen.header("client-request-id").map(str::len), Some(36));
    }
    let immutable = r#"IdType="ImmutableId""#;
    let both = format!("{immutable}, odata.maxpagesize=50");
    assert_eq!(seen[0].header("prefer"), Some(both.as_str()));
    assert_eq!(seen[1].header("prefer"), Some(immutable));
    assert_eq!(seen[1].header("accept"), Some("*/*"));
    assert_eq!(seen[2].header("prefer"), None);
    let ids: std::collections::BTreeSet<_> = seen
        .iter()
        .map(|seen| seen.header("client-request-id"))
        .collect();
    assert_eq!(ids.len(), 3);
}

/// Dropping the future is how a request is cancelled; its permit comes back.
#[tokio::test]
async fn a_dropped_request_leaves_nothing_behind() {
    let server = Server::start(graph_only(|seen, _| match seen.path.as_str() {
        "/v1.0/users/u/slow" => Reply::Silence(Vec::new()),
        _ => Reply::ok(),
    }))
    .await;
    let client = server.client();
    for _ in 0..9 {
        let before = server.seen().len();
        let (slow_scope, slow) = (mailbox("u"), Request::get("/users/u/slow"));
        let slow = client.send(&slow_scope, slow);
        tokio::select! {
            outcome = slow => panic!("answered: {outcome:?}"),
            () = async { while server.seen().len() == before { tokio::task::yield_now().await } } => {}
        }
    }
    client
        .send(&mailbox("u"), Request::get("/users/u/messages"))
        .await
        .expect("a permit is free");
    server.clock.sleep(Duration::from_secs(1)).await;
}
