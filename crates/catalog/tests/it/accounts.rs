//! Long lists of accounts: paging, sorting, filtering, and what is done to all that match.

use catalog::{
    AccountFilter, AccountSort, Direction, Error, LastResult, PageToken, Status, StatusChange,
};

use crate::stage::{Stage, at, discovered, on_both, tenant_id};

on_both! {
    async fn every_account_is_on_one_page_whatever_the_order(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        let names: Vec<_> = (0..57).map(|n| format!("Person {}", n * 37 % 57)).collect();
        tenant.accounts(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
        for sort in AccountSort::ALL {
            for direction in [Direction::Ascending, Direction::Descending] {
                let (mut seen, mut token) = (Vec::new(), None::<PageToken>);
                loop {
                    let page = tenant
                        .organization
                        .accounts(tenant.task, &AccountFilter::default(), *sort, direction, token.as_ref(), 10)
                        .await
                        .unwrap();
                    seen.extend(page.rows.into_iter().map(|account| account.name));
                    token = page.next;
                    if token.is_none() {
                        break;
                    }
                }
                if *sort == AccountSort::Name {
                    let mut sorted = names.iter().map(|name| name.to_lowercase()).collect::<Vec<_>>();
                    sorted.sort();
                    if direction == Direction::Descending {
                        sorted.reverse();
                    }
                    let order: Vec<_> = seen.iter().map(|name| name.to_lowercase()).collect();
                    assert_eq!(order, sorted, "bytewise, on every machine");
                }
                seen.sort();
                let mut all = names.clone();
                all.sort();
                assert_eq!(seen, all, "{sort:?} {direction:?}");
            }
        }
    }

    async fn a_token_of_another_order_is_refused(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        tenant.accounts(&["A", "B", "C"]).await;
        let list = async |sort, token: Option<&PageToken>| {
            tenant.organization.accounts(tenant.task, &AccountFilter::default(), sort, Direction::Ascending, token, 2).await
        };
        let token = list(AccountSort::Name, None).await.unwrap().next.unwrap();
        assert_eq!(list(AccountSort::Name, Some(&token)).await.unwrap().rows.len(), 1);
        for bad in [token, PageToken::from_text("nonsense".to_owned()), PageToken::from_text(String::new())] {
            let refused = list(AccountSort::Size, Some(&bad)).await;
            assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
        }
    }

    async fn names_are_searched_and_sorted_without_case_and_marks(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        tenant.accounts(&["Zoe", "Ångström", "anna_b", "Anna%", "éric", "Émile"]).await;
        let search = async |text: &str| {
            let filter = AccountFilter { text: Some(text.to_owned()), ..AccountFilter::default() };
            let page = tenant.organization.accounts(tenant.task, &filter, AccountSort::Name, Direction::Ascending, None, 50).await.unwrap();
            page.rows.into_iter().map(|account| account.name).collect::<Vec<_>>()
        };
        assert_eq!(search("").await, ["Ångström", "Anna%", "anna_b", "Émile", "éric", "Zoe"].map(sorted_as_bytes()));
        assert_eq!(search("ANGSTROM").await, ["Ångström"]);
        assert_eq!(search("%").await, ["Anna%"], "no pattern");
        assert_eq!(search("_").await, ["anna_b"], "no pattern");
        assert_eq!(search("'; DROP TABLE accounts; --").await, [""; 0]);
    }

    /// An index of PostgreSQL refuses rows of more than 2,704 bytes: one strange name would keep all accounts of its tenant from being found.
    async fn a_name_that_grows_when_it_is_folded_is_kept(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        let mut strange = discovered("Strange");
        strange.name = "\u{fdfa}".repeat(256);
        strange.address = format!("{}@example.com", "\u{fdfa}".repeat(250));
        let found = [strange.clone(), discovered("Other")];
        assert_eq!(tenant.organization.note_accounts(tenant.task, &tenant_id(), &found, at(1)).await.unwrap(), 2);
        let filter = AccountFilter { text: Some("\u{fdfa}".to_owned()), ..AccountFilter::default() };
        let page = tenant.organization.accounts(tenant.task, &filter, AccountSort::Name, Direction::Ascending, None, 10).await.unwrap();
        let names: Vec<_> = page.rows.iter().map(|account| account.name.as_str()).collect();
        assert_eq!(names, [strange.name.as_str()]);
    }

    async fn what_is_done_to_all_that_match_is_done_to_no_other(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        let keys = tenant.accounts(&["A", "B", "C", "D"]).await;
        let change = async |filter: &AccountFilter, change| tenant.organization.change_status(tenant.task, filter, change).await.unwrap();
        let only = |keys: &[_]| AccountFilter { keys: Some(keys.to_vec()), ..AccountFilter::default() };
        assert_eq!(change(&only(&keys[..2]), StatusChange::Activate).await, 2);
        assert_eq!(change(&only(&keys[..3]), StatusChange::Pause).await, 2, "pausing applies to active ones");
        assert_eq!(change(&only(&[]), StatusChange::Archive).await, 0);
        assert_eq!(change(&AccountFilter::default(), StatusChange::Activate).await, 4);
        assert_eq!(change(&only(&keys[3..]), StatusChange::Archive).await, 1);
        let count = async |filter: AccountFilter| tenant.organization.count_accounts(tenant.task, &filter).await.unwrap();
        assert_eq!(count(AccountFilter { status: Some(Status::Active), ..AccountFilter::default() }).await, 3);
        assert_eq!(count(AccountFilter { status: Some(Status::Archived), ..AccountFilter::default() }).await, 1);
        let counts = tenant.organization.account_counts(tenant.task).await.unwrap();
        assert_eq!((counts.all(), counts.failing), (4, 0));
        assert_eq!([Status::Active, Status::Archived, Status::Paused].map(|status| counts.of(status)), [3, 1, 0]);
        assert_eq!(count(AccountFilter { last_result: Some(LastResult::NeverRun), ..AccountFilter::default() }).await, 4);
        assert_eq!(change(&AccountFilter::default(), StatusChange::Activate).await, 0, "an archived account is not activated with all others");
    }

    async fn a_discovery_that_is_wanted_again_is_not_done_by_the_one_under_way(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        let (of, task) = (&tenant.organization, tenant.task);
        let under_way = of.begin_discovery(task).await.unwrap();
        of.discover_again(task).await.unwrap();
        let outdated = of.discovered(task, under_way, at(1)).await;
        assert!(matches!(outdated, Err(Error::Outdated)), "{outdated:?}");
        assert_eq!(of.task(task).await.unwrap().discovered_at, None);
        let next = of.begin_discovery(task).await.unwrap();
        of.discovered(task, next, at(2)).await.unwrap();
        assert_eq!(of.task(task).await.unwrap().discovered_at, Some(at(2)));
        of.discover_again(task).await.unwrap();
        assert_eq!(of.task(task).await.unwrap().discovered_at, None);
    }

    async fn discovery_finds_new_accounts_and_new_names(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        let mut anna = discovered("Anna");
        let note = async |found: &[_]| tenant.organization.note_accounts(tenant.task, &tenant_id(), found, at(1)).await.unwrap();
        assert_eq!(note(&[anna.clone(), discovered("Bob")]).await, 2);
        anna.name = "Anna Married".to_owned();
        assert_eq!(note(&[anna.clone(), discovered("Bob"), discovered("Carol")]).await, 1);
        let page = tenant
            .organization
            .accounts(tenant.task, &AccountFilter::default(), AccountSort::Name, Direction::Ascending, None, 50)
            .await
            .unwrap();
        let names: Vec<_> = page.rows.iter().map(|account| account.name.as_str()).collect();
        assert_eq!(names, ["Anna Married", "Bob", "Carol"]);
        assert_eq!(page.rows[0].source, anna.source);
        assert_eq!(note(&[]).await, 0, "nothing found is not everything gone");
        assert_eq!(tenant.organization.count_accounts(tenant.task, &AccountFilter::default()).await.unwrap(), 3);
    }
}

/// The names as they are: the list above is written in the order of the folded bytes.
fn sorted_as_bytes() -> impl FnMut(&str) -> String {
    str::to_owned
}
