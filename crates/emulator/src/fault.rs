//! Faults by rule: which requests go wrong, how often, and in what way.
//!
//! Rules come from a file, from the program, or from the admin endpoint. Several rules may strike one request; their effects add up, and
//! where two name a status the first one has it. Nothing here knows HTTP connections: a [`Verdict`] says what is to happen, and the gateway
//! and the server do it.

mod pattern;
mod rule;

use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Map, Value, json};

use crate::{Effects, Error, Route};

use pattern::Pattern;
pub use rule::{FaultBody, FaultRule};

/// Rules in force at a time, so that an admin endpoint left open cannot fill the memory.
const RULES_MAX: usize = 256;

/// A request as rules see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) method: &'a http::Method,
    /// The whole path, normalised: `/v1.0/users/…`.
    pub(crate) path: &'a str,
    /// The template, if a route matched.
    pub(crate) template: Option<&'static str>,
}

/// What is to happen to a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    /// Answers with this rule's status, code and body.
    pub(crate) replace: Option<FaultRule>,
    /// Headers for the answer, whatever it is.
    pub(crate) headers: Vec<(String, String)>,
    /// Names to take out of a JSON answer.
    pub(crate) remove: Vec<String>,
    /// Values to put into a JSON answer.
    pub(crate) set: Map<String, Value>,
    /// What happens on the wire.
    pub(crate) wire: Wire,
    /// What the handler is asked for.
    pub(crate) effects: Effects,
    /// A delta token is refused.
    pub(crate) resync: bool,
    /// All tokens issued until now are expired.
    pub(crate) expire_tokens: bool,
}

/// What happens on the wire, after the answer is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wire {
    /// Real milliseconds before the answer begins.
    pub(crate) delay_ms: u64,
    /// Real milliseconds before each byte of the body; 0 sends it whole.
    pub(crate) drip_ms: u64,
    /// The connection is reset instead of an answer.
    pub(crate) reset: bool,
    /// Only this many bytes of the body are sent, under a `Content-Length` that promises all.
    pub(crate) truncate: Option<usize>,
    /// After the truncated body, the connection stays open in silence.
    pub(crate) stall: bool,
}

/// The rules in force, with how often they were met and struck.
#[derive(Debug)]
pub(crate) struct Faults(Mutex<State>);

#[derive(Debug)]
struct State {
    rules: Vec<Armed>,
    random: StdRng,
}

#[derive(Debug)]
struct Armed {
    rule: FaultRule,
    pattern: Pattern,
    met: u64,
    struck: u64,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(State {
            rules: Vec::new(),
            random: StdRng::seed_from_u64(seed),
        }))
    }

    /// Puts a rule into force.
    ///
    /// # Errors
    /// If the rule makes no sense, for example a template that no route has.
    pub(crate) fn add(&self, rule: FaultRule, routes: &[Route]) -> Result<(), Error> {
        rule.check()?;
        let pattern = Pattern::parse(&rule.route, routes)?;
        let mut state = self.state();
        if state.rules.len() >= RULES_MAX {
            return Err(Error::Invalid(format!("more than {RULES_MAX} fault rules")));
        }
        state.rules.push(Armed {
            rule,
            pattern,
            met: 0,
            struck: 0,
        });
        Ok(())
    }

    /// Takes all rules out of force.
    pub(crate) fn clear(&self) {
        self.state().rules.clear();
    }

    /// The rules with their counts.
    pub(crate) fn list(&self) -> Value {
        let state = self.state();
        let rules = state.rules.iter();
        rules
            .map(|armed| json!({"rule": armed.rule, "met": armed.met, "struck": armed.struck}))
            .collect()
    }

    /// How often rules struck, all together.
    pub(crate) fn struck(&self) -> u64 {
        self.state().rules.iter().map(|armed| armed.struck).sum()
    }

    /// Decides what happens to a request, and counts.
    pub(crate) fn judge(&self, target: Target) -> Verdict {
        let mut state = self.state();
        let State { rules, random } = &mut *state;
        let mut verdict = Verdict::default();
        for armed in rules {
            if armed.strikes(target, random) {
                verdict.add(&armed.rule);
            }
        }
        verdict
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Armed {
    fn strikes(&mut self, target: Target, random: &mut StdRng) -> bool {
        let rule = &self.rule;
        let method = rule.method.as_deref();
        if method.is_some_and(|method| !method.eq_ignore_ascii_case(target.method.as_str()))
            || !self.pattern.matches(target.path, target.template)
        {
            return false;
        }
        self.met += 1;
        let strikes = self.met > rule.after
            && rule.count.is_none_or(|count| self.struck < count)
            && (rule.probability >= 1.0 || random.random_bool(rule.probability));
        self.struck += u64::from(strikes);
        strikes
    }
}

impl Verdict {
    /// Whether the answer is not the emulator's own.
    pub(crate) fn changes_answer(&self) -> bool {
        self.replace.is_some()
            || !self.headers.is_empty()
            || !self.remove.is_empty()
            || !self.set.is_empty()
    }

    fn add(&mut self, rule: &FaultRule) {
        if rule.replaces() {
            self.replace.get_or_insert_with(|| rule.clone());
        }
        let headers = rule.headers.iter();
        self.headers
            .extend(headers.map(|(name, value)| (name.clone(), value.clone())));
        self.remove.extend(rule.remove.iter().cloned());
        self.set.extend(rule.set.clone());
        self.wire.delay_ms = self.wire.delay_ms.max(rule.delay_ms);
        self.wire.drip_ms = self.wire.drip_ms.max(rule.drip_ms);
        self.wire.reset |= rule.reset;
        self.wire.truncate = self.wire.truncate.or(rule.truncate);
        self.wire.stall |= rule.stall;
        self.effects.page_size_max = self.effects.page_size_max.or(rule.page_size);
        self.effects.lost_moves = self.effects.lost_moves.or(rule.lost_moves);
        self.resync |= rule.resync;
        self.expire_tokens |= rule.expire_tokens;
    }
}
