//! Reads a `$filter` into an expression by recursive descent: `or` binds weakest, then `and`, then `not` and parentheses.

use serde_json::{Number, Value};

use super::{Expression, Operand, Operator, TextTest, time};
use crate::{
    GraphError,
    odata::{
        Schema,
        lexer::{self, Token},
    },
};

/// How deep an expression may nest: Microsoft refuses long ones too, and recursion must end.
const DEPTH_MAX: usize = 64;

/// Parses a filter and checks the properties that it names.
pub(super) fn parse(text: &str, schema: &Schema) -> Result<Expression, GraphError> {
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
        Ok(expression)
    } else {
        Err(invalid("syntax error after a complete expression."))
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
