//! What can happen in a step.

use std::time::Duration;

use anyhow::{Context, Result};
use emulator::Churn;
use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};

use super::{
    backups::{Conditions, work},
    world::{World, lock},
};

/// See the module's text.
#[derive(Debug)]
pub(super) enum Action {
    /// People do so many things in the mailbox.
    People { events: usize },
    /// Many mails arrive at once.
    Flood { mails: usize },
    /// Microsoft forgets all delta tokens, or all access tokens.
    Forgets { deltas: bool },
    /// Time passes, in minutes.
    Time { minutes: u64 },
    /// A backup, whatever comes of it.
    Backup(Conditions),
    /// The sky clears: one run has to make the newest snapshot the mailbox, and the next finds nothing to do.
    Settle,
    /// Some snapshots are read, and all bytes verified.
    Read,
    /// A snapshot, or a part of it, is restored into a new folder.
    Restore,
    /// So many snapshots are forgotten; storage may die meanwhile.
    Forget { count: usize, dies: Option<usize> },
    /// What nothing needs is recorded, and deleted if it was recorded long enough ago; storage may die meanwhile.
    Prune { dies: Option<usize> },
    /// Stock restic reads all bytes.
    Restic,
    /// Stock restic forgets a snapshot and prunes.
    ResticPrunes,
}

impl Action {
    pub(super) fn any(random: &mut StdRng) -> Self {
        match random.random_range(0..100) {
            0..22 => Self::People {
                events: random.random_range(1..20),
            },
            22..28 => Self::Flood {
                mails: random.random_range(5..40),
            },
            28..31 => Self::Forgets {
                deltas: random.random(),
            },
            31..38 => Self::Time {
                minutes: 1 << random.random_range(0..13),
            },
            38..68 => Self::Backup(Conditions::any(random)),
            68..75 => Self::Settle,
            75..82 => Self::Read,
            82..87 => Self::Restore,
            87..91 => Self::Forget {
                count: random.random_range(1..6),
                dies: random.random_bool(0.2).then(|| random.random_range(0..6)),
            },
            91..97 => Self::Prune {
                dies: random.random_bool(0.3).then(|| random.random_range(0..20)),
            },
            97..99 => Self::Restic,
            _ => Self::ResticPrunes,
        }
    }
}

impl World {
    /// Does it; gives what is to be told of it.
    pub(super) async fn act(&mut self, action: &Action) -> Result<String> {
        match action {
            Action::People { events } => self.people(*events),
            Action::Flood { mails } => self.flood(*mails),
            Action::Forgets { deltas: true } => {
                let mailbox = self.mailbox()?;
                lock(&mailbox).expire_delta_tokens();
                Ok(String::new())
            }
            Action::Forgets { deltas: false } => {
                self.emulator.expire_tokens();
                Ok(String::new())
            }
            Action::Time { minutes } => {
                self.simulated.advance(Duration::from_secs(minutes * 60));
                Ok(String::new())
            }
            Action::Backup(conditions) => self.back_up(conditions).await,
            Action::Settle => self.settle().await,
            Action::Read => self.read_some().await,
            Action::Restore => self.restore().await,
            Action::Forget { count, dies } => self.forget(*count, *dies).await,
            Action::Prune { dies } => self.prune(*dies).await,
            Action::Restic => self.check_by_restic(),
            Action::ResticPrunes => self.prune_by_restic().await,
        }
    }

    fn people(&mut self, events: usize) -> Result<String> {
        let churn = self.churn(events);
        let (tenant, now) = (self.emulator.tenant(), self.emulator.now());
        let happenings = work(&churn, tenant, now, &self.history, &*self.mailbox()?);
        Ok(format!("{:?}", Churn::tally(&happenings)))
    }

    pub(super) fn churn(&mut self, events: usize) -> Churn {
        Churn {
            seed: self.random.random(),
            events,
            lost_moves: 0.5,
        }
    }

    fn flood(&mut self, mails: usize) -> Result<String> {
        let now = self.emulator.now();
        {
            let mailbox = self.mailbox()?;
            let mut mailbox = lock(&mailbox);
            let folders: Vec<_> = mailbox.folder_views().map(|folder| folder.key).collect();
            let folder = folders
                .choose(&mut self.random)
                .context("there are folders")?;
            for _ in 0..mails {
                let number: u32 = self.random.random();
                mailbox.deliver(*folder, mail(number).into_bytes().into(), now)?;
            }
        }
        self.note_source()?;
        Ok(String::new())
    }
}

/// A mail without attachments.
fn mail(number: u32) -> String {
    format!(
        "Received: from x by y; Tue, 2 Jun 2026 10:00:{:02} +0000\r\nFrom: Zoe <zoe@example.com>\r\nTo: Ada <ada@example.com>\r\n\
         Subject: Flood {number}\r\nMessage-ID: <{number}@example.com>\r\nDate: Tue, 2 Jun 2026 09:59:00 +0000\r\n\r\nThis is {number}.\r\n",
        number % 60
    )
}
