//! Reads `@odata.context`, by which an answer says what it is.

use super::schema::{NAMESPACE, Schema, TypeRef};

/// What the context names: a collection, or one value. `None` when it names nothing that the metadata knows.
///
/// The forms are `…/$metadata#users('id')/messages`, `#users('id')/messages(subject)/$entity`, `#users/$delta`,
/// `#Collection(microsoft.graph.message)`, `#microsoft.graph.uploadSession` and `#Edm.Boolean`.
pub(crate) fn resolve(schema: &Schema, context: &str) -> Option<TypeRef> {
    let (_, fragment) = context.split_once("$metadata#")?;
    if let Some(element) = fragment
        .strip_prefix("Collection(")
        .and_then(|rest| rest.strip_suffix(')'))
    {
        return Some(TypeRef::collection(&type_name(schema, element)?));
    }
    let plain = without_parentheses(fragment);
    let mut segments = plain.split('/');
    let first = segments.next()?;
    let mut current = match schema.root(first) {
        Some(root) => root,
        None => TypeRef::single(&type_name(schema, first)?),
    };
    for segment in segments {
        current = match segment {
            "$entity" => current.element(),
            "$delta" => TypeRef {
                collection: true,
                ..current
            },
            cast if cast.starts_with(NAMESPACE) => TypeRef {
                name: type_name(schema, cast)?,
                ..current
            },
            member => schema.member_in_any_case(&current.name, member)?.1.clone(),
        };
    }
    Some(current)
}

fn type_name(schema: &Schema, name: &str) -> Option<String> {
    if name.starts_with("Edm.") {
        return Some(name.to_owned());
    }
    schema.full_name(name).map(str::to_owned)
}

/// Drops keys and lists of selected properties, which may hold slashes of their own.
fn without_parentheses(text: &str) -> String {
    let mut depth = 0_usize;
    let keep = |c: &char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => return depth == 0,
        }
        false
    };
    text.chars().filter(keep).collect()
}
