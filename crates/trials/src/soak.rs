//! The soak: seeded random actions on a mailbox and its backups, against a plain model of what every snapshot must hold.
//!
//! A seed makes a [`World`]: an emulated mailbox, a client, a data folder, a clock that jumps. Step after step something happens in it: people work,
//! a backup runs in good or bad weather and perhaps dies, snapshots are read, restored, forgotten, time passes. Every state that the mailbox ever had
//! is noted ([`history`]), so that of every snapshot it can be said whether it could be right ([`model`]). Which steps are taken follows from the seed
//! alone; how requests interleave does not, so a seed that failed may have to be run a few times.

mod actions;
mod backups;
mod faults;
mod history;
mod maintenance;
mod memory;
mod model;
mod restores;
mod world;

use ::model::Clock as _;
use anyhow::{Context, Result, bail};

pub use world::World;

/// The first of the new seeds: fixed, so that continuous integration repeats what it did before.
const FIRST_SEED: u64 = 1_000;
/// Seeds that once failed, run before all others. What each was is in `docs/trials.md`.
const PAST_SEEDS: [u64; 4] = [1_007, 1_012, 1_023, 5_029];
/// Steps in one world: enough for a mailbox that was backed up, pruned and restored several times, few enough that a failure is soon found again.
const STEPS: u32 = 60;
/// Lines of the log that are shown when a seed fails: what led to it is rarely further back.
const LOG_LINES: usize = 40;
/// What to run.
#[derive(Clone, Debug, clap::Args)]
pub struct Plan {
    /// One seed alone.
    #[arg(long)]
    seed: Option<u64>,
    /// For so long; what has begun is brought to its end.
    #[arg(long, conflicts_with_all = ["seed", "worlds"])]
    minutes: Option<u64>,
    /// Past seeds, and so many new ones.
    #[arg(long, default_value_t = 20)]
    worlds: u64,
    /// Steps in each world.
    #[arg(long, default_value_t = STEPS)]
    steps: u32,
    /// Says every step.
    #[arg(long)]
    verbose: bool,
}

/// Runs the plan; `say` is told what a person wants to read.
///
/// # Errors
/// When a snapshot is not what it must be, or anything else went wrong that may not; the text says how to run it again.
pub async fn run(plan: &Plan, say: &(dyn Fn(&str) + Sync)) -> Result<()> {
    let clock = ::model::SystemClock::new();
    let started = clock.elapsed();
    let mut memory = memory::Slope::default();
    let (mut steps, mut worlds) = (0, 0);
    for seed in seeds(plan) {
        let spent = clock.elapsed().saturating_sub(started);
        if plan
            .minutes
            .is_some_and(|minutes| spent.as_secs() >= minutes * 60)
        {
            break;
        }
        let done = one(seed, plan, say).await?;
        steps += u64::from(plan.steps);
        worlds += 1;
        memory.note(steps)?;
        let took = clock.elapsed().saturating_sub(started + spent);
        say(&format!(
            "seed {seed}: {done} in {:.1} s",
            took.as_secs_f64()
        ));
    }
    let minutes = clock.elapsed().saturating_sub(started).as_secs_f64() / 60.0;
    say(&format!(
        "{worlds} worlds, {steps} steps in {minutes:.1} minutes, {:.0} steps a minute; {memory}",
        steps as f64 / minutes.max(f64::EPSILON)
    ));
    if memory.is_a_leak() {
        bail!("memory grows: {memory}");
    }
    Ok(())
}

fn seeds(plan: &Plan) -> Box<dyn Iterator<Item = u64> + Send> {
    if let Some(seed) = plan.seed {
        return Box::new(std::iter::once(seed));
    }
    let new = FIRST_SEED..;
    let past = PAST_SEEDS.into_iter();
    match plan.minutes {
        Some(_) => Box::new(past.chain(new)),
        None => Box::new(past.chain(new.take(usize::try_from(plan.worlds).unwrap_or(usize::MAX)))),
    }
}

/// One world from its beginning to its end.
async fn one(seed: u64, plan: &Plan, say: &(dyn Fn(&str) + Sync)) -> Result<String> {
    let mut world = World::new(seed).await?;
    for number in 0..plan.steps {
        let outcome = world.step(number).await;
        if plan.verbose
            && let Some(line) = world.log().last()
        {
            say(line);
        }
        outcome.with_context(|| {
            let from = world.log().len().saturating_sub(LOG_LINES);
            format!(
                "seed {seed}, step {number}; run it again by `cargo xtask soak --seed {seed}`; what led to it:\n{}\n",
                world.log()[from..].join("\n")
            )
        })?;
    }
    world
        .end()
        .await
        .with_context(|| format!("seed {seed}, at the end: `cargo xtask soak --seed {seed}`"))
}
