//! What of a message only its extended properties tell: the header lines it came with, and which messages it answers.

use std::collections::BTreeMap;

use engine::Account;
use graph::{Request, Scope, segment};
use serde_json::Value;

use super::{
    prints::{Print, print},
    stage::Stage,
};

const HEADERS: &str = "String 0x7d";
const IN_REPLY_TO: &str = "String 0x1042";
const REFERENCES: &str = "String 0x1039";
/// Messages asked for at once: each may have header lines of some hundred kilobytes.
const PAGE: &str = "50";
/// Bytes of header lines compared. A restore brings back 256 KiB, which is where a character may have been cut in two.
const HEADER_BYTES_MAX: usize = 255 * 1024;
/// ASCII characters compared of header lines that are no text: a quarter of what is restored, since other characters may lie between.
const BARE_MAX: usize = 64 * 1024;
/// Lines of a body that look like header lines to Exchange, when a mail has no empty line before them.
const BODY_LINES_MAX: usize = 2;

/// The properties of one message, hashed.
#[derive(Default)]
pub(super) struct Properties {
    in_reply_to: Print,
    references: Print,
    /// `None` for a draft.
    headers: Option<Headers>,
    /// Those of the MIME, of which Graph may tell only a part.
    mime_headers: Print,
}

#[derive(PartialEq)]
struct Headers {
    /// Whole, and without its last line or lines.
    texts: [Print; BODY_LINES_MAX + 1],
    is_text: bool,
    begins_like_mail: bool,
    /// The ASCII characters without spaces and controls.
    bare: Print,
}

/// The properties of all messages in a folder, by the message's id.
pub(super) async fn of_folder(
    stage: &Stage,
    account: &Account,
    folder: &str,
) -> anyhow::Result<BTreeMap<String, Properties>> {
    let scope = Scope::Outlook {
        mailbox: account.id.clone(),
    };
    let user = segment(account.id.as_str());
    let wanted = ["String 0x007D", IN_REPLY_TO, REFERENCES].map(|id| format!("id eq '{id}'"));
    let expand = format!(
        "singleValueExtendedProperties($filter={})",
        wanted.join(" or ")
    );
    let request = Request::get(format!(
        "/users/{user}/mailFolders/{}/messages",
        segment(folder)
    ))
    .query("$select", "id,isDraft")
    .query("$expand", &expand)
    .query("$top", PAGE);
    let mut pages = stage.graph.pages(&scope, request);
    let mut found = BTreeMap::new();
    while let Some(page) = pages.next().await? {
        for item in page.items {
            let message: Value = serde_json::from_str(item.get())?;
            let id = message["id"].as_str().unwrap_or_default().to_owned();
            found.insert(id, Properties::of(&message));
        }
    }
    Ok(found)
}

impl Properties {
    fn of(message: &Value) -> Self {
        let text = |id: &str| {
            let mut all = message["singleValueExtendedProperties"]
                .as_array()
                .into_iter()
                .flatten();
            let found = all.find(|property| property["id"] == id);
            found
                .and_then(|property| property["value"].as_str())
                .unwrap_or_default()
        };
        Self {
            in_reply_to: print(&message_ids(text(IN_REPLY_TO))),
            references: print(&message_ids(text(REFERENCES))),
            headers: (message["isDraft"] == false).then(|| Headers::of(text(HEADERS))),
            mime_headers: Print::default(),
        }
    }

    /// The same, knowing the header lines that the message has as a file.
    pub(super) fn with_mime_headers(self, mime_headers: Print) -> Self {
        Self {
            mime_headers,
            ..self
        }
    }

    /// Whether Graph tells the same header lines of both, to the letter.
    pub(super) fn are_exactly(&self, other: &Self) -> bool {
        self.headers == other.headers
    }

    /// The names of those that `after` has otherwise.
    pub(super) fn different(&self, after: &Self) -> impl Iterator<Item = &'static str> {
        let headers_differ = match (&self.headers, &after.headers) {
            (Some(before), Some(after)) => {
                !before.is_kept_by(after) && self.mime_headers != after.texts[0]
            }
            (before, after) => before != after,
        };
        [
            ("In-Reply-To", self.in_reply_to != after.in_reply_to),
            ("References", self.references != after.references),
            ("header lines", headers_differ),
        ]
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
    }
}

