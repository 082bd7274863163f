//! Listings: what is a page, what is the end, and what only looks like it.

use graph::{Kind, Link, Pages, Request, Scope};
use serde_json::json;

use crate::server::{Reply, Server, graph_only, mailbox};

async fn ids(pages: &mut Pages) -> (Vec<String>, Option<Link>) {
    let (mut ids, mut delta) = (Vec::new(), None);
    while let Some(page) = pages.next().await.expect("a page") {
        ids.extend(page.items.iter().map(|item| item.get().to_owned()));
        delta = page.delta;
    }
    (ids, delta)
}

fn delta_request() -> Request {
    Request::get("/users/u/mailFolders/f/messages/delta").prefer("odata.maxpagesize=2")
}

#[tokio::test]
async fn a_delta_is_followed_to_its_end_and_from_there_again() {
    let server = Server::start(graph_only(|seen, number| {
        let link = |path: &str| format!("http://{}{path}", seen.header("host").unwrap_or_default());
        match number {
            0 => Reply::Answer(200, vec![], format!(
                r#"{{"@odata.nextLink": "{}", "value": [ {{"id":"a" , "x":1.50}},{{"id":"b"}}]}}"#,
                link("/v1.0/users/u/mailFolders/f/messages/delta?$skiptoken=p%2B2")
            ).into_bytes()),
            1 => Reply::json(200, &json!({"value": [], "@odata.nextLink": link("/v1.0/users/u/mailFolders/f/messages/delta()?$skiptoken=3")})),
            2 => Reply::json(200, &json!({"value": [{"id": "c"}], "@odata.deltaLink": link("/v1.0/users/u/mailFolders/f/messages/delta?$deltatoken=d")})),
            _ => Reply::json(200, &json!({"value": [{"id": "d"}], "@odata.deltaLink": link("/v1.0/users/u/mailFolders/f/messages/delta?$deltatoken=e")})),
        }
    }))
    .await;
    let client = server.client();
    let (first, delta) = ids(&mut client.pages(&mailbox("u"), delta_request())).await;
    assert_eq!(
        first,
        [r#"{"id":"a" , "x":1.50}"#, r#"{"id":"b"}"#, r#"{"id":"c"}"#]
    );
    let delta = delta.expect("a delta link");
    assert!(!format!("{delta:?}").contains("deltatoken"), "survival 28");
    let stored = serde_json::to_string(&delta).expect("a link is stored as text");
    let delta: Link = serde_json::from_str(&stored).expect("and read again");
    let mut pages = client.follow(&mailbox("u"), &delta, &["odata.maxpagesize=2"]);
    let (more, _) = ids(&mut pages).await;
    assert_eq!(more, [r#"{"id":"d"}"#]);
    let seen = server.seen();
    assert_eq!(
        seen[1].path, "/v1.0/users/u/mailFolders/f/messages/delta?$skiptoken=p%2B2",
        "survival 24, 27"
    );
    let prefer = r#"IdType="ImmutableId", odata.maxpagesize=2"#;
    assert!(
        seen.iter()
            .all(|seen| seen.header("prefer") == Some(prefer)),
        "survival 60"
    );
    assert_eq!(client.counters().of("GET messages/delta"), 4);
}

/// survival 21 and 38.
#[tokio::test]
async fn what_is_not_the_end_is_not_taken_for_it() {
    let next = "https://graph.microsoft.com/v1.0/x";
    for (body, listing_ends_well) in [
        (json!({"@odata.deltaLink": "x"}), false),
        (json!({"value": null, "@odata.deltaLink": "x"}), false),
        (json!({"value": {}, "@odata.deltaLink": "x"}), false),
        (
            json!({"value": [], "@odata.nextLink": next, "@odata.deltaLink": 7}),
            false,
        ),
        (json!([]), false),
        (json!({"value": []}), true),
        (json!({"value": [], "@odata.deltaLink": ""}), true),
        (
            json!({"value": [], "@odata.nextLink": "", "@odata.deltaLink": null}),
            true,
        ),
    ] {
        let text = body.to_string();
        let server = Server::start(graph_only(move |_, _| Reply::json(200, &body))).await;
        let client = server.client();
        let outcome = client.pages(&mailbox("u"), delta_request()).next().await;
        assert_eq!(outcome.expect_err(&text).kind(), Kind::BadAnswer, "{text}");
        assert_eq!(
            server.seen().len(),
            4,
            "it is asked for again before it is given up: {text}"
        );
        let plain = client
            .pages(&mailbox("u"), Request::get("/users/u/mailFolders"))
            .next()
            .await;
        assert_eq!(plain.is_ok(), listing_ends_well, "{text}");
    }
}

#[tokio::test]
async fn a_page_that_came_broken_is_asked_for_again() {
    let server = Server::start(graph_only(|seen, number| {
        let next = format!(
            "http://{}/v1.0/users?$skiptoken=2",
            seen.header("host").unwrap_or_default()
        );
        match number {
            0 => Reply::json(200, &json!({"value": [1], "@odata.nextLink": next})),
            1 => Reply::json(200, &json!({"@odata.context": "x"})),
            2 => Reply::error(403, "Authorization_RequestDenied"),
            _ => Reply::json(200, &json!({"value": [2]})),
        }
    }))
    .await;
    let client = server.client();
    let mut pages = client.pages(&Scope::Directory, Request::get("/users").query("$top", "1"));
    pages.next().await.expect("a page").expect("the first");
    assert_eq!(
        pages.next().await.expect_err("refused").kind(),
        Kind::AccessDenied
    );
    let (rest, _) = ids(&mut pages).await;
    assert_eq!(rest, ["2"]);
    assert!(pages.next().await.expect("no error").is_none());
}

/// abuse 40.
#[tokio::test]
async fn links_that_circle_or_lead_away_are_refused() {
    let stranger = Server::start(graph_only(|_, _| Reply::json(200, &json!({"value": []})))).await;
    let away = stranger.link("/v1.0/users?$skiptoken=x");
    for (length, away) in [(1, None), (5, None), (3, Some(away))] {
        let leads_away = away.is_some();
        let server = Server::start(graph_only(move |seen, number| {
            let page = number % length;
            let host = seen.header("host").unwrap_or_default();
            let next = match &away {
                Some(away) if page == length - 1 => away.clone(),
                _ => format!("http://{host}/v1.0/users?$skiptoken={page}"),
            };
            Reply::json(200, &json!({"value": [], "@odata.nextLink": next}))
        }))
        .await;
        let client = server.client();
        let mut pages = client.pages(&Scope::Directory, Request::get("/users"));
        let error = loop {
            match pages.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it has no end"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), Kind::BadAnswer);
        let expected = if leads_away { length } else { length + 1 };
        assert_eq!(server.seen().len(), expected);
    }
    assert!(stranger.seen().is_empty() && stranger.tokens().is_empty());
}

/// survival 22, 33; abuse 37, 38.
#[tokio::test]
async fn an_expired_token_asks_for_a_new_listing() {
    for (status, code) in [
        (410, "SyncStateNotFound"),
        (410, "resyncRequired"),
        (400, "SyncStateInvalid"),
        (400, "syncStateNotFound"),
        (410, "resyncChangesApplyDifferences"),
        (410, "resyncChangesUploadDifferences"),
        (410, ""),
    ] {
        let server = Server::start(graph_only(move |_, _| Reply::error(status, code))).await;
        let link =
            Link::new(server.link("/v1.0/users/u/mailFolders/f/messages/delta?$deltatoken=old"));
        let outcome = server
            .client()
            .follow(&mailbox("u"), &link, &[])
            .next()
            .await;
        let error = outcome.expect_err(code);
        assert_eq!(error.kind(), Kind::Resync, "{code}");
        assert_eq!(server.seen().len(), 1);
        assert!(
            !format!("{error} {error:?}").contains("deltatoken"),
            "survival 28"
        );
    }
}

/// abuse 40: wherever a link leads, a token goes to Graph's own origin and nowhere else; a kept link is checked each time it is used.
#[tokio::test]
async fn a_link_that_only_looks_like_graphs_is_refused() {
    let stranger = Server::start(graph_only(|_, _| Reply::json(200, &json!({"value": []})))).await;
    let stranger_host = stranger.base.trim_start_matches("http://").to_owned();
    let variants: [fn(&str, &str) -> String; 11] = [
        |_, evil| format!("http://{evil}/v1.0/users"),
        |own, evil| format!("http://{own}@{evil}/v1.0/users"),
        |own, _| format!("http://user:password@{own}/v1.0/users"),
        |own, _| format!("https://{own}/v1.0/users"),
        |own, _| format!("HTTP://{own}.evil.example/v1.0/users"),
        |_, evil| format!("//{evil}/v1.0/users"),
        |_, _| "/v1.0/users?$skiptoken=x".to_owned(),
        |_, _| "file:///etc/passwd".to_owned(),
        |_, _| "javascript:alert(1)".to_owned(),
        |_, _| "http://169.254.169.254/latest/meta-data".to_owned(),
        |_, _| "http://[::ffff:7f00:1]:1/v1.0/users".to_owned(),
    ];
    for variant in variants {
        let evil = stranger_host.clone();
        let server = Server::start(graph_only(move |seen, _| {
            let own = seen.header("host").unwrap_or_default();
            let link = variant(own, &evil);
            Reply::json(200, &json!({"value": [], "@odata.nextLink": link}))
        }))
        .await;
        let link = variant(server.base.trim_start_matches("http://"), &stranger_host);
        let client = server.client();
        let mut pages = client.pages(&Scope::Directory, Request::get("/users"));
        pages.next().await.expect("a page").expect("the first");
        let error = pages.next().await.expect_err(&link);
        assert_eq!(error.kind(), Kind::BadAnswer, "{link}");
        assert_eq!(server.seen().len(), 1, "{link}");
        let kept = Link::new(link.clone());
        let again = client.follow(&Scope::Directory, &kept, &[]).next().await;
        assert_eq!(again.expect_err(&link).kind(), Kind::BadAnswer, "{link}");
        assert_eq!(server.seen().len(), 1, "{link}");
    }
    assert!(stranger.seen().is_empty() && stranger.tokens().is_empty());
}

/// survival 27: a link may be as long as it likes, and passes as it came.
#[tokio::test]
async fn a_link_of_many_kilobytes_is_followed() {
    let token = "a%2B/~:".repeat(4_000);
    let query = format!("/v1.0/users?$skiptoken={token}");
    let next = query.clone();
    let server = Server::start(graph_only(move |seen, number| match number {
        0 => {
            let host = seen.header("host").unwrap_or_default();
            Reply::json(
                200,
                &json!({"value": [1], "@odata.nextLink": format!("http://{host}{next}")}),
            )
        }
        _ => Reply::json(200, &json!({"value": [2]})),
    }))
    .await;
    let client = server.client();
    let mut pages = client.pages(&Scope::Directory, Request::get("/users"));
    assert_eq!(ids(&mut pages).await.0, ["1", "2"]);
    assert_eq!(server.seen()[1].path, query);
}

/// abuse 58: a page that does not end is given up at its bound, not kept in memory first.
#[tokio::test]
async fn a_page_of_gigabytes_is_dropped() {
    let server = Server::start(graph_only(|_, _| {
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        let piece = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
        Reply::Endless(head, piece)
    }))
    .await;
    let client = server.client();
    let mut pages = client.pages(&Scope::Directory, Request::get("/users"));
    let error = pages.next().await.expect_err("it has no end");
    assert_eq!((error.kind(), error.status()), (Kind::BadAnswer, None));
    assert_eq!(server.seen().len(), 1, "the next would have no end either");
    let sent = server.pieces_sent();
    assert!((200..300).contains(&sent), "{sent} MiB");
}
