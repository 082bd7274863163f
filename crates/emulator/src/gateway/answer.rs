//! Makes answers: from a handler's reply, from an error, from a fault rule.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;

use super::{Gateway, Incoming, Outgoing, RequestIds};
use crate::{
    Body, GraphError, Reply,
    entra::{Entra, EntraError},
    fault::{FaultBody, FaultRule, Verdict, Wire},
};

const JSON: &str = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8";
const ERROR_JSON: &str = "application/json";

/// Smaller bodies are not worth compressing.
const COMPRESS_BYTES_MIN: usize = 1024;

/// What Microsoft's gateway tells about itself; the names of the parts mean nothing here.
const DIAGNOSTIC: &str = r#"{"ServerInfo":{"DataCenter":"Emulator","Slice":"E","Ring":"1","ScaleUnit":"001","RoleInstance":"EMU0"}}"#;

const BAD_GATEWAY_PAGE: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n";

impl Gateway {
    pub(super) fn reply(&self, reply: Reply, ids: &RequestIds) -> Outgoing {
        let mut headers = self.headers(ids);
        let body = match reply.body {
            Body::Empty => Bytes::new(),
            Body::Json(value) => {
                insert(&mut headers, "content-type", JSON);
                insert(&mut headers, "odata-version", "4.0");
                json_bytes(&value)
            }
            Body::Bytes(bytes, content_type) => {
                insert(&mut headers, "content-type", content_type);
                bytes
            }
        };
        if !reply.applied.is_empty() {
            insert(
                &mut headers,
                "preference-applied",
                &reply.applied.join(", "),
            );
        }
        headers.extend(reply.headers);
        outgoing(reply.status, headers, body)
    }

    pub(super) fn error(&self, error: &GraphError, ids: &RequestIds) -> Outgoing {
        let mut headers = self.headers(ids);
        insert(&mut headers, "content-type", ERROR_JSON);
        headers.extend(error.headers.clone());
        let body = error.body(self.clock.now(), &ids.request.to_string(), &ids.client);
        outgoing(error.status, headers, json_bytes(&body))
    }

    /// The answer of a fault rule.
    pub(super) fn injected(
        &self,
        fault: &FaultRule,
        incoming: &Incoming,
        ids: &RequestIds,
    ) -> Outgoing {
        let default = if fault.aadsts.is_some() { 400 } else { 200 };
        let status = StatusCode::from_u16(fault.status.unwrap_or(default))
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = if Entra::serves(&incoming.path) {
            let error = EntraError::injected(status, fault.aadsts.unwrap_or(90_033));
            self.login_error(&error, incoming, ids)
        } else {
            let (code, message) = usual(status);
            let code = fault.code.clone().unwrap_or_else(|| code.to_owned());
            let message = fault.message.clone().unwrap_or_else(|| message.to_owned());
            self.error(&GraphError::new(status, code, message), ids)
        };
        let body = match &fault.body {
            None if status.as_u16() >= 400 => return answer,
            None | Some(FaultBody::Empty) => {
                answer.headers.remove(header::CONTENT_TYPE);
                Bytes::new()
            }
            Some(FaultBody::Html) => {
                insert(&mut answer.headers, "content-type", "text/html");
                Bytes::from_static(BAD_GATEWAY_PAGE.as_bytes())
            }
            Some(FaultBody::Text(text)) => {
                let looks_like_json = text.trim_start().starts_with(['{', '[']);
                let content_type = if looks_like_json { JSON } else { "text/plain" };
                insert(&mut answer.headers, "content-type", content_type);
                Bytes::from(text.clone())
            }
        };
        answer.body = body;
        answer
    }

    fn headers(&self, ids: &RequestIds) -> HeaderMap {
        let mut headers = HeaderMap::new();
        insert(&mut headers, "date", &self.date());
        insert(&mut headers, "cache-control", "no-store, no-cache");
        insert(&mut headers, "request-id", &ids.request.to_string());
        insert(&mut headers, "client-request-id", &ids.client);
        insert(&mut headers, "x-ms-ags-diagnostic", DIAGNOSTIC);
        headers
    }

    /// The time as the header `Date` has it.
    pub(super) fn date(&self) -> String {
        let now = self.clock.now();
        now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }
}

/// JSON as the login host and the admin endpoint send it.
pub(super) fn login(status: StatusCode, body: &Value) -> Outgoing {
    let mut headers = HeaderMap::new();
    insert(
        &mut headers,
        "content-type",
        "application/json; charset=utf-8",
    );
    insert(&mut headers, "cache-control", "no-store, no-cache");
    outgoing(status, headers, json_bytes(body))
}

