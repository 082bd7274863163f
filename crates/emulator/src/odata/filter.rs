//! `$filter`: comparisons, `and`, `or`, `not`, `in`, `startswith`, `endswith`, `contains`, and the lambdas `any` and `all`.
//!
//! Strings compare without regard to case, as in the directory and in Exchange. A comparison with a property that the row lacks is a comparison with null.

mod parser;

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::Value;

use super::Schema;
use crate::GraphError;

/// A parsed `$filter`.
#[derive(Clone, Debug)]
pub(crate) struct Filter(Expression);

#[derive(Clone, Debug)]
enum Expression {
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    Compare(Operand, Operator, Operand),
    In(Operand, Vec<Operand>),
    Text(TextTest, Operand, Operand),
    Lambda {
        all: bool,
        path: String,
        variable: String,
        body: Option<Box<Expression>>,
    },
    /// A boolean property by itself.
    Truth(Operand),
}

#[derive(Clone, Debug)]
enum Operand {
    Path(String),
    Literal(Value),
    /// `tolower(x)`, `toupper(x)`: comparisons ignore case anyway.
    Folded(Box<Operand>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

#[derive(Clone, Copy, Debug)]
enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
}

impl Filter {
    /// Parses a filter and checks the properties that it names.
    ///
    /// # Errors
    /// 400 in the words of the schema's service.
    pub(crate) fn parse(text: &str, schema: &Schema) -> Result<Self, GraphError> {
        parser::parse(text, schema).map(Self)
    }

    /// Whether the directory takes it only as an advanced query: with negation, or looking at the end or inside of a text.
    pub(crate) fn is_advanced(&self) -> bool {
        self.0.is_advanced()
    }

    /// Whether a row passes.
    pub(crate) fn matches(&self, row: &Value) -> bool {
        self.0.holds(&mut Scope {
            row,
            variables: Vec::new(),
        })
    }
}

fn time(text: &str) -> Option<Timestamp> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().or_else(|| {
        let day: jiff::civil::Date = text.parse().ok()?;
        Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })
}

struct Scope<'a> {
    row: &'a Value,
    variables: Vec<(&'a str, &'a Value)>,
}

impl<'a> Scope<'a> {
    fn value(&self, operand: &'a Operand) -> &'a Value {
        match operand {
            Operand::Literal(value) => value,
            Operand::Folded(inner) => self.value(inner),
            Operand::Path(path) => self.resolve(path),
        }
    }

    fn resolve(&self, path: &str) -> &'a Value {
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        let bound = self.variables.iter().rev().find(|(name, _)| *name == first);
        match bound {
            Some((_, value)) if rest.is_empty() => value,
            Some((_, value)) => at(value, rest),
            None => at(self.row, path),
        }
    }
}

impl Expression {
    fn is_advanced(&self) -> bool {
        match self {
            Self::And(left, right) | Self::Or(left, right) => {
                left.is_advanced() || right.is_advanced()
            }
            Self::Not(_) | Self::Compare(_, Operator::NotEqual, _) => true,
            Self::Text(test, _, _) => !matches!(test, TextTest::StartsWith),
            Self::Lambda { body, .. } => body.as_ref().is_some_and(|body| body.is_advanced()),
            Self::Compare(..) | Self::In(..) | Self::Truth(_) => false,
        }
    }

    fn holds<'a>(&'a self, scope: &mut Scope<'a>) -> bool {
        match self {
            Self::And(left, right) => left.holds(scope) && right.holds(scope),
            Self::Or(left, right) => left.holds(scope) || right.holds(scope),
            Self::Not(inner) => !inner.holds(scope),
            Self::Compare(left, operator, right) => {
                let (left, right) = (scope.value(left), scope.value(right));
                operator.holds(left, right)
            }
            Self::In(left, values) => {
                let left = scope.value(left);
                let mut values = values.iter();
                values.any(|value| Operator::Equal.holds(left, scope.value(value)))
            }
            Self::Text(test, text, part) => {
                match (scope.value(text).as_str(), scope.value(part).as_str()) {
                    (Some(text), Some(part)) => test.holds(text, part),
                    _ => false,
                }
            }
            Self::Truth(operand) => scope.value(operand) == &Value::Bool(true),
            Self::Lambda {
                all,
                path,
                variable,
                body,
            } => {
                let Value::Array(items) = scope.resolve(path) else {
                    return *all;
                };
                let Some(body) = body else {
                    return !items.is_empty();
                };
                let mut test = |item: &'a Value| {
                    scope.variables.push((variable, item));
                    let holds = body.holds(scope);
                    scope.variables.pop();
                    holds
                };
                if *all {
                    items.iter().all(&mut test)
                } else {
                    items.iter().any(&mut test)
                }
            }
        }
    }
}

