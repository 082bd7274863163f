//! The people of a generated company: names, departments, licences, and a few accounts that are no people.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use uuid::Uuid;

use super::{new_mailbox, texts, user_id};
use crate::{DirectoryRole, Purpose, Tenant, User};

/// A product with a service plan, as Microsoft publishes them.
pub(super) struct Licence {
    sku: Uuid,
    plan: Uuid,
}

/// Microsoft 365 E3 with Exchange Online (Plan 2).
pub(super) const EXCHANGE_ONLINE: Licence = Licence {
    sku: Uuid::from_u128(0x05e9_a617_0261_4cee_bb44_138d_3ef5_d965),
    plan: Uuid::from_u128(0xefb8_7545_963c_4e0d_99df_69c6_916d_9eb0),
};

/// Dynamics 365 with Exchange Foundation, which brings no mailbox.
const FOUNDATION_ONLY: Licence = Licence {
    sku: Uuid::from_u128(0x977c_464c_bfaf_4b67_b761_a9bb_735a_2196),
    plan: Uuid::from_u128(0x113f_eb6c_3fe4_4440_bddc_54d7_74bf_0318),
};

/// From this many mailboxes on, one is shared and one a room.
const WITH_SPECIAL: usize = 4;

/// Adds all accounts, with empty mailboxes where they have one.
pub(super) fn populate(tenant: &Tenant, mailboxes: usize, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let special = if mailboxes >= WITH_SPECIAL { 2 } else { 0 };
    let mut users: Vec<User> = (0..mailboxes - special)
        .map(|index| person(tenant, &mut random, index))
        .collect();
    if special > 0 {
        users.push(account(tenant, "info", "Contoso Info", Purpose::Shared));
        users.push(account(tenant, "room.aurora", "Room Aurora", Purpose::Room));
    }
    for user in users {
        tenant.set_mailbox(user.id, new_mailbox(&user));
        tenant.set_user(user);
    }
    for user in without_mailbox(tenant) {
        tenant.set_user(user);
    }
}

/// Gives directory roles to the first people by name who have a licence and may sign in: as many roles as there are people.
pub(super) fn appoint(tenant: &Tenant) {
    let mut people = tenant.users();
    people.retain(|user| user.may_sign_in() && tenant.mailbox(user.id).is_some());
    people.sort_by(|a, b| a.principal_name.cmp(&b.principal_name));
    let roles = [
        DirectoryRole::GlobalAdministrator,
        DirectoryRole::PrivilegedRoleAdministrator,
        DirectoryRole::ExchangeAdministrator,
    ];
    for (user, role) in people.iter().zip(roles) {
        let mut user = User::clone(user);
        user.roles.push(role);
        tenant.set_user(user);
    }
}

fn person(tenant: &Tenant, random: &mut StdRng, index: usize) -> User {
    let given = texts::GIVEN_NAMES[index % texts::GIVEN_NAMES.len()];
    // Shifted by one name in each round, so that full names repeat as late as can be.
    let round = index / texts::GIVEN_NAMES.len();
    let family = texts::FAMILY_NAMES[(index + round) % texts::FAMILY_NAMES.len()];
    let number = index / (texts::GIVEN_NAMES.len() * texts::FAMILY_NAMES.len());
    let (department, title) = texts::POSITIONS[random.random_range(0..texts::POSITIONS.len())];
    let mut alias = format!("{}.{}", ascii(given), ascii(family));
    if number > 0 {
        alias = format!("{alias}{number}");
    }
    let mut user = base(tenant, &alias, &format!("{given} {family}"));
    user.set("givenName", given);
    user.set("surname", family);
    user.set("department", department);
    user.set("jobTitle", title);
    let floor = random.random_range(1..6);
    user.set("officeLocation", format!("{floor}/{:02}", index % 40));
    user.set("preferredLanguage", "en-US");
    let phone = format!("+1 425 555 {:04}", index % 10_000);
    user.set("businessPhones", json!([phone]));
    user.set("usageLocation", "US");
    license(&mut user, &EXCHANGE_ONLINE);
    user
}

/// An account with a mailbox that nobody signs in to.
fn account(tenant: &Tenant, alias: &str, name: &str, purpose: Purpose) -> User {
    let mut user = base(tenant, alias, name);
    user.purpose = purpose;
    user.set("accountEnabled", false);
    user
}

/// A guest, a leaver whose licence was taken, and an account whose only Exchange plan brings no mailbox.
fn without_mailbox(tenant: &Tenant) -> Vec<User> {
    let mut guest = base(
        tenant,
        "kim.partner_fabrikam.example#EXT#",
        "Kim Partner (Fabrikam)",
    );
    guest.set("userType", "Guest");
    guest.set("mail", "kim.partner@fabrikam.example");
    let mut leaver = base(tenant, "former.employee", "Former Employee");
    leaver.set("accountEnabled", false);
    let mut service = base(tenant, "svc.dispatch", "Dispatch Service");
    license(&mut service, &FOUNDATION_ONLY);
    // Accounts made before 2014 have none.
    service.set("userType", serde_json::Value::Null);
    vec![guest, leaver, service]
}

fn base(tenant: &Tenant, alias: &str, name: &str) -> User {
    let principal_name = format!("{alias}@{}", tenant.domain);
    let mut user = User::new(user_id(tenant, &principal_name), &principal_name, name);
    user.set("mailNickname", alias.replace('#', ""));
    user.set("createdDateTime", "2021-03-01T08:00:00Z");
    user.set("proxyAddresses", json!([format!("SMTP:{principal_name}")]));
    user.mailbox_settings
        .insert("timeZone".to_owned(), json!("UTC"));
    user
}

/// Gives a licence and the service plan in it.
pub(super) fn license(user: &mut User, licence: &Licence) {
    user.set(
        "assignedLicenses",
        json!([{"disabledPlans": [], "skuId": licence.sku}]),
    );
    user.set(
        "assignedPlans",
        json!([{
            "assignedDateTime": "2021-03-01T08:00:00Z",
            "capabilityStatus": "Enabled",
            "service": "exchange",
            "servicePlanId": licence.plan,
        }]),
    );
}

/// Letters of an alias: the few accented ones in the lists of names are written plainly.
fn ascii(name: &str) -> String {
    name.to_lowercase()
        .chars()
        .map(|c| match c {
            'á' | 'ä' | 'å' => 'a',
            'é' | 'ë' => 'e',
            'í' => 'i',
            'ó' | 'ö' | 'ø' => 'o',
            'ü' => 'u',
            'ł' => 'l',
            'ñ' => 'n',
            'ç' => 'c',
            c => c,
        })
        .filter(char::is_ascii_alphanumeric)
        .collect()
}
