//! What was measured, beside what was wanted, for the terminal and for docs/bench.md.

use std::{fmt::Write, fs, path::Path};

use anyhow::{Context, bail};
use model::{Clock, SystemClock};

use crate::fill::Size;

/// Between these lines of docs/bench.md is what was measured.
const BEGIN: &str = "<!-- cargo xtask bench-console --write: from here -->";
const END: &str = "<!-- cargo xtask bench-console: to here -->";

#[derive(Default)]
pub(crate) struct Report {
    aims: Vec<Aim>,
    pages: Vec<PageFigures>,
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
        println!("{}", aim.row());
        self.aims.push(aim);
    }

    pub(crate) fn page(&mut self, page: PageFigures) {
        println!("{}", page.row());
        self.pages.push(page);
    }

    /// The slowest of the pages in the time that 95 of 100 requests keep within.
    pub(crate) fn slowest(&self) -> f64 {
        self.pages
            .iter()
            .map(|page| page.p95_ms)
            .fold(0.0, f64::max)
    }

    /// Errors when a limit that holds on every machine was not kept.
    pub(crate) fn verdict(&self) -> anyhow::Result<()> {
        let broken = self.aims.iter().filter(|aim| !aim.timed && !aim.is_met());
        let broken: Vec<_> = broken.map(Aim::row).collect();
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
            "Measured on {}, on the machine that is named above, with {} accounts in a task, {} days of history and {} messages in an account's restore point; {requests} requests for each page.\n\n\
            | aim | wanted | measured | |\n|---|---|---|---|\n",
            SystemClock::new().now().strftime("%-d %B %Y"),
            size.accounts,
            size.days,
            size.messages,
        );
        for aim in &self.aims {
            let _ = writeln!(measured, "{}", aim.row());
        }
        measured.push_str(
            "\n| page | 50 of 100 within, ms | 95 of 100 within, ms | kB |\n|---|---|---|---|\n",
        );
        for page in &self.pages {
            let _ = writeln!(measured, "{}", page.row());
        }
        fs::write(path, format!("{before}{BEGIN}\n\n{measured}\n{END}{after}"))?;
        Ok(())
    }
}

impl Aim {
    fn is_met(&self) -> bool {
        self.figure <= self.most
    }

    fn row(&self) -> String {
        let Self {
            what,
            figure,
            unit,
            most,
            ..
        } = self;
        let met = if self.is_met() { "met" } else { "**not met**" };
        format!("| {what} | at most {most} {unit} | {figure:.1} {unit} | {met} |")
    }
}

impl PageFigures {
    fn row(&self) -> String {
        let Self {
            name,
            p50_ms,
            p95_ms,
            bytes,
        } = self;
        let kilobytes = *bytes as f64 / 1e3;
        format!("| {name} | {p50_ms:.1} | {p95_ms:.1} | {kilobytes:.1} |")
    }
}
