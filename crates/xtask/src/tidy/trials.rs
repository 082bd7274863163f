//! The two tables of what the product must withstand: a row for every line of the lists, and every test named in them there.
//!
//! A row is `| number | what | tests or reason |`. A test is named in backquotes as `crate::file::function`, where the file is one of the crate's,
//! without extension; other words in backquotes have no `::`. Tests name the lines that they are about (`survival 62`, `abuse 37`), and each such
//! line's row has a test. Whether a test shows what it says, no check can tell.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{Finding, Tree};

/// A table, the word by which tests name its lines, and how many lines the list has.
const TABLES: [(&str, &str, u32); 2] = [
    ("docs/survival.md", "survival", 195),
    ("docs/abuse-cases.md", "abuse", 104),
];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, word, lines) in TABLES {
        let Some(text) = tree.text(path) else {
            continue;
        };
        let mut rows = BTreeMap::new();
        for (at, line) in (1..).zip(text.lines()) {
            let Some((number, cells)) = row(line) else {
                continue;
            };
            let names: Vec<&str> = names(cells).collect();
            for name in names.iter().filter(|name| !is_there(tree, name)) {
                let what = format!("there is no test `{name}`");
                findings.push(Finding::line(path, at, what));
            }
            if rows.insert(number, !names.is_empty()).is_some() {
                let what = format!("{number} has two rows");
                findings.push(Finding::line(path, at, what));
            }
        }
        let wrong = (1..=lines).filter(|number| !rows.contains_key(number));
        findings.extend(wrong.map(|number| Finding::file(path, format!("{number} has no row"))));
        for (number, file) in claims(tree, word) {
            if rows.get(&number) == Some(&false) {
                let what = format!("{file} tests {number}, whose row has no test");
                findings.push(Finding::file(path, what));
            }
        }
    }
    findings
}

/// The number of a row and what follows it.
fn row(line: &str) -> Option<(u32, &str)> {
    let (number, cells) = line.strip_prefix('|')?.split_once('|')?;
    Some((number.trim().parse().ok()?, cells))
}

/// The tests that a row names.
fn names(cells: &str) -> impl Iterator<Item = &str> {
    let quoted = cells.split('`').skip(1).step_by(2);
    quoted.filter(|text| text.contains("::"))
}

fn is_there(tree: &Tree, name: &str) -> bool {
    let parts: Vec<&str> = name.split("::").collect();
    let [krate, .., file, function] = parts[..] else {
        return false;
    };
    let (end, function) = (format!("/{file}.rs"), format!("fn {function}("));
    tree.under(&format!("crates/{krate}/"), &end)
        .any(|(_, text)| text.contains(&function))
}

/// The lines that tests name, each with one of the files that do.
fn claims<'a>(tree: &'a Tree, word: &str) -> BTreeMap<u32, &'a str> {
    let mut found = BTreeMap::new();
    for (path, text) in tree.under("crates/", ".rs") {
        let tests = match path.contains("/tests/") {
            true => text,
            false => text
                .split_once("#[cfg(test)]")
                .map_or("", |(_, tests)| tests),
        };
        let is_other = path.contains("/xtask/");
        for numbers in tests
            .lines()
            .filter(|_| !is_other)
            .map(|line| named(line, word))
        {
            found.extend(numbers.into_iter().map(|number| (number, path)));
        }
    }
    found
}

/// The numbers that follow the word in a line: `survival 3, 44 to 46 and 9-11; abuse 2` names seven lines of one list.
fn named(line: &str, word: &str) -> BTreeSet<u32> {
    let mut numbers = BTreeSet::new();
    let line = line.to_ascii_lowercase();
    for rest in line.split(word).skip(1) {
        let (mut from, mut rest) = (None, rest.trim_start_matches("s "));
        loop {
            let joint = [", ", " and ", " to ", "-", " "];
            let Some((joint, after)) = joint
                .iter()
                .find_map(|joint| Some((*joint, rest.strip_prefix(joint)?)))
            else {
                break;
            };
            let length = after.bytes().take_while(u8::is_ascii_digit).count();
            let Ok(number) = after[..length].parse::<u32>() else {
                break;
            };
            let is_range = matches!(joint, " to " | "-");
            numbers.extend(from.filter(|_| is_range).unwrap_or(number)..=number);
            (from, rest) = (Some(number), &after[length..]);
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::{super::tree::assert_finds, *};

    #[test]
    fn lines_are_named_alone_in_lists_and_in_ranges() {
        let line = "// Survival 3, 44 to 46 and 9-11; abuse 2, as one may survive 7.";
        assert_eq!(
            named(line, "survival"),
            BTreeSet::from([3, 9, 10, 11, 44, 45, 46])
        );
        assert_eq!(named(line, "abuse"), BTreeSet::from([2]));
        assert_eq!(
            named("docs/survival.md has 195 lines", "survival"),
            BTreeSet::new()
        );
    }

    #[test]
    fn missing_rows_and_tests_are_found() {
        let mut table: String = (3..=195)
            .map(|n| format!("| {n} | x | later |\n"))
            .collect();
        table.push_str(
            "| 1 | x | `engine::it::moods::one` |\n| 1 | x | `engine::moods::two` `x` |\n",
        );
        let tests = "// survival 1, 4\nfn one() {}\nfn two_more() {}\n";
        assert_finds(
            check,
            &[
                ("docs/survival.md", &table),
                ("crates/engine/tests/it/moods.rs", tests),
            ],
            &[
                "docs/survival.md:195: there is no test `engine::moods::two`",
                "docs/survival.md:195: 1 has two rows",
                "docs/survival.md: 2 has no row",
                "docs/survival.md: crates/engine/tests/it/moods.rs tests 4, whose row has no test",
            ],
        );
    }
}
