//! Transactions that meet: each is held at every one of its statements while another one is carried out, on PostgreSQL, where both read what was committed
//! when their statements began. SQLite has one writer at a time.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use catalog::{
    AccountFilter, Catalog, ChainCheck, Claim, Error, Finished, Health, JobKind, JobResult,
    JobState, LastResult, Left, NewAudit, NewJob, NewSession, Progress, Role, RunCause, RunId,
    Status, Wanted,
};
use model::{Clock, SystemClock};
use secrets::Sealed;
use sqlx::{AnyConnection, Connection, Row};
use testkit::postgres::{Deed, Proxy};

use crate::stage::{Stage, Tenant, at, discovered, tenant_id, user};

const LEASE: Duration = Duration::from_secs(60);

/// A case: what is there before, and two that meet.
struct Meeting<P, A, B, C> {
    /// Makes what they meet over; the number is another one every time.
    prepare: P,
    /// Is held at its n-th statement.
    first: A,
    /// Goes on meanwhile.
    second: B,
    /// What has to be so afterwards, whoever was faster.
    check: C,
}

impl<T, P, A, B, C> Meeting<P, A, B, C>
where
    P: AsyncFn(&Stage, usize) -> T,
    A: AsyncFn(&Catalog, &T),
    B: AsyncFn(&Catalog, &T),
    C: AsyncFn(&Stage, &T),
{
    /// Lets them meet at every statement of the first. When the second waits for a lock of the first, the first goes on.
    async fn everywhere(self) {
        let Some(url) = testkit::postgres::database() else {
            return;
        };
        let stage = Stage::open(url.clone()).await;
        let proxy = Proxy::before(&url).unwrap();
        let held = Catalog::open(proxy.address()).await.unwrap();
        let mut observer = AnyConnection::connect(&url).await.unwrap();
        let clock = SystemClock::new();
        let mut statements = 0;
        loop {
            let it = (self.prepare)(&stage, statements).await;
            statements += 1;
            proxy.arm(statements as u64, Deed::Hold);
            let first = async {
                (self.first)(&held, &it).await;
                proxy.disarm()
            };
            let meanwhile = async {
                let second = (self.second)(&stage.catalog, &it);
                tokio::pin!(second);
                loop {
                    tokio::select! {
                        () = &mut second => {
                            proxy.release();
                            return;
                        }
                        () = clock.sleep(Duration::from_millis(5)) => {}
                    }
                    if waits_for_a_lock(&mut observer).await {
                        proxy.release();
                        second.await;
                        return;
                    }
                }
            };
            tokio::pin!(first);
            let mut over = None;
            while over.is_none() && !proxy.is_holding() {
                tokio::select! {
                    hit = &mut first => over = Some(hit),
                    () = clock.sleep(Duration::from_millis(1)) => {}
                }
            }
            let hit = match over {
                Some(hit) => {
                    meanwhile.await;
                    hit
                }
                None => tokio::join!(first, meanwhile).0,
            };
            (self.check)(&stage, &it).await;
            if !hit {
                break;
            }
        }
        assert!(statements > 1, "it has statements at which to meet");
    }
}

async fn waits_for_a_lock(observer: &mut AnyConnection) -> bool {
    let text = "SELECT COUNT(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let row = sqlx::query(text).fetch_one(observer).await.unwrap();
    row.get::<i64, _>("n") > 0
}

/// A run with a job that a worker is at.
struct Running {
    tenant: Tenant,
    run: RunId,
    claim: Claim,
}

fn backup() -> NewJob {
    NewJob {
        kind: JobKind::Backup,
        priority: 0,
        input: String::new(),
    }
}

async fn begin(tenant: &Tenant) -> Option<RunId> {
    let (all, job) = (AccountFilter::default(), backup());
    let begun = tenant
        .organization
        .begin_run(tenant.task, RunCause::BackupNow, &all, &job, at(1))
        .await
        .unwrap();
    begun.map(|(run, _)| run)
}

async fn running(stage: &Stage, n: usize, names: &[&str]) -> Running {
    let tenant = stage.tenant(&format!("anna{n}")).await;
    tenant.accounts(names).await;
    let run = begin(&tenant).await.unwrap();
    let claim = stage.catalog.claim("w", LEASE, at(2)).await.unwrap();
    Running {
        tenant,
        run,
        claim: claim.unwrap(),
    }
}

