//! What is logged, whatever happens: nothing that says who, what, or by which token (survival 28).

use std::{cell::RefCell, fmt::Write};

use bytes::Bytes;
use graph::{Link, Request, Scope};
use serde_json::json;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::server::{Reply, Server, graph_only, mailbox};

thread_local! {
    /// What this thread logged, if it wants to know.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps every event and span of every level and crate as text. It is there for the whole process, because whether anybody listens to an event is
/// remembered for all threads.
struct Everything;

impl Visit for Everything {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        SAID.with_borrow_mut(|said| {
            if let Some(text) = said {
                let _ = writeln!(text, "{}={value:?}", field.name());
            }
        });
    }
}

impl Subscriber for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        attributes.record(&mut Self);
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Self);
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Self);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[test]
fn no_secret_and_no_person_is_logged() {
    tracing::subscriber::set_global_default(Everything).expect("nobody else listens");
    SAID.set(Some(String::new()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(all_that_fails());
    let text = SAID.take().expect("it was set");
    assert!(text.contains("asking again"), "something is logged: {text}");
    assert!(text.contains("GET messages/{id}"), "{text}");
    for secret in [
        "ada@contoso.example",
        "AAMkSecretId",
        "skiptoken",
        "authtoken",
        "canary",
        "token-1",
        "client_secret",
        "Quarterly figures",
    ] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

/// Requests of every kind, answered by everything that goes wrong, with canaries in all that could be logged.
async fn all_that_fails() {
    let replies = [
        Reply::error(500, "canary of Ada"),
        Reply::json(
            503,
            &json!({"error": {"code": "x", "message": "canary: Quarterly figures"}}),
        ),
        Reply::Answer(
            502,
            Vec::new(),
            b"<html>canary ada@contoso.example".to_vec(),
        ),
        Reply::status(429).with("retry-after", "canary"),
        Reply::status(401).with("www-authenticate", "Bearer canary"),
        Reply::Answer(200, Vec::new(), b"{\"canary\":".to_vec()),
        Reply::Reset(b"HTTP/1.1 200 OK\r\nx-canary: canary".to_vec()),
        Reply::error(403, "ErrorAccessDenied"),
        Reply::status(302).with("location", "https://evil.example/canary"),
    ];
    for reply in replies {
        let server = Server::start(graph_only(move |_, number| match number % 2 {
            0 => reply.clone(),
            _ => Reply::status(502),
        }))
        .await;
        let client = server.client();
        let scope = mailbox("0f8a");
        let path = "/users/ada@contoso.example/messages/AAMkSecretId";
        let _ = client.send(&scope, Request::get(path)).await;
        let body = json!({"subject": "Quarterly figures"});
        let post = Request::post(path).json(&body).expect("JSON");
        let _ = client.send(&scope, post).await;
        let link = Link::new(
            server.link("/v1.0/users/ada@contoso.example/messages/delta?$skiptoken=canary"),
        );
        let _ = client.follow(&scope, &link, &[]).next().await;
        let link = Link::new(server.link("/upload?authtoken=canary"));
        let _ = client
            .upload(&scope, &link, Bytes::from("Quarterly figures"))
            .await;
        let _ = client
            .batch(&Scope::Directory, vec![Request::get(path)])
            .await;
    }
}
