//! A message over which our own code falls.

use anyhow::{Context, Result};
use emulator::FaultRule;
use model::FailureCause;
use serde_json::json;
use tracing::{Event, Metadata, Subscriber, field, span};

use crate::{
    stage::{Stage, differences, mail},
    tools::{MIME, NOW, folder},
};

/// The message of the tests has more JSON than this, and no other has.
const JSON_BYTES: u64 = 100_000;

/// Panics at a moment of the work for one message: when a request is about to be repeated, or in the middle of recording something large.
struct Brittle(&'static str);

impl Subscriber for Brittle {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &Event<'_>) {
        let mut said = Said::default();
        event.record(&mut said);
        let is_fatal = said.message == self.0 && said.json_bytes.is_none_or(|n| n > JSON_BYTES);
        assert!(!is_fatal, "this test makes it panic here");
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// What an event says.
#[derive(Default)]
struct Said {
    message: String,
    json_bytes: Option<u64>,
}

impl field::Visit for Said {
    fn record_u64(&mut self, field: &field::Field, value: u64) {
        if field.name() == "json_bytes" {
            self.json_bytes = Some(value);
        }
    }

    fn record_debug(&mut self, field: &field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }
}

const MOMENTS: [&str; 4] = [
    "asking again",
    "a record is read",
    "a message is reported",
    "a message is recorded",
];

/// A mailbox of twenty messages, and the id of the one that is meant.
async fn stage() -> Result<(Stage, engine::Account, String)> {
    let (stage, account) = Stage::with_mail(&[("", 19)]).await?;
    let id = stage.at_source(&account, |mailbox| -> Result<_> {
        let inbox = folder(mailbox, "Inbox")?;
        let long = mail(77) + &"A line of a long text.\r\n".repeat(10_000);
        let key = mailbox.deliver(inbox, long.into_bytes().into(), NOW.parse()?)?;
        let view = mailbox.message_views().find(|view| view.key == key);
        Ok(view.context("it is there")?.id)
    })??;
    Ok((stage, account, id))
}

#[tokio::test]
async fn a_message_on_which_our_own_code_panics_fails_alone_and_is_left_alone_in_the_end()
-> Result<()> {
    // Abuse 68.
    for moment in MOMENTS {
        let (stage, account, id) = stage().await?;
        stage.emulator.add_fault(FaultRule {
            status: (moment == "asking again").then_some(503),
            ..FaultRule::on(&format!(
                "/v1.0/users/*/messages/{}/$value",
                graph::segment(&id)
            ))
        })?;
        let brittle = tracing::subscriber::set_default(Brittle(moment));
        for attempts in 1..=3 {
            let outcome = stage.back_up(&account).await?;
            let [failure] = &outcome.report.failures[..] else {
                panic!("one message failed: {:?}", outcome.report)
            };
            assert_eq!(
                (failure.item.as_str(), failure.cause, failure.attempts),
                (id.as_str(), FailureCause::Defect, attempts),
                "{moment}"
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
        stage.restic_agrees(&account)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_record_over_whose_id_our_own_code_panics_holds_its_folder_back_and_nothing_else()
-> Result<()> {
    // Abuse 68: nobody can tell which message it is.
    let (stage, account, _) = stage().await?;
    let brittle = tracing::subscriber::set_default(Brittle("a record is named"));
    for run in 0..2 {
        let outcome = stage.back_up(&account).await?;
        let [folder] = &outcome.report.containers[..] else {
            panic!("one folder is held back: {:?}", outcome.report)
        };
        assert_eq!(folder.cause, FailureCause::Defect);
        assert!(!outcome.report.is_complete(), "its run is partial");
        assert_eq!(outcome.report.added, if run == 0 { 19 } else { 0 });
    }
    drop(brittle);
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.added, 1);
    Ok(())
}

#[tokio::test]
async fn what_is_held_of_a_message_on_which_our_own_code_panics_stays() -> Result<()> {
    // Abuse 68: the message changes, and recording that fails.
    for moment in MOMENTS {
        let (stage, account, id) = stage().await?;
        stage.back_up_equal(&account).await?;
        let before = stage.source(&account)?;
        let change = json!({"importance": "high"});
        stage.patch(&account, &id, &change).await?;
        stage.emulator.add_fault(FaultRule {
            status: (moment == "asking again").then_some(503),
            ..FaultRule::on(MIME)
        })?;
        let brittle = tracing::subscriber::set_default(Brittle(moment));
        let outcome = stage.back_up(&account).await?;
        assert_eq!(outcome.report.failures.len(), 1, "{:?}", outcome.report);
        drop(brittle);
        let snapshot = outcome.snapshot.context("the ledger changed")?;
        let held = stage.snapshot(&account, snapshot).await?;
        assert_eq!(differences(&held, &before), [""; 0], "{moment}");
        stage.emulator.clear_faults();
        stage.back_up_equal(&account).await?;
    }
    Ok(())
}
