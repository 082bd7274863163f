//! Registering an application without HTTP, as a portal does in one step: the registration, its service principal, a secret, and what is granted.

use data_encoding::BASE64URL_NOPAD;
use jiff::{SignedDuration, Timestamp};
use rand::Rng;
use uuid::Uuid;

use crate::{
    App, Error, Requirement, Secret, ServicePrincipal, Tenant,
    permissions::{self, GRAPH},
};

/// How long a secret works that is made without saying it: Entra ID's two years.
const SECRET_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 365 * 2);

/// An application to register.
#[derive(Clone, Debug, Default)]
pub struct Registration {
    /// The name.
    pub display_name: String,
    /// Where people may be sent back to, as a server's.
    pub redirect_uris: Vec<String>,
    /// The application permissions of Graph that it asks for and is granted.
    pub roles: Vec<String>,
    /// The application permissions that it asks for beyond these.
    pub requires: Vec<String>,
}

/// With what a registered application signs in.
#[derive(Clone)]
pub struct Registered {
    /// The client id.
    pub client_id: Uuid,
    /// The secret.
    pub client_secret: String,
}

impl std::fmt::Debug for Registered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registered")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// Registers an application. Ids and secret follow from the tenant's seed: a start-up script finds the same ones again.
pub(super) fn register(
    tenant: &Tenant,
    registration: Registration,
    now: Timestamp,
) -> Result<Registered, Error> {
    let client_id = tenant.new_id();
    let mut random = [0; 30];
    tenant.random().fill_bytes(&mut random);
    let client_secret = BASE64URL_NOPAD.encode(&random);
    let mut app = App::new(client_id, &registration.display_name, now);
    app.redirects.web = registration.redirect_uris;
    app.secrets.push(Secret {
        key_id: Uuid::new_v5(&client_id, b"secret"),
        display_name: None,
        value: client_secret.clone(),
        starts: now,
        expires: now.checked_add(SECRET_LIFETIME).unwrap_or(Timestamp::MAX),
    });
    // Every new registration asks for this one.
    app.requires.extend(
        permissions::scope_named("User.Read").map(|scope| Requirement {
            resource: GRAPH,
            id: scope.id,
            is_role: false,
        }),
    );
    for name in registration.roles.iter().chain(&registration.requires) {
        let role = permissions::role_named(name).ok_or_else(|| {
            Error::Invalid(format!(
                "the emulator's Graph has no application permission {name}"
            ))
        })?;
        app.requires.push(Requirement {
            resource: GRAPH,
            id: role.id,
            is_role: true,
        });
    }
    tenant.set_app(app);
    tenant.set_service_principal(ServicePrincipal {
        id: tenant.new_id(),
        client_id,
        display_name: registration.display_name,
        enabled: true,
        tags: Vec::new(),
        created: now,
    });
    for name in &registration.roles {
        tenant.grant_role(client_id, name, now);
    }
    Ok(Registered {
        client_id,
        client_secret,
    })
}
