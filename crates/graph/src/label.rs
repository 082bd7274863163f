//! What a request asks for, without saying about whom: `messages/delta`, `messages/{id}`.
//!
//! Labels come from a closed vocabulary, so an id or a name cannot slip into a counter, a log or an error. A word that is missing here shows
//! as `{id}`; add it when a new part of Graph is used.

use std::fmt;

use http::Method;

const WORDS: &[&str] = &[
    "$batch",
    "$count",
    "$value",
    "applications",
    "attachments",
    "calendars",
    "childFolders",
    "contactFolders",
    "contacts",
    "copy",
    "createUploadSession",
    "delta",
    "deletedItems",
    "directory",
    "domains",
    "drive",
    "drives",
    "events",
    "exchange",
    "groups",
    "inferenceClassification",
    "mailFolders",
    "mailboxSettings",
    "masterCategories",
    "me",
    "messageRules",
    "messages",
    "move",
    "organization",
    "outlook",
    "overrides",
    "photo",
    "servicePrincipals",
    "settings",
    "sites",
    "subscribedSkus",
    "tasks",
    "todo",
    "users",
];

/// Words that mean little without the one before them.
const VERBS: &[&str] = &[
    "$count",
    "$value",
    "copy",
    "createUploadSession",
    "delta",
    "move",
];

/// Method and a template of the path.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Label {
    method: &'static str,
    owner: Option<&'static str>,
    word: &'static str,
    of_one: bool,
}

impl Label {
    /// An upload to a session's own address, whose path says nothing.
    pub(crate) const UPLOAD: &'static str = "uploadUrl";

    /// The label of a path below the version, or of a whole URL's path.
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        let mut known = Vec::new();
        let mut of_one = false;
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            let segment = plain(segment);
            let word = WORDS.iter().find(|word| **word == segment);
            of_one = word.is_none();
            known.extend(word.copied());
        }
        let word = known.pop().unwrap_or("other");
        let owner = VERBS.contains(&word).then(|| known.pop()).flatten();
        Self {
            method: method_name(method),
            owner,
            word,
            of_one,
        }
    }

    pub(crate) fn upload(method: &Method) -> Self {
        Self {
            method: method_name(method),
            owner: None,
            word: Self::UPLOAD,
            of_one: false,
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.method)?;
        if let Some(owner) = self.owner {
            write!(f, "{owner}/")?;
        }
        f.write_str(self.word)?;
        if self.of_one {
            f.write_str("/{id}")?;
        }
        Ok(())
    }
}

/// `microsoft.graph.delta()` and `delta` are the same function.
fn plain(segment: &str) -> &str {
    segment
        .trim_end_matches("()")
        .trim_start_matches("microsoft.graph.")
}

fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_name_the_kind_and_never_the_thing() {
        let check = |path: &str, expected: &str| {
            assert_eq!(
                Label::of(&Method::GET, path).to_string(),
                expected,
                "{path}"
            );
        };
        check("/users", "GET users");
        check("/users/ada@contoso.example", "GET users/{id}");
        check("/users/u/mailFolders/delta", "GET mailFolders/delta");
        check(
            "/users/u/mailFolders/f/messages/delta",
            "GET messages/delta",
        );
        check(
            "/v1.0/users/u/messages/microsoft.graph.delta()",
            "GET messages/delta",
        );
        check("/users/u/mailFolders/inbox", "GET mailFolders/{id}");
        check("/users/u/messages/m", "GET messages/{id}");
        check("/users/u/messages/m/$value", "GET messages/$value");
        check(
            "/users/u/messages/m/attachments/a/$value",
            "GET attachments/$value",
        );
        check("/users/u/messages/m/attachments", "GET attachments");
        check("/$batch", "GET $batch");
        check("/somebody/secret", "GET other/{id}");
    }
}
