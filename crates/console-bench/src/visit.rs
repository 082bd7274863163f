//! Asks for every page of the console, many times, and tells how long it took.

use anyhow::{Context, ensure};
use model::{Clock, SystemClock};

use crate::{
    browser::Browser,
    fill::Filled,
    instance::Instance,
    report::{PageFigures, Report},
};

/// In how many milliseconds 95 of 100 requests for any page are to be answered.
const PAGE_MS_MAX: f64 = 50.0;
/// The Homepage with all that it needs, in kB over the wire.
const FIRST_LOAD_KB_MAX: f64 = 61.4;
/// Pages of a list that are gone through before one is measured.
const FAR: usize = 20;

pub(crate) fn measure(
    instance: &Instance,
    filled: &Filled,
    requests: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut browser = Browser::signed_in(&instance.address)?;
    let first = first_load(&mut browser)?;
    for (name, path) in pages(&mut browser, filled)? {
        let page = ask(&mut browser, &name, &path, requests)?;
        report.page(page);
    }
    let slowest = report.slowest();
    report.speed("any page, 95 of 100 requests", slowest, "ms", PAGE_MS_MAX);
    report.limit(
        "the Homepage with all that it needs",
        first as f64 / 1e3,
        "kB",
        FIRST_LOAD_KB_MAX,
    );
    Ok(())
}

fn ask(
    browser: &mut Browser,
    name: &str,
    path: &str,
    requests: usize,
) -> anyhow::Result<PageFigures> {
    let (mut times, mut bytes) = (Vec::new(), 0);
    for _ in 0..requests {
        let clock = SystemClock::new();
        let answer = browser.get(path)?;
        times.push(clock.elapsed().as_secs_f64() * 1_000.0);
        ensure!(
            answer.status == 200,
            "{name}: {path}: status {}",
            answer.status
        );
        bytes = answer.body.len();
    }
    times.sort_by(f64::total_cmp);
    let within = |of_100: usize| times[(times.len() * of_100).div_ceil(100) - 1];
    Ok(PageFigures {
        name: name.to_owned(),
        p50_ms: within(50),
        p95_ms: within(95),
        bytes,
    })
}

/// Bytes of the Homepage and its style sheet, script and symbol.
fn first_load(browser: &mut Browser) -> anyhow::Result<usize> {
    let page = browser.get("/")?;
    let text = page.text();
    let mut bytes = page.body.len();
    let mut files: Vec<_> = text.split("\"/assets/").skip(1).collect();
    ensure!(files.len() >= 3, "the Homepage needs no file");
    files
        .iter_mut()
        .for_each(|rest| *rest = rest.split('"').next().unwrap_or_default());
    files.sort_unstable();
    files.dedup();
    for file in files {
        bytes += browser.get(&format!("/assets/{file}"))?.body.len();
    }
    Ok(bytes)
}

/// Every page, by a name for people, and its address.
fn pages(browser: &mut Browser, filled: &Filled) -> anyhow::Result<Vec<(String, String)>> {
    let task = format!("/tasks/{}", filled.task);
    let account = format!("/accounts/{}", filled.account);
    let mut pages = vec![("Homepage".to_owned(), "/".to_owned())];
    let mut add = |name: &str, path: &str| pages.push((name.to_owned(), path.to_owned()));
    add("task", &task);
    for sort in ["name", "status", "result", "backup", "size"] {
        add(&format!("task, by {sort}"), &format!("{task}?sort={sort}"));
        let down = format!("{task}?sort={sort}&order=down");
        add(&format!("task, by {sort} downwards"), &down);
    }
    for show in ["active", "inactive", "paused", "archived", "failures"] {
        add(
            &format!("task, only {show}"),
            &format!("{task}?show={show}"),
        );
    }
    add(
        "task, accounts found by a word",
        &format!("{task}?find=person0"),
    );
    add("task, a word that none has", &format!("{task}?find=nobody"));
    let far = far(browser, &format!("{task}?sort=size&order=down"))?;
    add("task, 20 pages on", &far);

    add("account", &account);
    let links = browser.get(&account)?.links();
    let within = |what: &str| {
        let found = links
            .iter()
            .find(|link| link.starts_with(&format!("{account}?")) && link.contains(what));
        found
            .cloned()
            .with_context(|| format!("no link with {what} on an account's page"))
    };
    let message = within("message=")?;
    let folder = within("folder=")?;
    add("folder as of a restore point", &folder);
    add("folder, next page", &within("after=")?);
    add("message", &message);
    let query = message.split_once('?').context("a query")?.1;
    let query = query.split('#').next().unwrap_or_default();
    add(
        "message, its text",
        &format!("{account}/message/body?{query}"),
    );
    add(
        "search, found at once",
        &format!("{account}/search?words=invoice"),
    );
    add(
        "search, found nowhere",
        &format!("{account}/search?words=zebra"),
    );
    add("restore", &format!("{account}/restore?{query}"));

    add("runs", "/runs");
    add("run", &format!("/runs/{}", filled.run));
    add("restores", "/restores");
    add("failures", "/failures");
    let failing = filled.failing;
    add(
        "failures of an account",
        &format!("/failures?account={failing}"),
    );
    add("audit", "/audit");
    add("settings", "/settings");
    add("API tokens", "/settings/tokens");
    add("connection", &format!("/connections/{}", filled.connection));
    add("new backup task", "/tasks/new");
    Ok(pages)
}

/// The address of a list some pages on.
fn far(browser: &mut Browser, list: &str) -> anyhow::Result<String> {
    let mut at = list.to_owned();
    for _ in 0..FAR {
        let links = browser.get(&at)?.links();
        match links.into_iter().find(|link| link.contains("after=")) {
            Some(next) => at = next,
            None => break,
        }
    }
    Ok(at)
}
