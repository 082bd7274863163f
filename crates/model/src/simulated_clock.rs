//! A clock that jumps to the next thing that somebody waits for.
//!
//! Time stands still while any [`Busy`] guard is held. When none has been held or released for a moment of real time, and somebody sleeps, the
//! clock jumps to the earliest deadline. Waits therefore cost about a millisecond each whatever their length, and two parties that share the
//! clock (the client and the emulator) agree on every window. It does not model how long work takes: work costs no simulated time, unless
//! somebody says how much by [`SimulatedClock::sleep_on_behalf`]. When nothing happens for minutes, somebody is busy who will never end, or a sleeper
//! is first who is not polled: then whoever sleeps panics and says who.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::clock::{Busy, Clock, Sleep};

/// Real time for which nothing may have happened before the clock jumps: long enough for a task to go from one request to its next.
const QUIET: Duration = Duration::from_millis(1);

/// Real time for which nothing may have happened while somebody sleeps: longer than the silence after which a request is given up.
const STANDSTILL: Duration = Duration::from_secs(300);

/// See the module's text. Clones share one time.
#[derive(Clone, Debug)]
pub struct SimulatedClock(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    start: Timestamp,
    elapsed: Duration,
    /// Work under way, by what it is.
    work: BTreeMap<&'static str, usize>,
    /// How much of it only waits for its time to come.
    waiting: usize,
    /// See [`STANDSTILL`].
    patience: Duration,
    /// Counts starts and ends of work, so that a sleeper sees whether anything happened while it looked away.
    events: u64,
    next_sleeper: u64,
    sleepers: BTreeSet<(Duration, u64)>,
}

impl SimulatedClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(State {
            start,
            elapsed: Duration::ZERO,
            work: BTreeMap::new(),
            waiting: 0,
            patience: STANDSTILL,
            events: 0,
            next_sleeper: 0,
            sleepers: BTreeSet::new(),
        })))
    }

    /// Moves the time forward by hand; sleepers whose deadline has passed wake up.
    pub fn advance(&self, span: Duration) {
        let mut state = self.state();
        state.elapsed += span;
        state.events += 1;
    }

    /// Sets the wall clock forward or back, as people and bad batteries do. [`Clock::elapsed`] and whoever sleeps notice nothing.
    pub fn set_wall_clock(&self, by: SignedDuration) {
        let mut state = self.state();
        state.start += by;
        state.events += 1;
    }

    /// Waits on behalf of somebody who is [busy](Clock::busy): the time may pass, although they are not done. A service that takes its time to
    /// answer a request waits so.
    pub async fn sleep_on_behalf(&self, span: Duration) {
        self.state().waiting += 1;
        let clock = self.clone();
        let _working = Busy::until_dropped(move || clock.state().waiting -= 1);
        self.sleep(span).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "whether nobody is busy shows only in a moment of real time"
)]
impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        let state = self.state();
        state.start + state.elapsed
    }

    fn elapsed(&self) -> Duration {
        self.state().elapsed
    }

    fn sleep(&self, span: Duration) -> Sleep<'_> {
        Box::pin(async move {
            let sleeper = Sleeper::register(self, span);
            let mut happened = (self.state().events, Instant::now());
            while !sleeper.is_due() {
                let before = self.state().events;
                if before != happened.0 {
                    happened = (before, Instant::now());
                }
                self.state().notice_standstill(happened.1.elapsed());
                tokio::time::sleep(QUIET).await;
                sleeper.jump_if_quiet_since(before);
            }
        })
    }

    fn busy(&self, what: &'static str) -> Busy {
        let mut state = self.state();
        *state.work.entry(what).or_default() += 1;
        state.events += 1;
        drop(state);
        let clock = self.clone();
        Busy::until_dropped(move || {
            let mut state = clock.state();
            *state.work.entry(what).or_default() -= 1;
            state.events += 1;
        })
    }
}

impl State {
    /// Whether nobody works who does not only wait.
    fn is_idle(&self) -> bool {
        self.work.values().sum::<usize>() == self.waiting
    }

