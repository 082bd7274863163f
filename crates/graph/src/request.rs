//! What to ask Graph: method, path, query, headers and body, and whether it may be asked twice.
//!
//! A request is a value: it can be sent again as it is (survival 18). It has no token and no host; the client adds them.

use std::fmt;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header::CONTENT_TYPE};
use serde::Serialize;
use url::{Url, form_urlencoded::byte_serialize};

use crate::{
    cloud::Cloud,
    error::{Error, Result},
    label::Label,
    link::Link,
};

/// Largest answer that is read: Exchange's largest message has 150 MB, which is some 205 MB as MIME. More is a broken or hostile server
/// (abuse 41, 58).
const ANSWER_MAX_BYTES: usize = 256 * 1024 * 1024;

/// When a request may be sent a second time; ordered, the most careful last.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Repeat {
    /// Always: twice does what once does. The default of everything but POST.
    Safe,
    /// When it certainly was not carried out, as far as Microsoft's answer can be believed: it was not sent, or was refused by 401, 429, or 503
    /// with Retry-After. Otherwise the error is `OutcomeUnknown`. The default of POST.
    IfRefused,
    /// When it was not sent, or was refused by 401. For what must never exist twice: throttling after success has been seen (abuse 36).
    Never,
}

/// A request below Graph's version, or to a link.
#[derive(Clone)]
pub struct Request {
    method: Method,
    target: Target,
    headers: Vec<(HeaderName, HeaderValue)>,
    prefer: Vec<String>,
    body: Option<(Bytes, HeaderValue)>,
    repeat: Repeat,
    raw: bool,
    max_bytes: usize,
}

#[derive(Clone)]
enum Target {
    /// A path that begins with `/`, and a query that is encoded already.
    Path {
        path: String,
        query: String,
    },
    Link(Link),
    /// Pre-authenticated: never sees a token.
    Upload(Link),
}

impl Request {
    /// GET of a path such as `/users/{id}/messages`, its ids encoded by [`segment`].
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// POST; see [`Repeat`].
    #[must_use]
    pub fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    /// PUT.
    #[must_use]
    pub fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path)
    }

    /// PATCH.
    #[must_use]
    pub fn patch(path: impl Into<String>) -> Self {
        Self::new(Method::PATCH, path)
    }

    /// DELETE. When a repetition finds nothing left, the error is `NotFound`: it is deleted.
    #[must_use]
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// Adds a query option, `$select` for instance; the value is encoded here.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        if let Target::Path { query, .. } = &mut self.target {
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str(name);
            query.push('=');
            query.push_str(&segment(value));
        }
        self
    }

    /// Adds a preference, `odata.maxpagesize=100` for instance. That for immutable ids is always there where it has a meaning.
    #[must_use]
    pub fn prefer(mut self, preference: impl Into<String>) -> Self {
        self.prefer.push(preference.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sends JSON.
    ///
    /// # Errors
    /// `Invalid` when it cannot be written as JSON.
    pub fn json(self, body: &(impl Serialize + ?Sized)) -> Result<Self> {
        let bytes = serde_json::to_vec(body)
            .map_err(|error| Error::invalid("the body is no JSON").because(error))?;
        Ok(self.body(
            Bytes::from(bytes),
            HeaderValue::from_static("application/json"),
        ))
    }

    /// Sends these bytes.
    #[must_use]
    pub fn body(mut self, bytes: Bytes, content_type: HeaderValue) -> Self {
        self.body = Some((bytes, content_type));
        self
    }

    /// `true` when sending it twice does what sending it once does.
    #[must_use]
    pub fn idempotent(self, idempotent: bool) -> Self {
        self.repeat(if idempotent {
            Repeat::Safe
        } else {
            Repeat::IfRefused
        })
    }

    /// Says when it may be sent a second time.
    #[must_use]
    pub fn repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = repeat;
        self
    }

    /// Expects bytes of any kind instead of JSON; set already where the path ends in `/$value`.
    #[must_use]
    pub fn raw(mut self) -> Self {
        self.raw = true;
        self
    }

    /// Bounds the answer, in bytes; 256 MiB unless told.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    pub(crate) fn follow(link: &Link) -> Self {
        Self::to(Method::GET, Target::Link(link.clone()))
    }

    /// The same request, sent to a link.
    pub(crate) fn at(&self, link: &Link) -> Self {
        Self {
            target: Target::Link(link.clone()),
            ..self.clone()
        }
    }

    pub(crate) fn upload(method: Method, link: &Link) -> Self {
        Self::to(method, Target::Upload(link.clone()))
    }

    pub(crate) fn label(&self) -> Label {
        match &self.target {
            Target::Path { path, .. } => Label::of(&self.method, path),
            Target::Link(link) => Label::of(&self.method, path_of(link.as_str())),
            Target::Upload(_) => Label::upload(&self.method),
        }
    }

    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    pub(crate) fn repeats(&self) -> Repeat {
        self.repeat
    }

    pub(crate) fn expects_json(&self) -> bool {
        !self.raw
    }

    pub(crate) fn answer_max_bytes(&self) -> usize {
        self.max_bytes
    }

    pub(crate) fn is_authorized(&self) -> bool {
        !matches!(self.target, Target::Upload(_))
    }

    pub(crate) fn content(&self) -> Option<&(Bytes, HeaderValue)> {
        self.body.as_ref()
    }

    pub(crate) fn body_bytes(&self) -> usize {
        self.body.as_ref().map_or(0, |(bytes, _)| bytes.len())
    }

    pub(crate) fn extra_headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// The value of `Prefer`, if there is any: `first`, then what was asked for.
    pub(crate) fn preference(&self, first: Option<&str>) -> Option<String> {
        let all: Vec<&str> = first
            .into_iter()
            .chain(self.prefer.iter().map(String::as_str))
            .collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// Whether this lists changes, whose last page must have a delta link.
    pub(crate) fn is_delta(&self) -> bool {
        let path = match &self.target {
            Target::Path { path, .. } => path,
            Target::Link(link) | Target::Upload(link) => path_of(link.as_str()),
        };
        let last = path.rsplit('/').next().unwrap_or_default();
        last.trim_start_matches("microsoft.graph.")
            .split('(')
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("delta"))
    }

    /// The address, checked: a path stays below Graph's version, a link stays with Graph (abuse 40).
    pub(crate) fn url(&self, cloud: &Cloud) -> Result<Url> {
        match &self.target {
            Target::Path { path, query } => {
                let whole = format!("{}{}", cloud.graph_base(), relative(path, query)?);
                Url::parse(&whole).map_err(|_| Error::invalid("the path makes no URL"))
            }
            Target::Link(link) => match Url::parse(link.as_str()) {
                Ok(url) if cloud.is_graph(&url) => Ok(url),
                _ => Err(Error::bad_answer("a link leads away from Graph")),
            },
            Target::Upload(link) => match Url::parse(link.as_str()) {
                Ok(url) if cloud.may_call(&url) => Ok(url),
                _ => Err(Error::bad_answer("an upload address is not encrypted")),
            },
        }
    }

    /// The address as a part of `$batch` names it, relative to the version.
    pub(crate) fn relative_url(&self) -> Result<String> {
        match &self.target {
            Target::Path { path, query } => relative(path, query),
            Target::Link(_) | Target::Upload(_) => {
                Err(Error::invalid("a link cannot be part of a batch"))
            }
        }
    }

    fn new(method: Method, path: impl Into<String>) -> Self {
        let path = path.into();
        let raw = path.ends_with("/$value");
        let mut request = Self::to(
            method,
            Target::Path {
                path,
                query: String::new(),
            },
        );
        request.raw = raw;
        request
    }

    fn to(method: Method, target: Target) -> Self {
        let repeat = match method {
            Method::POST => Repeat::IfRefused,
            _ => Repeat::Safe,
        };
        Self {
            method,
            target,
            headers: Vec::new(),
            prefer: Vec::new(),
            body: None,
            repeat,
            raw: false,
            max_bytes: ANSWER_MAX_BYTES,
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("label", &self.label().to_string())
            .field("repeat", &self.repeat)
            .field("body_bytes", &self.body_bytes())
            .finish_non_exhaustive()
    }
}

