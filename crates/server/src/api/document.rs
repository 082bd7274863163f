//! The document at `/api/v1/openapi.json`: what the handlers say of themselves, and what the table of routes says of them all.

use std::sync::LazyLock;

use axum::{
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ComponentsBuilder, Content, Info, OpenApi, OpenApiBuilder, Paths, Ref, RefOr,
        ResponseBuilder, Schema, SecurityRequirement,
        path::Operation,
        schema::Components,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::answer::{Id, PROBLEM_JSON, Told};
use crate::{Who, routes};

/// The name of the one way to show who calls.
const TOKEN: &str = "token";

/// What a row of the table says of itself.
#[derive(Clone)]
pub(crate) struct Description {
    pub(crate) schemas: Vec<(String, RefOr<Schema>)>,
    pub(crate) paths: Paths,
}

/// This document
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "document", responses((status = 200, body = Object)))]
pub(crate) async fn get_document() -> impl IntoResponse {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| document().to_pretty_json().unwrap_or_default());
    ([(CONTENT_TYPE, "application/json")], TEXT.as_str())
}

fn document() -> OpenApi {
    let info = Info::builder()
        .title("Keepwell")
        .version("1")
        .description(Some(
            "What the console does, for programs. An API token is made in the console's settings and sent as `Authorization: Bearer kw_…`; it may \
             what its role may. Lists come in pages: `next` is the `cursor` of the next one. Errors are RFC 9457's.",
        ))
        .build();
    let mut components = components();
    let mut paths = Paths::new();
    for (who, description) in routes::descriptions() {
        let mut described = description.paths;
        for (path, item) in &mut described.paths {
            for (operation, changes) in [
                (&mut item.get, false),
                (&mut item.post, true),
                (&mut item.put, true),
                (&mut item.delete, true),
            ] {
                if let Some(operation) = operation {
                    complete(operation, path, who, changes);
                }
            }
        }
        paths.merge(described);
        components.schemas.extend(description.schemas);
    }
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components))
        .build()
}

fn components() -> Components {
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("kw_…")
        .build();
    let mut schemas = vec![
        (Id::name().into_owned(), Id::schema()),
        (Told::name().into_owned(), Told::schema()),
    ];
    Told::schemas(&mut schemas);
    let mut components = ComponentsBuilder::new()
        .security_scheme(TOKEN, SecurityScheme::Http(scheme))
        .build();
    components.schemas.extend(schemas);
    components
}

/// Adds what follows from the row and need not be said by each handler: who may call it, and how it refuses.
fn complete(operation: &mut Operation, path: &str, who: Who, changes: bool) {
    let mut refusals = vec![
        ("405", "Another method is needed."),
        ("421", "The server has another name."),
        ("503", "Something that Keepwell needs does not answer now."),
    ];
    if who != Who::Anybody {
        let scopes: [String; 0] = [];
        operation.security = Some(vec![SecurityRequirement::new(TOKEN, scopes)]);
        refusals.push(("401", "There is no token, or none that is valid."));
        refusals.push((
            "429",
            "Too many requests came: with tokens that are not valid, or for what costs much. `Retry-After` says for how many seconds to wait.",
        ));
    }
    if who == Who::Operator || who == Who::Administrator {
        let what = match who {
            Who::Operator => "The token's role is not that of an operator or administrator.",
            _ => "The token's role is not that of an administrator.",
        };
        refusals.push(("403", what));
    }
    if path.contains('{') || operation.request_body.is_some() {
        refusals.push((
            "404",
            "It is not there, or belongs to another organization.",
        ));
    }
    if changes || path.contains("restore-points") {
        refusals.push(("409", "It cannot be done as things stand."));
    }
    if operation.request_body.is_some() {
        refusals.push(("415", "The body was not sent as JSON."));
    }
    if operation.request_body.is_some() || operation.parameters.is_some() {
        refusals.push(("422", "What was sent cannot be."));
    }
    for (status, response) in &mut operation.responses.responses {
        // The one answer that a handler names needs no more words, but the format wants some.
        let reason = StatusCode::from_bytes(status.as_bytes()).ok();
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            let reason = reason.and_then(|status| status.canonical_reason());
            reason
                .unwrap_or_default()
                .clone_into(&mut response.description);
        }
    }
    for (status, what) in refusals {
        let schema = Ref::from_schema_name(Told::name());
        let response = ResponseBuilder::new()
            .description(what)
            .content(PROBLEM_JSON, Content::new(Some(schema)))
            .build();
        let responses = &mut operation.responses.responses;
        responses.insert(status.to_owned(), response.into());
    }
}
