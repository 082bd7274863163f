//! At Microsoft's limits: they are used, they are kept, and nobody waits for somebody else's.
//!
//! The emulator enforces the documented limits on the clock that the client waits by, and takes a tenth of a second for each answer. What is
//! asserted is what the emulator saw.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use emulator::{Exchange, Settings, World};
use engine::{
    Account,
    restore::{self, Order},
};
use model::RestoreId;
use workload::mail::restore::{Destination, Selection};

use crate::stage::{Stage, mail, write_mail};

/// What Exchange needs for a small message, about.
const LATENCY: Duration = Duration::from_millis(100);
/// Microsoft's window for requests, and the requests in it.
const WINDOW: Duration = Duration::from_secs(600);
const WINDOW_REQUESTS: u64 = 10_000;
/// Microsoft's window for uploads, and the bytes in it.
const UPLOAD_WINDOW: Duration = Duration::from_secs(300);
const UPLOAD_BYTES: u64 = 150_000_000;

/// The tenant, with its limits.
async fn stage(world: World) -> Result<Stage> {
    Stage::start_with(Settings {
        throttle: true,
        latency: LATENCY,
        ..Settings::new(world)
    })
    .await
}

/// An exchange with the mailbox: when Microsoft counted it, and the bytes uploaded by it.
type Counted = Arc<Mutex<Vec<(Duration, u64)>>>;

/// What is exchanged with each of the mailboxes from now on.
fn count(stage: &Stage, accounts: &[Account]) -> Vec<Counted> {
    let counted: Vec<Counted> = accounts.iter().map(|_| Arc::default()).collect();
    let lists = accounts.iter().zip(&counted).map(|(account, list)| {
        let mailbox = format!("/v1.0/users/{}/", account.id);
        (mailbox, Arc::clone(list))
    });
    let lists: Vec<_> = lists.collect();
    let clock = Arc::clone(&stage.clock);
    stage.on_exchange(move |exchange: &Exchange| {
        let mut lists = lists.iter();
        let Some((_, list)) = lists.find(|(mailbox, _)| exchange.path.starts_with(mailbox)) else {
            return;
        };
        let uploaded = match exchange.method.as_str() {
            "POST" | "PUT" | "PATCH" => exchange.request_body.len() as u64,
            _ => 0,
        };
        let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
        list.push((clock.elapsed(), uploaded));
    });
    counted
}