async fn end(catalog: &Catalog, claim: &Claim) {
    let finished = Finished {
        result: JobResult::Success,
        outcome: String::new(),
        progress: Progress::default(),
        snapshot: None,
        failures: None,
        restored: Vec::new(),
    };
    catalog
        .finish(&claim.lease, &finished, at(9))
        .await
        .unwrap();
}

/// Ends what is left of a run, so that no later worker is given it.
async fn clear(stage: &Stage, it: &Running) {
    let organization = &it.tenant.organization;
    if organization
        .run(it.run)
        .await
        .unwrap()
        .finished_at
        .is_none()
    {
        organization
            .want(it.run, Wanted::Cancel, at(9))
            .await
            .unwrap();
    }
    assert!(
        stage
            .catalog
            .claim("w", LEASE, at(1_000))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_goes_on_keeps_no_paused_job() {
    let prepare = async |stage: &Stage, n: usize| {
        let it = running(stage, n, &["A"]).await;
        it.tenant
            .organization
            .want(it.run, Wanted::Pause, at(3))
            .await
            .unwrap();
        it
    };
    let give_back = async |catalog: &Catalog, it: &Running| {
        catalog
            .give_back(&it.claim.lease, &Left::until(at(4)), at(4))
            .await
            .unwrap();
    };
    let go = async |catalog: &Catalog, it: &Running| {
        let organization = catalog.organization(it.tenant.organization.id());
        organization.want(it.run, Wanted::Go, at(4)).await.unwrap();
    };
    let check = async |stage: &Stage, it: &Running| {
        let jobs = it.tenant.organization.jobs(it.run, 10).await.unwrap();
        assert_eq!(jobs[0].state, JobState::Queued);
        clear(stage, it).await;
    };
    Meeting {
        prepare,
        first: give_back,
        second: go,
        check,
    }
    .everywhere()
    .await;
    Meeting {
        prepare,
        first: go,
        second: give_back,
        check,
    }
    .everywhere()
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_run_queues_no_job() {
    let prepare = async |stage: &Stage, n: usize| running(stage, n, &["A"]).await;
    let give_back = async |catalog: &Catalog, it: &Running| {
        catalog
            .give_back(&it.claim.lease, &Left::until(at(4)), at(4))
            .await
            .unwrap();
    };
    let pause = async |catalog: &Catalog, it: &Running| {
        let organization = catalog.organization(it.tenant.organization.id());
        organization
            .want(it.run, Wanted::Pause, at(4))
            .await
            .unwrap();
    };
    let check = async |stage: &Stage, it: &Running| {
        let jobs = it.tenant.organization.jobs(it.run, 10).await.unwrap();
        assert_eq!(jobs[0].state, JobState::Paused);
        clear(stage, it).await;
    };
    Meeting {
        prepare,
        first: give_back,
        second: pause,
        check,
    }
    .everywhere()
    .await;
    Meeting {
        prepare,
        first: pause,
        second: give_back,
        check,
    }
    .everywhere()
    .await;
}

/// One of two cancelled jobs is given back while the account of the other one is queued anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_queued_anew_says_so() {
    struct It {
        running: Running,
        other: Claim,
    }
    let prepare = async |stage: &Stage, n: usize| {
        let running = running(stage, n, &["A", "B"]).await;
        let other = stage
            .catalog
            .claim("w", LEASE, at(2))
            .await
            .unwrap()
            .unwrap();
        running
            .tenant
            .organization
            .want(running.run, Wanted::Cancel, at(3))
            .await
            .unwrap();
        stage
            .catalog
            .give_back(&running.claim.lease, &Left::until(at(4)), at(4))
            .await
            .unwrap();
        It { running, other }
    };
    let give_back = async |catalog: &Catalog, it: &It| {
        catalog
            .give_back(&it.other.lease, &Left::until(at(4)), at(4))
            .await
            .unwrap();
    };
    let again = async |catalog: &Catalog, it: &It| {
        let filter = AccountFilter {
            keys: Some(vec![it.running.claim.account]),
            ..AccountFilter::default()
        };
        let organization = catalog.organization(it.running.tenant.organization.id());
        let task = it.running.tenant.task;
        let begun = organization
            .begin_run(task, RunCause::BackupNow, &filter, &backup(), at(5))
            .await;
        assert!(begun.unwrap().is_some());
    };
    let check = async |stage: &Stage, it: &It| {
        let organization = &it.running.tenant.organization;
        let account = organization
            .account(it.running.claim.account)
            .await
            .unwrap();
        assert_eq!(account.last_result, LastResult::Scheduled);
        let account = organization.account(it.other.account).await.unwrap();
        assert_eq!(account.last_result, LastResult::NeverRun);
        assert!(
            organization
                .run(it.running.run)
                .await
                .unwrap()
                .finished_at
                .is_some()
        );
        let claim = stage
            .catalog
            .claim("w", LEASE, at(6))
            .await
            .unwrap()
            .unwrap();
        end(&stage.catalog, &claim).await;
    };
    Meeting {
        prepare,
        first: give_back,
        second: again,
        check,
    }
    .everywhere()
    .await;
    Meeting {
        prepare,
        first: again,
        second: give_back,
        check,
    }
    .everywhere()
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_ends_with_the_last_of_its_jobs() {
    struct It {
        running: Running,
        other: Claim,
    }
    let prepare = async |stage: &Stage, n: usize| {
        let running = running(stage, n, &["A", "B"]).await;
        let other = stage
            .catalog
            .claim("w", LEASE, at(2))
            .await
            .unwrap()
            .unwrap();
        It { running, other }
    };
    let one = async |catalog: &Catalog, it: &It| end(catalog, &it.running.claim).await;
    let other = async |catalog: &Catalog, it: &It| end(catalog, &it.other).await;
    let check = async |_: &Stage, it: &It| {
        let run = it
            .running
            .tenant
            .organization
            .run(it.running.run)
            .await
            .unwrap();
        assert!(run.finished_at.is_some());
    };
    Meeting {
        prepare,
        first: one,
        second: other,
        check,
    }
    .everywhere()
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_begin_a_run_make_one_job_for_each_account() {
    let prepare = async |stage: &Stage, n: usize| {
        let tenant = stage.tenant(&format!("anna{n}")).await;
        tenant.accounts(&["A", "B", "C"]).await;
        tenant
    };
    let begin = async |catalog: &Catalog, tenant: &Tenant| {
        let organization = catalog.organization(tenant.organization.id());
        let (all, job) = (AccountFilter::default(), backup());
        organization
            .begin_run(tenant.task, RunCause::Schedule, &all, &job, at(1))
            .await
            .unwrap();
    };
    let check = async |stage: &Stage, tenant: &Tenant| {
        let runs = tenant
            .organization
            .runs(tenant.task, None, 10)
            .await
            .unwrap();
        let mut jobs = 0;
        for run in runs {
            let totals = tenant.organization.run_totals(run.id).await.unwrap();
            assert!(totals.jobs > 0, "a run without a job is not begun");
            jobs += totals.jobs;
        }
        assert_eq!(jobs, 3);
        while let Some(claim) = stage.catalog.claim("w", LEASE, at(2)).await.unwrap() {
            end(&stage.catalog, &claim).await;
        }
    };
    Meeting {
        prepare,
        first: begin,
        second: begin,
        check,
    }
    .everywhere()
    .await;
}

/// Whoever knows only the password that was given up is signed out, or was never signed in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_does_not_outlive_its_password() {
    let prepare = async |stage: &Stage, n: usize| {
        (stage.tenant(&format!("anna{n}")).await, format!("token{n}"))
    };
    type It = (Tenant, String);
    let sign_in = async |catalog: &Catalog, (tenant, token): &It| {
        let new = NewSession {
            token_hash: token.clone(),
            user: tenant.user,
            organization: tenant.organization.id(),
            password_hash: "hash".to_owned(),
            expires_at: at(1_000),
        };
        let begun = catalog.begin_session(&new, at(1)).await;
        assert!(
            matches!(begun, Ok(()) | Err(Error::NotFound(_))),
            "{begun:?}"
        );
    };
    let change = async |catalog: &Catalog, (tenant, _): &It| {
        let organization = catalog.organization(tenant.organization.id());
        organization
            .set_password(tenant.user, "other")
            .await
            .unwrap();
    };
    let check = async |stage: &Stage, (_, token): &It| {
        assert!(
            stage
                .catalog
                .session(token, at(0), at(2))
                .await
                .unwrap()
                .is_none()
        );
    };
    Meeting {
        prepare,
        first: sign_in,
        second: change,
        check,
    }
    .everywhere()
    .await;
    Meeting {
        prepare,
        first: change,
        second: sign_in,
        check,
    }
    .everywhere()
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_administrators_do_not_disable_each_other() {
    let prepare = async |stage: &Stage, n: usize| {
        let tenant = stage.tenant(&format!("anna{n}")).await;
        let other = tenant
            .organization
            .add_user(&user(&format!("bob{n}")), at(1))
            .await
            .unwrap();
        (tenant, other)
    };
    type It = (Tenant, catalog::UserId);
    let disable = async |catalog: &Catalog, tenant: &Tenant, who| {
        let organization = catalog.organization(tenant.organization.id());
        let disabled = organization.disable_user(who, at(2)).await;
        assert!(
            matches!(disabled, Ok(()) | Err(Error::Invalid(_))),
            "{disabled:?}"
        );
    };
    let one =
        async |catalog: &Catalog, (tenant, _): &It| disable(catalog, tenant, tenant.user).await;
    let other =
        async |catalog: &Catalog, (tenant, other): &It| disable(catalog, tenant, *other).await;
    let check = async |_: &Stage, (tenant, _): &It| {
        let users = tenant.organization.users().await.unwrap();
        let able = |user: &&catalog::User| !user.disabled && user.role == Role::Administrator;
        assert_eq!(users.iter().filter(able).count(), 1);
    };
    Meeting {
        prepare,
        first: one,
        second: other,
        check,
    }
    .everywhere()
    .await;
    // Nor does one go while the other takes the first one's role away.
    let demote = async |catalog: &Catalog, (tenant, other): &It| {
        let organization = catalog.organization(tenant.organization.id());
        let demoted = organization.set_role(*other, Role::Operator).await;
        assert!(
            matches!(demoted, Ok(()) | Err(Error::Invalid(_))),
            "{demoted:?}"
        );
    };
    Meeting {
        prepare,
        first: one,
        second: demote,
        check,
    }
    .everywhere()
    .await;
}

/// An invitation opened twice at the same moment lets in one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_is_accepted_once() {
    let prepare = async |stage: &Stage, n: usize| {
        let tenant = stage.tenant(&format!("anna{n}")).await;
        let hash = format!("invitation{n}");
        let organization = &tenant.organization;
        organization
            .invite(tenant.user, &hash, at(100))
            .await
            .unwrap();
        (tenant, hash, AtomicUsize::new(0))
    };
    type It = (Tenant, String, AtomicUsize);
    let accept = async |catalog: &Catalog, (_, hash, accepted): &It, password: &str| {
        match catalog.accept_invitation(hash, password, at(1)).await {
            Ok(_) => accepted.fetch_add(1, Ordering::Relaxed),
            Err(Error::NotFound(_)) => 0,
            Err(error) => panic!("{error:?}"),
        };
    };
    let one = async |catalog: &Catalog, it: &It| accept(catalog, it, "one").await;
    let other = async |catalog: &Catalog, it: &It| accept(catalog, it, "other").await;
    let check = async |_: &Stage, (tenant, _, accepted): &It| {
        assert_eq!(accepted.load(Ordering::Relaxed), 1);
        let user = tenant.organization.user(tenant.user).await.unwrap();
        assert_eq!(user.invited_until, None);
        assert!(["one", "other"].contains(&user.password_hash.as_str()));
    };
    Meeting {
        prepare,
        first: one,
        second: other,
        check,
    }
    .everywhere()
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_is_one_chain() {
    let prepare = async |stage: &Stage, n: usize| stage.tenant(&format!("anna{n}")).await;
    let note = async |catalog: &Catalog, tenant: &Tenant| {
        let entry = NewAudit {
            actor: "keepwell".to_owned(),
            action: "looked".to_owned(),
            object: String::new(),
            detail: String::new(),
        };
        let organization = catalog.organization(tenant.organization.id());
        organization.note(&entry, at(1)).await.unwrap();
    };
    let check = async |_: &Stage, tenant: &Tenant| {
        let chain = tenant.organization.check_audit().await.unwrap();
        assert!(
            matches!(chain, ChainCheck::Unbroken { entries: 2, .. }),
            "{chain:?}"
        );
    };
    Meeting {
        prepare,
        first: note,
        second: note,
        check,
    }
    .everywhere()
    .await;
}

/// An earlier discovery found an account gone that a later one found there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_discovery_learned_does_not_count_against_a_later_one() {
    struct It {
        tenant: Tenant,
        key: catalog::AccountKey,
        earlier: u64,
    }
    let prepare = async |stage: &Stage, n: usize| {
        let tenant = stage.tenant(&format!("anna{n}")).await;
        let key = tenant.accounts(&["A"]).await.remove(0);
        let earlier = tenant
            .organization
            .begin_discovery(tenant.task)
            .await
            .unwrap();
        It {
            tenant,
            key,
            earlier,
        }
    };
    let archive = async |catalog: &Catalog, it: &It| {
        let organization = catalog.organization(it.tenant.organization.id());
        let gone = organization
            .archive_gone(it.tenant.task, it.earlier, &[it.key], at(2))
            .await;
        assert!(matches!(gone, Ok(1) | Err(Error::Outdated)), "{gone:?}");
    };
    let find = async |catalog: &Catalog, it: &It| {
        let organization = catalog.organization(it.tenant.organization.id());
        let task = it.tenant.task;
        let later = organization.begin_discovery(task).await.unwrap();
        let found = [discovered("A")];
        organization
            .note_accounts(task, &tenant_id(), &found, at(3))
            .await
            .unwrap();
        organization
            .welcome_back(task, later, &[found[0].source.clone()])
            .await
            .unwrap();
    };
    let check = async |_: &Stage, it: &It| {
        let account = it.tenant.organization.account(it.key).await.unwrap();
        assert_ne!(account.status, Status::Archived);
    };
    Meeting {
        prepare,
        first: archive,
        second: find,
        check,
    }
    .everywhere()
    .await;
    Meeting {
        prepare,
        first: find,
        second: archive,
        check,
    }
    .everywhere()
    .await;
}

/// The old credential has expired, as somebody finds out while another is given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_wrong_with_an_old_credential_is_not_said_of_the_new_one() {
    let prepare = async |stage: &Stage, n: usize| stage.tenant(&format!("anna{n}")).await;
    let judge = async |catalog: &Catalog, tenant: &Tenant| {
        let organization = catalog.organization(tenant.organization.id());
        let old = Sealed::from_text("credential".to_owned());
        organization
            .set_health(
                tenant.connection,
                &old,
                Health::Disconnected,
                "expired",
                at(2),
            )
            .await
            .unwrap();
    };
    let replace = async |catalog: &Catalog, tenant: &Tenant| {
        let organization = catalog.organization(tenant.organization.id());
        let (new, kind) = (
            Sealed::from_text("new".to_owned()),
            catalog::CredentialKind::Secret,
        );
        organization
            .set_credential(tenant.connection, "client", kind, &new, at(2))
            .await
            .unwrap();
    };
    let check = async |_: &Stage, tenant: &Tenant| {
        let connection = tenant
            .organization
            .connection(tenant.connection)
            .await
            .unwrap();
        assert_eq!(connection.health, Health::Checking);
    };
    Meeting {
        prepare,
        first: replace,
        second: judge,
        check,
    }
    .everywhere()
    .await;
    Meeting {
        prepare,
        first: judge,
        second: replace,
        check,
    }
    .everywhere()
    .await;
}

/// From an account whose backups are deleted nothing is restored, and while something is restored they are not deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_are_deleted_or_restored_from() {
    struct It {
        tenant: Tenant,
        key: catalog::AccountKey,
    }
    let prepare = async |stage: &Stage, n: usize| {
        let tenant = stage.tenant(&format!("anna{n}")).await;
        let key = tenant.accounts(&["A"]).await.remove(0);
        let discovery = tenant
            .organization
            .begin_discovery(tenant.task)
            .await
            .unwrap();
        tenant
            .organization
            .archive_gone(tenant.task, discovery, &[key], at(1))
            .await
            .unwrap();
        It { tenant, key }
    };
    let delete = async |catalog: &Catalog, it: &It| {
        let organization = catalog.organization(it.tenant.organization.id());
        organization
            .begin_deletion(it.key, at(5), at(6))
            .await
            .unwrap();
    };
    let restore = async |catalog: &Catalog, it: &It| {
        let organization = catalog.organization(it.tenant.organization.id());
        let job = NewJob {
            kind: JobKind::Restore,
            ..backup()
        };
        let all = AccountFilter::default();
        organization
            .begin_run(it.tenant.task, RunCause::Restore, &all, &job, at(6))
            .await
            .unwrap();
    };
    let check = async |stage: &Stage, it: &It| {
        let account = it.tenant.organization.account(it.key).await.unwrap();
        let jobs = it
            .tenant
            .organization
            .account_jobs(it.key, 10)
            .await
            .unwrap();
        assert_ne!(account.deleted_at.is_some(), !jobs.is_empty());
        if let Some(claim) = stage.catalog.claim("w", LEASE, at(7)).await.unwrap() {
            end(&stage.catalog, &claim).await;
        }
    };
    Meeting {
        prepare,
        first: delete,
        second: restore,
        check,
    }
    .everywhere()
    .await;
    Meeting {
        prepare,
        first: restore,
        second: delete,
        check,
    }
    .everywhere()
    .await;
}