    /// Panics when nothing has happened for too long.
    fn notice_standstill(&self, still: Duration) {
        assert!(still < self.patience, "time stands still: {self:?}");
    }
}

/// One pending wait; leaves the register when dropped, also when cancelled.
struct Sleeper<'a> {
    clock: &'a SimulatedClock,
    key: (Duration, u64),
}

impl<'a> Sleeper<'a> {
    fn register(clock: &'a SimulatedClock, span: Duration) -> Self {
        let mut state = clock.state();
        let key = (state.elapsed + span, state.next_sleeper);
        state.next_sleeper += 1;
        state.sleepers.insert(key);
        Self { clock, key }
    }

    fn is_due(&self) -> bool {
        self.clock.state().elapsed >= self.key.0
    }

    fn jump_if_quiet_since(&self, events: u64) {
        let mut state = self.clock.state();
        if state.is_idle()
            && state.events == events
            && state.sleepers.first() == Some(&self.key)
            && state.elapsed < self.key.0
        {
            state.elapsed = self.key.0;
            state.events += 1;
        }
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        let mut state = self.clock.state();
        state.sleepers.remove(&self.key);
        state.events += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, task::Poll};

    use super::*;

    fn clock() -> SimulatedClock {
        SimulatedClock::new(Timestamp::UNIX_EPOCH)
    }

    #[tokio::test]
    async fn sleepers_wake_in_the_order_of_their_deadlines() {
        let clock = clock();
        let woken = Mutex::new(Vec::new());
        let sleep = |seconds: u64| {
            let (clock, woken) = (clock.clone(), &woken);
            async move {
                clock.sleep(Duration::from_secs(seconds)).await;
                woken
                    .lock()
                    .expect("no thread panics here")
                    .push((seconds, clock.elapsed().as_secs()));
            }
        };
        tokio::join!(sleep(600), sleep(1), sleep(41));
        assert_eq!(
            *woken.lock().expect("no thread panics here"),
            [(1, 1), (41, 41), (600, 600)]
        );
    }

    #[tokio::test]
    #[expect(
        clippy::disallowed_methods,
        reason = "real time passes so that the simulated one can be seen to stand still"
    )]
    async fn time_stands_still_while_somebody_is_busy() {
        let clock = clock();
        let busy = clock.busy("a test");
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(5)).await }
        });
        for _ in 0..20 {
            tokio::time::sleep(QUIET).await;
            assert_eq!(clock.elapsed(), Duration::ZERO);
        }
        drop(busy);
        waiting.await.expect("the sleeper ends");
        assert_eq!(clock.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test]
    async fn time_passes_for_those_who_wait_for_a_service() {
        let clock = clock();
        let asked = |seconds: u64| {
            let clock = clock.clone();
            async move {
                let _busy = clock.busy("a test");
                clock.sleep_on_behalf(Duration::from_secs(seconds)).await;
                clock.elapsed().as_secs()
            }
        };
        assert_eq!(tokio::join!(asked(3), asked(1), asked(2)), (3, 1, 2));
        assert_eq!(clock.state().work["a test"], 0);
    }

    #[tokio::test]
    async fn a_standstill_is_told_with_who_causes_it() {
        let clock = clock();
        clock.state().patience = 20 * QUIET;
        let _busy = clock.busy("somebody who never ends");
        let sleeper = clock.clone();
        let slept = tokio::spawn(async move { sleeper.sleep(Duration::from_secs(1)).await }).await;
        let panic = slept.expect_err("time stands still").into_panic();
        let text = panic.downcast_ref::<String>().expect("a text");
        assert!(text.contains("\"somebody who never ends\": 1"), "{text}");
    }

    #[tokio::test]
    async fn a_cancelled_sleep_no_longer_holds_the_clock() {
        let clock = clock();
        {
            let mut early = pin!(clock.sleep(Duration::from_secs(1)));
            let asleep = poll_fn(|cx| Poll::Ready(early.as_mut().poll(cx).is_pending()));
            assert!(asleep.await, "the sleep is dropped before it ends");
        }
        clock.sleep(Duration::from_secs(7)).await;
        assert_eq!(clock.elapsed(), Duration::from_secs(7));
    }
}
