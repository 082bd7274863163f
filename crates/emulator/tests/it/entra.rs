//! Tokens: discovery, secrets, certificate assertions, and what Graph makes of a token.

use std::sync::OnceLock;

use data_encoding::{BASE64URL, BASE64URL_NOPAD};
use emulator::{Certificate, World};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use reqwest::Method;
use rsa::{RsaPrivateKey, pkcs8::EncodePrivateKey, rand_core::OsRng};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::shared;

use crate::harness::{Answer, Site, form_request, send};

/// An RSA certificate, made once: that takes long.
pub(crate) struct Made {
    pub(crate) certificate: Certificate,
    pub(crate) key: EncodingKey,
}

pub(crate) fn certificate() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let private = RsaPrivateKey::new(&mut OsRng, 2048).expect("a key can be made");
        let der = private.to_pkcs8_der().expect("a key can be written");
        let pair = rcgen::KeyPair::try_from(der.as_bytes()).expect("the key is understood");
        let signed = rcgen::CertificateParams::new(Vec::new())
            .and_then(|params| params.self_signed(&pair))
            .expect("a certificate can be made");
        let pem = private
            .to_pkcs8_pem(rsa::pkcs8::LineEnding::LF)
            .expect("a key can be written");
        Made {
            certificate: Certificate {
                der: signed.der().to_vec(),
                public_key_der: rcgen::PublicKeyData::subject_public_key_info(&pair),
                expires: "2028-01-01T00:00:00Z".parse().expect("a valid time"),
            },
            key: EncodingKey::from_rsa_pem(pem.as_bytes()).expect("the key is understood"),
        }
    })
}

pub(crate) fn assert_error(answer: &Answer, status: u16, error: &str, number: u32) {
    let body = answer.json();
    assert_eq!(answer.status, status, "{body}");
    assert_eq!(body["error"], error, "{body}");
    assert_eq!(body["error_codes"], json!([number]), "{body}");
    let description = body["error_description"].as_str().expect("a text");
    assert!(
        description.starts_with(&format!("AADSTS{number}: ")),
        "{description}"
    );
    for part in ["\r\nTrace ID: ", "\r\nCorrelation ID: ", "\r\nTimestamp: "] {
        assert!(description.contains(part), "{description}");
    }
    for name in ["timestamp", "trace_id", "correlation_id", "error_uri"] {
        assert!(body[name].is_string(), "{name} is missing");
    }
}

#[tokio::test]
async fn the_older_token_endpoint_names_a_resource_and_writes_numbers_as_texts() {
    let site = Site::start(World::new()).await;
    let path = format!("/{}/oauth2/token", site.running.tenant_id);
    let id = site.running.client_id.to_string();
    let ask = async |changes: &[(&'static str, &'static str)]| {
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", id.as_str()),
            ("client_secret", site.running.client_secret.as_str()),
            ("resource", "https://graph.microsoft.com/"),
        ];
        form.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        form.extend(changes);
        form.retain(|(_, value)| !value.is_empty());
        send(form_request(site.bare(Method::POST, &path), &form)).await
    };
    let answer = ask(&[]).await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!(body["expires_in"], "3599");
    let now = site.running.now().as_second();
    assert_eq!(body["expires_on"], (now + 3599).to_string());
    assert_eq!(body["resource"], "https://graph.microsoft.com/");
    let token = body["access_token"].as_str().expect("a text");
    let users = site.bare(Method::GET, "/v1.0/users").bearer_auth(token);
    assert_eq!(send(users).await.status, 200);
    assert_error(
        &ask(&[("resource", "")]).await,
        400,
        "invalid_request",
        900_144,
    );
    assert_error(
        &ask(&[("resource", "https://vault.azure.net")]).await,
        400,
        "invalid_resource",
        500_011,
    );
    assert_error(
        &ask(&[("grant_type", "password")]).await,
        400,
        "unsupported_grant_type",
        70_003,
    );
}

