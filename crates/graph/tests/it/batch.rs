//! `$batch`: every part has a fate of its own.

use graph::{BATCH_MAX, Kind, Request, Response};
use serde_json::{Value, json};

use crate::server::{Reply, Seen, Server, graph_only, mailbox};

/// Answers each part by `answer`, in reverse order.
fn each(seen: &Seen, answer: impl Fn(&Value) -> Option<Value>) -> Reply {
    let call = seen.json();
    let parts = call["requests"].as_array().expect("a batch has requests");
    let responses: Vec<Value> = parts
        .iter()
        .rev()
        .filter_map(|part| {
            let mut response = answer(part)?;
            response["id"] = part["id"].clone();
            Some(response)
        })
        .collect();
    Reply::json(200, &json!({"responses": responses}))
}

fn messages(count: usize) -> Vec<Request> {
    (0..count)
        .map(|number| {
            Request::get(format!("/users/u/messages/{number}")).query("$select", "id,changeKey")
        })
        .collect()
}

fn url(part: &Value) -> &str {
    part["url"].as_str().expect("a part has a URL")
}

fn number_in(response: &Response) -> u64 {
    response.json::<Value>().expect("JSON")["n"]
        .as_u64()
        .expect("a number")
}

#[tokio::test]
async fn answers_come_in_the_order_of_the_requests() {
    let server = Server::start(graph_only(|seen, _| {
        each(seen, |part| {
            let path = url(part).split('?').next()?;
            let number: u64 = path.rsplit('/').next()?.parse().ok()?;
            Some(match number {
                7 => json!({"status": 404, "body": {"error": {"code": "ErrorItemNotFound"}}}),
                _ => json!({"status": 200, "headers": null, "body": {"n": number}}),
            })
        })
    }))
    .await;
    let client = server.client();
    let answers = client
        .batch(&mailbox("u"), messages(45))
        .await
        .expect("answers");
    assert_eq!(answers.len(), 45);
    for (number, answer) in answers.iter().enumerate() {
        match answer {
            Ok(response) => assert_eq!(number_in(response), number as u64),
            Err(error) => assert_eq!((number, error.kind()), (7, Kind::NotFound)),
        }
    }
    let seen = server.seen();
    let sizes: Vec<_> = seen
        .iter()
        .map(|seen| seen.json()["requests"].as_array().map(Vec::len))
        .collect();
    assert_eq!(sizes, [Some(BATCH_MAX), Some(BATCH_MAX), Some(5)]);
    let part = &seen[0].json()["requests"][3];
    assert_eq!(url(part), "/users/u/messages/3?$select=id%2CchangeKey");
    assert_eq!(
        part["headers"]["Prefer"], r#"IdType="ImmutableId""#,
        "survival 60"
    );
    assert_eq!(client.counters().of("GET messages/{id}"), 45);
    assert_eq!(client.counters().of("POST $batch"), 3);
}

/// abuse 34.
#[tokio::test]
async fn throttled_parts_are_repeated_alone_after_the_longest_wait() {
    let server = Server::start(graph_only(|seen, number| {
        each(seen, |part| {
            let wait = match (number, url(part).split('?').next()?.rsplit('/').next()?) {
                (0, "2") => 5,
                (0, "4") => 33,
                _ => return Some(json!({"status": 200, "body": {"n": 1}})),
            };
            let code = json!({"error": {"code": "ApplicationThrottled"}});
            Some(json!({"status": 429, "headers": {"Retry-After": wait.to_string()}, "body": code}))
        })
    }))
    .await;
    let client = server.client();
    let answers = client
        .batch(&mailbox("u"), messages(6))
        .await
        .expect("answers");
    assert!(answers.iter().all(Result::is_ok));
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    let again = seen[1].json();
    let again: Vec<_> = again["requests"]
        .as_array()
        .into_iter()
        .flatten()
        .map(url)
        .collect();
    assert_eq!(again.len(), 2);
    assert!(again[0].contains("/2?") && again[1].contains("/4?"));
    assert_eq!(seen[1].at.as_secs(), 33);
    let counters = client.counters();
    assert_eq!((counters.throttled, counters.retries), (2, 2));
}

