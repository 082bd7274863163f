//! Signing in and out.

use catalog::Role;

use crate::{
    browser::{Answer, Browser},
    stage::{PASSWORD, Stage, new_user},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_signs_in_gets_to_the_page_that_was_asked_for() {
    let stage = Stage::start().await;
    let tenant = stage.tenant("ada").await;
    let browser = stage.browser();
    let asked = browser.get("/?tab=two%20words").await;
    assert_eq!(asked.location(), "/sign-in?next=%2F%3Ftab%3Dtwo%2520words");
    let page = browser.get(asked.location()).await;
    let fields = [
        ("csrf", page.field("csrf")),
        ("next", page.field("next")),
        ("address", "ADA@example.com".to_owned()),
        ("password", PASSWORD.to_owned()),
    ];
    let fields = fields
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let answer = browser.post("/sign-in", &fields).await;
    assert_eq!(answer.location(), "/?tab=two%20words");
    let home = browser.get("/").await;
    assert_eq!(home.status, 200);
    assert!(home.has("Ada Lovelace"), "{}", home.text);
    let noted = tenant.organization.audit(None, 10).await.unwrap();
    assert_eq!(noted[0].action, "signed in");
    assert_eq!(noted[0].actor, tenant.user.to_string());
}

/// abuse 94: the same answer, so that nobody learns who has an account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_address_and_a_wrong_password_look_the_same() {
    let stage = Stage::start().await;
    let tenant = stage.tenant("ada").await;
    let other = stage.tenant("bob").await;
    let disabled = new_user("carl@example.com", Role::Operator);
    let disabled = tenant
        .organization
        .add_user(&disabled, stage.now())
        .await
        .unwrap();
    let of = &tenant.organization;
    of.disable_user(disabled, stage.now()).await.unwrap();
    let mut pages = Vec::new();
    for (address, password) in [
        (tenant.address.as_str(), "wrong horse battery"),
        ("nobody@example.com", PASSWORD),
        ("carl@example.com", PASSWORD),
        (other.address.as_str(), ""),
    ] {
        let browser = stage.browser();
        let page = browser.get("/sign-in").await;
        let csrf = page.field("csrf");
        let fields = [
            ("csrf", csrf.as_str()),
            ("address", address),
            ("password", password),
        ];
        let answer = browser.post("/sign-in", &fields).await;
        assert_eq!(answer.status, 422);
        assert!(answer.has("Address or password is not right."));
        assert!(browser.cookie("__Host-keepwell").is_none());
        pages.push(answer.text.replace(&csrf, "").replace(address, ""));
    }
    assert!(pages.iter().all(|page| *page == pages[0]), "{pages:#?}");
}

/// abuse 94, 98.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_five_wrong_passwords_one_has_to_wait() {
    let stage = Stage::start().await;
    let tenant = stage.tenant("ada").await;
    let browser = stage.browser();
    for _ in 0..5 {
        let answer = browser
            .try_to_sign_in(&tenant.address, "wrong horse battery")
            .await;
        assert_eq!(answer.status, 422);
    }
    let answer = browser.try_to_sign_in(&tenant.address, PASSWORD).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), "31");
    assert!(answer.has("Wait 31 seconds"), "{}", answer.text);
    stage.pass(31);
    browser.sign_in(&tenant.address).await;
}

/// abuse 98: who tries one address after another has to wait as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tries_are_counted_by_where_they_come_from() {
    let stage = Stage::start().await;
    let tenant = stage.tenant("ada").await;
    let browser = stage.browser();
    for n in 0..20 {
        let answer = browser
            .try_to_sign_in(&format!("{n}@example.com"), PASSWORD)
            .await;
        assert_eq!(answer.status, 422, "{n}");
    }
    let answer = browser.try_to_sign_in(&tenant.address, PASSWORD).await;
    assert_eq!(answer.status, 429);
}

/// Somebody with a wrong password, or a right one, of whom a proxy, or somebody who plays one, says where they come from.
async fn try_from(browser: &Browser, forwarded_for: &str, address: &str) -> Answer {
    let csrf = browser.get("/sign-in").await.field("csrf");
    let fields = [
        ("csrf", csrf.as_str()),
        ("address", address),
        ("password", PASSWORD),
    ];
    let request = browser
        .form("/sign-in", &fields)
        .header("origin", browser.url())
        .header("sec-fetch-site", "same-origin")
        .header("x-forwarded-for", forwarded_for);
    browser.send(request).await
}

/// abuse 91, 98: behind a proxy people are told apart by what the proxy added, whatever they claim themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_proxy_tries_are_counted_by_what_the_proxy_says() {
    let stage = Stage::behind_a_proxy().await;
    let tenant = stage.tenant("ada").await;
    let browser = stage.browser();
    for n in 0..20 {
        let claimed = format!("192.0.2.{n}, 198.51.100.7");
        let answer = try_from(&browser, &claimed, &format!("{n}@example.com")).await;
        assert_eq!(answer.status, 422, "{n}");
    }
    let answer = try_from(&browser, "203.0.113.9, 198.51.100.7", &tenant.address).await;
    assert_eq!(answer.status, 429);
    let answer = try_from(&browser, "203.0.113.9", &tenant.address).await;
    assert_eq!(answer.status, 303, "a neighbour need not wait");
}

/// abuse 91: where no proxy is named, nobody is believed who says that they come from elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_proxy_nobody_says_where_they_come_from() {
    let stage = Stage::start().await;
    let tenant = stage.tenant("ada").await;
    let browser = stage.browser();
    for n in 0..20 {
        let answer = try_from(
            &browser,
            &format!("192.0.2.{n}"),
            &format!("{n}@example.com"),
        )
        .await;
        assert_eq!(answer.status, 422, "{n}");
    }
    let answer = try_from(&browser, "192.0.2.99", &tenant.address).await;
    assert_eq!(answer.status, 429);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_console_says_how_to_begin() {
    let stage = Stage::start().await;
    assert!(stage.browser().get("/sign-in").await.has("/sign-up"));
    stage.tenant("ada").await;
    assert!(!stage.browser().get("/sign-in").await.has("/sign-up"));
}
