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
