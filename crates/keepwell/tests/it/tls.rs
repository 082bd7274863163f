//! The console by TLS, with a certificate that the configuration names: a real handshake, and nothing without one.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use crate::serve::{configured, ends_in_order, started};

/// What is answered to a request over TLS, by whoever trusts these certificates.
fn ask(address: &str, path: &str, trusted: RootCertStore) -> Result<(String, u16)> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1")?.to_owned();
    let connection = ClientConnection::new(Arc::new(config), name)?;
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address)?);
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let version = stream.conn.protocol_version().context("a handshake")?;
    Ok((answer, version.into()))
}

#[test]
#[cfg(unix)]
fn the_console_speaks_tls_with_the_certificate_of_the_configuration() -> Result<()> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let folder = configured("")?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("tls.pem"), made.cert.pem())?;
    fs::write(path("tls.key"), made.signing_key.serialize_pem())?;
    let mut text = fs::read_to_string(path("keepwell.toml"))?;
    text += &format!(
        "[http]\nlisten = '127.0.0.1:0'\ncertificate = {:?}\ncertificate_key = {:?}\n",
        path("tls.pem"),
        path("tls.key")
    );
    fs::write(path("keepwell.toml"), &text)?;
    let config = path("keepwell.toml");
    let (process, mut lines) = started(["serve", "--config", &config])?;
    let at = lines.next().context("a line")?;
    let (_, address) = at.split_once("https://").context("an address")?;
    let address = address.trim_end_matches('/');
    let trust = |pem: String| -> Result<RootCertStore> {
        let mut trusted = RootCertStore::empty();
        trusted.add(CertificateDer::from_pem_slice(pem.as_bytes())?)?;
        Ok(trusted)
    };
    let (answer, version) = ask(address, "/readyz", trust(made.cert.pem())?)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    ensure!(version >= 0x0303, "TLS 1.2 at least");
    let (answer, _) = ask(address, "/sign-in", trust(made.cert.pem())?)?;
    ensure!(
        answer.to_lowercase().contains("strict-transport-security:"),
        "{answer}"
    );
    ensure!(answer.contains("; Secure"), "{answer}");
    ensure!(
        ask(address, "/readyz", trust(other.cert.pem())?).is_err(),
        "another certificate"
    );

    // Without TLS nobody is answered.
    let mut plain = TcpStream::connect(address)?;
    write!(plain, "GET /readyz HTTP/1.1\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    ensure!(!answer.starts_with(b"HTTP/"), "plain HTTP is answered");
    ends_in_order(process)?;

    // A key that is another certificate's is refused before anything is served.
    fs::write(path("tls.key"), other.signing_key.serialize_pem())?;
    let line = crate::run::keepwell(["serve", "--config", &path("keepwell.toml")])?.refusal()?;
    ensure!(line.contains("cannot be used"), "{line}");
    Ok(())
}