fn read(counted: &Counted) -> Vec<(Duration, u64)> {
    counted
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

/// From the first exchange to the last. Before the first, keys of repositories are derived, which takes processors and no requests: a hundred runs that
/// begin together wait for these, and the simulated clock goes on by as much as whoever is ready asks for.
fn span(counted: &Counted) -> Duration {
    let counted = read(counted);
    let times = || counted.iter().map(|(at, _)| *at);
    times().max().unwrap_or_default() - times().min().unwrap_or_default()
}

/// The sums of what fell into each of the windows.
fn windows(counted: &[(Duration, u64)], length: Duration, count: u32) -> Vec<u64> {
    let begun = counted.iter().map(|(at, _)| *at).min().unwrap_or_default();
    let window = |number| begun + length * number..begun + length * (number + 1);
    let sum = |number| {
        let within = counted.iter().filter(|(at, _)| window(number).contains(at));
        within.map(|(_, amount)| amount).sum()
    };
    (0..count).map(sum).collect()
}

/// survival 3, 4, 6: a mailbox of 30,000 messages takes three windows of ten minutes, and each is used up.
#[tokio::test]
async fn a_large_mailbox_uses_what_it_is_allowed() -> Result<()> {
    let folder = write_mail(&[("", 10_000), ("Projects", 10_000), ("Archive", 10_000)])?;
    let stage = stage(World::new().mail("ada", folder.path())).await?;
    let accounts = stage.accounts().await?;
    let counted = count(&stage, &accounts);
    let outcome = stage.back_up(&accounts[0]).await?;
    assert_eq!(outcome.report.added, 30_000);
    assert!(outcome.report.is_complete());
    let counted = read(&counted[0]);
    assert!(counted.len() < 31_500, "{} requests", counted.len());
    let requests: Vec<_> = counted.iter().map(|(at, _)| (*at, 1)).collect();
    let used = windows(&requests, WINDOW, 3);
    assert!(
        used.iter().all(|used| used * 100 >= WINDOW_REQUESTS * 97),
        "{used:?}"
    );
    let stats = stage.emulator.stats();
    assert_eq!((stats.throttled, stats.together_max), (0, 4));
    Ok(())
}

/// A restore of three hundred megabytes takes two windows of five minutes, and both are used up.
#[tokio::test]
async fn a_large_restore_uses_the_volume_it_is_allowed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let line = format!("{}\r\n", "QUFB".repeat(19));
    let attached = mail(0).replace(
        "\r\n\r\nThis is",
        "\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nThis is",
    ) + "--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + &line.repeat(18_000)
        + "--b--\r\n";
    for number in 0..230 {
        std::fs::write(folder.path().join(format!("{number}")), &attached)?;
    }
    let stage = stage(World::new().mail("ada", folder.path())).await?;
    let accounts = stage.accounts().await?;
    let account = &accounts[0];
    stage.back_up(account).await?;
    let counted = count(&stage, &accounts);
    let archive = restore::archive(stage.setting(), account, None).await?;
    let order = Order {
        restore: RestoreId::new("r1")?,
        source: account,
        target: &account.id,
        selection: Selection::Mailbox,
        destination: Destination::new_folder(stage.clock.now()),
    };
    let report = restore::run(stage.setting(), &archive, &order, &|_| ()).await?;
    assert_eq!((report.restored, report.failed), (230, 0));
    let used = windows(&read(&counted[0]), UPLOAD_WINDOW, 2);
    assert!(
        used.iter().all(|used| used * 100 >= UPLOAD_BYTES * 90),
        "{used:?}"
    );
    let stats = stage.emulator.stats();
    assert_eq!((stats.throttled, stats.together_max), (0, 4));
    Ok(())
}

/// One huge mailbox and 99 small ones: none of the small ones is kept waiting by the others.
#[tokio::test]
async fn small_mailboxes_do_not_wait_for_a_huge_one() -> Result<()> {
    let small = write_mail(&[("", 12), ("Projects", 12)])?;
    let alone = stage(World::new().mail("small", small.path())).await?;
    let accounts = alone.accounts().await?;
    let counted = count(&alone, &accounts);
    alone.back_up(&accounts[0]).await?;
    let alone = span(&counted[0]);
    assert!(alone > LATENCY * 5, "{alone:?}");

    let huge = write_mail(&[("", 10_000)])?;
    let mut world = World::new().mail("huge", huge.path());
    for number in 0..99 {
        world = world.mail(&format!("small{number}"), small.path());
    }
    let stage = stage(world).await?;
    let accounts = stage.accounts().await?;
    assert_eq!(accounts.len(), 100);
    let counted = count(&stage, &accounts);
    let begun = stage.clock.elapsed();
    let runs = accounts.iter().map(|account| stage.back_up(account));
    let outcomes = futures_util::future::try_join_all(runs).await?;
    let added: Vec<u64> = outcomes
        .iter()
        .map(|outcome| outcome.report.added)
        .collect();
    assert_eq!(added.iter().filter(|added| **added == 24).count(), 99);
    assert!(added.contains(&10_000));
    let spans: Vec<Duration> = counted.iter().map(span).collect();
    let huge = spans.iter().max().copied().unwrap_or_default();
    assert!(huge > WINDOW, "it waited for its second window: {huge:?}");
    let slow = spans.iter().filter(|span| **span > alone.mul_f64(1.2));
    assert_eq!(slow.count(), 1, "{alone:?} alone, together {spans:?}");
    let ends = counted
        .iter()
        .filter_map(|counted| read(counted).iter().map(|(at, _)| *at).max());
    let late = ends.filter(|end| *end - begun > WINDOW);
    assert_eq!(
        late.count(),
        1,
        "all others are over when its first window is"
    );
    assert_eq!(stage.emulator.stats().throttled, 0);
    Ok(())
}
