//! A PostgreSQL server of its own for the tests of one process, on a socket in a temporary folder, with a fresh database for whoever asks.
//!
//! It forgets to sync unless it is told to, sorts as people do (ICU, English), and ends when the process ends, however that ends: it watches a pipe that the process holds.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context, bail, ensure};

use crate::surroundings;

mod proxy;

pub use proxy::{Deed, Proxy};

/// Where Debian keeps the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Who owns every database. Trusted, because nobody else reaches the folder with the socket.
const USER: &str = "keepwell";

/// `$1` is the folder with the programs. It says where the socket is when the server answers, and goes on until its input ends.
const SERVE: &str = r#"
set -eu
folder=$(mktemp -d /tmp/keepwell-postgres.XXXXXX)
trap 'rm -rf "$folder"' EXIT
"$1/initdb" --pgdata="$folder/data" --username=keepwell --auth=trust --encoding=UTF8 --no-sync \
    --locale=C.UTF-8 --locale-provider=icu --icu-locale=en >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
echo "fsync = off" >>"$folder/data/postgresql.conf"
"$1/postgres" -D "$folder/data" -k "$folder" -c listen_addresses= -c max_connections=400 >>"$folder/log" 2>&1 &
server=$!
until "$1/pg_isready" --quiet --host="$folder"; do
    kill -0 "$server" || { cat "$folder/log" >&2; exit 1; }
    sleep 0.05
done
echo "$folder"
cat >/dev/null
kill -INT "$server"
wait "$server" || true
"#;

static SERVER: OnceLock<Option<Server>> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// A server that runs as long as its standard input is open.
struct Server {
    programs: PathBuf,
    folder: String,
    _shell: Child,
    _input: ChildStdin,
}

/// The address of a new, empty database, as sqlx reads it; passed over (see the crate's text) when there is no PostgreSQL.
#[must_use]
pub fn database() -> Option<String> {
    let server = SERVER
        .get_or_init(|| match Server::start() {
            Ok(server) => Some(server),
            Err(error) => {
                surroundings::pass_over(&format!(
                    "PostgreSQL does not run here ({error:#}): install the package postgresql, or run `cargo xtask test`"
                ));
                None
            }
        })
        .as_ref()?;
    Some(server.create(&[]))
}

/// The address of a copy of the database with this address, to which nobody may be connected.
#[must_use]
pub fn copy(address: &str) -> Option<String> {
    let server = SERVER.get()?.as_ref()?;
    let (_, rest) = address.split_once("@localhost/")?;
    let (name, _) = rest.split_once('?')?;
    Some(server.create(&["--template", name]))
}

/// Everything in the database with this address, as text.
#[must_use]
pub fn dump(address: &str) -> Option<Vec<u8>> {
    let server = SERVER.get()?.as_ref()?;
    let dumped = Command::new(server.programs.join("pg_dump"))
        .args(["--inserts", "--dbname", address])
        .output();
    let dumped = dumped.expect("pg_dump lies beside initdb");
    let said = String::from_utf8_lossy(&dumped.stderr);
    assert!(dumped.status.success(), "pg_dump: {said}");
    Some(dumped.stdout)
}

/// From now on the server keeps what it says, as a server does that is no test's: what it has is written to the disk, and every commit waits for the disk.
pub fn sync() {
    let server = SERVER.get().and_then(Option::as_ref);
    let server = server.expect("a database was asked for");
    for statement in [
        "ALTER SYSTEM SET fsync = on",
        "SELECT pg_reload_conf()",
        "CHECKPOINT",
    ] {
        server.tell(statement);
    }
}

/// What a failover looks like to whoever uses the database with this address: all connections end, and new ones meet a server that takes no writes,
/// or takes them again.
pub fn fail_over(address: &str, takes_writes: bool) {
    let server = SERVER.get().and_then(Option::as_ref);
    let server = server.expect("the address is of a database of ours");
    let (_, rest) = address.split_once("@localhost/").unwrap_or_default();
    let (name, _) = rest.split_once('?').unwrap_or_default();
    let refused = if takes_writes { "off" } else { "on" };
    for statement in [
        format!("ALTER DATABASE {name} SET default_transaction_read_only = {refused}"),
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"),
    ] {
        server.tell(&statement);
    }
}

impl Server {
    /// Has a statement run, by a database that no test is concerned with.
    fn tell(&self, statement: &str) {
        let done = Command::new(self.programs.join("psql"))
            .args(["--host", &self.folder, "--username", USER])
            .args(["--dbname", "postgres", "--command", statement])
            .output();
        let done = done.expect("psql lies beside initdb");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "psql: {said}");
    }

    /// Makes a database, and says its address.
    fn create(&self, options: &[&str]) -> String {
        let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let made = Command::new(self.programs.join("createdb"))
            .args(["--host", &self.folder, "--username", USER])
            .args(options)
            .arg(&name)
            .output();
        let made = made.expect("createdb lies beside initdb");
        assert!(
            made.status.success(),
            "createdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        format!("postgres://{USER}@localhost/{name}?host={}", self.folder)
    }

    fn start() -> anyhow::Result<Self> {
        let programs = programs()?;
        let mut shell = if is_root()? {
            // PostgreSQL refuses to run as root.
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        let mut shell = shell
            .args(["-c", SERVE, "sh"])
            .arg(&programs)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("a shell does not start")?;
        let input = shell.stdin.take().context("no input")?;
        let output = shell.stdout.take().context("no output")?;
        let mut folder = String::new();
        BufReader::new(output).read_line(&mut folder)?;
        ensure!(!folder.is_empty(), "the server did not start: see above");
        Ok(Self {
            programs,
            folder: folder.trim().to_owned(),
            _shell: shell,
            _input: input,
        })
    }
}

/// The folder with the newest version's programs.
fn programs() -> anyhow::Result<PathBuf> {
    let mut versions = Vec::new();
    for entry in std::fs::read_dir(DEBIAN).context(DEBIAN)? {
        let entry = entry?;
        let version: Option<u32> = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let programs = entry.path().join("bin");
        if let Some(version) = version
            && programs.join("initdb").exists()
        {
            versions.push((version, programs));
        }
    }
    match versions.into_iter().max() {
        Some((_, programs)) => Ok(programs),
        None => bail!("no version in {DEBIAN} has initdb"),
    }
}

fn is_root() -> anyhow::Result<bool> {
    let user = Command::new("id").arg("-u").output()?;
    Ok(user.stdout.trim_ascii() == b"0")
}
