//! Finds the accounts of a tenant.
//!
//! A mailbox is found by asking for it, not by reading licences (survival 75): every user but guests is asked for the purpose of the mailbox, and
//! who has none is no account. Shared, room and equipment mailboxes belong to disabled users and are accounts like any other (survival 81).

use graph::{Client, Request, Scope};
use model::{AccountId, Service, TenantId};
use serde::{Deserialize, de::IgnoredAny};

use crate::{Account, Error, Result};

const WHAT: &str = "the tenant's users could not be read";
/// What is read of a user.
const SELECT: &str = "id,displayName,userPrincipalName,userType,assignedLicenses";
/// The largest page that Graph gives of users.
const PAGE: &str = "999";
/// Users asked in one go for their mailbox.
const USERS_AT_ONCE: usize = 200;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    id: AccountId,
    display_name: Option<String>,
    user_principal_name: Option<String>,
    user_type: Option<String>,
    assigned_licenses: Option<Vec<IgnoredAny>>,
}

/// A mailbox that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Whose it is.
    pub account: Account,
    /// Whether the user has a licence, for whatever: shared mailboxes, rooms and leavers have none.
    pub licensed: bool,
}

/// The mailboxes of the tenant, by address.
///
/// # Errors
/// When the users cannot be listed, or whether one has a mailbox cannot be learnt.
pub async fn mailboxes(graph: &Client, tenant: &TenantId) -> Result<Vec<Account>> {
    let found = found(graph, tenant).await?;
    Ok(found.into_iter().map(|found| found.account).collect())
}

/// The mailboxes of the tenant with what is known of each, by address.
///
/// # Errors
/// As [`mailboxes`].
pub async fn found(graph: &Client, tenant: &TenantId) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for users in users(graph).await?.chunks(USERS_AT_ONCE) {
        let ids = users.iter().map(|user| &user.id);
        for (user, has_mailbox) in users.iter().zip(have_mailboxes(graph, ids).await?) {
            if has_mailbox {
                found.push(Found {
                    account: account(user, tenant),
                    licensed: user
                        .assigned_licenses
                        .as_ref()
                        .is_some_and(|licences| !licences.is_empty()),
                });
            }
        }
    }
    found.sort_by(|a, b| {
        let key = |one: &Found| (one.account.address.clone(), one.account.id.clone());
        key(a).cmp(&key(b))
    });
    Ok(found)
}

/// Those of the accounts that the source, asked for each, says are no mailboxes any more. That one is not listed says nothing.
///
/// # Errors
/// When the source says neither of one of them.
pub async fn gone(graph: &Client, accounts: &[AccountId]) -> Result<Vec<AccountId>> {
    let mut gone = Vec::new();
    for some in accounts.chunks(USERS_AT_ONCE) {
        let there = have_mailboxes(graph, some.iter()).await?;
        let asked = some.iter().zip(there);
        gone.extend(asked.filter(|(_, there)| !there).map(|(id, _)| id.clone()));
    }
    Ok(gone)
}

/// For each user whether there is a mailbox.
async fn have_mailboxes(
    graph: &Client,
    users: impl Iterator<Item = &AccountId>,
) -> Result<Vec<bool>> {
    let request = |user: &AccountId| {
        Request::get(format!(
            "/users/{}/mailboxSettings",
            graph::segment(user.as_str())
        ))
        .query("$select", "userPurpose")
    };
    let answers = graph
        .batch(&Scope::Directory, users.map(request).collect())
        .await;
    let answers = answers.map_err(Error::graph(WHAT))?;
    let answers = answers.into_iter().map(|answer| match answer {
        Ok(_) => Ok(true),
        Err(error) if has_no_mailbox(&error) => Ok(false),
        Err(error) => Err(Error::graph(WHAT)(error)),
    });
    answers.collect()
}

/// Everybody but guests. Users made before 2014 have no type (survival 71).
async fn users(graph: &Client) -> Result<Vec<User>> {
    let request = Request::get("/users")
        .query("$select", SELECT)
        .query("$top", PAGE);
    let mut pages = graph.pages(&Scope::Directory, request);
    let mut users = Vec::new();
    while let Some(page) = pages.next().await.map_err(Error::graph(WHAT))? {
        for item in page.items {
            let user: User = serde_json::from_str(item.get()).map_err(|_| Error::Answer(WHAT))?;
            if !user
                .user_type
                .as_deref()
                .is_some_and(|kind| kind.eq_ignore_ascii_case("guest"))
            {
                users.push(user);
            }
        }
    }
    Ok(users)
}

/// Survival 72.
fn has_no_mailbox(error: &graph::Error) -> bool {
    const CODES: [&str; 4] = [
        "MailboxNotEnabledForRESTAPI",
        "ErrorInvalidUser",
        "ResourceNotFound",
        "Request_ResourceNotFound",
    ];
    CODES.iter().any(|code| error.has_code(code))
}

fn account(user: &User, tenant: &TenantId) -> Account {
    let address = user
        .user_principal_name
        .clone()
        .unwrap_or_else(|| user.id.to_string());
    Account {
        id: user.id.clone(),
        tenant: tenant.clone(),
        service: Service::Exchange,
        name: user
            .display_name
            .clone()
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| address.clone()),
        address,
    }
}
