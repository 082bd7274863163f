//! `keepwell key`, `serve` and `worker`: what is refused, what is told, and an end in order.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use model::{Clock, SystemClock};
use tempfile::TempDir;

use crate::run::{Running, command, keepwell};

/// A folder with a key and a configuration to which this is added.
pub(crate) fn configured(more: &str) -> Result<TempDir> {
    let folder = TempDir::new()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    keepwell(["key", "create", &path("server.key")])?.ended(0)?;
    let text = format!(
        "data = {:?}\ndatabase = {:?}\nkey_file = {:?}\n{more}\n",
        path("data"),
        testkit::database::address(folder.path()),
        path("server.key")
    );
    fs::write(folder.path().join("keepwell.toml"), text)?;
    Ok(folder)
}

fn refused(folder: &Path) -> Result<String> {
    let config = folder.join("keepwell.toml").display().to_string();
    keepwell(["serve", "--config", &config])?.refusal()
}

#[test]
fn a_key_is_made_once_and_for_its_owner_alone() -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("server.key");
    let name = file.display().to_string();
    let made = keepwell(["key", "create", &name])?.ended(0)?;
    let text = fs::read_to_string(&file)?;
    let shown = keepwell(["key", "show-id", &name])?.ended(0)?;
    ensure!(made.stdout == shown.stdout && shown.stdout.trim().len() == 8);
    ensure!(!text.contains(shown.stdout.trim()), "an id tells nothing");
    let line = keepwell(["key", "create", &name])?.refusal()?;
    ensure!(line.contains("never replaced"), "{line}");
    ensure!(fs::read_to_string(&file)? == text);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        ensure!(fs::metadata(&file)?.permissions().mode() & 0o777 == 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
        let line = keepwell(["key", "show-id", &name])?.refusal()?;
        ensure!(line.contains("chmod 600"), "{line}");
    }
    Ok(())
}

#[test]
fn what_would_be_unsafe_is_refused() -> Result<()> {
    let folder = configured("[http]\nlisten = '0.0.0.0:0'")?;
    ensure!(refused(folder.path())?.contains("plain HTTP"));
    let folder = configured("[http]\nlistens = '127.0.0.1:0'")?;
    ensure!(refused(folder.path())?.contains("unknown field"));
    let folder = configured("")?;
    fs::remove_file(folder.path().join("server.key"))?;
    ensure!(refused(folder.path())?.contains("keepwell key create"));
    ensure!(!folder.path().join("server.key").exists(), "no key is made");
    Ok(())
}

/// Starts it, its output piped.
pub(crate) fn started<const N: usize>(
    arguments: [&str; N],
) -> Result<(Running, impl Iterator<Item = String>)> {
    let child = command(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut process = Running(child);
    let stdout = process.0.stdout.take().context("it is piped")?;
    Ok((
        process,
        BufReader::new(stdout).lines().map_while(Result::ok),
    ))
}

fn answers(address: &str, path: &str, status: &str) -> Result<()> {
    let answer = ask(address, path, "")?;
    ensure!(
        answer.starts_with(&format!("HTTP/1.1 {status}")),
        "{answer}"
    );
    Ok(())
}

/// What is answered to a request with these header lines.
fn ask(address: &str, path: &str, headers: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(unix)]
pub(crate) fn ends_in_order(mut process: Running) -> Result<()> {
    let clock = SystemClock::new();
    let pid = rustix::process::Pid::from_child(&process.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    let status = process.0.wait()?;
    ensure!(status.success(), "{status}");
    ensure!(clock.elapsed() < Duration::from_secs(10));
    Ok(())
}

/// abuse 67: it says where it is and how to begin, answers, and ends in order when it is told to.
#[test]
#[cfg(unix)]
fn a_console_is_served_until_it_is_told_to_stop() -> Result<()> {
    let folder = configured("[http]\nlisten = '127.0.0.1:0'")?;
    let config = folder.path().join("keepwell.toml").display().to_string();
    let (process, mut lines) = started(["serve", "--config", &config])?;
    let at = lines.next().context("a line")?;
    let (_, address) = at.split_once("http://").context("an address")?;
    let address = address.trim_end_matches('/');
    let code = lines.next().context("a second line")?;
    ensure!(
        code.starts_with("set-up code: ") && code.len() == 36,
        "{code}"
    );
    for (path, status) in [("/healthz", "200"), ("/readyz", "200"), ("/", "303")] {
        answers(address, path, status)?;
    }
    ends_in_order(process)
}

/// Where a worker is told to, it shows its metrics, to whoever has the token, and nothing else to anybody.
#[test]
#[cfg(unix)]
fn a_worker_serves_its_metrics_and_no_console() -> Result<()> {
    let secret = TempDir::new()?;
    let token = secret.path().join("token").display().to_string();
    fs::write(&token, "for the watching of workers\n".replace(' ', "-"))?;
    let folder = configured(&format!(
        "[http]\nmetrics_token_file = {token:?}\n[worker]\nmetrics_listen = '127.0.0.1:0'"
    ))?;
    let config = folder.path().join("keepwell.toml").display().to_string();
    let (process, mut lines) = started(["worker", "--config", &config])?;
    let at = lines.next().context("a line")?;
    let (_, address) = at.split_once("http://").context("an address")?;
    let address = address
        .strip_suffix("/metrics")
        .context("the metrics' path")?;
    for (path, status) in [("/metrics", "401"), ("/", "404"), ("/sign-in", "404")] {
        answers(address, path, status)?;
    }
    let header = "Authorization: Bearer for-the-watching-of-workers\r\n";
    let shown = ask(address, "/metrics", header)?;
    ensure!(shown.starts_with("HTTP/1.1 200"), "{shown}");
    ensure!(
        shown.contains("\nkeepwell_items_backed_up_total 0\n"),
        "{shown}"
    );
    ensure!(shown.contains("\nkeepwell_runs 0\n"), "{shown}");
    ends_in_order(process)
}

/// With as many people as nobody has to ask for, and sooner than anybody turns away.
#[test]
#[cfg(unix)]
fn a_demonstration_tells_how_to_sign_in_and_ends_in_order() -> Result<()> {
    let clock = SystemClock::new();
    let (process, mut lines) = started(["demo", "--json", "--listen", "127.0.0.1:0"])?;
    let ready: serde_json::Value = serde_json::from_str(&lines.next().context("a line")?)?;
    let url = ready["console"].as_str().context("an address")?;
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    answers(address, "/readyz", "200")?;
    let took = clock.elapsed();
    ensure!(took < Duration::from_secs(10), "{took:?}");
    ensure!(ready["password"].as_str().context("a password")?.len() == 16);
    answers(address, "/", "303")?;
    answers(address, "/sign-in", "200")?;
    ends_in_order(process)
}

/// Whoever wants to set up a backup by hand finds a tenant, and nothing that is done already.
#[test]
#[cfg(unix)]
fn a_demonstration_leaves_the_task_to_whoever_tries_it() -> Result<()> {
    let arguments = [
        "demo",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--users",
        "2",
        "--no-task",
    ];
    let (process, mut lines) = started(arguments)?;
    let ready: serde_json::Value = serde_json::from_str(&lines.next().context("a line")?)?;
    let url = ready["console"].as_str().context("an address")?;
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let token = ready["token"].as_str().context("a token")?;
    for path in ["/api/v1/tasks", "/api/v1/connections"] {
        let answer = ask(address, path, &format!("Authorization: Bearer {token}\r\n"))?;
        ensure!(answer.ends_with("{\"items\":[],\"next\":null}"), "{answer}");
    }
    ends_in_order(process)
}
