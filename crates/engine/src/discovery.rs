//! Finds the accounts of a tenant.
//!
//! A mailbox is found by asking for it, not by reading licences (survival 75): every user but guests is asked for the purpose of the mailbox, and
//! who has none is no account. Shared, room and equipment mailboxes belong to disabled users and are accounts like any other (survival 81).

use graph::{Client, Request, Scope};
use model::{AccountId, Service, TenantId};
use serde::Deserialize;

use crate::{Account, Error, Result};

const WHAT: &str = "the tenant's users could not be read";
/// What is read of a user.
const SELECT: &str = "id,displayName,userPrincipalName,userType";
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
}

/// The mailboxes of the tenant, by address.
///
/// # Errors
/// When the users cannot be listed, or whether one has a mailbox cannot be learnt.
pub async fn mailboxes(graph: &Client, tenant: &TenantId) -> Result<Vec<Account>> {
    let mut found = Vec::new();
    for users in users(graph).await?.chunks(USERS_AT_ONCE) {
        let request = |user: &User| {
            Request::get(format!(
                "/users/{}/mailboxSettings",
                graph::segment(user.id.as_str())
            ))
            .query("$select", "userPurpose")
        };
        let answers = graph
            .batch(&Scope::Directory, users.iter().map(request).collect())
            .await;
        for (user, answer) in users.iter().zip(answers.map_err(Error::graph(WHAT))?) {
            match answer {
                Ok(_) => found.push(account(user, tenant)),
                Err(error) if has_no_mailbox(&error) => {}
                Err(error) => return Err(Error::graph(WHAT)(error)),
            }
        }
    }
    found.sort_by(|a, b| (&a.address, &a.id).cmp(&(&b.address, &b.id)));
    Ok(found)
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
