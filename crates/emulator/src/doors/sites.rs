//! Microsoft's hosts: which service answers under which name, and where a client that reached one of them finds another.

/// The services that have hosts of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    /// Entra ID.
    Login,
    /// Microsoft Graph.
    Graph,
    /// Exchange, to which upload URLs lead.
    Outlook,
    /// The tenant's sites and drives, to which download URLs lead.
    SharePoint,
    /// The emulator's own address, under which all of them are found by their paths.
    Own,
}

/// The port that `https` means.
const HTTPS_PORT: &str = ":443";
/// Entra ID's names in the worldwide cloud, as its instance discovery gives them.
const LOGIN: [&str; 4] = [
    "login.microsoftonline.com",
    "login.windows.net",
    "login.microsoft.com",
    "sts.windows.net",
];
const GRAPH: &str = "graph.microsoft.com";
/// The first is the one that upload URLs name (the documented example of `attachment: createUploadSession`).
const OUTLOOK: [&str; 2] = ["outlook.office.com", "outlook.office365.com"];
const SHAREPOINT_SUFFIX: &str = ".sharepoint.com";

impl Site {
    /// What answers under a host, with or without a port.
    pub(crate) fn of(host: &str) -> Self {
        let host = host.strip_suffix(HTTPS_PORT).unwrap_or(host);
        let host = host.to_ascii_lowercase();
        if LOGIN.contains(&host.as_str()) {
            Self::Login
        } else if host == GRAPH {
            Self::Graph
        } else if OUTLOOK.contains(&host.as_str()) {
            Self::Outlook
        } else if is_tenant_site(&host) {
            Self::SharePoint
        } else {
            Self::Own
        }
    }
}

/// `contoso.sharepoint.com`, `contoso-my.sharepoint.com`.
fn is_tenant_site(host: &str) -> bool {
    host.strip_suffix(SHAREPOINT_SUFFIX).is_some_and(|tenant| {
        !tenant.is_empty()
            && tenant
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

/// Under which scheme and host a client that came by `origin` finds a service: under its own name if it came by one, else where it is already.
pub(crate) fn sibling(origin: &str, site: Site) -> &str {
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    let here = Site::of(host);
    if here == Site::Own || here == site {
        return origin;
    }
    match site {
        Site::Login => "https://login.microsoftonline.com",
        Site::Graph => "https://graph.microsoft.com",
        Site::Outlook => "https://outlook.office.com",
        Site::SharePoint | Site::Own => origin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_their_services() {
        for (host, site) in [
            ("login.microsoftonline.com", Site::Login),
            ("Login.MicrosoftOnline.com:443", Site::Login),
            ("graph.microsoft.com", Site::Graph),
            ("outlook.office365.com", Site::Outlook),
            ("contoso-my.sharepoint.com", Site::SharePoint),
            ("sharepoint.com", Site::Own),
            (".sharepoint.com", Site::Own),
            ("a.b.sharepoint.com", Site::Own),
            ("graph.microsoft.com.example.org", Site::Own),
            ("graph.microsoft.com:8443", Site::Own),
            ("127.0.0.1:8443", Site::Own),
        ] {
            assert_eq!(Site::of(host), site, "{host}");
        }
    }

    #[test]
    fn who_came_by_a_name_is_sent_on_by_a_name() {
        let graph = "https://graph.microsoft.com";
        assert_eq!(sibling(graph, Site::Graph), graph);
        assert_eq!(sibling(graph, Site::Outlook), "https://outlook.office.com");
        assert_eq!(
            sibling(graph, Site::Login),
            "https://login.microsoftonline.com"
        );
        let uploads = "https://outlook.office365.com";
        assert_eq!(sibling(uploads, Site::Outlook), uploads);
        let own = "http://127.0.0.1:8080";
        assert_eq!(sibling(own, Site::Login), own);
    }
}