#[tokio::test]
async fn discovery_is_as_captured_from_microsoft() {
    let site = Site::start(World::new()).await;
    let base = &site.running.base_url;
    let id = site.running.tenant_id;
    for name in [id.to_string().as_str(), "contoso.onmicrosoft.com", "common"] {
        let path = format!("/{name}/v2.0/.well-known/openid-configuration");
        let answer = send(site.bare(Method::GET, &path)).await;
        assert_eq!(answer.status, 200);
        let document = answer.json();
        let endpoint = document["token_endpoint"].as_str().expect("a text");
        assert!(endpoint.starts_with(base), "{endpoint}");
        let keys = document["jwks_uri"].as_str().expect("a text");
        let keys = send(site.bare(Method::GET, keys)).await.json();
        assert_eq!(keys["keys"][0]["kty"], "RSA");
        if let Some(golden) = shared::path("graph/entra-golden/oidc-discovery.golden.json") {
            let text = std::fs::read(golden).expect("the file can be read");
            compare_with_golden(&document, &serde_json::from_slice(&text).expect("JSON"));
        }
    }
    let unknown = "/fabrikam.com/v2.0/.well-known/openid-configuration";
    let answer = send(site.bare(Method::GET, unknown)).await;
    assert_error(&answer, 400, "invalid_request", 90_002);
}

fn compare_with_golden(document: &Value, golden: &Value) {
    let list = |value: &Value| -> Vec<String> {
        let items = value.as_array().expect("a list").iter();
        items
            .map(|item| item.as_str().expect("a text").to_owned())
            .collect()
    };
    for field in list(&golden["required_fields"]) {
        assert!(document.get(&field).is_some(), "{field} is missing");
    }
    for (rule, expected) in golden["protocol_values"].as_object().expect("an object") {
        let (field, holds) = if let Some(field) = rule.strip_suffix("_subset_of") {
            (field, within(document, field, &list(expected)))
        } else if let Some(field) = rule.strip_suffix("_must_include") {
            (field, includes(document, field, &list(expected)))
        } else if let Some(field) = rule.strip_suffix("_equals") {
            (field, named(document, field) == Some(expected))
        } else {
            panic!("an unknown kind of rule: {rule}");
        };
        assert!(holds, "{rule}: {:?}", named(document, field));
    }
}

/// A field of the document; the golden file leaves `_supported` out of some names.
fn named<'a>(document: &'a Value, field: &str) -> Option<&'a Value> {
    document
        .get(field)
        .or_else(|| document.get(format!("{field}_supported")))
}

fn within(document: &Value, field: &str, expected: &[String]) -> bool {
    named(document, field)
        .and_then(Value::as_array)
        .is_some_and(|own| own.iter().all(|v| expected.iter().any(|e| v == e)))
}

fn includes(document: &Value, field: &str, expected: &[String]) -> bool {
    named(document, field)
        .and_then(Value::as_array)
        .is_some_and(|own| expected.iter().all(|e| own.iter().any(|v| v == e)))
}

#[tokio::test]
async fn instance_discovery_knows_microsofts_clouds_and_itself() {
    let site = Site::start(World::new()).await;
    let ask = |endpoint: String| {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("api-version", "1.1")
            .append_pair("authorization_endpoint", &endpoint)
            .finish();
        send(site.bare(Method::GET, &format!("/common/discovery/instance?{query}")))
    };
    let own = format!("{}/common/oauth2/v2.0/authorize", site.running.base_url);
    for endpoint in [
        own,
        "https://login.microsoftonline.com/x/oauth2/v2.0/authorize".to_owned(),
    ] {
        let answer = ask(endpoint).await;
        assert_eq!(answer.status, 200);
        let body = answer.json();
        assert!(body["tenant_discovery_endpoint"].is_string());
        assert_eq!(
            body["metadata"][0]["preferred_network"],
            "login.microsoftonline.com"
        );
    }
    let answer = ask("https://login.example.com/x/authorize".to_owned()).await;
    assert_error(&answer, 400, "invalid_instance", 50_049);
}

