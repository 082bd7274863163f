//! Who sent a message and to whom it went.
//!
//! Mailboxes hold addresses that are no e-mail addresses: X.500 names of people who have left, `undisclosed-recipients`, nothing at all (survival
//! 108, 109). They are sent back as Graph gave them; when it refuses the message, they are left out. The header lines restored with the message
//! still name them.

use serde_json::value::RawValue;

use super::Manner;
use crate::mail::json::Fields;

/// The lists of a message, in Graph's names.
const LISTS: [&str; 4] = ["toRecipients", "ccRecipients", "bccRecipients", "replyTo"];
/// The single people of a message.
const SINGLE: [&str; 2] = ["from", "sender"];

/// The people of one message, as Graph gave them.
#[derive(Debug)]
pub(super) struct People {
    lists: Vec<(&'static str, Box<RawValue>)>,
    single: Vec<(&'static str, Box<RawValue>)>,
}

impl People {
    pub(super) fn of(fields: &Fields<'_>) -> Self {
        let take = |names: &[&'static str]| {
            names
                .iter()
                .filter_map(|&name| Some((name, fields.raw(name)?.to_owned())))
                .collect()
        };
        Self {
            lists: take(&LISTS),
            single: take(&SINGLE),
        }
    }

    /// The fields to send, and how many addresses are left out of them.
    pub(super) fn render(&self, manner: Manner) -> (Vec<(&'static str, Box<RawValue>)>, usize) {
        let mut left_out = 0;
        let mut fields = Vec::new();
        for (name, person) in &self.single {
            if manner == Manner::Faithful || has_mail_address(person) {
                fields.push((*name, person.clone()));
            } else {
                left_out += 1;
            }
        }
        for (name, list) in &self.lists {
            if manner == Manner::Faithful {
                fields.push((*name, list.clone()));
                continue;
            }
            let people: Vec<&RawValue> = serde_json::from_str(list.get()).unwrap_or_default();
            let kept: Vec<&&RawValue> = people
                .iter()
                .filter(|person| has_mail_address(person))
                .collect();
            left_out += people.len() - kept.len();
            fields.push((*name, super::raw(&kept)));
        }
        fields.retain(|(_, value)| value.get() != "[]");
        (fields, left_out)
    }
}

/// Whether a `recipient` has an address that mail could be sent to.
fn has_mail_address(person: &RawValue) -> bool {
    Fields::of(person)
        .ok()
        .and_then(|person| {
            Fields::of(person.raw("emailAddress")?)
                .ok()?
                .text("address")
        })
        .is_some_and(|address| is_mail_address(&address))
}

/// A plain test for `somebody@somewhere`: what Graph refuses is coarser than what RFC 5322 forbids.
fn is_mail_address(address: &str) -> bool {
    let plain = !address.starts_with('/')
        && !address.contains(|c: char| c.is_whitespace() || c.is_control() || "<>,;:".contains(c));
    plain
        && address
            .rsplit_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(json: &str) -> People {
        let json: &RawValue = serde_json::from_str(json).expect("a test's JSON is valid");
        People::of(&Fields::of(json).expect("an object"))
    }

    /// Survival 108 and 109.
    #[test]
    fn addresses_that_are_no_mail_addresses_are_left_out_only_after_a_refusal() {
        let people = people(
            r#"{"from":{"emailAddress":{"name":"Ann","address":"/o=ExchangeLabs/cn=ann"}},
                "toRecipients":[{"emailAddress":{"name":"x","address":""}},{"emailAddress":{"address":"b@example.com"}}],
                "ccRecipients":[],"bccRecipients":null,
                "replyTo":[{"emailAddress":{"address":"/o=x/cn=a@b"}},{"emailAddress":{"address":"c@example.com"}}]}"#,
        );
        let shown = |manner| {
            let (fields, left_out) = people.render(manner);
            let text: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{name}={}", value.get()))
                .collect();
            (text.join(" "), left_out)
        };
        let (faithful, left_out) = shown(Manner::Faithful);
        assert!(
            faithful.contains("cn=ann")
                && faithful.contains(r#""address":"""#)
                && faithful.contains("cn=a@b"),
            "{faithful}"
        );
        assert_eq!(left_out, 0);
        assert_eq!(
            shown(Manner::MailAddresses),
            (
                concat!(
                    r#"toRecipients=[{"emailAddress":{"address":"b@example.com"}}] "#,
                    r#"replyTo=[{"emailAddress":{"address":"c@example.com"}}]"#
                )
                .to_owned(),
                3
            )
        );
    }

    #[test]
    fn lists_that_are_none_are_no_reason_to_fail() {
        let (fields, left_out) =
            people(r#"{"replyTo":{"not":"a list"},"from":"nobody"}"#).render(Manner::Cautious);
        assert!(fields.is_empty());
        assert_eq!(left_out, 1);
    }
}
