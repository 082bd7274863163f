//! Anything in any order: people work while it runs, Graph fails at random, runs are cut off anywhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use emulator::{Churn, FaultRule, Settings, World};
use engine::Account;
use jiff::SignedDuration;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::sync::Notify;

use crate::stage::{Held, Stage, differences};

/// Different weathers, some seconds in all.
const SEEDS: u64 = 4;
/// Runs in bad weather before the sky clears.
const RUNS: u64 = 5;

/// Faults as they occur together in bad weather, each with a likelihood of its own.
fn weather(random: &mut StdRng) -> Vec<FaultRule> {
    const ALL: &str = "/v1.0/users/*";
    const MIME: &str = "/users/{user}/messages/{message}/$value";
    const MESSAGE: &str = "/users/{user}/messages/{message}";
    const DELTA: &str = "/users/{user}/mailFolders/{folder}/messages/delta";
    let answer = |route: &str, status, code: &str| FaultRule {
        status: Some(status),
        code: Some(code.to_owned()),
        ..FaultRule::on(route)
    };
    let mut rules = vec![
        FaultRule {
            headers: [("Retry-After".to_owned(), "7".to_owned())].into(),
            ..answer(ALL, 429, "ApplicationThrottled")
        },
        answer(ALL, 503, "ErrorServerBusy"),
        answer(ALL, 500, "ErrorInternalServerError"),
        answer(DELTA, 403, "ErrorAccessDenied"),
        answer(DELTA, 400, "ErrorInvalidRequest"),
        answer(MIME, 500, "ErrorMimeContentConversionFailed"),
        answer(MIME, 404, "ErrorItemNotFound"),
        answer(MESSAGE, 403, "ErrorAccessDenied"),
        answer(
            "/users/{user}/mailFolders/{folder}",
            403,
            "ErrorAccessDenied",
        ),
        FaultRule {
            reset: true,
            ..FaultRule::on(ALL)
        },
        FaultRule {
            truncate: Some(30),
            ..FaultRule::on(ALL)
        },
        FaultRule {
            resync: true,
            ..FaultRule::on("/v1.0/users/*/delta")
        },
        FaultRule {
            expire_tokens: true,
            ..FaultRule::on(ALL)
        },
    ];
    for rule in &mut rules {
        rule.probability = match random.random_range(0..4) {
            0 => 0.2,
            1 => 0.03,
            _ => 0.0,
        };
    }
    rules.push(FaultRule {
        page_size: Some(random.random_range(1..8)),
        probability: 0.5,
        ..FaultRule::on("/v1.0/users/*/delta")
    });
    rules
}

/// Backs up while people work, and stops anywhere or not at all. What the run says does not count: only what it left.
async fn run(stage: &Stage, account: &Account, random: &mut StdRng) {
    let stop = Arc::new(Notify::new());
    let (last, busy) = (random.random_range(20..400), random.random_range(1..120));
    let (tenant, now) = (Arc::clone(stage.emulator.tenant()), stage.emulator.now());
    let churn = Churn {
        seed: random.random(),
        events: 15,
        lost_moves: 0.5,
    };
    let (stopping, mut exchanges) = (Arc::clone(&stop), 0);
    stage.on_exchange(move |_| {
        exchanges += 1;
        if exchanges % busy == 0 {
            let _ = churn.run(&tenant, now);
        }
        if exchanges == last {
            stopping.notify_one();
        }
    });
    tokio::select! {
        biased;
        () = stop.notified() => {}
        _ = stage.back_up(account) => {}
    }
    stage.on_exchange(|_| ());
}

/// What the newest snapshot holds; nothing when there is none.
async fn newest(stage: &Stage, account: &Account) -> Result<Held> {
    let Ok(repository) = stage.repository(account).await else {
        return Ok(Held::new());
    };
    let snapshots = repository.snapshots().await?;
    match engine::snapshots::latest(&snapshots) {
        Some((id, _)) => stage.snapshot(account, *id).await,
        None => Ok(Held::new()),
    }
}

async fn folders_agree(stage: &Stage, account: &Account) -> Result<()> {
    let archive = engine::restore::archive(stage.setting(), account, None).await?;
    let held: BTreeMap<_, _> = archive
        .paths()
        .into_iter()
        .map(|(id, path)| (id.to_string(), path))
        .collect();
    let there: BTreeMap<_, _> = stage.at_source(account, |mailbox| {
        let folders = mailbox.folder_views();
        folders.map(|folder| (folder.id, folder.path)).collect()
    })?;
    ensure!(held == there, "folders: {held:?} instead of {there:?}");
    for folder in archive.folders() {
        let found = archive.messages(&folder.id).await?.len() as u64;
        ensure!(found == folder.messages, "a folder's count has drifted");
    }
    Ok(())
}

async fn storm(seed: u64) -> Result<()> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut settings = Settings::new(World::new().users(1, seed));
    settings.seed = seed;
    settings.behaviour.lost_moves = 0.3;
    settings.behaviour.mail.empty_delta_pages = random.random();
    settings.behaviour.mail.deleted_by_id = random.random();
    settings.behaviour.mail.hidden_folders_in_delta = random.random();
    let mut stage = Stage::start_with(settings).await?;
    stage.limits.checkpoint_every = 10;
    let account = stage.accounts().await?.remove(0);
    let mut before = Held::new();
    for round in 0..RUNS {
        for rule in weather(&mut random) {
            stage.emulator.add_fault(rule)?;
        }
        run(&stage, &account, &mut random).await;
        stage.emulator.clear_faults();
        let now = newest(&stage, &account).await?;
        let source: BTreeSet<String> = stage.source(&account)?.into_keys().collect();
        let lost: Vec<_> = before
            .keys()
            .filter(|id| source.contains(*id) && !now.contains_key(*id))
            .collect();
        ensure!(lost.is_empty(), "round {round} lost {lost:?}");
        before = now;
    }
    // A message that was never held, and whose move no folder tells, is found when everything is listed anew.
    let every = std::mem::replace(&mut stage.limits.reconcile_every, SignedDuration::ZERO);
    let outcome = stage.back_up(&account).await?;
    ensure!(outcome.report.is_complete(), "{:?}", outcome.report);
    let found = differences(&newest(&stage, &account).await?, &stage.source(&account)?);
    ensure!(found.is_empty(), "in the end {found:?}");
    stage.limits.reconcile_every = every;
    folders_agree(&stage, &account).await?;
    let quiet = stage.back_up(&account).await?;
    ensure!(quiet.snapshot.is_none(), "a quiet run writes");
    stage.at_source(&account, emulator::Mailbox::expire_delta_tokens)?;
    stage.back_up(&account).await?;
    let found = differences(&newest(&stage, &account).await?, &stage.source(&account)?);
    ensure!(found.is_empty(), "after a full listing {found:?}");
    stage.restic_agrees(&account)
}

#[tokio::test]
async fn after_any_weather_one_run_makes_the_snapshot_the_source() -> Result<()> {
    for seed in 0..SEEDS {
        storm(seed).await.with_context(|| format!("seed {seed}"))?;
    }
    Ok(())
}
