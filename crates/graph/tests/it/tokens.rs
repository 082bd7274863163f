//! Tokens: one for all, fresh ahead of time, and what is said when there is none.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use futures_util::future::join_all;
use graph::{Client, Credential, Kind, Options, Request, Scope, SignIn};
use ring::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use rsa::{
    pkcs1::EncodeRsaPublicKey,
    pkcs8::{EncodePrivateKey, LineEnding},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::server::{Reply, Server, granted, graph_only, mailbox};

#[tokio::test]
async fn one_token_serves_everybody_until_shortly_before_it_expires() {
    let server = Server::start(graph_only(|_, _| Reply::ok())).await;
    let client = server.client();
    let scopes: Vec<_> = (0..40).map(|n| mailbox(&n.to_string())).collect();
    let ask = |scope| client.send(scope, Request::get("/users/u/messages"));
    for outcome in join_all(scopes.iter().map(ask)).await {
        outcome.expect("an answer");
    }
    assert_eq!(server.tokens().len(), 1, "single flight");
    server.clock.advance(Duration::from_secs(3599 - 301));
    ask(&scopes[0]).await.expect("an answer");
    assert_eq!(server.tokens().len(), 1);
    server.clock.advance(Duration::from_secs(2));
    ask(&scopes[0]).await.expect("an answer");
    assert_eq!(server.tokens().len(), 2);
    let last = server.seen().pop().expect("a request");
    assert_eq!(last.header("authorization"), Some("Bearer token-2"));
    let form = &server.tokens()[0];
    assert_eq!(form.path, "/tenant/oauth2/v2.0/token");
    assert_eq!(
        form.form("grant_type").as_deref(),
        Some("client_credentials")
    );
    assert_eq!(
        form.form("scope").as_deref(),
        Some("https://graph.microsoft.com/.default")
    );
    assert_eq!(form.form("client_id").as_deref(), Some("application"));
    assert_eq!(form.form("client_secret").as_deref(), Some("secret"));
}

/// The spare five minutes are there for when Entra ID is down.
#[tokio::test]
async fn an_old_token_serves_while_no_new_one_can_be_had() {
    let server = Server::start(|seen, number| match (number, seen.at.as_secs()) {
        (usize::MAX, 1..) => Reply::status(503),
        (usize::MAX, _) => granted(),
        _ => Reply::ok(),
    })
    .await;
    let client = server.client();
    let ask = || client.send(&Scope::Directory, Request::get("/users"));
    ask().await.expect("an answer");
    server.clock.advance(Duration::from_secs(3599 - 200));
    ask().await.expect("the old token serves");
    assert_eq!(server.tokens().len(), 2);
    ask().await.expect("the old token serves");
    assert_eq!(
        server.tokens().len(),
        2,
        "Entra ID is left in peace for a while"
    );
    server.clock.advance(Duration::from_secs(300));
    let error = ask().await.expect_err("the old token has expired");
    assert_eq!(error.kind(), Kind::Unavailable);
}

#[tokio::test]
async fn those_who_wait_for_a_token_share_its_failure() {
    let server = Server::start(|_, _| Reply::status(503)).await;
    let client = server.client();
    let scopes: Vec<_> = (0..20).map(|n| mailbox(&n.to_string())).collect();
    let asked = scopes
        .iter()
        .map(|scope| client.send(scope, Request::get("/users/u/messages")));
    for outcome in join_all(asked).await {
        assert_eq!(outcome.expect_err("no token").kind(), Kind::Unavailable);
    }
    assert_eq!(
        server.tokens().len(),
        7,
        "one series of attempts, not twenty"
    );
    assert!(server.elapsed_s() < 64);
}

#[tokio::test]
async fn entra_is_asked_again_when_it_says() {
    let server = Server::start(|_, number| match number {
        usize::MAX => Reply::status(429).with("retry-after", "90"),
        _ => Reply::ok(),
    })
    .await;
    let error = server
        .client()
        .sign_in()
        .await
        .expect_err("throttled for ever");
    assert!(matches!(
        error.kind(),
        Kind::Throttled {
            retry_after: Some(_)
        }
    ));
    assert_eq!(server.elapsed_s(), 90 * 20);
}

#[tokio::test]
async fn refusals_of_entra_say_what_to_repair() {
    let check = |number: u32, expected: SignIn| async move {
        let body = json!({
            "error": "invalid_client",
            "error_description": format!("AADSTS{number}: about app 'x' and ada@contoso.example.\r\nTrace ID: …"),
            "error_codes": [number],
        });
        let server = Server::start(move |_, _| Reply::json(401, &body)).await;
        let error = server.client().sign_in().await.expect_err("refused");
        assert_eq!(error.kind(), Kind::SignIn(expected));
        assert_eq!(error.code(), Some(format!("AADSTS{number}").as_str()));
        assert!(error.is_fatal());
        assert!(!format!("{error} {error:?}").contains("contoso"));
        assert_eq!(server.tokens().len(), 1, "asking again would not help");
    };
    check(7_000_215, SignIn::WrongSecret).await;
    check(7_000_222, SignIn::ExpiredSecret).await;
    check(700_027, SignIn::WrongCertificate).await;
    // Its times do not fit, and nothing says that the clock is wrong.
    check(700_024, SignIn::WrongCertificate).await;
    check(700_016, SignIn::UnknownApplication).await;
    check(7_000_112, SignIn::DisabledApplication).await;
    check(90_002, SignIn::UnknownTenant).await;
    check(65_001, SignIn::ConsentMissing).await;
    check(53_003, SignIn::Blocked).await;
    check(1_002_012, SignIn::Other).await;
}

#[tokio::test]
async fn what_is_no_token_is_not_used() {
    for body in [
        json!({"token_type": "Bearer", "expires_in": 3599, "access_token": ""}),
        json!({"token_type": "Bearer", "expires_in": 3599, "access_token": "a\r\nb"}),
        json!({"token_type": "mac", "expires_in": 3599, "access_token": "a"}),
        json!({"token_type": "Bearer", "expires_in": "soon", "access_token": "a"}),
        json!({}),
    ] {
        let server = Server::start(move |_, _| Reply::json(200, &body)).await;
        let error = server.client().sign_in().await.expect_err("no token");
        assert_eq!(error.kind(), Kind::BadAnswer);
    }
    let text = json!({"token_type": "bearer", "expires_in": "3599", "access_token": "a"});
    let server = Server::start(move |_, _| Reply::json(200, &text)).await;
    server
        .client()
        .sign_in()
        .await
        .expect("the older endpoint's spelling");
}

/// survival 11 and 12: Graph refuses even fresh tokens for a while.
#[tokio::test]
async fn refused_tokens_are_replaced_six_times() {
    for (refused, succeeds) in [(6, true), (7, false)] {
        let server = Server::start(graph_only(move |_, number| match number < refused {
            true => Reply::error(401, "InvalidAuthenticationToken"),
            false => Reply::ok(),
        }))
        .await;
        let outcome = server
            .client()
            .send(&Scope::Directory, Request::get("/users"))
            .await;
        assert_eq!(outcome.is_ok(), succeeds);
        if let Err(error) = outcome {
            assert_eq!(error.kind(), Kind::Unauthorized);
        }
        let seen = server.seen();
        assert_eq!(seen.len(), 7);
        let tokens: Vec<_> = seen
            .iter()
            .filter_map(|seen| seen.header("authorization"))
            .collect();
        assert_eq!(tokens[0], "Bearer token-1");
        assert_eq!(
            tokens[6], "Bearer token-7",
            "each attempt has a fresh token"
        );
        assert_eq!(
            seen[1].at,
            Duration::ZERO,
            "an expired token is replaced at once"
        );
    }
}

/// survival 12: a token that is refused while many requests are under way is replaced once.
#[tokio::test]
async fn a_refused_token_is_replaced_once_for_all() {
    let server = Server::start(graph_only(|seen, _| match seen.header("authorization") {
        Some("Bearer token-1") => Reply::Together(8, Box::new(Reply::status(401))),
        _ => Reply::ok(),
    }))
    .await;
    let client = server.client();
    let asked = (0..8).map(|_| client.send(&Scope::Directory, Request::get("/users")));
    for outcome in join_all(asked).await {
        outcome.expect("an answer with the second token");
    }
    assert_eq!(server.tokens().len(), 2);
}

/// abuse 39: what Graph demands of the next token reaches Entra ID.
#[tokio::test]
async fn a_claims_challenge_is_passed_on() {
    let server = Server::start(graph_only(|_, number| match number {
        0 => Reply::status(401).with(
            "www-authenticate",
            r#"Bearer realm="", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ==""#,
        ),
        _ => Reply::ok(),
    }))
    .await;
    server
        .client()
        .send(&Scope::Directory, Request::get("/users"))
        .await
        .expect("an answer");
    let tokens = server.tokens();
    assert_eq!(tokens[0].form("claims"), None);
    assert_eq!(
        tokens[1].form("claims").as_deref(),
        Some(r#"{"access_token":{}}"#)
    );
}

/// abuse 39: consent that is revoked while a run is under way is said to be that.
#[tokio::test]
async fn revoked_consent_is_access_denied() {
    let server = Server::start(graph_only(|_, _| {
        Reply::error(403, "Authorization_RequestDenied")
    }))
    .await;
    let outcome = server
        .client()
        .send(&Scope::Directory, Request::get("/users"))
        .await;
    assert_eq!(outcome.expect_err("refused").kind(), Kind::AccessDenied);
    assert_eq!(server.seen().len(), 1);
}

pub(crate) struct Certificate {
    pub(crate) pem: String,
    pub(crate) der: Vec<u8>,
    pub(crate) key_pem: String,
    /// PKCS #1.
    pub(crate) public: Vec<u8>,
}

pub(crate) fn certificate() -> Certificate {
    let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).expect("a key");
    let key_pem = key.to_pkcs8_pem(LineEnding::LF).expect("PEM").to_string();
    let pair = rcgen::KeyPair::from_pkcs8_pem_and_sign_algo(&key_pem, &rcgen::PKCS_RSA_SHA256)
        .expect("rcgen takes the key");
    let certificate = rcgen::CertificateParams::new(Vec::new())
        .and_then(|params| params.self_signed(&pair))
        .expect("a certificate");
    Certificate {
        pem: certificate.pem(),
        der: certificate.der().to_vec(),
        key_pem,
        public: key.to_public_key().to_pkcs1_der().expect("DER").into_vec(),
    }
}

#[tokio::test]
async fn a_certificate_signs_what_entra_expects() {
    let made = certificate();
    let server = Server::start(graph_only(|_, _| Reply::ok())).await;
    let credential = Credential::certificate(&made.pem, &made.key_pem).expect("a pair");
    let client = Client::new(Options {
        credential,
        ..server.options()
    })
    .expect("good options");
    client.sign_in().await.expect("a token");
    let form = &server.tokens()[0];
    assert_eq!(
        form.form("client_assertion_type").as_deref(),
        Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    );
    assert_eq!(form.form("client_secret"), None);
    let assertion = form.form("client_assertion").expect("an assertion");
    let parts: Vec<&str> = assertion.split('.').collect();
    let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).expect("Base64");
    let read = |part: &str| serde_json::from_slice::<Value>(&decode(part)).expect("JSON");
    let (header, claims) = (read(parts[0]), read(parts[1]));
    assert_eq!(header["alg"], "PS256");
    assert_eq!(
        header["x5t#S256"],
        BASE64URL_NOPAD.encode(&Sha256::digest(&made.der))
    );
    assert_eq!(claims["aud"], server.link("/tenant/oauth2/v2.0/token"));
    assert_eq!(
        (&claims["iss"], &claims["sub"]),
        (&json!("application"), &json!("application"))
    );
    let (nbf, exp) = (claims["nbf"].as_i64(), claims["exp"].as_i64());
    assert_eq!(nbf, Some(1_794_312_000), "the clock that was handed in");
    assert_eq!(exp.zip(nbf).map(|(exp, nbf)| exp - nbf), Some(300));
    let signed = format!("{}.{}", parts[0], parts[1]);
    UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, made.public)
        .verify(signed.as_bytes(), &decode(parts[2]))
        .expect("the signature is the certificate's");
}

#[test]
fn a_pair_that_is_none_is_refused_and_nothing_is_shown() {
    let (one, other) = (certificate(), certificate());
    let check = |certificate: &str, key: &str| Credential::certificate(certificate, key);
    assert!(check(&one.pem, &one.key_pem).is_ok());
    for (certificate, key) in [
        (one.pem.as_str(), other.key_pem.as_str()),
        (one.key_pem.as_str(), one.key_pem.as_str()),
        (one.pem.as_str(), one.pem.as_str()),
        ("", ""),
    ] {
        let error = check(certificate, key).expect_err("no pair");
        assert_eq!(error.kind(), Kind::Invalid);
    }
    let shown = format!("{:?}", Credential::secret("hush"));
    assert_eq!(shown, "Credential(secret)");
}
