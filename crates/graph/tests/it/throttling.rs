//! Being told to wait: by whom it is heeded, for how long, and who goes on meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use graph::{Client, Governor, Kind, Limits, Options, Repeat, Request, WaitCause};
use model::{Clock, TenantId};
use serde_json::json;

use crate::server::{Reply, Server, granted, graph_only, mailbox};

/// survival 2, abuse 33: how long the second attempt came after the first.
#[tokio::test]
async fn every_form_of_retry_after_is_honoured() {
    let check = |value: Option<&'static str>,
                 status: u16,
                 wait_s: std::ops::RangeInclusive<f64>| async move {
        let server = Server::start(graph_only(move |_, number| match (number, value) {
            (0, Some(value)) => Reply::status(status).with("retry-after", value),
            (0, None) => Reply::status(status),
            _ => Reply::ok(),
        }))
        .await;
        let request = Request::get("/users/u/messages");
        server
            .client()
            .send(&mailbox("u"), request)
            .await
            .expect("an answer in the end");
        let waited = server.seen()[1].at.as_secs_f64();
        assert!(wait_s.contains(&waited), "{value:?}: waited {waited} s");
    };
    check(Some("1"), 429, 1.0..=1.0).await;
    check(Some("41"), 429, 41.0..=41.0).await;
    check(Some("2.5"), 429, 2.5..=2.5).await;
    check(Some("600"), 429, 600.0..=600.0).await;
    check(Some("7200"), 429, 7200.0..=7200.0).await;
    check(Some("Tue, 10 Nov 2026 12:05:00 GMT"), 429, 299.0..=300.0).await;
    check(Some("30"), 503, 30.0..=30.0).await;
    check(Some("0"), 429, 1.0..=1.0).await;
    check(Some("soon"), 429, 1.0..=1.0).await;
    check(None, 429, 1.0..=1.0).await;
    check(None, 503, 0.5..=1.0).await;
}

/// survival 1 and 6: one request is throttled, all of the mailbox wait; nobody else does.
#[tokio::test]
async fn the_gate_closes_for_the_whole_mailbox_and_for_nobody_else() {
    let server = Server::start(graph_only(|seen, number| {
        match seen.path.starts_with("/v1.0/users/slow") && number == 0 {
            true => Reply::status(429).with("retry-after", "41"),
            false => Reply::ok(),
        }
    }))
    .await;
    let client = server.client();
    let throttled = tokio::spawn({
        let client = client.clone();
        async move {
            client
                .send(&mailbox("slow"), Request::get("/users/slow/messages"))
                .await
        }
    });
    let busy = server.clock.busy("a test");
    while client.waiting().is_empty() {
        tokio::task::yield_now().await;
    }
    let second = tokio::spawn({
        let client = client.clone();
        async move {
            client
                .send(&mailbox("slow"), Request::get("/users/slow/mailFolders"))
                .await
        }
    });
    let waiting = loop {
        let waiting = client.waiting();
        if waiting[0].requests == 2 {
            break waiting;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].scope, mailbox("slow"));
    assert_eq!(waiting[0].cause, WaitCause::Throttled);
    assert_eq!(waiting[0].left, Duration::from_secs(41));
    assert_eq!(waiting[0].since, server.clock.now());
    assert_eq!(
        waiting[0].to_string(),
        "waiting 41 s for Outlook, mailbox slow: Microsoft asked for it, 2 requests since 2026-11-10T12:00:00Z"
    );
    client
        .send(&mailbox("fast"), Request::get("/users/fast/messages"))
        .await
        .expect("not held");
    assert_eq!(
        server.clock.elapsed(),
        Duration::ZERO,
        "the other mailbox did not wait"
    );
    drop(busy);
    throttled.await.expect("no panic").expect("an answer");
    second.await.expect("no panic").expect("an answer");
    let seen = server.seen();
    assert_eq!(seen.len(), 4);
    assert!(
        seen[2..]
            .iter()
            .all(|seen| seen.at == Duration::from_secs(41))
    );
    assert!(client.waiting().is_empty());
    let counters = client.counters();
    assert_eq!(counters.throttled, 1);
    assert_eq!(
        counters.waited,
        2 * Duration::from_secs(41),
        "both requests waited"
    );
}

