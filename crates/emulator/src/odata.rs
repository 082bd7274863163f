//! OData query options, applied to JSON rows of any type: `$select`, `$filter`, `$orderby`, `$top`, `$skip`, `$skiptoken`, `$count`, `$expand`.
//!
//! A [`Schema`] says which properties a type has, because a name that the type lacks is an error. Expanding is the handler's work (only it has the
//! related rows); this module parses what is asked for. Not served: `$search`, `$apply`, `$compute`, arithmetic.

mod filter;
mod lexer;
mod order;

use data_encoding::BASE64URL_NOPAD;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::{Call, GraphError, Query, Reply, Service, route::strip_namespace};

pub(crate) use filter::Filter;
use order::Order;

/// What the options may name.
#[derive(Debug)]
pub(crate) struct Schema {
    /// The type, for example `microsoft.graph.message`.
    pub(crate) name: &'static str,
    /// Its structural properties.
    pub(crate) properties: &'static [&'static str],
    /// Its navigation properties.
    pub(crate) navigation: &'static [&'static str],
    /// What `$select` never drops, for example `id`; annotations are kept anyway.
    pub(crate) always: &'static [&'static str],
    /// What is given without `$select`; empty means everything that the row has.
    pub(crate) default: &'static [&'static str],
    /// In whose words errors are said.
    pub(crate) service: Service,
}

impl Schema {
    /// An error in the options.
    pub(crate) fn error(&self, message: String) -> GraphError {
        match self.service {
            Service::Directory => GraphError::bad_request(message),
            Service::Outlook => {
                GraphError::new(StatusCode::BAD_REQUEST, "RequestBroker--ParseUri", message)
            }
        }
    }

    fn canonical(&self, name: &str) -> Option<&'static str> {
        let mut all = self.properties.iter().chain(self.navigation);
        all.find(|known| known.eq_ignore_ascii_case(name)).copied()
    }

    /// Checks that a property is the type's, by the first segment of its path.
    fn check(&self, path: &str) -> Result<(), GraphError> {
        let name = path.split('/').next().unwrap_or(path);
        match self.canonical(name) {
            Some(_) => Ok(()),
            None => Err(self.error(format!(
                "Could not find a property named '{name}' on type '{}'.",
                self.name
            ))),
        }
    }
}

/// The options of a request, parsed and checked.
#[derive(Debug)]
pub(crate) struct Options {
    schema: &'static Schema,
    /// The selected properties, as the type spells them; `None` if the request has no `$select`.
    pub(crate) select: Option<Vec<&'static str>>,
    /// `$filter`.
    pub(crate) filter: Option<Filter>,
    order: Vec<Order>,
    /// `$top`.
    pub(crate) top: Option<usize>,
    /// `$skip`, or what the opaque `$skiptoken` says.
    pub(crate) skip: usize,
    /// `$count=true`.
    pub(crate) count: bool,
    /// `$expand`.
    pub(crate) expand: Vec<Expand>,
}

/// One property to expand.
#[derive(Clone, Debug)]
pub(crate) struct Expand {
    /// The property as the type spells it.
    pub(crate) property: &'static str,
    /// The options in parentheses, to be parsed by the schema of the related type.
    pub(crate) query: Query,
}

impl Options {
    /// Parses and checks the options.
    ///
    /// # Errors
    /// 400 in the words of the schema's service.
    pub(crate) fn parse(query: &Query, schema: &'static Schema) -> Result<Self, GraphError> {
        Ok(Self {
            schema,
            select: query
                .get("$select")
                .map(|v| select(v, schema))
                .transpose()?,
            filter: query
                .get("$filter")
                .map(|v| Filter::parse(v, schema))
                .transpose()?,
            order: query
                .get("$orderby")
                .map_or(Ok(Vec::new()), |v| Order::parse(v, schema))?,
            top: number(query, "$top", schema)?,
            skip: match query.get("$skiptoken") {
                Some(token) => read_token(token)?,
                None => number(query, "$skip", schema)?.unwrap_or(0),
            },
            count: boolean(query, "$count", schema)?,
            expand: query
                .get("$expand")
                .map_or(Ok(Vec::new()), |v| expand(v, schema))?,
        })
    }

