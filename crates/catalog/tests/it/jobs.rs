//! Leases: one worker at a time has a job, whoever dies, sleeps or races.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use catalog::{
    Account, AccountFilter, AccountSort, AccountTotals, Backlog, Became, Catalog, Claim, DayTotals,
    Direction, Error, Finished, ItemReport, JobKind, JobResult, JobState, LastResult, Left, NewJob,
    Once, Progress, RestoredItem, RunCause, RunId, StatusChange, Wanted,
};
use model::FailureCause;
use tokio::{sync::Barrier, task::JoinSet};

use crate::stage::{Stage, Tenant, at, on_both};

const LEASE: Duration = Duration::from_secs(60);

fn backup() -> NewJob {
    NewJob {
        kind: JobKind::Backup,
        priority: 0,
        input: "{}".to_owned(),
    }
}

fn finished(result: JobResult) -> Finished {
    Finished {
        result,
        outcome: "{}".to_owned(),
        progress: Progress {
            items: 7,
            items_total: 7,
            bytes: 70,
            waiting_for: String::new(),
        },
        snapshot: None,
        failures: None,
        restored: Vec::new(),
    }
}

async fn begin(tenant: &Tenant, now: i64) -> (RunId, u64) {
    let filter = AccountFilter::default();
    let begun = tenant
        .organization
        .begin_run(
            tenant.task,
            RunCause::BackupNow,
            &filter,
            &backup(),
            at(now),
        )
        .await
        .unwrap();
    begun.unwrap()
}

async fn claim(catalog: &Catalog, worker: &str, now: i64) -> Option<Claim> {
    catalog.claim(worker, LEASE, at(now)).await.unwrap()
}

