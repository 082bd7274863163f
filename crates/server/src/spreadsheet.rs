//! Texts for files that people open in a spreadsheet.

/// A text that no spreadsheet takes for a formula (abuse 79).
pub(crate) fn harmless(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_formula() {
        let check = |text: &str, expected: &str| assert_eq!(harmless(text), expected);
        check("Ada", "Ada");
        check("=1+1", "'=1+1");
        check("+1", "'+1");
        check("@SUM(A1)", "'@SUM(A1)");
        check("-2", "'-2");
        check("\t=1", "'\t=1");
        check("\r=1", "'\r=1");
        check("", "");
    }
}
