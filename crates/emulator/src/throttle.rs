//! Microsoft's documented throttling limits, on the emulator's clock.
//!
//! Outlook, for each application and mailbox: 10,000 requests in any ten minutes, four at a time, 150 MB of uploads in any five minutes. Identity,
//! for each application and tenant: a bucket of resource units in ten seconds. Refused requests count too. The pages that state these figures leave
//! open how the windows slide; here they slide continuously, which is the stricter reading.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::{HeaderName, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::GraphError;

/// Outlook: requests in a window, for each application and mailbox.
const OUTLOOK_REQUESTS_MAX: u64 = 10_000;
/// Outlook: the window for requests.
const OUTLOOK_WINDOW: SignedDuration = SignedDuration::from_mins(10);
/// Outlook: requests at a time.
const OUTLOOK_CONCURRENT_MAX: usize = 4;
/// Outlook: bytes of POST, PUT and PATCH in a window.
const OUTLOOK_UPLOAD_BYTES_MAX: u64 = 150_000_000;
/// Outlook: the window for uploads.
const OUTLOOK_UPLOAD_WINDOW: SignedDuration = SignedDuration::from_mins(5);
/// Outlook: what a client that sends too many at a time is told to wait.
const CONCURRENCY_RETRY_S: u64 = 1;

/// Identity: resource units in a window, for a tenant of under 50 users (Microsoft's size S).
const IDENTITY_UNITS_MAX: u64 = 3_500;
/// Identity: the window.
const IDENTITY_WINDOW: SignedDuration = SignedDuration::from_secs(10);
/// From this part of the quota on, answers say how much is used.
const IDENTITY_WARN_FROM: f64 = 0.8;

/// An application's use of one mailbox.
type OutlookKey = (Uuid, Uuid);

/// Counts requests and refuses those over a limit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Throttle(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    outlook: HashMap<OutlookKey, Outlook>,
    concurrent: HashMap<OutlookKey, usize>,
    identity: HashMap<Uuid, Window>,
    refused: u64,
    together_max: usize,
}

#[derive(Debug, Default)]
struct Outlook {
    requests: Window,
    uploads: Window,
}

/// Amounts with their times, oldest first. Times are rounded up to whole seconds, which bounds how many there are.
#[derive(Debug, Default)]
struct Window {
    entries: VecDeque<(Timestamp, u64)>,
    sum: u64,
}

impl Window {
    fn forget_before(&mut self, start: Timestamp) {
        while let Some(&(time, amount)) = self.entries.front()
            && time <= start
        {
            self.sum -= amount;
            self.entries.pop_front();
        }
    }

    fn add(&mut self, now: Timestamp, amount: u64) {
        if amount == 0 {
            return;
        }
        let part = i64::from(now.subsec_nanosecond() > 0);
        let rounded = Timestamp::from_second(now.as_second() + part).unwrap_or(now);
        self.sum += amount;
        match self.entries.back_mut() {
            Some((time, sum)) if *time == rounded => *sum += amount,
            _ => self.entries.push_back((rounded, amount)),
        }
    }

    /// Takes one off the oldest amount.
    fn forget_one(&mut self) {
        if let Some((_, amount)) = self.entries.front_mut() {
            *amount -= 1;
            self.sum -= 1;
            if *amount == 0 {
                self.entries.pop_front();
            }
        }
    }

    /// Whole seconds until the oldest entry leaves, at least one.
    fn seconds_until_next(&self, now: Timestamp, window: SignedDuration) -> u64 {
        let oldest = self.entries.front().map_or(now, |(time, _)| *time);
        let left = (window - now.duration_since(oldest)).as_millis();
        u64::try_from(left).map_or(1, |left| left.div_ceil(1000).max(1))
    }
}

/// A request to Outlook that is under way. Dropping it ends the request.
#[derive(Debug)]
pub(crate) struct Permit {
    throttle: Throttle,
    key: OutlookKey,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.throttle.state();
        if let Some(count) = state.concurrent.get_mut(&self.key) {
            *count = count.saturating_sub(1);
        }
    }
}

