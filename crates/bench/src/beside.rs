//! Ours beside restic and beside the ceiling: full backups of the same files, by turns.

use std::path::Path;

use crate::{
    folder,
    ours::{self, Span},
    report::{Report, median, megabytes, row, short},
    scenario::Stage,
};

/// The medians of one program.
pub(crate) struct Side {
    pub(crate) opening: Span,
    /// Without opening.
    pub(crate) work: Span,
    pub(crate) peak_bytes: u64,
    pub(crate) repository_bytes: u64,
}

/// What was compared.
pub(crate) struct Comparison {
    pub(crate) ours: Side,
    pub(crate) restic: Side,
    /// The steps that cannot be left out, with nothing around them.
    steps: Side,
    pub(crate) items: u64,
    pub(crate) bytes: u64,
}

/// What one program took in one round.
struct Round {
    opening: Span,
    work: Span,
    peak_bytes: u64,
    repository_bytes: u64,
}

/// Backs up the folder with both programs in every round, each time into a new repository.
pub(crate) fn compare(stage: &Stage, source: &Path) -> anyhow::Result<Comparison> {
    let repository = stage.folder.join("repository");
    let (mut ours, mut restic, mut steps) = (Vec::new(), Vec::new(), Vec::new());
    let (mut items, mut bytes) = (0, 0);
    for number in 0..stage.rounds {
        folder::remove(&repository)?;
        ours::init(&repository)?;
        let (round, told) = our_round(&repository, source)?;
        (items, bytes) = (told.items, told.bytes);
        if number == 0 {
            stage.restic.check(&repository)?;
        }
        println!("  ours   {}", round.line());
        ours.push(round);

        folder::remove(&repository)?;
        stage.restic.init(&repository)?;
        let round = restic_round(stage, &repository, source)?;
        println!("  restic {}", round.line());
        restic.push(round);

        let round = steps_round(source)?;
        println!("  steps  {}", round.line());
        steps.push(round);
    }
    folder::remove(&repository)?;
    Ok(Comparison {
        ours: Side::medians(&ours),
        restic: Side::medians(&restic),
        steps: Side::medians(&steps),
        items,
        bytes,
    })
}

fn our_round(repository: &Path, source: &Path) -> anyhow::Result<(Round, ours::Told)> {
    let (measured, told) =
        ours::measure(&["store".as_ref(), repository.as_ref(), source.as_ref()])?;
    let round = Round {
        opening: told.opening,
        work: Span {
            // With the start and the end of the process, which are restic's too.
            wall_seconds: measured.wall_seconds - told.opening.wall_seconds,
            cpu_seconds: measured.cpu_seconds - told.opening.cpu_seconds,
        },
        peak_bytes: measured.peak_bytes,
        repository_bytes: folder::bytes(repository)?,
    };
    Ok((round, told))
}

fn restic_round(stage: &Stage, repository: &Path, source: &Path) -> anyhow::Result<Round> {
    // restic does not tell what opening took: what a command takes that only opens the repository is taken off.
    let opened = stage.restic.open(repository)?;
    let measured = stage.restic.back_up(repository, source)?;
    Ok(Round {
        opening: Span {
            wall_seconds: opened.wall_seconds,
            cpu_seconds: opened.cpu_seconds,
        },
        work: Span {
            wall_seconds: measured.wall_seconds - opened.wall_seconds,
            cpu_seconds: measured.cpu_seconds - opened.cpu_seconds,
        },
        peak_bytes: measured.peak_bytes,
        repository_bytes: folder::bytes(repository)?,
    })
}

fn steps_round(source: &Path) -> anyhow::Result<Round> {
    let (measured, _) = ours::measure(&["steps".as_ref(), source.as_ref()])?;
    Ok(Round {
        opening: Span::default(),
        work: Span {
            wall_seconds: measured.wall_seconds,
            cpu_seconds: measured.cpu_seconds,
        },
        peak_bytes: measured.peak_bytes,
        repository_bytes: 0,
    })
}

impl Round {
    fn line(&self) -> String {
        format!(
            "{:7.2} s, {:7.2} s CPU, {:5.0} MB, repository {:7.1} MB",
            self.work.wall_seconds,
            self.work.cpu_seconds,
            megabytes(self.peak_bytes),
            megabytes(self.repository_bytes)
        )
    }
}

impl Side {
    fn medians(rounds: &[Round]) -> Self {
        let of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure));
        Self {
            opening: Span {
                wall_seconds: of(|round| round.opening.wall_seconds),
                cpu_seconds: of(|round| round.opening.cpu_seconds),
            },
            work: Span {
                wall_seconds: of(|round| round.work.wall_seconds),
                cpu_seconds: of(|round| round.work.cpu_seconds),
            },
            peak_bytes: of(|round| round.peak_bytes as f64) as u64,
            repository_bytes: of(|round| round.repository_bytes as f64) as u64,
        }
    }
}

impl Comparison {
    /// How many times restic's throughput ours is.
    pub(crate) fn ratio(&self) -> f64 {
        self.restic.work.wall_seconds / self.ours.work.wall_seconds
    }

    pub(crate) fn megabytes_per_second(&self) -> f64 {
        megabytes(self.bytes) / self.ours.work.wall_seconds
    }

    /// Our processor time for each item, in microseconds.
    pub(crate) fn microseconds_per_item(&self) -> f64 {
        self.ours.work.cpu_seconds * 1e6 / self.items as f64
    }

    /// Adds the table.
    pub(crate) fn tell(&self, stage: &Stage, title: &str, text: &str, report: &mut Report) {
        let mut table = vec![row([
            "",
            "seconds",
            "MB/s",
            "CPU seconds",
            "µs CPU an item",
            "peak memory, MB",
            "repository, MB",
            "opening: seconds",
            "CPU seconds",
        ])];
        for (name, side) in [
            ("Keepwell", &self.ours),
            (stage.restic.version.as_str(), &self.restic),
            ("the steps alone", &self.steps),
        ] {
            table.push(row([
                name,
                &short(side.work.wall_seconds),
                &short(megabytes(self.bytes) / side.work.wall_seconds),
                &short(side.work.cpu_seconds),
                &short(side.work.cpu_seconds * 1e6 / self.items as f64),
                &short(megabytes(side.peak_bytes)),
                &short(megabytes(side.repository_bytes)),
                &short(side.opening.wall_seconds),
                &short(side.opening.cpu_seconds),
            ]));
        }
        let (ours, restic, steps) = (
            self.ours.work.wall_seconds,
            self.restic.work.wall_seconds,
            self.steps.work.wall_seconds,
        );
        let ceiling = format!(
            "{text} The steps alone have {} times restic's throughput; Keepwell has {} % of theirs.",
            short(restic / steps),
            short(100.0 * steps / ours)
        );
        report.section(title, &ceiling, table);
    }
}
