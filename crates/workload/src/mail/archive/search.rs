//! Looking for messages of a mailbox as of a snapshot by their subject, their sender and the days on which they came.
//!
//! What lists show of each message is looked at, one after another, as far as the caller allows at a time: by the month's list where there is one, else in
//! what Graph said of it. The text of messages and what is attached to them is not looked at. Months that lie outside the days asked for are passed over
//! unread.

use jiff::{Timestamp, tz::TimeZone};
use model::ItemId;

use super::{Archive, Listed, MessageRef, is_before, months, place};
use crate::Result;

/// What is looked for. Nothing of it given finds every message.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Search {
    /// Words which the subject, the sender's name and address hold together, each as it is or within another word, in capitals or not.
    pub words: String,
    /// Came at this time or later.
    pub from: Option<Timestamp>,
    /// Came before this time.
    pub until: Option<Timestamp>,
    /// Only in this folder, without those inside; else in all.
    pub folder: Option<ItemId>,
}

/// Some of what was found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Found {
    /// The messages with their folders: folder by folder, in each the latest first.
    pub messages: Vec<(ItemId, Listed)>,
    /// How many messages were looked at for it.
    pub looked_at: u64,
    /// After which message to go on, when there is more to look at.
    pub next: Option<MessageRef>,
}

impl Archive {
    /// Looks for messages after the one at which the search before ended, until `rows` are found or `looked_at_max` are looked at; both are at
    /// least 1.
    ///
    /// # Errors
    /// When the snapshot cannot be read.
    pub async fn search(
        &self,
        search: &Search,
        after: Option<&MessageRef>,
        rows: usize,
        looked_at_max: u64,
    ) -> Result<Found> {
        let words: Vec<String> = search.words.split_whitespace().map(folded).collect();
        let mut found = Found::default();
        let mut after = after;
        for folder in &self.folders {
            let Some(record) = self.records.get(&folder.id) else {
                continue;
            };
            if search.folder.as_ref().is_some_and(|one| *one != folder.id) {
                continue;
            }
            let path = self.records.path(&folder.id);
            let last = match after {
                None => None,
                Some(at) if self.holder(at).is_some_and(|held| held.id == folder.id) => {
                    place(&path, &at.path)
                }
                // It was searched before.
                Some(_) => continue,
            };
            after = None;
            for (month, directories) in months(record) {
                if last.is_some_and(|(last, _)| month > last) || !search.may_be_in(month) {
                    continue;
                }
                for entry in self.month(&path, &directories).await? {
                    if last.is_some_and(|last| is_before(month, entry.at(), last)) {
                        continue;
                    }
                    if found.messages.len() == rows || found.looked_at == looked_at_max {
                        return Ok(found);
                    }
                    found.looked_at += 1;
                    found.next = Some(entry.at().clone());
                    let listed = self.shown(entry).await?;
                    if search.is_met(&words, &listed) {
                        found.messages.push((folder.id.clone(), listed));
                    }
                }
            }
        }
        found.next = None;
        Ok(found)
    }
}

impl Search {
    /// Whether a month, as directories are named, can hold a message that came in the days asked for.
    fn may_be_in(&self, month: &str) -> bool {
        let name = |time: Timestamp| time.to_zoned(TimeZone::UTC).strftime("%Y-%m").to_string();
        let is_asked_for = self.from.is_some() || self.until.is_some();
        // Messages that never came, such as drafts, lie in a month of another name.
        if !month.starts_with(|c: char| c.is_ascii_digit()) {
            return !is_asked_for;
        }
        self.from.is_none_or(|from| month >= name(from).as_str())
            && self.until.is_none_or(|until| month <= name(until).as_str())
    }

    fn is_met(&self, words: &[String], listed: &Listed) -> bool {
        let is_asked_for = self.from.is_some() || self.until.is_some();
        let is_in_time = match listed.received {
            Some(time) => {
                self.from.is_none_or(|from| time >= from)
                    && self.until.is_none_or(|until| time < until)
            }
            None => !is_asked_for,
        };
        let text =
            [&listed.subject, &listed.sender_name, &listed.sender_address].map(|text| folded(text));
        is_in_time
            && words
                .iter()
                .all(|word| text.iter().any(|text| text.contains(word)))
    }
}

fn folded(text: &str) -> String {
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn listed(subject: &str, sender: &str, received: Option<&str>) -> Listed {
        Listed {
            at: MessageRef {
                path: String::new(),
            },
            id: ItemId::new("x").expect("an id"),
            subject: subject.to_owned(),
            sender_name: sender.to_owned(),
            sender_address: "someone@contoso.example".to_owned(),
            received: received.map(time),
            has_attachments: false,
            is_read: true,
            size_bytes: 1,
        }
    }

    #[test]
    fn every_word_must_be_in_the_subject_or_the_sender() {
        let check = |words: &str, expected| {
            let search = Search::default();
            let words: Vec<String> = words.split_whitespace().map(folded).collect();
            let message = listed("Über den Zaun", "Ada King", None);
            assert_eq!(search.is_met(&words, &message), expected, "{words:?}");
        };
        check("", true);
        check("ZAUN", true);
        check("über ada", true);
        check("contoso", true);
        check("zaun bob", false);
    }

    #[test]
    fn days_are_a_half_open_span_and_months_outside_are_not_read() {
        let search = Search {
            from: Some(time("2026-02-10T00:00:00Z")),
            until: Some(time("2026-03-01T00:00:00Z")),
            ..Search::default()
        };
        for (received, expected) in [
            (Some("2026-02-09T23:59:59Z"), false),
            (Some("2026-02-10T00:00:00Z"), true),
            (Some("2026-02-28T23:59:59Z"), true),
            (Some("2026-03-01T00:00:00Z"), false),
            (None, false),
        ] {
            assert_eq!(
                search.is_met(&[], &listed("", "", received)),
                expected,
                "{received:?}"
            );
        }
        let read = ["2026-01", "2026-02", "2026-03", "2026-04", "undated"]
            .map(|month| search.may_be_in(month));
        assert_eq!(read, [false, true, true, false, false]);
        assert!(Search::default().may_be_in("undated"));
    }
}
