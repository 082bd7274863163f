//! The set-up code: who reads the output of `serve` may make the first organization.

use std::fmt;

use data_encoding::BASE32;

use crate::token::{equal, random_bytes};

/// Letters in a group, for eyes.
const GROUP: usize = 5;

/// A code of 100 bits. It is printed once and shows nothing in `Debug`.
#[derive(Clone)]
pub struct SetUpCode(String);

impl SetUpCode {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        let mut code = BASE32.encode(&random_bytes::<15>());
        code.truncate(4 * GROUP);
        Self(code)
    }

    /// Whether somebody typed this code; case, spaces and hyphens do not matter.
    pub(crate) fn is(&self, typed: &str) -> bool {
        let letters = typed.chars().filter(char::is_ascii_alphanumeric);
        equal(&self.0, &letters.collect::<String>().to_ascii_uppercase())
    }
}

impl fmt::Display for SetUpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for at in (0..self.0.len()).step_by(GROUP) {
            let separator = if at == 0 { "" } else { "-" };
            write!(f, "{separator}{}", &self.0[at..at + GROUP])?;
        }
        Ok(())
    }
}

impl fmt::Debug for SetUpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetUpCode([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::SetUpCode;

    #[test]
    fn a_code_is_known_again_as_people_type_it() {
        let code = SetUpCode::random();
        let shown = code.to_string();
        assert_eq!(shown.len(), 23, "{shown}");
        for typed in [
            shown.clone(),
            shown.to_lowercase(),
            shown.replace('-', " "),
            format!(" {}\n", shown.replace('-', "")),
        ] {
            assert!(code.is(&typed), "{typed}");
        }
        for wrong in ["", &shown[1..], &SetUpCode::random().to_string()] {
            assert!(!code.is(wrong), "{wrong}");
        }
    }
}
