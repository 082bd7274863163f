//! The metadata as data: types with what they inherit, bound operations, entity sets and singletons.
//!
//! It answers questions about names; it judges nothing.

use std::collections::HashMap;

use serde::Deserialize;

/// The namespace in which all types of the slice are.
pub(crate) const NAMESPACE: &str = "microsoft.graph.";

/// The slice of Microsoft's metadata, in the shape of its file.
#[derive(Debug, Deserialize)]
pub(crate) struct Schema {
    types: HashMap<String, Type>,
    operations: Vec<Operation>,
    sets: Vec<EntitySet>,
}

/// An entity, complex or enumeration type, without what it inherits.
#[derive(Debug, Deserialize)]
pub(crate) struct Type {
    kind: TypeKind,
    name: String,
    base: Option<String>,
    #[serde(rename = "abstract")]
    is_abstract: bool,
    open: bool,
    props: HashMap<String, TypeRef>,
    nav: HashMap<String, TypeRef>,
    members: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
enum TypeKind {
    #[serde(rename = "EntityType")]
    Entity,
    #[serde(rename = "ComplexType")]
    Complex,
    #[serde(rename = "EnumType")]
    Enum,
}

/// What a property holds or an operation returns.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub(crate) struct TypeRef {
    #[serde(rename = "type")]
    pub(crate) name: String,
    pub(crate) collection: bool,
    /// Of a collection: whether its elements may be null. Navigation properties do not say it; a missing related entity is null.
    #[serde(default = "yes")]
    pub(crate) nullable: bool,
}

fn yes() -> bool {
    true
}

/// An action or function bound to a type; the slice has no others.
#[derive(Debug, Deserialize)]
struct Operation {
    name: String,
    /// Name, type, whether a collection. The first is what the operation is bound to.
    params: Vec<(String, String, bool)>,
    ret: Returned,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Returned {
    Value(String, bool),
    /// Always `false`.
    Nothing(#[expect(dead_code, reason = "it has one value")] bool),
}

/// `EntitySet` or `Singleton`, its name, its type.
#[derive(Debug, Deserialize)]
struct EntitySet(String, String, String);

impl TypeRef {
    pub(crate) fn single(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            collection: false,
            nullable: false,
        }
    }

    pub(crate) fn collection(name: &str) -> Self {
        Self {
            collection: true,
            ..Self::single(name)
        }
    }

    /// One element of the collection.
    pub(crate) fn element(&self) -> Self {
        Self {
            collection: false,
            ..self.clone()
        }
    }
}

impl Type {
    pub(crate) fn is_enum(&self) -> bool {
        self.kind == TypeKind::Enum
    }

    pub(crate) fn is_abstract(&self) -> bool {
        self.is_abstract
    }

    /// Whether any name may be a property: an open complex type or one of the bags that hold the caller's own names. Open *entities* are
    /// judged as if they were closed (see the module [`csdl`](crate::csdl)).
    pub(crate) fn takes_any_property(&self) -> bool {
        /// `Json` stands for any JSON; the others hold what an app or a list's columns define.
        const BAGS: [&str; 3] = [
            "microsoft.graph.Json",
            "microsoft.graph.openTypeExtension",
            "microsoft.graph.fieldValueSet",
        ];
        (self.open && self.kind == TypeKind::Complex) || BAGS.contains(&self.name.as_str())
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// The members of an enumeration.
    pub(crate) fn members(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|(name, _)| name.as_str())
    }
}

impl Schema {
    /// A type by its full name, or by its name in Microsoft's namespace.
    pub(crate) fn find(&self, name: &str) -> Option<&Type> {
        self.types
            .get(name)
            .or_else(|| self.types.get(&format!("{NAMESPACE}{name}")))
    }

    pub(crate) fn full_name(&self, name: &str) -> Option<&str> {
        Some(self.find(name)?.name.as_str())
    }

    /// The type and those it inherits from, nearest first.
    fn lineage<'a>(&'a self, type_name: &str) -> impl Iterator<Item = &'a Type> {
        std::iter::successors(self.find(type_name), |ty| self.find(ty.base.as_deref()?))
    }

    /// Whether `derived` is `base` or inherits from it.
    pub(crate) fn is_a(&self, derived: &str, base: &str) -> bool {
        derived == base || self.lineage(derived).any(|ty| ty.name == base)
    }

    /// A property or navigation property of the type or of one it inherits from, by its exact name.
    pub(crate) fn member(&self, type_name: &str, name: &str) -> Option<&TypeRef> {
        self.lineage(type_name)
            .find_map(|ty| ty.props.get(name).or_else(|| ty.nav.get(name)))
    }

    /// The same without regard to letter case, with the name as it is in the metadata. Paths are matched in this way.
    pub(crate) fn member_in_any_case(
        &self,
        type_name: &str,
        name: &str,
    ) -> Option<(&str, &TypeRef)> {
        let members = self
            .lineage(type_name)
            .flat_map(|ty| ty.props.iter().chain(&ty.nav));
        members
            .map(|(member, target)| (member.as_str(), target))
            .find(|(member, _)| member.eq_ignore_ascii_case(name))
    }

    /// The entity set or singleton at the beginning of a path, without regard to letter case.
    pub(crate) fn root(&self, name: &str) -> Option<TypeRef> {
        let EntitySet(kind, _, type_name) = self
            .sets
            .iter()
            .find(|EntitySet(_, set, _)| set.eq_ignore_ascii_case(name))?;
        let collection = kind == "EntitySet";
        Some(TypeRef {
            collection,
            ..TypeRef::single(type_name)
        })
    }

    /// What the operation bound to `target`, or to the nearest type that it inherits from, returns: `None` when there is no such operation,
    /// `Some(None)` when it returns nothing.
    pub(crate) fn operation(&self, target: &TypeRef, name: &str) -> Option<Option<TypeRef>> {
        let has_name = |operation: &&Operation| {
            let last = operation.name.rsplit('.').next();
            last.is_some_and(|last| last.eq_ignore_ascii_case(name))
        };
        let named: Vec<_> = self.operations.iter().filter(has_name).collect();
        let operation = self.lineage(&target.name).find_map(|ty| {
            named.iter().find(|operation| {
                let bound = operation.params.first();
                bound.is_some_and(|(_, bound, collection)| {
                    *bound == ty.name && *collection == target.collection
                })
            })
        })?;
        Some(match &operation.ret {
            Returned::Nothing(_) => None,
            Returned::Value(type_name, collection) => Some(TypeRef {
                collection: *collection,
                ..TypeRef::single(type_name)
            }),
        })
    }
}
