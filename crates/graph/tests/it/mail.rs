//! End to end against the emulator: what the scripted server cannot be wrong about.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use emulator::{Emulator, FaultBody, FaultRule, Running, Settings, World};
use futures_util::future::{join, try_join_all};
use graph::{
    Client, Cloud, Credential, Governor, Kind, Limits, Link, Options, Pages, Request, Result,
    Scope, UPLOAD_CHUNK_BYTES, WaitCause, segment,
};
use jiff::{SignedDuration, Timestamp};
use model::{Clock, SimulatedClock, TenantId};
use rsa::{RsaPublicKey, pkcs1::DecodeRsaPublicKey, pkcs8::EncodePublicKey};
use serde::Deserialize;
use serde_json::{Value, json};
use testkit::csdl;

use crate::{server::mailbox, tokens::certificate};

/// Lets the emulator live on the client's clock.
#[derive(Debug)]
struct SameTime(SimulatedClock);

impl emulator::Clock for SameTime {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

struct Bench {
    emulator: Running,
    clock: SimulatedClock,
    client: Client,
    /// Object ids of those who have mail.
    people: Vec<String>,
    /// Every answer is judged by Microsoft's metadata; the test fails at its end if one is wrong.
    #[expect(dead_code, reason = "it does its work when it is dropped")]
    judge: csdl::Verdict,
}

impl Bench {
    async fn start(change: impl FnOnce(Settings) -> Settings) -> Self {
        let clock = SimulatedClock::new("2026-11-10T12:00:00Z".parse().expect("a time"));
        let governor = Governor::new(Limits::default(), Arc::new(clock.clone()));
        Self::start_beside(clock, governor, change).await
    }

    /// A tenant of its own, whose client shares the process with others.
    async fn start_beside(
        clock: SimulatedClock,
        governor: Governor,
        change: impl FnOnce(Settings) -> Settings,
    ) -> Self {
        let judge = Arc::new(csdl::Observer::new());
        let settings = Settings {
            clock: Arc::new(SameTime(clock.clone())),
            observer: Some(observer(&judge)),
            ..Settings::new(World::new().users(4, 7))
        };
        let emulator = Emulator::start(change(settings)).await.expect("it starts");
        let options = Options {
            governor,
            ..options(&emulator, &clock)
        };
        let client = Client::new(options).expect("good options");
        let has_mail = |user: &Arc<emulator::User>| {
            let mailbox = emulator.tenant().mailbox(user.id)?;
            let count = mailbox
                .lock()
                .expect("no thread panics here")
                .message_count();
            (count > 0).then(|| user.id.to_string())
        };
        let people = emulator
            .tenant()
            .users()
            .iter()
            .filter_map(has_mail)
            .collect();
        Self {
            emulator,
            clock,
            client,
            people,
            judge: csdl::Verdict(judge),
        }
    }

    async fn throttled() -> Self {
        Self::start(|settings| Settings {
            throttle: true,
            ..settings
        })
        .await
    }

    /// The first person, and the scope of their mailbox.
    fn person(&self) -> (&str, Scope) {
        (&self.people[0], mailbox(&self.people[0]))
    }

    async fn list(&self, scope: &Scope, request: Request) -> Result<(Vec<Entry>, Option<Link>)> {
        read_all(self.client.pages(scope, request)).await
    }

