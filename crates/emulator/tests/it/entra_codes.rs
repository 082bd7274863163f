//! Redeeming codes and refresh tokens: what is right, and each thing that is not.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use emulator::{Redirects, User};
use jsonwebtoken::{Algorithm, Header};
use reqwest::Method;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    browser::{Browser, REDIRECT, field},
    entra::{assert_error, certificate},
    entra_walk::{anybody, site},
    harness::{Site, send},
};

const VERIFIER: &str = "a-verifier-that-is-long-enough-0123456789~._";

async fn code(browser: &Browser<'_>, site: &Site, changes: &[(&str, &str)]) -> String {
    let fields = browser.walk(&anybody(site), changes).await;
    let code = field(&fields, "code");
    assert!(!code.is_empty(), "{fields:?}");
    code
}

#[tokio::test]
async fn a_code_is_good_once_and_for_ten_minutes() {
    let site = site().await;
    let browser = Browser::new(&site);
    let first = code(&browser, &site, &[]).await;
    assert_eq!(browser.redeem(&first, &[]).await.status, 200);
    assert_error(
        &browser.redeem(&first, &[]).await,
        400,
        "invalid_grant",
        54_005,
    );
    let second = code(&browser, &site, &[]).await;
    site.clock.advance(Duration::from_secs(599));
    assert_eq!(browser.redeem(&second, &[]).await.status, 200);
    let third = code(&browser, &site, &[]).await;
    site.clock.advance(Duration::from_secs(600));
    assert_error(
        &browser.redeem(&third, &[]).await,
        400,
        "invalid_grant",
        70_008,
    );
    assert_error(
        &browser.redeem("nonsense", &[]).await,
        400,
        "invalid_grant",
        70_000,
    );
}

#[tokio::test]
async fn a_code_is_redeemed_with_the_address_it_was_sent_to_by_the_client_it_was_for() {
    let site = site().await;
    site.change_app(|app| {
        app.redirects
            .web
            .push("https://example.com/other".to_owned())
    });
    let browser = Browser::new(&site);
    let code = code(&browser, &site, &[]).await;
    for (changes, status, error, number) in [
        (
            &[("redirect_uri", "https://example.com/other")][..],
            401,
            "invalid_client",
            500_112,
        ),
        (&[("redirect_uri", "")], 400, "invalid_request", 900_144),
        (&[("code", "")], 400, "invalid_request", 900_144),
        (&[("client_secret", "")], 401, "invalid_client", 7_000_218),
        (
            &[("client_secret", "wrong")],
            401,
            "invalid_client",
            7_000_215,
        ),
        (
            &[("client_id", "nobody")],
            400,
            "unauthorized_client",
            700_016,
        ),
        (
            &[("code_verifier", VERIFIER)],
            400,
            "invalid_grant",
            501_481,
        ),
    ] {
        assert_error(&browser.redeem(&code, changes).await, status, error, number);
    }
    site.change_app(|app| app.secrets[0].expires = site.running.now());
    assert_error(
        &browser.redeem(&code, &[]).await,
        401,
        "invalid_client",
        7_000_222,
    );
    site.change_app(|app| app.secrets[0].expires = site.running.now() + Duration::from_secs(1));
    assert_eq!(
        browser.redeem(&code, &[]).await.status,
        200,
        "an attempt that fails does not use the code up"
    );
}

#[tokio::test]
async fn whoever_redeems_must_know_the_verifier() {
    let site = site().await;
    let browser = Browser::new(&site);
    let hashed = BASE64URL_NOPAD.encode(&Sha256::digest(VERIFIER.as_bytes()));
    let s256 = [
        ("code_challenge", hashed.as_str()),
        ("code_challenge_method", "S256"),
    ];
    let plain = [
        ("code_challenge", VERIFIER),
        ("code_challenge_method", "plain"),
    ];
    let unnamed = [("code_challenge", VERIFIER)];
    for challenge in [&s256[..], &plain, &unnamed] {
        let code = code(&browser, &site, challenge).await;
        let missing = browser.redeem(&code, &[]).await;
        assert_error(&missing, 400, "invalid_grant", 50_148);
        let wrong = browser
            .redeem(&code, &[("code_verifier", &hashed.to_uppercase())])
            .await;
        assert_error(&wrong, 400, "invalid_grant", 501_481);
        let right = browser.redeem(&code, &[("code_verifier", VERIFIER)]).await;
        assert_eq!(right.status, 200, "{right:?}");
    }
}