/// abuse 56: two tenants on one governor.
#[tokio::test]
async fn a_throttled_tenant_does_not_slow_a_healthy_one() {
    let sick = Server::start(graph_only(|_, number| match number {
        0 => Reply::status(429).with("retry-after", "500"),
        _ => Reply::ok(),
    }))
    .await;
    let healthy = Server::start(graph_only(|_, _| Reply::ok())).await;
    let clock = Arc::new(sick.clock.clone());
    let governor = Governor::new(Limits::default(), Arc::clone(&clock) as _);
    let client = |server: &Server, tenant: &str| {
        Client::new(Options {
            tenant: TenantId::new(tenant).expect("an id"),
            governor: governor.clone(),
            clock: Arc::clone(&clock) as _,
            ..server.options()
        })
        .expect("good options")
    };
    let (one, other) = (client(&sick, "sick"), client(&healthy, "healthy"));
    let _busy = clock.busy("a test");
    let held = tokio::spawn({
        let one = one.clone();
        async move {
            one.send(&mailbox("u"), Request::get("/users/u/messages"))
                .await
        }
    });
    while one.waiting().is_empty() {
        tokio::task::yield_now().await;
    }
    for _ in 0..50 {
        other
            .send(&mailbox("u"), Request::get("/users/u/messages"))
            .await
            .expect("not held");
    }
    assert_eq!(clock.elapsed(), Duration::ZERO);
    assert!(other.waiting().is_empty(), "a tenant sees its own");
    assert_eq!(governor.waiting().len(), 1);
    held.abort();
}

/// abuse 33: a storm ends, one way or the other.
#[tokio::test]
async fn a_storm_is_outlasted_or_reported() {
    for (length, outlasted) in [(20, true), (21, false)] {
        let server = Server::start(graph_only(move |_, number| match number < length {
            true => Reply::status(429).with("retry-after", "10"),
            false => Reply::ok(),
        }))
        .await;
        let client = server.client();
        let outcome = client
            .send(&mailbox("u"), Request::get("/users/u/messages"))
            .await;
        assert_eq!(outcome.is_ok(), outlasted);
        if let Err(error) = outcome {
            let retry_after = Some(Duration::from_secs(10));
            assert_eq!(error.kind(), Kind::Throttled { retry_after });
        }
        assert_eq!(client.counters().throttled, length as u64);
    }
}

/// A wait of more than a day is not slept through, and not cut short either.
#[tokio::test]
async fn a_wait_of_days_is_reported_instead() {
    let server = Server::start(graph_only(|_, _| {
        Reply::status(429).with("retry-after", "200000")
    }))
    .await;
    let outcome = server
        .client()
        .send(&mailbox("u"), Request::get("/users/u/messages"))
        .await;
    let retry_after = Some(Duration::from_secs(200_000));
    assert_eq!(
        outcome.expect_err("reported").kind(),
        Kind::Throttled { retry_after }
    );
    assert_eq!((server.seen().len(), server.elapsed_s()), (1, 0));
}

/// abuse 36: what must not exist twice is not repeated even after 429, but the wait is still kept.
#[tokio::test]
async fn a_request_for_once_is_left_to_the_caller_and_the_gate_is_kept() {
    let server = Server::start(graph_only(|_, number| match number {
        0 => Reply::status(429).with("retry-after", "15"),
        _ => Reply::ok(),
    }))
    .await;
    let client = server.client();
    let request = Request::post("/users/u/messages")
        .json(&json!({}))
        .expect("JSON");
    let outcome = client
        .send(&mailbox("u"), request.repeat(Repeat::Never))
        .await;
    assert_eq!(outcome.expect_err("unknown").kind(), Kind::OutcomeUnknown);
    client
        .send(&mailbox("u"), Request::get("/users/u/messages"))
        .await
        .expect("looked");
    assert_eq!(server.seen()[1].at, Duration::from_secs(15));
}

