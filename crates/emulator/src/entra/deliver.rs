//! Sending a person back to the application: the three ways in which the answer's fields travel.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use super::page;
use crate::{Body, Reply};

/// `response_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Query,
    Fragment,
    FormPost,
}

impl Mode {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "query" => Some(Self::Query),
            "fragment" => Some(Self::Fragment),
            "form_post" => Some(Self::FormPost),
            _ => None,
        }
    }
}

/// Sends the person back with these fields.
pub(super) fn deliver(redirect_uri: &str, mode: Mode, fields: &[(&str, String)]) -> Reply {
    if mode == Mode::FormPost {
        return page::form_post(redirect_uri, fields);
    }
    let encoded = encode(fields);
    let location = match mode {
        Mode::Fragment => format!("{redirect_uri}#{encoded}"),
        _ if redirect_uri.contains('?') => format!("{redirect_uri}&{encoded}"),
        _ => format!("{redirect_uri}?{encoded}"),
    };
    redirect(&location)
}

/// 302.
pub(super) fn redirect(location: &str) -> Reply {
    let reply = Reply::new(StatusCode::FOUND, Body::Bytes(Bytes::new(), page::HTML));
    match HeaderValue::try_from(location) {
        Ok(location) => reply.with_header(header::LOCATION, location),
        // Registered addresses and our own paths are plain ASCII; what is not cannot be redirected to.
        Err(_) => Reply::new(StatusCode::BAD_REQUEST, Body::Empty),
    }
}

/// Fields as in a form.
pub(super) fn encode<'a, V: AsRef<str> + 'a>(
    fields: impl IntoIterator<Item = &'a (&'a str, V)>,
) -> String {
    let mut encoder = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        encoder.append_pair(name, value.as_ref());
    }
    encoder.finish()
}