#[tokio::test]
async fn parts_without_an_answer_are_asked_for_again_and_then_reported() {
    let server = Server::start(graph_only(|seen, _| {
        each(seen, |part| {
            (!url(part).contains("/1?")).then(|| json!({"status": 200, "body": {"n": 0}}))
        })
    }))
    .await;
    let answers = server
        .client()
        .batch(&mailbox("u"), messages(3))
        .await
        .expect("answers");
    let error = answers[1].as_ref().expect_err("never answered");
    assert_eq!(
        error.kind(),
        Kind::BadAnswer,
        "survival 64: not answered is not gone"
    );
    assert!(answers[0].is_ok() && answers[2].is_ok());
    assert_eq!(server.seen().len(), 4);
}

/// survival 9 and 21, within a batch.
#[tokio::test]
async fn a_part_without_a_body_is_not_believed() {
    for status in [200, 404] {
        let server = Server::start(graph_only(move |seen, _| {
            each(seen, |_| Some(json!({"status": status})))
        }))
        .await;
        let answers = server
            .client()
            .batch(&mailbox("u"), messages(1))
            .await
            .expect("answers");
        let error = answers[0].as_ref().expect_err("nothing was said");
        assert_eq!(error.kind(), Kind::BadAnswer, "{status}");
        assert_eq!(server.seen().len(), 4, "{status}");
    }
}

#[tokio::test]
async fn bytes_travel_as_base64_both_ways() {
    let server = Server::start(graph_only(|seen, _| {
        each(seen, |part| match part["method"].as_str()? {
            "GET" => Some(json!({"status": 200, "headers": {"Content-Type": "text/plain"}, "body": "U3ViamVjdDogeA0K"})),
            _ => Some(json!({"status": 201, "body": {"echo": part["body"], "type": part["headers"]["Content-Type"]}})),
        })
    }))
    .await;
    let text = http::HeaderValue::from_static("text/plain");
    let requests = vec![
        Request::get("/users/u/messages/m/$value"),
        Request::post("/users/u/messages").body(bytes::Bytes::from_static(b"MIME"), text),
        Request::post("/users/u/messages")
            .json(&json!({"subject": "x"}))
            .expect("JSON"),
    ];
    let answers = server
        .client()
        .batch(&mailbox("u"), requests)
        .await
        .expect("answers");
    let body = |index: usize| answers[index].as_ref().expect("an answer").body.clone();
    assert_eq!(&body(0)[..], b"Subject: x\r\n");
    let json = |index| serde_json::from_slice::<Value>(&body(index)).expect("JSON");
    assert_eq!(json(1), json!({"echo": "TUlNRQ==", "type": "text/plain"}));
    assert_eq!(json(2)["echo"], json!({"subject": "x"}));
}

/// A batch that writes is not repeated when it is not known what became of it, neither whole nor in parts.
#[tokio::test]
async fn a_batch_that_writes_is_not_repeated_blindly() {
    let post = || {
        Request::post("/users/u/messages")
            .json(&json!({}))
            .expect("JSON")
    };
    let server = Server::start(graph_only(|_, _| Reply::Reset(Vec::new()))).await;
    let error = server
        .client()
        .batch(&mailbox("u"), vec![post()])
        .await
        .expect_err("lost");
    assert_eq!(
        (error.kind(), server.seen().len()),
        (Kind::OutcomeUnknown, 1)
    );
    let server = Server::start(graph_only(|seen, _| {
        each(seen, |_| Some(json!({"status": 504})))
    }))
    .await;
    let answers = server
        .client()
        .batch(&mailbox("u"), vec![post()])
        .await
        .expect("answers");
    let error = answers[0].as_ref().expect_err("unknown");
    assert_eq!(
        (error.kind(), server.seen().len()),
        (Kind::OutcomeUnknown, 1)
    );
}

#[tokio::test]
async fn nothing_to_ask_is_not_asked() {
    let server = Server::start(graph_only(|_, _| Reply::ok())).await;
    let answers = server
        .client()
        .batch(&mailbox("u"), Vec::new())
        .await
        .expect("answers");
    assert!(answers.is_empty() && server.seen().is_empty());
}