/// survival 5: the warning before the refusal.
#[tokio::test]
async fn a_quota_that_is_used_up_is_respected_before_it_is_enforced() {
    let server = Server::start(graph_only(|_, number| match number {
        0 => Reply::ok()
            .with("ratelimit-remaining", "0")
            .with("ratelimit-reset", "9"),
        _ => Reply::ok(),
    }))
    .await;
    let client = server.client();
    for _ in 0..2 {
        client
            .send(&mailbox("u"), Request::get("/users/u/messages"))
            .await
            .expect("an answer");
    }
    assert_eq!(server.seen()[1].at, Duration::from_secs(9));
    assert_eq!(client.counters().retries, 0);
}

/// Whatever holds a request back can be seen while it does, with nothing in it that a log may not have.
#[tokio::test]
async fn every_cause_of_waiting_is_told() {
    let check = |reply: Reply, limits: Limits, expected: &'static str| async move {
        let server = Server::start(graph_only(move |_, number| match number {
            0 => reply.clone(),
            _ => Reply::ok(),
        }))
        .await;
        let client = server.client_with(limits);
        let scope = mailbox("0f8a");
        let ask = || {
            let request = Request::post("/users/ada@contoso.example/messages").repeat(Repeat::Safe);
            client.send(&scope, request.json(&json!({})).expect("JSON"))
        };
        let looking = async {
            while client.waiting().is_empty() {
                tokio::task::yield_now().await;
            }
            server.clock.advance(Duration::from_millis(200));
            client.waiting()
        };
        // The second request meets what the first has used up.
        let asking = async {
            ask().await.expect("an answer");
            ask().await.expect("an answer");
        };
        let busy = server.clock.busy("a test");
        let waiting = tokio::select! {
            waiting = looking => waiting,
            () = asking => panic!("nobody waited for {expected}"),
        };
        drop(busy);
        let texts: Vec<String> = waiting.iter().map(ToString::to_string).collect();
        let since = "1 request since 2026-11-10T12:00:00Z";
        assert_eq!(texts, [format!("waiting {expected}, {since}")]);
    };
    let usual = Limits::default;
    let asked_for = "41 s for Outlook, mailbox 0f8a: Microsoft asked for it";
    check(
        Reply::status(429).with("retry-after", "41"),
        usual(),
        asked_for,
    )
    .await;
    let failed = "1 s for Outlook, mailbox 0f8a: the last attempt failed in passing";
    check(Reply::status(502), usual(), failed).await;
    let few = Limits {
        outlook_requests: 1,
        ..usual()
    };
    let requests =
        "602 s for Outlook, mailbox 0f8a: the requests that Microsoft allows for now are used up";
    check(Reply::ok(), few, requests).await;
    let small = Limits {
        outlook_upload_bytes: 2,
        ..usual()
    };
    let volume = "302 s for Outlook, mailbox 0f8a: the upload volume that Microsoft allows for now is used up";
    check(Reply::ok(), small, volume).await;
}

/// A wait for Entra ID is told like any other, in the mailbox whose request needs the token.
#[tokio::test]
async fn a_wait_for_entra_is_told() {
    let (first, refused) = (
        Reply::status(429).with("retry-after", "41"),
        AtomicBool::new(false),
    );
    let server = Server::start(move |_, number| match number {
        usize::MAX if !refused.swap(true, Ordering::Relaxed) => first.clone(),
        usize::MAX => granted(),
        _ => Reply::ok(),
    })
    .await;
    let client = server.client();
    let busy = server.clock.busy("a test");
    let asking = tokio::spawn({
        let client = client.clone();
        async move {
            let request = Request::get("/users/u/messages");
            client.send(&mailbox("0f8a"), request).await
        }
    });
    let told = async {
        while client.waiting().is_empty() {
            tokio::task::yield_now().await;
        }
        client.waiting()
    };
    let waiting = tokio::time::timeout(Duration::from_secs(30), told).await;
    let waiting = waiting.expect("it is told");
    assert_eq!(waiting[0].cause, WaitCause::SignIn);
    assert_eq!(
        waiting[0].to_string(),
        "waiting 41 s for Outlook, mailbox 0f8a: Entra ID has not signed us in yet, 1 request since 2026-11-10T12:00:00Z"
    );
    drop(busy);
    asking.await.expect("no panic").expect("an answer");
    assert!(client.waiting().is_empty());
}
