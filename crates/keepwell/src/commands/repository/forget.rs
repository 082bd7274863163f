//! `keepwell repository forget`.

use engine::maintain::{self, Outcome};
use model::Reason;
use serde::Serialize;

use super::round::{self, Told};
use crate::{cli::Forget, exit::Verdict, out::count};

/// What became of a repository's restore points.
#[derive(Serialize)]
struct Forgotten {
    dry_run: bool,
    kept: Vec<Point>,
    forgotten: Vec<Point>,
    /// Those that should have been forgotten, and whose deletion the storage denied.
    denied: Vec<String>,
}

/// A restore point.
#[derive(Serialize)]
struct Point {
    id: String,
    time: String,
    partial: bool,
    /// Why it stays.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<&'static str>,
}

pub(super) async fn run(options: &Forget) -> anyhow::Result<Verdict> {
    let policy = options.policy();
    round::run(&options.which, async |local, account, _| {
        let zone = &options.time_zone;
        let outcome = maintain::forget(local, account, &policy, zone, options.dry_run).await?;
        Ok(Forgotten::of(&outcome, options.dry_run))
    })
    .await
}

impl Forgotten {
    fn of(outcome: &Outcome, dry_run: bool) -> Self {
        let points = outcome.points.iter().map(|point| Point {
            id: point.id.to_string(),
            time: point.time.to_string(),
            partial: point.partial,
            reasons: point.reasons.iter().copied().map(Reason::text).collect(),
        });
        let (forgotten, kept) = points.partition(|point: &Point| point.reasons.is_empty());
        let denied = outcome.forgotten.denied.iter();
        Self {
            dry_run,
            kept,
            forgotten,
            denied: denied.map(ToString::to_string).collect(),
        }
    }
}

impl Told for Forgotten {
    fn state(&self) -> &'static str {
        if self.dry_run { "would be" } else { "done" }
    }

    fn headline(&self) -> String {
        let mut line = format!(
            "{} forgotten, {} kept",
            count(
                self.forgotten.len() as u64,
                "restore point",
                "restore points"
            ),
            self.kept.len()
        );
        if !self.denied.is_empty() {
            line.push_str(&format!(
                "; the storage denied the deletion of {}",
                self.denied.len()
            ));
        }
        line
    }

    fn details(&self) -> Vec<String> {
        let describe = |point: &Point, what: String| {
            let partial = if point.partial { "\tpartial" } else { "" };
            format!("{}\t{}\t{what}{partial}", &point.id[..8], point.time)
        };
        let forgotten = self.forgotten.iter().map(|point| {
            let what = match self.denied.contains(&point.id) {
                true => "denied",
                false if self.dry_run => "would be forgotten",
                false => "forgotten",
            };
            describe(point, what.to_owned())
        });
        let kept = self
            .kept
            .iter()
            .map(|point| describe(point, format!("kept: {}", point.reasons.join(", "))));
        forgotten.chain(kept).collect()
    }

    fn is_good(&self) -> bool {
        true
    }
}
