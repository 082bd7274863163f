//! Judges JSON values by their type, and pages by their element's type.

use serde_json::{Map, Value};

use super::{
    primitive,
    schema::{NAMESPACE, Schema, Type, TypeRef},
    violation::{Violation, ViolationKind},
};

/// Where an object stands; some annotations belong to one place only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// The answer itself.
    Top,
    /// An element of a page.
    Item,
    /// An element of a delta's page, which may be a removal.
    DeltaItem,
    /// Inside another object.
    Nested,
}

/// Collects what is wrong.
#[derive(Debug)]
pub(crate) struct Judge<'a> {
    schema: &'a Schema,
    pub(crate) found: Vec<Violation>,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(schema: &'a Schema) -> Self {
        Self {
            schema,
            found: Vec::new(),
        }
    }

    pub(crate) fn report(&mut self, path: &str, kind: ViolationKind, detail: impl Into<String>) {
        self.found.push(Violation {
            path: path.to_owned(),
            kind,
            detail: detail.into(),
        });
    }

    /// Judges a value, single or a list.
    pub(crate) fn value(&mut self, path: &str, expected: &TypeRef, value: &Value, place: Place) {
        if !expected.collection {
            return self.single(path, expected, value, place);
        }
        let Value::Array(items) = value else {
            return self.report(
                path,
                ViolationKind::Shape,
                format!("a list is expected, not {}", kind_of(value)),
            );
        };
        let element = expected.element();
        for (index, item) in items.iter().enumerate() {
            self.single(&format!("{path}[{index}]"), &element, item, place);
        }
    }

    /// Judges a page: an object with `value` and the annotations of a page.
    pub(crate) fn page(&mut self, path: &str, expected: &TypeRef, page: &Value, place: Place) {
        let Value::Object(page) = page else {
            return self.report(
                path,
                ViolationKind::Shape,
                format!(
                    "an object with the list `value` is expected, not {}",
                    kind_of(page)
                ),
            );
        };
        match page.get("value") {
            Some(list) => self.value(path, expected, list, place),
            None => self.report(path, ViolationKind::Shape, "the list `value` is missing"),
        }
        for (name, value) in page.iter().filter(|(name, _)| *name != "value") {
            self.page_annotation(path, name, value, place);
        }
        if page.contains_key("@odata.nextLink") && page.contains_key("@odata.deltaLink") {
            self.report(
                path,
                ViolationKind::Annotation,
                "a page has either a next link or a delta link",
            );
        }
    }

    fn page_annotation(&mut self, path: &str, name: &str, value: &Value, place: Place) {
        let path = format!("{path}.{name}");
        let is_good = match name {
            "@odata.context" | "@odata.nextLink" => is_link(value),
            "@odata.deltaLink" => is_link(value) && place == Place::DeltaItem,
            "@odata.count" => value.is_u64(),
            "@odata.type" | "@odata.id" | "@odata.etag" => value.is_string(),
            _ if name.starts_with("@microsoft.graph.") => true,
            _ if name.contains('@') => false,
            _ => {
                return self.report(
                    &path,
                    ViolationKind::UnknownProperty,
                    "a page has no such property",
                );
            }
        };
        if !is_good {
            self.report(
                &path,
                ViolationKind::Annotation,
                "misplaced, or not of its form",
            );
        }
    }

    fn single(&mut self, path: &str, expected: &TypeRef, value: &Value, place: Place) {
        if value.is_null() {
            if !expected.nullable {
                self.report(
                    path,
                    ViolationKind::Null,
                    format!("{} is never null here", expected.name),
                );
            }
            return;
        }
        if let Some(has_form) = primitive::has_form(&expected.name, value) {
            if !has_form {
                let detail = format!("{} is expected, not {}", expected.name, excerpt(value));
                self.report(path, ViolationKind::Primitive, detail);
            }
            return;
        }
        match (self.schema.find(&expected.name), value) {
            (None, _) => self.report(
                path,
                ViolationKind::Type,
                format!("the metadata at hand lacks {}", expected.name),
            ),
            (Some(ty), value) if ty.is_enum() => self.member(path, ty, value),
            (Some(_), Value::Object(object)) => self.object(path, &expected.name, object, place),
            (Some(_), _) => self.report(
                path,
                ViolationKind::Shape,
                format!(
                    "an object of {} is expected, not {}",
                    expected.name,
                    kind_of(value)
                ),
            ),
        }
    }

    /// Judges the text of an enumeration. The slice does not say which enumerations are flags, so a list of members is taken for one.
    fn member(&mut self, path: &str, ty: &Type, value: &Value) {
        let is_member = |text: &str| ty.members().any(|member| member == text);
        let is_good = value
            .as_str()
            .is_some_and(|text| text.split(',').all(is_member));
        if !is_good {
            let members: Vec<_> = ty.members().collect();
            let detail = format!(
                "one of {} is expected, not {}",
                members.join(", "),
                excerpt(value)
            );
            self.report(path, ViolationKind::Member, detail);
        }
    }

    fn object(&mut self, path: &str, declared: &str, object: &Map<String, Value>, place: Place) {
        let is_removed = place == Place::DeltaItem && object.contains_key("@removed");
        let type_name = self.actual_type(path, declared, object, is_removed);
        for (name, value) in object {
            let path = format!("{path}.{name}");
            match name.split_once('@') {
                Some(("", annotation)) => self.annotation(&path, annotation, value, place),
                Some((property, annotation)) => {
                    self.property_annotation(&path, &type_name, property, annotation);
                }
                None => self.property(&path, &type_name, name, value),
            }
        }
    }

    /// The type that the object names, if it may stand here, else the declared one.
    fn actual_type(
        &mut self,
        path: &str,
        declared: &str,
        object: &Map<String, Value>,
        is_removed: bool,
    ) -> String {
        let named = object.get("@odata.type").and_then(Value::as_str);
        let Some(named) = named else {
            let is_abstract = self.schema.find(declared).is_some_and(Type::is_abstract);
            if is_abstract && !is_removed {
                self.report(
                    path,
                    ViolationKind::Type,
                    format!("{declared} is abstract, so `@odata.type` has to name the type"),
                );
            }
            return declared.to_owned();
        };
        let type_name = named.strip_prefix('#').unwrap_or(named);
        let is_full = named.starts_with('#') && type_name.starts_with(NAMESPACE);
        match self.schema.full_name(type_name) {
            Some(full) if is_full && self.schema.is_a(full, declared) => full.to_owned(),
            _ => {
                let detail = format!("`{named}` names no type that may stand for {declared}");
                self.report(path, ViolationKind::Type, detail);
                declared.to_owned()
            }
        }
    }

    fn property(&mut self, path: &str, type_name: &str, name: &str, value: &Value) {
        let schema = self.schema;
        if let Some(expected) = schema.member(type_name, name) {
            return self.value(path, expected, value, Place::Nested);
        }
        let ty = schema.find(type_name);
        if ty.is_some_and(Type::takes_any_property)
            || (ty.is_some_and(Type::is_open) && is_extension(name))
        {
            return;
        }
        match schema.member_in_any_case(type_name, name) {
            Some((right, _)) => self.report(
                path,
                ViolationKind::PropertyCase,
                format!("{type_name} spells it `{right}`"),
            ),
            None => self.report(
                path,
                ViolationKind::UnknownProperty,
                format!("{type_name} has no such property"),
            ),
        }
    }

    fn annotation(&mut self, path: &str, name: &str, value: &Value, place: Place) {
        let is_good = match name {
            "odata.context" => place == Place::Top && is_link(value),
            "removed" => place == Place::DeltaItem && is_removal(value),
            "odata.type"
            | "odata.etag"
            | "odata.id"
            | "odata.editLink"
            | "odata.readLink"
            | "odata.mediaContentType"
            | "odata.mediaReadLink"
            | "odata.mediaEditLink"
            | "odata.mediaEtag" => value.is_string(),
            _ => name.starts_with("microsoft.graph."),
        };
        if !is_good {
            self.report(
                path,
                ViolationKind::Annotation,
                format!("misplaced, unknown or not of its form: {}", excerpt(value)),
            );
        }
    }

    fn property_annotation(
        &mut self,
        path: &str,
        type_name: &str,
        property: &str,
        annotation: &str,
    ) {
        const KNOWN: [&str; 12] = [
            "odata.context",
            "odata.nextLink",
            "odata.count",
            "odata.type",
            "odata.navigationLink",
            "odata.associationLink",
            "odata.mediaContentType",
            "odata.mediaReadLink",
            "odata.mediaEditLink",
            "odata.mediaEtag",
            "odata.id",
            "delta",
        ];
        let exists = self.schema.member(type_name, property).is_some()
            || self.schema.find(type_name).is_some_and(Type::is_open);
        if !exists || !KNOWN.contains(&annotation) {
            self.report(
                path,
                ViolationKind::Annotation,
                format!("{type_name} has no such property, or the annotation is unknown"),
            );
        }
    }
}

/// Names that an app gives to its own properties: `ext8dr3l5x2_courses`, `extension_<app id>_name`.
fn is_extension(name: &str) -> bool {
    name.starts_with("ext") && name.contains('_')
}

fn is_link(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.starts_with("https://") || text.starts_with("http://"))
}

fn is_removal(value: &Value) -> bool {
    let reason = value.get("reason").and_then(Value::as_str);
    matches!(reason, Some("changed" | "deleted"))
}

pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The beginning of a value, enough to recognise it in a test's output.
fn excerpt(value: &Value) -> String {
    /// A screen's line holds it with the path before it.
    const MAX_CHARS: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
