//! Cuts a `$filter` or `$orderby` into words. Literals keep their kind, because `'5'` is not `5`.

use std::{iter::Peekable, str::Chars};

/// One word of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name, a path (`from/emailAddress/address`), a keyword, a number, a date or a GUID.
    Word(String),
    /// A quoted string, unescaped.
    Text(String),
    /// `(`
    Open,
    /// `)`
    Close,
    /// `,`
    Comma,
    /// `:` as in a lambda.
    Colon,
}

/// Cuts the text. `None` if a quote is not closed or a character has no place here.
pub(super) fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&c) = chars.peek() {
        match c {
            c if c.is_whitespace() => {
                chars.next();
            }
            '(' | ')' | ',' => {
                chars.next();
                tokens.push(match c {
                    '(' => Token::Open,
                    ')' => Token::Close,
                    _ => Token::Comma,
                });
            }
            '\'' => {
                chars.next();
                tokens.push(Token::Text(quoted(&mut chars)?));
            }
            c if is_word(c) => {
                let mut word = String::new();
                while let Some(&c) = chars.peek() {
                    // In a lambda the colon follows a bare name; in a date it stands between digits.
                    let in_date =
                        c == ':' && word.starts_with(|first: char| first.is_ascii_digit());
                    if !is_word(c) && !in_date {
                        break;
                    }
                    word.push(c);
                    chars.next();
                }
                tokens.push(Token::Word(word));
            }
            ':' => {
                chars.next();
                tokens.push(Token::Colon);
            }
            _ => return None,
        }
    }
    Some(tokens)
}

fn quoted(chars: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut text = String::new();
    loop {
        match chars.next()? {
            '\'' if chars.peek() == Some(&'\'') => {
                chars.next();
                text.push('\'');
            }
            '\'' => return Some(text),
            c => text.push(c),
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '/' | '_' | '-' | '.' | '+' | '$' | '@')
}

/// Splits at a separator that stands outside quotes and parentheses.
pub(super) fn split_top_level(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut depth = 0_usize;
    text.split(move |c: char| {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == separator && !quoted && depth == 0
    })
}
