//! The applications of a tenant: registrations, service principals and grants, changed together under one lock.
//!
//! It keeps what belongs together together: nothing is granted to a principal that is gone. Who may change it is decided elsewhere.

use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{App, PermissionGrant, RoleAssignment, ServicePrincipal};
use crate::permissions::{self, GRAPH};

/// All of a tenant's applications.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) apps: Vec<App>,
    pub(crate) principals: Vec<ServicePrincipal>,
    pub(crate) assignments: Vec<RoleAssignment>,
    pub(crate) grants: Vec<PermissionGrant>,
}

impl Registry {
    /// A registry in which only Microsoft Graph itself is at home.
    pub(super) fn new(tenant: Uuid, now: Timestamp) -> Self {
        let graph = ServicePrincipal {
            id: Uuid::new_v5(&tenant, GRAPH.as_bytes()),
            client_id: GRAPH,
            display_name: "Microsoft Graph".to_owned(),
            enabled: true,
            tags: Vec::new(),
            created: now,
        };
        Self {
            apps: Vec::new(),
            principals: vec![graph],
            assignments: Vec::new(),
            grants: Vec::new(),
        }
    }

    pub(crate) fn app(&self, client_id: Uuid) -> Option<&App> {
        self.apps.iter().find(|app| app.client_id == client_id)
    }

    /// The service principal of an application.
    pub(crate) fn principal_of(&self, client_id: Uuid) -> Option<&ServicePrincipal> {
        let mut all = self.principals.iter();
        all.find(|principal| principal.client_id == client_id)
    }

    pub(crate) fn principal(&self, id: Uuid) -> Option<&ServicePrincipal> {
        self.principals.iter().find(|principal| principal.id == id)
    }

    /// The id of Graph's service principal.
    pub(crate) fn graph(&self) -> Uuid {
        // It is put in when the registry is made and cannot be deleted.
        self.principal_of(GRAPH)
            .map_or(Uuid::nil(), |graph| graph.id)
    }

    /// Assigns an app role, unless it is assigned already. Gives the assignment.
    pub(crate) fn assign(
        &mut self,
        principal: Uuid,
        role: Uuid,
        now: Timestamp,
        effective: Timestamp,
    ) -> &RoleAssignment {
        let resource = self.graph();
        let position = self
            .assignments
            .iter()
            .position(|known| known.principal == principal && known.role == role);
        let index = position.unwrap_or_else(|| {
            self.assignments.push(RoleAssignment {
                id: opaque(&[principal, resource, role], now),
                principal,
                resource,
                role,
                created: now,
                effective,
            });
            self.assignments.len() - 1
        });
        &self.assignments[index]
    }

    /// Adds scopes to what is granted to an application, for one user or for everybody.
    pub(crate) fn grant<'a>(
        &mut self,
        client: Uuid,
        user: Option<Uuid>,
        scopes: impl IntoIterator<Item = &'a str>,
        now: Timestamp,
    ) {
        let resource = self.graph();
        let position = self
            .grants
            .iter()
            .position(|known| known.client == client && known.user == user);
        let index = position.unwrap_or_else(|| {
            self.grants.push(PermissionGrant {
                id: opaque(&[client, resource, user.unwrap_or_default()], now),
                client,
                user,
                resource,
                scopes: Vec::new(),
            });
            self.grants.len() - 1
        });
        let granted = &mut self.grants[index].scopes;
        for scope in scopes {
            if !granted.iter().any(|known| known == scope) {
                granted.push(scope.to_owned());
            }
        }
    }

    /// The names of the app roles that are in tokens of an application now.
    pub(crate) fn roles(&self, principal: Uuid, now: Timestamp) -> Vec<String> {
        let mine = self
            .assignments
            .iter()
            .filter(|known| known.principal == principal && known.effective <= now);
        mine.filter_map(|assignment| permissions::role(assignment.role))
            .map(|role| role.value.to_owned())
            .collect()
    }

    /// The scopes that are granted to an application for this user.
    pub(crate) fn scopes(&self, principal: Uuid, user: Uuid) -> Vec<&str> {
        let mine = self.grants.iter().filter(|grant| {
            grant.client == principal && grant.user.is_none_or(|granted| granted == user)
        });
        mine.flat_map(|grant| grant.scopes.iter().map(String::as_str))
            .collect()
    }

    /// Removes a service principal with everything that was granted to it.
    pub(crate) fn remove_principal(&mut self, id: Uuid) {
        self.principals.retain(|principal| principal.id != id);
        self.assignments.retain(|known| known.principal != id);
        self.grants.retain(|grant| grant.client != id);
    }

    /// Removes a registration, and with it the service principal.
    pub(crate) fn remove_app(&mut self, client_id: Uuid) {
        self.apps.retain(|app| app.client_id != client_id);
        if let Some(id) = self.principal_of(client_id).map(|principal| principal.id) {
            self.remove_principal(id);
        }
    }
}

/// An id that looks like Microsoft's and tells nothing; a grant that is made again gets another one.
fn opaque(parts: &[Uuid], now: Timestamp) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
    }
    hash.update(now.as_nanosecond().to_be_bytes());
    BASE64URL_NOPAD.encode(&hash.finalize())
}
