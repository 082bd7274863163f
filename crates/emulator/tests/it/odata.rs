//! Query options and paths over HTTP, and the headers that every answer has.

use emulator::World;
use reqwest::Method;
use serde_json::json;

use crate::harness::{Site, send};

#[tokio::test]
async fn unknown_paths_methods_and_options_get_microsofts_errors() {
    let site = Site::start(World::new()).await;
    let cases = [
        (Method::GET, "/v1.0/planets", 400, "BadRequest"),
        (Method::GET, "/v1.0/users/x/moons", 400, "BadRequest"),
        (Method::PUT, "/v1.0/users", 405, "Request_BadRequest"),
        (Method::GET, "/v1.0/users?$apply=x", 400, "BadRequest"),
        (Method::GET, "/v1.0/users?colour=red", 400, "BadRequest"),
        (Method::GET, "/v1.0/users?$top=0", 400, "BadRequest"),
        (Method::GET, "/v1.0/users?$top=x", 400, "BadRequest"),
        (Method::GET, "/v1.0/users?$top=1&$top=2", 400, "BadRequest"),
        (Method::GET, "/v1.0/users?$filter=(", 400, "BadRequest"),
        (
            Method::GET,
            "/v1.0/users?$orderby=displayName sideways",
            400,
            "BadRequest",
        ),
        (Method::GET, "/v1.0/users?$filter=%ff", 400, "BadRequest"),
        (Method::GET, "/v1.0/api/gv1.0/x", 400, "BadRequest"),
        (Method::GET, "/beta/users", 400, "BadRequest"),
        (Method::GET, "/", 400, "BadRequest"),
    ];
    for (method, path, status, code) in cases {
        let answer = send(site.request(method, path).await).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{path}"
        );
    }
    let answer = site.get("/v1.0/planets").await;
    let error = &answer.json()["error"];
    assert_eq!(
        error["message"],
        "Resource not found for the segment 'planets'."
    );
    assert_eq!(
        error["innerError"]["request-id"],
        answer.header("request-id")
    );
    assert_eq!(error["innerError"]["date"], "2026-11-02T08:00:00");
    site.assert_clean();
}

#[tokio::test]
async fn paths_are_taken_as_clients_write_them() {
    let site = Site::start(World::new()).await;
    site.add_user(1, "ann", &json!({}));
    for path in [
        "/v1.0/users/ann@contoso.onmicrosoft.com",
        "/v1.0//users/ann%40contoso.onmicrosoft.com",
        "/V1.0/USERS('ann@contoso.onmicrosoft.com')",
        "/v1.0/users/ann@contoso.onmicrosoft.com/?%24SELECT=displayName",
    ] {
        let answer = site.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.json()["displayName"], "ann", "{path}");
    }
}

#[tokio::test]
async fn answers_carry_graphs_headers() {
    let site = Site::start(World::new()).await;
    let request = site.request(Method::GET, "/v1.0/users").await;
    let answer = send(request.header("client-request-id", "abc")).await;
    assert_eq!(answer.header("client-request-id"), "abc");
    assert!(answer.header("request-id").parse::<uuid::Uuid>().is_ok());
    assert_eq!(answer.header("odata-version"), "4.0");
    assert_eq!(
        answer.header("content-type"),
        "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
    );
    assert_eq!(answer.header("date"), "Mon, 02 Nov 2026 08:00:00 GMT");
    assert!(answer.header("x-ms-ags-diagnostic").contains("ServerInfo"));
    let plain = site.get("/v1.0/users").await;
    assert_eq!(
        plain.header("client-request-id"),
        plain.header("request-id")
    );
}

#[tokio::test]
async fn json_is_compressed_when_both_sides_want_it() {
    let site = Site::start_with(World::new(), |mut settings| {
        settings.gzip = true;
        settings
    })
    .await;
    for number in 1..=20 {
        site.add_user(number, &format!("user{number}"), &json!({}));
    }
    // The client asks for gzip and decodes it by itself.
    let before = site.running.stats().bytes_out;
    let answer = site.get("/v1.0/users").await;
    let sent = site.running.stats().bytes_out - before;
    assert_eq!(answer.column("id").len(), 20);
    let length = u64::try_from(answer.body.len()).expect("a length fits");
    assert!(sent < length / 3, "{sent} of {length} bytes");
    let plain = site.request(Method::GET, "/v1.0/users").await;
    let plain = send(plain.header("accept-encoding", "identity")).await;
    assert_eq!(plain.header("content-encoding"), "");
    assert_eq!(plain.body.len(), answer.body.len());
}

#[tokio::test]
async fn links_name_the_host_that_the_client_used() {
    let site = Site::start(World::new()).await;
    site.add_user(1, "ann", &json!({}));
    site.add_user(2, "bob", &json!({}));
    let request = site.request(Method::GET, "/v1.0/users?$top=1").await;
    let answer = send(request.header("host", "graph.test:81")).await;
    let json = answer.json();
    for name in ["@odata.context", "@odata.nextLink"] {
        let link = json[name].as_str().expect("a link");
        assert!(link.starts_with("http://graph.test:81/v1.0/"), "{link}");
    }
    // The directory does not heed a page size that is only preferred.
    let preferring = site.request(Method::GET, "/v1.0/users").await;
    let answer = send(preferring.header("prefer", "odata.maxpagesize=1")).await;
    assert_eq!(answer.header("preference-applied"), "");
    assert_eq!(answer.column("id").len(), 2);
}
