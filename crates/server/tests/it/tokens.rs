//! API tokens: shown once, of no more power than who made them, over in time, and of no use to whoever guesses (abuse 94, 103).

use catalog::Role;
use reqwest::Method;

use crate::stage::{Stage, new_user};

const PATH: &str = "/api/v1/organization";

/// abuse 103: whoever reads the database cannot use the tokens in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_shown_once_and_kept_nowhere() {
    let stage = Stage::start().await;
    let (tenant, browser) = stage.signed_in("ada").await;
    let token = browser.make_token("auditor").await;
    let answer = browser.program(Method::GET, PATH, "").await;
    let id = tenant.organization.id().to_string();
    assert_eq!(answer.json()["id"], id.as_str());
    let page = browser.get("/settings/tokens").await;
    assert!(
        page.has("Nightly report") && !page.has("kw_"),
        "{}",
        page.text
    );
    let secret = &token.as_bytes()[3..];
    let files = stage.files();
    assert!(!files.is_empty());
    for bytes in files {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_ends_when_it_is_revoked_in_time_and_with_its_user() {
    let stage = Stage::start().await;
    let (tenant, ada) = stage.signed_in("ada").await;
    let status = async || ada.program(Method::GET, PATH, "").await.status;
    ada.make_token("auditor").await;
    assert_eq!(status().await, 200);
    let id = tenant.organization.api_tokens().await.unwrap()[0].id;
    let csrf = ada.csrf().await;
    let path = format!("/settings/tokens/{id}/revoke");
    let answer = ada.post(&path, &[("csrf", &csrf)]).await;
    assert_eq!(answer.location(), "/settings/tokens");
    assert_eq!(status().await, 401);
    ada.make_token("auditor").await;
    stage.pass(90 * 24 * 3600 - 1);
    assert_eq!(status().await, 200);
    stage.pass(1);
    assert_eq!(status().await, 401);
    ada.sign_in(&tenant.address).await;
    ada.make_token("auditor").await;
    assert_eq!(status().await, 200);
    let bob = new_user("bob@example.com", Role::Administrator);
    let of = &tenant.organization;
    of.add_user(&bob, stage.now()).await.unwrap();
    of.disable_user(tenant.user, stage.now()).await.unwrap();
    assert_eq!(status().await, 401);
    of.enable_user(tenant.user).await.unwrap();
    assert_eq!(status().await, 401, "it has ended for good");
}

/// abuse 85.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_may_no_more_than_its_role_and_its_user_both() {
    let stage = Stage::start().await;
    let (tenant, ada) = stage.signed_in("ada").await;
    let of = &tenant.organization;
    let audit = async |browser: &crate::browser::Browser| {
        let answer = browser.program(Method::GET, "/api/v1/audit", "").await;
        let items = answer.json()["items"].as_array().unwrap().clone();
        items[0].clone()
    };
    // An administrator's token for an auditor.
    ada.make_token("auditor").await;
    let task = catalog::TaskId::new();
    let backups = format!("/api/v1/tasks/{task}/backups");
    let refused = ada.program(Method::POST, &backups, r#"{"all": {}}"#).await;
    assert_eq!(refused.status, 403);
    refused.problem();
    // An operator's token for an administrator is not made, nor one for nobody.
    let operator = new_user("operator@example.com", Role::Operator);
    of.add_user(&operator, stage.now()).await.unwrap();
    let browser = stage.browser();
    browser.sign_in("operator@example.com").await;
    let csrf = browser.csrf().await;
    for role in ["administrator", "owner", ""] {
        let fields = [
            ("csrf", csrf.as_str()),
            ("name", "Greedy"),
            ("role", role),
            ("days", "90"),
        ];
        let answer = browser.post("/settings/tokens", &fields).await;
        assert_eq!(answer.status, 422, "{role}");
    }
    browser.make_token("operator").await;
    let missing = browser
        .program(Method::POST, &backups, r#"{"all": {}}"#)
        .await;
    assert_eq!(missing.status, 404);
    // The audit names the token, and others' tokens are not an operator's to see or to end.
    let made = audit(&browser).await;
    assert_eq!(made["action"], "made an API token");
    let adas = of.api_tokens().await.unwrap().last().unwrap().id;
    let path = format!("/settings/tokens/{adas}/revoke");
    assert_eq!(browser.post(&path, &[("csrf", &csrf)]).await.status, 404);
    let page = browser.get("/settings/tokens").await;
    assert!(!page.text.contains(&adas.to_string()));
    let page = ada.get("/settings/tokens").await;
    assert!(page.text.contains(&adas.to_string()));
    assert!(ada.get("/audit").await.has("made an API token"));
}

/// abuse 86: what a page elsewhere can make a browser send opens nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_is_no_token() {
    let stage = Stage::start().await;
    let (_tenant, browser) = stage.signed_in("ada").await;
    let answer = browser.get(PATH).await;
    assert_eq!(answer.status, 401);
    answer.problem();
    let session = browser.cookie("__Host-keepwell").unwrap();
    for token in [session.clone(), format!("kw_{session}")] {
        browser.bring(Some(&token));
        assert_eq!(browser.program(Method::GET, PATH, "").await.status, 401);
    }
}

/// abuse 94.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_guesses_is_made_to_wait_and_who_knows_goes_on() {
    let stage = Stage::start().await;
    let (_tenant, browser) = stage.signed_in("ada").await;
    let right = browser.make_token("auditor").await;
    let wrong = format!("kw_{}", "A".repeat(43));
    let ask = async |token: &str| {
        browser.bring(Some(token));
        browser.program(Method::GET, PATH, "").await
    };
    for _ in 0..20 {
        assert_eq!(ask(&wrong).await.status, 401);
    }
    let limited = ask(&wrong).await;
    assert_eq!(limited.status, 429);
    assert_eq!(limited.header("retry-after"), "31");
    limited.problem();
    assert_eq!(ask(&right).await.status, 200);
    stage.pass(31);
    assert_eq!(ask(&wrong).await.status, 401);
}
