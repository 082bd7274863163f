//! Upload sessions: in ranges, taken up where the service stands, done only when it says so.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use graph::{Kind, Link, Response, Result, UPLOAD_CHUNK_BYTES};
use serde_json::json;

use crate::server::{Reply, Seen, Server, graph_only, mailbox};

const SIZE: usize = 2 * UPLOAD_CHUNK_BYTES + 1000;

fn content() -> Bytes {
    (0..SIZE).map(|n| (n % 251) as u8).collect()
}

type Mood = dyn Fn(&Seen, usize) -> Option<(bool, Reply)> + Send + Sync;

/// A session that keeps what it is given; `mood` may spoil the answer to a request, after the service has taken it (`true`) or before.
struct Session {
    stored: Mutex<Vec<u8>>,
    mood: Box<Mood>,
}

impl Session {
    fn answer(&self, seen: &Seen, number: usize) -> Reply {
        let mood = (self.mood)(seen, number);
        if let Some((false, reply)) = mood {
            return reply;
        }
        let honest = self.take(seen);
        mood.map_or(honest, |(_, reply)| reply)
    }

    fn take(&self, seen: &Seen) -> Reply {
        let mut stored = self.stored.lock().expect("no thread panics here");
        if seen.method == "PUT" {
            let range = seen.header("content-range").expect("a range");
            let (start, rest) = range
                .trim_start_matches("bytes ")
                .split_once('-')
                .expect("a range");
            let start: usize = start.parse().expect("a number");
            let end: usize = rest
                .split('/')
                .next()
                .and_then(|end| end.parse().ok())
                .expect("a number");
            assert_eq!(end + 1 - start, seen.body.len());
            assert!(rest.ends_with(&format!("/{SIZE}")));
            assert!(start.is_multiple_of(320 * 1024));
            if start != stored.len() {
                return Reply::status(416);
            }
            stored.extend_from_slice(&seen.body);
            if stored.len() == SIZE {
                return Reply::status(201).with("location", "https://outlook.office.com/x");
            }
        }
        Reply::json(
            200,
            &json!({"nextExpectedRanges": [stored.len().to_string()]}),
        )
    }
}

async fn upload(
    mood: impl Fn(&Seen, usize) -> Option<(bool, Reply)> + Send + Sync + 'static,
) -> (Result<Response>, Vec<Seen>, Vec<u8>) {
    let session = Arc::new(Session {
        stored: Mutex::default(),
        mood: Box::new(mood),
    });
    let shared = Arc::clone(&session);
    let server = Server::start(graph_only(move |seen, number| shared.answer(seen, number))).await;
    let link = Link::new(server.link("/upload?authtoken=secret"));
    let outcome = server
        .client()
        .upload(&mailbox("u"), &link, content())
        .await;
    let seen = server.seen();
    assert!(
        seen.iter()
            .all(|seen| seen.header("authorization").is_none()),
        "survival 23, 24"
    );
    assert!(server.tokens().is_empty());
    let stored = session
        .stored
        .lock()
        .expect("no thread panics here")
        .clone();
    (outcome, seen, stored)
}

#[tokio::test]
async fn ranges_arrive_in_order_and_whole() {
    let (outcome, seen, stored) = upload(|_, _| None).await;
    assert_eq!(outcome.expect("done").status, 201);
    assert_eq!(seen.len(), 3);
    assert!(stored == content());
}

/// survival 12-14: whatever happens to a range or its answer, the upload goes on where the service stands.
#[tokio::test]
async fn a_lost_range_or_answer_is_taken_up_again() {
    let moods: Vec<(&str, bool, Reply)> = vec![
        ("reset before it was taken", false, Reply::Reset(Vec::new())),
        ("reset after it was taken", true, Reply::Reset(Vec::new())),
        ("502 before it was taken", false, Reply::status(502)),
        ("504 after it was taken", true, Reply::status(504)),
        (
            "HTML after it was taken",
            true,
            Reply::Answer(200, vec![], b"<html>".to_vec()),
        ),
        (
            "429 before it was taken",
            false,
            Reply::status(429).with("retry-after", "20"),
        ),
        (
            "503 before it was taken",
            false,
            Reply::status(503).with("retry-after", "20"),
        ),
        (
            "429 although it was taken",
            true,
            Reply::status(429).with("retry-after", "20"),
        ),
    ];
    for (name, taken, reply) in moods {
        let (outcome, _, stored) =
            upload(move |_, number| (number == 1).then(|| (taken, reply.clone()))).await;
        assert_eq!(outcome.expect(name).status, 201, "{name}");
        assert!(stored == content(), "{name}");
    }
}

#[tokio::test]
async fn a_session_that_has_ended_is_not_found() {
    let (outcome, _, _) = upload(|_, number| match number {
        0 => None,
        1 => Some((false, Reply::Reset(Vec::new()))),
        _ => Some((false, Reply::error(404, "itemNotFound"))),
    })
    .await;
    assert_eq!(outcome.expect_err("gone").kind(), Kind::NotFound);
}

/// abuse 36: the last range was sent and its answer lost, so the item may exist.
#[tokio::test]
async fn an_end_that_nobody_confirmed_is_unknown() {
    for after in [
        Reply::error(404, "itemNotFound"),
        Reply::json(200, &json!({"nextExpectedRanges": []})),
    ] {
        let (outcome, _, stored) = upload(move |_, number| match number {
            0 | 1 => None,
            2 => Some((true, Reply::Reset(Vec::new()))),
            _ => Some((false, after.clone())),
        })
        .await;
        let kind = outcome.expect_err("unknown").kind();
        assert!(
            matches!(kind, Kind::OutcomeUnknown | Kind::BadAnswer),
            "{kind:?}"
        );
        assert!(stored == content());
    }
}

#[tokio::test]
async fn only_the_end_is_the_end() {
    let early = |_: &Seen, _: usize| Some((false, Reply::json(201, &json!({"id": "x"}))));
    let (outcome, seen, _) = upload(early).await;
    assert_eq!(outcome.expect_err("too early").kind(), Kind::BadAnswer);
    assert_eq!(seen.len(), 1);
    let stuck = |_: &Seen, _: usize| {
        Some((
            false,
            Reply::json(202, &json!({"nextExpectedRanges": ["0-"]})),
        ))
    };
    let (outcome, seen, _) = upload(stuck).await;
    assert_eq!(
        outcome.expect_err("no progress").kind(),
        Kind::OutcomeUnknown
    );
    assert!(seen.len() < 10);
}
