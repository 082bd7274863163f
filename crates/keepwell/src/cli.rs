//! The command line, as people type it and as `--help` explains it.

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use clap::{Args, Parser, Subcommand};

mod repository;

pub(crate) use repository::{Forget, Prune, Repair, Repository, Which};

const EXIT_CODES: &str = "\
Exit codes:
  0  it was done, and what was compared is equal
  1  it could not be done; one line on standard error says why
  2  the command line is wrong
  3  it was done, and something is damaged, missing or different";

/// The backup of Microsoft 365 that an organisation owns.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, propagate_version = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the console on an emulated tenant; with --once, run through it and compare its mail
    #[command(after_help = EXIT_CODES)]
    Demo(Demo),
    /// Run only the emulated Microsoft 365 tenant, for your own clients
    #[command(after_help = EXIT_CODES)]
    Emulator(Emulator),
    /// Serve the console, back up and schedule, until stopped
    #[command(after_help = EXIT_CODES)]
    Serve(Configured),
    /// Only back up and restore, beside a `serve` with the same database
    #[command(after_help = EXIT_CODES)]
    Worker(Configured),
    /// Make the database say again what the data folder holds, by an emergency kit
    #[command(after_help = EXIT_CODES)]
    Recover(Recover),
    /// Make the server's key, which seals all others
    #[command(subcommand, after_help = EXIT_CODES)]
    Key(Key),
    /// Look after the repositories in a data folder
    #[command(subcommand, after_help = EXIT_CODES)]
    Repository(Repository),
}

#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// Run through once without a console, and exit
    #[arg(long, requires = "data")]
    pub(crate) once: bool,
    /// Where the backups go: an empty or new folder; by default a temporary one
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Where the console listens; port 0 takes a free one
    #[arg(
        long,
        value_name = "IP:PORT",
        default_value = "127.0.0.1:8443",
        conflicts_with = "once"
    )]
    pub(crate) listen: SocketAddr,
    /// Make no backup task: that is left to whoever tries the console
    #[arg(long, conflicts_with = "once")]
    pub(crate) no_task: bool,
    #[command(flatten)]
    pub(crate) world: World,
    /// Apply Microsoft's documented throttling; with --once on a simulated clock
    #[arg(long)]
    pub(crate) throttle: bool,
    /// Print the result, or how to sign in, as JSON; the story goes to standard error
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Emulator {
    #[command(flatten)]
    pub(crate) world: World,
    /// Listen here for plain HTTP; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:0")]
    pub(crate) http: SocketAddr,
    /// Listen here for HTTPS too
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) https: Option<SocketAddr>,
    /// Be a proxy here, behind which Microsoft's hosts are this tenant
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) proxy: Option<SocketAddr>,
    /// Write here what to trust for these two; it is new at each start
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_out: Option<PathBuf>,
    /// Grant this application permission too; can be given repeatedly
    #[arg(long, value_name = "NAME")]
    pub(crate) permission: Vec<String>,
    /// Let people who sign in come back to it; can be given repeatedly
    #[arg(long, value_name = "URL")]
    pub(crate) redirect_uri: Vec<String>,
    /// Apply Microsoft's documented throttling
    #[arg(long)]
    pub(crate) throttle: bool,
    /// Break by the rules in this file, see docs/emulator.md
    #[arg(long, value_name = "FILE")]
    pub(crate) faults: Option<PathBuf>,
    /// Serve the admin endpoint: whoever reaches it can add and remove faults
    #[arg(long)]
    pub(crate) admin: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Configured {
    /// The configuration; docs/keepwell.toml is one with comments
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct Recover {
    /// The organization's emergency kit, as the console gave it
    #[arg(long, value_name = "FILE")]
    pub(crate) kit: PathBuf,
    /// The configuration, which names the database and the server's key
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The data folder, where it is not the one of the configuration
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The mail address of the first administrator, where the database is lost
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) administrator: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Make a key in a new file, and print its id
    Create {
        /// Where; outside the data folder
        file: PathBuf,
    },
    /// Print the id of a key
    ShowId {
        /// The key's file
        file: PathBuf,
    },
}

/// The people and the mail of an emulated tenant.
#[derive(Args, Clone, Debug)]
pub(crate) struct World {
    /// How many people to make up, each with a mailbox
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub(crate) users: u32,
    /// Where chance begins: the same number gives the same company
    #[arg(long, value_name = "S", default_value_t = 7)]
    pub(crate) seed: u64,
    /// Fill the mailbox of USER (alias or address) with the files under DIR; repeatable
    #[arg(long, value_name = "USER=DIR")]
    pub(crate) mail: Vec<Mail>,
}

/// `USER=DIR`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Mail {
    pub(crate) user: String,
    pub(crate) directory: PathBuf,
}

impl FromStr for Mail {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((user, directory)) if is_user(user) && !directory.is_empty() => Ok(Self {
                user: user.to_owned(),
                directory: PathBuf::from(directory),
            }),
            _ => Err("write it as USER=DIR, for instance anna=./mail".to_owned()),
        }
    }
}

/// Whether it is an alias or an address.
fn is_user(user: &str) -> bool {
    let is_bad = |c: char| c.is_whitespace() || c.is_control();
    let parts: Vec<&str> = user.split('@').collect();
    parts.len() <= 2 && parts.iter().all(|part| !part.is_empty()) && !user.contains(is_bad)
}

pub(crate) fn parse() -> Cli {
    Cli::parse()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_users_mail_is_named_with_its_folder() {
        let mail: Mail = "anna@contoso.com=/a=b".parse().expect("it has both parts");
        assert_eq!(
            (mail.user.as_str(), mail.directory),
            ("anna@contoso.com", PathBuf::from("/a=b"))
        );
        for wrong in [
            "anna",
            "=dir",
            "anna=",
            "@=dir",
            "anna@=dir",
            "a@b@c=dir",
            "an na=dir",
        ] {
            assert!(wrong.parse::<Mail>().is_err(), "{wrong:?}");
        }
    }
}
