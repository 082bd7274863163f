//! Judges whole answers: that status, content type and body go together, and the body by what the path leads to.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    context, primitive,
    route::{self, Target},
    schema::{Schema, TypeRef},
    value::{Judge, Place, kind_of},
    violation::{Violation, ViolationKind},
};

/// The version of Graph whose metadata we have.
const VERSION: &str = "/v1.0/";

/// A request and its answer, as much of them as is judged.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// `GET` …
    pub method: &'a str,
    /// The path from `/v1.0` on; a query may follow and is not looked at.
    pub path: &'a str,
    /// The request's body; only a batch's is looked at, for the paths of its parts.
    pub request_body: &'a [u8],
    /// The answer's status.
    pub status: u16,
    /// The answer's content type.
    pub content_type: Option<&'a str>,
    /// The answer's body.
    pub body: &'a [u8],
}

pub(crate) fn check(schema: &Schema, exchange: &Exchange<'_>) -> Vec<Violation> {
    let path = exchange.path.split('?').next().unwrap_or_default();
    let Some(path) = path.strip_prefix(VERSION) else {
        return Vec::new();
    };
    let mut judge = Judge::new(schema);
    match exchange.status {
        200..=299 => match route::resolve(schema, exchange.method, path) {
            Some(target) => success(&mut judge, schema, &target, exchange),
            None => judge.report(
                "answer",
                ViolationKind::Route,
                "the metadata knows no such path",
            ),
        },
        400..=599 => error(&mut judge, exchange),
        _ => {}
    }
    judge.found
}

fn success(judge: &mut Judge<'_>, schema: &Schema, target: &Target, exchange: &Exchange<'_>) {
    match target {
        Target::Content => {}
        Target::Nothing => expect_empty(judge, exchange),
        Target::Count => {
            let digits = exchange.body.iter().all(u8::is_ascii_digit);
            if !digits || exchange.body.is_empty() {
                judge.report(
                    "answer",
                    ViolationKind::Answer,
                    "a count is a number in plain text",
                );
            }
        }
        Target::Batch => batch(judge, schema, exchange),
        Target::Json { .. } if matches!(exchange.status, 202 | 204) => {
            expect_empty(judge, exchange);
        }
        Target::Json { ty, is_delta } => {
            if let Some(body) = object_of(judge, exchange) {
                expect_context(judge, schema, ty, &body);
                json(judge, ty, *is_delta, body);
            }
        }
    }
}

fn expect_empty(judge: &mut Judge<'_>, exchange: &Exchange<'_>) {
    if !exchange.body.is_empty() {
        let detail = format!("status {} has no body here", exchange.status);
        judge.report("answer", ViolationKind::Answer, detail);
    }
}

/// The body as a JSON object; a violation if it is none, or is not called JSON.
fn object_of(judge: &mut Judge<'_>, exchange: &Exchange<'_>) -> Option<Map<String, Value>> {
    let content_type = exchange.content_type.unwrap_or_default();
    if !content_type.starts_with("application/json") {
        let detail = format!("the content type is `{content_type}`, not JSON's");
        judge.report("answer", ViolationKind::Answer, detail);
    }
    let detail = match serde_json::from_slice(exchange.body) {
        Ok(Value::Object(object)) => return Some(object),
        Ok(other) => format!("the body is {}, not an object", kind_of(&other)),
        Err(error) => format!("the body is not JSON: {error}"),
    };
    judge.report("answer", ViolationKind::Answer, detail);
    None
}

/// Graph sends the context with every answer, and it has to agree with the path.
fn expect_context(
    judge: &mut Judge<'_>,
    schema: &Schema,
    expected: &TypeRef,
    body: &Map<String, Value>,
) {
    let path = "answer.@odata.context";
    let Some(text) = body.get("@odata.context").and_then(Value::as_str) else {
        return judge.report(path, ViolationKind::Annotation, "it is missing");
    };
    let Some(named) = context::resolve(schema, text) else {
        let detail = format!("`{text}` names nothing that the metadata knows");
        return judge.report(path, ViolationKind::Annotation, detail);
    };
    let related =
        schema.is_a(&named.name, &expected.name) || schema.is_a(&expected.name, &named.name);
    if !related || named.collection != expected.collection {
        let detail = format!("`{text}` does not go with {expected:?}");
        judge.report(path, ViolationKind::Annotation, detail);
    }
}

fn json(judge: &mut Judge<'_>, ty: &TypeRef, is_delta: bool, mut body: Map<String, Value>) {
    let path = super::short(&ty.name);
    if ty.collection {
        let has_link =
            body.contains_key("@odata.nextLink") || body.contains_key("@odata.deltaLink");
        if is_delta && !has_link {
            judge.report(
                &path,
                ViolationKind::Annotation,
                "a delta's page has a next link or a delta link",
            );
        }
        let place = if is_delta {
            Place::DeltaItem
        } else {
            Place::Item
        };
        judge.page(&path, ty, &Value::Object(body), place);
    } else if ty.name.starts_with("Edm.") {
        let value = body.remove("value").unwrap_or_default();
        judge.value(&path, ty, &value, Place::Nested);
        for name in body.keys().filter(|name| *name != "@odata.context") {
            judge.report(
                &format!("{path}.{name}"),
                ViolationKind::UnknownProperty,
                "a single value has only `value`",
            );
        }
    } else {
        judge.value(&path, ty, &Value::Object(body), Place::Top);
    }
}

