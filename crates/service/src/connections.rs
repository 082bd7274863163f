//! Connections: the credential by which Keepwell works as an app in a tenant, whether it works, and the client that uses it.

use std::{collections::HashMap, fmt};

use catalog::{Connection, ConnectionId, CredentialKind, Health, NewConnection, OrganizationId};
use graph::{Client, Counters, Options, SignIn};
use jiff::SignedDuration;
use model::{Service as Of, TenantId};
use secrets::{Place, Sealed};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{
    Error, Permission, Result, Service,
    permissions::{missing, needed},
};

/// So long after somebody consented what is missing may still be on its way: grants appear late in tokens.
const GRANTS_LATE: SignedDuration = SignedDuration::from_mins(5);

/// With what Keepwell proves to Microsoft that it is the app.
#[derive(Clone)]
pub enum Credential {
    /// A client secret.
    Secret(Zeroizing<String>),
    /// A certificate with its RSA key: one text with a `CERTIFICATE` and a `PRIVATE KEY` block, as PEM.
    Certificate(Zeroizing<String>),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "Secret",
            Self::Certificate(_) => "Certificate",
        })
    }
}

impl Credential {
    fn kind(&self) -> CredentialKind {
        match self {
            Self::Secret(_) => CredentialKind::Secret,
            Self::Certificate(_) => CredentialKind::Certificate,
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Secret(text) | Self::Certificate(text) => text,
        }
    }

    fn for_graph(&self) -> Result<graph::Credential> {
        match self {
            Self::Secret(text) => Ok(graph::Credential::secret(text.as_str())),
            Self::Certificate(text) => graph::Credential::certificate(text, text)
                .map_err(Error::of_graph("the certificate cannot be used")),
        }
    }
}

/// What somebody consented to.
#[derive(Clone, Debug)]
pub struct NewCredential {
    /// For which service.
    pub service: Of,
    /// The tenant whose administrator consented.
    pub tenant: TenantId,
    /// The tenant's name, for people; empty when it is not known yet: the next check asks Microsoft.
    pub tenant_name: String,
    /// The app registration.
    pub client_id: String,
    /// Its credential.
    pub credential: Credential,
}

/// What a look at a connection found. The catalog has the same.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checked {
    /// Whether it works.
    pub health: Health,
    /// The permissions that are not granted.
    pub missing: Vec<Permission>,
    /// What is missing, or why it does not work, and what to do; empty when all is well.
    pub detail: String,
}

/// A client that is kept, and what it was made from.
pub(crate) struct Kept {
    pub(crate) client: Client,
    client_id: String,
    credential: Sealed,
}

impl Kept {
    pub(crate) fn new(connection: &Connection, client: Client) -> Self {
        Self {
            client,
            client_id: connection.client_id.clone(),
            credential: connection.credential.clone(),
        }
    }

    /// Whether the connection is still what the client was made from: another process may have been given another credential.
    pub(crate) fn is_of(&self, connection: &Connection) -> bool {
        self.client_id == connection.client_id && self.credential == connection.credential
    }
}

/// The clients that are kept, and what those asked that they replaced.
#[derive(Default)]
pub(crate) struct Clients {
    pub(crate) by_connection: HashMap<ConnectionId, Kept>,
    pub(crate) replaced: Counters,
}

impl Clients {
    pub(crate) fn keep(&mut self, connection: ConnectionId, kept: Kept) {
        if let Some(old) = self.by_connection.insert(connection, kept) {
            self.replaced.add(&old.client.counters());
        }
    }
}

impl Service {
    /// Makes a connection. Its health is *checking* until the first [`Service::check_connection`].
    ///
    /// # Errors
    /// When the service is not covered yet, the credential cannot be used as such, or the database cannot be written.
    pub async fn connect(
        &self,
        organization: OrganizationId,
        new: NewCredential,
    ) -> Result<ConnectionId> {
        is_covered(new.service)?;
        new.credential.for_graph()?;
        let id = ConnectionId::new();
        let row = id.to_string();
        let key = self.organization_key(organization).await?;
        let connection = NewConnection {
            id,
            service: new.service,
            tenant: new.tenant,
            tenant_name: new.tenant_name,
            client_id: new.client_id,
            credential_kind: new.credential.kind(),
            credential: key.seal(new.credential.text().as_bytes(), credential_place(&row)),
        };
        let of = self.catalog().organization(organization);
        of.add_connection(&connection, self.clock().now()).await?;
        Ok(id)
    }

