//! The emergency kit: one page of text with an organization's recovery key, and what to do with it when nothing else is left.
//!
//! With the kit, the data folder and stock restic everything can be read without Keepwell; whoever has it and the data has everything.

use std::fmt::Write;

use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use crate::{Key, server_key::checksum};

/// The line with the key begins so.
const LABEL: &str = "Recovery key:";
/// The line with the organization's name begins so.
const NAME: &str = "Organization:";
/// Digits in a group, for eyes and for the telephone.
const GROUP: usize = 8;

/// An organization's recovery key and what belongs on the page with it.
#[derive(Clone, Debug)]
pub struct EmergencyKit {
    /// The organization's name, for people.
    pub organization: String,
    /// The day on which the kit was made, as ISO 8601 writes it.
    pub made_on: String,
    /// The key.
    pub recovery_key: Key,
}

/// Why a text is no emergency kit.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KitError {
    /// There is no line with a key.
    #[error(
        "it has no line that begins with {LABEL:?}: is it the file that the console gave as the emergency kit?"
    )]
    NoKey,
    /// The key's digits are not all there, or not the right ones.
    #[error("the recovery key has a slip in it: compare its digits with the printed page")]
    Damaged,
}

impl EmergencyKit {
    /// The page.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let Self {
            organization,
            made_on,
            recovery_key,
        } = self;
        let mut digits = Zeroizing::new(HEXLOWER.encode(recovery_key.as_bytes()));
        HEXLOWER.encode_append(&checksum(recovery_key.as_bytes()), &mut digits);
        let mut text = Zeroizing::new(String::with_capacity(2_000));
        let _ = write!(
            text,
            "KEEPWELL EMERGENCY KIT\n\n{NAME} {organization}\nMade on:      {made_on}\n\n{LABEL}"
        );
        for group in 0..digits.len() / GROUP {
            let separator = if group % 3 == 0 { "\n   " } else { "" };
            let _ = write!(
                text,
                "{separator} {}",
                &digits[group * GROUP..(group + 1) * GROUP]
            );
        }
        text.push_str(INSTRUCTIONS);
        text
    }

    /// The recovery key on a page, also when it was typed again: case, spaces and line breaks within the digits do not matter.
    ///
    /// # Errors
    /// When there is no key in the text, or one with a slip in it.
    pub fn recovery_key(text: &str) -> Result<Key, KitError> {
        let (_, rest) = text.split_once(LABEL).ok_or(KitError::NoKey)?;
        let digits = rest
            .chars()
            .filter(|c| !c.is_whitespace())
            .take_while(char::is_ascii_hexdigit)
            .take(2 * (32 + 4))
            .map(|c| c.to_ascii_lowercase())
            .collect::<String>();
        let digits = Zeroizing::new(digits);
        let bytes = HEXLOWER
            .decode(digits.as_bytes())
            .map(Zeroizing::new)
            .map_err(|_| KitError::Damaged)?;
        let (key, check) = bytes.split_at_checked(32).ok_or(KitError::Damaged)?;
        let key = <[u8; 32]>::try_from(key).map_err(|_| KitError::Damaged)?;
        if check != checksum(&key) {
            return Err(KitError::Damaged);
        }
        Ok(Key::from_bytes(key))
    }

    /// The organization's name on a page, if it is there.
    #[must_use]
    pub fn organization(text: &str) -> Option<String> {
        let name = text
            .lines()
            .find_map(|line| line.strip_prefix(NAME))?
            .trim();
        (!name.is_empty()).then(|| name.to_owned())
    }
}

/// What is below the key.
const INSTRUCTIONS: &str = "

Print this page and keep it where the server is not: a safe, or a bank's.
Whoever has it and a copy of the backups can read everything in them.
Without it, and without the server's database and key, nobody can.

If the database is lost, or an older copy of it was put back, but the data
folder is there:

    keepwell recover --kit THIS-FILE --config keepwell.toml

(after keepwell key create, if the server's key is lost with it).

If there is no Keepwell any more, each account's repository is opened by
restic (https://restic.net). Its password is HKDF-SHA256 of the recovery
key above (32 bytes, the first 64 digits), with the account's secret from
organizations/*/accounts/ID.json in the data folder as salt and

    keepwell repository password 1

as info: 32 bytes, written as 64 lower-case hexadecimal digits.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn kit() -> EmergencyKit {
        EmergencyKit {
            organization: "Fabrikam".to_owned(),
            made_on: "2026-11-22".to_owned(),
            recovery_key: Key::random(),
        }
    }

    #[test]
    fn the_page_gives_the_key_back_also_when_typed_again() {
        let kit = kit();
        let text = kit.to_text();
        for typed in [
            text.to_string(),
            text.to_uppercase().replace("RECOVERY KEY:", LABEL),
            text.replace('\n', "\r\n"),
        ] {
            let key = EmergencyKit::recovery_key(&typed).expect("a kit");
            assert_eq!(key.as_bytes(), kit.recovery_key.as_bytes());
        }
        assert_eq!(
            EmergencyKit::organization(&text).as_deref(),
            Some("Fabrikam")
        );
        assert_eq!(EmergencyKit::organization("Organization: \n"), None);
    }

    #[test]
    fn a_slip_is_noticed() {
        let text = kit().to_text().to_string();
        let at = text.find(LABEL).expect("a label") + LABEL.len() + 10;
        let mut slip = text.clone();
        let digit = if &text[at..=at] == "a" { "b" } else { "a" };
        slip.replace_range(at..=at, digit);
        assert_eq!(
            EmergencyKit::recovery_key(&slip).err(),
            Some(KitError::Damaged)
        );
        assert_eq!(
            EmergencyKit::recovery_key(&text[..at]).err(),
            Some(KitError::Damaged)
        );
        assert_eq!(EmergencyKit::recovery_key("").err(), Some(KitError::NoKey));
    }

    #[test]
    fn the_page_fits_a_narrow_printer() {
        assert!(kit().to_text().lines().all(|line| line.len() <= 80));
    }
}
