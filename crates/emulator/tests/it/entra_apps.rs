//! Registering an application over Graph as a script does, and what its tokens say while grants come and go.

use std::time::Duration;

use data_encoding::BASE64;
use emulator::World;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    browser::{Browser, REDIRECT},
    entra::{assert_error, certificate},
    harness::{Answer, Site, send},
};

const GRAPH: &str = "00000003-0000-0000-c000-000000000000";

/// A script that may register applications and grant them permissions.
async fn script() -> Site {
    Site::start_with(World::new().users(8, 7), |mut settings| {
        settings.roles = [
            "Application.ReadWrite.All",
            "AppRoleAssignment.ReadWrite.All",
            "DelegatedPermissionGrant.ReadWrite.All",
            "User.Read.All",
        ]
        .map(str::to_owned)
        .to_vec();
        settings
    })
    .await
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// What a script makes: the application, its service principal, and a secret.
struct Made {
    id: String,
    app_id: String,
    principal: String,
    secret: String,
}

async fn made(site: &Site) -> Made {
    let body = json!({
        "displayName": "Backup",
        "web": {"redirectUris": [REDIRECT]},
        "requiredResourceAccess": [{
            "resourceAppId": GRAPH,
            "resourceAccess": [
                {"id": "df021288-bdef-4463-88db-98f22de89214", "type": "Role"},
                {"id": "e1fe6dd8-ba31-4d61-89e7-88639da4683d", "type": "Scope"},
            ],
        }],
    });
    let app = site.post("/v1.0/applications", &body).await;
    assert_eq!(app.status, 201, "{}", app.json());
    let app = app.json();
    assert_eq!(
        app["requiredResourceAccess"],
        body["requiredResourceAccess"]
    );
    let (id, app_id) = (text(&app["id"]), text(&app["appId"]));
    let path = format!("/v1.0/applications/{id}/addPassword");
    let wanted = json!({"passwordCredential": {"displayName": "first"}});
    let secret = site.post(&path, &wanted).await.json();
    let wanted = json!({"appId": app_id});
    let principal = site.post("/v1.0/servicePrincipals", &wanted).await;
    assert_eq!(principal.status, 201, "{}", principal.json());
    Made {
        id,
        app_id,
        principal: text(&principal.json()["id"]),
        secret: text(&secret["secretText"]),
    }
}

impl Made {
    async fn token(&self, site: &Site) -> Answer {
        let fields = [
            ("client_id", self.app_id.as_str()),
            ("client_secret", self.secret.as_str()),
        ];
        site.token_request(&fields).await
    }

    async fn status_of_users(&self, site: &Site) -> u16 {
        let token = text(&self.token(site).await.json()["access_token"]);
        let users = site
            .bare(Method::GET, "/v1.0/users?$top=1")
            .bearer_auth(token);
        send(users).await.status
    }
}

async fn change(site: &Site, method: Method, path: &str, body: &Value) -> Answer {
    send(site.request(method, path).await.json(body)).await
}

async fn delete(site: &Site, path: &str) -> Answer {
    send(site.request(Method::DELETE, path).await).await
}

/// Graph's service principal: its id, and the id of one of its app roles.
async fn graph(site: &Site, role: &str) -> (String, String) {
    let path = format!("/v1.0/servicePrincipals?$filter=appId eq '{GRAPH}'");
    let found = site.get(&path).await.json();
    let graph = &found["value"][0];
    let roles = graph["appRoles"].as_array().expect("a list");
    let found = roles.iter().find(|known| known["value"] == role);
    let role = found.expect("the role is offered");
    (text(&graph["id"]), text(&role["id"]))
}

#[tokio::test]
async fn a_script_registers_an_application_grants_and_takes_back() {
    let site = script().await;
    let made = made(&site).await;
    assert_eq!(
        made.status_of_users(&site).await,
        403,
        "nothing is granted yet"
    );
    let (resource, role) = graph(&site, "User.Read.All").await;
    let held = format!(
        "/v1.0/servicePrincipals/{}/appRoleAssignments",
        made.principal
    );
    let wanted = json!({"principalId": made.principal, "resourceId": resource, "appRoleId": role});
    let assigned = site.post(&held, &wanted).await;
    assert_eq!(assigned.status, 201, "{}", assigned.json());
    assert_eq!(assigned.json()["principalDisplayName"], "Backup");
    assert_eq!(assigned.json()["resourceDisplayName"], "Microsoft Graph");
    assert_eq!(made.status_of_users(&site).await, 200);

    let again = site.post(&held, &wanted).await;
    assert_eq!(
        (again.status, again.code().as_str()),
        (400, "Request_BadRequest")
    );
    assert!(text(&again.json()["error"]["message"]).contains("already exists"));
    let given = format!("/v1.0/servicePrincipals/{resource}/appRoleAssignedTo");
    assert!(
        site.get(&given)
            .await
            .column("principalId")
            .contains(&made.principal)
    );
    let by_app = format!(
        "/v1.0/servicePrincipals(appId='{}')/appRoleAssignments",
        made.app_id
    );
    assert_eq!(site.get(&by_app).await.column("appRoleId"), [role.as_str()]);
    let one = format!("{held}/{}", text(&assigned.json()["id"]));
    assert_eq!(site.get(&one).await.json()["appRoleId"], role);
    assert_eq!(delete(&site, &one).await.status, 204);
    assert_eq!(site.get(&one).await.status, 404);
    assert_eq!(
        made.status_of_users(&site).await,
        403,
        "the next token is without it"
    );
    // The same from the resource's side.
    let assigned = site.post(&given, &wanted).await;
    assert_eq!(assigned.status, 201, "{}", assigned.json());
    assert_eq!(made.status_of_users(&site).await, 200);
    let one = format!("{given}/{}", text(&assigned.json()["id"]));
    assert_eq!(delete(&site, &one).await.status, 204);
    assert_eq!(made.status_of_users(&site).await, 403);
    site.assert_clean();
}

#[tokio::test]
async fn an_assignment_that_makes_no_sense_is_refused() {
    let site = script().await;
    let made = made(&site).await;
    let (resource, role) = graph(&site, "Mail.Read").await;
    let held = format!(
        "/v1.0/servicePrincipals/{}/appRoleAssignments",
        made.principal
    );
    let nobody = "00000000-0000-0000-0000-000000000001";
    for (principal, resource, role) in [
        (nobody, resource.as_str(), role.as_str()),
        (&made.principal, nobody, &role),
        (&made.principal, &resource, nobody),
        (&made.principal, &made.principal, &role),
        (&made.principal, &resource, "x"),
    ] {
        let wanted = json!({"principalId": principal, "resourceId": resource, "appRoleId": role});
        let answer = site.post(&held, &wanted).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "Request_BadRequest"),
            "{wanted}"
        );
    }
    let missing = format!("/v1.0/servicePrincipals/{nobody}/appRoleAssignments");
    assert_eq!(site.get(&missing).await.status, 404);
    let tenant = site.running.tenant();
    assert_eq!(tenant.role_assignments().len(), 4, "only the script's own");
    site.assert_clean();
}

