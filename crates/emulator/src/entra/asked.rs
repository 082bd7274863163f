//! What a `scope` parameter asks for.

use http::StatusCode;

use super::{EntraError, client::invalid_scope, token::AUDIENCES};
use crate::{
    App, Tenant,
    permissions::{self, AppRole, GRAPH, Scope},
};

/// A `scope` parameter, understood. Only Graph has permissions here.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// The scopes that are named, each once; `/.default` is not among them.
    pub(super) named: Vec<&'static Scope>,
    /// Whether `https://graph.microsoft.com/.default` is among them: what the registration lists.
    pub(super) by_default: bool,
}

impl Asked {
    /// All that the registration lists.
    pub(super) fn registered() -> Self {
        Self {
            by_default: true,
            ..Self::default()
        }
    }

    /// Reads the parameter: names of OpenID Connect, names of Graph with or without its address, or Graph's `/.default`.
    ///
    /// # Errors
    /// For a scope or a resource that does not exist, and for `/.default` beside other permissions.
    pub(super) fn parse(text: &str, tenant: &Tenant, app: &App) -> Result<Self, EntraError> {
        let mut asked = Self::default();
        for item in text.split_whitespace() {
            let name = within_graph(item, tenant)?;
            if name.eq_ignore_ascii_case(".default") {
                asked.by_default = true;
                continue;
            }
            let scope = permissions::scope_named(name).ok_or_else(|| unknown(name, app))?;
            if !asked.named.contains(&scope) {
                asked.named.push(scope);
            }
        }
        if asked.by_default && asked.named.iter().any(|scope| !is_openid(scope)) {
            return Err(invalid_scope(
                70_011,
                format!(
                    "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope '{text}' is not valid. .default scope can't be combined with resource-specific scopes."
                ),
            ));
        }
        Ok(asked)
    }

    /// The scopes in all, those of the registration included.
    pub(super) fn scopes(&self, app: &App) -> Vec<&'static Scope> {
        let mut scopes = self.named.clone();
        if self.by_default {
            let of_graph = app.requires.iter().filter(|asked| asked.resource == GRAPH);
            for scope in of_graph
                .filter(|asked| !asked.is_role)
                .filter_map(|asked| permissions::scope(asked.id))
            {
                if !scopes.contains(&scope) {
                    scopes.push(scope);
                }
            }
        }
        scopes
    }

    /// The application permissions, which only `/.default` can ask for.
    pub(super) fn roles(&self, app: &App) -> Vec<&'static AppRole> {
        if !self.by_default {
            return Vec::new();
        }
        let of_graph = app.requires.iter().filter(|asked| asked.resource == GRAPH);
        of_graph
            .filter(|asked| asked.is_role)
            .filter_map(|asked| permissions::role(asked.id))
            .collect()
    }

    pub(super) fn has(&self, value: &str) -> bool {
        self.named.iter().any(|scope| scope.value == value)
    }
}

/// The scopes of OpenID Connect, which belong to no resource.
pub(super) fn is_openid(scope: &Scope) -> bool {
    ["openid", "profile", "email", "offline_access"].contains(&scope.value)
}

/// A scope's name without Graph's address.
fn within_graph<'a>(item: &'a str, tenant: &Tenant) -> Result<&'a str, EntraError> {
    let Some((resource, name)) = item.rsplit_once('/') else {
        return Ok(item);
    };
    // `resource//.default` names a resource whose identifier ends in a slash.
    let resource = resource.trim_end_matches('/');
    let mut known = AUDIENCES.into_iter();
    if known.any(|audience| audience.eq_ignore_ascii_case(resource)) {
        return Ok(name);
    }
    Err(unknown_resource(resource, tenant))
}

/// 400 `invalid_resource`.
pub(super) fn unknown_resource(resource: &str, tenant: &Tenant) -> EntraError {
    EntraError::new(
        StatusCode::BAD_REQUEST,
        "invalid_resource",
        500_011,
        format!(
            "The resource principal named {resource} was not found in the tenant named {}. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.",
            tenant.display_name
        ),
    )
}

fn unknown(name: &str, app: &App) -> EntraError {
    EntraError::new(
        StatusCode::BAD_REQUEST,
        "invalid_client",
        650_053,
        format!(
            "The application '{}' asked for scope '{name}' that doesn't exist on the resource '{GRAPH}'. Contact the app vendor.",
            app.display_name
        ),
    )
}
