//! Where a fault rule strikes.

use crate::{Error, Route};

/// A template of the route table, or a pattern for whole paths.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    Template(&'static str),
    Path(String),
}

impl Pattern {
    /// Reads a rule's `route`. What has a brace is a template, and must be in the table, lest a slip goes unnoticed.
    pub(super) fn parse(text: &str, routes: &[Route]) -> Result<Self, Error> {
        let mut templates = routes.iter().map(|route| route.template);
        match templates.find(|template| same(template, text)) {
            Some(template) => Ok(Self::Template(template)),
            None if text.contains('{') => Err(Error::Invalid(format!(
                "fault on {text}: no route has this template"
            ))),
            None => Ok(Self::Path(text.to_ascii_lowercase())),
        }
    }

    pub(super) fn matches(&self, path: &str, template: Option<&'static str>) -> bool {
        match self {
            Self::Template(own) => template == Some(own),
            Self::Path(pattern) => glob(pattern.as_bytes(), path.to_ascii_lowercase().as_bytes()),
        }
    }
}

/// Whether two templates are the same but for the parameters' names.
fn same(left: &str, right: &str) -> bool {
    let (mut left, mut right) = (left.split('/'), right.split('/'));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (Some(a), Some(b))
                if a.eq_ignore_ascii_case(b) || (a.starts_with('{') && b.starts_with('{')) => {}
            _ => return false,
        }
    }
}

/// `*` stands for any bytes, none included. Takes time proportional to the product of the lengths at worst.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == text.get(t) {
            p += 1;
            t += 1;
        } else if let Some((star_at, matched_to)) = star {
            star = Some((star_at, matched_to + 1));
            p = star_at + 1;
            t = matched_to + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, expected) in [
            ("/v1.0/users/*/messages", "/v1.0/users/a/messages", true),
            ("/v1.0/users/*/messages", "/v1.0/users/a/messages/1", false),
            ("*/$value", "/v1.0/users/a/messages/1/$value", true),
            ("/a*b*c", "/axxbyybc", true),
            ("/a*b*c", "/axxbyyb", false),
            ("*", "", true),
            ("", "x", false),
        ] {
            assert_eq!(
                glob(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }
}
