//! A browser for one test: it keeps the login host's cookie, reads pages, fills in their forms, and stops where it is sent back to the application.

use std::sync::{Mutex, PoisonError};

use emulator::Account;
use reqwest::{Method, header, redirect};
use serde_json::Value;

use crate::harness::{Answer, Site, form_request, send};

/// Where the application of these tests wants people to be sent back to.
pub(crate) const REDIRECT: &str = "http://127.0.0.1:9999/signed-in";

/// A browser with its cookie.
pub(crate) struct Browser<'a> {
    site: &'a Site,
    client: reqwest::Client,
    cookie: Mutex<Option<String>>,
}

/// What a step led to.
#[derive(Debug)]
pub(crate) enum Seen {
    /// A page of the login host.
    Page(Page),
    /// Back at the application, with these fields.
    Back(Vec<(String, String)>),
}

/// A page of the login host.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) html: String,
}

impl Page {
    /// Where the page's form posts to.
    pub(crate) fn action(&self) -> String {
        let (_, rest) = self
            .html
            .split_once(" action=\"")
            .unwrap_or_else(|| panic!("the page has no form: {}", self.html));
        unescape(rest.split('"').next().expect("the attribute ends"))
    }

    /// The text of the first heading.
    pub(crate) fn heading(&self) -> &str {
        let (_, rest) = self
            .html
            .split_once("<h1>")
            .unwrap_or_else(|| panic!("the page has no heading: {}", self.html));
        rest.split('<').next().expect("the heading ends")
    }
}

impl Seen {
    pub(crate) fn page(self) -> Page {
        match self {
            Self::Page(page) => page,
            Self::Back(fields) => panic!("not a page, but back with {fields:?}"),
        }
    }

    pub(crate) fn back(self) -> Vec<(String, String)> {
        match self {
            Self::Back(fields) => fields,
            Self::Page(page) => panic!("not back, but at {}", page.html),
        }
    }

    /// One of the fields with which the application was called back; empty if there is none.
    pub(crate) fn field(self, name: &str) -> String {
        field(&self.back(), name)
    }
}

pub(crate) fn field(fields: &[(String, String)], name: &str) -> String {
    let found = fields.iter().find(|(key, _)| key == name);
    found.map_or_else(String::new, |(_, value)| value.clone())
}

impl<'a> Browser<'a> {
    pub(crate) fn new(site: &'a Site) -> Self {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .build()
            .expect("a client can be made");
        Self {
            site,
            client,
            cookie: Mutex::default(),
        }
    }

    /// The address of a walk, with these parameters in place of the usual ones; an empty one is left out.
    pub(crate) fn address(&self, path: &str, changes: &[(&str, &str)]) -> String {
        let id = self.site.running.client_id.to_string();
        let mut query = vec![
            ("client_id", id.as_str()),
            ("redirect_uri", REDIRECT),
            ("state", "a b&c"),
        ];
        query.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        query.extend(changes);
        query.retain(|(_, value)| !value.is_empty());
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        let tenant = self.site.running.tenant_id;
        format!("{}/{tenant}/{path}?{query}", self.site.running.base_url)
    }

    /// Goes to the authorization endpoint.
    pub(crate) async fn authorize(&self, changes: &[(&str, &str)]) -> Seen {
        let mut all = vec![("response_type", "code"), ("scope", "openid profile")];
        all.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        all.extend(changes);
        self.go(&self.address("oauth2/v2.0/authorize", &all)).await
    }

    /// Goes to the admin consent endpoint.
    pub(crate) async fn admin_consent(&self, changes: &[(&str, &str)]) -> Seen {
        let mut all = vec![("scope", "https://graph.microsoft.com/.default")];
        all.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        all.extend(changes);
        self.go(&self.address("v2.0/adminconsent", &all)).await
    }

    pub(crate) async fn go(&self, url: &str) -> Seen {
        let request = self.client.request(Method::GET, url);
        self.follow(self.send(request).await).await
    }

    /// Fills in a page's form and submits it.
    pub(crate) async fn submit(&self, page: &Page, fields: &[(&str, &str)]) -> Seen {
        let url = format!("{}{}", self.site.running.base_url, page.action());
        let request = form_request(self.client.request(Method::POST, url), fields);
        self.follow(self.send(request).await).await
    }

