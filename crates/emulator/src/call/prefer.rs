//! The `Prefer` headers (RFC 7240) that Outlook and the directory know. Unknown preferences are ignored, as the RFC asks.

use http::{HeaderMap, HeaderName};

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// What a client prefers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preferences {
    /// `IdType="ImmutableId"`.
    pub immutable_ids: bool,
    /// `odata.maxpagesize`.
    pub max_page_size: Option<usize>,
    /// `outlook.body-content-type`, in lower case: `text` or `html`.
    pub body_content_type: Option<String>,
}

impl Preferences {
    /// Reads all `Prefer` headers.
    #[must_use]
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut preferences = Self::default();
        for line in headers.get_all(PREFER) {
            for item in line.to_str().unwrap_or_default().split([',', ';']) {
                preferences.note(item);
            }
        }
        preferences
    }

    fn note(&mut self, item: &str) {
        let (name, value) = item.split_once('=').unwrap_or((item, ""));
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "idtype" => self.immutable_ids = value.eq_ignore_ascii_case("ImmutableId"),
            "odata.maxpagesize" | "maxpagesize" => self.max_page_size = value.parse().ok(),
            "outlook.body-content-type" => {
                self.body_content_type = Some(value.to_ascii_lowercase());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn several_preferences_in_one_header_or_more_are_read() {
        let mut headers = HeaderMap::new();
        headers.append(
            PREFER,
            HeaderValue::from_static("IdType=\"ImmutableId\", odata.maxpagesize=250"),
        );
        headers.append(
            PREFER,
            HeaderValue::from_static("outlook.body-content-type=\"Text\"; unknown=1"),
        );
        assert_eq!(
            Preferences::parse(&headers),
            Preferences {
                immutable_ids: true,
                max_page_size: Some(250),
                body_content_type: Some("text".to_owned()),
            }
        );
    }
}
