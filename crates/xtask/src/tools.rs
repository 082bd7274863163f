//! Finds or installs the programs that the tests run.
//!
//! On Debian, as root, what is missing is installed from the archive that apt already uses. Elsewhere it is said what is missing; only continuous
//! integration fails for it. Nothing is downloaded but by apt, which checks signatures, by cargo, which checks hashes, and by pip, in versions that are kept here.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};

use crate::surroundings::{self, output, variable, workspace};

/// Names another newest restic; the tests read the same variable.
const NEWEST_RESTIC_VARIABLE: &str = "KEEPWELL_RESTIC_NEWEST";

/// What is fetched or built once, below the workspace.
const TOOLS: &str = "target/tools";

/// Where the newest restic is unpacked below the workspace; the tests look for it there.
const NEWEST_RESTIC: &str = "target/tools/restic-newest";

/// What is tried on the interface to programs, and what it needs of PyPI.
pub(crate) const API: &str = "crates/xtask/api";

/// What others' clients do with the emulator, and what they are on PyPI.
pub(crate) const CLIENTS: &str = "crates/xtask/clients";

/// Where Debian keeps PostgreSQL's programs, a folder for each version; the tests look for them there.
const POSTGRESQL: &str = "/usr/lib/postgresql";

/// The keyring of Debian's archive, for sources that do not name one.
const DEBIAN_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Sees to it that every program is there, and says which versions. An error only in continuous integration.
pub(crate) fn run() -> anyhow::Result<()> {
    let found = [
        version("cargo", &["fmt", "--version"])
            .context("install rustfmt: rustup component add rustfmt"),
        version("cargo", &["clippy", "--version"])
            .context("install clippy: rustup component add clippy"),
        installed("make", &["--version"]).context("the allocator is built by it"),
        installed("restic", &["version"]),
        installed("strace", &["--version"]),
        postgresql(),
        installed("g++", &["--version"]).context("libFuzzer is built by it"),
        cargo_fuzz().and_then(|mut program| output(program.arg("--version"))),
        newest_restic(),
        packaged("node", "nodejs").context("it drives the browser that walks through the console"),
        packaged("npm", "npm").context("it fetches what drives the browser"),
        packaged("chromium", "chromium")
            .context("it is the browser that walks through the console"),
        python(API)
            .and_then(|python| version(python.with_file_name("schemathesis"), &["--version"])),
        python(CLIENTS).and_then(|python| {
            let sdk =
                "import importlib.metadata as m; print('msgraph-sdk', m.version('msgraph-sdk'))";
            version(python, &["-c", sdk])
        }),
    ];
    let mut missing = 0;
    for tool in found {
        match tool {
            Ok(line) => println!("{line}"),
            Err(error) => {
                missing += 1;
                println!("missing: {error:#}");
            }
        }
    }
    if missing > 0 && surroundings::is_ci() {
        bail!("{missing} of the tools are missing, and under CI=true none may be");
    }
    Ok(())
}

