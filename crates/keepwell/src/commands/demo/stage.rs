//! What the demonstration plays on: an emulated tenant, a client of it, a data folder, and one clock for all.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use emulator::{Emulator, Mailbox, Running, Settings};
use engine::{
    Account, Vault,
    backup::{self, Setting},
    discovery,
};
use graph::{Client, Cloud, Credential, Governor, Limits, Options};
use jiff::Timestamp;
use model::{SharedClock, SimulatedClock, SystemClock, TenantId};

use crate::{cli, commands};

pub(crate) struct Stage {
    pub(crate) emulator: Running,
    pub(crate) graph: Client,
    pub(crate) vault: Vault,
    pub(crate) clock: SharedClock,
    pub(crate) instance: String,
    tenant: TenantId,
}

/// The product's clock, as the emulator wants to see it.
#[derive(Debug)]
struct Shared(SharedClock);

impl emulator::Clock for Shared {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

impl Stage {
    /// Starts the emulator and connects to it. With `throttle`, its documented limits hold on a simulated clock.
    pub(crate) async fn start(
        data: &Path,
        world: &cli::World,
        throttle: bool,
    ) -> anyhow::Result<Self> {
        let real = SystemClock::shared();
        let clock: SharedClock = if throttle {
            Arc::new(SimulatedClock::new(real.now()))
        } else {
            real
        };
        let mut settings = Settings::new(commands::emulator::world(world));
        settings.clock = Arc::new(Shared(Arc::clone(&clock)));
        settings.throttle = throttle;
        settings.seed = world.seed;
        let emulator = Emulator::start(settings)
            .await
            .context("the emulated tenant could not be started")?;
        // Not before, so that a mistake in what the world is made of leaves no folder behind that is in the way of the next try.
        let vault = Vault::create(data)?;
        let tenant = TenantId::new(emulator.tenant_id.to_string())?;
        let mut options = Options::new(
            Cloud::at(&emulator.base_url)?,
            tenant.clone(),
            emulator.client_id.to_string(),
            Credential::secret(emulator.client_secret.clone()),
            Arc::clone(&clock),
            world.seed,
        );
        if !throttle {
            options.governor = Governor::new(unlimited(), Arc::clone(&clock));
        }
        Ok(Self {
            graph: Client::new(options)?,
            emulator,
            vault,
            clock,
            instance: commands::instance::name(),
            tenant,
        })
    }

    pub(crate) fn setting(&self) -> Setting<'_> {
        Setting {
            vault: &self.vault,
            graph: &self.graph,
            clock: &self.clock,
            instance: &self.instance,
            limits: backup::Limits::default(),
        }
    }

    pub(crate) async fn accounts(&self) -> anyhow::Result<Vec<Account>> {
        Ok(discovery::mailboxes(&self.graph, &self.tenant).await?)
    }

    /// Looks into a mailbox, or changes it, past Graph.
    pub(crate) fn mailbox<T>(
        &self,
        account: &Account,
        work: impl FnOnce(&mut Mailbox) -> T,
    ) -> anyhow::Result<T> {
        let id = account
            .id
            .as_str()
            .parse()
            .context("the account's id is no GUID")?;
        let mailbox = self
            .emulator
            .tenant()
            .mailbox(id)
            .context("the account has no mailbox any more")?;
        let mut mailbox = mailbox
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(work(&mut mailbox))
    }
}

/// Microsoft's limits but for how much is asked for in ten minutes: the emulator does not count it unless it throttles.
fn unlimited() -> Limits {
    Limits {
        outlook_requests: u64::MAX,
        outlook_upload_bytes: u64::MAX,
        directory_units: u64::MAX,
        ..Limits::default()
    }
}
