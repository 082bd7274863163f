//! Our own code falls over a request (abuse 68).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use model::{Clock, Sleep, SystemClock};
use reqwest::Method;

use crate::stage::Stage;

/// A clock over which whoever asks for the day falls, while it is set.
#[derive(Debug)]
struct Trap {
    clock: SystemClock,
    is_set: AtomicBool,
}

impl Clock for Trap {
    fn now(&self) -> Timestamp {
        assert!(
            !self.is_set.load(Ordering::SeqCst),
            "somebody fell into the trap"
        );
        self.clock.now()
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn sleep(&self, span: Duration) -> Sleep<'_> {
        self.clock.sleep(span)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_over_which_our_own_code_panics_is_answered_and_others_too() {
    let trap = Arc::new(Trap {
        clock: SystemClock::new(),
        is_set: AtomicBool::new(false),
    });
    let stage = Stage::by(trap.clone()).await;
    let (_tenant, ada) = stage.signed_in("ada").await;
    ada.make_token("administrator").await;
    let program = async || ada.program(Method::GET, "/api/v1/tasks", "").await;

    trap.is_set.store(true, Ordering::SeqCst);
    let page = ada.get("/").await;
    assert_eq!(page.status, 500);
    assert!(page.has("Keepwell made a mistake"), "{}", page.text);
    assert!(!page.has("trap"), "{}", page.text);
    assert!(!page.header("content-security-policy").is_empty());
    let refused = program().await;
    assert_eq!(refused.status, 500);
    assert!(refused.problem().contains("Keepwell made a mistake"));

    trap.is_set.store(false, Ordering::SeqCst);
    assert_eq!(ada.get("/").await.status, 200);
    assert_eq!(program().await.status, 200);
}
