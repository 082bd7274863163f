//! Consent: for oneself, for everybody, by an administrator alone, refused, delayed and taken back.

use std::time::Duration;

use emulator::{Account, DirectoryRole, World};
use serde_json::Value;

use crate::{
    browser::{Browser, REDIRECT, field},
    entra_walk::{anybody, site},
    harness::Site,
};

/// An application that was granted nothing yet and asks for two permissions.
async fn ungranted(delay: Duration) -> Site {
    Site::start_with(World::new().users(8, 7), |mut settings| {
        settings.redirect_uris = vec![REDIRECT.to_owned()];
        settings.roles = Vec::new();
        settings.requires = vec!["Mail.Read".to_owned(), "User.Read.All".to_owned()];
        settings.behaviour.grant_delay = delay;
        settings
    })
    .await
}

/// The roles in a fresh token of the application; empty when the token has no such claim.
async fn roles(site: &Site) -> Vec<String> {
    let token = site.new_token().await;
    let claims = token.split('.').nth(1).expect("a JWT has claims");
    let claims = data_encoding::BASE64URL_NOPAD
        .decode(claims.as_bytes())
        .expect("base64");
    let claims: Value = serde_json::from_slice(&claims).expect("JSON");
    let roles = claims["roles"].as_array().into_iter().flatten();
    roles
        .map(|role| role.as_str().expect("a text").to_owned())
        .collect()
}

fn holder(site: &Site, role: DirectoryRole) -> Account {
    site.running.account_with(role).expect("somebody holds it")
}

