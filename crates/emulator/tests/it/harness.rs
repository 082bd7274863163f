//! Starts an emulator for one test, and speaks to it as a client does.
//!
//! Every answer that no fault rule changed is judged by Microsoft's metadata; a test in which one is wrong fails at its end.

use std::{sync::Arc, time::Duration};

use emulator::{
    App, Emulator, ManualClock, Observer, Running, ServicePrincipal, Settings, User, World,
};
use reqwest::{Client, Method, RequestBuilder, header};
use serde_json::Value;
use testkit::csdl;
use tokio::sync::OnceCell;
use uuid::Uuid;

/// An emulator and a client of it.
pub(crate) struct Site {
    pub(crate) running: Running,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) client: Client,
    judge: csdl::Verdict,
    token: OnceCell<String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// `error.code` of Graph's errors.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .expect("an error has a code")
            .to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("headers are text"))
    }

    /// The named property of every item of a collection.
    pub(crate) fn column(&self, name: &str) -> Vec<String> {
        let json = self.json();
        let items = json["value"].as_array().expect("a collection has items");
        let values = items.iter().map(|item| item[name].as_str());
        values
            .map(|value| value.expect("the property is a text").to_owned())
            .collect()
    }
}

/// Settings for an empty world and a clock that stands still.
pub(crate) fn settings(world: World) -> (Settings, Arc<ManualClock>) {
    let start = "2026-11-02T08:00:00Z".parse().expect("a valid time");
    let clock = Arc::new(ManualClock::new(start));
    let settings = Settings {
        clock: clock.clone(),
        ..Settings::new(world)
    };
    (settings, clock)
}

impl Site {
    pub(crate) async fn start(world: World) -> Self {
        Self::start_with(world, |settings| settings).await
    }

    pub(crate) async fn start_with(
        world: World,
        adjust: impl FnOnce(Settings) -> Settings,
    ) -> Self {
        let (settings, clock) = settings(world);
        let judge = Arc::new(csdl::Observer::new());
        let observer = Observer::new({
            let judge = judge.clone();
            move |exchange| {
                if !exchange.faulty {
                    judge.observe(&csdl::Exchange {
                        method: exchange.method.as_str(),
                        path: &exchange.path,
                        request_body: &exchange.request_body,
                        status: exchange.status.as_u16(),
                        content_type: exchange
                            .headers
                            .get(header::CONTENT_TYPE)
                            .map(|value| value.to_str().expect("headers are text")),
                        body: &exchange.body,
                    });
                }
            }
        });
        let settings = Settings {
            observer: Some(observer),
            ..settings
        };
        let running = Emulator::start(adjust(settings))
            .await
            .expect("the emulator starts");
        Self {
            running,
            clock,
            client: client(),
            judge: csdl::Verdict(judge),
            token: OnceCell::new(),
        }
    }

    /// A request to a path of Graph or to any URL, without a token.
    pub(crate) fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.running.base_url)
        };
        self.client.request(method, url)
    }

    /// The same with a token.
    pub(crate) async fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let token = self.token.get_or_init(|| self.new_token()).await;
        self.bare(method, path).bearer_auth(token)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path).await).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).await.json(body)).await
    }

    /// A fresh token for the registered application.
    pub(crate) async fn new_token(&self) -> String {
        let secret = self.running.client_secret.clone();
        let id = self.running.client_id.to_string();
        let answer = self
            .token_request(&[("client_id", &id), ("client_secret", &secret)])
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["access_token"]
            .as_str()
            .expect("a token is text")
            .to_owned()
    }

    /// Asks for a token with these fields, grant type and scope filled in unless they are given.
    pub(crate) async fn token_request(&self, fields: &[(&str, &str)]) -> Answer {
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("scope", "https://graph.microsoft.com/.default"),
        ];
        form.retain(|(name, _)| fields.iter().all(|(given, _)| given != name));
        form.extend(fields);
        form.retain(|(_, value)| !value.is_empty());
        let path = format!("/{}/oauth2/v2.0/token", self.running.tenant_id);
        send(form_request(self.bare(Method::POST, &path), &form)).await
    }

    /// Changes the registered application.
    pub(crate) fn change_app(&self, change: impl FnOnce(&mut App)) {
        let tenant = self.running.tenant();
        let mut app = tenant
            .app(self.running.client_id)
            .expect("the application is registered");
        change(&mut app);
        tenant.set_app(app);
    }

    /// Changes the registered application's service principal.
    pub(crate) fn change_principal(&self, change: impl FnOnce(&mut ServicePrincipal)) {
        let tenant = self.running.tenant();
        let mut principal = tenant
            .service_principal(self.running.client_id)
            .expect("the application is at home");
        change(&mut principal);
        tenant.set_service_principal(principal);
    }

    /// Adds a user named `name` with the given properties.
    pub(crate) fn add_user(&self, number: u128, name: &str, properties: &Value) -> Uuid {
        let id = Uuid::from_u128(number);
        let mut user = User::new(id, &format!("{name}@contoso.onmicrosoft.com"), name);
        for (key, value) in properties.as_object().expect("an object") {
            user.set(key, value.clone());
        }
        self.running.tenant().set_user(user);
        id
    }

    /// Paths below `/v1.0` of the users that have a mailbox.
    pub(crate) fn mailboxes(&self) -> Vec<String> {
        let tenant = self.running.tenant();
        let users = tenant.users();
        let with = users
            .iter()
            .filter(|user| tenant.mailbox(user.id).is_some());
        with.map(|user| format!("/users/{}", user.id)).collect()
    }

    /// Fails if any answer so far was not as Microsoft's metadata says.
    pub(crate) fn assert_clean(&self) {
        self.judge.0.assert_clean();
    }
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer comes");
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let body = response.bytes().await.expect("the body is complete");
    Answer {
        status,
        headers,
        body: body.to_vec(),
    }
}

/// A form, encoded.
pub(crate) fn form_request(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    request
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body)
}

fn client() -> Client {
    // Another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build()
        .expect("a client can be made")
}