#[tokio::test]
async fn a_secret_gives_a_token_with_graphs_claims() {
    let site = Site::start(World::new()).await;
    let id = site.running.client_id.to_string();
    let secret = site.running.client_secret.clone();
    let answer = site
        .token_request(&[("client_id", &id), ("client_secret", &secret)])
        .await;
    let body = answer.json();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 3599);
    assert_eq!(body["ext_expires_in"], 3599);
    assert!(body.get("refresh_token").is_none());
    let token = body["access_token"].as_str().expect("a token is text");

    let keys = format!("/{}/discovery/v2.0/keys", site.running.tenant_id);
    let key = &send(site.bare(Method::GET, &keys)).await.json()["keys"][0];
    let header = jsonwebtoken::decode_header(token).expect("a JWT");
    assert_eq!(header.kid.as_deref(), key["kid"].as_str());
    let part = |name: &str| key[name].as_str().expect("a text");
    let verify = DecodingKey::from_rsa_components(part("n"), part("e")).expect("a key");
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_exp = false;
    validation.set_audience(&["https://graph.microsoft.com"]);
    let claims = jsonwebtoken::decode::<Value>(token, &verify, &validation)
        .expect("the signature is the published key's")
        .claims;
    let tenant = site.running.tenant_id.to_string();
    assert_eq!(claims["iss"], format!("https://sts.windows.net/{tenant}/"));
    assert_eq!(claims["tid"], tenant);
    assert_eq!(claims["appid"], id);
    assert_eq!(claims["idtyp"], "app");
    assert_eq!(claims["ver"], "1.0");
    assert_eq!(claims["oid"], claims["sub"]);
    let roles = claims["roles"].as_array().expect("a list");
    assert!(roles.contains(&json!("Mail.ReadWrite")));
    let now = site.running.now().as_second();
    assert_eq!(claims["exp"], now + 3600);
}

