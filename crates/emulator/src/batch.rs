//! `$batch`: up to twenty requests in one JSON body, each with its own status, headers and body.
//!
//! The outer answer is 200 whatever the parts say. Parts run in the order of their dependencies, one after another; a part whose
//! predecessor failed gets 424.

use bytes::Bytes;
use data_encoding::BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    GraphError, Reply,
    gateway::{Incoming, Outgoing},
};

/// Microsoft's limit.
const PARTS_MAX: usize = 20;

#[derive(Debug, Deserialize)]
struct Batch {
    requests: Vec<Part>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    id: String,
    method: String,
    url: String,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    body: Value,
    #[serde(default)]
    depends_on: Vec<String>,
}

/// Answers a batch. `serve` answers one part: the request, or the error that it gets instead.
pub(crate) fn answer(
    incoming: &Incoming,
    serve: impl Fn(Result<&Incoming, &GraphError>) -> Outgoing,
) -> Result<Reply, GraphError> {
    let parts = read(&incoming.body)?;
    let mut statuses: Vec<Option<StatusCode>> = vec![None; parts.len()];
    let mut responses = vec![Value::Null; parts.len()];
    for _ in 0..parts.len() {
        // Dependencies were checked to have no circle, so that in each round some part is ready.
        for index in 0..parts.len() {
            if statuses[index].is_some() {
                continue;
            }
            let needs: Vec<_> = dependencies(&parts, index)
                .map(|needed| statuses[needed])
                .collect();
            if needs.iter().any(Option::is_none) {
                continue;
            }
            let failed = needs.iter().flatten().any(|status| !status.is_success());
            let part = if failed {
                Err(GraphError::new(
                    StatusCode::FAILED_DEPENDENCY,
                    "FailedDependency",
                    "A request that this one depends on failed.",
                ))
            } else {
                request(&parts[index], incoming).map_err(GraphError::bad_request)
            };
            let outgoing = serve(part.as_ref());
            statuses[index] = Some(outgoing.status);
            responses[index] = response(&parts[index], &outgoing);
        }
    }
    Ok(Reply::json(json!({"responses": responses})))
}

fn read(body: &[u8]) -> Result<Vec<Part>, GraphError> {
    let invalid = |message: String| GraphError::bad_request(message);
    let batch: Batch = serde_json::from_slice(body)
        .map_err(|_| invalid("Invalid batch payload format.".to_owned()))?;
    let parts = batch.requests;
    if parts.is_empty() {
        return Err(invalid("Invalid batch payload format.".to_owned()));
    }
    if parts.len() > PARTS_MAX {
        return Err(GraphError::new(
            StatusCode::BAD_REQUEST,
            "MaximumValueExceeded",
            format!("Number of batch request steps exceeds the maximum value of {PARTS_MAX}."),
        ));
    }
    for (index, part) in parts.iter().enumerate() {
        if parts[..index].iter().any(|other| other.id == part.id) {
            return Err(invalid(format!(
                "Duplicate request id '{}' in the batch.",
                part.id
            )));
        }
        if part
            .depends_on
            .iter()
            .any(|id| !parts.iter().any(|other| other.id == *id))
        {
            return Err(invalid(format!(
                "Request '{}' depends on a request that is not in the batch.",
                part.id
            )));
        }
    }
    if has_circle(&parts) {
        return Err(invalid(
            "The requests of the batch depend on each other in a circle.".to_owned(),
        ));
    }
    Ok(parts)
}

fn dependencies(parts: &[Part], index: usize) -> impl Iterator<Item = usize> {
    parts[index]
        .depends_on
        .iter()
        .filter_map(|id| parts.iter().position(|other| other.id == *id))
}

fn has_circle(parts: &[Part]) -> bool {
    let mut done = vec![false; parts.len()];
    for _ in 0..parts.len() {
        for index in 0..parts.len() {
            if dependencies(parts, index).all(|needed| done[needed]) {
                done[index] = true;
            }
        }
    }
    done.contains(&false)
}

fn request(part: &Part, outer: &Incoming) -> Result<Incoming, &'static str> {
    let method = Method::from_bytes(part.method.to_ascii_uppercase().as_bytes())
        .map_err(|_| "Invalid HTTP method.")?;
    let (path, query) = part.url.split_once('?').unwrap_or((&part.url, ""));
    let mut headers = HeaderMap::new();
    for (name, value) in &part.headers {
        let (Ok(name), Some(Ok(value))) = (
            HeaderName::try_from(name.as_str()),
            value.as_str().map(HeaderValue::try_from),
        ) else {
            return Err("Invalid header in a request of a batch.");
        };
        headers.append(name, value);
    }
    let body = body(part, &headers)?;
    Ok(Incoming {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body,
        origin: outer.origin.clone(),
    })
}

/// JSON stands as itself; anything else as base64 text.
fn body(part: &Part, headers: &HeaderMap) -> Result<Bytes, &'static str> {
    if part.body.is_null() {
        return Ok(Bytes::new());
    }
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .ok_or(
            "Write requests (excluding DELETE) must contain the Content-Type header declaration.",
        )?;
    match &part.body {
        Value::String(text) if !is_json(content_type) => BASE64
            .decode(text.as_bytes())
            .map(Bytes::from)
            .map_err(|_| "The body of a request in a batch is neither JSON nor base64."),
        body => Ok(Bytes::from(body.to_string())),
    }
}

fn response(part: &Part, outgoing: &Outgoing) -> Value {
    let mut headers = Map::new();
    for (name, value) in &outgoing.headers {
        // Microsoft's answers carry few headers here; what a client needs must be among them.
        let kept = [
            header::CONTENT_TYPE,
            header::RETRY_AFTER,
            header::LOCATION,
            header::CACHE_CONTROL,
        ];
        let shown = name.as_str();
        if kept.contains(name)
            || shown.starts_with("x-ms-")
            || ["odata-version", "preference-applied", "request-id"].contains(&shown)
        {
            let value = value.to_str().unwrap_or_default();
            headers.insert(spelled(shown), json!(value));
        }
    }
    let mut response = json!({
        "id": part.id,
        "status": outgoing.status.as_u16(),
        "headers": headers,
    });
    if !outgoing.body.is_empty() {
        let content_type = outgoing
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let json = is_json(content_type)
            .then(|| serde_json::from_slice(&outgoing.body).ok())
            .flatten();
        response["body"] = json.unwrap_or_else(|| json!(BASE64.encode(&outgoing.body)));
    }
    response
}

/// `retry-after` is written `Retry-After` inside a batch.
fn spelled(name: &str) -> String {
    let mut start = true;
    name.chars()
        .map(|c| {
            let spelled = if start { c.to_ascii_uppercase() } else { c };
            start = c == '-';
            spelled
        })
        .collect()
}

fn is_json(content_type: &str) -> bool {
    content_type
        .trim()
        .to_ascii_lowercase()
        .starts_with("application/json")
}
