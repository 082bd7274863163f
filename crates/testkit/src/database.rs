//! Which database the tests of whole programs work on. One variable chooses, so that the same tests pass over both without knowing of it: unset it is SQLite,
//! and `cargo xtask test` runs them a second time on PostgreSQL. Tests of single functions do not choose, but run on both at once.

use std::path::Path;

use crate::{postgres, surroundings::variable};

/// `postgres` for the second time.
const CHOICE: &str = "KEEPWELL_TEST_DATABASE";

/// The address of a new, empty database; if it is one of SQLite, its file is in this folder.
#[must_use]
pub fn address(folder: &Path) -> String {
    let is_postgres = variable(CHOICE).is_some_and(|choice| choice == Path::new("postgres"));
    let postgres = is_postgres.then(postgres::database).flatten();
    postgres.unwrap_or_else(|| format!("sqlite:{}", folder.join("catalog.db").display()))
}

/// The address of a copy of a database that [`address`] gave, to which nobody may be connected.
///
/// # Panics
/// When it cannot be copied.
#[must_use]
pub fn copy(address: &str) -> String {
    let Some(file) = address.strip_prefix("sqlite:") else {
        return postgres::copy(address).expect("the address is of a database of ours");
    };
    let copy = format!("{file}.copy");
    std::fs::copy(file, &copy).expect("a file beside the database can be written");
    format!("sqlite:{copy}")
}
