//! Device codes: a program waits, a person enters its code in a browser, and what comes of it.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    browser::{Browser, Page, verified},
    entra::assert_error,
    entra_walk::{anybody, site},
    harness::{Answer, Site, form_request, send},
};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Asks for a code as a program does.
async fn begin(site: &Site, scope: &str) -> Answer {
    let id = site.running.client_id.to_string();
    let path = format!("/{}/oauth2/v2.0/devicecode", site.running.tenant_id);
    let form = [("client_id", id.as_str()), ("scope", scope)];
    send(form_request(site.bare(Method::POST, &path), &form)).await
}

/// A company whose application is one without a secret.
async fn public() -> Site {
    let site = site().await;
    site.change_app(|app| {
        app.properties
            .insert("isFallbackPublicClient".to_owned(), json!(true));
    });
    site
}

/// Asks for tokens, without a secret.
async fn poll(browser: &Browser<'_>, device: &Value) -> Answer {
    let code = device["device_code"].as_str().expect("a text");
    let changes = [
        ("grant_type", GRANT),
        ("device_code", code),
        ("client_secret", ""),
        ("redirect_uri", ""),
        ("code", ""),
    ];
    browser.redeem("", &changes).await
}

/// Enters the code.
async fn enter(browser: &Browser<'_>, device: &Value) -> Page {
    let address = device["verification_uri"].as_str().expect("a text");
    let page = browser.go(address).await.page();
    assert_eq!(page.heading(), "Enter code to allow access");
    let typed = device["user_code"].as_str().expect("a text").to_lowercase();
    browser.submit(&page, &[("otc", &typed)]).await.page()
}

#[tokio::test]
async fn a_program_waits_until_a_person_has_entered_its_code() {
    let site = public().await;
    let account = anybody(&site);
    let (program, browser) = (Browser::new(&site), Browser::new(&site));
    let answer = begin(&site, "openid profile offline_access User.Read").await;
    assert_eq!(answer.status, 200);
    let device = answer.json();
    assert_eq!(device["expires_in"], 900);
    assert_eq!(device["interval"], 5);
    let code = device["user_code"].as_str().expect("a text");
    assert_eq!(code.len(), 9);
    let message = device["message"].as_str().expect("a text");
    assert!(message.contains(code), "{message}");
    let waits = poll(&program, &device).await;
    assert_error(&waits, 400, "authorization_pending", 70_016);

    let page = enter(&browser, &device).await;
    let page = browser.sign_in(&page, &account).await.page();
    assert!(
        page.heading().starts_with("Are you trying to sign in to "),
        "{}",
        page.html
    );
    let page = browser
        .submit(&page, &[("decision", "continue")])
        .await
        .page();
    assert_eq!(page.heading(), "Permissions requested");
    let still = poll(&program, &device).await;
    assert_error(&still, 400, "authorization_pending", 70_016);
    let page = browser
        .submit(&page, &[("decision", "accept")])
        .await
        .page();
    assert!(page.html.contains("You may now close this window."));

    let answer = poll(&program, &device).await;
    assert_eq!(answer.status, 200);
    let tokens = answer.json();
    assert_eq!(tokens["scope"], "openid profile User.Read");
    assert!(tokens["refresh_token"].is_string());
    let id_token = tokens["id_token"].as_str().expect("a text");
    let client = site.running.client_id.to_string();
    let claims = verified(&site, id_token, &client).await;
    assert_eq!(claims["preferred_username"], account.principal_name);
    let again = poll(&program, &device).await;
    assert_error(&again, 400, "invalid_grant", 54_005);

    // What was granted is not asked for again.
    let device = begin(&site, "openid User.Read").await.json();
    let page = enter(&browser, &device).await;
    let page = browser
        .submit(&page, &[("decision", "continue")])
        .await
        .page();
    assert!(
        page.html.contains("You may now close this window."),
        "{}",
        page.html
    );
    assert_eq!(poll(&program, &device).await.status, 200);
}

#[tokio::test]
async fn a_person_may_say_no_and_a_code_is_good_for_a_quarter_of_an_hour() {
    let site = public().await;
    let browser = Browser::new(&site);
    let device = begin(&site, "User.Read").await.json();
    let page = enter(&browser, &device).await;
    let page = browser.sign_in(&page, &anybody(&site)).await.page();
    let page = browser
        .submit(&page, &[("decision", "cancel")])
        .await
        .page();
    assert!(page.html.contains("AADSTS65004"), "{}", page.html);
    let declined = poll(&browser, &device).await;
    assert_error(&declined, 400, "authorization_declined", 65_004);

    let device = begin(&site, "User.Read").await.json();
    site.clock.advance(Duration::from_secs(899));
    let waits = poll(&browser, &device).await;
    assert_error(&waits, 400, "authorization_pending", 70_016);
    site.clock.advance(Duration::from_secs(1));
    let over = poll(&browser, &device).await;
    assert_error(&over, 400, "expired_token", 70_020);
    let page = enter(&browser, &device).await;
    assert!(page.html.contains("That code didn't work."));
    assert_eq!(page.heading(), "Enter code to allow access");
}

#[tokio::test]
async fn what_is_wrong_with_asking_for_a_code_or_with_it_is_said() {
    let site = public().await;
    let browser = Browser::new(&site);
    let unknown = begin(&site, "User.Reed").await;
    assert_error(&unknown, 400, "invalid_client", 650_053);
    let unsaid = begin(&site, "").await;
    assert_error(&unsaid, 400, "invalid_request", 900_144);
    let strange = poll(&browser, &json!({"device_code": "nonsense"})).await;
    assert_error(&strange, 400, "bad_verification_code", 70_018);
    let device = begin(&site, "User.Read").await.json();
    site.change_app(|app| {
        app.properties.remove("isFallbackPublicClient");
    });
    let unproven = poll(&browser, &device).await;
    assert_error(&unproven, 401, "invalid_client", 7_000_218);
}
