//! Paths: names joined by `/`, without one at either end. The empty path is the root.

use crate::{
    error::{Error, Result},
    name::Name,
};

/// Deepest path: Exchange's folders go 300 deep (survival 88), and some levels are ours. Shallow enough for walks that recurse.
const MAX_DEPTH: usize = 400;

/// The names in a path that is to be written to, at least one. Errors when one of them is not plain.
pub(crate) fn to_write(path: &str) -> Result<Vec<Name>> {
    let names: Vec<Name> = path.split('/').map(Name::plain).collect::<Result<_>>()?;
    if names.len() > MAX_DEPTH {
        return Err(Error::Path("it is too deep"));
    }
    Ok(names)
}

/// The names in a path that is to be read.
pub(crate) fn to_read(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

/// `name` in the directory `parent`.
pub(crate) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}/{name}")
    }
}
