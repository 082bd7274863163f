//! A message over which our own code falls.

use anyhow::Result;
use emulator::FaultRule;
use model::FailureCause;
use serde_json::json;
use tracing::{Event, Metadata, Subscriber, field, span};

use crate::{stage::Stage, tools::message};

/// Panics when a request is about to be repeated: in the middle of the work for whichever item it is for.
struct Brittle;

impl Subscriber for Brittle {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Brittle);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

impl field::Visit for Brittle {
    fn record_debug(&mut self, field: &field::Field, value: &dyn std::fmt::Debug) {
        let is_fatal = field.name() == "message" && format!("{value:?}") == "asking again";
        assert!(!is_fatal, "this test makes it panic here");
    }
}

#[tokio::test]
async fn a_message_on_which_our_own_code_panics_fails_alone_and_is_left_alone_in_the_end()
-> Result<()> {
    // Abuse 68.
    let (stage, account) = Stage::with_mail(&[("", 20)]).await?;
    let (_, id) = stage.at_source(&account, |mailbox| message(mailbox, "Inbox"))??;
    stage.emulator.add_fault(FaultRule {
        status: Some(503),
        ..FaultRule::on(&format!(
            "/v1.0/users/*/messages/{}/$value",
            graph::segment(&id)
        ))
    })?;
    let brittle = tracing::subscriber::set_default(Brittle);
    for attempts in 1..=3 {
        let outcome = stage.back_up(&account).await?;
        let [failure] = &outcome.report.failures[..] else {
            panic!("one message failed: {:?}", outcome.report)
        };
        assert_eq!(
            (failure.item.as_str(), failure.cause, failure.attempts),
            (id.as_str(), FailureCause::Defect, attempts)
        );
        assert!(!outcome.report.is_complete(), "its run is partial");
        assert_eq!(outcome.report.added, if attempts == 1 { 19 } else { 0 });
    }
    let before = stage.graph.counters();
    let outcome = stage.back_up(&account).await?;
    let asked = stage.graph.counters().since(&before);
    assert_eq!(asked.of("GET messages/$value"), 0, "it is left alone");
    assert_eq!(outcome.snapshot, None);
    assert_eq!(outcome.report.failures.len(), 1, "and not forgotten");
    drop(brittle);
    stage.emulator.clear_faults();
    let change = json!({"importance": "high"});
    stage.patch(&account, &id, &change).await?;
    stage.back_up_equal(&account).await?;
    Ok(())
}