#[tokio::test]
async fn those_who_may_grant_everything_grant_application_permissions() {
    for role in [
        DirectoryRole::GlobalAdministrator,
        DirectoryRole::PrivilegedRoleAdministrator,
    ] {
        let site = ungranted(Duration::ZERO).await;
        assert_eq!(roles(&site).await, [""; 0]);
        let browser = Browser::new(&site);
        let page = browser.admin_consent(&[]).await.page();
        let page = browser.sign_in(&page, &holder(&site, role)).await.page();
        assert!(page.heading().starts_with("Permissions requested"));
        for words in [
            "Read mail in all mailboxes",
            "Allows the app to read mail in all mailboxes without a signed-in user.",
            "Read all users&#39; full profiles",
            "Sign in and read user profile",
        ] {
            assert!(page.html.contains(words), "{words}: {}", page.html);
        }
        assert_eq!(roles(&site).await, [""; 0], "looking grants nothing");
        let fields = browser
            .submit(&page, &[("decision", "accept")])
            .await
            .back();
        let expected = [
            ("admin_consent", "True"),
            ("tenant", &site.running.tenant_id.to_string()),
            ("scope", "https://graph.microsoft.com/.default"),
            ("state", "a b&c"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(fields, expected);
        assert_eq!(roles(&site).await, ["Mail.Read", "User.Read.All"]);
        let grants = site.running.tenant().permission_grants();
        assert_eq!(grants.len(), 1);
        assert_eq!(
            (grants[0].user, &grants[0].scopes[..]),
            (None, &["User.Read".to_owned()][..])
        );
        // A second time changes nothing.
        let page = browser.admin_consent(&[]).await.page();
        browser
            .submit(&page, &[("decision", "accept")])
            .await
            .back();
        assert_eq!(site.running.tenant().role_assignments().len(), 2);
    }
}

#[tokio::test]
async fn the_older_endpoint_asks_for_what_is_registered_and_tells_less() {
    let site = ungranted(Duration::ZERO).await;
    let browser = Browser::new(&site);
    let address = browser.address("adminconsent", &[]);
    let page = browser.go(&address).await.page();
    let administrator = holder(&site, DirectoryRole::GlobalAdministrator);
    let page = browser.sign_in(&page, &administrator).await.page();
    assert!(page.html.contains("Read mail in all mailboxes"));
    let refused = browser
        .submit(&page, &[("decision", "cancel")])
        .await
        .back();
    let expected = [
        ("error", "permission_denied"),
        ("error_description", "The admin canceled the request"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(refused, expected);
    assert_eq!(roles(&site).await, [""; 0]);
    let page = browser.go(&address).await.page();
    let fields = browser
        .submit(&page, &[("decision", "accept")])
        .await
        .back();
    let expected = [
        ("admin_consent", "True"),
        ("tenant", &site.running.tenant_id.to_string()),
        ("state", "a b&c"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(fields, expected);
    assert_eq!(roles(&site).await, ["Mail.Read", "User.Read.All"]);
}

#[tokio::test]
async fn lesser_roles_are_told_that_an_administrator_is_needed() {
    let site = ungranted(Duration::ZERO).await;
    let exchange = holder(&site, DirectoryRole::ExchangeAdministrator);
    for account in [exchange, anybody(&site)] {
        let browser = Browser::new(&site);
        let page = browser.admin_consent(&[]).await.page();
        let page = browser.sign_in(&page, &account).await.page();
        assert_eq!(page.heading(), "Need admin approval");
        assert!(page.html.contains("AADSTS90094"));
        for decision in ["cancel", "accept"] {
            let fields = browser
                .submit(&page, &[("decision", decision)])
                .await
                .back();
            assert_eq!(field(&fields, "error"), "access_denied");
            let description = field(&fields, "error_description");
            assert!(
                description.starts_with("AADSTS90094: The grant requires admin permission."),
                "{description}"
            );
            assert_eq!(field(&fields, "admin_consent"), "True");
            assert_eq!(field(&fields, "state"), "a b&c");
        }
        let page = browser.submit(&page, &[("account", "other")]).await.page();
        let admin = site.running.administrator().expect("there is one");
        let page = browser.sign_in(&page, &admin).await.page();
        assert!(page.heading().starts_with("Permissions requested"));
    }
    assert!(site.running.tenant().role_assignments().is_empty());
}

#[tokio::test]
async fn an_application_administrator_grants_scopes_but_no_application_permission() {
    let site = ungranted(Duration::ZERO).await;
    let account = anybody(&site);
    let tenant = site.running.tenant();
    let mut user = emulator::User::clone(&tenant.user(&account.principal_name).expect("there"));
    user.roles.push(DirectoryRole::ApplicationAdministrator);
    tenant.set_user(user);
    let browser = Browser::new(&site);
    let page = browser.admin_consent(&[]).await.page();
    let page = browser.sign_in(&page, &account).await.page();
    assert_eq!(page.heading(), "Need admin approval");
    let scope = "https://graph.microsoft.com/Mail.Read openid";
    let page = browser.admin_consent(&[("scope", scope)]).await.page();
    let fields = browser
        .submit(&page, &[("decision", "accept")])
        .await
        .back();
    assert_eq!(field(&fields, "scope"), scope);
    let grants = tenant.permission_grants();
    assert_eq!(grants[0].scopes, ["Mail.Read", "openid"]);
    assert!(tenant.role_assignments().is_empty());
}

#[tokio::test]
async fn an_administrators_refusal_comes_back_in_either_reading() {
    for documented in [false, true] {
        let site = Site::start_with(World::new().users(8, 7), |mut settings| {
            settings.redirect_uris = vec![REDIRECT.to_owned()];
            settings.behaviour.refusal_is_consent_required = documented;
            settings
        })
        .await;
        let before = site.running.tenant().role_assignments();
        let browser = Browser::new(&site);
        let page = browser.admin_consent(&[]).await.page();
        let admin = site.running.administrator().expect("there is one");
        let page = browser.sign_in(&page, &admin).await.page();
        let fields = browser
            .submit(&page, &[("decision", "cancel")])
            .await
            .back();
        let (error, subcode) = match documented {
            true => ("consent_required", ""),
            false => ("access_denied", "cancel"),
        };
        assert_eq!(field(&fields, "error"), error);
        assert_eq!(field(&fields, "error_subcode"), subcode);
        assert!(field(&fields, "error_description").starts_with("AADSTS65004: "));
        assert_eq!(field(&fields, "admin_consent"), "True");
        assert_eq!(site.running.tenant().role_assignments(), before);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_for_admin_consent_is_told_to_the_application() {
    let site = site().await;
    let browser = Browser::new(&site);
    for (scope, error, number) in [
        ("", "invalid_request", 900_144),
        ("https://example.com/.default", "invalid_resource", 500_011),
        (
            "https://graph.microsoft.com/Mail.Burn",
            "invalid_client",
            650_053,
        ),
    ] {
        let fields = browser.admin_consent(&[("scope", scope)]).await.back();
        assert_eq!(field(&fields, "error"), error);
        let description = field(&fields, "error_description");
        assert!(
            description.starts_with(&format!("AADSTS{number}: ")),
            "{description}"
        );
    }
}

#[tokio::test]
async fn a_grant_appears_in_tokens_only_after_the_delay() {
    let site = ungranted(Duration::from_secs(90)).await;
    let browser = Browser::new(&site);
    let page = browser.admin_consent(&[]).await.page();
    let admin = site.running.administrator().expect("there is one");
    let page = browser.sign_in(&page, &admin).await.page();
    browser
        .submit(&page, &[("decision", "accept")])
        .await
        .back();
    assert_eq!(
        site.running.tenant().role_assignments().len(),
        2,
        "it is there to be seen"
    );
    assert_eq!(roles(&site).await, [""; 0]);
    site.clock.advance(Duration::from_secs(89));
    assert_eq!(roles(&site).await, [""; 0]);
    site.clock.advance(Duration::from_secs(1));
    assert_eq!(roles(&site).await, ["Mail.Read", "User.Read.All"]);
}

#[tokio::test]
async fn people_consent_for_themselves_unless_the_tenant_or_the_scope_forbids_it() {
    let site = site().await;
    let account = anybody(&site);
    let browser = Browser::new(&site);
    let page = browser
        .authorize(&[("scope", "openid Directory.Read.All")])
        .await
        .page();
    let page = browser.sign_in(&page, &account).await.page();
    assert_eq!(page.heading(), "Need admin approval");
    let fields = browser
        .submit(&page, &[("decision", "accept")])
        .await
        .back();
    assert_eq!(
        field(&fields, "error"),
        "access_denied",
        "asking the form nicely does not help"
    );
    assert!(field(&fields, "error_description").starts_with("AADSTS90094: "));
    let page = browser
        .authorize(&[("scope", "openid Mail.Read")])
        .await
        .page();
    let fields = browser
        .submit(&page, &[("decision", "cancel")])
        .await
        .back();
    assert_eq!(field(&fields, "error"), "access_denied");
    assert_eq!(field(&fields, "error_subcode"), "cancel");
    assert!(field(&fields, "error_description").starts_with("AADSTS65004: User declined"));
    assert!(site.running.tenant().permission_grants().is_empty());

    let strict = Site::start_with(World::new().users(8, 7), |mut settings| {
        settings.redirect_uris = vec![REDIRECT.to_owned()];
        settings.behaviour.user_consent = false;
        settings
    })
    .await;
    let browser = Browser::new(&strict);
    let page = browser.authorize(&[]).await.page();
    let page = browser.sign_in(&page, &anybody(&strict)).await.page();
    assert_eq!(page.heading(), "Need admin approval");
}

#[tokio::test]
async fn an_administrator_consents_for_everybody_while_signing_in() {
    let site = site().await;
    let admin = site.running.administrator().expect("there is one");
    let scope = [("scope", "openid profile Directory.Read.All")];
    let browser = Browser::new(&site);
    let page = browser.authorize(&scope).await.page();
    let page = browser.sign_in(&page, &admin).await.page();
    assert!(page.html.contains("Consent on behalf of your organization"));
    let fields = [("organization", "true"), ("decision", "accept")];
    browser.submit(&page, &fields).await.back();
    assert_eq!(site.running.tenant().permission_grants()[0].user, None);
    // Nobody is asked any more, and `.default` means what the registration lists.
    let other = Browser::new(&site);
    let page = other.authorize(&scope).await.page();
    let fields = other.sign_in(&page, &anybody(&site)).await.back();
    assert!(!field(&fields, "code").is_empty());
    let default = [("scope", "openid https://graph.microsoft.com/.default")];
    let page = other.authorize(&default).await.page();
    assert!(page.html.contains("Sign you in and read your profile"));
}