/// Judges the body of a failure: `{error: {code, message, innerError: {date, request-id, client-request-id}}}`.
fn error(judge: &mut Judge<'_>, exchange: &Exchange<'_>) {
    let Some(body) = object_of(judge, exchange) else {
        return;
    };
    only(judge, "answer", &body, &["error"]);
    let Some(error) = body.get("error").and_then(Value::as_object) else {
        return judge.report("answer.error", ViolationKind::Shape, "an object is missing");
    };
    const KNOWN: [&str; 5] = ["code", "message", "innerError", "target", "details"];
    only(judge, "answer.error", error, &KNOWN);
    expect_text(judge, "answer.error", error, "code", |code| {
        !code.is_empty() && !code.contains(' ')
    });
    expect_text(judge, "answer.error", error, "message", |_| true);
    let path = "answer.error.innerError";
    match error.get("innerError").and_then(Value::as_object) {
        Some(inner) => {
            expect_text(judge, path, inner, "date", primitive::is_date_time);
            expect_text(judge, path, inner, "request-id", primitive::is_guid);
            expect_text(judge, path, inner, "client-request-id", |id| !id.is_empty());
        }
        None => judge.report(path, ViolationKind::Shape, "an object is missing"),
    }
}

/// Reports every property that is not among the known ones.
fn only(judge: &mut Judge<'_>, path: &str, object: &Map<String, Value>, known: &[&str]) {
    for name in object.keys().filter(|name| !known.contains(&name.as_str())) {
        judge.report(
            &format!("{path}.{name}"),
            ViolationKind::UnknownProperty,
            "Graph has no such property here",
        );
    }
}

fn expect_text(
    judge: &mut Judge<'_>,
    path: &str,
    object: &Map<String, Value>,
    name: &str,
    form: impl Fn(&str) -> bool,
) {
    if !object.get(name).and_then(Value::as_str).is_some_and(form) {
        judge.report(
            &format!("{path}.{name}"),
            ViolationKind::Primitive,
            "missing, or not of its form",
        );
    }
}

/// Judges every part of a batch as an answer of its own, and that each request has exactly one.
fn batch(judge: &mut Judge<'_>, schema: &Schema, exchange: &Exchange<'_>) {
    let Some(body) = object_of(judge, exchange) else {
        return;
    };
    only(judge, "answer", &body, &["responses"]);
    let requests = serde_json::from_slice::<Value>(exchange.request_body).unwrap_or_default();
    let mut requests: BTreeMap<&str, &Value> = list(&requests, "requests")
        .iter()
        .filter_map(|request| Some((request["id"].as_str()?, request)))
        .collect();
    for (index, response) in list(&Value::Object(body), "responses").iter().enumerate() {
        let path = format!("responses[{index}]");
        match response["id"].as_str().and_then(|id| requests.remove(id)) {
            Some(request) => part(judge, schema, &path, request, response),
            None => judge.report(
                &path,
                ViolationKind::Answer,
                "its id is that of no request, or came twice",
            ),
        }
    }
    for id in requests.keys() {
        judge.report(
            "responses",
            ViolationKind::Answer,
            format!("request `{id}` has no answer"),
        );
    }
}

fn part(judge: &mut Judge<'_>, schema: &Schema, path: &str, request: &Value, response: &Value) {
    if let Some(response) = response.as_object() {
        only(judge, path, response, &["id", "status", "headers", "body"]);
    }
    let Some(status) = response["status"]
        .as_u64()
        .and_then(|status| u16::try_from(status).ok())
    else {
        return judge.report(path, ViolationKind::Shape, "its status is no number");
    };
    let headers = response["headers"].as_object();
    let content_type = headers
        .into_iter()
        .flatten()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        .and_then(|(_, value)| value.as_str());
    let url = request["url"]
        .as_str()
        .unwrap_or_default()
        .trim_start_matches('/');
    let found = check(
        schema,
        &Exchange {
            method: request["method"].as_str().unwrap_or("GET"),
            path: &format!("{VERSION}{url}"),
            request_body: &[],
            status,
            content_type,
            body: &body_bytes(&response["body"]),
        },
    );
    let prefixed = found.into_iter().map(|violation| Violation {
        path: format!("{path}.{}", violation.path),
        ..violation
    });
    judge.found.extend(prefixed);
}

/// A part's body is JSON, or the base64 of what is not, which is judged no further than that it is there.
fn body_bytes(body: &Value) -> Vec<u8> {
    match body {
        Value::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    }
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}
