//! What all walks of a person through the login host have in common: whose request it is and where it may be answered, and signing in.
//!
//! One address serves a whole walk: each page posts to the address that it came from, so that nothing is remembered between pages but the
//! session's cookie, and every step checks the request anew.

use http::{HeaderValue, Method, header};

use super::{
    Authority, Entra, EntraError, LoginRequest,
    asked::Asked,
    client::{form, malformed, missing, registered, required},
    deliver::{Mode, deliver, encode, redirect},
    page,
    session::{SignedIn, sign_in},
};
use crate::{App, Query, Reply, tenant::Platform};

/// A walk's request: who wants to be told what, and where.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    pub(super) entra: &'a Entra,
    pub(super) request: &'a LoginRequest<'a>,
    pub(super) query: Query,
    /// What a page of ours sent; empty for a fresh request.
    posted: Query,
    pub(super) app: App,
    pub(super) redirect_uri: String,
    pub(super) platform: Platform,
}

impl<'a> Walk<'a> {
    /// Reads a request as far as it must be right before an error may be sent to the application.
    ///
    /// # Errors
    /// What only a page can tell: an unknown tenant, application or redirect URI.
    pub(super) fn begin(
        entra: &'a Entra,
        request: &'a LoginRequest<'a>,
        authority: &str,
    ) -> Result<Self, EntraError> {
        let is_consumers = authority == "consumers";
        let authority = entra.authority(authority)?;
        let posted = match *request.method {
            Method::POST => form(request)?,
            _ => Query::default(),
        };
        let in_url = Query::parse(request.query).map_err(|_| malformed())?;
        // OpenID Connect lets a request be posted as well; a page of ours posts to an address that has the whole request.
        let (query, posted) = match in_url.get("client_id") {
            None => (posted, Query::default()),
            Some(_) => (in_url, posted),
        };
        let app = registered(&entra.tenant, required(&query, "client_id")?)?;
        if is_consumers {
            return Err(EntraError::request(
                9_002_332,
                format!(
                    "Application '{}'({}) is configured for use by Microsoft Entra users only. Please do not use the /consumers endpoint to serve this request.",
                    app.client_id, app.display_name
                ),
            ));
        }
        check_audience(&app, authority)?;
        let redirect_uri = query
            .get("redirect_uri")
            .filter(|uri| !uri.is_empty())
            .ok_or_else(|| EntraError::request(900_971, "No reply address provided."))?;
        let platform = app.platform(redirect_uri).ok_or_else(|| {
            EntraError::request(
                50_011,
                format!(
                    "The redirect URI '{redirect_uri}' specified in the request does not match the redirect URIs configured for the application '{}'. Make sure the redirect URI sent in the request matches one added to your application in the Azure portal. Navigate to https://aka.ms/redirectUriMismatchError to learn more about how to troubleshoot this error.",
                    app.client_id
                ),
            )
        })?;
        Ok(Self {
            entra,
            request,
            redirect_uri: redirect_uri.to_owned(),
            platform,
            query,
            posted,
            app,
        })
    }

    /// The walk of somebody who entered a device's code: its address has the code, and it ends with a page.
    pub(super) fn of_device(
        entra: &'a Entra,
        request: &'a LoginRequest<'a>,
        query: Query,
        posted: Query,
        app: App,
    ) -> Self {
        Self {
            entra,
            request,
            redirect_uri: String::new(),
            platform: Platform::Public,
            query,
            posted,
            app,
        }
    }

