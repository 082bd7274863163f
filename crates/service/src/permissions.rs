//! Which application permissions a service needs, and why: what the wizard shows, and what is compared with the app's token.

use model::Service;

/// An application permission of Microsoft Graph.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Permission {
    /// As Microsoft calls it.
    pub name: &'static str,
    /// Why Keepwell needs it, in a sentence.
    pub reason: &'static str,
}

const EXCHANGE: &[Permission] = &[
    Permission {
        name: "Mail.ReadWrite",
        reason: "Reads every message and folder to back them up, and puts messages back when you restore.",
    },
    Permission {
        name: "MailboxSettings.Read",
        reason: "Tells who has a mailbox, and of which kind it is.",
    },
    Permission {
        name: "Organization.Read.All",
        reason: "Shows your organization's name beside the connection.",
    },
    Permission {
        name: "User.Read.All",
        reason: "Finds the accounts that can be backed up, with their names and addresses.",
    },
];

/// What a service needs; nothing for services that are not covered yet.
#[must_use]
pub fn needed(service: Service) -> &'static [Permission] {
    match service {
        Service::Exchange => EXCHANGE,
        Service::OneDrive | Service::SharePoint | Service::Groups => &[],
    }
}

/// Those of the needed ones that are not among the granted, whatever their case.
pub(crate) fn missing(service: Service, granted: &[String]) -> Vec<Permission> {
    let is_granted = |name: &str| granted.iter().any(|one| one.eq_ignore_ascii_case(name));
    let missing = needed(service).iter().filter(|one| !is_granted(one.name));
    missing.copied().collect()
}