    /// Gives a connection that is there another credential, or the same again after somebody consented anew. Its tasks and accounts stay.
    ///
    /// # Errors
    /// When it is another tenant or service, whose accounts are others, or the credential cannot be used as such.
    pub async fn reconnect(
        &self,
        organization: OrganizationId,
        connection: ConnectionId,
        new: NewCredential,
    ) -> Result<()> {
        let of = self.catalog().organization(organization);
        let known = of.connection(connection).await?;
        if (known.service, &known.tenant) != (new.service, &new.tenant) {
            return Err(Error::Invalid(
                "this connection is of another tenant: sign in there, or make a new task for the other one",
            ));
        }
        new.credential.for_graph()?;
        let row = connection.to_string();
        let key = self.organization_key(organization).await?;
        let sealed = key.seal(new.credential.text().as_bytes(), credential_place(&row));
        of.set_credential(
            connection,
            &new.client_id,
            new.credential.kind(),
            &sealed,
            self.clock().now(),
        )
        .await?;
        Ok(())
    }

    /// Signs in as the app, and compares what its token may do with what the service needs. The result is noted in the catalog. What Microsoft
    /// refuses is the result, and no error.
    ///
    /// # Errors
    /// When there is no such connection here, or Microsoft cannot be reached: then the health stays what it was.
    pub async fn check_connection(
        &self,
        organization: OrganizationId,
        connection: ConnectionId,
    ) -> Result<Checked> {
        let of = self.catalog().organization(organization);
        let connection = of.connection(connection).await?;
        // A client of its own has no token yet, so that what was granted meanwhile is seen.
        let client = self.new_client(organization, &connection).await?;
        let now = self.clock().now();
        let checked = match client.granted().await {
            Ok(granted) => {
                let missing = missing(connection.service, &granted);
                let is_young = connection.authorized_at.duration_until(now) < GRANTS_LATE;
                judge(connection.service, missing, is_young)
            }
            Err(error) => match refusal(&error) {
                Some(detail) => Checked {
                    health: Health::Disconnected,
                    missing: Vec::new(),
                    detail,
                },
                None => {
                    return Err(Error::of_graph("the connection cannot be checked now")(
                        error,
                    ));
                }
            },
        };
        let (id, credential) = (connection.id, &connection.credential);
        let is_noted = of
            .set_health(id, credential, checked.health, &checked.detail, now)
            .await?;
        if is_noted && checked.health == Health::Connected {
            if connection.tenant_name.is_empty()
                && let Some(name) = tenant_name(&client).await
            {
                of.set_tenant_name(connection.id, &name).await?;
            }
            // The token with the permissions replaces one that may lack them.
            let kept = Kept::new(&connection, client);
            self.clients().keep(connection.id, kept);
        }
        Ok(checked)
    }

    /// The credential of a connection, for whoever redeems with it what a person brings back from Microsoft.
    ///
    /// # Errors
    /// When there is no such connection here, or its keys do not open.
    pub async fn credential(
        &self,
        organization: OrganizationId,
        connection: ConnectionId,
    ) -> Result<Credential> {
        let of = self.catalog().organization(organization);
        let connection = of.connection(connection).await?;
        self.open_credential(organization, &connection).await
    }