#[tokio::test]
async fn a_grant_by_script_is_delayed_too() {
    let site = Site::start_with(World::new().users(8, 7), |mut settings| {
        settings.behaviour.grant_delay = Duration::from_secs(60);
        settings.roles = [
            "Application.ReadWrite.All",
            "AppRoleAssignment.ReadWrite.All",
        ]
        .map(str::to_owned)
        .to_vec();
        settings
    })
    .await;
    let made = made(&site).await;
    let (resource, role) = graph(&site, "User.Read.All").await;
    let held = format!(
        "/v1.0/servicePrincipals/{}/appRoleAssignments",
        made.principal
    );
    let wanted = json!({"principalId": made.principal, "resourceId": resource, "appRoleId": role});
    assert_eq!(site.post(&held, &wanted).await.status, 201);
    assert_eq!(
        site.get(&held).await.column("appRoleId").len(),
        1,
        "it can be read"
    );
    assert_eq!(made.status_of_users(&site).await, 403);
    site.clock.advance(Duration::from_secs(60));
    assert_eq!(made.status_of_users(&site).await, 200);
}

#[tokio::test]
async fn deleting_the_service_principal_or_the_application_ends_it() {
    let site = script().await;
    let made = made(&site).await;
    let principal = format!("/v1.0/servicePrincipals/{}", made.principal);
    let off = json!({"accountEnabled": false});
    assert_eq!(
        change(&site, Method::PATCH, &principal, &off).await.status,
        204
    );
    assert_error(
        &made.token(&site).await,
        400,
        "unauthorized_client",
        7_000_112,
    );
    assert_eq!(delete(&site, &principal).await.status, 204);
    assert_eq!(site.get(&principal).await.status, 404);
    assert_error(&made.token(&site).await, 401, "invalid_client", 7_000_229);
    let app = format!("/v1.0/applications/{}", made.id);
    assert_eq!(delete(&site, &app).await.status, 204);
    assert_error(
        &made.token(&site).await,
        400,
        "unauthorized_client",
        700_016,
    );
    let (graph, _) = graph(&site, "Mail.Read").await;
    let answer = delete(&site, &format!("/v1.0/servicePrincipals/{graph}")).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "Authorization_RequestDenied"),
        "Graph itself stays"
    );
    site.assert_clean();
}

