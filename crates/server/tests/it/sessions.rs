//! Sessions: begun anew with each sign-in, ended where they are kept, and over in time (abuse 87).

use crate::stage::{PASSWORD, Stage};

const COOKIE: &str = "__Host-keepwell";

/// abuse 87.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_was_planted_is_not_taken_over() {
    let stage = Stage::start().await;
    let tenant = stage.tenant("ada").await;
    let browser = stage.browser();
    let planted = "A".repeat(43);
    browser.set_cookie(COOKIE, &planted);
    browser.sign_in(&tenant.address).await;
    let token = browser.cookie(COOKIE).unwrap();
    assert_ne!(token, planted);
    let thief = stage.browser();
    thief.set_cookie(COOKIE, &planted);
    assert_eq!(thief.get("/").await.location(), "/sign-in");
}

/// abuse 87.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_in_again_ends_the_session_before() {
    let stage = Stage::start().await;
    let (tenant, browser) = stage.signed_in("ada").await;
    let before = browser.cookie(COOKIE).unwrap();
    let csrf = browser.csrf().await;
    let fields = [
        ("csrf", csrf.as_str()),
        ("address", tenant.address.as_str()),
        ("password", PASSWORD),
    ];
    let answer = browser.post("/sign-in", &fields).await;
    assert_eq!(answer.location(), "/");
    let other = stage.browser();
    other.set_cookie(COOKIE, &before);
    assert_eq!(other.get("/").await.location(), "/sign-in");
    assert_eq!(browser.get("/").await.status, 200);
}

/// abuse 87: signing out ends the session on the server, not only in the browser.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_kept_the_cookie_is_signed_out_too() {
    let stage = Stage::start().await;
    let (_tenant, browser) = stage.signed_in("ada").await;
    let token = browser.cookie(COOKIE).unwrap();
    let csrf = browser.csrf().await;
    let answer = browser.post("/sign-out", &[("csrf", &csrf)]).await;
    assert_eq!(answer.location(), "/sign-in");
    assert!(browser.cookie(COOKIE).is_none());
    browser.set_cookie(COOKIE, &token);
    assert_eq!(browser.get("/").await.location(), "/sign-in");
}

/// abuse 87.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_when_it_is_not_used_and_in_any_case_after_half_a_day() {
    let stage = Stage::start().await;
    let (_tenant, browser) = stage.signed_in("ada").await;
    let (_other, idle) = stage.signed_in("bob").await;
    for _ in 0..11 {
        stage.pass(3600);
        assert_eq!(browser.get("/").await.status, 200);
    }
    assert_eq!(idle.get("/").await.location(), "/sign-in");
    stage.pass(3600);
    assert_eq!(browser.get("/").await.location(), "/sign-in");
}

/// abuse 87: what the cookies allow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cookies_are_of_this_host_alone_and_out_of_reach_of_scripts() {
    let stage = Stage::start().await;
    let tenant = stage.tenant("ada").await;
    let browser = stage.browser();
    let page = browser.get("/sign-in").await;
    let answer = browser.try_to_sign_in(&tenant.address, PASSWORD).await;
    for (answer, name) in [
        (page, "__Host-keepwell-visitor="),
        (answer, "__Host-keepwell="),
    ] {
        let cookie = answer.header("set-cookie");
        assert!(cookie.starts_with(name), "{cookie}");
        for part in ["; HttpOnly", "; Secure", "; SameSite=Lax", "; Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
}

/// abuse 103: whoever reads the database cannot use the sessions in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_holds_no_token() {
    let stage = Stage::start().await;
    let (_tenant, browser) = stage.signed_in("ada").await;
    let token = browser.cookie(COOKIE).unwrap();
    let found = stage.files().iter().any(|bytes| {
        let mut windows = bytes.windows(token.len());
        windows.any(|window| window == token.as_bytes())
    });
    assert!(!found);
    assert!(!stage.files().is_empty());
}