on_both! {
    async fn the_backlog_is_what_is_not_over_of_all_organizations(stage: Stage) {
        let backlog = async |now: i64| stage.catalog.backlog(at(now)).await.unwrap();
        assert_eq!(backlog(1).await, Backlog::default());
        let (anna, bob) = (stage.tenant("anna").await, stage.tenant("bob").await);
        anna.accounts(&["A", "B"]).await;
        bob.accounts(&["C"]).await;
        begin(&anna, 5).await;
        begin(&bob, 3).await;
        let jobs = |queued: u64, running: u64| {
            let states = [(JobState::Queued, queued), (JobState::Running, running)];
            let there = states.into_iter().filter(|(_, count)| *count > 0);
            there.map(|(state, count)| ((JobKind::Backup, state), count)).collect()
        };
        assert_eq!(backlog(9).await, Backlog { runs: 2, jobs: jobs(3, 0), due_since: Some(at(3)), failures: 0 });
        let mut claims = Vec::new();
        for worker in ["v", "w", "x"] {
            claims.push(claim(&stage.catalog, worker, 9).await.unwrap());
        }
        assert_eq!(backlog(9).await, Backlog { runs: 2, jobs: jobs(0, 3), due_since: None, failures: 0 });
        // Given back until later it is queued, but not due.
        stage.catalog.give_back(&claims[0].lease, &Left::until(at(20)), at(10)).await.unwrap();
        assert_eq!(backlog(19).await.due_since, None);
        assert_eq!(backlog(21).await.due_since, Some(at(20)));
        let failure = ItemReport {
            item: "item".to_owned(),
            cause: FailureCause::Corrupt,
            attempts: 1,
            first_seen_at: at(11),
            last_tried_at: at(11),
        };
        let partial = Finished { failures: Some(vec![failure]), ..finished(JobResult::Partial) };
        stage.catalog.finish(&claims[1].lease, &partial, at(12)).await.unwrap();
        let left = backlog(21).await;
        assert_eq!((left.jobs, left.failures), (jobs(1, 1), 1));
    }

    /// Two clicks, a reload, a proxy that sends it again: one run.
    async fn an_order_that_comes_again_begins_one_run(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        tenant.accounts(&["A"]).await;
        let job = NewJob { kind: JobKind::Restore, ..backup() };
        let order = async |tenant: &Tenant, once: &Once| {
            let filter = AccountFilter::default();
            let begun = tenant.organization.begin_run_once(tenant.task, RunCause::Restore, &filter, &job, once, at(1));
            begun.await.map(Option::unwrap)
        };
        let once = Once::new("key".to_owned(), "this");
        let barrier = Arc::new(Barrier::new(8));
        let mut all = JoinSet::new();
        for _ in 0..8 {
            let (of, task, job) = (tenant.organization.clone(), tenant.task, job.clone());
            let (once, barrier) = (once.clone(), Arc::clone(&barrier));
            all.spawn(async move {
                barrier.wait().await;
                of.begin_run_once(task, RunCause::Restore, &AccountFilter::default(), &job, &once, at(1)).await.unwrap().unwrap()
            });
        }
        let begun = all.join_all().await;
        let jobs: u64 = begun.iter().map(|(_, jobs)| jobs).sum();
        let runs: HashSet<RunId> = begun.iter().map(|(run, _)| *run).collect();
        assert_eq!((runs.len(), jobs), (1, 1));
        let listed = tenant.organization.runs(tenant.task, None, 10).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(tenant.organization.run_of_order(&once).await.unwrap(), Some(listed[0].id));
        let another = Once::new("key".to_owned(), "that");
        assert!(matches!(order(&tenant, &another).await, Err(Error::OtherOrder)));
        assert!(matches!(tenant.organization.run_of_order(&another).await, Err(Error::OtherOrder)));
        let new = order(&tenant, &Once::new("new".to_owned(), "this")).await.unwrap();
        assert_ne!(new.0, listed[0].id);
        let other = stage.tenant("bob").await;
        other.accounts(&["B"]).await;
        assert_eq!(other.organization.run_of_order(&once).await.unwrap(), None, "another's key is another");
        assert_eq!(order(&other, &once).await.unwrap().1, 1);
    }

    async fn a_job_goes_from_queue_to_result_and_its_run_and_account_say_so(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        let keys = tenant.accounts(&["A", "B"]).await;
        let (run, jobs) = begin(&tenant, 1).await;
        assert_eq!(jobs, 2);
        let account = async |n: usize| tenant.organization.account(keys[n]).await.unwrap();
        assert_eq!(account(0).await.last_result, LastResult::Scheduled);
        let first = claim(&stage.catalog, "w", 2).await.unwrap();
        assert_eq!((first.account, first.run, first.attempts), (keys[0], run, 1));
        assert_eq!(account(0).await.last_result, LastResult::InProgress);
        let progress = Progress { items: 3, items_total: 9, bytes: 30, waiting_for: "Outlook".to_owned() };
        assert_eq!(stage.catalog.renew(&first.lease, &progress, LEASE, at(3)).await.unwrap(), Wanted::Go);
        let shown = tenant.organization.jobs(run, 10).await.unwrap();
        assert_eq!((shown[0].state, shown[0].progress.clone()), (JobState::Running, progress));
        let failure = ItemReport {
            item: "item".to_owned(),
            cause: FailureCause::Corrupt,
            attempts: 2,
            first_seen_at: at(0),
            last_tried_at: at(3),
        };
        let done = Finished {
            snapshot: Some(("snapshot".to_owned(), 9, 90)),
            failures: Some(vec![failure.clone()]),
            ..finished(JobResult::Partial)
        };
        stage.catalog.finish(&first.lease, &done, at(4)).await.unwrap();
        let a = account(0).await;
        assert_eq!((a.last_result, a.snapshot.as_deref(), a.items, a.size_bytes, a.failures), (LastResult::Partial, Some("snapshot"), 9, 90, 1));
        assert_eq!((a.last_attempt_at, a.last_success_at), (Some(at(2)), Some(at(4))));
        let ledger = tenant.organization.failures(keys[0], None, 10).await.unwrap();
        assert_eq!(ledger.iter().map(|line| &line.report).collect::<Vec<_>>(), [&failure]);
        assert_eq!(tenant.organization.failures_by_cause().await.unwrap(), [(FailureCause::Corrupt, 1)]);
        assert_eq!(tenant.organization.run(run).await.unwrap().finished_at, None);
        let second = claim(&stage.catalog, "w", 5).await.unwrap();
        assert!(claim(&stage.catalog, "w", 5).await.is_none());
        stage.catalog.finish(&second.lease, &finished(JobResult::Failed), at(6)).await.unwrap();
        assert_eq!(tenant.organization.run(run).await.unwrap().finished_at, Some(at(6)));
        let totals = tenant.organization.run_totals(run).await.unwrap();
        assert_eq!((totals.jobs, totals.partial, totals.failed, totals.items, totals.bytes), (2, 1, 1, 14, 140));
        let b = account(1).await;
        assert_eq!((b.last_result, b.last_success_at), (LastResult::Failed, None));
    }

    async fn jobs_are_listed_as_people_want_to_see_them(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        let keys = tenant.accounts(&["A", "B", "C", "D", "E"]).await;
        let (run, _) = begin(&tenant, 1).await;
        for now in [2, 4] {
            let claimed = claim(&stage.catalog, "w", now).await.unwrap();
            stage.catalog.finish(&claimed.lease, &finished(JobResult::Success), at(now + 1)).await.unwrap();
        }
        claim(&stage.catalog, "w", 6).await.unwrap();
        let listed = async |rows| {
            let jobs = tenant.organization.jobs(run, rows).await.unwrap();
            jobs.iter().map(|job| (job.account, job.state)).collect::<Vec<_>>()
        };
        let (running, queued, over) = (JobState::Running, JobState::Queued, JobState::Finished);
        let all = [(keys[2], running), (keys[3], queued), (keys[4], queued), (keys[1], over), (keys[0], over)];
        assert_eq!(listed(10).await, all);
        assert_eq!(listed(4).await, all[..4]);
        assert_eq!(listed(1).await, all[..1]);
        tenant.organization.want(run, Wanted::Pause, at(7)).await.unwrap();
        assert_eq!(listed(2).await, [(keys[2], running), (keys[3], JobState::Paused)]);
        tenant.organization.want(run, Wanted::Cancel, at(8)).await.unwrap();
        let over: Vec<_> = listed(10).await.into_iter().map(|(key, _)| key).collect();
        assert_eq!(over, [keys[2], keys[3], keys[4], keys[1], keys[0]], "the latest first");
    }

    async fn the_last_backup_of_an_account_is_the_last_that_came_to_an_end(stage: Stage) {
        let (tenant, other) = (stage.tenant("anna").await, stage.tenant("bob").await);
        let keys = tenant.accounts(&["A", "B"]).await;
        let last = async |tenant: &Tenant| {
            let jobs = tenant.organization.last_backups(&keys).await.unwrap();
            jobs.iter().map(|job| (job.account, job.result)).collect::<Vec<_>>()
        };
        assert!(last(&tenant).await.is_empty());
        begin(&tenant, 1).await;
        let first = claim(&stage.catalog, "w", 2).await.unwrap();
        stage.catalog.finish(&first.lease, &finished(JobResult::Success), at(3)).await.unwrap();
        let second = claim(&stage.catalog, "w", 4).await.unwrap();
        assert_eq!(last(&tenant).await, [(keys[0], Some(JobResult::Success))]);
        stage.catalog.finish(&second.lease, &finished(JobResult::Success), at(5)).await.unwrap();
        begin(&tenant, 6).await;
        for result in [JobResult::Failed, JobResult::Partial] {
            let claimed = claim(&stage.catalog, "w", 7).await.unwrap();
            stage.catalog.finish(&claimed.lease, &finished(result), at(8)).await.unwrap();
        }
        begin(&tenant, 9).await;
        let mut both = last(&tenant).await;
        both.sort_by_key(|(key, _)| *key != keys[0]);
        assert_eq!(both, [(keys[0], Some(JobResult::Failed)), (keys[1], Some(JobResult::Partial))]);
        assert!(last(&other).await.is_empty(), "another organization's");
        assert!(tenant.organization.last_backups(&[]).await.unwrap().is_empty());
    }

    async fn backups_are_counted_by_day_and_runs_in_progress_are_listed(stage: Stage) {
        const DAY: i64 = 86_400;
        let (ours, theirs) = (stage.tenant("anna").await, stage.tenant("bob").await);
        ours.accounts(&["A", "B"]).await;
        theirs.accounts(&["A"]).await;
        let organization = &ours.organization;
        assert!(organization.runs_in_progress(10).await.unwrap().is_empty());
        for (day, results) in [(1, [JobResult::Success, JobResult::Success]), (2, [JobResult::Partial, JobResult::Failed])] {
            let now = day * DAY + 10;
            let (run, _) = begin(&ours, now).await;
            assert_eq!(organization.runs_in_progress(10).await.unwrap()[0].id, run);
            for result in results {
                let claimed = claim(&stage.catalog, "w", now).await.unwrap();
                stage.catalog.finish(&claimed.lease, &finished(result), at(now + 1)).await.unwrap();
            }
        }
        begin(&theirs, 3 * DAY).await;
        assert!(organization.runs_in_progress(10).await.unwrap().is_empty());
        assert_eq!(theirs.organization.runs_in_progress(10).await.unwrap().len(), 1);
        let day = |number: i64| at(number * DAY).as_second() / DAY;
        let first = DayTotals { success: 2, ..DayTotals::default() };
        let second = DayTotals { partial: 1, failed: 1, ..DayTotals::default() };
        assert_eq!(organization.backups_by_day(at(DAY)).await.unwrap(), [(ours.task, day(1), first), (ours.task, day(2), second)]);
        assert_eq!(organization.backups_by_day(at(2 * DAY)).await.unwrap(), [(ours.task, day(2), second)]);
        assert!(theirs.organization.backups_by_day(at(0)).await.unwrap().is_empty());
    }

    async fn runs_are_listed_over_all_tasks_by_cause_and_accounts_are_summed(stage: Stage) {
        let (ours, theirs) = (stage.tenant("anna").await, stage.tenant("bob").await);
        let keys = ours.accounts(&["A", "B", "C"]).await;
        theirs.accounts(&["A"]).await;
        let two = AccountFilter { keys: Some(keys[..2].to_vec()), ..AccountFilter::default() };
        ours.organization.change_status(ours.task, &two, StatusChange::Activate).await.unwrap();
        let (first, _) = begin(&ours, 1).await;
        begin(&theirs, 1).await;
        for now in [2, 3, 4, 5] {
            let claim = claim(&stage.catalog, "w", now).await.unwrap();
            let items = ["i"].map(|item| ItemReport { item: item.to_owned(), cause: FailureCause::Corrupt, attempts: 1, first_seen_at: at(1), last_tried_at: at(1) });
            let partial = claim.account == keys[0];
            let outcome = Finished {
                snapshot: Some((format!("{now}"), 100, 3)),
                failures: partial.then(|| items.to_vec()),
                ..finished(if partial { JobResult::Partial } else { JobResult::Success })
            };
            stage.catalog.finish(&claim.lease, &outcome, at(10 * now)).await.unwrap();
        }
        let us = &ours.organization;
        let list = async |causes: &[RunCause], before| us.runs_of_all_tasks(causes, before, 10).await.unwrap().iter().map(|run| run.id).collect::<Vec<_>>();
        assert_eq!(list(RunCause::ALL, None).await, [first], "and none of another organization");
        assert_eq!(list(RunCause::ALL, Some(first)).await, []);
        assert_eq!(list(&[RunCause::Restore], None).await, []);
        assert_eq!(list(&[], None).await, []);

        let totals = us.account_totals(at(0)).await.unwrap();
        assert_eq!(totals.iter().map(|(task, _)| *task).collect::<Vec<_>>(), [ours.task]);
        let of_accounts = us.accounts(ours.task, &AccountFilter::default(), AccountSort::Name, Direction::Ascending, None, 10).await.unwrap().rows;
        let sum = |number: fn(&Account) -> u64| of_accounts.iter().map(number).sum::<u64>();
        assert_eq!(totals[0].1, AccountTotals {
            accounts: 3,
            active: 2,
            fresh: 2,
            stored: sum(|a| u64::from(a.snapshot.is_some())),
            items: sum(|a| a.items),
            size_bytes: sum(|a| a.size_bytes),
            failures: sum(|a| a.failures),
        });
        assert!(totals[0].1.items > 0 && totals[0].1.size_bytes > 0);
        assert_eq!(us.account_totals(at(1000)).await.unwrap()[0].1.fresh, 0);
        let failing = AccountFilter { failing: true, ..AccountFilter::default() };
        assert_eq!(us.count_accounts(ours.task, &failing).await.unwrap(), 1);
    }

    async fn an_account_has_one_active_job(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        tenant.accounts(&["A", "B"]).await;
        begin(&tenant, 1).await;
        let filter = AccountFilter::default();
        let again = tenant.organization.begin_run(tenant.task, RunCause::Schedule, &filter, &backup(), at(2)).await.unwrap();
        assert_eq!(again, None, "a run without a job is not begun");
        assert_eq!(tenant.organization.runs(tenant.task, None, 10).await.unwrap().len(), 1);
        let first = claim(&stage.catalog, "w", 3).await.unwrap();
        stage.catalog.finish(&first.lease, &finished(JobResult::Success), at(4)).await.unwrap();
        let (_, jobs) = begin(&tenant, 5).await;
        assert_eq!(jobs, 1, "only for the account whose job is over");
    }

    async fn a_dead_workers_job_is_taken_over_and_the_dead_one_is_fenced_off(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        tenant.accounts(&["A"]).await;
        begin(&tenant, 1).await;
        let dead = claim(&stage.catalog, "dead", 2).await.unwrap();
        assert!(claim(&stage.catalog, "other", 61).await.is_none(), "the lease lasts 60 seconds");
        let other = claim(&stage.catalog, "other", 62).await.unwrap();
        assert_eq!(other.lease.job, dead.lease.job);
        assert_eq!(other.attempts, 2);
        assert!(other.lease.fencing_token > dead.lease.fencing_token);
        let lost = |result: Option<&Error>| assert!(matches!(result, Some(Error::LeaseLost)), "{result:?}");
        lost(stage.catalog.renew(&dead.lease, &Progress::default(), LEASE, at(63)).await.as_ref().err());
        lost(stage.catalog.finish(&dead.lease, &finished(JobResult::Success), at(63)).await.as_ref().err());
        lost(stage.catalog.give_back(&dead.lease, &Left::until(at(63)), at(63)).await.as_ref().err());
        stage.catalog.finish(&other.lease, &finished(JobResult::Success), at(64)).await.unwrap();
        lost(stage.catalog.finish(&other.lease, &finished(JobResult::Failed), at(65)).await.as_ref().err());
    }

    async fn the_same_worker_is_fenced_off_from_its_own_former_claim(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        tenant.accounts(&["A"]).await;
        begin(&tenant, 1).await;
        let before = claim(&stage.catalog, "w", 2).await.unwrap();
        let after = claim(&stage.catalog, "w", 100).await.unwrap();
        assert!(stage.catalog.renew(&before.lease, &Progress::default(), LEASE, at(101)).await.is_err());
        stage.catalog.renew(&after.lease, &Progress::default(), LEASE, at(101)).await.unwrap();
    }

    async fn a_paused_run_goes_on_and_a_cancelled_one_is_over(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        let keys = tenant.accounts(&["A", "B"]).await;
        let (run, _) = begin(&tenant, 1).await;
        let running = claim(&stage.catalog, "w", 2).await.unwrap();
        tenant.organization.want(run, Wanted::Pause, at(3)).await.unwrap();
        assert!(claim(&stage.catalog, "w", 4).await.is_none());
        assert_eq!(stage.catalog.renew(&running.lease, &Progress::default(), LEASE, at(4)).await.unwrap(), Wanted::Pause);
        assert_eq!(stage.catalog.give_back(&running.lease, &Left::until(at(5)), at(5)).await.unwrap(), JobState::Paused);
        assert_eq!(tenant.organization.run_totals(run).await.unwrap().paused, 2);
        assert_eq!(tenant.organization.run(run).await.unwrap().finished_at, None);
        tenant.organization.want(run, Wanted::Go, at(6)).await.unwrap();
        let running = claim(&stage.catalog, "w", 7).await.unwrap();
        tenant.organization.want(run, Wanted::Cancel, at(8)).await.unwrap();
        assert_eq!(tenant.organization.run(run).await.unwrap().finished_at, None, "a worker is still at it");
        assert_eq!(stage.catalog.give_back(&running.lease, &Left::until(at(9)), at(9)).await.unwrap(), JobState::Cancelled);
        assert_eq!(tenant.organization.run(run).await.unwrap().finished_at, Some(at(9)));
        assert_eq!(tenant.organization.run_totals(run).await.unwrap().cancelled, 2);
        for key in keys {
            assert_eq!(tenant.organization.account(key).await.unwrap().last_result, LastResult::NeverRun);
        }
        assert!(tenant.organization.want(run, Wanted::Go, at(10)).await.is_err(), "it is over");
    }

    /// abuse 69: whoever comes later does not wait for the end of a large run, which goes on meanwhile; nor is there a rush when it was paused.
    async fn runs_are_served_by_turns(stage: Stage) {
        let names = |of: &str| (0..40).map(|n| format!("{of} {n:02}")).collect::<Vec<_>>();
        let (large, late) = (stage.tenant("anna").await, stage.tenant("bob").await);
        for (tenant, of) in [(&large, "A"), (&late, "B")] {
            let names = names(of);
            tenant.accounts(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
        }
        let (first, _) = begin(&large, 1).await;
        let next = async || {
            let claim = claim(&stage.catalog, "w", 3).await.unwrap();
            stage.catalog.finish(&claim.lease, &finished(JobResult::Success), at(3)).await.unwrap();
            claim.run
        };
        for _ in 0..10 {
            assert_eq!(next().await, first);
        }
        let (second, _) = begin(&late, 2).await;
        let mut of_first = 0;
        for n in 1..=10_usize {
            of_first += usize::from(next().await == first);
            assert!((n / 2..=n.div_ceil(2)).contains(&of_first), "{of_first} of {n}");
        }
        large.organization.want(first, Wanted::Pause, at(3)).await.unwrap();
        for _ in 0..20 {
            assert_eq!(next().await, second);
        }
        large.organization.want(first, Wanted::Go, at(3)).await.unwrap();
        let mut of_first = 0;
        for n in 1..=10_usize {
            of_first += usize::from(next().await == first);
            assert!((n / 2..=n.div_ceil(2)).contains(&of_first), "{of_first} of {n}");
        }
    }

    /// A worker that dies between its snapshot and the end of its job leaves an account that is told as it is.
    async fn a_snapshot_is_known_before_its_job_is_over_and_from_whoever_has_it_alone(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        let keys = tenant.accounts(&["A"]).await;
        begin(&tenant, 1).await;
        let dead = claim(&stage.catalog, "dead", 2).await.unwrap();
        let made = |name: &str| (name.to_owned(), 7, 70);
        stage.catalog.note_snapshot(&dead.lease, &made("first")).await.unwrap();
        let account = async || tenant.organization.account(keys[0]).await.unwrap();
        let told = async || { let it = account().await; (it.snapshot, it.items, it.size_bytes, it.last_result) };
        let expected = (Some("first".to_owned()), 7, 70, LastResult::InProgress);
        assert_eq!(told().await, expected);
        claim(&stage.catalog, "next", 63).await.unwrap();
        let late = stage.catalog.note_snapshot(&dead.lease, &made("late")).await;
        assert!(matches!(late, Err(Error::LeaseLost)), "{late:?}");
        assert_eq!(told().await, expected);
    }

    async fn a_job_that_is_given_back_waits_for_its_time(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        tenant.accounts(&["A"]).await;
        begin(&tenant, 1).await;
        let job = claim(&stage.catalog, "w", 2).await.unwrap();
        assert_eq!(stage.catalog.give_back(&job.lease, &Left::until(at(30)), at(3)).await.unwrap(), JobState::Queued);
        assert!(claim(&stage.catalog, "w", 29).await.is_none());
        let job = claim(&stage.catalog, "w", 30).await.unwrap();
        let why = Left { waiting_for: "the storage".to_owned(), ..Left::until(at(50)) };
        stage.catalog.give_back(&job.lease, &why, at(31)).await.unwrap();
        let waiting = async |now: i64| {
            let jobs = tenant.organization.waiting_jobs(&[job.account], at(now)).await.unwrap();
            jobs.into_iter().map(|job| (job.progress.waiting_for, job.not_before)).collect::<Vec<_>>()
        };
        assert_eq!(waiting(49).await, [("the storage".to_owned(), at(50))]);
        assert_eq!(waiting(50).await, []);
        assert!(tenant.organization.waiting_jobs(&[], at(49)).await.unwrap().is_empty());
        let other = stage.tenant("bob").await;
        assert!(other.organization.waiting_jobs(&[job.account], at(49)).await.unwrap().is_empty());
        let again = claim(&stage.catalog, "w", 50).await.unwrap();
        assert_eq!((again.account, waiting(49).await.len()), (job.account, 0));
    }

    async fn what_became_of_a_restores_items_is_told_by_pages_and_to_its_organization_alone(stage: Stage) {
        const ITEMS: u64 = 1_100;
        let tenant = stage.tenant("anna").await;
        tenant.accounts(&["A"]).await;
        let job = NewJob { kind: JobKind::Restore, ..backup() };
        let all = AccountFilter::default();
        tenant.organization.begin_run(tenant.task, RunCause::Restore, &all, &job, at(1)).await.unwrap();
        let lease = claim(&stage.catalog, "w", 2).await.unwrap().lease;
        let item = |n: u64, became, cause| RestoredItem {
            item: n.to_string(),
            became,
            cause,
            code: String::new(),
            lost: String::new(),
        };
        let mut restored: Vec<_> = (1..ITEMS).map(|n| item(n, Became::LeftAlone, None)).collect();
        restored.insert(0, item(0, Became::Failed, Some(FailureCause::Refused)));
        stage.catalog.finish(&lease, &Finished { restored: restored.clone(), ..finished(JobResult::Partial) }, at(3)).await.unwrap();
        let of = &tenant.organization;
        let mut told = Vec::new();
        loop {
            let page = of.restored_items(lease.job, &[], told.len() as u64, 500).await.unwrap();
            if page.is_empty() {
                break;
            }
            assert!(page.iter().map(|(number, _)| *number).eq(told.len() as u64 + 1..=(told.len() + page.len()) as u64));
            told.extend(page.into_iter().map(|(_, item)| item));
        }
        assert_eq!(told, restored);
        assert_eq!(of.restored_items(lease.job, &[Became::Failed, Became::NotHeld], 0, 9).await.unwrap(), [(1, restored[0].clone())]);
        let counts = of.restored_counts(lease.job).await.unwrap();
        let counts: Vec<_> = counts.iter().map(|one| (one.became, one.cause, one.items)).collect();
        assert_eq!(counts, [(Became::Failed, Some(FailureCause::Refused), 1), (Became::LeftAlone, None, ITEMS - 1)]);
        let other = stage.tenant("bob").await.organization;
        assert!(other.restored_items(lease.job, &[], 0, 9).await.unwrap().is_empty());
        assert!(other.restored_counts(lease.job).await.unwrap().is_empty());
    }

    async fn tokens_go_on_from_what_the_repository_says(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        let keys = tenant.accounts(&["A"]).await;
        stage.catalog.raise_fencing_token(keys[0], 41).await.unwrap();
        stage.catalog.raise_fencing_token(keys[0], 5).await.unwrap();
        begin(&tenant, 1).await;
        assert_eq!(claim(&stage.catalog, "w", 2).await.unwrap().lease.fencing_token, 42);
    }

    async fn a_run_is_over_when_its_last_jobs_end_at_the_same_moment(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        tenant.accounts(&["A", "B", "C"]).await;
        for round in 0..20 {
            let (run, jobs) = begin(&tenant, round).await;
            assert_eq!(jobs, 3);
            let together = Arc::new(Barrier::new(3));
            let mut ending = JoinSet::new();
            for _ in 0..3 {
                let (catalog, together) = (stage.catalog.clone(), Arc::clone(&together));
                let job = claim(&catalog, "w", round).await.unwrap();
                ending.spawn(async move {
                    together.wait().await;
                    catalog.finish(&job.lease, &finished(JobResult::Success), at(round)).await
                });
            }
            for ended in ending.join_all().await {
                ended.unwrap();
            }
            assert_eq!(tenant.organization.run(run).await.unwrap().finished_at, Some(at(round)));
        }
    }

    async fn two_racing_workers_never_have_the_same_job(stage: Stage) {
        race(stage, 2).await;
    }

    async fn sixteen_racing_workers_never_have_the_same_job(stage: Stage) {
        race(stage, 16).await;
    }
}

/// Workers claim, die now and then without a word, and finish, until no job is left. The history that they wrote is checked: at any time a job
/// is one worker's, tokens only grow, and every job is finished once.
async fn race(stage: Stage, workers: usize) {
    const JOBS: usize = 40;
    const LOOKS_MAX: i64 = 100_000;
    let tenant = stage.tenant("anna").await;
    let names: Vec<_> = (0..JOBS).map(|n| format!("Account {n:03}")).collect();
    let found: Vec<_> = names
        .iter()
        .map(|name| crate::stage::discovered(name))
        .collect();
    tenant
        .organization
        .note_accounts(tenant.task, &crate::stage::tenant_id(), &found, at(0))
        .await
        .unwrap();
    let (run, jobs) = begin(&tenant, 1).await;
    assert_eq!(jobs, JOBS as u64);
    // Everybody has the same clock; each look at it is a second later, so that the leases of the dead end.
    let clock = Arc::new(AtomicI64::new(10));
    let tasks = (0..workers).map(|worker| {
        let (catalog, clock, organization) = (
            stage.catalog.clone(),
            Arc::clone(&clock),
            tenant.organization.clone(),
        );
        tokio::spawn(async move {
            let name = format!("worker {worker}");
            let mut history = Vec::new();
            let mut turn = worker;
            while organization.run(run).await.unwrap().finished_at.is_none() {
                let now = clock.fetch_add(1, Ordering::SeqCst);
                assert!(now < LOOKS_MAX, "the run does not come to its end");
                let Some(claim) = claim(&catalog, &name, now).await else {
                    continue;
                };
                turn += 1;
                let dies = turn.is_multiple_of(5);
                history.push((claim.account, claim.lease.fencing_token, dies));
                if dies {
                    continue;
                }
                let now = clock.fetch_add(1, Ordering::SeqCst);
                match catalog
                    .finish(&claim.lease, &finished(JobResult::Success), at(now))
                    .await
                {
                    // Others may have looked at the clock so often meanwhile that the lease is over.
                    Ok(()) | Err(Error::LeaseLost) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
            history
        })
    });
    let mut tokens = HashMap::<_, HashSet<_>>::new();
    for task in tasks.collect::<Vec<_>>() {
        for (account, token, _) in task.await.unwrap() {
            assert!(
                tokens.entry(account).or_default().insert(token),
                "two claims of one account with the same token"
            );
        }
    }
    assert_eq!(tokens.len(), JOBS);
    for given in tokens.values() {
        let highest = *given.iter().max().unwrap();
        assert_eq!(
            highest,
            given.len() as u64,
            "tokens without a gap: no claim was lost or made twice"
        );
    }
    let totals = tenant.organization.run_totals(run).await.unwrap();
    assert_eq!((totals.jobs, totals.success), (JOBS as u64, JOBS as u64));
    assert_eq!(totals.items, 7 * JOBS as u64, "every job was finished once");
}