#[tokio::test]
async fn a_certificate_redeems_a_code() {
    let site = site().await;
    site.change_app(|app| app.certificates.push(certificate().certificate.clone()));
    let browser = Browser::new(&site);
    let code = code(&browser, &site, &[]).await;
    let now = site.running.now().as_second();
    let id = site.running.client_id;
    let mut header = Header::new(Algorithm::PS256);
    header.x5t_s256 = Some(BASE64URL_NOPAD.encode(&Sha256::digest(&certificate().certificate.der)));
    let assertion = |expires: i64| {
        let claims = json!({
            "aud": format!("{}/{}/oauth2/v2.0/token", site.running.base_url, site.running.tenant_id),
            "iss": id, "sub": id, "jti": "one", "nbf": now - 600, "exp": expires,
        });
        jsonwebtoken::encode(&header, &claims, &certificate().key).expect("it can be signed")
    };
    let with = async |assertion: &str| {
        let fields = [
            ("client_secret", ""),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", assertion),
        ];
        browser.redeem(&code, &fields).await
    };
    let expired = with(&assertion(now - 301)).await;
    assert_error(&expired, 401, "invalid_client", 700_024);
    assert_eq!(with(&assertion(now + 600)).await.status, 200);
}

#[tokio::test]
async fn what_can_keep_no_secret_must_not_send_one() {
    let site = site().await;
    site.change_app(|app| {
        app.redirects = Redirects {
            public: vec![REDIRECT.to_owned()],
            ..Redirects::default()
        };
    });
    let browser = Browser::new(&site);
    let first = code(&browser, &site, &[]).await;
    let refused = browser.redeem(&first, &[]).await;
    assert_error(&refused, 401, "invalid_client", 700_025);
    let taken = browser.redeem(&first, &[("client_secret", "")]).await;
    assert_eq!(taken.status, 200, "{taken:?}");

    site.change_app(|app| {
        app.redirects = Redirects {
            spa: vec![REDIRECT.to_owned()],
            ..Redirects::default()
        };
    });
    let second = code(&browser, &site, &[]).await;
    let refused = browser.redeem(&second, &[("client_secret", "")]).await;
    assert_error(&refused, 400, "invalid_request", 9_002_327);
}

#[tokio::test]
async fn a_refresh_token_gives_new_tokens_while_the_grant_stands() {
    let site = site().await;
    let browser = Browser::new(&site);
    let scope = [("scope", "openid profile offline_access User.Read")];
    let code = code(&browser, &site, &scope).await;
    let tokens = browser.redeem(&code, &[]).await.json();
    let refresh = tokens["refresh_token"]
        .as_str()
        .expect("it was asked for")
        .to_owned();
    assert_eq!(tokens["scope"], "openid profile User.Read");
    let again = async |changes: &[(&str, &str)]| {
        let mut all = vec![
            ("grant_type", "refresh_token"),
            ("code", ""),
            ("redirect_uri", ""),
            ("refresh_token", refresh.as_str()),
        ];
        all.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        all.extend(changes);
        browser.redeem("", &all).await
    };
    let answer = again(&[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_ne!(answer.json()["access_token"], tokens["access_token"]);
    assert!(answer.json()["refresh_token"].is_string());
    assert_eq!(
        again(&[("scope", "User.Read")]).await.json()["scope"],
        "User.Read"
    );
    let more = again(&[("scope", "Mail.Read")]).await;
    assert_error(&more, 400, "invalid_grant", 65_001);
    assert_error(
        &again(&[("client_secret", "")]).await,
        401,
        "invalid_client",
        7_000_218,
    );
    assert_error(
        &again(&[("refresh_token", "nonsense")]).await,
        400,
        "invalid_grant",
        70_000,
    );

    let tenant = site.running.tenant();
    let account = anybody(&site).principal_name;
    let user = tenant.user(&account).expect("there");
    let mut disabled = User::clone(&user);
    disabled.set("accountEnabled", false);
    tenant.set_user(disabled);
    assert_error(&again(&[]).await, 400, "invalid_grant", 50_057);
    tenant.set_user(User::clone(&user));
    site.clock.advance(Duration::from_secs(90 * 24 * 3600));
    assert_error(&again(&[]).await, 400, "invalid_grant", 700_082);
}

#[tokio::test]
async fn a_token_for_a_person_reads_nothing_that_takes_an_application() {
    let site = site().await;
    let browser = Browser::new(&site);
    let code = code(&browser, &site, &[("scope", "openid User.Read")]).await;
    let tokens = browser.redeem(&code, &[]).await.json();
    let token = tokens["access_token"].as_str().expect("a token");
    for path in ["/v1.0/users", "/v1.0/me"] {
        let answer = send(site.bare(Method::GET, path).bearer_auth(token)).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "Authorization_RequestDenied"),
            "{path}"
        );
    }
    site.assert_clean();
}
