//! Forgetting, pruning, and reading everything again, by us and by stock restic.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use engine::verify;
use rand::seq::IndexedRandom;
use repository::SnapshotId;

use super::world::World;

/// Longer than a pack is doomed, a lock counts, and a run believes what the one before noted.
pub(super) const GRACE: Duration = Duration::from_secs(25 * 60 * 60);

impl World {
    /// Some snapshots are forgotten, but never all.
    pub(super) async fn forget(&mut self, count: usize, dies: Option<usize>) -> Result<String> {
        let ids = self.model.ids();
        let ids: Vec<_> = ids.sample(&mut self.random, count).copied().collect();
        if ids.len() == self.model.ids().len() {
            return Ok("too few".to_owned());
        }
        self.die_after(dies);
        let outcome = self.forget_all_of(&ids).await;
        self.die_after(None);
        let gone = self.note_forgotten(&ids).await?;
        match outcome {
            Ok(()) => ensure!(gone == ids.len(), "{gone} of {} are gone", ids.len()),
            Err(error) if dies.is_none() => return Err(error),
            Err(_) => {}
        }
        Ok(format!("{gone} of {}", ids.len()))
    }

    async fn forget_all_of(&self, ids: &[SnapshotId]) -> Result<()> {
        let repository = self.repository().await?.context("there are snapshots")?;
        repository.forget(ids).await?;
        Ok(())
    }

    /// Takes out of the model what is gone of these, and sees to it that all others are there.
    async fn note_forgotten(&mut self, ids: &[SnapshotId]) -> Result<usize> {
        let repository = self.repository().await?.context("there are snapshots")?;
        let there: Vec<_> = repository
            .snapshots()
            .await?
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        let gone: Vec<_> = ids
            .iter()
            .filter(|id| !there.contains(id))
            .copied()
            .collect();
        gone.iter().for_each(|id| self.model.forget(*id));
        let lost = self.model.ids().into_iter().find(|id| !there.contains(id));
        ensure!(lost.is_none(), "the snapshot {lost:?} is gone");
        Ok(gone.len())
    }

    pub(super) async fn prune(&mut self, dies: Option<usize>) -> Result<String> {
        self.die_after(dies);
        let outcome = self.prune_once().await;
        self.die_after(None);
        match outcome {
            Ok(Some(report)) => Ok(format!(
                "{} doomed, {} rewritten, {} spared, {} deleted of {}",
                report.doomed_packs,
                report.rewritten_packs,
                report.spared_packs,
                report.deleted_packs,
                report.packs
            )),
            Ok(None) => Ok("nothing".to_owned()),
            Err(_) if dies.is_some() => Ok("died".to_owned()),
            Err(error) => Err(error),
        }
    }

    /// Prunes until nothing is left to be done: then nothing is there that no snapshot needs.
    pub(super) async fn prune_to_the_end(&mut self) -> Result<()> {
        for _ in 0..2 {
            self.prune_once().await?;
            self.simulated.advance(GRACE);
        }
        self.prune_once().await?;
        let report = self.prune_once().await?.context("there is a repository")?;
        let idle = [
            report.doomed_packs,
            report.rewritten_packs,
            report.deleted_packs,
        ];
        ensure!(
            idle == [0; 3] && !report.postponed,
            "there is still something to prune: {report:?}"
        );
        Ok(())
    }

    /// A person with restic forgets a snapshot and prunes at once. Restic refuses while a lock is there that a dead process left.
    pub(super) async fn prune_by_restic(&mut self) -> Result<String> {
        let ids = self.model.ids();
        let Some(id) = ids
            .choose(&mut self.random)
            .filter(|_| ids.len() > 1)
            .copied()
        else {
            return Ok("too few".to_owned());
        };
        let setting = self.setting();
        let path = setting.vault.repository_path(&self.account.id);
        let password = setting.vault.password(&self.account.id)?;
        let Some(restic) = testkit::restic::stock() else {
            return Ok("there is none".to_owned());
        };
        let id_text = id.to_string();
        let output = restic.run(&path, &password, ["forget", &id_text, "--prune"])?;
        if !output.success && output.stderr.contains("locked") {
            return Ok("locked".to_owned());
        }
        output.into_result()?;
        self.restic_forgot = true;
        let gone = self.note_forgotten(&[id]).await?;
        ensure!(gone == 1, "restic forgot nothing");
        Ok(String::new())
    }

    pub(super) async fn read_some(&mut self) -> Result<String> {
        let ids = self.model.ids();
        let ids: Vec<_> = ids.sample(&mut self.random, 4).copied().collect();
        self.read_again(&ids).await?;
        if ids.is_empty() {
            return Ok("nothing".to_owned());
        }
        let report = verify::run(self.setting().local(), &self.account, |_| ()).await?;
        ensure!(report.is_sound(), "{report:?}");
        Ok(format!("{} snapshots, {} packs", ids.len(), report.packs))
    }

    /// Everything that was ever backed up, and not forgotten, is what it was.
    pub(super) async fn read_all(&mut self) -> Result<()> {
        self.read_again(&self.model.ids()).await
    }

    async fn read_again(&self, ids: &[SnapshotId]) -> Result<()> {
        let Some(repository) = self.repository().await? else {
            return Ok(());
        };
        for id in ids {
            let snapshot = repository.snapshot(*id).await?;
            let snapshot = snapshot.with_context(|| format!("the snapshot {id} is gone"))?;
            let held = self.read(&repository, *id, &snapshot).await?;
            let expected = self.model.held(*id).context("it is known")?;
            ensure!(
                held == **expected,
                "the snapshot {id} holds something else than before"
            );
        }
        Ok(())
    }

    pub(super) fn check_by_restic(&self) -> Result<String> {
        let setting = self.setting();
        let path = setting.vault.repository_path(&self.account.id);
        if self.model.ids().is_empty() {
            return Ok("nothing".to_owned());
        }
        // What died has left its lock, which restic would honour.
        let arguments = ["check", "--read-data", "--no-lock"];
        for restic in testkit::restic::both() {
            let password = setting.vault.password(&self.account.id)?;
            let said = restic.run(&path, &password, arguments)?.into_result()?;
            ensure!(
                said.text().contains("no errors were found"),
                "{}",
                said.text()
            );
        }
        Ok(String::new())
    }
}
