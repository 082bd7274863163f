//! What a restore has done so far, item by item: told when it ends, also when somebody stops it.

use std::collections::HashMap;

use catalog::{Became, RestoredItem};
use workload::mail::restore::{ItemReport, Outcome};

use crate::JobReport;

/// Items that a report names of those with the same fate; of the others it has the number. Each takes some 200 bytes in memory and in the database.
const NAMED_MAX: usize = 10_000;

/// A restore under way.
#[derive(Debug)]
pub(crate) struct Restoring {
    report: JobReport,
    items: Vec<RestoredItem>,
    named: HashMap<Became, usize>,
}

impl Restoring {
    /// From this restore point, into the new folder of this name, or in place.
    pub(crate) fn new(from: Option<String>, into: Option<String>) -> Self {
        Self {
            report: JobReport {
                from,
                into,
                ..JobReport::default()
            },
            items: Vec::new(),
            named: HashMap::new(),
        }
    }

    /// Notes what became of one more.
    pub(crate) fn note(&mut self, item: &ItemReport) {
        // In a folder of its own nothing is but what an attempt of this very restore has put there.
        let has_own_folder = self.report.into.is_some();
        let lost: Vec<_> = item.losses.iter().map(ToString::to_string).collect();
        let (became, cause, code) = match &item.outcome {
            Outcome::AlreadyThere { .. } if !has_own_folder => (Became::LeftAlone, None, None),
            Outcome::Identical => (Became::LeftAlone, None, None),
            Outcome::Restored { .. } | Outcome::AlreadyThere { .. } if lost.is_empty() => {
                (Became::Restored, None, None)
            }
            Outcome::Restored { .. } | Outcome::AlreadyThere { .. } => {
                (Became::RestoredInPart, None, None)
            }
            Outcome::NotHeld => (Became::NotHeld, None, None),
            Outcome::Failed { cause, code } => (Became::Failed, Some(*cause), code.clone()),
        };
        let sum = match became {
            Became::Restored | Became::RestoredInPart => &mut self.report.restored,
            Became::LeftAlone => &mut self.report.already_there,
            Became::NotHeld | Became::Failed => &mut self.report.failures,
        };
        *sum += 1;
        let named = self.named.entry(became).or_default();
        if *named == NAMED_MAX {
            return;
        }
        *named += 1;
        self.items.push(RestoredItem {
            item: item
                .source
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            became,
            cause,
            code: code.unwrap_or_default(),
            lost: lost.join("; "),
        });
    }

    /// The report, and the items, those first of which somebody has to know.
    pub(crate) fn told(mut self) -> (JobReport, Vec<RestoredItem>) {
        self.items.sort_by_key(|item| item.became);
        (self.report, self.items)
    }
}

#[cfg(test)]
mod tests {
    use model::{FailureCause, ItemId};
    use workload::mail::compose::Loss;

    use super::*;

    fn item(outcome: Outcome, losses: Vec<Loss>) -> ItemReport {
        ItemReport {
            at: None,
            source: ItemId::new("item").ok(),
            outcome,
            losses,
            bytes: 0,
        }
    }

    #[test]
    fn what_somebody_has_to_know_comes_first() {
        let id = || ItemId::new("new").expect("an id");
        let mut restoring = Restoring::new(None, None);
        restoring.note(&item(Outcome::Restored { id: id() }, Vec::new()));
        restoring.note(&item(Outcome::AlreadyThere { id: id() }, Vec::new()));
        restoring.note(&item(
            Outcome::Restored { id: id() },
            vec![Loss::HeadersCut],
        ));
        restoring.note(&item(Outcome::NotHeld, Vec::new()));
        restoring.note(&item(
            Outcome::Failed {
                cause: FailureCause::Refused,
                code: Some("ErrorQuotaExceeded".to_owned()),
            },
            Vec::new(),
        ));
        let (report, items) = restoring.told();
        assert_eq!(
            (report.restored, report.already_there, report.failures),
            (2, 1, 2)
        );
        let became: Vec<_> = items.iter().map(|item| item.became).collect();
        assert_eq!(became, Became::ALL);
        assert_eq!(items[0].code, "ErrorQuotaExceeded");
        assert_eq!(items[2].lost, "some header lines were left out");
    }

    #[test]
    fn what_an_attempt_before_has_put_into_the_new_folder_is_restored() {
        let id = ItemId::new("new").expect("an id");
        let mut restoring = Restoring::new(None, Some("Restored".to_owned()));
        restoring.note(&item(Outcome::AlreadyThere { id }, Vec::new()));
        let (report, items) = restoring.told();
        assert_eq!((report.restored, items[0].became), (1, Became::Restored));
    }

    #[test]
    fn a_report_counts_all_and_names_many() {
        let mut restoring = Restoring::new(None, None);
        for _ in 0..NAMED_MAX + 5 {
            restoring.note(&item(Outcome::Identical, Vec::new()));
        }
        restoring.note(&item(Outcome::NotHeld, Vec::new()));
        let (report, items) = restoring.told();
        assert_eq!(
            (report.already_there, items.len()),
            (NAMED_MAX as u64 + 5, NAMED_MAX + 1)
        );
    }
}
