//! A browser for one test: it keeps cookies, sends what browsers send with forms, and follows no redirect by itself.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use reqwest::{Client, Method, RequestBuilder, header::HeaderMap, redirect};
use serde_json::Value;

use crate::stage::PASSWORD;

pub(crate) struct Browser {
    client: Client,
    url: String,
    cookies: Mutex<BTreeMap<String, String>>,
    /// What programs of whoever uses it bring.
    token: Mutex<Option<String>>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Where it leads to, of a redirect.
    #[track_caller]
    pub(crate) fn location(&self) -> &str {
        assert!(matches!(self.status, 302 | 303), "{self:?}");
        self.header("location")
    }

    /// The value of the page's first field with this name.
    pub(crate) fn field(&self, name: &str) -> String {
        let (_, rest) = self
            .text
            .split_once(&format!("name=\"{name}\" value=\""))
            .unwrap_or_else(|| panic!("no field {name} in {}", self.text));
        unescape(rest.split('"').next().unwrap())
    }

    /// Of an answer to a program.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        serde_json::from_str(&self.text).unwrap()
    }

    /// Of a refusal to a program: its detail, after a look at the rest.
    #[track_caller]
    pub(crate) fn problem(&self) -> String {
        let type_of = self.header("content-type");
        assert_eq!(type_of, "application/problem+json", "{self:?}");
        let problem: Value = serde_json::from_str(&self.text).unwrap();
        assert_eq!(problem["type"], "about:blank");
        assert_eq!(problem["status"], self.status);
        assert!(!problem["title"].as_str().unwrap().is_empty());
        problem["detail"].as_str().unwrap().to_owned()
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        unescape(&self.text).contains(text)
    }
}

impl Browser {
    pub(crate) fn new(url: &str) -> Self {
        // The console's own client may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            client,
            url: url.to_owned(),
            cookies: Mutex::default(),
            token: Mutex::default(),
        }
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.jar().get(name).cloned()
    }

    pub(crate) fn set_cookie(&self, name: &str, value: &str) {
        self.jar().insert(name.to_owned(), value.to_owned());
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// Sends a form as a page of the console does.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self
            .form(path, fields)
            .header("origin", &self.url)
            .header("sec-fetch-site", "same-origin");
        self.send(request).await
    }

    /// A form, without what shows where it comes from.
    pub(crate) fn form(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.request(Method::POST, path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = match path.starts_with("http") {
            true => path.to_owned(),
            false => format!("{}{path}", self.url),
        };
        self.client.request(method, url)
    }

    /// A request with the cookies, and with what shows that a page of the console sends it.
    pub(crate) fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        let request = request
            .header("origin", &self.url)
            .header("sec-fetch-site", "same-origin");
        self.with_cookies(request)
    }

    fn with_cookies(&self, request: RequestBuilder) -> RequestBuilder {
        let cookies = self
            .jar()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>();
        match cookies.is_empty() {
            true => request,
            false => request.header("cookie", cookies.join("; ")),
        }
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let answer = answer(self.with_cookies(request).send().await.unwrap()).await;
        for set in answer.headers.get_all("set-cookie") {
            let set = set.to_str().unwrap();
            let (name, rest) = set.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            match set.contains("Max-Age=0") {
                true => self.jar().remove(name),
                false => self.jar().insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }

    /// Makes an API token, which the programs of whoever uses this browser bring from now on.
    pub(crate) async fn make_token(&self, role: &str) -> String {
        let csrf = self.csrf().await;
        let fields = [
            ("csrf", csrf.as_str()),
            ("name", "Nightly report"),
            ("role", role),
            ("days", "90"),
        ];
        let page = self.post("/settings/tokens", &fields).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let (_, rest) = page.text.split_once("<code id=\"token\">kw_").unwrap();
        let token = format!("kw_{}", rest.split('<').next().unwrap());
        self.bring(Some(&token));
        token
    }

    /// From now on programs bring this token.
    pub(crate) fn bring(&self, token: Option<&str>) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token.map(str::to_owned);
    }

    pub(crate) fn token(&self) -> Option<String> {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        token.clone()
    }

    /// Asks as a program does: with the token, if there is one, and without cookies.
    pub(crate) async fn program(&self, method: Method, path: &str, body: &str) -> Answer {
        let request = self.of_program(method, path, body);
        answer(request.send().await.unwrap()).await
    }

    /// What a program sends.
    pub(crate) fn of_program(&self, method: Method, path: &str, body: &str) -> RequestBuilder {
        let mut request = self.request(method, path);
        if let Some(token) = self.token() {
            request = request.bearer_auth(token);
        }
        if !body.is_empty() {
            request = request
                .header("content-type", "application/json")
                .body(body.to_owned());
        }
        request
    }

    /// The token of the forms of whoever uses this browser.
    pub(crate) async fn csrf(&self) -> String {
        let page = self.get("/").await;
        match page.status {
            200 => page.field("csrf"),
            _ => self.get("/sign-in").await.field("csrf"),
        }
    }

    /// Fills in the sign-in page.
    pub(crate) async fn try_to_sign_in(&self, address: &str, password: &str) -> Answer {
        let page = self.get("/sign-in").await;
        let csrf = page.field("csrf");
        let fields = [
            ("csrf", csrf.as_str()),
            ("address", address),
            ("password", password),
        ];
        self.post("/sign-in", &fields).await
    }

    pub(crate) async fn sign_in(&self, address: &str) {
        let answer = self.try_to_sign_in(address, PASSWORD).await;
        assert_eq!(answer.location(), "/");
    }

    fn jar(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(response: reqwest::Response) -> Answer {
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().await.unwrap(),
    }
}

/// Undoes what a page does to text.
pub(crate) fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&quot;", "\"")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#38;", "&")
        .replace("&amp;", "&")
}
