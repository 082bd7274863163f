//! The chain of the audit.

use catalog::{AuditFilter, ChainCheck, NewAudit};

use crate::stage::{Stage, at, on_both};

fn entry(n: i64) -> NewAudit {
    NewAudit {
        actor: "anna".to_owned(),
        action: "looked at a message".to_owned(),
        object: format!("message {n}"),
        detail: String::new(),
    }
}

/// Does something to the database that no function of ours would do.
async fn harm(stage: &Stage, statement: &'static str) {
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(&stage.url).await.unwrap();
    let done = sqlx::query(statement).execute(&pool).await.unwrap();
    assert!(done.rows_affected() > 0, "{statement}");
    pool.close().await;
}

on_both! {
    async fn entries_made_at_once_are_numbered_without_a_gap(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        let notes = (0..40).map(|n| {
            let organization = tenant.organization.clone();
            tokio::spawn(async move { organization.note(&entry(n), at(n)).await.unwrap() })
        });
        let mut hashes = Vec::new();
        for note in notes.collect::<Vec<_>>() {
            hashes.push(note.await.unwrap());
        }
        let entries = tenant.organization.audit(None, 100).await.unwrap();
        let numbers: Vec<_> = entries.iter().map(|entry| entry.number).collect();
        assert_eq!(numbers, (1..=40).rev().collect::<Vec<_>>());
        let last = entries[0].hash.clone();
        assert!(hashes.contains(&last));
        assert_eq!(tenant.organization.check_audit().await.unwrap(), ChainCheck::Unbroken { entries: 40, last });
        let page = tenant.organization.audit(Some(11), 5).await.unwrap();
        assert_eq!(page.iter().map(|entry| entry.number).collect::<Vec<_>>(), [10, 9, 8, 7, 6]);
    }

    async fn a_changed_or_missing_entry_breaks_the_chain(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        for n in 0..10 {
            tenant.organization.note(&entry(n), at(n)).await.unwrap();
        }
        harm(&stage, "UPDATE audit SET actor = 'bob' WHERE number = 7").await;
        assert_eq!(tenant.organization.check_audit().await.unwrap(), ChainCheck::Broken { number: 7 });
        harm(&stage, "DELETE FROM audit WHERE number = 3").await;
        assert_eq!(tenant.organization.check_audit().await.unwrap(), ChainCheck::Broken { number: 3 });
    }

    async fn entries_are_found_by_who_what_whom_and_when(stage: Stage) {
        let (tenant, other) = (stage.tenant("anna").await, stage.tenant("bob").await);
        let notes = [
            ("anna", "signed in", "anna"),
            ("bob", "looked at a message", "account item"),
            ("anna", "looked at a message", "account other item"),
            ("anna", "began a backup", "account-2"),
            ("anna", "searched an account", "account"),
        ];
        for (n, (actor, action, object)) in (1..).zip(notes) {
            let new = NewAudit { actor: actor.to_owned(), action: action.to_owned(), object: object.to_owned(), detail: String::new() };
            tenant.organization.note(&new, at(n)).await.unwrap();
        }
        other.organization.note(&entry(1), at(1)).await.unwrap();
        let found = async |filter: AuditFilter| {
            let entries = tenant.organization.audit_of(&filter, None, 10).await.unwrap();
            entries.iter().map(|entry| entry.number).collect::<Vec<_>>()
        };
        let all = AuditFilter::default();
        assert_eq!(found(all.clone()).await, [5, 4, 3, 2, 1]);
        assert_eq!(found(AuditFilter { actor: Some("bob".to_owned()), ..all.clone() }).await, [2]);
        assert_eq!(found(AuditFilter { action: Some("looked at a message".to_owned()), ..all.clone() }).await, [3, 2]);
        assert_eq!(found(AuditFilter { object: Some("account".to_owned()), ..all.clone() }).await, [5, 3, 2]);
        assert_eq!(found(AuditFilter { from: Some(at(2)), until: Some(at(4)), ..all.clone() }).await, [3, 2]);
        let both = AuditFilter { actor: Some("anna".to_owned()), object: Some("account".to_owned()), ..all };
        assert_eq!(found(both).await, [5, 3]);
        let actions = tenant.organization.audit_actions().await.unwrap();
        assert_eq!(actions, ["began a backup", "looked at a message", "searched an account", "signed in"]);
    }
}
