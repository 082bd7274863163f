//! Worlds: what a tenant holds when the emulator starts. (Being written.)

use jiff::Timestamp;

use crate::{Behaviour, Error, Tenant};

/// What a tenant holds when the emulator starts.
#[derive(Clone, Debug, Default)]
pub struct World;

impl World {
    /// Makes the tenant.
    ///
    /// # Errors
    /// If a file or directory cannot be read.
    pub fn build(self, now: Timestamp, behaviour: Behaviour) -> Result<Tenant, Error> {
        Ok(Tenant::new(
            uuid::Uuid::nil(),
            "contoso.onmicrosoft.com",
            "Contoso",
            now,
            behaviour,
            0,
        ))
    }
}