impl Headers {
    fn of(text: &str) -> Self {
        let text = cut(text);
        let is_text = text
            .chars()
            .all(|c| c != char::REPLACEMENT_CHARACTER && (!c.is_control() || "\r\n\t".contains(c)));
        let bare: String = text
            .chars()
            .filter(char::is_ascii_graphic)
            .take(BARE_MAX)
            .collect();
        Self {
            texts: std::array::from_fn(|fewer| lines_print(text, fewer)),
            is_text,
            begins_like_mail: text.split_once(':').is_some_and(|(name, _)| {
                !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic())
            }),
            bare: print(&bare),
        }
    }

    /// As docs/fidelity.md promises: header lines that are no text come back as text, what does not begin like a mail has none, and a line of the
    /// body does not become one.
    fn is_kept_by(&self, after: &Self) -> bool {
        let is_kept_as_text = !self.is_text && self.bare == after.bare;
        let is_left_out = !self.begins_like_mail && after.texts[0] == print("");
        self.texts.contains(&after.texts[0]) || is_kept_as_text || is_left_out
    }
}

/// The header lines of a mail, hashed as those that Graph tells are.
pub(super) fn of_mime(mime: &[u8]) -> Print {
    let window = &mime[..mime.len().min(HEADER_BYTES_MAX)];
    let text = String::from_utf8_lossy(window);
    let headers = cut(&text).lines().take_while(|line| !line.is_empty());
    lines_print(&headers.collect::<Vec<_>>().join("\n"), 0)
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(HEADER_BYTES_MAX)]
}

/// The lines without the last few, whatever ends them.
fn lines_print(text: &str, fewer: usize) -> Print {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let kept = &lines[..lines.len().saturating_sub(fewer)];
    print(kept.join("\n").trim_end())
}

/// The message ids in a header line, without what else people's programs write there.
fn message_ids(text: &str) -> String {
    let ids = text
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split_once('>'));
    let ids = ids
        .map(|(id, _)| id)
        .filter(|id| !id.contains(char::is_whitespace));
    ids.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn properties(draft: bool, headers: &str, references: &str) -> Properties {
        Properties::of(&json!({
            "isDraft": draft,
            "singleValueExtendedProperties": [
                { "id": HEADERS, "value": headers },
                { "id": REFERENCES, "value": references },
            ],
        }))
    }

    fn different(before: &Properties, after: &Properties) -> Vec<&'static str> {
        before.different(after).collect()
    }

    #[test]
    fn a_lost_or_changed_header_line_is_a_difference() {
        let before = properties(false, "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n", "<a@b> <c@d>");
        assert_eq!(different(&before, &before), [""; 0]);
        for headers in [
            "",
            "A: 1\r\n",
            "B: 2\r\nC: 3\r\nD: 4\r\n",
            "A: 1\r\nB: 2\r\nC: 3\r\nD: 5\r\n",
        ] {
            let after = properties(false, headers, "<a@b>\r\n\t(comment) <c@d>");
            assert_eq!(different(&before, &after), ["header lines"], "{headers:?}");
        }
        let after = properties(true, "", "<c@d>");
        assert_eq!(different(&before, &after), ["References", "header lines"]);
    }

    #[test]
    fn what_fidelity_leaves_open_is_none() {
        let pairs = [
            ("A: 1\r\nnot a header\r\n", "A: 1\r\n"),
            ("GIF89a\u{10}\n\n\n\n.", ""),
            ("A: \u{fffd}1\u{1}\r\nB: 2\r\n", "A: \u{e9}1 \r\nB: 2\r\n"),
        ];
        for (before, after) in pairs {
            let (before, after) = (properties(false, before, ""), properties(false, after, ""));
            assert_eq!(different(&before, &after), [""; 0]);
        }
        let part = properties(false, "A: 1\r\n", "");
        let whole = properties(false, "A: 1\r\nB: 2\r\nC: 3\r\nD: 4", "");
        assert_eq!(different(&part, &whole), ["header lines"]);
        let part = part.with_mime_headers(of_mime(b"A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\nbody"));
        assert_eq!(different(&part, &whole), [""; 0]);
        let drafts = (properties(true, "A: 1", ""), properties(true, "", ""));
        assert_eq!(different(&drafts.0, &drafts.1), [""; 0]);
    }
}
