//! What the metadata says is behind a path: types, properties, bound operations.
//!
//! It follows the path through entity sets and navigation properties as Graph does, without regard to letter case. Paths by file name
//! (`root:/a/b:`) are not followed.

use super::schema::{NAMESPACE, Schema, TypeRef};

/// What a request's success answers with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Target {
    /// JSON of a type; a collection is a page.
    Json {
        ty: TypeRef,
        /// Whether it is a delta function's page, in which removals and delta links may stand.
        is_delta: bool,
    },
    /// Bytes that are not described by the metadata (`$value`, streams).
    Content,
    /// A number as plain text.
    Count,
    /// No body.
    Nothing,
    /// The answers to a batch.
    Batch,
}

/// How the last part of a path was understood.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Data,
    Operation { is_delta: bool },
}

/// Follows a path such as `users/{id}/mailFolders/inbox/messages/delta`, without the version and the query. `None` when it leads nowhere.
pub(crate) fn resolve(schema: &Schema, method: &str, path: &str) -> Option<Target> {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let (first, first_key) = name_and_key(segments.next()?);
    if first.eq_ignore_ascii_case("$batch") {
        return Some(Target::Batch);
    }
    let mut current = applied(schema.root(first)?, first_key)?;
    let mut step = Step::Data;
    for segment in segments {
        let (name, key) = name_and_key(segment);
        match name {
            "$count" if current.collection => return Some(Target::Count),
            "$value" if !current.collection => return Some(Target::Content),
            "$ref" if method == "GET" => return Some(Target::Content),
            "$ref" => return Some(Target::Nothing),
            _ => {}
        }
        let plain = name.strip_prefix(NAMESPACE).unwrap_or(name);
        if let Some(returned) = schema.operation(&current, plain) {
            let Some(returned) = returned else {
                return Some(Target::Nothing);
            };
            current = returned;
            step = Step::Operation {
                is_delta: plain.eq_ignore_ascii_case("delta"),
            };
            continue;
        }
        step = Step::Data;
        if name.starts_with(NAMESPACE) {
            let cast = schema.full_name(name)?;
            current.name = schema.is_a(cast, &current.name).then(|| cast.to_owned())?;
        } else if current.collection {
            current = keyed(current)?;
        } else {
            let (_, member) = schema.member_in_any_case(&current.name, name)?;
            current = applied(member.clone(), key)?;
        }
    }
    Some(target(method, current, step))
}

fn target(method: &str, mut ty: TypeRef, step: Step) -> Target {
    if ty.name == "Edm.Stream" {
        return Target::Content;
    }
    let is_delta = step == Step::Operation { is_delta: true };
    if step == Step::Data {
        match method {
            "DELETE" => return Target::Nothing,
            "POST" => ty.collection = false,
            _ => {}
        }
    }
    Target::Json { ty, is_delta }
}

/// Splits `messages('AAMk')` into the name and what is in the parentheses.
fn name_and_key(segment: &str) -> (&str, Option<&str>) {
    match segment.split_once('(') {
        Some((name, rest)) => (
            name,
            Some(rest.trim_end_matches(')')).filter(|key| !key.is_empty()),
        ),
        None => (segment, None),
    }
}

fn applied(ty: TypeRef, key: Option<&str>) -> Option<TypeRef> {
    match key {
        Some(_) => keyed(ty),
        None => Some(ty),
    }
}

/// One element of a collection of entities, chosen by its key. Primitive values have none.
fn keyed(ty: TypeRef) -> Option<TypeRef> {
    (ty.collection && ty.name.starts_with(NAMESPACE)).then(|| ty.element())
}
