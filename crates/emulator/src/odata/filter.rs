//! `$filter`: comparisons, `and`, `or`, `not`, `in`, `startswith`, `endswith`, `contains`, and the lambdas `any` and `all`.
//!
//! Strings compare without regard to case, as in the directory and in Exchange. A comparison with a property that the row lacks is a comparison with null.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::{Number, Value};

use super::{
    Schema,
    lexer::{self, Token},
};
use crate::GraphError;

/// How deep an expression may nest: Microsoft refuses long ones too, and recursion must end.
const DEPTH_MAX: usize = 64;

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
        let invalid = |reason: &str| schema.error(format!("Invalid filter clause: {reason}"));
        let tokens = lexer::tokens(text).ok_or_else(|| invalid("syntax error."))?;
        let mut parser = Parser {
            tokens: &tokens,
            schema,
            variables: Vec::new(),
            depth: 0,
        };
        let expression = parser.or()?;
        if parser.tokens.is_empty() {
            Ok(Self(expression))
        } else {
            Err(invalid("syntax error after a complete expression."))
        }
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

struct Parser<'a> {
    tokens: &'a [Token],
    schema: &'a Schema,
    variables: Vec<String>,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn or(&mut self) -> Result<Expression, GraphError> {
        let mut left = self.and()?;
        while self.take_word("or") {
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression, GraphError> {
        let mut left = self.unary()?;
        while self.take_word("and") {
            left = Expression::And(Box::new(left), Box::new(self.unary()?));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expression, GraphError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error("it nests too deeply."));
        }
        let expression = if self.take_word("not") {
            Expression::Not(Box::new(self.unary()?))
        } else if self.take(&Token::Open) {
            let inner = self.or()?;
            self.expect(&Token::Close)?;
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn comparison(&mut self) -> Result<Expression, GraphError> {
        if let Some(expression) = self.function()? {
            // `startswith(…) eq true` says the same as `startswith(…)`.
            if self.take_word("eq") {
                let wanted = self.operand()?;
                return match wanted {
                    Operand::Literal(Value::Bool(true)) => Ok(expression),
                    Operand::Literal(Value::Bool(false)) => {
                        Ok(Expression::Not(Box::new(expression)))
                    }
                    _ => {
                        Err(self
                            .error("a function is compared with something that is not a boolean."))
                    }
                };
            }
            return Ok(expression);
        }
        let left = self.operand()?;
        if self.take_word("in") {
            self.expect(&Token::Open)?;
            let mut values = vec![self.operand()?];
            while self.take(&Token::Comma) {
                values.push(self.operand()?);
            }
            self.expect(&Token::Close)?;
            return Ok(Expression::In(left, values));
        }
        match self.operator() {
            Some(operator) => Ok(Expression::Compare(left, operator, self.operand()?)),
            None => Ok(Expression::Truth(left)),
        }
    }

    /// A text function or a lambda, if one comes next.
    fn function(&mut self) -> Result<Option<Expression>, GraphError> {
        let [Token::Word(name), Token::Open, ..] = self.tokens else {
            return Ok(None);
        };
        let name = name.clone();
        if let Some((path, quantifier)) = name.rsplit_once('/')
            && (quantifier.eq_ignore_ascii_case("any") || quantifier.eq_ignore_ascii_case("all"))
        {
            self.tokens = &self.tokens[2..];
            return self
                .lambda(path, quantifier.eq_ignore_ascii_case("all"))
                .map(Some);
        }
        let test = match name.to_ascii_lowercase().as_str() {
            "startswith" => TextTest::StartsWith,
            "endswith" => TextTest::EndsWith,
            "contains" => TextTest::Contains,
            _ => return Ok(None),
        };
        self.tokens = &self.tokens[2..];
        let text = self.operand()?;
        self.expect(&Token::Comma)?;
        let part = self.operand()?;
        self.expect(&Token::Close)?;
        Ok(Some(Expression::Text(test, text, part)))
    }

    fn lambda(&mut self, path: &str, all: bool) -> Result<Expression, GraphError> {
        self.check_path(path)?;
        let mut lambda = (String::new(), None);
        if !self.take(&Token::Close) {
            let Some(Token::Word(variable)) = self.next() else {
                return Err(self.error("a lambda has no variable."));
            };
            lambda.0.clone_from(variable);
            self.expect(&Token::Colon)?;
            self.variables.push(lambda.0.clone());
            lambda.1 = Some(Box::new(self.or()?));
            self.variables.pop();
            self.expect(&Token::Close)?;
        }
        Ok(Expression::Lambda {
            all,
            path: path.to_owned(),
            variable: lambda.0,
            body: lambda.1,
        })
    }

    fn operand(&mut self) -> Result<Operand, GraphError> {
        match self.next() {
            Some(Token::Text(text)) => Ok(Operand::Literal(Value::String(text.clone()))),
            Some(Token::Word(word)) => {
                if (word.eq_ignore_ascii_case("tolower") || word.eq_ignore_ascii_case("toupper"))
                    && self.take(&Token::Open)
                {
                    self.depth += 1;
                    if self.depth > DEPTH_MAX {
                        return Err(self.error("it nests too deeply."));
                    }
                    let inner = self.operand()?;
                    self.expect(&Token::Close)?;
                    self.depth -= 1;
                    return Ok(Operand::Folded(Box::new(inner)));
                }
                if let Some(literal) = literal(word) {
                    return Ok(Operand::Literal(literal));
                }
                self.check_path(word)?;
                Ok(Operand::Path(word.clone()))
            }
            _ => Err(self.error("a value is missing.")),
        }
    }

    fn check_path(&self, path: &str) -> Result<(), GraphError> {
        let first = path.split('/').next().unwrap_or(path);
        if self.variables.iter().any(|variable| variable == first) {
            return Ok(());
        }
        self.schema.check(path)
    }

    fn operator(&mut self) -> Option<Operator> {
        let [Token::Word(word), rest @ ..] = self.tokens else {
            return None;
        };
        let operator = match word.to_ascii_lowercase().as_str() {
            "eq" => Operator::Equal,
            "ne" => Operator::NotEqual,
            "gt" => Operator::Greater,
            "ge" => Operator::GreaterOrEqual,
            "lt" => Operator::Less,
            "le" => Operator::LessOrEqual,
            _ => return None,
        };
        self.tokens = rest;
        Some(operator)
    }

    fn next(&mut self) -> Option<&'a Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.tokens.first() == Some(token);
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found =
            matches!(self.tokens.first(), Some(Token::Word(w)) if w.eq_ignore_ascii_case(word));
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    fn expect(&mut self, token: &Token) -> Result<(), GraphError> {
        if self.take(token) {
            Ok(())
        } else {
            Err(self.error("syntax error."))
        }
    }

    fn error(&self, reason: &str) -> GraphError {
        self.schema
            .error(format!("Invalid filter clause: {reason}"))
    }
}

/// What a bare word means, if it is not a path: a boolean, null, a number, a date or a GUID.
fn literal(word: &str) -> Option<Value> {
    match word {
        "true" => return Some(Value::Bool(true)),
        "false" => return Some(Value::Bool(false)),
        "null" => return Some(Value::Null),
        _ => {}
    }
    if let Ok(number) = word.parse::<i64>() {
        return Some(Value::Number(number.into()));
    }
    if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        if let Some(number) = word.parse::<f64>().ok().and_then(Number::from_f64) {
            return Some(Value::Number(number));
        }
        if time(word).is_some() {
            return Some(Value::String(word.to_owned()));
        }
    }
    uuid::Uuid::try_parse(word)
        .ok()
        .map(|_| Value::String(word.to_owned()))
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