    /// A parameter that is there and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.query.get(name).filter(|value| !value.is_empty())
    }

    /// Sends the person back with these fields and the application's state.
    pub(super) fn send(&self, mode: Mode, mut fields: Vec<(&str, String)>) -> Reply {
        if let Some(state) = self.get("state") {
            fields.push(("state", state.to_owned()));
        }
        deliver(&self.redirect_uri, mode, &fields)
    }

    /// The fields that tell the application of an error.
    pub(super) fn told(&self, error: &EntraError) -> Vec<(&'static str, String)> {
        error.fields(self.request.stamp, self.request.origin)
    }

    /// This request's own address, with these parameters left out.
    pub(super) fn address(&self, without: &[&str]) -> String {
        let kept: Vec<(&str, &str)> = self
            .query
            .iter()
            .filter(|(name, _)| !without.contains(name))
            .collect();
        format!("{}?{}", self.request.path, encode(&kept))
    }

    /// What the request's scope asks for.
    pub(super) fn asked(&self) -> Result<Asked, EntraError> {
        let scope = self.get("scope").ok_or_else(|| missing("scope"))?;
        Asked::parse(scope, &self.entra.tenant, &self.app)
    }

    /// What a page of ours sent in this field.
    pub(super) fn answer(&self, field: &str) -> Option<&str> {
        self.posted.get(field)
    }

    /// Who is signed in, or what leads there.
    pub(super) fn person(&self) -> Person {
        if let Some(login) = self.answer("login") {
            return Person::Asked(self.try_to_sign_in(login));
        }
        match self.answer("account") {
            Some("session") => return Person::Asked(self.onward()),
            Some(_) => return Person::Asked(self.ask("", None)),
            None => {}
        }
        let hint = self.get("login_hint").unwrap_or_default();
        let session = self.entra.sessions.find(&self.entra.tenant, self.request);
        let Some(signed_in) = session else {
            return Person::Asked(self.ask(hint, None));
        };
        let name = &signed_in.user.principal_name;
        // On a page that comes after signing in, it has been done what `prompt` wanted.
        let is_fresh = self.answer("decision").is_none();
        match self.get("prompt") {
            Some("login") if is_fresh => Person::Asked(self.ask(hint, None)),
            Some("select_account") if is_fresh => {
                Person::Asked(page::pick_account(&self.address(&[]), name))
            }
            _ if !hint.is_empty() && !hint.eq_ignore_ascii_case(name) => {
                Person::Asked(self.ask(hint, None))
            }
            _ => Person::Known(signed_in),
        }
    }

    fn ask(&self, login: &str, error: Option<&EntraError>) -> Reply {
        page::sign_in(&self.address(&[]), &self.app.display_name, login, error)
    }

    fn try_to_sign_in(&self, login: &str) -> Reply {
        let password = self.answer("passwd").unwrap_or_default();
        let user = match sign_in(&self.entra.tenant, login, password) {
            Ok(user) => user,
            Err(error) => return self.ask(login, Some(&error)),
        };
        let now = self.request.stamp.now;
        let cookie = self.entra.sessions.begin(self.entra.opaque(), user.id, now);
        with_cookie(self.onward(), &cookie)
    }

    /// The same request once more, now that the person did what `prompt` and `login_hint` wanted.
    fn onward(&self) -> Reply {
        let done: &[&str] = match self.get("prompt") {
            Some("login" | "select_account") => &["prompt", "login_hint"],
            _ => &["login_hint"],
        };
        redirect(&self.address(done))
    }
}

/// An application for one tenant is not asked for by an authority of all.
///
/// # Errors
/// 50194.
pub(super) fn check_audience(app: &App, authority: Authority) -> Result<(), EntraError> {
    let is_single = !app.audience().starts_with("AzureADMultipleOrgs")
        && !app.audience().starts_with("AzureADandPersonal");
    if authority == Authority::Shared && is_single {
        return Err(EntraError::request(
            50_194,
            format!(
                "Application '{}'({}) is not configured as a multi-tenant application. Usage of the /common endpoint is not supported for such applications created after '10/15/2018'. Use a tenant-specific endpoint or configure the application to be multi-tenant.",
                app.client_id, app.display_name
            ),
        ));
    }
    Ok(())
}

/// Who stands before the login host.
pub(super) enum Person {
    Known(SignedIn),
    /// Nobody yet: the page or redirect that leads on.
    Asked(Reply),
}

/// Adds a cookie; one that cannot be a header is left out.
pub(super) fn with_cookie(reply: Reply, cookie: &str) -> Reply {
    match HeaderValue::try_from(cookie) {
        Ok(cookie) => reply.with_header(header::SET_COOKIE, cookie),
        Err(_) => reply,
    }
}
