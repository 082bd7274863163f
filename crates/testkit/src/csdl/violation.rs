//! What a checker finds wrong.

use std::fmt;

/// One thing that is wrong with a value or an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Where, from the type inwards: `message.body.contentType`, `message.toRecipients[0].emailAddress`.
    pub path: String,
    /// What kind of mistake it is.
    pub kind: ViolationKind,
    /// What was expected, and what was found where that is short.
    pub detail: String,
}

/// The kinds of mistake.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ViolationKind {
    /// A property that the type does not have.
    UnknownProperty,
    /// A property that the type has, in other letter case.
    PropertyCase,
    /// A primitive value of another type or in another format.
    Primitive,
    /// A text that is no member of the enumeration.
    Member,
    /// An object, a list or a single value where another of them belongs.
    Shape,
    /// `null` where the metadata does not allow it.
    Null,
    /// A type, named by the value or by the metadata, that is unknown, abstract or unrelated to the one expected.
    Type,
    /// An OData annotation that is unknown, misplaced or of the wrong form.
    Annotation,
    /// A path that the metadata does not know, answered as if it existed.
    Route,
    /// An answer whose status, content type or body do not go together.
    Answer,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}: {}", self.path, self.kind, self.detail)
    }
}
