//! The document of the interface to programs: the same as the kept one, and about the same addresses as the table.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use crate::stage::Stage;

/// The kept one, so that a change of the interface shows in a review.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
/// Whoever sets this to 1 and runs the test has the document written anew.
const BLESS: &str = "KEEPWELL_BLESS";

#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the test says whether to write"
)]
fn is_to_be_written() -> bool {
    std::env::var(BLESS).is_ok_and(|value| value == "1")
}

async fn served() -> String {
    let stage = Stage::start().await;
    let answer = stage.browser().get("/api/v1/openapi.json").await;
    assert_eq!(answer.status, 200);
    answer.json();
    answer.text + "\n"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_is_the_kept_one() {
    let served = served().await;
    if is_to_be_written() {
        fs::write(KEPT, &served).unwrap();
    }
    let kept = fs::read_to_string(Path::new(KEPT)).unwrap();
    assert!(
        served == kept,
        "the interface has changed: look at what `{BLESS}=1 cargo test -p server --test it document` makes of docs/openapi.json"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_and_the_table_name_the_same_addresses() {
    let document: Value = serde_json::from_str(&served().await).unwrap();
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let is_open = operation.get("security").is_none();
            described.insert((path.clone(), method.to_uppercase(), is_open));
        }
    }
    let table: BTreeSet<_> = server::routes()
        .into_iter()
        .filter(server::RouteInfo::is_api)
        .map(|route| {
            let is_open = route.who == server::Who::Anybody;
            (route.path, route.method.to_string(), is_open)
        })
        .collect();
    assert!(table.len() > 20);
    assert_eq!(described, table);
}

/// What a schema names is there, and every operation has a name of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_is_whole() {
    let text = served().await;
    let document: Value = serde_json::from_str(&text).unwrap();
    for part in text.split("\"$ref\": \"").skip(1) {
        let pointer = part.split('"').next().unwrap().trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{pointer} is missing");
    }
    let operations: Vec<_> = text.matches("\"operationId\": ").collect();
    let names: BTreeSet<_> = text.split("\"operationId\": ").skip(1).collect();
    assert_eq!(names.len(), operations.len());
}
