//! One request to Graph as a handler sees it: path parameters, query options, preferences and body, all decoded, and the tenant.
//!
//! Nothing here knows of HTTP connections: the server and `$batch` both make a [`Call`].

mod prefer;
mod query;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    GraphError, SharedMailbox, Tenant, User,
    doors::{Site, sibling},
    route::Service,
};

pub use prefer::Preferences;
pub use query::Query;
pub(crate) use query::{decode, encode_value};

/// A request that has been authenticated, authorised and routed.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The service that the route belongs to; it decides in whose words errors are said.
    pub service: Service,
    /// The path's segments after the version, decoded and normalised: `users('x')` is `users`, `x`.
    pub segments: Vec<String>,
    /// What stands for `{name}` in the template.
    pub params: Vec<(&'static str, String)>,
    /// The query.
    pub query: Query,
    /// The `Prefer` headers.
    pub prefer: Preferences,
    /// All headers.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Bytes,
    /// Scheme and host as the client sees them, for links: `http://127.0.0.1:8080`, without a trailing slash.
    pub origin: String,
    /// The time of the request.
    pub now: Timestamp,
    /// The state.
    pub tenant: Arc<Tenant>,
    /// What fault rules want of the handler.
    pub effects: Effects,
    /// The application permissions of the caller; none where the URL carries its own token.
    pub roles: Vec<String>,
}

/// What fault rules ask of a handler, as against what the server does to the answer itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Pages hold at most this many items.
    pub page_size_max: Option<usize>,
    /// Whether a move is lost from the target's delta; `None` leaves it to [`Behaviour`](crate::Behaviour).
    pub lost_moves: Option<bool>,
}

impl Call {
    /// The path parameter `{name}`. Empty if the template has none of that name, which is a mistake in the route table.
    #[must_use]
    pub fn param(&self, name: &str) -> &str {
        let found = self.params.iter().find(|(key, _)| *key == name);
        debug_assert!(found.is_some(), "the template has no {{{name}}}");
        found.map_or("", |(_, value)| value)
    }

    /// The user that `{user}` names, by id or user principal name.
    ///
    /// # Errors
    /// 404 in the words of the route's service.
    pub fn user(&self) -> Result<Arc<User>, GraphError> {
        let name = self.param("user");
        self.tenant.user(name).ok_or_else(|| match self.service {
            Service::Directory => GraphError::directory_not_found(name),
            Service::Outlook => GraphError::invalid_user(name),
        })
    }

    /// The mailbox of the user that `{user}` names.
    ///
    /// # Errors
    /// 404 if there is no such user, or no mailbox.
    pub fn mailbox(&self) -> Result<SharedMailbox, GraphError> {
        let user = self.user()?;
        self.tenant
            .mailbox(user.id)
            .ok_or_else(GraphError::no_mailbox)
    }

    /// The body as a JSON object.
    ///
    /// # Errors
    /// 400 if the content type is not JSON, or the body is not an object.
    pub fn json(&self) -> Result<serde_json::Map<String, Value>, GraphError> {
        let content_type = self.content_type();
        if !content_type.is_empty() && !content_type.starts_with("application/json") {
            return Err(GraphError::bad_request(
                "Write requests (excluding DELETE) must contain the Content-Type header declaration.",
            ));
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(map)) => Ok(map),
            Ok(_) | Err(_) if self.body.is_empty() => Err(GraphError::bad_request(
                "Empty Payload. JSON content expected.",
            )),
            Ok(_) | Err(_) => Err(GraphError::bad_request(
                "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.",
            )),
        }
    }

    /// The content type in lower case, empty if there is none.
    #[must_use]
    pub fn content_type(&self) -> String {
        self.headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    }

    /// Where Graph's v1.0 stands for this client, without a trailing slash.
    #[must_use]
    pub fn base(&self) -> String {
        format!("{}/v1.0", sibling(&self.origin, Site::Graph))
    }

    /// `@odata.context` of an answer: `{base}/$metadata#{fragment}`.
    #[must_use]
    pub fn context(&self, fragment: &str) -> Value {
        Value::String(format!("{}/$metadata#{fragment}", self.base()))
    }

    /// A link to this same path with this query, whose values are encoded here.
    #[must_use]
    pub fn link(&self, query: &[(&str, &str)]) -> String {
        let path: Vec<_> = self.segments.iter().map(|s| encode_value(s)).collect();
        let query: Vec<_> = query
            .iter()
            .map(|(name, value)| format!("{name}={}", encode_value(value)))
            .collect();
        format!("{}/{}?{}", self.base(), path.join("/"), query.join("&"))
    }

    /// How many items a page may hold: `$top`, else `odata.maxpagesize` (which only Outlook heeds), else `default`; never over `max` or a
    /// fault rule's limit, and at least one.
    #[must_use]
    pub fn page_size(&self, top: Option<usize>, default: usize, max: usize) -> usize {
        let preferred = match self.service {
            Service::Outlook => self.prefer.max_page_size,
            Service::Directory => None,
        };
        let wanted = top.or(preferred).unwrap_or(default);
        wanted
            .min(max)
            .min(self.effects.page_size_max.unwrap_or(max))
            .max(1)
    }
}
