//! Worlds: what a tenant holds when the emulator starts, and what goes on in it afterwards.
//!
//! A world is made of generated users with believable mail, and of real mail from directories. The same settings always make the same world, down to the
//! ids, except for the times at which mail from directories was loaded.

mod churn;
mod files;
mod letters;
mod mailboxes;
mod people;
mod texts;

use std::path::PathBuf;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{Behaviour, Error, Mailbox, Purpose, Tenant, User};

pub use churn::{Churn, Event, Happening};

/// The domain that every tenant begins with.
const DOMAIN: &str = "contoso.onmicrosoft.com";
/// The most users of a world: each mailbox is in memory.
const USERS_MAX: usize = 10_000;

/// What a tenant holds when the emulator starts.
#[derive(Clone, Debug, Default)]
pub struct World {
    users: usize,
    seed: u64,
    mail: Vec<(String, PathBuf)>,
}

impl World {
    /// A tenant without users.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A company in which exactly `n` accounts have a mailbox. From four on, one of these is a shared mailbox and one a room. Accounts without a
    /// mailbox (a guest, a disabled one, one without Exchange) come on top. User names are aliases at the tenant's initial domain. The first three
    /// people by name are the Global, the Privileged Role and the Exchange Administrator.
    #[must_use]
    pub fn users(mut self, n: usize, seed: u64) -> Self {
        self.users = n;
        self.seed = seed;
        self
    }

    /// Fills a user's mailbox from a directory: every regular file in it is a message, whatever its name and however broken, and every
    /// directory in it is a folder. Files directly in the directory go to the Inbox. The user is an alias or a user principal name, and is added if
    /// there is none.
    #[must_use]
    pub fn mail(mut self, user: &str, directory: impl Into<PathBuf>) -> Self {
        self.mail.push((user.to_owned(), directory.into()));
        self
    }

    /// Makes the tenant.
    ///
    /// # Errors
    /// If a file or directory cannot be read, a user's name is empty, or there are too many users.
    pub fn build(self, now: Timestamp, behaviour: Behaviour) -> Result<Tenant, Error> {
        if self.users > USERS_MAX {
            return Err(Error::Invalid(format!(
                "a world has at most {USERS_MAX} users"
            )));
        }
        let id = Uuid::new_v5(&Uuid::NAMESPACE_DNS, &self.seed.to_be_bytes());
        let tenant = Tenant::new(id, DOMAIN, "Contoso", now, behaviour, self.seed);
        if self.users > 0 {
            people::populate(&tenant, self.users, self.seed);
            mailboxes::fill(&tenant, self.seed);
        }
        for (given, directory) in &self.mail {
            let user = find_or_add(&tenant, given)?;
            let mailbox = match tenant.mailbox(user.id) {
                Some(mailbox) => mailbox,
                None => {
                    tenant.set_mailbox(user.id, new_mailbox(&user));
                    // It was put there just now.
                    let Some(mailbox) = tenant.mailbox(user.id) else {
                        continue;
                    };
                    mailbox
                }
            };
            let mut mailbox = mailbox
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            files::load(&mut mailbox, directory, now).map_err(|error| Error::Mail {
                user: given.clone(),
                directory: directory.clone(),
                source: Box::new(error),
            })?;
        }
        people::appoint(&tenant);
        Ok(tenant)
    }
}

fn find_or_add(tenant: &Tenant, name: &str) -> Result<User, Error> {
    let alias = name.split('@').next().unwrap_or_default();
    if alias.is_empty() {
        return Err(Error::Invalid("a user needs a name".to_owned()));
    }
    let principal_name = match name.contains('@') {
        true => name.to_owned(),
        false => format!("{name}@{}", tenant.domain),
    };
    if let Some(user) = tenant.user(&principal_name) {
        return Ok((*user).clone());
    }
    let id = user_id(tenant, &principal_name);
    let mut user = User::new(id, &principal_name, alias);
    user.set("mailNickname", alias);
    people::license(&mut user, &people::EXCHANGE_ONLINE);
    tenant.set_user(user.clone());
    Ok(user)
}

fn user_id(tenant: &Tenant, principal_name: &str) -> Uuid {
    Uuid::new_v5(&tenant.id, principal_name.to_lowercase().as_bytes())
}

fn new_mailbox(user: &User) -> Mailbox {
    Mailbox::new(Uuid::new_v5(&user.id, b"mailbox"), &user.principal_name)
}

/// Whether somebody reads and writes mail there, as against a room.
fn is_person(user: &User) -> bool {
    !matches!(user.purpose, Purpose::Room | Purpose::Equipment)
}
