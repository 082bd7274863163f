//! Judges Graph JSON by Microsoft's own metadata (the CSDL), read from the reference data.
//!
//! A [`Checker`] knows 622 types of the v1.0 metadata, with the operations bound to them. [`Checker::check`] judges one value of a named type,
//! [`Checker::check_exchange`] a whole answer whose type follows from its path, and an [`Observer`] collects what is wrong with all answers
//! that a test saw.
//!
//! It is stricter than OData in one thing: on an *open* entity type (`message`, `user` …) an undeclared property is a violation unless it
//! looks like a schema extension, because an invented property is the mistake to be found. It does not judge whether a value is true,
//! whether `$select` was honoured, or requests; and of a type that the slice of the metadata lacks it says so rather than let it pass.

mod context;
mod exchange;
mod observer;
mod primitive;
mod route;
mod schema;
mod value;
mod violation;

pub use exchange::Exchange;
pub use observer::{Observer, Verdict};
pub use violation::{Violation, ViolationKind};

use anyhow::Context as _;
use schema::{Schema, TypeRef};
use serde_json::Value;
use value::{Judge, Place};

/// Judges values and answers by the metadata.
#[derive(Debug)]
pub struct Checker {
    schema: Schema,
}

impl Checker {
    /// Reads the metadata; passed over (see the crate's text) when the reference data is absent. Panics when it cannot be understood.
    #[must_use]
    pub fn load() -> Option<Self> {
        let path = crate::shared::path("graph/csdl-slice-v1.0.json")?;
        let schema = std::fs::read(&path)
            .map_err(anyhow::Error::from)
            .and_then(|text| Ok(serde_json::from_slice(&text)?))
            .with_context(|| format!("{} cannot be read as metadata", path.display()));
        match schema {
            Ok(schema) => Some(Self { schema }),
            Err(error) => panic!("{error:#}"),
        }
    }

    /// Judges one value, such as an entity or a complex value, of a type such as `microsoft.graph.message`.
    #[must_use]
    pub fn check(&self, type_name: &str, value: &Value) -> Vec<Violation> {
        let mut judge = Judge::new(&self.schema);
        judge.value(
            &short(type_name),
            &TypeRef::single(type_name),
            value,
            Place::Top,
        );
        judge.found
    }

    /// Judges a whole page of values of that type, a delta's included: an object with `value` and the page's annotations.
    #[must_use]
    pub fn check_page(&self, type_name: &str, page: &Value) -> Vec<Violation> {
        let mut judge = Judge::new(&self.schema);
        judge.page(
            &short(type_name),
            &TypeRef::collection(type_name),
            page,
            Place::DeltaItem,
        );
        judge.found
    }

    /// Judges an answer of Graph; see [`Exchange`]. What does not lie below `/v1.0` is not Graph's and not judged.
    #[must_use]
    pub fn check_exchange(&self, exchange: &Exchange<'_>) -> Vec<Violation> {
        exchange::check(&self.schema, exchange)
    }
}

/// A type's name without its namespace, with which paths in violations begin.
fn short(type_name: &str) -> String {
    type_name.rsplit('.').next().unwrap_or(type_name).to_owned()
}

#[cfg(test)]
mod tests;
