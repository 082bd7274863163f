//! A sliding window that never lets more than its limit into any span of its length.
//!
//! A request takes its room when it is sent and counts from its answer, because Microsoft counts it somewhere in between. Amounts are kept by slots
//! of a six-hundredth of the span and count until their whole slot has left the window. That is on the safe side by one slot and a second, and
//! bounds the memory at 602 entries however large the limit is. A bucket with burst and refill would admit up to
//! twice the limit within one span (survival 4).

use std::{collections::VecDeque, time::Duration};

const SLOTS: u32 = 600;
/// What was counted leaves so much later than it might: Microsoft's clocks and ours need not agree on when a second ends.
const SLACK: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Window {
    limit: u64,
    span: Duration,
    slot: Duration,
    /// Of requests that are not answered yet, so that nobody knows when they will have been counted.
    under_way: u64,
    used: u64,
    slots: VecDeque<(u32, u64)>,
}

impl Window {
    pub(crate) fn new(limit: u64, span: Duration) -> Self {
        Self {
            limit,
            span,
            slot: span / SLOTS,
            under_way: 0,
            used: 0,
            slots: VecDeque::new(),
        }
    }

    /// When `amount` may be added: `None` for now. More than the whole limit is let in once the window is empty, or it never would be.
    pub(crate) fn free_at(&mut self, now: Duration, amount: u64) -> Option<Duration> {
        self.forget(now);
        let mut used = self.under_way + self.used;
        let fits = |used: u64| used + amount <= self.limit || used == 0;
        if fits(used) {
            return None;
        }
        for (slot, held) in &self.slots {
            used -= held;
            if fits(used) {
                return Some(self.leaves_at(*slot));
            }
        }
        // Only requests under way are in the way. They may be answered at any time, so it is best to look again soon.
        Some(now + self.slot)
    }

    /// Takes room for a request that is about to be sent.
    pub(crate) fn begin(&mut self, amount: u64) {
        self.under_way += amount;
    }

    /// Counts a request that was answered: whenever Microsoft counted it, it was not later than this.
    pub(crate) fn end(&mut self, now: Duration, amount: u64) {
        self.under_way = self.under_way.saturating_sub(amount);
        let slot = u32::try_from(now.as_nanos() / self.slot.as_nanos()).unwrap_or(u32::MAX);
        self.used += amount;
        match self.slots.back_mut() {
            Some((last, held)) if *last == slot => *held += amount,
            _ => self.slots.push_back((slot, amount)),
        }
    }

    pub(crate) fn is_empty(&mut self, now: Duration) -> bool {
        self.forget(now);
        self.used + self.under_way == 0
    }

    fn forget(&mut self, now: Duration) {
        while let Some((slot, held)) = self.slots.front().copied() {
            if self.leaves_at(slot) > now {
                break;
            }
            self.used -= held;
            self.slots.pop_front();
        }
    }

    /// The end of the slot, plus the span, plus the slack.
    fn leaves_at(&self, slot: u32) -> Duration {
        self.slot * slot + self.slot + self.span + SLACK
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPAN: Duration = Duration::from_secs(600);

    proptest! {
        /// survival 4: whoever follows `free_at` never has more than the limit in any span, and is never held for more than a slot and
        /// the slack too long.
        #[test]
        fn no_span_ever_holds_more_than_the_limit(
            steps in prop::collection::vec((0u64..90_000, 1u64..30), 1..400),
            limit in 30u64..200,
        ) {
            let mut window = Window::new(limit, SPAN);
            let mut now = Duration::ZERO;
            let mut log: Vec<(Duration, u64)> = Vec::new();
            for (pause_ms, amount) in steps {
                now += Duration::from_millis(pause_ms);
                let held = |at: Duration, log: &[(Duration, u64)]| -> u64 {
                    log.iter().filter(|(then, _)| *then + SPAN > at).map(|(_, amount)| amount).sum()
                };
                if let Some(at) = window.free_at(now, amount) {
                    prop_assert!(at > now);
                    let a_slot_ago = at.checked_sub(Duration::from_millis(2001)).unwrap_or_default();
                    prop_assert!(a_slot_ago < now || held(a_slot_ago, &log) + amount > limit);
                    now = at;
                    prop_assert_eq!(window.free_at(now, amount), None);
                }
                window.begin(amount);
                window.end(now, amount);
                log.push((now, amount));
                prop_assert!(held(now, &log) <= limit);
                prop_assert!(window.slots.len() <= 602);
            }
        }
    }

    #[test]
    fn what_is_under_way_takes_room_and_counts_from_its_answer() {
        let mut window = Window::new(10, SPAN);
        window.begin(10);
        let soon = window.free_at(Duration::from_secs(5), 1);
        assert_eq!(soon, Some(Duration::from_secs(6)));
        window.end(Duration::from_secs(90), 10);
        let at = window.free_at(Duration::from_secs(90), 1);
        assert_eq!(at, Some(Duration::from_secs(692)));
    }

    #[test]
    fn an_amount_beyond_the_limit_waits_for_an_empty_window() {
        let mut window = Window::new(10, SPAN);
        assert_eq!(window.free_at(Duration::ZERO, 50), None);
        window.begin(50);
        window.end(Duration::ZERO, 50);
        let at = window.free_at(Duration::from_secs(1), 50);
        assert_eq!(at, Some(Duration::from_secs(602)));
        assert!(window.is_empty(Duration::from_secs(602)));
    }
}
