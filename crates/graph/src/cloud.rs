//! Where a Microsoft cloud lives: configuration, not code.
//!
//! It decides nothing about what a cloud offers; it only says which hosts may see a token.

use url::{Host, Url};

use crate::error::{Error, Result};

/// The hosts of one Microsoft cloud.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cloud {
    login: Url,
    graph: Url,
    resource: String,
}

impl Cloud {
    /// The worldwide cloud (also GCC).
    #[must_use]
    pub fn global() -> Self {
        Self::known(
            "https://login.microsoftonline.com",
            "https://graph.microsoft.com",
        )
    }

    /// US Government, GCC High.
    #[must_use]
    pub fn us_government() -> Self {
        Self::known(
            "https://login.microsoftonline.us",
            "https://graph.microsoft.us",
        )
    }

    /// US Department of Defense.
    #[must_use]
    pub fn us_defense() -> Self {
        Self::known(
            "https://login.microsoftonline.us",
            "https://dod-graph.microsoft.us",
        )
    }

    /// China, operated by 21Vianet.
    #[must_use]
    pub fn china() -> Self {
        Self::known(
            "https://login.partner.microsoftonline.cn",
            "https://microsoftgraph.chinacloudapi.cn",
        )
    }

    /// Entra ID and Graph at one base address, such as an emulator's `http://127.0.0.1:4010`; Graph is below `/v1.0`.
    ///
    /// # Errors
    /// `Invalid` for an address that is not a plain origin, or that is plain HTTP beyond the loopback, where tokens could be read.
    pub fn at(base: &str) -> Result<Self> {
        let base = Url::parse(base).map_err(|_| Error::invalid("the address is no URL"))?;
        let plain = base.query().is_none()
            && base.fragment().is_none()
            && base.username().is_empty()
            && base.password().is_none()
            && base.path() == "/";
        if !plain || !may_carry_secrets(&base) {
            return Err(Error::invalid(
                "the address is not an https origin or http on the loopback",
            ));
        }
        let graph = base
            .join("v1.0")
            .map_err(|_| Error::invalid("the address cannot be a base"))?;
        Ok(Self {
            login: base,
            graph,
            resource: "https://graph.microsoft.com".to_owned(),
        })
    }

    /// `{login}/{tenant}/oauth2/v2.0/token`, which is also the audience of a certificate's assertion.
    pub(crate) fn token_endpoint(&self, tenant: &str) -> Result<Url> {
        self.login(tenant, "oauth2/v2.0/token")
    }

    /// `{login}/{tenant}/{path}`
    pub(crate) fn login(&self, tenant: &str, path: &str) -> Result<Url> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
        let is_one = !tenant.is_empty() && !tenant.starts_with('.') && tenant.chars().all(is_plain);
        is_one
            .then(|| self.login.join(&format!("{tenant}/{path}")).ok())
            .flatten()
            .ok_or_else(|| Error::invalid("the tenant is no part of a URL"))
    }

    /// Whether an address is the login host's own.
    pub(crate) fn is_login(&self, url: &Url) -> bool {
        url.origin() == self.login.origin() && url.username().is_empty() && url.password().is_none()
    }

    /// The permission asked for: all that the tenant has granted to the application.
    pub(crate) fn scope(&self) -> String {
        format!("{}/.default", self.resource)
    }

    /// The base to which paths are appended, without a slash at its end.
    pub(crate) fn graph_base(&self) -> &str {
        self.graph.as_str().trim_end_matches('/')
    }

    /// Whether a token for Graph may be sent to this address (abuse 40).
    pub(crate) fn is_graph(&self, url: &Url) -> bool {
        url.origin() == self.graph.origin() && url.username().is_empty() && url.password().is_none()
    }

    /// Whether a pre-authenticated address may be called: encrypted, or the very host that we were told to use.
    pub(crate) fn may_call(&self, url: &Url) -> bool {
        (url.scheme() == "https" && url.has_host()) || self.is_graph(url)
    }

    /// Whether everything stays on this machine, where a proxy has no business.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.graph) && is_loopback(&self.login)
    }

    fn known(login: &str, graph: &str) -> Self {
        let url = |text: &str| Url::parse(text).expect("the built-in addresses are valid URLs");
        Self {
            login: url(login),
            graph: url(&format!("{graph}/v1.0")),
            resource: graph.to_owned(),
        }
    }
}

fn may_carry_secrets(url: &Url) -> bool {
    match url.scheme() {
        "https" => url.has_host(),
        "http" => is_loopback(url),
        _ => false,
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_only_for_the_loopback() {
        for good in [
            "http://127.0.0.1:4010",
            "http://[::1]:80/",
            "http://localhost:1",
            "https://example.net",
        ] {
            assert!(Cloud::at(good).is_ok(), "{good}");
        }
        for bad in [
            "http://example.net",
            "ftp://127.0.0.1",
            "https://u:p@example.net",
            "https://example.net/v1.0",
            "nonsense",
        ] {
            assert!(Cloud::at(bad).is_err(), "{bad}");
        }
    }

    /// Survival 29: national clouds have hosts of their own, and a token of one is for that one.
    #[test]
    fn each_cloud_has_hosts_of_its_own() {
        let check = |cloud: Cloud, login: &str, graph: &str| {
            let token = cloud.token_endpoint("t").map(String::from).ok();
            assert_eq!(token, Some(format!("https://{login}/t/oauth2/v2.0/token")));
            assert_eq!(cloud.graph_base(), format!("https://{graph}/v1.0"));
            assert_eq!(cloud.scope(), format!("https://{graph}/.default"));
            let elsewhere = Url::parse("https://graph.microsoft.com/v1.0").expect("a URL");
            assert_eq!(cloud.is_graph(&elsewhere), cloud == Cloud::global());
        };
        let worldwide = "login.microsoftonline.com";
        let government = "login.microsoftonline.us";
        let china = "login.partner.microsoftonline.cn";
        check(Cloud::global(), worldwide, "graph.microsoft.com");
        check(Cloud::us_government(), government, "graph.microsoft.us");
        check(Cloud::us_defense(), government, "dod-graph.microsoft.us");
        check(Cloud::china(), china, "microsoftgraph.chinacloudapi.cn");
    }

    #[test]
    fn a_token_goes_to_graph_alone() {
        let cloud = Cloud::global();
        let is_graph = |text| cloud.is_graph(&Url::parse(text).expect("a URL"));
        assert!(is_graph(
            "https://graph.microsoft.com/v1.0/users?$skiptoken=x"
        ));
        assert!(is_graph("https://graph.microsoft.com:443/beta/users"));
        assert!(!is_graph("http://graph.microsoft.com/v1.0/users"));
        assert!(!is_graph("https://graph.microsoft.com.evil.example/v1.0"));
        assert!(!is_graph("https://evil.example@graph.microsoft.com/v1.0"));
        assert!(!is_graph("https://graph.microsoft.com:8443/v1.0"));
    }
}