#[tokio::test]
async fn consent_brings_an_application_home() {
    let site = script().await;
    let made = made(&site).await;
    let principal = format!("/v1.0/servicePrincipals/{}", made.principal);
    assert_eq!(delete(&site, &principal).await.status, 204);
    let browser = Browser::new(&site);
    let client = [("client_id", made.app_id.as_str())];
    let page = browser.admin_consent(&client).await.page();
    let admin = site.running.administrator().expect("there is one");
    let page = browser.sign_in(&page, &admin).await.page();
    browser
        .submit(&page, &[("decision", "accept")])
        .await
        .back();
    assert_eq!(made.status_of_users(&site).await, 200);
    let path = format!("/v1.0/servicePrincipals(appId='{}')", made.app_id);
    let principal = site.get(&path).await.json();
    assert_ne!(text(&principal["id"]), made.principal);
    let path = format!("{path}/oauth2PermissionGrants");
    let answer = site.get("/v1.0/oauth2PermissionGrants").await;
    assert_eq!(answer.column("scope"), ["User.Read"]);
    assert_eq!(answer.column("consentType"), ["AllPrincipals"]);
    assert_eq!(answer.column("clientId"), [text(&principal["id"])]);
    assert_eq!(site.get(&path).await.column("scope"), ["User.Read"]);
    site.assert_clean();
}

#[tokio::test]
async fn an_application_reads_as_it_was_written() {
    let site = script().await;
    let made = made(&site).await;
    let path = format!("/v1.0/applications/{}", made.id);
    let changes = json!({
        "displayName": "Backup of everything",
        "description": "what it is for",
        "tags": ["a"],
        "signInAudience": "AzureADMultipleOrgs",
        "groupMembershipClaims": "DirectoryRole",
        "web": {
            "redirectUris": [REDIRECT, "https://example.com/back"],
            "logoutUrl": "https://example.com/out",
            "implicitGrantSettings": {"enableIdTokenIssuance": true},
        },
        "optionalClaims": {"idToken": [{"name": "auth_time", "essential": false, "source": null, "additionalProperties": []}]},
    });
    let answer = change(&site, Method::PATCH, &path, &changes).await;
    assert_eq!(answer.status, 204);
    let by_app = format!("/v1.0/applications(appId='{}')", made.app_id);
    let read = site.get(&by_app).await.json();
    for name in [
        "displayName",
        "description",
        "tags",
        "signInAudience",
        "groupMembershipClaims",
    ] {
        assert_eq!(read[name], changes[name], "{name}");
    }
    assert_eq!(read["web"]["redirectUris"], changes["web"]["redirectUris"]);
    assert_eq!(read["web"]["logoutUrl"], "https://example.com/out");
    assert_eq!(
        read["web"]["implicitGrantSettings"]["enableIdTokenIssuance"],
        true
    );
    assert_eq!(read["optionalClaims"]["idToken"][0]["name"], "auth_time");
    assert_eq!(read["passwordCredentials"][0]["displayName"], "first");
    assert_eq!(
        read["passwordCredentials"][0]["secretText"],
        Value::Null,
        "told once only"
    );
    let found = site
        .get("/v1.0/applications?$filter=displayName eq 'Backup of everything'")
        .await;
    assert_eq!(found.column("appId"), [made.app_id.as_str()]);
    let path = format!(
        "/v1.0/servicePrincipals/{}?$select=displayName,replyUrls",
        made.principal
    );
    let principal = site.get(&path).await.json();
    assert_eq!(principal["displayName"], "Backup of everything");
    assert_eq!(principal["replyUrls"], changes["web"]["redirectUris"]);
    site.assert_clean();
}

