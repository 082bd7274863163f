//! The bar that says whether a connection works: part of the Homepage and of the task page.

use catalog::{Connection, Health};

use crate::{
    problem::sentence,
    words::{When, service},
};

/// The bar.
pub(crate) struct HealthBar {
    pub(crate) class: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) word: &'static str,
    pub(crate) text: String,
    pub(crate) checked: Option<When>,
    /// Whether authenticating again would help.
    pub(crate) again: bool,
    pub(crate) connection: String,
}

impl HealthBar {
    pub(crate) fn new(connection: &Connection) -> Self {
        let (class, icon, word) = match connection.health {
            Health::Checking => ("info", "clock", "Checking permissions"),
            Health::Connected => ("ok", "check", "Connected"),
            Health::Incomplete => ("warn", "alert", "Permissions missing"),
            Health::Disconnected => ("bad", "link", "Disconnected"),
        };
        let tenant = match connection.tenant_name.as_str() {
            "" => connection.tenant.as_str(),
            name => name,
        };
        let mut text = format!("{} in {tenant}.", service(connection.service).1);
        if connection.health == Health::Connected {
            text = format!("to {text} All permissions are granted.");
        } else if !connection.health_detail.is_empty() {
            text = format!("{text} {}", sentence(&connection.health_detail));
        }
        if connection.health == Health::Disconnected {
            text.push_str(" Backups stay restorable.");
        }
        Self {
            class,
            icon,
            word,
            text,
            checked: connection.checked_at.map(When),
            again: matches!(connection.health, Health::Incomplete | Health::Disconnected),
            connection: connection.id.to_string(),
        }
    }
}
