//! Signing in: from an application's request to its redirect URI, and everything that stops on the way.

use emulator::{Account, DirectoryRole, World};
use serde_json::json;

use crate::{
    browser::{Browser, Page, REDIRECT, Seen, field, unescape, verified},
    harness::Site,
};

/// A company, and an application that is sent back to.
pub(crate) async fn site() -> Site {
    Site::start_with(World::new().users(8, 7), |mut settings| {
        settings.redirect_uris = vec![REDIRECT.to_owned()];
        settings
    })
    .await
}

/// Somebody without any role.
pub(crate) fn anybody(site: &Site) -> Account {
    site.running
        .account_without_role()
        .expect("there are people without a role")
}

fn shows(page: &Page, number: u32) -> bool {
    page.html.contains(&format!("AADSTS{number}"))
}

#[tokio::test]
async fn somebody_signs_in_consents_and_is_told_of_by_an_id_token() {
    let site = site().await;
    let browser = Browser::new(&site);
    let account = anybody(&site);
    let page = browser
        .authorize(&[
            ("scope", "openid profile email User.Read"),
            ("nonce", "n-1"),
            ("login_hint", &account.principal_name),
        ])
        .await
        .page();
    assert_eq!(page.status, 200);
    assert!(
        page.html
            .contains(&format!("value=\"{}\"", account.principal_name))
    );
    let page = browser.sign_in(&page, &account).await.page();
    assert_eq!(page.heading(), "Permissions requested");
    assert!(page.html.contains("Sign you in and read your profile"));
    assert!(page.html.contains("View your email address"));
    assert!(
        !page.html.contains("organization"),
        "only administrators are asked"
    );
    let fields = browser
        .submit(&page, &[("decision", "accept")])
        .await
        .back();
    assert_eq!(field(&fields, "state"), "a b&c");
    let answer = browser.redeem(&field(&fields, "code"), &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let tokens = answer.json();
    assert_eq!(tokens["scope"], "openid profile email User.Read");
    assert!(tokens.get("refresh_token").is_none(), "not asked for");

    let client_id = site.running.client_id.to_string();
    let id_token = tokens["id_token"].as_str().expect("a token");
    let claims = verified(&site, id_token, &client_id).await;
    let user = site
        .running
        .tenant()
        .user(&account.principal_name)
        .expect("the account is there");
    assert_eq!(claims["ver"], "2.0");
    assert_eq!(claims["tid"], site.running.tenant_id.to_string());
    assert_eq!(claims["oid"], user.id.to_string());
    assert_eq!(claims["preferred_username"], account.principal_name);
    assert_eq!(claims["name"], user.display_name());
    assert_eq!(claims["email"], account.principal_name);
    assert_eq!(claims["nonce"], "n-1");
    assert!(claims.get("wids").is_none(), "not configured");
    assert_ne!(claims["sub"], claims["oid"]);
    let expires = site.running.now().as_second() + 3600;
    assert_eq!(claims["exp"], expires);

    let grants = site.running.tenant().permission_grants();
    assert_eq!(grants.len(), 1);
    assert_eq!(grants[0].user, Some(user.id));
    assert_eq!(
        grants[0].scopes,
        ["openid", "profile", "email", "User.Read"]
    );
}

#[tokio::test]
async fn a_browser_is_remembered_until_it_signs_out() {
    let site = site().await;
    let browser = Browser::new(&site);
    let account = anybody(&site);
    browser.walk(&account, &[]).await;
    let code = browser.authorize(&[]).await.field("code");
    assert!(
        !code.is_empty(),
        "neither password nor consent is asked again"
    );
    // Another browser is not.
    let page = Browser::new(&site).authorize(&[]).await.page();
    assert_eq!(page.heading(), "Sign in");

    for prompt in ["login", "select_account", "consent"] {
        let page = browser.authorize(&[("prompt", prompt)]).await.page();
        let expected = match prompt {
            "login" => "Sign in",
            "select_account" => "Pick an account",
            _ => "Permissions requested",
        };
        assert_eq!(page.heading(), expected);
        let fields = match prompt {
            "login" => browser.sign_in(&page, &account).await,
            "select_account" => browser.submit(&page, &[("account", "session")]).await,
            _ => browser.submit(&page, &[("decision", "accept")]).await,
        };
        assert!(!fields.field("code").is_empty(), "{prompt}");
    }
    let page = browser
        .authorize(&[("prompt", "select_account")])
        .await
        .page();
    let page = browser.submit(&page, &[("account", "other")]).await.page();
    assert_eq!(page.heading(), "Sign in");
    let other = site.running.administrator().expect("there is one");
    let page = browser
        .authorize(&[("login_hint", &other.principal_name)])
        .await
        .page();
    assert_eq!(page.heading(), "Sign in", "the hint names somebody else");

    let logout = browser.address(
        "oauth2/v2.0/logout",
        &[
            ("client_id", ""),
            ("redirect_uri", ""),
            ("post_logout_redirect_uri", REDIRECT),
        ],
    );
    assert_eq!(browser.go(&logout).await.field("state"), "a b&c");
    assert!(browser.cookie().is_none());
    assert_eq!(browser.authorize(&[]).await.page().heading(), "Sign in");
    let logout = browser.address(
        "oauth2/v2.0/logout",
        &[("post_logout_redirect_uri", "https://example.com/")],
    );
    let page = browser.go(&logout).await.page();
    assert_eq!(page.heading(), "You signed out of your account");
}

#[tokio::test]
async fn a_session_ends_after_a_day_or_with_the_account() {
    let site = site().await;
    let browser = Browser::new(&site);
    let account = anybody(&site);
    browser.walk(&account, &[]).await;
    let tenant = site.running.tenant();
    let user = tenant.user(&account.principal_name).expect("there");
    let mut disabled = emulator::User::clone(&user);
    disabled.set("accountEnabled", false);
    tenant.set_user(disabled);
    assert_eq!(browser.authorize(&[]).await.page().heading(), "Sign in");
    tenant.set_user(emulator::User::clone(&user));
    assert!(!browser.authorize(&[]).await.field("code").is_empty());
    site.clock
        .advance(std::time::Duration::from_secs(24 * 3600));
    assert_eq!(browser.authorize(&[]).await.page().heading(), "Sign in");
}

#[tokio::test]
async fn what_is_wrong_with_name_or_password_is_said_on_the_page() {
    let site = site().await;
    let browser = Browser::new(&site);
    let account = anybody(&site);
    let page = browser.authorize(&[]).await.page();
    let shared = "info@contoso.onmicrosoft.com";
    for (login, password, number) in [
        (account.principal_name.as_str(), "wrong", 50_126),
        (account.principal_name.as_str(), "", 50_126),
        ("nobody@contoso.onmicrosoft.com", "x", 50_034),
        ("<script>", "x", 50_034),
        (shared, "x", 50_057),
    ] {
        let fields = [("login", login), ("passwd", password)];
        let page = browser.submit(&page, &fields).await.page();
        assert!(shows(&page, number), "{login}: {}", page.html);
        assert!(page.html.contains("role=\"alert\""));
        assert!(!page.html.contains("<script>"), "what was typed is escaped");
        assert_eq!(page.heading(), "Sign in");
        assert!(browser.cookie().is_none());
    }
    // The same page still leads on.
    let seen = browser.sign_in(&page, &account).await;
    assert_eq!(seen.page().heading(), "Permissions requested");
}

#[tokio::test]
async fn nobody_is_sent_to_an_address_that_is_not_registered() {
    let site = site().await;
    let browser = Browser::new(&site);
    for uri in [
        "http://127.0.0.1:9999/",
        "http://127.0.0.1:9999/signed-in/",
        "http://127.0.0.1:9999/Signed-In",
        "http://127.0.0.1:9999/signed-in?x=1",
        "https://127.0.0.1:9999/signed-in",
        "https://example.com/",
    ] {
        for page in [
            browser.authorize(&[("redirect_uri", uri)]).await.page(),
            browser.admin_consent(&[("redirect_uri", uri)]).await.page(),
        ] {
            assert_eq!(page.status, 400);
            assert!(shows(&page, 50_011), "{}", page.html);
        }
    }
    let page = browser.authorize(&[("redirect_uri", "")]).await.page();
    assert!(shows(&page, 900_971), "{}", page.html);
    let stranger = "00000000-0000-0000-0000-000000000001";
    let page = browser.authorize(&[("client_id", stranger)]).await.page();
    assert!(shows(&page, 700_016), "{}", page.html);
    let page = browser.authorize(&[("client_id", "")]).await.page();
    assert!(shows(&page, 900_144), "{}", page.html);
    site.change_principal(|principal| principal.enabled = false);
    let page = browser.authorize(&[]).await.page();
    assert!(shows(&page, 7_000_112), "{}", page.html);
}

#[tokio::test]
async fn which_tenant_a_request_names_decides_who_may_sign_in() {
    let site = site().await;
    let browser = Browser::new(&site);
    let own = browser.address(
        "oauth2/v2.0/authorize",
        &[("response_type", "code"), ("scope", "openid")],
    );
    let at = |name: &str| own.replace(&site.running.tenant_id.to_string(), name);
    for (name, number) in [
        ("fabrikam.com", 90_002),
        ("common", 50_194),
        ("organizations", 50_194),
        ("consumers", 9_002_332),
    ] {
        let page = browser.go(&at(name)).await.page();
        assert!(shows(&page, number), "{name}: {}", page.html);
    }
    let page = browser.go(&at("contoso.onmicrosoft.com")).await.page();
    assert_eq!(page.heading(), "Sign in");
    site.change_app(|app| {
        app.properties
            .insert("signInAudience".to_owned(), json!("AzureADMultipleOrgs"));
    });
    for name in ["common", "organizations"] {
        let page = browser.go(&at(name)).await.page();
        assert_eq!(page.heading(), "Sign in");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_to_the_application() {
    let site = site().await;
    let browser = Browser::new(&site);
    let long = "x".repeat(129);
    let right = "x".repeat(43);
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, u32);
    let cases: [Case; 17] = [
        (&[("response_type", "")], "invalid_request", 900_144),
        (
            &[("response_type", "token")],
            "unsupported_response_type",
            700_051,
        ),
        (
            &[("response_type", "cod")],
            "unsupported_response_type",
            70_005,
        ),
        (
            &[("response_type", "code id_token"), ("nonce", "n")],
            "unsupported_response_type",
            700_054,
        ),
        (&[("response_mode", "pigeon")], "invalid_request", 70_007),
        (&[("scope", "")], "invalid_request", 900_144),
        (&[("scope", "openid Mail.Burn")], "invalid_client", 650_053),
        (
            &[("scope", "https://example.com/x")],
            "invalid_resource",
            500_011,
        ),
        (
            &[("scope", "https://graph.microsoft.com/.default User.Read")],
            "invalid_scope",
            70_011,
        ),
        (&[("prompt", "admin_consent")], "invalid_request", 90_023),
        (&[("prompt", "none")], "login_required", 50_058),
        (
            &[
                ("code_challenge", "short"),
                ("code_challenge_method", "S256"),
            ],
            "invalid_request",
            501_491,
        ),
        (&[("code_challenge", &long)], "invalid_request", 501_491),
        (
            &[
                ("code_challenge", &right),
                ("code_challenge_method", "S512"),
            ],
            "invalid_request",
            50_149,
        ),
        (
            &[("code_challenge_method", "S256")],
            "invalid_request",
            50_147,
        ),
        (
            &[("response_mode", "fragment"), ("prompt", "all")],
            "invalid_request",
            90_023,
        ),
        (
            &[("response_mode", "query"), ("prompt", "none")],
            "login_required",
            50_058,
        ),
    ];
    for (changes, error, number) in cases {
        let fields = browser.authorize(changes).await.back();
        assert_eq!(field(&fields, "error"), error, "{changes:?}");
        let description = field(&fields, "error_description");
        assert!(
            description.starts_with(&format!("AADSTS{number}: ")),
            "{changes:?}: {description}"
        );
        assert!(description.contains("\r\nTrace ID: "));
        assert_eq!(field(&fields, "state"), "a b&c");
        assert!(field(&fields, "code").is_empty());
    }
}

#[tokio::test]
async fn a_silent_request_is_answered_without_a_page() {
    let site = site().await;
    let browser = Browser::new(&site);
    let account = anybody(&site);
    let page = browser.authorize(&[]).await.page();
    browser.sign_in(&page, &account).await.page();
    let fields = browser.authorize(&[("prompt", "none")]).await.back();
    assert_eq!(field(&fields, "error"), "interaction_required");
    assert!(field(&fields, "error_description").starts_with("AADSTS65001: "));
    browser.walk(&account, &[]).await;
    let fields = browser.authorize(&[("prompt", "none")]).await.back();
    assert!(!field(&fields, "code").is_empty());
}

#[tokio::test]
async fn the_answer_travels_as_it_was_asked_for() {
    let site = site().await;
    site.change_app(|app| app.id_tokens = true);
    let browser = Browser::new(&site);
    let account = anybody(&site);
    browser.walk(&account, &[]).await;
    let client_id = site.running.client_id.to_string();
    let hybrid = [("response_type", "code id_token"), ("nonce", "n-2")];
    let fields = browser.authorize(&hybrid).await.back();
    let (code, id_token) = (field(&fields, "code"), field(&fields, "id_token"));
    let claims = verified(&site, &id_token, &client_id).await;
    assert_eq!(claims["nonce"], "n-2");
    assert!(claims["c_hash"].is_string());
    assert_eq!(browser.redeem(&code, &[]).await.status, 200);
    let alone = [("response_type", "id_token"), ("nonce", "n-3")];
    let fields = browser.authorize(&alone).await.back();
    assert!(field(&fields, "code").is_empty());
    assert_eq!(
        verified(&site, &field(&fields, "id_token"), &client_id).await["nonce"],
        "n-3"
    );
    for (changes, number) in [
        (&[("response_type", "id_token")][..], 900_144),
        (
            &[
                ("response_type", "id_token"),
                ("nonce", "n"),
                ("response_mode", "query"),
            ],
            70_007,
        ),
        (
            &[
                ("response_type", "id_token"),
                ("nonce", "n"),
                ("scope", "profile"),
            ],
            70_005,
        ),
    ] {
        let description = browser.authorize(changes).await.field("error_description");
        assert!(
            description.starts_with(&format!("AADSTS{number}: ")),
            "{description}"
        );
    }

    let page = browser
        .authorize(&[("response_mode", "form_post")])
        .await
        .page();
    assert_eq!(page.action(), REDIRECT);
    let (_, value) = page
        .html
        .split_once("name=\"state\" value=\"")
        .expect("a field");
    assert_eq!(unescape(value.split('"').next().expect("it ends")), "a b&c");
    let (_, value) = page
        .html
        .split_once("name=\"code\" value=\"")
        .expect("a field");
    let code = value.split('"').next().expect("it ends");
    assert_eq!(browser.redeem(code, &[]).await.status, 200);
}

#[tokio::test]
async fn a_token_lists_directory_roles_when_the_registration_asks_for_it() {
    let site = site().await;
    site.change_app(|app| {
        app.properties
            .insert("groupMembershipClaims".to_owned(), json!("DirectoryRole"));
        app.properties.insert(
            "optionalClaims".to_owned(),
            json!({"idToken": [{"name": "auth_time"}, {"name": "upn"}]}),
        );
    });
    let admin = site
        .running
        .account_with(DirectoryRole::PrivilegedRoleAdministrator)
        .expect("there is one");
    let browser = Browser::new(&site);
    let code = field(&browser.walk(&admin, &[]).await, "code");
    let tokens = browser.redeem(&code, &[]).await.json();
    let id_token = tokens["id_token"].as_str().expect("a token");
    let claims = verified(&site, id_token, &site.running.client_id.to_string()).await;
    let role = DirectoryRole::PrivilegedRoleAdministrator.template_id();
    assert_eq!(
        claims["wids"],
        json!([role, "b79fbf4d-3ef9-4689-8143-76b194e85509"])
    );
    assert_eq!(claims["auth_time"], site.running.now().as_second());
    assert_eq!(claims["upn"], admin.principal_name);
}

#[tokio::test]
async fn two_applications_know_a_person_by_two_names() {
    let site = site().await;
    let other = site
        .running
        .register(emulator::Registration {
            display_name: "Other".to_owned(),
            redirect_uris: vec![REDIRECT.to_owned()],
            ..Default::default()
        })
        .expect("it can be registered");
    let account = anybody(&site);
    let browser = Browser::new(&site);
    let code = field(&browser.walk(&account, &[]).await, "code");
    let first = browser.redeem(&code, &[]).await.json();
    let id = other.client_id.to_string();
    let code = field(&browser.walk(&account, &[("client_id", &id)]).await, "code");
    // A code is its application's alone.
    let stolen = browser.redeem(&code, &[]).await;
    crate::entra::assert_error(&stolen, 400, "invalid_grant", 70_000);
    let own = [
        ("client_id", id.as_str()),
        ("client_secret", &other.client_secret),
    ];
    let second = browser.redeem(&code, &own).await.json();
    let token =
        |tokens: &serde_json::Value| tokens["id_token"].as_str().expect("a token").to_owned();
    let first = verified(&site, &token(&first), &site.running.client_id.to_string()).await;
    let second = verified(&site, &token(&second), &id).await;
    assert_eq!(first["oid"], second["oid"]);
    assert_ne!(first["sub"], second["sub"]);
}

#[tokio::test]
async fn a_request_may_be_posted() {
    let site = site().await;
    let browser = Browser::new(&site);
    let id = site.running.client_id.to_string();
    let page = Page {
        status: 200,
        html: format!(
            "<form action=\"/{}/oauth2/v2.0/authorize\">",
            site.running.tenant_id
        ),
    };
    let fields = [
        ("client_id", id.as_str()),
        ("redirect_uri", REDIRECT),
        ("response_type", "code"),
        ("scope", "openid"),
    ];
    let page = browser.submit(&page, &fields).await.page();
    let seen = browser.sign_in(&page, &anybody(&site)).await;
    let page = match seen {
        Seen::Page(page) => page,
        Seen::Back(fields) => panic!("consent was not asked for: {fields:?}"),
    };
    assert_eq!(page.heading(), "Permissions requested");
}
