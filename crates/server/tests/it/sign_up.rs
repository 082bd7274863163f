//! The first organization, by the set-up code; and its emergency kit.

use secrets::EmergencyKit;

use crate::{
    browser::{Answer, Browser},
    stage::{PASSWORD, Stage},
};

async fn sign_up(browser: &Browser, changes: &[(&str, &str)]) -> Answer {
    let page = browser.get("/sign-up").await;
    let csrf = page.field("csrf");
    let mut fields = vec![
        ("csrf", csrf.as_str()),
        ("organization", "Contoso"),
        ("name", "Ada Lovelace"),
        ("address", "ada@contoso.com"),
        ("password", PASSWORD),
    ];
    fields.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    fields.extend(changes);
    browser.post("/sign-up", &fields).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_the_code_makes_the_first_organization_and_nobody_another() {
    let stage = Stage::start().await;
    let code = stage.state.set_up_code().to_string();
    let browser = stage.browser();
    let answer = sign_up(&browser, &[("code", &code.to_lowercase())]).await;
    assert_eq!(answer.location(), "/settings");
    let settings = browser.get("/settings").await;
    assert!(settings.has("Contoso") && settings.has("ada@contoso.com"));
    assert!(settings.has("Nobody has downloaded the emergency kit yet"));
    let stranger = stage.browser();
    assert_eq!(stranger.get("/sign-up").await.status, 403);
    let csrf = stranger.csrf().await;
    let fields = [
        ("csrf", csrf.as_str()),
        ("code", code.as_str()),
        ("organization", "Evil"),
        ("name", "Eve"),
        ("address", "eve@evil.example"),
        ("password", PASSWORD),
    ];
    let answer = stranger.post("/sign-up", &fields).await;
    assert_eq!(answer.status, 403);
    assert_eq!(stage.catalog.organizations().await.unwrap().len(), 1);
    // The password is the one that was chosen.
    let other = stage.browser();
    other.sign_in("ada@contoso.com").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_said_and_what_was_typed_stays() {
    let stage = Stage::start().await;
    let code = stage.state.set_up_code().to_string();
    for (field, value, said) in [
        ("organization", "", "Enter a name"),
        ("name", "  ", "Enter a name"),
        ("address", "ada", "Enter a mail address"),
        ("password", "elevenchars", "Use at least 12 characters."),
        (
            "password",
            "ada@contoso.com",
            "Use something else than the address.",
        ),
    ] {
        let browser = stage.browser();
        let answer = sign_up(&browser, &[("code", &code), (field, value)]).await;
        assert_eq!(answer.status, 422, "{field}");
        assert!(answer.has(said), "{field}: {}", answer.text);
        if field == "password" {
            assert!(answer.has("value=\"Ada Lovelace\""));
            assert!(!answer.has("elevenchars"), "a password is never sent back");
        }
    }
    assert!(!stage.catalog.has_users().await.unwrap());
}

/// abuse 94, 98.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_code_cannot_be_guessed() {
    let stage = Stage::start().await;
    let code = stage.state.set_up_code().to_string();
    let browser = stage.browser();
    for _ in 0..5 {
        let answer = sign_up(&browser, &[("code", "AAAAA-AAAAA-AAAAA-AAAAA")]).await;
        assert_eq!(answer.status, 422);
        assert!(answer.has("The set-up code is not right."));
    }
    let answer = sign_up(&browser, &[("code", &code)]).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), "31");
    assert!(!stage.catalog.has_users().await.unwrap());
    stage.pass(31);
    assert_eq!(
        sign_up(&browser, &[("code", &code)]).await.location(),
        "/settings"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_at_once_make_one_organization() {
    let stage = Stage::start().await;
    let code = stage.state.set_up_code().to_string();
    let (one, other) = (stage.browser(), stage.browser());
    let fields = [("code", code.as_str()), ("address", "bob@contoso.com")];
    let first = [("code", code.as_str())];
    let answers = tokio::join!(sign_up(&one, &first), sign_up(&other, &fields));
    let mut statuses = [answers.0.status, answers.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 403]);
    assert_eq!(stage.catalog.organizations().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_emergency_kit_is_a_file_and_taking_it_is_noted() {
    let stage = Stage::start().await;
    let (tenant, browser) = stage.signed_in("ada").await;
    let csrf = browser.csrf().await;
    assert_eq!(
        browser.get("/settings/kit").await.status,
        404,
        "not by a link"
    );
    let kit = browser.post("/settings/kit", &[("csrf", &csrf)]).await;
    assert_eq!(kit.status, 200);
    assert!(kit.header("content-disposition").starts_with("attachment"));
    assert_eq!(kit.header("cache-control"), "no-store");
    assert!(EmergencyKit::recovery_key(&kit.text).is_ok());
    let noted = tenant.organization.audit(None, 1).await.unwrap();
    assert_eq!(noted[0].action, "took the emergency kit");
    assert!(
        browser
            .get("/settings")
            .await
            .has("Last downloaded on 22 November 2026")
    );
}
