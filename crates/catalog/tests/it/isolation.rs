//! What belongs to one organization cannot be named through another.

use catalog::{
    AccountFilter, AccountSort, Direction, Error, Health, JobKind, NewApiToken, NewJob, NewTask,
    Role, RunCause, StatusChange, TaskId, Wanted,
};
use secrets::Sealed;

use crate::stage::{Stage, at, discovered, on_both, tenant_id};

on_both! {
    async fn an_organization_neither_sees_nor_changes_what_is_anothers(stage: Stage) {
        let (ours, theirs) = (stage.tenant("anna").await, stage.tenant("bob").await);
        let keys = theirs.accounts(&["Their account"]).await;
        let all = AccountFilter::default();
        let job = NewJob { kind: JobKind::Backup, priority: 0, input: String::new() };
        let (run, _) = theirs.organization.begin_run(theirs.task, RunCause::BackupNow, &all, &job, at(1)).await.unwrap().unwrap();
        let us = &ours.organization;

        let missing = |found: Option<&Error>| assert!(matches!(found, Some(Error::NotFound(_))), "{found:?}");
        missing(us.user(theirs.user).await.as_ref().err());
        missing(us.set_password(theirs.user, "stolen").await.as_ref().err());
        missing(us.disable_user(theirs.user, at(2)).await.as_ref().err());
        missing(us.enable_user(theirs.user).await.as_ref().err());
        missing(us.set_role(theirs.user, Role::Auditor).await.as_ref().err());
        missing(us.invite(theirs.user, "stolen", at(100)).await.as_ref().err());
        let token = NewApiToken {
            user: theirs.user,
            name: "Reports".to_owned(),
            role: Role::Auditor,
            token_hash: "hash".to_owned(),
            expires_at: at(100),
        };
        missing(us.add_api_token(&token, at(2)).await.as_ref().err());
        let token = theirs.organization.add_api_token(&token, at(2)).await.unwrap();
        missing(us.revoke_api_token(token, at(3)).await.as_ref().err());
        assert!(us.api_tokens().await.unwrap().is_empty());
        missing(us.connection(theirs.connection).await.as_ref().err());
        missing(us.set_health(theirs.connection, &Sealed::from_text("credential".to_owned()), Health::Disconnected, "", at(2)).await.as_ref().err());
        missing(us.task(theirs.task).await.as_ref().err());
        missing(us.set_settings(theirs.task, "{}").await.as_ref().err());
        missing(us.discover_again(theirs.task).await.as_ref().err());
        missing(us.account(keys[0]).await.as_ref().err());
        missing(us.run(run).await.as_ref().err());
        missing(us.want(run, Wanted::Cancel, at(2)).await.as_ref().err());
        missing(us.note_accounts(theirs.task, &tenant_id(), &[discovered("X")], at(2)).await.as_ref().err());
        missing(us.begin_run(theirs.task, RunCause::BackupNow, &all, &job, at(2)).await.as_ref().err());
        let task = NewTask {
            id: TaskId::new(),
            connection: theirs.connection,
            name: "Theirs".to_owned(),
            key: Sealed::from_text(String::new()),
            settings: "{}".to_owned(),
        };
        missing(us.add_task(&task, at(2)).await.as_ref().err());

        let by_key = AccountFilter { keys: Some(keys.clone()), ..AccountFilter::default() };
        for task in [ours.task, theirs.task] {
            let page = us.accounts(task, &by_key, AccountSort::Name, Direction::Ascending, None, 10).await.unwrap();
            assert!(page.rows.is_empty());
            assert_eq!(us.change_status(task, &by_key, StatusChange::Activate).await.unwrap(), 0);
        }
        assert!(us.jobs(run, 10).await.unwrap().is_empty());
        assert!(us.jobs_in_order(run, None, 10).await.unwrap().is_empty());
        assert_eq!(us.run_totals(run).await.unwrap().jobs, 0);
        assert!(us.runs(theirs.task, None, 10).await.unwrap().is_empty());
        assert!(us.failures(keys[0], None, 10).await.unwrap().is_empty());
        assert_eq!(us.users().await.unwrap().len(), 1);
        assert_eq!(us.connections().await.unwrap().len(), 1);
        assert_eq!(us.tasks().await.unwrap().len(), 1);

        // And nothing of theirs has changed.
        let them = theirs.organization.user(theirs.user).await.unwrap();
        assert_eq!((them.password_hash.as_str(), them.role), ("hash", Role::Administrator));
        assert_eq!((them.disabled, them.invited_until), (false, None));
        assert_eq!(theirs.organization.run_totals(run).await.unwrap().queued, 1);
    }

    async fn the_same_mailbox_may_be_protected_by_two_organizations_and_by_one_task_of_each(stage: Stage) {
        let (ours, theirs) = (stage.tenant("anna").await, stage.tenant("bob").await);
        let (a, b) = (ours.accounts(&["Shared"]).await, theirs.accounts(&["Shared"]).await);
        assert_ne!(a, b);
        let second = NewTask {
            id: TaskId::new(),
            connection: ours.connection,
            name: "Second".to_owned(),
            key: Sealed::from_text(String::new()),
            settings: "{}".to_owned(),
        };
        ours.organization.add_task(&second, at(1)).await.unwrap();
        let new = ours.organization.note_accounts(second.id, &tenant_id(), &[discovered("Shared")], at(1)).await.unwrap();
        assert_eq!(new, 0);
        assert_eq!(ours.organization.account(a[0]).await.unwrap().task, ours.task);
    }
}
