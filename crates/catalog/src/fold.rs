//! Text as it is sorted and searched: without case and without marks, so that Ångström stands with the As.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Folded text is cut here: the row of an index that holds a name and an address has to fit into 2,704 bytes (PostgreSQL, a third of a page), and there
/// are letters of which folding makes twelve times as many bytes.
const BYTES_MAX: usize = 1_000;

/// Folds a name or an address. Equal folded texts are the same to a person who searches; bytewise order is the order of lists.
pub(crate) fn fold(text: &str) -> String {
    let mut folded: String = text
        .nfkd()
        .filter(|c| !is_combining_mark(*c))
        .flat_map(char::to_lowercase)
        .take(BYTES_MAX)
        .collect();
    folded.truncate(folded.floor_char_boundary(BYTES_MAX));
    folded
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn case_and_marks_do_not_matter() {
        for (text, folded) in [
            ("Ångström", "angstrom"),
            ("ÉLODIE", "elodie"),
            ("ﬁnance", "finance"),
            ("Ｔｏｋｙｏ", "tokyo"),
            ("Straße", "straße"),
            ("Иван", "иван"),
            ("", ""),
        ] {
            assert_eq!(fold(text), folded);
        }
    }

    #[test]
    fn what_grows_is_cut_between_two_letters() {
        // A letter of three bytes that stands for four words: 33 bytes.
        let folded = fold(&"\u{fdfa}".repeat(256));
        assert!((990..=1_000).contains(&folded.len()), "{}", folded.len());
        assert_eq!(fold(&folded), folded);
    }
}
