//! The query string: decoded, names compared without regard to case. What the options mean is `odata`'s business.

use crate::GraphError;

/// A query string, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes `a=b&c=d`, percent encoding and `+` included.
    ///
    /// # Errors
    /// 400 if a name occurs twice or an encoding is not UTF-8.
    pub fn parse(query: &str) -> Result<Self, GraphError> {
        Self::split(query, '&', |text| {
            decode_form(text).ok_or_else(|| {
                GraphError::bad_request("The query string is not valid percent-encoded UTF-8.")
            })
        })
    }

    /// Reads options that stand in parentheses after an expanded property, which are decoded already and separated by `;`.
    ///
    /// # Errors
    /// 400 if a name occurs twice.
    pub fn parse_nested(options: &str) -> Result<Self, GraphError> {
        Self::split(options, ';', |text| Ok(text.to_owned()))
    }

    fn split(
        query: &str,
        separator: char,
        decode: impl Fn(&str) -> Result<String, GraphError>,
    ) -> Result<Self, GraphError> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in split_outside_quotes(query, separator) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?.trim().to_owned(), decode(value)?);
            if name.is_empty() {
                continue;
            }
            if pairs
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(&name))
            {
                return Err(GraphError::bad_request(format!(
                    "Query option '{name}' was specified more than once, but it must be specified at most once."
                )));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// The value of an option, by its name in any case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// All options, in order, names as they were sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// Whether there are no options.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Splits at a separator, except inside `'…'` and `(…)`: `$expand=a($select=x;$top=2);$count=true`.
fn split_outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    // An `&` in a real query string always separates: inside a literal it is sent encoded.
    let mut quoted = false;
    let mut depth = 0_usize;
    text.split(move |c: char| {
        if separator != '&' {
            match c {
                '\'' => quoted = !quoted,
                '(' if !quoted => depth += 1,
                ')' if !quoted => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        c == separator && !quoted && depth == 0
    })
}

/// Decodes `%xx`. `None` if the result is not UTF-8 or an escape is cut short.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Decodes `%xx` and `+`, as in a query string or a form.
pub(crate) fn decode_form(text: &str) -> Option<String> {
    decode(&text.replace('+', "%20"))
}

/// Encodes everything but letters, digits and `-_.~`.
pub(crate) fn encode_value(text: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => {
                // Writing to a string cannot fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_encoded_dollars_are_dollars() {
        let query = Query::parse("%24Top=5&$filter=subject+eq+%27a%26b%27&&x").expect("valid");
        assert_eq!(query.get("$top"), Some("5"));
        assert_eq!(query.get("$FILTER"), Some("subject eq 'a&b'"));
        assert_eq!(query.get("x"), Some(""));
        assert_eq!(query.get("y"), None);
    }

    #[test]
    fn an_option_given_twice_or_badly_encoded_is_refused() {
        for bad in ["$top=1&$TOP=2", "$top=%f", "$top=%ff"] {
            assert!(Query::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nested_options_keep_separators_inside_quotes_and_parentheses() {
        let nested =
            Query::parse_nested("$filter=id eq 'a;b';$expand=c($top=1;$skip=2)").expect("valid");
        assert_eq!(nested.get("$filter"), Some("id eq 'a;b'"));
        assert_eq!(nested.get("$expand"), Some("c($top=1;$skip=2)"));
    }

    #[test]
    fn encoding_and_decoding_are_inverse() {
        for text in ["", "a b+c", "ä/%", "AAMk=_-"] {
            assert_eq!(decode(&encode_value(text)).as_deref(), Some(text));
        }
    }
}
