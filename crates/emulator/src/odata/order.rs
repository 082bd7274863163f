//! `$orderby`.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Schema, filter};
use crate::GraphError;

/// One key to sort by.
#[derive(Clone, Debug)]
pub(super) struct Order {
    path: String,
    descending: bool,
}

impl Order {
    pub(super) fn parse(text: &str, schema: &Schema) -> Result<Vec<Self>, GraphError> {
        let mut orders = Vec::new();
        for item in text.split(',') {
            let mut words = item.split_whitespace();
            let path = words.next().unwrap_or_default();
            schema.check(path)?;
            let descending = match words.next().map(str::to_ascii_lowercase).as_deref() {
                None | Some("asc") => false,
                Some("desc") => true,
                Some(other) => {
                    return Err(schema.error(format!("Syntax error at '{other}' in '{item}'.")));
                }
            };
            orders.push(Self {
                path: path.to_owned(),
                descending,
            });
        }
        Ok(orders)
    }

    /// Sorts, keeping the order of equals. Nulls come first when ascending.
    pub(super) fn sort(orders: &[Self], rows: &mut [Value]) {
        if orders.is_empty() {
            return;
        }
        rows.sort_by(|left, right| {
            for order in orders {
                let (a, b) = (
                    filter::at(left, &order.path),
                    filter::at(right, &order.path),
                );
                let ordering = match (a.is_null(), b.is_null()) {
                    (true, true) => Ordering::Equal,
                    (true, false) => Ordering::Less,
                    (false, true) => Ordering::Greater,
                    (false, false) => filter::compare(a, b).unwrap_or(Ordering::Equal),
                };
                let ordering = if order.descending {
                    ordering.reverse()
                } else {
                    ordering
                };
                if ordering.is_ne() {
                    return ordering;
                }
            }
            Ordering::Equal
        });
    }
}