#[tokio::test]
async fn a_secret_may_come_as_basic_authorization() {
    let site = Site::start(World::new()).await;
    let path = format!("/{}/oauth2/v2.0/token", site.running.tenant_id);
    let request = |secret: &str| {
        let request = site
            .bare(Method::POST, &path)
            .basic_auth(site.running.client_id, Some(secret));
        let scope = "00000003-0000-0000-c000-000000000000/.default";
        form_request(
            request,
            &[("grant_type", "client_credentials"), ("scope", scope)],
        )
    };
    assert_eq!(send(request(&site.running.client_secret)).await.status, 200);
    assert_error(
        &send(request("wrong")).await,
        401,
        "invalid_client",
        7_000_215,
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_token_request_is_said_by_number() {
    let site = Site::start(World::new()).await;
    let id = site.running.client_id.to_string();
    let secret = site.running.client_secret.clone();
    let (id, secret) = (id.as_str(), secret.as_str());
    let right = [("client_id", id), ("client_secret", secret)];
    type Case<'a> = (&'a [(&'a str, &'a str)], u16, &'a str, u32);
    let cases: [Case; 12] = [
        (&[("grant_type", "")], 400, "invalid_request", 900_144),
        (
            &[("grant_type", "password")],
            400,
            "unsupported_grant_type",
            70_003,
        ),
        (&[("client_id", "")], 400, "invalid_request", 900_144),
        (
            &[("client_id", "nobody")],
            400,
            "unauthorized_client",
            700_016,
        ),
        (&[("scope", "")], 400, "invalid_request", 900_144),
        (
            &[("scope", "https://graph.microsoft.com/Mail.Read")],
            400,
            "invalid_scope",
            1_002_012,
        ),
        (
            &[("scope", "a/.default b/.default")],
            400,
            "invalid_scope",
            70_011,
        ),
        (
            &[("scope", "https://example.com/.default")],
            400,
            "invalid_resource",
            500_011,
        ),
        (&[("client_secret", "")], 401, "invalid_client", 7_000_218),
        (
            &[("client_secret", "wrong")],
            401,
            "invalid_client",
            7_000_215,
        ),
        (
            &[("client_secret", ""), ("client_assertion", "x")],
            400,
            "invalid_request",
            900_144,
        ),
        (
            &[
                ("client_secret", ""),
                ("client_assertion", "x"),
                ("client_assertion_type", "y"),
            ],
            400,
            "invalid_request",
            50_027,
        ),
    ];
    for (fields, status, error, number) in cases {
        let mut all = right.to_vec();
        all.retain(|(name, _)| fields.iter().all(|(given, _)| given != name));
        all.extend(fields);
        let answer = site.token_request(&all).await;
        assert_error(&answer, status, error, number);
    }
    let everyone = send(form_request(
        site.bare(Method::POST, "/common/oauth2/v2.0/token"),
        &[
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("client_secret", secret),
        ],
    ));
    assert_error(&everyone.await, 400, "invalid_request", 9_001_023);
    let path = format!("/{}/oauth2/v2.0/token", site.running.tenant_id);
    assert_error(
        &send(site.bare(Method::GET, &path)).await,
        405,
        "invalid_request",
        900_561,
    );
    let json = site
        .bare(Method::POST, &path)
        .json(&json!({"grant_type": "client_credentials"}));
    assert_error(&send(json).await, 400, "invalid_request", 900_144);

    site.change_app(|app| app.secrets[0].expires = site.running.now());
    assert_error(
        &site.token_request(&right).await,
        401,
        "invalid_client",
        7_000_222,
    );
    site.change_principal(|principal| principal.enabled = false);
    assert_error(
        &site.token_request(&right).await,
        400,
        "unauthorized_client",
        7_000_112,
    );
}

/// An assertion, as a client makes it, with changes.
fn assertion(
    site: &Site,
    algorithm: Algorithm,
    change: impl FnOnce(&mut Header, &mut Value),
) -> String {
    let now = site.running.now().as_second();
    let id = site.running.client_id.to_string();
    let mut header = Header::new(algorithm);
    let digest = Sha256::digest(&certificate().certificate.der);
    header.x5t_s256 = Some(BASE64URL_NOPAD.encode(&digest));
    let mut claims = json!({
        "aud": format!("{}/{}/oauth2/v2.0/token", site.running.base_url, site.running.tenant_id),
        "iss": id,
        "sub": id,
        "jti": "one",
        "nbf": now,
        "iat": now,
        "exp": now + 600,
    });
    change(&mut header, &mut claims);
    jsonwebtoken::encode(&header, &claims, &certificate().key).expect("it can be signed")
}

async fn present(site: &Site, assertion: &str) -> Answer {
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let id = site.running.client_id.to_string();
    site.token_request(&[
        ("client_id", &id),
        ("client_assertion_type", kind),
        ("client_assertion", assertion),
    ])
    .await
}

#[tokio::test]
async fn a_certificate_signs_in() {
    let site = Site::start(World::new()).await;
    site.change_app(|app| app.certificates.push(certificate().certificate.clone()));
    for algorithm in [Algorithm::PS256, Algorithm::RS256] {
        let answer = present(&site, &assertion(&site, algorithm, |_, _| {})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let token = answer.json()["access_token"]
            .as_str()
            .expect("a token")
            .to_owned();
        let users = send(site.bare(Method::GET, "/v1.0/users").bearer_auth(token)).await;
        assert_eq!(users.status, 200);
    }
    // The older header names the certificate by its SHA-1.
    let sha1 = sha1_smol::Sha1::from(&certificate().certificate.der)
        .digest()
        .bytes();
    let old = assertion(&site, Algorithm::RS256, |header, _| {
        header.x5t_s256 = None;
        header.x5t = Some(BASE64URL_NOPAD.encode(&sha1));
    });
    assert_eq!(present(&site, &old).await.status, 200);
    site.assert_clean();
}

#[tokio::test]
async fn an_assertion_may_be_padded_as_microsofts_own_library_does() {
    let site = Site::start(World::new()).await;
    site.change_app(|app| app.certificates.push(certificate().certificate.clone()));
    let plain = assertion(&site, Algorithm::PS256, |_, _| {});
    let mut parts = plain.split('.').map(|part| {
        let bytes = BASE64URL_NOPAD.decode(part.as_bytes());
        bytes.expect("each part is base64url")
    });
    let mut padded = || {
        let mut json = parts.next().expect("there are three");
        // Space between JSON's signs means nothing.
        while json.len() % 3 == 0 {
            json.insert(1, b' ');
        }
        BASE64URL.encode(&json)
    };
    let signed = format!("{}.{}", padded(), padded());
    assert_eq!(
        signed.matches('=').count(),
        2 + signed.matches("==").count()
    );
    let key = &certificate().key;
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), key, Algorithm::PS256);
    let signature = signature.expect("it can be signed");
    let answer = present(&site, &format!("{signed}.{signature}==")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let other: String = signature.chars().rev().collect();
    let forged = present(&site, &format!("{signed}.{other}==")).await;
    assert_eq!(forged.status, 401, "{forged:?}");
}

#[tokio::test]
async fn an_assertion_that_is_not_right_is_refused() {
    let site = Site::start(World::new()).await;
    let unregistered = assertion(&site, Algorithm::PS256, |_, _| {});
    assert_error(
        &present(&site, &unregistered).await,
        401,
        "invalid_client",
        700_027,
    );
    site.change_app(|app| app.certificates.push(certificate().certificate.clone()));
    let now = site.running.now().as_second();
    type Change = fn(&mut Header, &mut Value, i64);
    let cases: [(Change, u32); 6] = [
        (
            |header, _, _| header.x5t_s256 = Some("AAAA".to_owned()),
            700_027,
        ),
        (|_, claims, _| claims["iss"] = json!("somebody"), 700_027),
        (
            |_, claims, _| claims["aud"] = json!("https://example.com/token"),
            700_023,
        ),
        (|_, claims, now| claims["exp"] = json!(now - 301), 700_024),
        (|_, claims, now| claims["nbf"] = json!(now + 301), 700_024),
        (|header, _, _| header.x5t_s256 = None, 700_027),
    ];
    for (change, number) in cases {
        let wrong = assertion(&site, Algorithm::PS256, |h, c| change(h, c, now));
        assert_error(&present(&site, &wrong).await, 401, "invalid_client", number);
    }
    let mut tampered = assertion(&site, Algorithm::PS256, |_, _| {});
    tampered.replace_range(tampered.len() - 10..tampered.len() - 6, "AAAA");
    assert_error(
        &present(&site, &tampered).await,
        401,
        "invalid_client",
        700_027,
    );
    assert_error(
        &present(&site, "not.a.jwt").await,
        400,
        "invalid_request",
        50_027,
    );
}

#[tokio::test]
async fn whether_an_assertion_may_be_used_twice_is_a_switch() {
    for refuse in [false, true] {
        let site = Site::start_with(World::new(), |mut settings| {
            settings.behaviour.refuse_repeated_assertions = refuse;
            settings
        })
        .await;
        site.change_app(|app| app.certificates.push(certificate().certificate.clone()));
        let once = assertion(&site, Algorithm::PS256, |_, _| {});
        assert_eq!(present(&site, &once).await.status, 200);
        let again = present(&site, &once).await;
        assert_eq!(again.status, if refuse { 401 } else { 200 });
    }
}

#[tokio::test]
async fn graph_takes_only_valid_tokens() {
    let site = Site::start(World::new()).await;
    let token = site.new_token().await;
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("a JWT has three parts");
    };
    let forge = |algorithm: &str| {
        let header = json!({"typ": "JWT", "alg": algorithm}).to_string();
        BASE64URL_NOPAD.encode(header.as_bytes())
    };
    let read = BASE64URL_NOPAD.decode(claims.as_bytes()).expect("base64");
    let mut changed: Value = serde_json::from_slice(&read).expect("JSON");
    changed["roles"] = json!(["Directory.ReadWrite.All"]);
    let changed = BASE64URL_NOPAD.encode(changed.to_string().as_bytes());
    // Signed with the public key as if it were a shared secret (abuse 89).
    let keys = format!("/{}/discovery/v2.0/keys", site.running.tenant_id);
    let keys = send(site.bare(Method::GET, &keys)).await.json();
    let modulus = keys["keys"][0]["n"].as_str().expect("a text");
    let confused = jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &serde_json::from_slice::<Value>(&read).expect("JSON"),
        &EncodingKey::from_secret(modulus.as_bytes()),
    )
    .expect("it can be signed");
    let cases = [
        format!("Bearer {}.{claims}.", forge("none")),
        format!("Bearer {}.{claims}.{signature}", forge("RS256")),
        format!("Bearer {header}.{changed}.{signature}"),
        format!("Bearer {confused}"),
        format!("Basic {token}"),
        "Bearer".to_owned(),
        "Bearer x".to_owned(),
        String::new(),
    ];
    for value in cases {
        let request = site
            .bare(Method::GET, "/v1.0/users")
            .header("authorization", &value);
        let answer = send(request).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "InvalidAuthenticationToken"),
            "{value}"
        );
        assert!(
            answer
                .header("www-authenticate")
                .starts_with("Bearer realm=\"\", authorization_uri=")
        );
    }
    let request = site.bare(Method::GET, "/v1.0/nowhere");
    assert_eq!(
        send(request).await.status,
        401,
        "a path is not told about without a token"
    );
    assert_eq!(
        send(site.bare(Method::GET, "/v1.0/users").bearer_auth(&token))
            .await
            .status,
        200
    );
    site.assert_clean();
}

