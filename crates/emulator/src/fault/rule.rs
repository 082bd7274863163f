//! One fault rule, as it stands in a file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Error;

/// Longest delay, so that a slip of the pen does not hold a connection for ever.
const DELAY_MS_MAX: u64 = 600_000;

/// What goes wrong, where, and how often. Fields that are left out do nothing.
///
/// In a TOML file each rule is a `[[fault]]` table; in JSON, `{"fault": [{…}]}`. See `docs/emulator.md` for examples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// A template of the route table (`/users/{user}/messages/{message}/$value`), or a pattern for the whole path, in which `*` stands for
    /// any characters: `/v1.0/users/ann@contoso.com/*`, `/*/oauth2/v2.0/token`.
    pub route: String,
    /// Only this method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Requests that are let through first.
    #[serde(default)]
    pub after: u64,
    /// How often the rule strikes at most; without it, always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How likely it strikes each time, 0.0 to 1.0.
    #[serde(default = "always")]
    pub probability: f64,

    /// Answers with this status, 100 to 599, instead of the real answer. From 400 on the body is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `error.code`; without it, what Microsoft sends with the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// `error.message`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The `AADSTS` number of an error of the token endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aadsts: Option<u32>,
    /// Replaces the body, whatever the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<FaultBody>,
    /// The request takes effect before the answer is replaced: a write that succeeded and was answered by an error.
    #[serde(default)]
    pub after_effect: bool,

    /// Headers to add to the answer, replaced or real; an existing one is overwritten.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Top-level names to take out of a JSON answer, for example `@odata.nextLink`.
    #[serde(default)]
    pub remove: Vec<String>,
    /// Top-level values to put into a JSON answer. The text `{self}` in a string is the request's own URL.
    #[serde(default)]
    pub set: Map<String, Value>,

    /// Real milliseconds before the answer begins, at most 600,000.
    #[serde(default)]
    pub delay_ms: u64,
    /// Sends the body one byte at a time, with so many real milliseconds before each; at most 600,000.
    #[serde(default)]
    pub drip_ms: u64,
    /// Resets the connection instead of an answer.
    #[serde(default)]
    pub reset: bool,
    /// Sends only this many bytes of the body, then cuts the connection. `Content-Length` promises the whole body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncate: Option<usize>,
    /// Instead of cutting the connection after `truncate` bytes, says nothing more.
    #[serde(default)]
    pub stall: bool,

    /// Declares all access tokens issued until now expired, this request's included.
    #[serde(default)]
    pub expire_tokens: bool,
    /// Splits pages so that none has more than this many items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<usize>,
    /// Refuses a delta token with 410; a request without one passes.
    #[serde(default)]
    pub resync: bool,
    /// A message that is moved by this request is, or is never, missing from the target's delta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_moves: Option<bool>,
}

/// A body that takes the place of the real one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultBody {
    /// Nothing.
    Empty,
    /// A page as a proxy sends it.
    Html,
    /// This text, as JSON if it looks like it.
    Text(String),
}

fn always() -> f64 {
    1.0
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    fault: Vec<FaultRule>,
}

impl FaultRule {
    /// A rule that strikes every request of a route and does nothing yet.
    #[must_use]
    pub fn on(route: &str) -> Self {
        Self {
            route: route.to_owned(),
            method: None,
            after: 0,
            count: None,
            probability: 1.0,
            status: None,
            code: None,
            message: None,
            aadsts: None,
            body: None,
            after_effect: false,
            headers: BTreeMap::new(),
            remove: Vec::new(),
            set: Map::new(),
            delay_ms: 0,
            drip_ms: 0,
            reset: false,
            truncate: None,
            stall: false,
            expire_tokens: false,
            page_size: None,
            resync: false,
            lost_moves: None,
        }
    }

    /// Reads a file of rules in TOML.
    ///
    /// # Errors
    /// If it is not TOML, or a field is unknown.
    pub fn from_toml(text: &str) -> Result<Vec<Self>, Error> {
        let file: File = toml::from_str(text).map_err(|error| Error::Invalid(error.to_string()))?;
        Ok(file.fault)
    }

    /// Reads rules in JSON: `{"fault": […]}`, or one rule alone.
    ///
    /// # Errors
    /// If it is not JSON, or a field is unknown.
    pub fn from_json(text: &str) -> Result<Vec<Self>, Error> {
        let invalid = |error: serde_json::Error| Error::Invalid(error.to_string());
        let value: Value = serde_json::from_str(text).map_err(invalid)?;
        if value.get("fault").is_some() {
            let file: File = serde_json::from_value(value).map_err(invalid)?;
            return Ok(file.fault);
        }
        Ok(vec![serde_json::from_value(value).map_err(invalid)?])
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let invalid =
            |reason: &str| Err(Error::Invalid(format!("fault on {}: {reason}", self.route)));
        if !(0.0..=1.0).contains(&self.probability) {
            return invalid("probability must be between 0.0 and 1.0");
        }
        if self
            .status
            .is_some_and(|status| !(200..=599).contains(&status))
        {
            return invalid("status must be between 200 and 599");
        }
        if self.delay_ms.max(self.drip_ms) > DELAY_MS_MAX {
            return invalid("delay_ms and drip_ms must be at most 600000");
        }
        if self.page_size == Some(0) {
            return invalid("page_size must be at least 1");
        }
        Ok(())
    }

    /// Whether it takes the place of the real answer.
    pub(super) fn replaces(&self) -> bool {
        self.status.is_some() || self.body.is_some() || self.aadsts.is_some()
    }
}
