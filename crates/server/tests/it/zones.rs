//! By whose clock days begin and schedules count.

use jiff::{Timestamp, tz::TimeZone};
use model::{Clock, SystemClock};
use service::TaskSettings;

use crate::{content::Backed, stage::Stage};

const ZONE: &str = "__Host-keepwell-zone";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_days_of_the_audit_are_the_readers() {
    let stage = Stage::start().await;
    let (_, browser) = stage.signed_in("ada").await;
    // It is 8:00 in UTC on 22 November.
    let from = "/audit?from=2026-11-22";
    let page = browser.get(from).await;
    assert!(page.has("From (UTC)") && page.has("<td>signed in</td>"));
    browser.set_cookie(ZONE, "Pacific/Niue");
    let page = browser.get(from).await;
    assert!(
        !page.has("(UTC)") && page.has("No entry matches"),
        "{}",
        page.text
    );
    let page = browser.get("/audit?to=2026-11-21").await;
    assert!(page.has("<td>signed in</td>"));
    let file = browser.get("/audit.csv?from=2026-11-22").await;
    assert_eq!(
        file.text.lines().count(),
        1,
        "the head alone: {}",
        file.text
    );
    browser.set_cookie(ZONE, "../../etc/passwd");
    assert!(browser.get(from).await.has("From (UTC)"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_line_has_the_readers_days() {
    let backed = Backed::with(&[]).await;
    let page = format!("/accounts/{}", backed.account.key);
    let today = |zone: &str| {
        let now: Timestamp = SystemClock::new().now();
        let day = now.to_zoned(TimeZone::get(zone).unwrap());
        day.strftime("to %-d %B %Y").to_string()
    };
    // Their clocks are 25 hours apart.
    for zone in ["Pacific/Kiritimati", "Pacific/Niue"] {
        backed.browser.set_cookie(ZONE, zone);
        let before = today(zone);
        let page = backed.browser.get(&page).await;
        assert!(
            page.has(&before) || page.has(&today(zone)),
            "{zone}: {}",
            page.text
        );
        assert!(!page.has("(UTC)"));
    }
    backed.browser.set_cookie(ZONE, "");
    let page = backed.browser.get(&page).await;
    assert!(page.has("(UTC)"), "{}", page.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_keeps_its_time_zone() {
    let backed = Backed::with(&[]).await;
    let (browser, task) = (&backed.browser, format!("/tasks/{}", backed.task));
    let csrf = browser.csrf().await;
    let save = async |zone: &str| {
        let fields = [("csrf", csrf.as_str()), ("schedule", "2"), ("zone", zone)];
        browser.post(&format!("{task}/settings"), &fields).await
    };
    let kept = async || {
        let row = backed.organization.task(backed.task).await.unwrap();
        TaskSettings::from_text(&row.settings).unwrap().zone
    };
    let to = save("Europe/Zurich").await;
    let page = browser.get(to.location()).await;
    assert!(
        page.has("Twice a day, by the clock of Europe/Zurich."),
        "{}",
        page.text
    );
    assert_eq!(kept().await, "Europe/Zurich");
    let refused = save("Atlantis").await;
    assert!(
        refused.has("\"Atlantis\" is no time zone"),
        "{}",
        refused.text
    );
    assert_eq!(refused.field("zone"), "Atlantis", "what was typed stays");
    assert_eq!(kept().await, "Europe/Zurich");
    save("").await;
    assert_eq!(
        kept().await,
        "Europe/Zurich",
        "a page of before has no such field"
    );
}
