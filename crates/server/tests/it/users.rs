//! Users: invited by a link that is good once, changed and ended at once, and never without an administrator.

use catalog::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    browser::Browser,
    stage::{PASSWORD, Stage},
};

const USERS: &str = "/settings/users";

/// Fills in the form; the link that is shown.
async fn invite(browser: &Browser, address: &str, role: &str) -> String {
    let csrf = browser.csrf().await;
    let fields = [
        ("csrf", csrf.as_str()),
        ("name", "Bob <b>"),
        ("address", address),
        ("role", role),
    ];
    let page = browser.post(USERS, &fields).await;
    assert_eq!(page.status, 200, "{}", page.text);
    link(browser, &page.text)
}

/// The path of the link on a page.
fn link(browser: &Browser, page: &str) -> String {
    let (_, rest) = page.split_once("<code id=\"link\">").unwrap();
    let link = rest.split('<').next().unwrap();
    let path = link.strip_prefix(&browser.url()).unwrap();
    assert!(path.starts_with("/join/"), "{path}");
    path.to_owned()
}

async fn join(browser: &Browser, path: &str, password: &str) -> crate::browser::Answer {
    let csrf = browser.csrf().await;
    let fields = [("csrf", csrf.as_str()), ("password", password)];
    browser.post(path, &fields).await
}