#[tokio::test]
async fn a_secret_is_told_once_and_works_until_it_expires_or_is_removed() {
    let site = script().await;
    let made = made(&site).await;
    let path = format!("/v1.0/applications/{}", made.id);
    let wanted = json!({"passwordCredential": {
        "displayName": "short",
        "endDateTime": (site.running.now() + Duration::from_secs(60)).to_string(),
    }});
    let added = site
        .post(&format!("{path}/addPassword"), &wanted)
        .await
        .json();
    let short = Made {
        id: made.id.clone(),
        app_id: made.app_id.clone(),
        principal: made.principal.clone(),
        secret: text(&added["secretText"]),
    };
    assert!(short.secret.starts_with(&text(&added["hint"])));
    assert_eq!(short.token(&site).await.status, 200);
    site.clock.advance(Duration::from_secs(60));
    assert_error(&short.token(&site).await, 401, "invalid_client", 7_000_222);
    let removal = json!({"keyId": added["keyId"]});
    let remove = format!("{path}/removePassword");
    assert_eq!(site.post(&remove, &removal).await.status, 204);
    assert_error(&short.token(&site).await, 401, "invalid_client", 7_000_215);
    assert_eq!(site.post(&remove, &removal).await.status, 400);
    assert_eq!(
        made.token(&site).await.status,
        200,
        "the first one still works"
    );
    let past = json!({"passwordCredential": {"endDateTime": "2020-01-01T00:00:00Z"}});
    assert_eq!(
        site.post(&format!("{path}/addPassword"), &past)
            .await
            .status,
        400
    );
    let given = json!({"passwordCredentials": [{"secretText": "x"}]});
    let answer = change(&site, Method::PATCH, &path, &given).await;
    assert_eq!(answer.status, 400);
    assert!(text(&answer.json()["error"]["message"]).contains("service actions"));
    site.assert_clean();
}