    /// Whether a property is to be in the answer.
    pub(crate) fn wants(&self, property: &str) -> bool {
        match &self.select {
            Some(select) => {
                select.contains(&property)
                    || self.schema.always.contains(&property)
                    || self.expands(property).is_some()
            }
            None => {
                self.schema.default.is_empty()
                    || self.schema.default.contains(&property)
                    || self.expands(property).is_some()
            }
        }
    }

    /// What is to be expanded for a navigation property.
    pub(crate) fn expands(&self, property: &str) -> Option<&Expand> {
        self.expand
            .iter()
            .find(|expand| expand.property == property)
    }

    /// Drops what was not selected. Annotations stay, with those of a property (`x@odata.type`) following the property.
    pub(crate) fn shape(&self, row: &mut Map<String, Value>) {
        row.retain(|name, _| match name.split_once('@') {
            Some(("", _)) => true,
            Some((property, _)) => self.wants(property),
            None => self.wants(name),
        });
    }

    /// Answers a collection: filters, sorts, counts, cuts the page, selects, and links to the next page by an opaque `$skiptoken`.
    ///
    /// `context` is the fragment of `@odata.context`; `render` makes the full row, expanded properties included. It is called only for the
    /// rows of the page, unless a filter or an order needs them all.
    pub(crate) fn list<T>(
        &self,
        call: &Call,
        context: &str,
        items: &[T],
        page: PageSize,
        render: impl Fn(&T) -> Value,
    ) -> Reply {
        let size = call.page_size(self.top, page.default, page.max);
        let rows: Vec<Value>;
        let total: usize;
        if self.filter.is_some() || !self.order.is_empty() {
            let mut all: Vec<Value> = items.iter().map(&render).collect();
            if let Some(filter) = &self.filter {
                all.retain(|row| filter.matches(row));
            }
            Order::sort(&self.order, &mut all);
            total = all.len();
            rows = all.into_iter().skip(self.skip).take(size).collect();
        } else {
            total = items.len();
            rows = items
                .iter()
                .skip(self.skip)
                .take(size)
                .map(render)
                .collect();
        }
        let end = self.skip.saturating_add(rows.len());
        let mut body = json!({"@odata.context": call.context(&self.context(context))});
        if self.count {
            body["@odata.count"] = json!(total);
        }
        // With `$top` the client still gets every page: it is a page size, not a limit, in Outlook and in the directory.
        if end < total && !rows.is_empty() {
            body["@odata.nextLink"] = json!(self.next_link(call, end));
        }
        body["value"] = rows.into_iter().map(|row| self.shaped(row)).collect();
        let reply = Reply::json(body);
        match call.prefer.max_page_size {
            Some(wanted) if self.top.is_none() && call.service == Service::Outlook => {
                reply.with_applied(format!("odata.maxpagesize={wanted}"))
            }
            _ => reply,
        }
    }

    /// Answers one entity.
    pub(crate) fn entity(&self, call: &Call, context: &str, row: Value) -> Reply {
        let mut body = Map::new();
        body.insert(
            "@odata.context".to_owned(),
            call.context(&format!("{}/$entity", self.context(context))),
        );
        if let Value::Object(row) = self.shaped(row) {
            body.extend(row);
        }
        Reply::json(Value::Object(body))
    }

    /// The context's fragment with the selected and expanded properties, as OData writes it.
    pub(crate) fn context(&self, fragment: &str) -> String {
        let mut names: Vec<String> = self
            .select
            .iter()
            .flatten()
            .map(|name| (*name).to_owned())
            .collect();
        names.extend(self.expand.iter().map(|e| format!("{}()", e.property)));
        if names.is_empty() {
            fragment.to_owned()
        } else {
            format!("{fragment}({})", names.join(","))
        }
    }

    fn shaped(&self, mut row: Value) -> Value {
        if let Value::Object(map) = &mut row {
            self.shape(map);
        }
        row
    }

    fn next_link(&self, call: &Call, end: usize) -> String {
        let token = write_token(end);
        let kept = call.query.iter().filter(|(name, _)| {
            !name.eq_ignore_ascii_case("$skiptoken") && !name.eq_ignore_ascii_case("$skip")
        });
        let mut query: Vec<(&str, &str)> = kept.collect();
        query.push(("$skiptoken", &token));
        call.link(&query)
    }
}

