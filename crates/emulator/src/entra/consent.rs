//! Consent: what an application was granted already, who may grant the rest, and writing down that somebody did.

use jiff::Timestamp;

use super::asked::Asked;
use crate::{
    App, ServicePrincipal, Tenant, User,
    permissions::{AppRole, Scope},
};

/// On whose behalf consent is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// The one who is asked.
    Oneself,
    /// Everybody in the tenant.
    Everybody,
}

/// The scopes among those asked for that nobody has granted for this user.
pub(super) fn missing(
    tenant: &Tenant,
    app: &App,
    asked: &Asked,
    user: &User,
) -> Vec<&'static Scope> {
    let registry = tenant.registry();
    let granted = registry
        .principal_of(app.client_id)
        .map(|principal| registry.scopes(principal.id, user.id))
        .unwrap_or_default();
    let mut scopes = asked.scopes(app);
    scopes.retain(|scope| !granted.contains(&scope.value));
    scopes
}

/// Whether a user may grant these scopes for themselves.
pub(super) fn may_grant(tenant: &Tenant, user: &User, scopes: &[&Scope]) -> bool {
    may_grant_for_all(user)
        || (tenant.behaviour.user_consent && scopes.iter().all(|scope| !scope.admin_only))
}

/// Whether a user may grant scopes for everybody.
pub(super) fn may_grant_for_all(user: &User) -> bool {
    user.roles.iter().any(|role| role.may_grant_delegated())
}

/// Whether a user may grant permissions to the application itself.
pub(super) fn may_grant_roles(user: &User) -> bool {
    user.roles.iter().any(|role| role.may_grant_all())
}

/// Writes consent down: the service principal if there is none yet, the scopes, and the app roles, which take effect after the tenant's delay.
pub(super) fn record(
    tenant: &Tenant,
    app: &App,
    user: &User,
    whom: For,
    (scopes, roles): (&[&'static Scope], &[&'static AppRole]),
    now: Timestamp,
) {
    let fresh = tenant.new_id();
    let effective = now
        .checked_add(tenant.behaviour.grant_delay)
        .unwrap_or(Timestamp::MAX);
    let mut registry = tenant.registry_mut();
    let known = registry.principal_of(app.client_id).map(|known| known.id);
    let principal = known.unwrap_or_else(|| {
        registry.principals.push(ServicePrincipal {
            id: fresh,
            client_id: app.client_id,
            display_name: app.display_name.clone(),
            enabled: true,
            tags: Vec::new(),
            created: now,
        });
        fresh
    });
    let user = (whom == For::Oneself).then_some(user.id);
    if !scopes.is_empty() {
        let values = scopes.iter().map(|scope| scope.value);
        registry.grant(principal, user, values, now);
    }
    for role in roles {
        registry.assign(principal, role.id, now, effective);
    }
}