#[tokio::test]
async fn a_certificate_is_registered_and_signs_in() {
    let site = script().await;
    let made = made(&site).await;
    let path = format!("/v1.0/applications/{}", made.id);
    let key = BASE64.encode(&certificate().certificate.der);
    let wanted = json!({"keyCredentials": [{
        "type": "AsymmetricX509Cert", "usage": "Verify", "displayName": "CN=backup", "key": key,
    }]});
    let sign_in = async || {
        let now = site.running.now().as_second();
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::PS256);
        let digest = <sha2::Sha256 as sha2::Digest>::digest(&certificate().certificate.der);
        header.x5t_s256 = Some(data_encoding::BASE64URL_NOPAD.encode(&digest));
        let aud = format!(
            "{}/{}/oauth2/v2.0/token",
            site.running.base_url, site.running.tenant_id
        );
        let claims = json!({
            "aud": aud, "iss": made.app_id, "sub": made.app_id, "nbf": now, "exp": now + 600,
        });
        let assertion =
            jsonwebtoken::encode(&header, &claims, &certificate().key).expect("it can be signed");
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let fields = [
            ("client_id", made.app_id.as_str()),
            ("client_assertion_type", kind),
            ("client_assertion", &assertion),
        ];
        site.token_request(&fields).await
    };
    assert_error(&sign_in().await, 401, "invalid_client", 700_027);
    let answer = change(&site, Method::PATCH, &path, &wanted).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    assert_eq!(sign_in().await.status, 200);
    let read = site.get(&path).await.json();
    let shown = &read["keyCredentials"][0];
    assert_eq!(shown["displayName"], "CN=backup");
    assert_eq!(
        shown["key"],
        Value::Null,
        "told only to who asks for it by name"
    );
    let named = site
        .get(&format!("{path}?$select=keyCredentials"))
        .await
        .json();
    assert_eq!(named["keyCredentials"][0]["key"], key);
    // A known key may stand by its id.
    let kept = json!({"keyCredentials": [{"keyId": shown["keyId"], "displayName": "kept"}]});
    assert_eq!(change(&site, Method::PATCH, &path, &kept).await.status, 204);
    assert_eq!(sign_in().await.status, 200);
    let none = json!({"keyCredentials": []});
    assert_eq!(change(&site, Method::PATCH, &path, &none).await.status, 204);
    assert_error(&sign_in().await, 401, "invalid_client", 700_027);
    for bad in [
        json!([{"type": "AsymmetricX509Cert", "usage": "Verify", "key": "AAAA"}]),
        json!([{"type": "AsymmetricX509Cert", "usage": "Verify", "key": "?"}]),
        json!([{"type": "Symmetric", "usage": "Verify", "key": key}]),
        json!([{"keyId": shown["keyId"]}]),
        json!({}),
    ] {
        let body = json!({"keyCredentials": bad});
        assert_eq!(
            change(&site, Method::PATCH, &path, &body).await.status,
            400,
            "{body}"
        );
    }
    site.assert_clean();
}

#[tokio::test]
async fn what_a_registration_cannot_be_is_refused() {
    let site = script().await;
    let made = made(&site).await;
    let path = format!("/v1.0/applications/{}", made.id);
    let before = site.get(&path).await.json();
    for bad in [
        json!({"displayName": ""}),
        json!({"displayName": "new", "appId": made.app_id}),
        json!({"signInAudience": "Everybody"}),
        json!({"web": {"redirectUris": ["http://example.com/"]}}),
        json!({"web": {"redirectUris": ["https://example.com/#x"]}}),
        json!({"web": {"redirectUris": ["nowhere"]}}),
        json!({"web": {"redirectUris": "https://example.com/"}}),
        json!({"requiredResourceAccess": [{"resourceAppId": GRAPH, "resourceAccess": [{"id": GRAPH, "type": "Wish"}]}]}),
        json!({"optionalClaims": {"idToken": ["upn"]}}),
        json!({"colour": "blue"}),
        json!({"tags": [1]}),
    ] {
        let answer = change(&site, Method::PATCH, &path, &bad).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "Request_BadRequest"),
            "{bad}"
        );
    }
    assert_eq!(site.get(&path).await.json(), before, "all or nothing");
    let unnamed = site.post("/v1.0/applications", &json!({})).await;
    assert_eq!(unnamed.status, 400);
    let twice = json!({"appId": made.app_id});
    let answer = site.post("/v1.0/servicePrincipals", &twice).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (409, "Request_MultipleObjectsWithSameKeyValue")
    );
    let stranger = json!({"appId": "00000000-0000-0000-0000-000000000001"});
    let answer = site.post("/v1.0/servicePrincipals", &stranger).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "NoBackingApplicationObject")
    );
    site.assert_clean();
}