/// How many rows a page has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageSize {
    /// When the client does not say.
    pub(crate) default: usize,
    /// At most.
    pub(crate) max: usize,
}

fn select(value: &str, schema: &Schema) -> Result<Vec<&'static str>, GraphError> {
    let mut selected = Vec::new();
    for name in value.split(',').map(str::trim).filter(|n| !n.is_empty()) {
        if name == "*" {
            selected.extend(schema.properties);
            continue;
        }
        schema.check(name).map_err(|error| GraphError {
            message: format!("Parsing OData Select and Expand failed: {}", error.message).into(),
            ..error
        })?;
        selected.extend(schema.canonical(name.split('/').next().unwrap_or(name)));
    }
    Ok(selected)
}

fn expand(value: &str, schema: &Schema) -> Result<Vec<Expand>, GraphError> {
    let mut expands = Vec::new();
    for item in lexer::split_top_level(value, ',') {
        let item = item.trim();
        let (path, options) = match item.split_once('(') {
            Some((path, rest)) => (
                path,
                rest.strip_suffix(')').ok_or_else(|| {
                    schema.error(
                        "Parsing OData Select and Expand failed: a parenthesis is not closed."
                            .to_owned(),
                    )
                })?,
            ),
            None => (item, ""),
        };
        // `microsoft.graph.itemAttachment/item` asks for a property that only a derived type has; the schema knows it as the base type's.
        let mut segments = path.split('/');
        let name = segments
            .find(|segment| strip_namespace(segment) == *segment)
            .unwrap_or(path);
        let known = schema
            .navigation
            .iter()
            .find(|n| n.eq_ignore_ascii_case(name));
        let Some(property) = known.copied() else {
            return Err(schema.error(format!(
                "Parsing OData Select and Expand failed: Could not find a property named '{name}' on type '{}'.",
                schema.name
            )));
        };
        expands.push(Expand {
            property,
            query: Query::parse_nested(options)?,
        });
    }
    Ok(expands)
}

fn number(query: &Query, name: &str, schema: &Schema) -> Result<Option<usize>, GraphError> {
    let Some(value) = query.get(name) else {
        return Ok(None);
    };
    match value.trim().parse::<u32>() {
        Ok(number) if number > 0 || name == "$skip" => Ok(usize::try_from(number).ok()),
        _ => Err(schema.error(format!(
            "Invalid value '{value}' for {name} query option found. The {name} query option requires a non-negative integer value."
        ))),
    }
}

fn boolean(query: &Query, name: &str, schema: &Schema) -> Result<bool, GraphError> {
    match query.get(name).map(str::trim) {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
        Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
        Some(value) => Err(schema.error(format!(
            "Invalid value '{value}' for {name} query option found. Valid values are 'true' and 'false'."
        ))),
    }
}

/// The token is a position in disguise: clients must not look into it, and a changed one is refused.
fn write_token(position: usize) -> String {
    let text = format!("p1:{position}");
    let check = checksum(&text);
    BASE64URL_NOPAD.encode(format!("{text}:{check:08x}").as_bytes())
}

fn read_token(token: &str) -> Result<usize, GraphError> {
    let read = || {
        let text = String::from_utf8(BASE64URL_NOPAD.decode(token.as_bytes()).ok()?).ok()?;
        let (text, check) = text.rsplit_once(':')?;
        if u32::from_str_radix(check, 16).ok()? != checksum(text) {
            return None;
        }
        text.strip_prefix("p1:")?.parse().ok()
    };
    read().ok_or_else(|| {
        GraphError::new(
            StatusCode::BAD_REQUEST,
            "Directory_ExpiredPageToken",
            "The specified page token value has expired or is not valid.",
        )
    })
}

fn checksum(text: &str) -> u32 {
    // FNV-1a: it only has to notice a token that somebody edited.
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_token_is_opaque_and_cannot_be_edited() {
        let token = write_token(200);
        assert_eq!(read_token(&token).expect("our own token"), 200);
        for bad in ["", "200", "cDE6MjAw", &token[1..]] {
            assert!(read_token(bad).is_err(), "{bad}");
        }
    }
}
