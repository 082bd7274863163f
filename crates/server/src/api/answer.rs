//! What all addresses have in common: lists by pages, queries and bodies that are read strictly, and errors as RFC 9457 has them.

use axum::{
    body::{Body, to_bytes},
    extract::{FromRequest, FromRequestParts, Request},
    http::{
        HeaderValue,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
        request::Parts,
    },
    middleware::Next,
    response::Response,
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error},
};
use serde_json::{Map, Value};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, SchemaFormat, schema::Type},
};

use crate::Problem;

/// A few thousand ids are the longest that anybody sends.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Rows of a page when nobody says how many.
const ROWS: u32 = 50;
/// As many as the catalog gives at a time.
const ROWS_MAX: u32 = 500;
/// What errors are.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct Items<T: ToSchema> {
    /// The rows, in the list's order.
    items: Vec<T>,
    /// The `cursor` of the next page; null on the last one.
    next: Option<String>,
}

impl<T: ToSchema> Items<T> {
    /// A list that has one page.
    pub(crate) fn all(items: Vec<T>) -> Self {
        Self { items, next: None }
    }

    pub(crate) fn new(items: Vec<T>, next: Option<String>) -> Self {
        Self { items, next }
    }

    /// Of one more row than the page has, when there is a next page. `cursor` names the row after which that begins.
    pub(crate) fn page<R>(
        mut rows: Vec<R>,
        limit: Limit,
        cursor: impl Fn(&R) -> String,
        shape: impl Fn(R) -> T,
    ) -> Self {
        let more = rows.len() > limit.rows() as usize;
        rows.truncate(limit.rows() as usize);
        let next = rows.last().filter(|_| more).map(cursor);
        Self::new(rows.into_iter().map(shape).collect(), next)
    }
}

/// How many rows a page has at most.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "u32")]
pub(crate) struct Limit(u32);

impl Limit {
    pub(crate) fn rows(self) -> u32 {
        self.0
    }

    /// With the one that shows whether there is a next page.
    pub(crate) fn and_one(self) -> u32 {
        self.0 + 1
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(ROWS)
    }
}

impl TryFrom<u32> for Limit {
    type Error = &'static str;

    fn try_from(rows: u32) -> Result<Self, Self::Error> {
        match rows {
            1..=ROWS_MAX => Ok(Self(rows)),
            _ => Err("a page has 1 to 500 rows"),
        }
    }
}

impl PartialSchema for Limit {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(ROWS_MAX))
            .default(Some(ROWS.into()))
            .into()
    }
}

impl ToSchema for Limit {}

/// An id of the catalog's, for the document: UUIDs.
pub(crate) struct Id;

impl PartialSchema for Id {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::Custom("uuid".to_owned())))
            .into()
    }
}

impl ToSchema for Id {}

/// The query of an address: an unknown parameter is an error, not a silent default.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let read = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        read.map(|query| Self(query.0)).map_err(|_| {
            let what = "A parameter of the query is unknown or has no possible value: see /api/v1/openapi.json.";
            Problem::Invalid(what.to_owned())
        })
    }
}

/// The body of a request, or of an answer, as JSON.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let of = request.headers().get(CONTENT_TYPE);
        let of = of.and_then(|of| of.to_str().ok()?.split(';').next());
        if !of.is_some_and(|of| of.trim().eq_ignore_ascii_case("application/json")) {
            return Err(Problem::AnotherType);
        }
        let Ok(body) = to_bytes(request.into_body(), BODY_BYTES_MAX).await else {
            let what = "The body is larger than any that this address takes.";
            return Err(Problem::Invalid(what.to_owned()));
        };
        if !body.trim_ascii_start().starts_with(b"{") {
            let what = "The body is not the JSON object that this address takes: see /api/v1/openapi.json.";
            return Err(Problem::Invalid(what.to_owned()));
        }
        // What the reader says may quote the body, and with it somebody's name.
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            Problem::Invalid(format!(
                "The body is not the JSON that this address takes: see line {}, column {}, and /api/v1/openapi.json.",
                error.line(),
                error.column()
            ))
        })
    }
}

/// Reads what is a struct inside a body. By itself serde takes an array of the fields as well, and an array of nothing for one whose fields all have
/// a default.
pub(crate) fn object<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    from: D,
) -> Result<T, D::Error> {
    let fields = Map::deserialize(from)?;
    serde_json::from_value(Value::Object(fields)).map_err(D::Error::custom)
}

/// Bytes that are no JSON, for the document.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "it only describes")]
pub(crate) struct Bytes(Vec<u8>);

impl<T: Serialize> axum::response::IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Why something could not be done, as RFC 9457 has it.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Told {
    /// Always `about:blank`: the status says which kind it is.
    #[schema(example = "about:blank")]
    r#type: &'static str,
    /// The status in words.
    #[schema(example = "Not Found")]
    title: &'static str,
    /// The status.
    #[schema(example = 404)]
    status: u16,
    /// What happened and what to do next, for people.
    detail: String,
}

/// Makes every refusal JSON, whoever it comes from.
pub(crate) async fn problems(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let title = status.canonical_reason().unwrap_or("Error");
    let problem = response.extensions().get::<Problem>();
    let told = Told {
        r#type: "about:blank",
        title,
        status: status.as_u16(),
        detail: problem.map_or_else(|| format!("{title}."), |problem| problem.told().2),
    };
    *response.body_mut() = Body::from(serde_json::to_vec(&told).unwrap_or_default());
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    response
}
