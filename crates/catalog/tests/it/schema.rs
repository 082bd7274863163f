//! Opening: twice, at once, and wrongly.

use catalog::{Catalog, Error, Kind};

use crate::stage::{Stage, on_both};

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