impl Operator {
    fn holds(self, left: &Value, right: &Value) -> bool {
        if left.is_null() || right.is_null() {
            let both = left.is_null() && right.is_null();
            return match self {
                Self::Equal => both,
                Self::NotEqual => !both,
                _ => false,
            };
        }
        let Some(ordering) = compare(left, right) else {
            return self == Self::NotEqual;
        };
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
        }
    }
}

impl TextTest {
    fn holds(self, text: &str, part: &str) -> bool {
        let (text, part) = (text.to_lowercase(), part.to_lowercase());
        match self {
            Self::StartsWith => text.starts_with(&part),
            Self::EndsWith => text.ends_with(&part),
            Self::Contains => text.contains(&part),
        }
    }
}

/// The value at a path of property names; null where there is none.
pub(super) fn at<'a>(row: &'a Value, path: &str) -> &'a Value {
    path.split('/').fold(row, |value, name| {
        let Value::Object(map) = value else {
            return &Value::Null;
        };
        let exact = map.get(name);
        let found = exact.or_else(|| {
            let mut entries = map.iter();
            entries
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        });
        found.unwrap_or(&Value::Null)
    })
}

/// Compares two values; `None` if they are of kinds that do not compare.
pub(super) fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => match (time(left), time(right)) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => Some(left.to_lowercase().cmp(&right.to_lowercase())),
        },
        (Value::Number(left), Value::Number(right)) => left.as_f64()?.partial_cmp(&right.as_f64()?),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Service;

    static SCHEMA: Schema = Schema {
        name: "microsoft.graph.message",
        properties: &[
            "id",
            "subject",
            "from",
            "isRead",
            "size",
            "receivedDateTime",
            "categories",
            "mail",
        ],
        navigation: &["singleValueExtendedProperties"],
        always: &["id"],
        default: &[],
        service: Service::Outlook,
    };

    fn check(filter: &str, expected: Result<bool, &str>) {
        let row = json!({
            "id": "1",
            "subject": "It's June",
            "from": {"emailAddress": {"address": "Ann@contoso.com"}},
            "isRead": false,
            "size": 42,
            "receivedDateTime": "2026-06-01T10:00:00Z",
            "categories": ["Red", "Blue"],
            "singleValueExtendedProperties": [
                {"id": "String {00020329-0000-0000-C000-000000000046} Name Restore", "value": "r/1"}
            ],
            "mail": null,
        });
        let found = Filter::parse(filter, &SCHEMA).map(|parsed| parsed.matches(&row));
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{filter}"),
            (Err(found), Err(part)) => {
                assert_eq!(found.code, "RequestBroker--ParseUri");
                assert!(found.message.contains(part), "{filter}: {}", found.message);
            }
            (found, _) => panic!("{filter}: {found:?}"),
        }
    }

    #[test]
    fn comparisons() {
        check("subject eq 'it''s june'", Ok(true));
        check("isRead eq true", Ok(false));
        check("not isRead", Ok(true));
        check("isRead ne true and size ge 42", Ok(true));
        check("size gt 42 or (size lt 43 and subject ne 'x')", Ok(true));
        check("receivedDateTime ge 2026-06-01T12:00:00+02:00", Ok(true));
        check("receivedDateTime lt 2026-06-01", Ok(false));
        check("from/emailAddress/address eq 'ann@contoso.com'", Ok(true));
        check("mail eq null", Ok(true));
        check("mail ne null", Ok(false));
        check("mail lt 'x'", Ok(false));
        check("size in (1, 42)", Ok(true));
        check("size eq '42'", Ok(false));
    }

    #[test]
    fn functions_and_lambdas() {
        check("startswith(subject,'it')", Ok(true));
        check("startsWith(subject, 'it') eq false", Ok(false));
        check("endswith(tolower(subject), 'june')", Ok(true));
        check("contains(subject, 'May')", Ok(false));
        check("categories/any(c:c eq 'red')", Ok(true));
        check("categories/all(c:c eq 'red')", Ok(false));
        check("categories/any()", Ok(true));
        check(
            "singleValueExtendedProperties/any(ep: ep/id eq 'String {00020329-0000-0000-C000-000000000046} Name Restore' and ep/value eq 'r/1')",
            Ok(true),
        );
        check(
            "singleValueExtendedProperties/any(ep: ep/id eq 'x' and ep/value eq 'r/1')",
            Ok(false),
        );
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        check(
            "colour eq 'red'",
            Err("Could not find a property named 'colour'"),
        );
        check("subject eq", Err("a value is missing"));
        check("subject eq 'x", Err("syntax error"));
        check("subject eq 'x' subject", Err("syntax error"));
        check("categories/any(c c eq 'x')", Err("syntax error"));
        check("startswith(subject)", Err("syntax error"));
        check("subject & 1", Err("syntax error"));
        check(
            &format!("{}isRead", "not ".repeat(100)),
            Err("nests too deeply"),
        );
        check(&"(".repeat(100_000), Err("nests too deeply"));
    }
}
