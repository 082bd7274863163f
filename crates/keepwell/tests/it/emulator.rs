//! `keepwell emulator`, by a client that is nothing but a socket.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::run::{Running, command, keepwell};

/// An emulated tenant in a process of its own, and what it told of itself.
pub(crate) struct Tenant {
    process: Running,
    address: String,
    tenant_id: String,
    client_id: String,
    pub(crate) client_secret: String,
    ready: Value,
}

impl Tenant {
    /// Starts it and reads its first line.
    pub(crate) fn start(args: &[&str]) -> Result<Self> {
        let mut command = command(["emulator"].iter().chain(args));
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut process = Running(child);
        let stdout = process.0.stdout.as_mut().context("it is piped")?;
        let mut line = String::new();
        // What the buffer reads beyond the line is lost, but nothing follows it.
        BufReader::new(stdout).read_line(&mut line)?;
        let ready: Value = serde_json::from_str(&line).context("no line of JSON")?;
        let text =
            |name: &str| Ok::<_, anyhow::Error>(ready[name].as_str().context("a text")?.to_owned());
        Ok(Self {
            address: text("http")?
                .strip_prefix("http://")
                .context("plain HTTP")?
                .to_owned(),
            tenant_id: text("tenant_id")?,
            client_id: text("client_id")?,
            client_secret: text("client_secret")?,
            process,
            ready: ready.clone(),
        })
    }

