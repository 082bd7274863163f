//! Finding words in text.

/// Whether `word` stands in the text by itself: no letter, digit or underscore runs into it from the left, nor, where it ends in one, from the
/// right.
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let may_run_on = !word.ends_with(is_part);
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        !before.ends_with(is_part) && (may_run_on || !after.starts_with(is_part))
    })
}

#[cfg(test)]
mod tests {
    use super::has_word;

    #[test]
    fn a_word_stands_by_itself() {
        for (text, word, expected) in [
            ("use serde_json::Value", "serde_json", true),
            ("my_serde_json, serde_jsonl", "serde_json", false),
            ("serde_jsonl, serde_json", "serde_json", true),
            ("see /some/where", "/some/", true),
            ("tools/some/where", "/some/", false),
        ] {
            assert_eq!(has_word(text, word), expected, "{text}");
        }
    }
}
