//! What was measured, beside what was wanted, for the terminal and for docs/bench.md.

use std::{fmt::Write, fs, path::Path};

use anyhow::{Context, bail};
use model::{Clock, SystemClock};

use crate::{busy::Amount, fill::Size};

/// Between these lines of docs/bench.md is what was measured.
const BEGIN: &str = "<!-- cargo xtask bench-console --write: from here -->";
const END: &str = "<!-- cargo xtask bench-console: to here -->";

/// The same figures for each database.
#[derive(Default)]
pub(crate) struct Report(Vec<Part>);

struct Part {
    database: &'static str,
    aims: Vec<Aim>,
    pages: Vec<PageFigures>,
    beside: Option<Amount>,
}

struct Aim {
    what: String,
    figure: f64,
    unit: &'static str,
    most: f64,
    timed: bool,
}

/// What a page took.
pub(crate) struct PageFigures {
    pub(crate) name: String,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    /// Over the wire.
    pub(crate) bytes: usize,
}

impl Report {
    /// What follows is with this database.
    pub(crate) fn begin(&mut self, database: &'static str) {
        println!("{database}");
        self.0.push(Part {
            database,
            aims: Vec::new(),
            pages: Vec::new(),
            beside: None,
        });
    }

    fn part(&mut self) -> &mut Part {
        let last = self.0.last_mut();
        last.expect("it was begun")
    }

    /// Notes what a figure that depends on the machine's speed should be at most.
    pub(crate) fn speed(&mut self, what: &str, figure: f64, unit: &'static str, most: f64) {
        self.aim(what, figure, unit, most, true);
    }

    /// Notes what a figure that is the same on every machine should be at most.
    pub(crate) fn limit(&mut self, what: &str, figure: f64, unit: &'static str, most: f64) {
        self.aim(what, figure, unit, most, false);
    }

    fn aim(&mut self, what: &str, figure: f64, unit: &'static str, most: f64, timed: bool) {
        let aim = Aim {
            what: what.to_owned(),
            figure,
            unit,
            most,
            timed,
        };
        println!("{what}: {}, at most {most} {unit}", aim.figure());
        self.part().aims.push(aim);
    }

    pub(crate) fn page(&mut self, page: PageFigures) {
        let PageFigures {
            name,
            p50_ms,
            p95_ms,
            bytes,
        } = &page;
        println!("{name}: {p50_ms:.1} ms, {p95_ms:.1} ms, {bytes} bytes");
        self.part().pages.push(page);
    }

    /// What was backed up while pages were asked for.
    pub(crate) fn beside(&mut self, amount: Amount) {
        println!("{} messages in {:.0} s", amount.messages, amount.seconds);
        self.part().beside = Some(amount);
    }

    /// The slowest of the pages in the time that 95 of 100 requests keep within.
    pub(crate) fn slowest(&mut self) -> f64 {
        let pages = self.part().pages.iter();
        pages.map(|page| page.p95_ms).fold(0.0, f64::max)
    }

    /// Errors when a limit that holds on every machine was not kept.
    pub(crate) fn verdict(&self) -> anyhow::Result<()> {
        let mut broken = Vec::new();
        for part in &self.0 {
            let aims = part.aims.iter().filter(|aim| !aim.timed && !aim.is_met());
            broken.extend(
                aims.map(|aim| format!("{}: {}: {}", part.database, aim.what, aim.figure())),
            );
        }
        if !broken.is_empty() {
            bail!("{}", broken.join("; "));
        }
        Ok(())
    }

    /// Puts what was measured into the documentation.
    pub(crate) fn write(&self, path: &Path, size: Size, requests: usize) -> anyhow::Result<()> {
        let text = fs::read_to_string(path)?;
        let (before, rest) = text.split_once(BEGIN).context("no place for it")?;
        let (_, after) = rest.split_once(END).context("no place for it")?;
        let mut measured = format!(
            "Measured on {}, on the machine that is named above, with {} accounts in a task, {} days of history and {} messages in an account's restore point; {requests} requests for each page.",
            SystemClock::new().now().strftime("%-d %B %Y"),
            size.accounts,
            size.days,
            size.messages,
        );
        for part in &self.0 {
            if let Some(Amount { messages, seconds }) = &part.beside {
                let rate = *messages as f64 / seconds;
                let database = part.database;
                let _ = write!(
                    measured,
                    " With {database} {rate:.0} messages a second were backed up beside."
                );
            }
        }
        let names: Vec<_> = self.0.iter().map(|part| part.database).collect();
        let _ = writeln!(
            measured,
            "\n\n| aim | wanted | {} |\n|---|---|{}",
            names.join(" | "),
            "---|".repeat(names.len())
        );
        let first = self.0.first().context("a database")?;
        for (
            number,
            Aim {
                what, unit, most, ..
            },
        ) in first.aims.iter().enumerate()
        {
            let _ = write!(measured, "| {what} | at most {most} {unit} |");
            for aim in self.0.iter().filter_map(|part| part.aims.get(number)) {
                let not = if aim.is_met() { "" } else { ", **not met**" };
                let _ = write!(measured, " {}{not} |", aim.figure());
            }
            measured.push('\n');
        }
        let _ = write!(measured, "\n| page | kB |");
        for name in &names {
            let _ = write!(measured, " {name}: 50 of 100 within, ms | 95 of 100 |");
        }
        let _ = writeln!(measured, "\n|---|---|{}", "---|---|".repeat(names.len()));
        for (number, page) in first.pages.iter().enumerate() {
            let _ = write!(
                measured,
                "| {} | {:.1} |",
                page.name,
                page.bytes as f64 / 1e3
            );
            for page in self.0.iter().filter_map(|part| part.pages.get(number)) {
                let _ = write!(measured, " {:.1} | {:.1} |", page.p50_ms, page.p95_ms);
            }
            measured.push('\n');
        }
        fs::write(path, format!("{before}{BEGIN}\n\n{measured}\n{END}{after}"))?;
        Ok(())
    }
}

impl Aim {
    fn is_met(&self) -> bool {
        self.figure <= self.most
    }

    fn figure(&self) -> String {
        format!("{:.1} {}", self.figure, self.unit)
    }
}
