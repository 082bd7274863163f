//! A user of the directory: a person, a guest, a shared mailbox, a room.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::DirectoryRole;

/// A user. What Graph shows of it is `properties`; the fields beside it are what the emulator decides by.
#[derive(Clone, Debug)]
pub struct User {
    /// The object id.
    pub id: Uuid,
    /// The user principal name.
    pub principal_name: String,
    /// What the mailbox is for.
    pub purpose: Purpose,
    /// The directory roles that the person holds.
    pub roles: Vec<DirectoryRole>,
    /// The password. [`User::new`] makes one that follows from the id.
    pub password: String,
    /// All properties of `microsoft.graph.user` that this user has, by their names in Graph; missing ones are null or empty.
    /// `id`, `userPrincipalName` are put in by [`User::new`].
    pub properties: Map<String, Value>,
    /// `mailboxSettings` beyond `userPurpose`, for example `timeZone`.
    pub mailbox_settings: Map<String, Value>,
}

/// `mailboxSettings.userPurpose`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Microsoft's and say it")]
pub enum Purpose {
    #[default]
    User,
    Linked,
    Shared,
    Room,
    Equipment,
    Others,
}

impl Purpose {
    /// Microsoft's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Linked => "linked",
            Self::Shared => "shared",
            Self::Room => "room",
            Self::Equipment => "equipment",
            Self::Others => "others",
        }
    }
}

impl User {
    /// An enabled member without a licence.
    #[must_use]
    pub fn new(id: Uuid, principal_name: &str, display_name: &str) -> Self {
        let mut user = Self {
            id,
            principal_name: principal_name.to_owned(),
            purpose: Purpose::User,
            roles: Vec::new(),
            password: password(id),
            properties: Map::new(),
            mailbox_settings: Map::new(),
        };
        user.set("id", id.to_string());
        user.set("userPrincipalName", principal_name);
        user.set("displayName", display_name);
        user.set("mail", principal_name);
        user.set("accountEnabled", true);
        user.set("userType", "Member");
        user
    }

    /// Sets a property of `microsoft.graph.user`.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.properties.insert(name.to_owned(), value.into());
    }

    /// Whether the account may sign in.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.properties.get("accountEnabled") == Some(&Value::Bool(true))
    }

    /// Whether somebody signs in as this user here: neither a guest, whose account is elsewhere, nor a mailbox or room.
    #[must_use]
    pub fn may_sign_in(&self) -> bool {
        let is_member = self.properties.get("userType") != Some(&Value::from("Guest"));
        self.is_enabled() && is_member && self.purpose == Purpose::User
    }

    /// The display name, empty if there is none.
    #[must_use]
    pub fn display_name(&self) -> &str {
        self.properties
            .get("displayName")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// Long and of all kinds of characters, as Entra ID wants them; the same in each run, so that a script may know it.
fn password(id: Uuid) -> String {
    let digest = Sha256::new()
        .chain_update(b"password")
        .chain_update(id.as_bytes())
        .finalize();
    format!("Kw-{}-7", BASE64URL_NOPAD.encode(&digest[..9]))
}