/// An answer of the login host: JSON, a page, or a redirect.
pub(super) fn side(reply: Reply) -> Outgoing {
    let mut answer = match reply.body {
        Body::Json(value) => login(reply.status, &value),
        Body::Bytes(bytes, content_type) => {
            let mut headers = HeaderMap::new();
            insert(&mut headers, "content-type", content_type);
            insert(&mut headers, "cache-control", "no-store, no-cache");
            insert(&mut headers, "x-frame-options", "DENY");
            outgoing(reply.status, headers, bytes)
        }
        Body::Empty => plain(reply.status),
    };
    answer.headers.extend(reply.headers);
    answer
}

/// A status alone.
pub(super) fn plain(status: StatusCode) -> Outgoing {
    outgoing(status, HeaderMap::new(), Bytes::new())
}

/// Applies what a fault rule wants done to an answer, whichever it is.
pub(super) fn alter(mut answer: Outgoing, verdict: &Verdict, incoming: &Incoming) -> Outgoing {
    for (name, value) in &verdict.headers {
        insert(&mut answer.headers, name, value);
    }
    if !verdict.remove.is_empty() || !verdict.set.is_empty() {
        let parsed = serde_json::from_slice(&answer.body);
        if let Ok(Value::Object(mut object)) = parsed {
            let own = format!("{}{}?{}", incoming.origin, incoming.path, incoming.query);
            for name in &verdict.remove {
                object.shift_remove(name);
            }
            for (name, value) in &verdict.set {
                let value = match value {
                    Value::String(text) => Value::String(text.replace("{self}", &own)),
                    other => other.clone(),
                };
                object.insert(name.clone(), value);
            }
            answer.body = json_bytes(&Value::Object(object));
        }
    }
    answer.wire = verdict.wire;
    answer
}

/// Compresses JSON, if the client accepts it and it is worth it.
pub(super) fn compress(mut answer: Outgoing, request: &HeaderMap) -> Outgoing {
    let accepts = request
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .any(|value| value.to_str().is_ok_and(|value| value.contains("gzip")));
    let is_json = answer
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    if !accepts || !is_json || answer.body.len() < COMPRESS_BYTES_MIN {
        return answer;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory does not fail; if it did, the answer would go as it is.
    if encoder.write_all(&answer.body).is_ok()
        && let Ok(compressed) = encoder.finish()
    {
        answer.body = Bytes::from(compressed);
        insert(&mut answer.headers, "content-encoding", "gzip");
        insert(&mut answer.headers, "vary", "Accept-Encoding");
    }
    answer
}

/// Sets a header; one that cannot be a header is left out.
pub(super) fn insert(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        headers.insert(name, value);
    }
}

fn outgoing(status: StatusCode, headers: HeaderMap, body: Bytes) -> Outgoing {
    Outgoing {
        status,
        headers,
        body,
        wire: Wire::default(),
        permit: None,
    }
}

fn json_bytes(value: &Value) -> Bytes {
    // Serialising a value fails only when its own code does.
    Bytes::from(serde_json::to_vec(value).unwrap_or_default())
}

/// Code and message that go with a status when a rule names none.
fn usual(status: StatusCode) -> (&'static str, &'static str) {
    match status.as_u16() {
        400 => ("invalidRequest", "Invalid request"),
        401 => (
            "InvalidAuthenticationToken",
            "Lifetime validation failed, the token is expired.",
        ),
        403 => (
            "ErrorAccessDenied",
            "Access is denied. Check credentials and try again.",
        ),
        404 => (
            "ErrorItemNotFound",
            "The specified object was not found in the store.",
        ),
        409 => (
            "nameAlreadyExists",
            "The specified item name already exists.",
        ),
        410 => (
            "SyncStateNotFound",
            "The sync state generation is not found.",
        ),
        429 => (
            "ApplicationThrottled",
            "Application is over its MailboxConcurrency limit.",
        ),
        500 => ("InternalServerError", "An internal server error occurred."),
        502 => ("BadGateway", "Bad gateway."),
        503 => (
            "serviceNotAvailable",
            "The service is temporarily unavailable.",
        ),
        504 => ("UnknownError", ""),
        507 => ("quotaLimitReached", "The mailbox has reached its quota."),
        _ => ("generalException", "General exception while processing."),
    }
}