#[tokio::test]
async fn scopes_are_granted_changed_and_taken_back_by_a_script() {
    let site = script().await;
    let made = made(&site).await;
    let (resource, _) = graph(&site, "Mail.Read").await;
    let all = "/v1.0/oauth2PermissionGrants";
    let wanted = json!({
        "clientId": made.principal,
        "consentType": "AllPrincipals",
        "resourceId": resource,
        "scope": "openid profile",
    });
    let granted = site.post(all, &wanted).await;
    assert_eq!(granted.status, 201, "{}", granted.json());
    let again = site.post(all, &wanted).await;
    assert_eq!(
        (again.status, again.code().as_str()),
        (409, "Request_MultipleObjectsWithSameKeyValue")
    );
    let filter = format!("{all}?$filter=clientId eq '{}'", made.principal);
    assert_eq!(site.get(&filter).await.column("scope"), ["openid profile"]);
    // Nobody is asked for what a script granted.
    let browser = Browser::new(&site);
    let client = [("client_id", made.app_id.as_str())];
    let page = browser.authorize(&client).await.page();
    let account = crate::entra_walk::anybody(&site);
    let code = browser.sign_in(&page, &account).await.field("code");
    assert!(!code.is_empty());
    let one = format!("{all}/{}", text(&granted.json()["id"]));
    let less = json!({"scope": "openid"});
    assert_eq!(change(&site, Method::PATCH, &one, &less).await.status, 204);
    assert_eq!(site.get(&one).await.json()["scope"], "openid");
    let page = browser.authorize(&client).await.page();
    assert_eq!(page.heading(), "Permissions requested");
    assert_eq!(delete(&site, &one).await.status, 204);
    assert_eq!(site.get(&one).await.status, 404);
    for bad in [
        json!({"consentType": "Nobody"}),
        json!({"consentType": "Principal"}),
        json!({"clientId": "x"}),
        json!({"scope": null}),
    ] {
        let mut body = wanted.clone();
        for (name, value) in bad.as_object().expect("an object") {
            body[name] = value.clone();
        }
        assert_eq!(site.post(all, &body).await.status, 400, "{body}");
    }
    site.assert_clean();
}

#[tokio::test]
async fn whoever_may_not_is_refused() {
    let site = Site::start_with(World::new(), |mut settings| {
        settings.roles = vec!["Application.Read.All".to_owned()];
        settings
    })
    .await;
    assert_eq!(
        site.get("/v1.0/applications").await.column("displayName"),
        ["Keepwell"]
    );
    let (graph, role) = graph(&site, "Mail.Read").await;
    let own = site
        .running
        .tenant()
        .service_principal(site.running.client_id)
        .expect("it is at home");
    let wanted = json!({"principalId": own.id, "resourceId": graph, "appRoleId": role});
    let held = format!("/v1.0/servicePrincipals/{}/appRoleAssignments", own.id);
    for (path, body) in [
        ("/v1.0/applications", json!({"displayName": "x"})),
        ("/v1.0/servicePrincipals", json!({"appId": "x"})),
        (held.as_str(), wanted.clone()),
        ("/v1.0/oauth2PermissionGrants", json!({})),
    ] {
        let answer = site.post(path, &body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "Authorization_RequestDenied"),
            "{path}"
        );
    }
    site.assert_clean();
    // To assign takes the permission to read, too.
    let blind = Site::start_with(World::new(), |mut settings| {
        settings.roles = vec!["AppRoleAssignment.ReadWrite.All".to_owned()];
        settings
    })
    .await;
    let answer = blind.post(&held, &wanted).await;
    assert_eq!(answer.status, 403);
}

#[test]
fn ids_of_permissions_are_microsofts() {
    let Some(path) = testkit::shared::path("graph/permission-role-ids.json") else {
        return;
    };
    let text = std::fs::read(path).expect("the file can be read");
    let known: Value = serde_json::from_slice(&text).expect("JSON");
    // OpenID Connect's own are in no list.
    let openid = ["openid", "profile", "email", "offline_access"];
    for (name, id, is_role) in emulator::permissions() {
        let scheme = if is_role {
            "Application"
        } else {
            "DelegatedWork"
        };
        if !openid.contains(&name) {
            assert_eq!(known[name][scheme], id.to_string(), "{name}");
        }
    }
}

#[tokio::test]
async fn an_unknown_permission_in_the_settings_is_refused() {
    let (mut settings, _) = crate::harness::settings(World::new());
    settings.roles = vec!["Mail.Burn".to_owned()];
    let error = emulator::Emulator::start(settings)
        .await
        .expect_err("there is no such permission");
    assert!(error.to_string().contains("Mail.Burn"));
    assert_eq!(error.kind(), emulator::ErrorKind::Invalid);
}
