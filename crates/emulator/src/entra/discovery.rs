//! The OpenID Connect discovery document and the instance discovery that Microsoft's libraries call first.
//!
//! Links are built from the host that the client used, so that a client needs to be told only one address.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Authority, EntraError};
use crate::Query;

/// Hosts that stand for Microsoft's clouds.
const KNOWN_HOSTS: [&str; 8] = [
    "login.microsoftonline.com",
    "login.windows.net",
    "login.microsoft.com",
    "sts.windows.net",
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
    "login.chinacloudapi.cn",
    "login-us.microsoftonline.com",
];

/// `/{tenant}/v2.0/.well-known/openid-configuration`
pub(super) fn openid(origin: &str, name: &str, authority: Authority) -> Value {
    let (issuer, at) = match authority {
        Authority::Tenant(id) => (id.to_string(), id.to_string()),
        Authority::Shared => ("{tenantid}".to_owned(), name.to_owned()),
    };
    json!({
        "token_endpoint": format!("{origin}/{at}/oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported": [
            "client_secret_post", "private_key_jwt", "client_secret_basic", "self_signed_tls_client_auth"
        ],
        "jwks_uri": format!("{origin}/{at}/discovery/v2.0/keys"),
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": format!("{origin}/{issuer}/v2.0"),
        "request_uri_parameter_supported": false,
        "userinfo_endpoint": "https://graph.microsoft.com/oidc/userinfo",
        "authorization_endpoint": format!("{origin}/{at}/oauth2/v2.0/authorize"),
        "device_authorization_endpoint": format!("{origin}/{at}/oauth2/v2.0/devicecode"),
        "http_logout_supported": true,
        "frontchannel_logout_supported": true,
        "end_session_endpoint": format!("{origin}/{at}/oauth2/v2.0/logout"),
        "claims_supported": [
            "sub", "iss", "cloud_instance_name", "cloud_instance_host_name", "cloud_graph_host_name", "msgraph_host", "aud", "exp",
            "iat", "auth_time", "acr", "nonce", "preferred_username", "name", "tid", "ver", "at_hash", "c_hash", "email"
        ],
        "kerberos_endpoint": format!("{origin}/{at}/kerberos"),
        "tenant_region_scope": match authority {
            Authority::Tenant(_) => json!("EU"),
            Authority::Shared => Value::Null,
        },
        "cloud_instance_name": "microsoftonline.com",
        "cloud_graph_host_name": "graph.windows.net",
        "msgraph_host": "graph.microsoft.com",
        "rbac_url": "https://pas.windows.net",
    })
}

/// `/common/discovery/instance`
pub(super) fn instance(query: &str, origin: &str) -> Result<Value, EntraError> {
    let malformed = || {
        EntraError::request(
            9_002_313,
            "Invalid request. Request is malformed or invalid.",
        )
    };
    let query = Query::parse(query).map_err(|_| malformed())?;
    let endpoint = query.get("authorization_endpoint").ok_or_else(|| {
        EntraError::request(
            900_144,
            "The request must contain the following parameter: 'authorization_endpoint'.",
        )
    })?;
    let asked = url::Url::parse(endpoint).map_err(|_| malformed())?;
    let host = asked.host_str().unwrap_or_default();
    let own = url::Url::parse(origin)
        .ok()
        .and_then(|own| own.host_str().map(str::to_owned));
    if !KNOWN_HOSTS.contains(&host) && own.as_deref() != Some(host) {
        return Err(EntraError::new(
            StatusCode::BAD_REQUEST,
            "invalid_instance",
            50_049,
            "Unknown or invalid instance.",
        ));
    }
    let tenant = asked
        .path_segments()
        .and_then(|mut segments| segments.next())
        .unwrap_or("common")
        .to_owned();
    Ok(json!({
        "tenant_discovery_endpoint": format!("{origin}/{tenant}/v2.0/.well-known/openid-configuration"),
        "api-version": "1.1",
        "metadata": [
            {
                "preferred_network": "login.microsoftonline.com",
                "preferred_cache": "login.windows.net",
                "aliases": ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"],
            },
            {
                "preferred_network": "login.partner.microsoftonline.cn",
                "preferred_cache": "login.partner.microsoftonline.cn",
                "aliases": ["login.partner.microsoftonline.cn", "login.chinacloudapi.cn"],
            },
            {
                "preferred_network": "login.microsoftonline.us",
                "preferred_cache": "login.microsoftonline.us",
                "aliases": ["login.microsoftonline.us", "login.usgovcloudapi.net"],
            },
        ],
    }))
}