impl Throttle {
    /// Begins a request to Outlook.
    ///
    /// # Errors
    /// 429 `ApplicationThrottled` with `Retry-After`.
    pub(crate) fn outlook(
        &self,
        app: Uuid,
        mailbox: Uuid,
        concurrency_per_app: bool,
        upload_bytes: u64,
        now: Timestamp,
    ) -> Result<Permit, GraphError> {
        let mut state = self.state();
        let state = &mut *state;
        let counters = state.outlook.entry((app, mailbox)).or_default();
        counters.requests.forget_before(now - OUTLOOK_WINDOW);
        counters.uploads.forget_before(now - OUTLOOK_UPLOAD_WINDOW);
        let refuse = |limit: &str, seconds: u64| {
            Err(GraphError::throttled(
                "ApplicationThrottled",
                format!("Application is over its {limit} limit."),
                seconds,
            ))
        };
        let requests = &mut counters.requests;
        if requests.sum >= OUTLOOK_REQUESTS_MAX {
            // The refused request takes the place of the oldest, so that a client that does not wait stays locked out.
            let seconds = requests.seconds_until_next(now, OUTLOOK_WINDOW);
            requests.forget_one();
            requests.add(now, 1);
            state.refused += 1;
            return refuse("MailboxRequests", seconds);
        }
        requests.add(now, 1);
        if counters.uploads.sum + upload_bytes > OUTLOOK_UPLOAD_BYTES_MAX {
            let seconds = counters
                .uploads
                .seconds_until_next(now, OUTLOOK_UPLOAD_WINDOW);
            state.refused += 1;
            return refuse("MailboxUpload", seconds);
        }
        counters.uploads.add(now, upload_bytes);
        let scope = if concurrency_per_app {
            Uuid::nil()
        } else {
            mailbox
        };
        let concurrent = state.concurrent.entry((app, scope)).or_default();
        state.together_max = state.together_max.max(*concurrent + 1);
        if *concurrent >= OUTLOOK_CONCURRENT_MAX {
            state.refused += 1;
            return refuse("MailboxConcurrency", CONCURRENCY_RETRY_S);
        }
        *concurrent += 1;
        Ok(Permit {
            throttle: self.clone(),
            key: (app, scope),
        })
    }

    /// Counts a request to the directory; gives the headers that tell how much of the quota is used.
    ///
    /// # Errors
    /// 429 `Request_ThrottledTemporarily` with `Retry-After`.
    pub(crate) fn identity(
        &self,
        app: Uuid,
        units: u64,
        now: Timestamp,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, GraphError> {
        let mut state = self.state();
        let state = &mut *state;
        let window = state.identity.entry(app).or_default();
        window.forget_before(now - IDENTITY_WINDOW);
        let over = window.sum + units > IDENTITY_UNITS_MAX;
        window.add(now, units);
        let mut headers = vec![(
            HeaderName::from_static("x-ms-resource-unit"),
            HeaderValue::from(units),
        )];
        #[expect(clippy::cast_precision_loss, reason = "the sum is far below 2^52")]
        let used = window.sum as f64 / IDENTITY_UNITS_MAX as f64;
        if used >= IDENTITY_WARN_FROM
            && let Ok(value) = HeaderValue::try_from(format!("{:.1}", used.min(1.8)))
        {
            headers.push((
                HeaderName::from_static("x-ms-throttle-limit-percentage"),
                value,
            ));
        }
        if over {
            state.refused += 1;
            let seconds = window.seconds_until_next(now, IDENTITY_WINDOW);
            let mut error = GraphError::throttled(
                "Request_ThrottledTemporarily",
                "Your request is throttled temporarily. Please try after the time in the Retry-After header.",
                seconds,
            );
            error.headers.extend(headers);
            error.headers.push((
                HeaderName::from_static("x-ms-throttle-information"),
                HeaderValue::from_static("ResourceUnitLimitExceeded"),
            ));
            return Err(error);
        }
        Ok(headers)
    }

    /// Requests that were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.state().refused
    }

    /// The most requests that were under way in one mailbox at a time, those included that were refused for being too many.
    pub(crate) fn together_max(&self) -> u64 {
        u64::try_from(self.state().together_max).unwrap_or(u64::MAX)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a request to the directory costs: reading users 2, less 1 with `$select` or a small `$top`, more with `$expand`; never under 1.
pub(crate) fn identity_units(query: &crate::Query) -> u64 {
    let mut units = 2_u64;
    if query.get("$expand").is_some() {
        units += 1;
    }
    if query.get("$select").is_some() {
        units -= 1;
    }
    let small = query
        .get("$top")
        .and_then(|top| top.parse::<u32>().ok())
        .is_some_and(|top| top < 20);
    if small {
        units = units.saturating_sub(1);
    }
    units.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_as_long_as_told_is_served() {
        let throttle = Throttle::default();
        let (app, mailbox) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut now: Timestamp = "2026-11-02T08:00:00.4Z".parse().expect("a valid time");
        let mut refusals = 0;
        for _ in 0..25_000 {
            now += SignedDuration::from_millis(7);
            while let Err(error) = throttle.outlook(app, mailbox, false, 0, now) {
                refusals += 1;
                let (_, wait) = error.headers.first().expect("a wait is told");
                let seconds = wait.to_str().ok().and_then(|text| text.parse().ok());
                now += SignedDuration::from_secs(seconds.expect("whole seconds"));
            }
        }
        // The first ten thousand take 70 seconds, so that each further ten thousand begin with waiting for some of them to be forgotten.
        assert!((2..400).contains(&refusals), "{refusals}");
        assert_eq!(throttle.refused(), refusals);
    }

    #[test]
    fn what_is_remembered_is_bounded_by_the_window() {
        let mut window = Window::default();
        let mut now: Timestamp = "2026-11-02T08:00:00Z".parse().expect("a valid time");
        for _ in 0..100_000 {
            now += SignedDuration::from_millis(50);
            window.forget_before(now - OUTLOOK_WINDOW);
            window.add(now, 1);
        }
        assert!(window.entries.len() <= 601, "{}", window.entries.len());
        assert!((11_980..=12_020).contains(&window.sum), "{}", window.sum);
    }
}
