//! The JSON of `$batch`: what a part looks like on its way there and back.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use data_encoding::BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{
    client::preference,
    error::{Error, Result},
    governor::Scope,
    request::Request,
};

#[derive(Serialize)]
pub(super) struct Call<'a> {
    requests: Vec<Part<'a>>,
}

#[derive(Serialize)]
pub(super) struct Part<'a> {
    id: String,
    method: &'a str,
    url: String,
    headers: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Box<RawValue>>,
}

impl<'a> Call<'a> {
    /// The call that carries these parts, named by their numbers.
    pub(super) fn of(scope: &Scope, parts: &[&'a Request]) -> Result<Self> {
        let numbered = parts.iter().enumerate();
        let requests = numbered.map(|(number, request)| Part::of(scope, number, request));
        Ok(Self {
            requests: requests.collect::<Result<_>>()?,
        })
    }
}

impl<'a> Part<'a> {
    fn of(scope: &Scope, number: usize, request: &'a Request) -> Result<Self> {
        let text = |value: &HeaderValue| {
            value
                .to_str()
                .map(str::to_owned)
                .map_err(|error| Error::invalid("a header of a part is no text").because(error))
        };
        let mut headers = BTreeMap::new();
        if let Some(preference) = preference(scope, request) {
            headers.insert("Prefer", preference);
        }
        for (name, value) in request.extra_headers() {
            headers.insert(name.as_str(), text(value)?);
        }
        let mut body = None;
        if let Some((bytes, content_type)) = request.content() {
            headers.insert("Content-Type", text(content_type)?);
            let raw = if content_type.as_bytes().starts_with(b"application/json") {
                serde_json::from_slice::<Box<RawValue>>(bytes)
            } else {
                serde_json::value::to_raw_value(&BASE64.encode(bytes))
            };
            body =
                Some(raw.map_err(|error| {
                    Error::invalid("the body of a part is no JSON").because(error)
                })?);
        }
        Ok(Self {
            id: number.to_string(),
            method: request.method().as_str(),
            url: request.relative_url()?,
            headers,
            body,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct Answers {
    responses: Vec<PartAnswer>,
}

impl Answers {
    pub(super) fn by_number(self) -> HashMap<usize, PartAnswer> {
        self.responses
            .into_iter()
            .filter_map(|answer| Some((answer.id.parse().ok()?, answer)))
            .collect()
    }
}

#[derive(Deserialize)]
pub(super) struct PartAnswer {
    id: String,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    headers: Option<HashMap<String, Value>>,
    #[serde(default)]
    body: Option<Box<RawValue>>,
}

impl PartAnswer {
    pub(super) fn status(&self) -> Option<StatusCode> {
        StatusCode::from_u16(self.status).ok()
    }

    /// Those that are text; Retry-After may come as a number.
    pub(super) fn headers(&self) -> HeaderMap {
        let all = self.headers.iter().flatten();
        all.filter_map(|(name, value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            Some((
                name.parse::<HeaderName>().ok()?,
                text.parse::<HeaderValue>().ok()?,
            ))
        })
        .collect()
    }

    /// JSON as it stands; what is not JSON travels as a string of Base64.
    pub(super) fn body(&self, request: &Request) -> Result<Bytes> {
        let Some(raw) = &self.body else {
            return Ok(Bytes::new());
        };
        if request.expects_json() || !raw.get().starts_with('"') {
            return Ok(Bytes::copy_from_slice(raw.get().as_bytes()));
        }
        serde_json::from_str::<String>(raw.get())
            .ok()
            .and_then(|text| BASE64.decode(text.as_bytes()).ok())
            .map(Bytes::from)
            .ok_or_else(|| Error::bad_answer("a part of a batch is no Base64"))
    }
}