async fn act(browser: &Browser, path: &str, role: &str) -> crate::browser::Answer {
    let csrf = browser.csrf().await;
    let fields = [("csrf", csrf.as_str()), ("role", role)];
    browser.post(path, &fields).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_is_invited_changed_and_ended() {
    let stage = Stage::start().await;
    let (tenant, ada) = stage.signed_in("ada").await;
    let of = &tenant.organization;
    let path = invite(&ada, "bob@example.com", "operator").await;
    let secret = path.strip_prefix("/join/").unwrap();
    for file in stage.files() {
        let mut windows = file.windows(secret.len());
        assert!(!windows.any(|window| window == secret.as_bytes()));
    }
    let bob = stage.browser();
    let early = bob.try_to_sign_in("bob@example.com", "").await;
    assert_eq!(early.status, 422, "there is no password yet");
    let page = bob.get(&path).await;
    assert!(page.text.contains("Bob &#60;b&#62;"), "{}", page.text);
    assert_eq!(join(&bob, &path, "short").await.status, 422);
    let stranger = stage.browser();
    let forged = stranger
        .post(&path, &[("csrf", "wrong"), ("password", PASSWORD)])
        .await;
    assert_eq!(forged.status, 403);
    assert_eq!(join(&bob, &path, PASSWORD).await.location(), "/");
    assert_eq!(bob.get("/").await.status, 200);
    for used in [
        stranger.get(&path).await,
        join(&stranger, &path, "another password").await,
    ] {
        assert_eq!(used.status, 404, "it is good once");
    }

    // What a role allows changes with it, also in the sessions that are there.
    let users = of.users().await.unwrap();
    let id = users.iter().find(|user| user.id != tenant.user).unwrap().id;
    let of_bob = format!("{USERS}/{id}");
    bob.make_token("operator").await;
    assert_eq!(bob.get(USERS).await.status, 403);
    let done = act(&ada, &format!("{of_bob}/role"), "administrator").await;
    assert_eq!(done.location(), of_bob);
    assert_eq!(bob.get(USERS).await.status, 200);
    assert_eq!(
        act(&ada, &format!("{of_bob}/role"), "king").await.status,
        422
    );
    act(&ada, &format!("{of_bob}/role"), "auditor").await;
    assert_eq!(bob.get(USERS).await.status, 403);

    // Everything ends at once.
    let asks = async || bob.program(Method::GET, "/api/v1/tasks", "").await.status;
    assert_eq!(asks().await, 200);
    act(&ada, &format!("{of_bob}/disable"), "").await;
    assert_eq!(asks().await, 401);
    assert_eq!(bob.get("/").await.location(), "/sign-in");
    let out = stage.browser();
    let out = out.try_to_sign_in("bob@example.com", PASSWORD).await;
    assert_eq!(out.status, 422);
    assert_eq!(act(&ada, &format!("{of_bob}/invite"), "").await.status, 409);
    act(&ada, &format!("{of_bob}/enable"), "").await;
    bob.sign_in("bob@example.com").await;
    assert_eq!(asks().await, 401, "a token that has ended stays so");

    // Who has forgotten the password is invited again; that ends what the old one had opened.
    let again = act(&ada, &format!("{of_bob}/invite"), "").await;
    let again = link(&ada, &again.text);
    assert_eq!(bob.get("/").await.status, 200, "nothing has happened yet");
    let other = stage.browser();
    assert_eq!(
        join(&other, &again, "another good password")
            .await
            .location(),
        "/"
    );
    assert_eq!(bob.get("/").await.location(), "/sign-in");

    let audit = of.audit(None, 100).await.unwrap();
    for action in [
        "added a user",
        "invited a user",
        "chose a password",
        "made a user administrator",
        "made a user auditor",
        "disabled a user",
        "enabled a user",
    ] {
        let entry = audit.iter().find(|entry| entry.action == action);
        assert_eq!(
            entry.map(|entry| entry.object.clone()),
            Some(id.to_string()),
            "{action}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_ends_in_time_and_with_the_next() {
    let stage = Stage::start().await;
    let (tenant, ada) = stage.signed_in("ada").await;
    let first = invite(&ada, "bob@example.com", "auditor").await;
    let users = tenant.organization.users().await.unwrap();
    let id = users.iter().find(|user| user.id != tenant.user).unwrap().id;
    let page = act(&ada, &format!("{USERS}/{id}/invite"), "").await;
    let second = link(&ada, &page.text);
    let bob = stage.browser();
    assert_eq!(bob.get(&first).await.status, 404);
    assert_eq!(bob.get(&second).await.status, 200);
    stage.pass(7 * 24 * 3600 - 1);
    assert_eq!(bob.get(&second).await.status, 200);
    stage.pass(1);
    assert_eq!(bob.get(&second).await.status, 404);
    assert_eq!(join(&bob, &second, PASSWORD).await.status, 404);
    for wrong in ["/join/x", "/join/", &format!("/join/{}", "A".repeat(43))] {
        assert_eq!(bob.get(wrong).await.status, 404, "{wrong}");
    }
    // Disabled, the user comes in by no invitation.
    ada.sign_in(&tenant.address).await;
    let page = act(&ada, &format!("{USERS}/{id}/invite"), "").await;
    let third = link(&ada, &page.text);
    act(&ada, &format!("{USERS}/{id}/disable"), "").await;
    assert_eq!(bob.get(&third).await.status, 404);
    act(&ada, &format!("{USERS}/{id}/enable"), "").await;
    assert_eq!(bob.get(&third).await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_administrator_stays_and_addresses_are_of_one() {
    let stage = Stage::start().await;
    let (tenant, ada) = stage.signed_in("ada").await;
    // Somebody who has not come yet administers nothing.
    invite(&ada, "bob@example.com", "administrator").await;
    let own = format!("{USERS}/{}", tenant.user);
    assert_eq!(act(&ada, &format!("{own}/disable"), "").await.status, 422);
    assert_eq!(
        act(&ada, &format!("{own}/role"), "operator").await.status,
        422
    );
    let user = tenant.organization.user(tenant.user).await.unwrap();
    assert_eq!((user.role, user.disabled), (Role::Administrator, false));
    // What was not done is not in the audit.
    let audit = tenant.organization.audit(None, 100).await.unwrap();
    let done = |action: &str| audit.iter().any(|entry| entry.action == action);
    assert!(done("added a user"));
    assert!(!done("disabled a user") && !done("made a user operator"));
    let csrf = ada.csrf().await;
    for (name, address, role) in [
        ("Bob", "BOB@example.com", "operator"),
        ("Bob", "bob", "operator"),
        (" ", "bea@example.com", "operator"),
        ("Bea", "bea@example.com", "king"),
    ] {
        let fields = [
            ("csrf", csrf.as_str()),
            ("name", name),
            ("address", address),
            ("role", role),
        ];
        let refused = ada.post(USERS, &fields).await;
        assert_eq!(refused.status, 422, "{name} {address} {role}");
    }
    assert_eq!(tenant.organization.users().await.unwrap().len(), 2);
}

/// Programs do the same, and the audit names the token that did it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_invites_changes_and_ends() {
    const PATH: &str = "/api/v1/users";
    let stage = Stage::start().await;
    let (tenant, ada) = stage.signed_in("ada").await;
    ada.make_token("administrator").await;
    let post = async |path: &str, body: &Value| {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        ada.program(Method::POST, path, &body).await
    };
    let new = json!({"name": " Bob ", "address": "bob@example.com", "role": "operator"});
    let invited = post(PATH, &new).await;
    assert_eq!(invited.status, 201, "{}", invited.text);
    let at = invited.header("location").to_owned();
    let invited = invited.json();
    let user = ada.program(Method::GET, &at, "").await.json();
    assert_eq!(invited["user"], user);
    assert_eq!(user["name"], "Bob");
    assert_eq!(user["invited_until"], invited["ends_at"]);
    let of_link = |invited: &Value| {
        let link = invited["link"].as_str().unwrap();
        link.strip_prefix(&ada.url()).unwrap().to_owned()
    };
    // A newer one ends the first.
    let newer = post(&format!("{at}/invite"), &Value::Null).await.json();
    let bob = stage.browser();
    assert_eq!(bob.get(&of_link(&invited)).await.status, 404);
    let joined = join(&bob, &of_link(&newer), PASSWORD).await;
    assert_eq!(joined.location(), "/");
    let all = ada.program(Method::GET, PATH, "").await.json();
    assert!(!all.to_string().contains("/join/"), "a link is told once");
    assert_eq!(all["items"][1]["invited_until"], Value::Null);

    let set = ada
        .program(
            Method::PUT,
            &format!("{at}/role"),
            r#"{"role": "administrator"}"#,
        )
        .await;
    assert_eq!(set.json()["role"], "administrator");
    let token = bob.make_token("administrator").await;
    let disabled = post(&format!("{at}/disable"), &Value::Null).await;
    assert_eq!(disabled.json()["disabled"], true);
    assert_eq!(bob.get("/").await.location(), "/sign-in");
    bob.bring(Some(&token));
    assert_eq!(bob.program(Method::GET, PATH, "").await.status, 401);
    let refused = post(&format!("{at}/invite"), &Value::Null).await;
    assert_eq!(refused.status, 409);
    let enabled = post(&format!("{at}/enable"), &Value::Null).await;
    assert_eq!(enabled.json()["disabled"], false);
    post(&format!("{at}/disable"), &Value::Null).await;

    // What cannot be is refused as on the page.
    let own = format!("{PATH}/{}", tenant.user);
    let last = post(&format!("{own}/disable"), &Value::Null).await;
    assert_eq!(last.status, 422);
    assert!(last.problem().contains("last administrator"));
    for (status, body) in [
        (
            409,
            json!({"name": "Bob", "address": "BOB@example.com", "role": "auditor"}),
        ),
        (
            422,
            json!({"name": " ", "address": "bea@example.com", "role": "auditor"}),
        ),
        (
            422,
            json!({"name": "Be\u{0}a", "address": "bea@example.com", "role": "auditor"}),
        ),
        (
            422,
            json!({"name": "Bea", "address": "bea", "role": "auditor"}),
        ),
        (
            422,
            json!({"name": "Bea", "address": "bea@example.com", "role": "king"}),
        ),
        (422, json!({"name": "Bea", "address": "bea@example.com"})),
    ] {
        let refused = post(PATH, &body).await;
        assert_eq!(refused.status, status, "{body}");
        assert!(!refused.problem().contains("Bea"));
    }
    let of = &tenant.organization;
    assert_eq!(of.users().await.unwrap().len(), 2);
    let token = of.api_tokens().await.unwrap();
    let token = token.iter().find(|token| token.user == tenant.user);
    let actor = token.unwrap().id.to_string();
    let audit = of.audit(None, 100).await.unwrap();
    for action in [
        "added a user",
        "made a user administrator",
        "disabled a user",
    ] {
        let entry = audit.iter().find(|entry| entry.action == action);
        assert_eq!(entry.map(|entry| &entry.actor), Some(&actor), "{action}");
    }
}
