//! Cargo.toml and Cargo.lock: crate edges, quarantined and unused dependencies, the workspace's lints, the registry.

use toml::{Table, Value};

use super::{
    edges::{EDGES, QUARANTINED},
    text::has_word,
    tree::{Finding, Tree},
};

/// The only registry from which anybody can build this project.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The tables of a manifest that name dependencies, and whether they are of tests alone.
const TABLES: [(&str, bool); 3] = [
    ("dependencies", false),
    ("build-dependencies", false),
    ("dev-dependencies", true),
];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.under("crates/", "/Cargo.toml") {
        match text.parse::<Table>() {
            Ok(manifest) => check_crate(tree, path, &manifest, &mut findings),
            Err(error) => findings.push(Finding::file(path, error.message())),
        }
    }
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        for (number, line) in (1..).zip(tree.text(lock).unwrap_or_default().lines()) {
            if line.starts_with("source = ") && line != format!("source = \"{REGISTRY}\"") {
                let what = "a dependency comes from elsewhere than crates.io";
                findings.push(Finding::line(lock, number, what));
            }
        }
    }
    findings
}

fn check_crate(tree: &Tree, path: &str, manifest: &Table, findings: &mut Vec<Finding>) {
    let name = manifest
        .get("package")
        .and_then(|package| package.get("name")?.as_str())
        .unwrap_or_default();
    let Some(edges) = EDGES.iter().find(|edges| edges.name == name) else {
        let what = format!("the crate `{name}` is not in the table of edges");
        return findings.push(Finding::file(path, what));
    };
    let inherits = |lints: &Value| lints.get("workspace").and_then(Value::as_bool);
    if manifest.get("lints").and_then(inherits) != Some(true) {
        findings.push(Finding::file(
            path,
            "it does not take the workspace's lints",
        ));
    }
    for (dependency, is_dev) in dependencies(manifest) {
        let is_ours = EDGES.iter().any(|edges| edges.name == dependency);
        let is_allowed =
            edges.uses.contains(&dependency) || (is_dev && edges.tests_use.contains(&dependency));
        if is_ours && !is_allowed {
            let what = format!("{name} must not depend on {dependency}");
            findings.push(Finding::file(path, what));
        }
        let quarantine = QUARANTINED.iter().find(|(crate_, _)| *crate_ == dependency);
        if quarantine.is_some_and(|(_, homes)| !is_dev && !homes.contains(&name)) {
            let what = format!("{dependency} is kept out of {name}");
            findings.push(Finding::file(path, what));
        }
        if !is_named(tree, path, dependency) {
            findings.push(Finding::file(path, format!("{dependency} is not used")));
        }
    }
}

/// The names of all dependencies, also of those for one platform, with whether they are of tests alone.
fn dependencies(manifest: &Table) -> Vec<(&str, bool)> {
    let platforms = manifest.get("target").and_then(Value::as_table);
    let of_platforms = platforms
        .into_iter()
        .flatten()
        .filter_map(|(_, table)| table.as_table());
    let mut all = Vec::new();
    for table in std::iter::once(manifest).chain(of_platforms) {
        for (kind, is_dev) in TABLES {
            let names = table.get(kind).and_then(Value::as_table);
            all.extend(
                names
                    .into_iter()
                    .flatten()
                    .map(|(name, _)| (name.as_str(), is_dev)),
            );
        }
    }
    all
}

/// Whether any of the crate's files names the dependency as Rust spells it. A text search: a comment that names it hides a leftover.
fn is_named(tree: &Tree, manifest_path: &str, dependency: &str) -> bool {
    let folder = manifest_path.trim_end_matches("Cargo.toml");
    let spelled = dependency.replace('-', "_");
    tree.under(folder, ".rs")
        .any(|(_, text)| has_word(text, &spelled))
}

#[cfg(test)]
mod tests {
    use super::{super::tree::assert_finds, *};

    fn manifest(name: &str, rest: &str) -> String {
        format!("[package]\nname = \"{name}\"\n[lints]\nworkspace = true\n{rest}")
    }

    #[test]
    fn an_edge_against_the_architecture_is_found() {
        let text = manifest(
            "emulator",
            "[dependencies]\ngraph.workspace = true\n[dev-dependencies]\ntestkit.workspace = true\nmodel.workspace = true\n",
        );
        assert_finds(
            check,
            &[
                ("crates/emulator/Cargo.toml", &text),
                (
                    "crates/emulator/src/lib.rs",
                    "use graph::X; use testkit::Y; use model::Z;",
                ),
            ],
            &[
                "crates/emulator/Cargo.toml: emulator must not depend on graph",
                "crates/emulator/Cargo.toml: emulator must not depend on model",
            ],
        );
    }

    #[test]
    fn what_only_tests_may_use_is_found_in_the_product() {
        let text = manifest(
            "engine",
            "[target.'cfg(unix)'.dependencies]\nemulator.workspace = true\n[dev-dependencies]\nemulator.workspace = true\n",
        );
        assert_finds(
            check,
            &[
                ("crates/engine/Cargo.toml", &text),
                ("crates/engine/src/lib.rs", "emulator::start()"),
            ],
            &["crates/engine/Cargo.toml: engine must not depend on emulator"],
        );
    }

    #[test]
    fn quarantined_and_unused_dependencies_are_found() {
        let text = manifest(
            "engine",
            "[dependencies]\nreqwest = \"1\"\nserde_json = \"1\"\ntokio-util = \"1\"\n[dev-dependencies]\nanyhow = \"1\"\n",
        );
        assert_finds(
            check,
            &[
                ("crates/engine/Cargo.toml", &text),
                (
                    "crates/engine/src/lib.rs",
                    "reqwest::get(); my_serde_json; tokio_util::X",
                ),
                ("crates/engine/tests/it/main.rs", "anyhow::Ok(())"),
            ],
            &[
                "crates/engine/Cargo.toml: reqwest is kept out of engine",
                "crates/engine/Cargo.toml: serde_json is not used",
            ],
        );
    }

    #[test]
    fn strangers_loose_lints_and_other_registries_are_found() {
        let lock = format!("source = \"{REGISTRY}\"\nsource = \"git+https://example.com/x\"\n");
        assert_finds(
            check,
            &[
                ("crates/a/Cargo.toml", "[package]\nname = \"stranger\"\n"),
                ("crates/b/Cargo.toml", "[package]\nname = \"model\"\n"),
                ("crates/c/Cargo.toml", "[package"),
                ("Cargo.lock", &lock),
            ],
            &[
                "crates/a/Cargo.toml: the crate `stranger` is not in the table of edges",
                "crates/b/Cargo.toml: it does not take the workspace's lints",
                "crates/c/Cargo.toml: unclosed table, expected `]`",
                "Cargo.lock:2: a dependency comes from elsewhere than crates.io",
            ],
        );
    }
}