    /// Lists all folders' messages by delta and compares with what the mailbox holds.
    async fn find_every_message(&self) {
        let (user, scope) = self.person();
        let user = segment(user);
        let folders = Request::get(format!("/users/{user}/mailFolders/delta"));
        let (folders, _) = self.list(&scope, folders).await.expect("folders");
        let inbox = |folder: &Entry| folder.display_name.as_deref() == Some("Inbox");
        assert!(folders.iter().any(inbox));
        let mut found = Vec::new();
        for folder in &folders {
            let folder = segment(&folder.id);
            let path = format!("/users/{user}/mailFolders/{folder}/messages/delta");
            let request = Request::get(path).prefer("odata.maxpagesize=7");
            let (messages, delta) = self.list(&scope, request).await.expect("messages");
            found.extend(messages.into_iter().map(|message| message.id));
            let delta = delta.expect("a delta link");
            let again = self.client.follow(&scope, &delta, &["odata.maxpagesize=7"]);
            assert!(read_all(again).await.expect("no change").0.is_empty());
        }
        let id = user.parse().expect("an object id");
        let held = self.emulator.tenant().mailbox(id).expect("a mailbox");
        let held = held.lock().expect("no thread panics here");
        let expected: BTreeSet<String> = held.message_views().map(|view| view.id).collect();
        assert_eq!(found.len(), expected.len());
        let found: BTreeSet<String> = found.into_iter().collect();
        assert_eq!(found, expected, "immutable ids throughout");
    }
}

fn observer(judge: &Arc<csdl::Observer>) -> emulator::Observer {
    let judge = Arc::clone(judge);
    emulator::Observer::new(move |exchange| {
        if exchange.faulty || exchange.in_batch {
            return;
        }
        let content_type = exchange.headers.get("content-type");
        judge.observe(&csdl::Exchange {
            method: exchange.method.as_str(),
            path: &exchange.path,
            request_body: &exchange.request_body,
            status: exchange.status.as_u16(),
            content_type: content_type.and_then(|value| value.to_str().ok()),
            body: &exchange.body,
        });
    })
}

fn options(emulator: &Running, clock: &SimulatedClock) -> Options {
    Options::new(
        Cloud::at(&emulator.base_url).expect("a loopback address"),
        TenantId::new(emulator.tenant_id.to_string()).expect("an id"),
        emulator.client_id.to_string(),
        Credential::secret(emulator.client_secret.clone()),
        Arc::new(clock.clone()),
        7,
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    id: String,
    user_principal_name: Option<String>,
    display_name: Option<String>,
}

async fn read_all(mut pages: Pages) -> Result<(Vec<Entry>, Option<Link>)> {
    let (mut entries, mut delta) = (Vec::new(), None);
    while let Some(page) = pages.next().await? {
        let read = page
            .items
            .iter()
            .map(|item| serde_json::from_str(item.get()));
        entries.extend(read.map(|entry: serde_json::Result<Entry>| entry.expect("an entry")));
        delta = page.delta;
    }
    Ok((entries, delta))
}

#[tokio::test]
async fn users_are_listed_page_by_page() {
    let bench = Bench::start(|settings| settings).await;
    let request = Request::get("/users")
        .query("$select", "id,userPrincipalName")
        .query("$top", "2");
    let (users, _) = bench.list(&Scope::Directory, request).await.expect("users");
    let names: BTreeSet<_> = users
        .iter()
        .filter_map(|user| user.user_principal_name.clone())
        .collect();
    let expected = bench.emulator.tenant().users();
    let expected: BTreeSet<_> = expected
        .iter()
        .map(|user| user.principal_name.clone())
        .collect();
    assert_eq!(names, expected);
    assert!(bench.client.counters().of("GET users") > 1);
}

#[tokio::test]
async fn a_certificate_signs_in_until_it_is_taken_away() {
    let bench = Bench::start(|settings| settings).await;
    let made = certificate();
    let public = RsaPublicKey::from_pkcs1_der(&made.public).expect("a key");
    let tenant = bench.emulator.tenant();
    let mut app = tenant
        .app(bench.emulator.client_id)
        .expect("the application");
    app.certificates.push(emulator::Certificate {
        der: made.der.clone(),
        public_key_der: public.to_public_key_der().expect("DER").into_vec(),
        expires: bench.clock.now() + Duration::from_secs(86_400),
    });
    tenant.set_app(app.clone());
    let sign_in_at = async |clock: &SimulatedClock, credential: Credential| {
        let options = Options {
            credential,
            ..options(&bench.emulator, clock)
        };
        Client::new(options).expect("good options").sign_in().await
    };
    let sign_in = async |credential| sign_in_at(&bench.clock, credential).await;
    let credential = Credential::certificate(&made.pem, &made.key_pem).expect("a pair");
    sign_in(credential.clone()).await.expect("a token");
    // Abuse 53: what is wrong with the assertion is then not the certificate.
    for seconds in [301, 86_400, -86_400] {
        let clock = SimulatedClock::new(bench.clock.now() + SignedDuration::from_secs(seconds));
        let error = sign_in_at(&clock, credential.clone()).await;
        let error = error.expect_err("an assertion of another time");
        assert_eq!(
            error.kind(),
            Kind::SignIn(graph::SignIn::WrongClock),
            "{error}"
        );
        assert!(error.to_string().contains("clock is off"), "{error}");
    }
    app.certificates.clear();
    tenant.set_app(app);
    let error = sign_in(credential)
        .await
        .expect_err("an unknown certificate");
    assert_eq!(
        error.kind(),
        Kind::SignIn(graph::SignIn::WrongCertificate),
        "{error}"
    );
    let error = sign_in(Credential::secret("guess"))
        .await
        .expect_err("a wrong secret");
    assert_eq!(
        error.kind(),
        Kind::SignIn(graph::SignIn::WrongSecret),
        "{error}"
    );
}

/// Every message of a mailbox is found by its folders' deltas, in pages, and nothing is found after that.
#[tokio::test]
async fn deltas_find_every_message_once() {
    let bench = Bench::start(|settings| settings).await;
    bench.find_every_message().await;
    assert_eq!(bench.client.counters().retries, 0);
}

/// The same in bad weather: a third of all answers fail, are cut, reset, or refuse the token.
#[tokio::test]
async fn deltas_find_every_message_once_in_bad_weather() {
    let rule = |change: fn(&mut FaultRule)| {
        let mut rule = FaultRule::on("/v1.0/*");
        rule.probability = 0.06;
        change(&mut rule);
        rule
    };
    let faults = vec![
        rule(|rule| rule.status = Some(503)),
        rule(|rule| rule.reset = true),
        rule(|rule| rule.truncate = Some(40)),
        rule(|rule| rule.expire_tokens = true),
        rule(|rule| {
            rule.status = Some(200);
            rule.body = Some(FaultBody::Html);
        }),
        rule(|rule| {
            rule.status = Some(429);
            rule.headers = [("retry-after".to_owned(), "17".to_owned())].into();
        }),
    ];
    for seed in 0..5 {
        let faults = faults.clone();
        let bench = Bench::start(|settings| Settings {
            faults,
            seed,
            ..settings
        })
        .await;
        bench.find_every_message().await;
        assert!(bench.client.counters().retries > 0);
    }
}

#[tokio::test]
async fn mime_comes_byte_for_byte_alone_and_in_batches() {
    let bench = Bench::start(|settings| settings).await;
    let (user, scope) = bench.person();
    let id = user.parse().expect("an object id");
    let held = bench.emulator.tenant().mailbox(id).expect("a mailbox");
    let views: Vec<_> = held
        .lock()
        .expect("no thread panics here")
        .message_views()
        .take(25)
        .collect();
    let request = |id: &str| Request::get(format!("/users/{user}/messages/{}/$value", segment(id)));
    let alone = bench
        .client
        .send(&scope, request(&views[0].id))
        .await
        .expect("MIME");
    assert!(alone.body == views[0].mime);
    let mut requests: Vec<Request> = views.iter().map(|view| request(&view.id)).collect();
    requests
        .push(Request::get(format!("/users/{user}/messages/AAMkNobody")).query("$select", "id"));
    let answers = bench.client.batch(&scope, requests).await.expect("answers");
    for (view, answer) in views.iter().zip(&answers) {
        assert!(answer.as_ref().expect("MIME").body == view.mime);
    }
    let missing = answers
        .last()
        .expect("the last")
        .as_ref()
        .expect_err("no such message");
    assert!(
        matches!(missing.kind(), Kind::NotFound | Kind::Invalid),
        "{missing}"
    );
}

#[tokio::test]
async fn a_large_attachment_is_uploaded_in_ranges() {
    let bench = Bench::start(|settings| settings).await;
    let (user, scope) = bench.person();
    let draft = Request::post(format!("/users/{user}/messages")).json(&json!({"subject": "large"}));
    let draft = bench
        .client
        .send(&scope, draft.expect("JSON"))
        .await
        .expect("a draft");
    let draft: Entry = draft.json().expect("a message");
    let content: bytes::Bytes = (0..2 * UPLOAD_CHUNK_BYTES + 99)
        .map(|n| (n % 241) as u8)
        .collect();
    let attachments = format!("/users/{user}/messages/{}/attachments", segment(&draft.id));
    let item = json!({"AttachmentItem": {"attachmentType": "file", "name": "a.bin", "size": content.len()}});
    let session = Request::post(format!("{attachments}/createUploadSession")).json(&item);
    let session = bench
        .client
        .send(&scope, session.expect("JSON"))
        .await
        .expect("a session");
    let session: Value = session.json().expect("JSON");
    let link = Link::new(session["uploadUrl"].as_str().expect("an address"));
    bench
        .client
        .upload(&scope, &link, content.clone())
        .await
        .expect("uploaded");
    let (listed, _) = bench
        .list(&scope, Request::get(attachments.clone()))
        .await
        .expect("attachments");
    assert_eq!(listed.len(), 1);
    let value = Request::get(format!("{attachments}/{}/$value", segment(&listed[0].id)));
    assert!(bench.client.send(&scope, value).await.expect("bytes").body == content);
    assert_eq!(bench.client.counters().of("PUT uploadUrl"), 3);
}

/// survival 12: a token that Microsoft declares expired is replaced without anybody noticing.
#[tokio::test]
async fn expired_tokens_are_replaced_in_passing() {
    let bench = Bench::start(|settings| settings).await;
    let (user, scope) = bench.person();
    for _ in 0..3 {
        let request = Request::get(format!("/users/{user}/mailFolders"));
        bench.client.send(&scope, request).await.expect("folders");
        bench.emulator.expire_tokens();
    }
    assert_eq!(bench.client.counters().sign_ins, 3);
}

/// survival 3, 4: sixteen workers in two mailboxes under the documented limits are slowed by our own counting alone.
#[tokio::test]
async fn a_busy_run_is_never_throttled() {
    let bench = Bench::throttled().await;
    let begun = bench.clock.elapsed();
    let worker = |number: usize| {
        let (client, user) = (&bench.client, &bench.people[number % 2]);
        async move {
            let scope = mailbox(user);
            for _ in 0..1500 {
                let request =
                    Request::get(format!("/users/{user}/mailFolders/inbox")).query("$select", "id");
                client.send(&scope, request).await?;
            }
            Ok::<(), graph::Error>(())
        }
    };
    try_join_all((0..16).map(worker))
        .await
        .expect("all answered");
    let counters = bench.client.counters();
    assert_eq!(counters.total(), 24_000);
    assert_eq!(counters.throttled, 0);
    assert_eq!(bench.emulator.stats().throttled, 0);
    let took = bench.clock.elapsed() - begun;
    assert!(
        (Duration::from_secs(600)..Duration::from_secs(610)).contains(&took),
        "{took:?}"
    );
}

/// abuse 56: a tenant that is told to wait for an hour stands beside one that is not, in one process.
#[tokio::test]
async fn a_throttled_tenant_leaves_a_healthy_one_alone() {
    let clock = SimulatedClock::new("2026-11-10T12:00:00Z".parse().expect("a time"));
    let governor = Governor::new(Limits::default(), Arc::new(clock.clone()));
    let storm = FaultRule {
        status: Some(429),
        headers: [("retry-after".to_owned(), "3600".to_owned())].into(),
        count: Some(8),
        ..FaultRule::on("/v1.0/users/*")
    };
    let settings = |seed, faults| {
        move |settings: Settings| Settings {
            world: World::new().users(4, seed),
            faults,
            ..settings
        }
    };
    let sick = settings(7, vec![storm]);
    let sick = Bench::start_beside(clock.clone(), governor.clone(), sick).await;
    let healthy = settings(8, Vec::new());
    let healthy = Bench::start_beside(clock.clone(), governor.clone(), healthy).await;
    assert_ne!(sick.emulator.tenant_id, healthy.emulator.tenant_id);
    let begun = clock.elapsed();
    let busy = clock.busy("a test");
    let beside = async {
        while governor.waiting().is_empty() {
            tokio::task::yield_now().await;
        }
        healthy.find_every_message().await;
        assert_eq!(clock.elapsed(), begun, "it waited for nobody");
        assert!(healthy.client.waiting().is_empty());
        let held = governor.waiting();
        assert!(held.iter().all(|held| held.cause == WaitCause::Throttled));
        assert_eq!(held, sick.client.waiting());
        assert_eq!(held.len(), 1);
        drop(busy);
    };
    join(sick.find_every_message(), beside).await;
    assert!(clock.elapsed() - begun >= Duration::from_secs(3600));
    assert_eq!(sick.emulator.stats().faults, 8);
    assert_eq!(sick.client.counters().throttled, 8);
    assert_eq!(healthy.client.counters().throttled, 0);
}

/// survival 3: batches share the mailbox with other requests and are not throttled either.
#[tokio::test]
async fn batches_and_single_requests_share_a_mailbox() {
    let bench = Bench::throttled().await;
    let (user, scope) = bench.person();
    let one = || Request::get(format!("/users/{user}/mailFolders/inbox")).query("$select", "id");
    let worker = |number: usize| {
        let scope = &scope;
        let bench = &bench;
        async move {
            for _ in 0..20 {
                match number % 2 {
                    0 => drop(bench.client.send(scope, one()).await?),
                    _ => {
                        let answers = bench
                            .client
                            .batch(scope, (0..20).map(|_| one()).collect())
                            .await?;
                        assert!(answers.iter().all(Result::is_ok));
                    }
                }
            }
            Ok::<(), graph::Error>(())
        }
    };
    try_join_all((0..8).map(worker))
        .await
        .expect("all answered");
    assert_eq!(bench.emulator.stats().throttled, 0);
}