    /// The status and the body of an answer.
    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Result<(u16, Value)> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            self.address,
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .context("no end of the head")?;
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        Ok((status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }

    fn token(&self) -> Result<String> {
        let form = format!(
            "grant_type=client_credentials&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default&client_id={}&client_secret={}",
            self.client_id, self.client_secret
        );
        let path = format!("/{}/oauth2/v2.0/token", self.tenant_id);
        let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
        match self.ask("POST", &path, kind, &form)? {
            (200, answer) => Ok(answer["access_token"]
                .as_str()
                .context("no token")?
                .to_owned()),
            (status, answer) => bail!("{status}: {answer}"),
        }
    }

    fn get(&self, path: &str) -> Result<(u16, Value)> {
        let authorization = format!("Authorization: Bearer {}\r\n", self.token()?);
        self.ask("GET", path, &authorization, "")
    }

    fn child(&mut self) -> &mut Child {
        &mut self.process.0
    }
}

/// The addresses of a page of users.
fn addresses(page: &Value) -> Vec<&str> {
    let users = page["value"].as_array().into_iter().flatten();
    users
        .filter_map(|user| user["userPrincipalName"].as_str())
        .collect()
}

#[test]
fn a_stranger_gets_a_token_and_reads_the_users() -> Result<()> {
    let mail = TempDir::new()?;
    fs::write(mail.path().join("one"), "Subject: one\r\n\r\none")?;
    let from = format!("zoe={}", mail.path().display());
    let tenant = Tenant::start(&["--users", "2", "--mail", &from])?;
    let (status, users) = tenant.get("/v1.0/users")?;
    assert_eq!(status, 200, "{users}");
    assert!(
        addresses(&users).contains(&"zoe@contoso.onmicrosoft.com"),
        "{users}"
    );
    let (status, mails) = tenant.get("/v1.0/users/zoe@contoso.onmicrosoft.com/messages")?;
    assert_eq!(
        (status, &mails["value"][0]["subject"]),
        (200, &Value::from("one"))
    );

    let (status, refusal) = tenant.ask("GET", "/v1.0/users", "", "")?;
    assert_eq!(
        (status, &refusal["error"]["code"]),
        (401, &Value::from("InvalidAuthenticationToken"))
    );
    let (status, _) = tenant.get("/_emulator/faults")?;
    assert!(status >= 400, "the admin endpoint was not asked for");
    Ok(())
}

#[cfg(unix)]
#[test]
fn its_other_doors_and_its_people_are_told() -> Result<()> {
    let folder = TempDir::new()?;
    let authority = folder.path().join("ca.pem");
    let path = authority.to_str().context("a path")?;
    let any = "127.0.0.1:0";
    let doors = ["--https", any, "--proxy", any, "--ca-out", path];
    let tenant = Tenant::start(&[&["--users", "4", "--seed", "7"][..], &doors].concat())?;
    for (name, scheme) in [
        ("https", "https://127.0.0.1:"),
        ("proxy", "http://127.0.0.1:"),
    ] {
        let address = tenant.ready[name].as_str().context(name)?;
        let port = address.strip_prefix(scheme).context(address.to_owned())?;
        TcpStream::connect(("127.0.0.1", port.parse()?)).context(name)?;
    }
    assert!(fs::read_to_string(&authority)?.starts_with("-----BEGIN CERTIFICATE-----"));
    for name in ["administrator", "user"] {
        let person = &tenant.ready[name];
        let address = person["user_principal_name"].as_str().context(name)?;
        assert!(address.ends_with(".onmicrosoft.com"), "{address}");
        assert!(
            person["password"]
                .as_str()
                .is_some_and(|word| word.len() >= 8)
        );
    }
    assert_ne!(tenant.ready["administrator"], tenant.ready["user"]);
    Ok(())
}

#[test]
fn an_interrupt_ends_it_well() -> Result<()> {
    let mut tenant = Tenant::start(&["--users", "1"])?;
    // A client that holds its connection open must not hold up the end.
    let _idle = TcpStream::connect(&tenant.address)?;
    let id = rustix::process::Pid::from_child(tenant.child());
    rustix::process::kill_process(id, rustix::process::Signal::INT)?;
    assert_eq!(tenant.child().wait()?.code(), Some(0));
    let mut stderr = String::new();
    tenant
        .child()
        .stderr
        .take()
        .context("it is piped")?
        .read_to_string(&mut stderr)?;
    assert!(!stderr.contains("panicked"), "{stderr}");
    Ok(())
}

#[test]
fn it_breaks_by_the_rules_of_a_file() -> Result<()> {
    let folder = TempDir::new()?;
    let toml = "[[fault]]\nroute = \"/v1.0/users\"\ncount = 1\nstatus = 503\n";
    let json = r#"{"fault": [{"route": "/v1.0/users", "count": 1, "status": 503}]}"#;
    for (name, text) in [("rules.toml", toml), ("rules.json", json)] {
        let path = folder.path().join(name);
        fs::write(&path, text)?;
        let path = path.to_str().context("a plain path")?;
        let tenant = Tenant::start(&["--users", "1", "--admin", "--faults", path])?;
        assert_eq!(tenant.get("/v1.0/users")?.0, 503, "{name}");
        assert_eq!(tenant.get("/v1.0/users")?.0, 200, "{name}");
        assert_eq!(tenant.get("/_emulator/faults")?.0, 200, "it was asked for");
    }
    Ok(())
}

#[test]
fn rules_that_make_no_sense_are_refused() -> Result<()> {
    let folder = TempDir::new()?;
    let wrong = [
        (
            "unknown.toml",
            "[[fault]]\nroute = \"/v1.0/*\"\nstatuss = 503\n",
            "unknown field `statuss`",
        ),
        (
            "unknown.json",
            r#"{"route": "/v1.0/*", "statuss": 503}"#,
            "unknown field `statuss`",
        ),
        ("broken.toml", "[[fault]\n", "TOML"),
        ("broken.json", "{", "EOF"),
        (
            "nowhere.toml",
            "[[fault]]\nroute = \"/users/{user}/mesages\"\nstatus = 503\n",
            "/users/{user}/mesages",
        ),
    ];
    for (name, text, said) in wrong {
        let path = folder.path().join(name);
        fs::write(&path, text)?;
        let path = path.to_str().context("a plain path")?;
        let line = refusal(&["--users", "1", "--faults", path])?;
        assert!(
            line.contains(said) && !line.contains(" | "),
            "{name}: {line}"
        );
    }
    let absent = folder.path().join("absent");
    let line = refusal(&["--faults", absent.to_str().context("a plain path")?])?;
    assert!(line.contains("absent could not be read"), "{line}");
    Ok(())
}

#[test]
fn an_address_that_is_taken_is_told() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let line = refusal(&["--users", "1", "--http", &address])?;
    assert!(line.contains(&address), "{line}");
    Ok(())
}

/// What it says when it does not start.
fn refusal(args: &[&str]) -> Result<String> {
    if let Ok(tenant) = Tenant::start(args) {
        bail!("it started at {} in spite of {args:?}", tenant.address);
    }
    keepwell(["emulator"].iter().chain(args))?.refusal()
}
