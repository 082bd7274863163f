//! Who is on the other side: a server that cannot prove who it is gets no secret (abuse 57).

use std::{net::TcpListener, path::Path, process::Command, sync::Arc, thread};

use graph::{Client, Cloud, Kind, Options};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::server::{Server, granted};

/// Set in the process that trusts an authority made by the test.
const INSIDE: &str = "KEEPWELL_TEST_AUTHORITY";
/// By which the platform's verifier learns whom to trust.
const TRUSTED: &str = "SSL_CERT_FILE";
/// Attempts to sign in before a passing failure is reported.
const ATTEMPTS: usize = 7;

/// The test starts itself again in a process that trusts an authority of its own, because whom to trust is the platform's business.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "it must know whether it is the process that it started"
)]
fn only_the_right_server_gets_a_secret() {
    if let Ok(folder) = std::env::var(INSIDE) {
        return inside(Path::new(&folder));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let key = KeyPair::generate().expect("a key");
    let authority = authority().self_signed(&key).expect("a certificate");
    let certificate = folder.path().join("authority.pem");
    std::fs::write(&certificate, authority.pem()).expect("written");
    std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).expect("written");
    let outcome = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "tls::only_the_right_server_gets_a_secret",
            "--nocapture",
        ])
        .env(TRUSTED, &certificate)
        .env(INSIDE, folder.path())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&outcome.stdout) + String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

fn authority() -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// Where the authority is trusted.
fn inside(folder: &Path) {
    let pem = std::fs::read_to_string(folder.join("key.pem")).expect("the key");
    let key = KeyPair::from_pem(&pem).expect("a key");
    let issuer = Issuer::new(authority(), key);
    let named = |name: &str| CertificateParams::new([name.to_owned()]).expect("a name");
    let mut expired = named("localhost");
    expired.not_before = rcgen::date_time_ymd(2019, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let mut early = named("localhost");
    early.not_before = rcgen::date_time_ymd(2200, 1, 1);
    early.not_after = rcgen::date_time_ymd(2201, 1, 1);
    let check = |what: &str, params: CertificateParams, issuer: Option<&Issuer<'_, KeyPair>>| {
        let is_good = what == "good";
        let key = KeyPair::generate().expect("a key");
        let certificate = match issuer {
            Some(issuer) => params.signed_by(&key, issuer),
            None => params.self_signed(&key),
        };
        let der = certificate.expect("a certificate").der().clone();
        let expected = if is_good { (true, 1) } else { (false, 0) };
        assert_eq!(sign_in(der, &key, is_good), expected, "{what}");
    };
    check("good", named("localhost"), Some(&issuer));
    check("another host's", named("login.example"), Some(&issuer));
    check("expired", expired, Some(&issuer));
    check("not valid yet", early, Some(&issuer));
    check("vouched for by nobody", named("localhost"), None);
}

/// Whether a token came, and how many servers with this certificate heard a secret.
fn sign_in(certificate: CertificateDer<'static>, key: &KeyPair, once: bool) -> (bool, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has all versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("the key is the certificate's");
    let config = Arc::new(config);
    let serving = thread::spawn(move || {
        let connections = if once { 1 } else { ATTEMPTS };
        (0..connections)
            .filter(|_| serve(&listener, &config))
            .count()
    });
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let outcome = runtime.block_on(async {
        let server = Server::start(|_, _| granted()).await;
        let cloud = Cloud::at(&format!("https://localhost:{port}")).expect("an https address");
        let client = Client::new(Options {
            cloud,
            ..server.options()
        });
        client.expect("good options").sign_in().await
    });
    if let Err(error) = &outcome {
        assert_eq!(error.kind(), Kind::Unavailable, "{error:?}");
    }
    (outcome.is_ok(), serving.join().expect("no panic"))
}

/// Serves one connection; whether the client told anything.
fn serve(listener: &TcpListener, config: &Arc<rustls::ServerConfig>) -> bool {
    use std::io::{Read, Write};
    let (mut stream, _) = listener.accept().expect("a connection");
    let mut tls = rustls::ServerConnection::new(Arc::clone(config)).expect("a session");
    while tls.is_handshaking() {
        if tls.complete_io(&mut stream).is_err() {
            return false;
        }
    }
    let mut tls = rustls::Stream::new(&mut tls, &mut stream);
    let mut request = Vec::new();
    let mut some = [0; 4096];
    while !request.windows(13).any(|window| window == b"client_secret") {
        match tls.read(&mut some) {
            Ok(count) if count > 0 => request.extend_from_slice(&some[..count]),
            _ => return !request.is_empty(),
        }
    }
    let body = r#"{"token_type":"Bearer","expires_in":3599,"access_token":"t"}"#;
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = tls
        .write_all(head.as_bytes())
        .and_then(|()| tls.write_all(body.as_bytes()));
    let _ = tls.flush();
    true
}