    /// Fills in the page that asks for name and password.
    pub(crate) async fn sign_in(&self, page: &Page, account: &Account) -> Seen {
        assert_eq!(page.heading(), "Sign in", "{}", page.html);
        let fields = [
            ("login", account.principal_name.as_str()),
            ("passwd", account.password.as_str()),
        ];
        self.submit(page, &fields).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let cookie = self.cookie().clone();
        let request = match cookie {
            Some(cookie) => request.header(header::COOKIE, cookie),
            None => request,
        };
        let answer = send(request).await;
        if let Some((cookie, _)) = answer.header("set-cookie").split_once(';') {
            *self.cookie() = (!cookie.ends_with('=')).then(|| cookie.to_owned());
        }
        answer
    }

    pub(crate) fn cookie(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.cookie.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows redirects within the login host.
    async fn follow(&self, mut answer: Answer) -> Seen {
        while answer.status == 302 {
            let to = answer.header("location").to_owned();
            if let Some(back) = to.strip_prefix(REDIRECT) {
                let encoded = back.strip_prefix(['?', '#']).unwrap_or(back);
                return Seen::Back(
                    url::form_urlencoded::parse(encoded.as_bytes())
                        .into_owned()
                        .collect(),
                );
            }
            assert!(to.starts_with('/'), "sent to a stranger: {to}");
            let url = format!("{}{to}", self.site.running.base_url);
            answer = self.send(self.client.request(Method::GET, url)).await;
        }
        let html = String::from_utf8(answer.body).expect("pages are UTF-8");
        Seen::Page(Page {
            status: answer.status,
            html,
        })
    }

    /// Signs in and consents as far as it is asked. Gives the fields with which the application is called back.
    pub(crate) async fn walk(
        &self,
        account: &Account,
        changes: &[(&str, &str)],
    ) -> Vec<(String, String)> {
        let mut seen = self.authorize(changes).await;
        loop {
            seen = match seen {
                Seen::Back(fields) => return fields,
                Seen::Page(page) if page.heading() == "Sign in" => {
                    self.sign_in(&page, account).await
                }
                Seen::Page(page) => self.submit(&page, &[("decision", "accept")]).await,
            };
        }
    }

    /// Redeems a code, with these fields in place of the usual ones; an empty one is left out.
    pub(crate) async fn redeem(&self, code: &str, changes: &[(&str, &str)]) -> Answer {
        let id = self.site.running.client_id.to_string();
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("client_id", id.as_str()),
            ("client_secret", self.site.running.client_secret.as_str()),
            ("redirect_uri", REDIRECT),
            ("code", code),
        ];
        form.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        form.extend(changes);
        form.retain(|(_, value)| !value.is_empty());
        let path = format!("/{}/oauth2/v2.0/token", self.site.running.tenant_id);
        send(form_request(self.site.bare(Method::POST, &path), &form)).await
    }
}

/// The claims of a token, after its signature and issuer were checked as a library does: by the discovery document and the keys it names.
pub(crate) async fn verified(site: &Site, token: &str, audience: &str) -> Value {
    let path = format!(
        "/{}/v2.0/.well-known/openid-configuration",
        site.running.tenant_id
    );
    let document = send(site.bare(Method::GET, &path)).await.json();
    let keys = document["jwks_uri"].as_str().expect("a text");
    let keys = send(site.bare(Method::GET, keys)).await.json();
    let header = jsonwebtoken::decode_header(token).expect("a JWT");
    let key = keys["keys"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|key| key["kid"].as_str() == header.kid.as_deref())
        .expect("the key is published");
    let part = |name: &str| key[name].as_str().expect("a text");
    let key = jsonwebtoken::DecodingKey::from_rsa_components(part("n"), part("e")).expect("a key");
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    validation.set_audience(&[audience]);
    validation.set_issuer(&[document["issuer"].as_str().expect("a text")]);
    // The emulator's clock stands still, the library's does not.
    validation.validate_exp = false;
    jsonwebtoken::decode::<Value>(token, &key, &validation)
        .expect("the token is valid")
        .claims
}

/// Undoes what a page does to text in attributes.
pub(crate) fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}
