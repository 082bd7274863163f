//! The command line of `keepwell repository`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use jiff::tz::TimeZone;
use model::{Age, Retention};

use super::EXIT_CODES;

const BEGUN: &str = "\
An account has \"no backup yet\" while its first backup has not begun to store: its folder is there, without a
`config` and with nothing in `data`, `index` and `snapshots`. A folder that is gone counts as damage.";

const KEPT: &str = "\
A restore point stays when any of the rules keeps it; they mean what they mean to restic's `forget`. A
partial one stands for its hour, day and so on only if there is no complete one. The newest restore point,
and the newest complete one, always stay. What is forgotten takes its place on the disk until `keepwell
repository prune`.";

const PRUNED: &str = "\
What no restore point needs any more is recorded by one run and deleted by a later one, at least a day
after, so that nothing is lost to a backup that was already under way. It may run beside backups. Small
packs and index files are put together.";

const REPAIRED: &str = "\
The index is made anew from what is on the disk, what is sound in damaged packs is saved, and snapshots
that nobody can read are set aside. Messages whose bytes are lost are noted, and the next backup fetches
them again: the same bytes make older restore points whole, too. What stays lost is named. Exit status 3
means that something does.";

#[derive(Debug, Subcommand)]
pub(crate) enum Repository {
    /// Name the accounts and where their repositories lie
    #[command(after_help = format!("{BEGUN}\n\n{EXIT_CODES}"))]
    List {
        #[command(flatten)]
        data: Data,
        /// Print a JSON list with `account`, `id`, `path` and `begun` (false: no backup yet) of each
        #[arg(long)]
        json: bool,
    },
    /// Print the password for stock restic, and nothing else
    #[command(after_help = EXIT_CODES)]
    Password {
        /// Its address, the part of it before the @, or its id
        account: String,
        #[command(flatten)]
        data: Data,
    },
    /// Read every byte of a repository, or of all, and say whether it is sound
    #[command(after_help = format!("{BEGUN}\n\n{EXIT_CODES}"))]
    Verify(Which),
    /// Mend what can be mended of a repository, or of all
    #[command(after_help = format!("{REPAIRED}\n\n{EXIT_CODES}"))]
    Repair(Repair),
    /// Forget the restore points that a policy does not keep
    #[command(
        after_help = format!("{KEPT}\n\n{EXIT_CODES}"),
        override_usage = "keepwell repository forget [OPTIONS] --data <DIR> --keep-…  [ACCOUNT]"
    )]
    Forget(Box<Forget>),
    /// Delete what no restore point needs any more
    #[command(after_help = format!("{PRUNED}\n\n{EXIT_CODES}"))]
    Prune(Prune),
}

#[derive(Args, Debug)]
pub(crate) struct Data {
    /// The data folder
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
}

/// Which repositories, and how they are told of.
#[derive(Args, Debug)]
pub(crate) struct Which {
    /// Its address, the part of it before the @, or its id; all accounts when left out
    pub(crate) account: Option<String>,
    #[command(flatten)]
    pub(crate) data: Data,
    /// Print a JSON list with `account`, `id`, `state` and what belongs to it
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Repair {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Only say what is damaged and what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Prune {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("policy").required(true).multiple(true))]
pub(crate) struct Forget {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Keep the last N restore points
    #[arg(
        long,
        value_name = "N",
        group = "policy",
        default_value_t = 0,
        hide_default_value = true
    )]
    keep_last: u32,
    /// Keep the last one of each of the last N hours that have one
    #[arg(
        long,
        value_name = "N",
        group = "policy",
        default_value_t = 0,
        hide_default_value = true
    )]
    keep_hourly: u32,
    /// The same of days
    #[arg(
        long,
        value_name = "N",
        group = "policy",
        default_value_t = 0,
        hide_default_value = true
    )]
    keep_daily: u32,
    /// The same of weeks
    #[arg(
        long,
        value_name = "N",
        group = "policy",
        default_value_t = 0,
        hide_default_value = true
    )]
    keep_weekly: u32,
    /// The same of months
    #[arg(
        long,
        value_name = "N",
        group = "policy",
        default_value_t = 0,
        hide_default_value = true
    )]
    keep_monthly: u32,
    /// The same of years
    #[arg(
        long,
        value_name = "N",
        group = "policy",
        default_value_t = 0,
        hide_default_value = true
    )]
    keep_yearly: u32,
    /// Keep all that are at most so much older than the newest, for instance 30d or 1y6m
    #[arg(long, value_name = "AGE", group = "policy")]
    keep_within: Option<Age>,
    /// Whose hours and days are meant, for instance Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = time_zone)]
    pub(crate) time_zone: TimeZone,
    /// Only say what would be forgotten
    #[arg(long)]
    pub(crate) dry_run: bool,
}

impl Forget {
    pub(crate) fn policy(&self) -> Retention {
        Retention {
            last: self.keep_last,
            hourly: self.keep_hourly,
            daily: self.keep_daily,
            weekly: self.keep_weekly,
            monthly: self.keep_monthly,
            yearly: self.keep_yearly,
            within: self.keep_within,
        }
    }
}

fn time_zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| "there is no such time zone here".to_owned())
}
