//! What was measured, as tables for people, and the aims beside it.

use std::fmt::Write as _;

use anyhow::bail;

/// All that was measured in a run.
#[derive(Default)]
pub(crate) struct Report {
    sections: Vec<Section>,
    aims: Vec<Aim>,
}

struct Section {
    title: String,
    text: String,
    table: Vec<Vec<String>>,
}

/// A figure and what it should be.
struct Aim {
    what: String,
    figure: String,
    wanted: String,
    met: bool,
    /// Whether it depends on how fast the machine is and what else it does: then it is shown, but no error.
    timed: bool,
}

/// Which side of its bound a figure should be on.
#[derive(Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Report {
    /// Adds a table, its first row the heading, and prints it.
    pub(crate) fn section(&mut self, title: &str, text: &str, table: Vec<Vec<String>>) {
        let section = Section {
            title: title.to_owned(),
            text: text.to_owned(),
            table,
        };
        println!("\n{}", section.markdown());
        self.sections.push(section);
    }

    /// Notes what a figure that depends on the machine's speed should be.
    pub(crate) fn speed(&mut self, what: &str, figure: f64, unit: &str, bound: Bound) {
        self.aim(what, figure, unit, bound, true);
    }

    /// Notes what a figure that is the same on every machine should be.
    pub(crate) fn limit(&mut self, what: &str, figure: f64, unit: &str, bound: Bound) {
        self.aim(what, figure, unit, bound, false);
    }

    fn aim(&mut self, what: &str, figure: f64, unit: &str, bound: Bound, timed: bool) {
        let (met, wanted) = match bound {
            Bound::AtLeast(least) => (figure >= least, format!("at least {least} {unit}")),
            Bound::AtMost(most) => (figure <= most, format!("at most {most} {unit}")),
        };
        let figure = format!("{} {unit}", short(figure));
        let verdict = if met { "met" } else { "NOT MET" };
        println!("{verdict}: {what}: {figure} ({wanted})");
        self.aims.push(Aim {
            what: what.to_owned(),
            figure,
            wanted,
            met,
            timed,
        });
    }

    /// The aims, then the tables.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from("| aim | wanted | measured | |\n|---|---|---|---|\n");
        for Aim {
            what,
            wanted,
            figure,
            met,
            ..
        } in &self.aims
        {
            let verdict = if *met { "met" } else { "**not met**" };
            let _ = writeln!(text, "| {what} | {wanted} | {figure} | {verdict} |");
        }
        for section in &self.sections {
            let _ = write!(text, "\n{}", section.markdown());
        }
        text
    }

    /// Errors when a limit that holds on every machine was not kept.
    pub(crate) fn verdict(&self) -> anyhow::Result<()> {
        let broken: Vec<_> = self
            .aims
            .iter()
            .filter(|aim| !aim.met && !aim.timed)
            .map(|aim| format!("{}: {}, {} wanted", aim.what, aim.figure, aim.wanted))
            .collect();
        if !broken.is_empty() {
            bail!("{}", broken.join("; "));
        }
        Ok(())
    }
}

impl Section {
    fn markdown(&self) -> String {
        let mut text = format!("## {}\n\n{}\n\n", self.title, self.text);
        for (number, row) in self.table.iter().enumerate() {
            let _ = writeln!(text, "| {} |", row.join(" | "));
            if number == 0 {
                let _ = writeln!(text, "|{}", "---|".repeat(row.len()));
            }
        }
        text
    }
}

/// The middle one of the figures.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}

/// A figure with three digits that count.
pub(crate) fn short(figure: f64) -> String {
    let digits = match figure.abs() {
        large if large >= 100.0 => 0,
        medium if medium >= 10.0 => 1,
        small if small >= 1.0 => 2,
        _ => 3,
    };
    format!("{figure:.digits$}")
}

/// Bytes as megabytes.
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// A row of a table.
pub(crate) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}
