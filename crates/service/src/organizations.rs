//! Organizations: founding one, with its keys and its data folder, and the kit that opens its backups when nothing else is left.

use catalog::{NewOrganization, NewUser, OrganizationId, Role, UserId};
use engine::Vault;
use secrets::{EmergencyKit, Key, Place};
use zeroize::Zeroizing;

use crate::{Result, Service};

/// Who founds an organization: its first administrator.
#[derive(Clone, Debug)]
pub struct NewFirstUser {
    /// For people.
    pub name: String,
    /// The mail address by which the user signs in.
    pub address: String,
    /// The hash of the password, as argon2's own text.
    pub password_hash: String,
}

impl Service {
    /// Makes an organization with its keys, its data folder and its first administrator.
    ///
    /// # Errors
    /// When somebody has the address already, or the data folder or the database cannot be written. Then nothing of it is left.
    pub async fn found(
        &self,
        organization: &str,
        user: NewFirstUser,
    ) -> Result<(OrganizationId, UserId)> {
        let id = OrganizationId::new();
        let user = NewUser {
            name: user.name,
            address: user.address,
            role: Role::Administrator,
            password_hash: user.password_hash,
        };
        let recovery_key = Key::random();
        let path = self.vault_path(id);
        Vault::create_with_key(&path, Zeroizing::new(*recovery_key.as_bytes()))?;
        let founded = self.enter(id, organization, &recovery_key, &user).await;
        if founded.is_err() {
            // Nobody has put anything into it.
            let _ = std::fs::remove_dir_all(&path);
        }
        Ok((id, founded?))
    }

    /// Enters an organization with a recovery key into the catalog.
    pub(crate) async fn enter(
        &self,
        id: OrganizationId,
        name: &str,
        recovery_key: &Key,
        user: &NewUser,
    ) -> Result<UserId> {
        let (key, row) = (Key::random(), id.to_string());
        let new = NewOrganization {
            id,
            name: name.to_owned(),
            key: self.0.key.key().wrap(&key, wrapped_key_place(&row)),
            recovery_key: key.wrap(recovery_key, recovery_key_place(&row)),
        };
        let now = self.clock().now();
        Ok(self.catalog().found(&new, user, now).await?)
    }

    /// The organization's emergency kit, made anew from its recovery key. That somebody took it is noted.
    ///
    /// # Errors
    /// When there is no such organization, or its keys do not open.
    pub async fn emergency_kit(&self, organization: OrganizationId) -> Result<EmergencyKit> {
        let recovery_key = self.recovery_key(organization).await?;
        let of = self.catalog().organization(organization);
        let now = self.clock().now();
        of.kit_taken(now).await?;
        Ok(EmergencyKit {
            organization: of.get().await?.name,
            made_on: now.strftime("%Y-%m-%d").to_string(),
            recovery_key,
        })
    }
}

/// Where an organization's key is kept, wrapped by the server's.
pub(crate) fn wrapped_key_place(organization: &str) -> Place<'_> {
    Place {
        table: "organizations",
        column: "key_sealed",
        row: organization,
    }
}

/// Where an organization's recovery key is kept, wrapped by its own.
pub(crate) fn recovery_key_place(organization: &str) -> Place<'_> {
    Place {
        column: "recovery_key_sealed",
        ..wrapped_key_place(organization)
    }
}