#[tokio::test]
async fn a_token_of_another_tenant_is_refused() {
    let site = Site::start(World::new()).await;
    let other = Site::start(World::new().users(1, 7)).await;
    assert_ne!(site.running.tenant_id, other.running.tenant_id);
    let foreign = other.new_token().await;
    let answer = send(site.bare(Method::GET, "/v1.0/users").bearer_auth(foreign)).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn a_token_expires_by_the_emulators_clock() {
    let site = Site::start(World::new()).await;
    assert_eq!(site.get("/v1.0/users").await.status, 200);
    site.clock.advance(std::time::Duration::from_secs(3599));
    assert_eq!(site.get("/v1.0/users").await.status, 200);
    site.clock.advance(std::time::Duration::from_secs(1));
    let answer = site.get("/v1.0/users").await;
    assert_eq!(answer.status, 401);
    assert!(
        answer.json()["error"]["message"]
            .as_str()
            .expect("a text")
            .contains("expired")
    );
}

#[tokio::test]
async fn a_missing_permission_is_refused_in_the_services_words() {
    let site = Site::start_with(World::new().users(1, 1), |mut settings| {
        settings.roles = vec!["Tasks.Read.All".to_owned()];
        settings
    })
    .await;
    let user = site.running.tenant().users()[0].id;
    let answer = site.get("/v1.0/users").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "Authorization_RequestDenied")
    );
    let answer = site.get(&format!("/v1.0/users/{user}/mailFolders")).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "ErrorAccessDenied")
    );
    // A granted permission is in the next token, not in the one already given.
    let tenant = site.running.tenant();
    assert!(tenant.grant_role(site.running.client_id, "User.Read.All", site.running.now()));
    assert_eq!(site.get("/v1.0/users").await.status, 403);
    let token = site.new_token().await;
    let answer = send(site.bare(Method::GET, "/v1.0/users").bearer_auth(token)).await;
    assert_eq!(answer.status, 200);
    site.assert_clean();
}