    async fn open_credential(
        &self,
        organization: OrganizationId,
        connection: &Connection,
    ) -> Result<Credential> {
        const WHAT: &str = "the connection's credential";
        let row = connection.id.to_string();
        let key = self.organization_key(organization).await?;
        let plain = key
            .open(&connection.credential, credential_place(&row))
            .map_err(Error::sealed(WHAT))?;
        let text = String::from_utf8(plain.to_vec())
            .map(Zeroizing::new)
            .map_err(|_| {
                Error::Gone("the connection's credential is no text: authenticate again")
            })?;
        Ok(match connection.credential_kind {
            CredentialKind::Secret => Credential::Secret(text),
            CredentialKind::Certificate => Credential::Certificate(text),
        })
    }

    /// A client of the connection that shares the governor, and no token.
    pub(crate) async fn new_client(
        &self,
        organization: OrganizationId,
        connection: &Connection,
    ) -> Result<Client> {
        let credential = self.open_credential(organization, connection).await?;
        let options = Options {
            governor: self.0.governor.clone(),
            ..Options::new(
                self.cloud().clone(),
                connection.tenant.clone(),
                connection.client_id.clone(),
                credential.for_graph()?,
                self.clock().clone(),
                seed(),
            )
        };
        Client::new(options).map_err(Error::of_graph("the connection cannot be used"))
    }
}

/// Errors for services that are not covered yet.
fn is_covered(service: Of) -> Result<()> {
    if needed(service).is_empty() {
        return Err(Error::Invalid(
            "this service is not covered yet: Exchange is",
        ));
    }
    Ok(())
}

/// What granted permissions come to.
fn judge(service: Of, missing: Vec<Permission>, is_young: bool) -> Checked {
    let names: Vec<&str> = missing.iter().map(|one| one.name).collect();
    let (health, detail) = if missing.is_empty() {
        (Health::Connected, String::new())
    } else if is_young {
        let detail = format!("waiting for Microsoft to grant {}", names.join(", "));
        (Health::Checking, detail)
    } else if missing.len() == needed(service).len() {
        let detail = "the app has no permission in the tenant, because nobody consented or consent was revoked: authenticate again";
        (Health::Disconnected, detail.to_owned())
    } else {
        let detail = format!(
            "permissions are missing: {}. Authenticate again as a Global Administrator",
            names.join(", ")
        );
        (Health::Incomplete, detail)
    };
    Checked {
        health,
        missing,
        detail,
    }
}

/// Why Microsoft lets the app do nothing, and what to do; `None` when it did not say so.
fn refusal(error: &graph::Error) -> Option<String> {
    let graph::Kind::SignIn(why) = error.kind() else {
        return None;
    };
    let text = match why {
        SignIn::WrongSecret => "the client secret is wrong: authenticate again",
        SignIn::ExpiredSecret => {
            "the client secret has expired: make a new one and authenticate again"
        }
        SignIn::WrongCertificate => {
            "Microsoft does not accept the app's certificate: register it again, and authenticate again"
        }
        SignIn::WrongClock => "the server's clock is minutes off Microsoft's: set it",
        SignIn::UnknownApplication => "the app is not in the tenant any more: authenticate again",
        SignIn::DisabledApplication => "the app is disabled in the tenant: enable it there",
        SignIn::UnknownTenant => "there is no such tenant any more",
        SignIn::ConsentMissing => {
            "an administrator has not consented, or consent was revoked: authenticate again"
        }
        SignIn::Blocked => "a policy of the tenant forbids the app to sign in",
        _ => "Microsoft does not let the app sign in",
    };
    Some(match error.code() {
        Some(code) => format!("{text} ({code})"),
        None => text.to_owned(),
    })
}

/// How the tenant calls itself.
async fn tenant_name(client: &Client) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        value: Vec<Row>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Row {
        display_name: Option<String>,
    }
    let request = graph::Request::get("/organization").query("$select", "displayName");
    let answer = client.send(&graph::Scope::Directory, request).await;
    let answer: Answer = answer.ok()?.json().ok()?;
    answer.value.into_iter().find_map(|row| row.display_name)
}

/// Where a connection's credential is kept, sealed by the organization's key.
pub(crate) fn credential_place(connection: &str) -> Place<'_> {
    Place {
        table: "connections",
        column: "credential_sealed",
        row: connection,
    }
}

/// For jitter and request ids.
fn seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}
