//! Microsoft's error codes, taken from whatever the body is: JSON, cut JSON, HTML, nothing (survival 20).
//!
//! Only codes are taken; the message beside them may quote an item or an address. Of one refusal, that of changes, only the message tells which it
//! is: then it is looked at, and not kept.

use serde_json::Value;

/// A larger error body is a page of HTML or worse, not an error of Graph's.
const READ_MAX_BYTES: usize = 64 * 1024;

/// The documented nesting is two; more is nonsense.
const DEPTH_MAX: usize = 5;

/// Longest code believed.
const CODE_MAX_BYTES: usize = 100;

/// Codes that mean "this delta token is no longer good". `resyncChanges…` is SharePoint's, `ErrorInvalidSyncStateData` Exchange's own.
const RESYNC: &[&str] = &[
    "ResyncRequired",
    "SyncStateNotFound",
    "SyncStateInvalid",
    "ErrorInvalidSyncStateData",
    "ErrorSyncStateNotFound",
    "resyncChangesApplyDifferences",
    "resyncChangesUploadDifferences",
];

/// What Exchange says of folders without changes, beside the code of any bad request (survival 36).
const NO_CHANGES: &[&str] = &[
    "change tracking is not supported",
    "parameter 'deltatoken' not supported",
];

/// The codes of an error from the outermost inwards.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Codes {
    codes: Vec<String>,
    deny_changes: bool,
}

impl Codes {
    pub(crate) fn read(body: &[u8]) -> Self {
        if body.len() > READ_MAX_BYTES {
            return Self::default();
        }
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Self::from_value(&value),
            Err(_) => Self::default(),
        }
    }

    pub(crate) fn from_value(body: &Value) -> Self {
        let mut codes = Vec::new();
        let mut deny_changes = false;
        let mut level = get(body, "error");
        for _ in 0..DEPTH_MAX {
            let Some(error) = level else { break };
            codes.extend(get(error, "code").and_then(Value::as_str).and_then(plain));
            let message = get(error, "message").and_then(Value::as_str);
            deny_changes |= message.is_some_and(denies_changes);
            level = get(error, "innerError");
        }
        Self {
            codes,
            deny_changes,
        }
    }

    pub(crate) fn one(code: String) -> Self {
        Self {
            codes: vec![code],
            deny_changes: false,
        }
    }

    #[cfg(any(fuzzing, test))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.codes.iter().map(String::as_str)
    }

    pub(crate) fn first(&self) -> Option<&str> {
        self.codes.first().map(String::as_str)
    }

    pub(crate) fn contain(&self, code: &str) -> bool {
        let mut codes = self.codes.iter();
        codes.any(|known| known.eq_ignore_ascii_case(code))
    }

    pub(crate) fn ask_for_resync(&self) -> bool {
        RESYNC.iter().any(|code| self.contain(code))
    }

    pub(crate) fn deny_changes(&self) -> bool {
        self.deny_changes
    }
}

fn denies_changes(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    NO_CHANGES.iter().any(|known| message.contains(known))
}

/// Microsoft spells `innerError` and `innererror`.
fn get<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let object = value.as_object()?;
    object
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// A code is a word; anything else might be somebody's subject line.
fn plain(code: &str) -> Option<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    (!code.is_empty() && code.len() <= CODE_MAX_BYTES && code.chars().all(word))
        .then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_body_gives_its_codes_or_none() {
        let check = |body: &str, expected: &[&str]| {
            assert_eq!(Codes::read(body.as_bytes()).codes, expected, "{body}");
        };
        check(
            r#"{"error":{"code":"a","innererror":{"code":"b","innerError":{"code":"c"}}}}"#,
            &["a", "b", "c"],
        );
        check(
            r#"{"error":{"code":"","innerError":{"code":"throttledRequest"}}}"#,
            &["throttledRequest"],
        );
        check(r#"{"error":{"code":"Re: our secret plans"}}"#, &[]);
        check(r#"{"error":{"code":7}}"#, &[]);
        check(r#"{"error":"invalid_client"}"#, &[]);
        check(r#"{"error":{"code":"cut"#, &[]);
        check("<html><body>503</body></html>", &[]);
        check("", &[]);
        check(&"[".repeat(60_000), &[]);
    }
}
