//! Opening: twice, at once, and wrongly.

use catalog::{Catalog, Error, Kind, OrganizationId, RunId, TaskId};
use sqlx::{
    AssertSqlSafe, SqlStr,
    any::AnyPoolOptions,
    migrate::{Migration, MigrationType, Migrator},
};

use crate::stage::{Stage, at, on_both};

on_both! {
    async fn what_is_there_stays_when_the_database_is_opened_again(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        let again = Catalog::open(&stage.url).await.unwrap();
        again.ping().await.unwrap();
        assert_eq!(again.organizations().await.unwrap().len(), 1);
        assert_eq!(again.organization(tenant.organization.id()).get().await.unwrap().name, "anna");
        assert!(again.has_users().await.unwrap());
    }

    async fn several_processes_may_open_a_new_database_at_once(stage: Stage) {
        let url = match stage.url.strip_suffix("catalog.db") {
            Some(folder) => format!("{folder}other.db"),
            None => testkit::postgres::database().unwrap(),
        };
        let opened = (0..8).map(|_| {
            let url = url.clone();
            tokio::spawn(async move { Catalog::open(&url).await.map(drop) })
        });
        for opened in opened.collect::<Vec<_>>() {
            opened.await.unwrap().unwrap();
        }
    }
}

on_both! {
    /// abuse 65: an older program does nothing to it.
    async fn a_database_of_a_later_version_is_refused_as_it_is(stage: Stage) {
        stage.tenant("anna").await;
        let pool = AnyPoolOptions::new().max_connections(1).connect(&stage.url).await.unwrap();
        let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) SELECT version + 1000, 'later', success, checksum, 0
             FROM _sqlx_migrations WHERE version = 1";
        sqlx::query(later).execute(&pool).await.unwrap();
        let migrations = async || {
            let rows = sqlx::query("SELECT version FROM _sqlx_migrations").fetch_all(&pool).await.unwrap();
            rows.len()
        };
        let before = migrations().await;
        let refused = Catalog::open(&stage.url).await.unwrap_err();
        assert!(matches!(refused, Error::Later), "{refused}");
        assert_eq!(refused.kind(), Kind::Corrupt);
        assert!(refused.to_string().contains("a later version of Keepwell"), "{refused}");
        assert_eq!(migrations().await, before);
        sqlx::query("DELETE FROM _sqlx_migrations WHERE version = 1001").execute(&pool).await.unwrap();
        let again = Catalog::open(&stage.url).await.unwrap();
        assert_eq!(again.organizations().await.unwrap().len(), 1, "nothing is lost");
    }

    /// abuse 65: a database of the first version with a hundred thousand jobs opens, and knows what they came to.
    async fn a_hundred_thousand_jobs_are_brought_up_to_date(stage: Stage) {
        const JOBS: i64 = 100_000;
        const RUNS: i64 = 100;
        let url = match stage.url.strip_suffix("catalog.db") {
            Some(folder) => format!("{folder}old.db?mode=rwc"),
            None => testkit::postgres::database().unwrap(),
        };
        let is_postgres = url.starts_with("postgres");
        let pool = AnyPoolOptions::new().max_connections(1).connect(&url).await.unwrap();
        if is_postgres {
            sqlx::query("CREATE DOMAIN folded_text AS text COLLATE \"C\"").execute(&pool).await.unwrap();
        }
        let first = Migration::new(1, "control plane".into(), MigrationType::Simple, SqlStr::from_static(include_str!("../../migrations/0001_control_plane.sql")), false);
        Migrator::with_migrations(vec![first]).run(&pool).await.unwrap();
        let organization = OrganizationId::new();
        let task = TaskId::new();
        let runs: Vec<_> = (0..RUNS).map(|_| RunId::new()).collect();
        let (o, t) = (organization, task);
        for statement in [
            format!("INSERT INTO organizations VALUES ('{o}', 'anna', 'key', 'key', 0, 0)"),
            format!("INSERT INTO connections VALUES ('c', '{o}', 'exchange', 'tenant', '', 'client', 'secret', 'x', 'connected', '', 0, 0)"),
            format!("INSERT INTO tasks VALUES ('{t}', '{o}', 'c', 'exchange', 'Mail', 'mail', 'key', '{{}}', 0)"),
            format!("INSERT INTO accounts VALUES ('a', '{o}', '{t}', 'exchange', 'tenant', 'source', 'A', 'a', 'a', 'a', 'active', 'success', 0, 0, '', 0, 0, 0, 0, 0)"),
        ] {
            sqlx::query(AssertSqlSafe(statement)).execute(&pool).await.unwrap();
        }
        for (n, run) in runs.iter().enumerate() {
            // A run each day.
            let day = n as i64 * 86_400_000_000 + 1;
            for statement in [
                format!("INSERT INTO runs VALUES ('{run}', '{o}', '{t}', 'schedule', 'go', {day}, {day})"),
                format!("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})
                     INSERT INTO jobs SELECT '{run}' || i, '{o}', '{run}', 'a', 'backup', 'finished', 0, 0, '', 0, 0, 1, '',
                         CASE i % 100 WHEN 0 THEN 'failed' ELSE 'success' END, '', 2, 2, 30, '', 0, 0, {day} FROM n", JOBS / RUNS),
            ] {
                sqlx::query(AssertSqlSafe(statement)).execute(&pool).await.unwrap();
            }
        }
        pool.close().await;
        let catalog = Catalog::open(&url.replace("?mode=rwc", "")).await.unwrap();
        let of = catalog.organization(organization);
        let totals = of.run_totals(runs[7]).await.unwrap();
        assert_eq!((totals.jobs, totals.success, totals.failed), (1_000, 990, 10));
        assert_eq!((totals.items, totals.bytes), (2_000, 30_000));
        let days = of.backups_by_day(jiff::Timestamp::UNIX_EPOCH).await.unwrap();
        assert_eq!(days.len(), RUNS as usize);
        assert_eq!((days[7].2.success, days[7].2.failed), (990, 10));
        assert!(catalog.claim("w", std::time::Duration::from_secs(60), at(0)).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_wrong_address_is_refused_with_the_right_forms() {
    for url in ["mysql://localhost/x", "catalog.db", ""] {
        let error = Catalog::open(url).await.unwrap_err();
        assert!(matches!(error, Error::Address), "{url}: {error}");
        assert_eq!(error.kind(), Kind::Invalid);
    }
    let error = Catalog::open("sqlite:/no/such/folder/catalog.db")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
}
