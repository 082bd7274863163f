//! The table of routes against Microsoft's map of permissions, and the page made from it.

use std::{collections::BTreeMap, path::Path};

use emulator::{Access, BEYOND_THE_MAP};
use serde_json::Value;

#[test]
fn the_coverage_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/emulator-coverage.md");
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let made = emulator::coverage();
    if written != made {
        std::fs::write(&path, &made).expect("the page can be written");
    }
    assert!(
        written == made,
        "docs/emulator-coverage.md was out of date and has been made anew: commit it"
    );
}

#[test]
fn permissions_are_those_of_microsofts_map() {
    let Some(path) = testkit::shared::path("graph/permissions-by-path.json") else {
        return;
    };
    let text = std::fs::read(path).expect("the map can be read");
    let map: BTreeMap<String, Value> = serde_json::from_slice(&text).expect("the map is JSON");
    let map: BTreeMap<String, Value> = map
        .into_iter()
        .map(|(path, methods)| (plain(&path), methods))
        .collect();
    let mut wrong = Vec::new();
    for route in emulator::routes() {
        let Access::Roles(roles) = route.access else {
            continue;
        };
        let name = format!("{} {}", route.method, route.template);
        let entry = &map.get(&plain(route.template)).unwrap_or(&Value::Null)[route.method.as_str()]
            ["Application"];
        let known: Vec<&str> = entry
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|role| role.trim_end_matches('*'))
            .collect();
        let beyond = BEYOND_THE_MAP.iter().any(|(known, _)| *known == name);
        let agrees = roles.iter().all(|role| known.contains(role));
        match (agrees, beyond) {
            (false, false) => wrong.push(format!("{name}: {roles:?}, the map has {known:?}")),
            (true, true) => wrong.push(format!("{name}: no reason is needed")),
            _ => {}
        }
    }
    let mut names = emulator::routes()
        .into_iter()
        .map(|route| format!("{} {}", route.method, route.template))
        .collect::<Vec<_>>();
    names.sort();
    let unserved = BEYOND_THE_MAP
        .iter()
        .filter(|(name, _)| !names.iter().any(|n| n == name));
    wrong.extend(unserved.map(|(name, _)| format!("{name}: no such row")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A path in lower case, with `{}` for every parameter.
fn plain(path: &str) -> String {
    let segments = path.split('/').map(|segment| {
        if segment.starts_with('{') {
            "{}".to_owned()
        } else {
            segment.to_lowercase()
        }
    });
    segments.collect::<Vec<_>>().join("/")
}
