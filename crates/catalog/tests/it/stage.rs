//! A catalog with something in it, on whichever database.

use catalog::{
    AccountFilter, AccountKey, AccountSort, Catalog, ConnectionId, CredentialKind, Direction,
    Discovered, NewConnection, NewOrganization, NewTask, NewUser, Organization, OrganizationId,
    Role, TaskId, UserId,
};
use jiff::{SignedDuration, Timestamp};
use model::{AccountId, Service, TenantId};
use secrets::Sealed;
use tempfile::TempDir;

/// Runs a test on both databases.
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($stage:ident: $ty:ty) $body:block)*) => {$(
        mod $name {
            use super::*;

            async fn test($stage: $ty) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                let folder = tempfile::tempdir().unwrap();
                test(crate::stage::Stage::sqlite(folder).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                if let Some(url) = testkit::postgres::database() {
                    test(crate::stage::Stage::open(url).await).await;
                }
            }
        }
    )*};
}
pub(crate) use on_both;

pub(crate) struct Stage {
    pub(crate) catalog: Catalog,
    pub(crate) url: String,
    _folder: Option<TempDir>,
}

/// An organization with a user, a connection and a task.
pub(crate) struct Tenant {
    pub(crate) organization: Organization,
    pub(crate) user: UserId,
    pub(crate) connection: ConnectionId,
    pub(crate) task: TaskId,
}

impl Stage {
    pub(crate) async fn sqlite(folder: TempDir) -> Self {
        let url = format!("sqlite:{}", folder.path().join("catalog.db").display());
        Self {
            _folder: Some(folder),
            ..Self::open(url).await
        }
    }

    pub(crate) async fn open(url: String) -> Self {
        let catalog = Catalog::open(&url).await.unwrap();
        Self {
            catalog,
            url,
            _folder: None,
        }
    }

    /// A new organization; `name` also makes its addresses.
    pub(crate) async fn tenant(&self, name: &str) -> Tenant {
        let id = OrganizationId::new();
        let user = self
            .catalog
            .found(&organization(id, name), &user(name), at(0))
            .await
            .unwrap();
        let organization = self.catalog.organization(id);
        let connection = NewConnection {
            id: ConnectionId::new(),
            service: Service::Exchange,
            tenant: tenant_id(),
            tenant_name: name.to_owned(),
            client_id: "client".to_owned(),
            credential_kind: CredentialKind::Secret,
            credential: Sealed::from_text("credential".to_owned()),
        };
        organization
            .add_connection(&connection, at(0))
            .await
            .unwrap();
        let task = NewTask {
            id: TaskId::new(),
            connection: connection.id,
            name: "Mail".to_owned(),
            key: Sealed::from_text("key".to_owned()),
            settings: "{}".to_owned(),
        };
        organization.add_task(&task, at(0)).await.unwrap();
        Tenant {
            organization,
            user,
            connection: connection.id,
            task: task.id,
        }
    }
}

impl Tenant {
    /// Notes accounts by their names, and returns their keys in the order of the names given.
    pub(crate) async fn accounts(&self, names: &[&str]) -> Vec<AccountKey> {
        let found: Vec<_> = names.iter().map(|name| discovered(name)).collect();
        self.organization
            .note_accounts(self.task, &tenant_id(), &found, at(0))
            .await
            .unwrap();
        let mut keys = Vec::new();
        for name in names {
            let filter = AccountFilter {
                text: Some(format!("{}@", source(name))),
                ..AccountFilter::default()
            };
            let page = self
                .organization
                .accounts(
                    self.task,
                    &filter,
                    AccountSort::Name,
                    Direction::Ascending,
                    None,
                    10,
                )
                .await
                .unwrap();
            assert_eq!(page.rows.len(), 1, "{name}");
            keys.push(page.rows[0].key);
        }
        keys
    }
}

pub(crate) fn organization(id: OrganizationId, name: &str) -> NewOrganization {
    NewOrganization {
        id,
        name: name.to_owned(),
        key: Sealed::from_text("key".to_owned()),
        recovery_key: Sealed::from_text("recovery".to_owned()),
    }
}

pub(crate) fn user(name: &str) -> NewUser {
    NewUser {
        name: name.to_owned(),
        address: format!("{name}@example.com"),
        role: Role::Administrator,
        password_hash: "hash".to_owned(),
    }
}

pub(crate) fn discovered(name: &str) -> Discovered {
    Discovered {
        source: AccountId::new(source(name)).unwrap(),
        name: name.to_owned(),
        address: format!("{}@example.com", source(name)),
    }
}

/// An id for whoever has this name, which no other name contains.
fn source(name: &str) -> String {
    format!("id-{}", data_encoding::HEXLOWER.encode(name.as_bytes()))
}

pub(crate) fn tenant_id() -> TenantId {
    TenantId::new("8d1f5f6e-0000-4000-8000-000000000001").unwrap()
}

/// So many seconds after the beginning of all tests.
pub(crate) fn at(seconds: i64) -> Timestamp {
    "2026-11-22T08:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}