/// The first line that a program prints about itself.
fn version(program: impl AsRef<Path>, arguments: &[&str]) -> anyhow::Result<String> {
    let text = output(Command::new(program.as_ref()).args(arguments))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// A program of Debian's stable release, or whatever is called so on this machine's PATH; its package has the same name.
fn installed(program: &str, version_of: &[&str]) -> anyhow::Result<String> {
    version(program, version_of).or_else(|_| {
        install(program)?;
        version(program, version_of)
    })
}

/// The same for a program whose package has another name, or that tells its version as most do.
fn packaged(program: &str, package: &str) -> anyhow::Result<String> {
    let version = || version(program, &["--version"]).map(|line| format!("{package} {line}"));
    version().or_else(|_| {
        install(package)?;
        version()
    })
}

fn install(package: &str) -> anyhow::Result<()> {
    if !is_debian() || output(Command::new("id").arg("-u"))? != "0" {
        bail!("install {package}; only on Debian, as root, this is done for you");
    }
    surroundings::run(Command::new("apt-get").args(["-qq", "update"]))?;
    let install = [
        "-qq",
        "--yes",
        "--no-install-recommends",
        "install",
        package,
    ];
    surroundings::run(
        Command::new("apt-get")
            .args(install)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

/// PostgreSQL's server, whose programs Debian keeps off the PATH.
fn postgresql() -> anyhow::Result<String> {
    postgresql_server().or_else(|_| {
        install("postgresql")?;
        postgresql_server()
    })
}

fn postgresql_server() -> anyhow::Result<String> {
    for folder in fs::read_dir(POSTGRESQL).context(POSTGRESQL)? {
        let server = folder?.path().join("bin/postgres");
        if server.exists() {
            return version(server, &["--version"]);
        }
    }
    bail!("{POSTGRESQL} has no server")
}

/// cargo-fuzz, as a command that takes its subcommand: this machine's, or one that is built once and kept below `target`.
pub(crate) fn cargo_fuzz() -> anyhow::Result<Command> {
    let mut ours = Command::new(workspace().join(TOOLS).join("bin/cargo-fuzz"));
    ours.arg("fuzz");
    if Path::new(ours.get_program()).exists() {
        return Ok(ours);
    }
    if version("cargo", &["fuzz", "--version"]).is_ok() {
        let mut theirs = Command::new("cargo");
        theirs.arg("fuzz");
        return Ok(theirs);
    }
    let install = ["install", "--quiet", "--locked", "cargo-fuzz", "--root"];
    surroundings::run(Command::new("cargo").args(install).arg(TOOLS))?;
    Ok(ours)
}

/// The Python in which what the scripts of a folder need is installed, in the versions that are kept there; installed once, and again when these change.
pub(crate) fn python(scripts: &str) -> anyhow::Result<PathBuf> {
    let scripts = workspace().join(scripts);
    let name = scripts.file_name().context("a folder has a name")?;
    let folder = workspace().join(TOOLS).join("python").join(name);
    let python = folder.join("bin/python");
    let wanted = fs::read_to_string(scripts.join("requirements.txt"))?;
    let installed = folder.join("requirements.txt");
    if fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(python);
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&folder);
    if output(&mut make).is_err() {
        install("python3-venv")?;
        output(&mut make)?;
    }
    let requirements = folder.join("requirements.new");
    fs::write(&requirements, wanted)?;
    let install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
    ];
    surroundings::run(Command::new(&python).args(install).arg(&requirements))
        .with_context(|| format!("pip could not install what {} needs", scripts.display()))?;
    // What was interrupted begins anew.
    fs::rename(&requirements, &installed)?;
    Ok(python)
}

/// The newest restic, unpacked from Debian unstable beside the installed one. It is kept below `target` and fetched once.
fn newest_restic() -> anyhow::Result<String> {
    if let Some(program) = variable(NEWEST_RESTIC_VARIABLE) {
        return version(program, &["version"]);
    }
    let folder = workspace().join(NEWEST_RESTIC);
    let program = folder.join("root/usr/bin/restic");
    if !program.exists() {
        if !is_debian() {
            bail!(
                "name a restic of 0.19 or later with {NEWEST_RESTIC_VARIABLE}; only on Debian one is fetched for you"
            );
        }
        unpack_from_unstable("restic", &folder)?;
    }
    version(program, &["version"])
}

fn is_debian() -> bool {
    Path::new("/etc/debian_version").exists() && Path::new("/usr/bin/apt-get").exists()
}

/// Downloads a package of Debian unstable by an apt whose whole state is in `folder`, and unpacks it into `folder/root`.
fn unpack_from_unstable(package: &str, folder: &Path) -> anyhow::Result<()> {
    for name in ["lists/partial", "cache/archives/partial", "root"] {
        fs::create_dir_all(folder.join(name))?;
    }
    let Archive { mirror, keyring } = Archive::of_this_machine()?;
    let sources = folder.join("sources.list");
    fs::write(
        &sources,
        format!("deb [signed-by={keyring}] {mirror} sid main\n"),
    )?;
    let settings = [
        format!("Dir::Etc::sourcelist={}", sources.display()),
        "Dir::Etc::sourceparts=-".to_owned(),
        format!("Dir::State::lists={}", folder.join("lists").display()),
        format!("Dir::Cache={}", folder.join("cache").display()),
        format!(
            "APT::Sandbox::User={}",
            output(Command::new("id").arg("-un"))?
        ),
    ];
    // `download` writes into the current folder.
    let apt_get = |arguments: &[&str]| {
        let options = settings.iter().flat_map(|setting| ["-o", setting]);
        let mut command = Command::new("apt-get");
        command.current_dir(folder).arg("-qq").args(options);
        output(command.args(arguments))
    };
    apt_get(&["update"])?;
    apt_get(&["download", package])?;
    let archive = downloaded(package, folder)?;
    output(
        Command::new("dpkg-deb")
            .arg("-x")
            .arg(archive)
            .arg(folder.join("root")),
    )?;
    Ok(())
}

fn downloaded(package: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&format!("{package}_")) && name.ends_with(".deb") {
            return Ok(entry.path());
        }
    }
    bail!(
        "apt ended well but left no package {package} in {}",
        folder.display()
    )
}

/// Where this machine's apt gets Debian from.
#[derive(Debug, Eq, PartialEq)]
struct Archive {
    mirror: String,
    keyring: String,
}

impl Archive {
    /// Reads apt's sources, of which the first archive counts.
    fn of_this_machine() -> anyhow::Result<Self> {
        let mut files = vec![PathBuf::from("/etc/apt/sources.list.d/debian.sources")];
        if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
            files.extend(entries.flatten().map(|entry| entry.path()));
        }
        files.push(PathBuf::from("/etc/apt/sources.list"));
        files
            .iter()
            .filter_map(|file| Self::parse(&fs::read_to_string(file).ok()?))
            .next()
            .context("apt's sources name no archive of Debian")
    }

    /// Understands both forms: stanzas with `URIs:` and `Signed-By:`, and lines that begin with `deb`.
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.split_whitespace().next())
        };
        let of_line = || {
            let line = text.lines().find(|line| line.starts_with("deb "))?;
            line.split_whitespace().find(|word| word.contains("://"))
        };
        let keyring = field("Signed-By:").filter(|path| path.starts_with('/'));
        Some(Self {
            mirror: field("URIs:").or_else(of_line)?.to_owned(),
            keyring: keyring.unwrap_or(DEBIAN_KEYRING).to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, &str)>) {
        let found = Archive::parse(text);
        let found = found
            .as_ref()
            .map(|archive| (archive.mirror.as_str(), archive.keyring.as_str()));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn the_archive_is_found_in_both_forms_of_sources() {
        check(
            "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nSigned-By: /usr/share/keyrings/x.gpg\n",
            Some(("http://mirror.example/debian", "/usr/share/keyrings/x.gpg")),
        );
        check(
            "# a comment\ndeb [arch=amd64] https://mirror.example/debian bookworm main\n",
            Some(("https://mirror.example/debian", DEBIAN_KEYRING)),
        );
        check("# nothing\n", None);
    }
}