/// Encodes an id, or any other text, as one segment of a path: everything but letters, digits, `-`, `_`, `.` and `*`.
#[must_use]
pub fn segment(text: &str) -> String {
    byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

/// Refuses what a URL parser would read as another path: an id is never `..`.
fn relative(path: &str, query: &str) -> Result<String> {
    let misread = |segment: &str| {
        segment.len() <= "%2e%2e".len()
            && matches!(
                segment.to_ascii_lowercase().replace("%2e", ".").as_str(),
                "." | ".."
            )
    };
    if !path.starts_with('/') || path.contains(['?', '#', '\\']) || path.split('/').any(misread) {
        return Err(Error::invalid("the path is not one of Graph's"));
    }
    Ok(match query {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    })
}

/// The path of an absolute URL, without taking the rest apart.
fn path_of(url: &str) -> &str {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after_scheme.find('/').map_or("", |at| &after_scheme[at..]);
    path.split(['?', '#']).next().unwrap_or_default()
}

/// The header under which a body's type travels, also inside a batch.
pub(crate) const BODY_TYPE: HeaderName = CONTENT_TYPE;

#[cfg(test)]
mod tests {
    use super::*;

    fn url(request: &Request) -> Option<String> {
        request.url(&Cloud::global()).ok().map(String::from)
    }

    #[test]
    fn paths_and_queries_are_encoded_once() {
        let id = segment("AAMk/a+b==");
        let request = Request::get(format!("/users/{id}/messages"))
            .query("$filter", "subject eq 'a+b & c'")
            .query("$top", "5");
        assert_eq!(
            url(&request).as_deref(),
            Some(
                "https://graph.microsoft.com/v1.0/users/AAMk%2Fa%2Bb%3D%3D/messages?$filter=subject%20eq%20%27a%2Bb%20%26%20c%27&$top=5"
            )
        );
    }

    #[test]
    fn an_id_cannot_climb_out_of_its_path() {
        for path in [
            "/users/..",
            "/users/%2e%2E/x",
            "/users/./x",
            "users",
            "/users?x",
            "/a\\b",
        ] {
            assert_eq!(url(&Request::get(path)), None, "{path}");
        }
    }

    #[test]
    fn links_stay_with_graph_and_keep_their_bytes() {
        let link = "https://graph.microsoft.com/v1.0/users/u/messages/delta?$skiptoken=a%2Bb~c%20d";
        let request = Request::follow(&Link::new(link));
        assert_eq!(url(&request).as_deref(), Some(link));
        assert!(request.is_delta());
        assert!(!format!("{request:?}").contains("skiptoken"));
        let stranger = Request::follow(&Link::new("https://evil.example/v1.0/users"));
        assert_eq!(url(&stranger), None, "abuse 40");
        assert!(
            url(&Request::upload(
                Method::PUT,
                &Link::new("https://outlook.office.com/x")
            ))
            .is_some()
        );
        assert!(
            url(&Request::upload(
                Method::PUT,
                &Link::new("http://outlook.office.com/x")
            ))
            .is_none()
        );
    }
}
