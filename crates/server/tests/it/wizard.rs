//! From a name to a task that is connected, by way of Microsoft's sign-in and consent pages; and every refusal on the way (abuse 88).

use std::time::Duration;

use catalog::Health;
use emulator::{Account, DirectoryRole, Running};
use jiff::Timestamp;
use model::{Clock, SystemClock};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use url::Url;

use crate::{
    browser::{Answer, Browser, unescape},
    stage::Stage,
};

/// Whatever a test waits for comes sooner, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Somebody in the wizard.
struct Walker<'a> {
    stage: &'a Stage,
    microsoft: &'a Running,
    browser: Browser,
    /// The same person's browser at the login host, whose cookies are others.
    login: Browser,
    csrf: String,
    /// `/tasks/new/…`
    draft: String,
    /// The client id of an app that proves itself by the certificate of the wizard, in place of the one with a secret.
    by_certificate: Option<String>,
}

impl<'a> Walker<'a> {
    /// Signed in, with a named task.
    async fn start(stage: &'a Stage, microsoft: &'a Running, browser: Browser) -> Self {
        let csrf = browser.csrf().await;
        let fields = [
            ("csrf", csrf.as_str()),
            ("name", "Head office mail"),
            ("service", "exchange"),
        ];
        let answer = browser.post("/tasks/new", &fields).await;
        let draft = answer.location().strip_suffix("/authenticate").unwrap();
        Self {
            draft: draft.to_owned(),
            by_certificate: None,
            login: Browser::new(&microsoft.base_url),
            stage,
            microsoft,
            csrf,
            browser,
        }
    }

    fn path(&self, step: &str) -> String {
        format!("{}/{step}", self.draft)
    }

    /// Fills in the second step, with these fields in place of the usual ones.
    async fn authenticate(&self, changes: &[(&str, &str)]) -> Answer {
        let (tenant, client_id) = (
            self.microsoft.tenant_id.to_string(),
            self.microsoft.client_id.to_string(),
        );
        let mut fields = vec![
            ("csrf", self.csrf.as_str()),
            ("proof", "secret"),
            ("tenant", &tenant),
            ("client_id", &client_id),
            ("secret", &self.microsoft.client_secret),
        ];
        if let Some(app) = &self.by_certificate {
            fields.truncate(1);
            fields.extend([
                ("proof", "certificate"),
                ("tenant", &tenant),
                ("client_id", app),
            ]);
        }
        fields.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        fields.extend(changes);
        self.browser.post(&self.path("authenticate"), &fields).await
    }

    /// Fills in the second step and leaves: the address at Microsoft.
    async fn leave(&self) -> String {
        let page = self.authenticate(&[]).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let (_, rest) = page.text.split_once("id=\"continue\" href=\"").unwrap();
        unescape(rest.split('"').next().unwrap())
    }

    /// Walks through Microsoft's pages as this person, and gives the address with which Microsoft sends back.
    async fn at_microsoft(&self, url: &str, account: &Account, decision: &str) -> String {
        let mut answer = self.login.get(url).await;
        loop {
            if matches!(answer.status, 302 | 303) {
                let to = answer.location().to_owned();
                if to.starts_with(&self.stage.url) {
                    return to;
                }
                answer = self.login.get(&to).await;
                continue;
            }
            assert_eq!(answer.status, 200, "{}", answer.text);
            let (_, rest) = answer.text.split_once(" action=\"").unwrap();
            let action = unescape(rest.split('"').next().unwrap());
            let fields = match answer.text.contains("name=\"passwd\"") {
                true => vec![
                    ("login", account.principal_name.as_str()),
                    ("passwd", account.password.as_str()),
                ],
                false if answer.text.contains("value=\"session\"") => vec![("account", "session")],
                false if answer.text.contains("value=\"accept\"") => vec![("decision", decision)],
                false => vec![("decision", "cancel")],
            };
            answer = self.login.post(&action, &fields).await;
        }
    }

    /// Leaves, signs in, comes back, consents, comes back: where the console then leads.
    async fn walk(&self, account: &Account) -> String {
        let consent = self.prove(account).await;
        let back = self.at_microsoft(&consent, account, "accept").await;
        self.browser.get(&back).await.location().to_owned()
    }

    /// The first half of it: the address of the consent page.
    async fn prove(&self, account: &Account) -> String {
        let url = self.leave().await;
        let back = self.at_microsoft(&url, account, "accept").await;
        let to = self.browser.get(&back).await.location().to_owned();
        assert!(to.starts_with(&self.microsoft.base_url), "{to}");
        to
    }

    /// Back at the second step, which says this; what was typed is still there.
    async fn refused(&self, said: &str) {
        let page = self.browser.get(&self.path("authenticate")).await;
        assert!(page.has(said), "{}", page.text);
        assert_eq!(
            page.field("client_id"),
            self.microsoft.client_id.to_string()
        );
        let (tenants, connections) = (
            self.stage.catalog.organizations().await.unwrap(),
            self.stage
                .catalog
                .organization(self.stage.catalog.organizations().await.unwrap()[0].id),
        );
        assert_eq!(tenants.len(), 1);
        assert!(connections.connections().await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_made_by_way_of_microsoft() {
    let (stage, microsoft) = Stage::with_microsoft(|_| {}).await;
    let (tenant, browser) = stage.signed_in("ada").await;
    let walker = Walker::start(&stage, &microsoft, browser).await;
    let page = walker.browser.get(&walker.path("authenticate")).await;
    assert!(page.has(&format!("{}/connect/return", stage.url)));
    assert!(page.has("Mail.ReadWrite") && page.has("Connect-MgGraph"));
    let administrator = microsoft.administrator().unwrap();
    assert_eq!(walker.walk(&administrator).await, walker.path("checking"));
    let review = walker.browser.get(&walker.path("checking")).await;
    assert_eq!(review.location(), walker.path("review"));
    let review = walker.browser.get(review.location()).await;
    assert!(
        review.has("Connected") && review.has("Head office mail"),
        "{}",
        review.text
    );
    let fields = [
        ("csrf", walker.csrf.as_str()),
        ("schedule", "4"),
        ("index", "on"),
        ("retain_days", "30"),
    ];
    let bad = [
        ("csrf", walker.csrf.as_str()),
        ("schedule", "4"),
        ("retain_days", "1.5"),
    ];
    let refused = walker.browser.post(&walker.path("review"), &bad).await;
    assert_eq!(refused.status, 422);
    assert!(refused.has("Enter a whole number of days"));
    let made = walker.browser.post(&walker.path("review"), &fields).await;
    let tasks = tenant.organization.tasks().await.unwrap();
    assert_eq!(made.location(), format!("/tasks/{}", tasks[0].id));
    assert_eq!(
        (tasks.len(), tasks[0].name.as_str()),
        (1, "Head office mail")
    );
    let settings = service::TaskSettings::from_text(&tasks[0].settings).unwrap();
    assert_eq!(settings.schedule, service::Schedule::TimesADay(4));
    assert_eq!(settings.retain_archived_days, Some(30));
    let connections = tenant.organization.connections().await.unwrap();
    assert_eq!(connections[0].health, Health::Connected);
    assert_eq!(
        connections[0].tenant.as_str(),
        microsoft.tenant_id.to_string()
    );
    let gone = walker.browser.get(&walker.path("review")).await;
    assert_eq!(gone.status, 404, "a draft makes one task");
    let noted = tenant.organization.audit(None, 10).await.unwrap();
    let actions: Vec<_> = noted.iter().map(|entry| entry.action.as_str()).collect();
    assert!(actions.contains(&"authenticated with Microsoft") && actions.contains(&"made a task"));
    // What proves the app lies nowhere in the clear (abuse 103).
    let secret = microsoft.client_secret.as_bytes();
    let is_seen = |bytes: &Vec<u8>| bytes.windows(secret.len()).any(|window| window == secret);
    assert!(!stage.files().iter().any(is_seen));
}

/// What Microsoft answers to this.
async fn told(request: RequestBuilder) -> Value {
    let answer = request.send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{status}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Does what the script of the wizard does, with the values that stand in it, and gives the client id.
async fn run_script(microsoft: &Running, script: &str) -> String {
    let between = |from: &str, to: &str| {
        let (_, rest) = script.split_once(from).unwrap();
        rest.split_once(to).unwrap().0.to_owned()
    };
    let browser = Browser::new(&microsoft.base_url);
    let client_id = microsoft.client_id.to_string();
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", "https://graph.microsoft.com/.default"),
        ("client_id", &client_id),
        ("client_secret", &microsoft.client_secret),
    ];
    let path = format!("/{}/oauth2/v2.0/token", microsoft.tenant_id);
    let token = told(browser.form(&path, &form)).await;
    let token = token["access_token"].as_str().unwrap();
    let of_graph = [("$filter", between("-Filter \"", "\""))];
    let url = format!("{}/v1.0/servicePrincipals", microsoft.base_url);
    let url = Url::parse_with_params(&url, of_graph).unwrap();
    let graph = browser.request(Method::GET, url.as_str());
    let graph = told(graph.bearer_auth(token)).await;
    let graph = &graph["value"][0];
    let names = between("$names = @(", ")");
    let names: Vec<_> = names
        .split(", ")
        .map(|name| name.trim_matches('\''))
        .collect();
    let roles = graph["appRoles"].as_array().unwrap().iter();
    let roles: Vec<_> = roles
        .filter(|role| names.contains(&role["value"].as_str().unwrap()))
        .map(|role| json!({"id": role["id"], "type": "Role"}))
        .collect();
    assert_eq!(roles.len(), names.len());
    let app = json!({
        "displayName": between("-DisplayName '", "'"),
        "signInAudience": between("-SignInAudience '", "'"),
        "web": {"redirectUris": [between("RedirectUris = @('", "'")]},
        "requiredResourceAccess": [{"resourceAppId": graph["appId"], "resourceAccess": roles}],
        "keyCredentials": [{
            "type": between("Type = 'A", "'").replace("symmetric", "Asymmetric"),
            "usage": between("Usage = '", "'"),
            "key": between("FromBase64String('", "'"),
        }],
    });
    let request = browser
        .request(Method::POST, "/v1.0/applications")
        .bearer_auth(token)
        .header("content-type", "application/json")
        .body(app.to_string());
    let made = told(request).await;
    made["appId"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_registers_an_app_that_signs_in_with_the_certificate() {
    let (stage, microsoft) = Stage::with_microsoft(|settings| {
        settings.roles = vec!["Application.ReadWrite.All".to_owned()];
    })
    .await;
    let (tenant, browser) = stage.signed_in("ada").await;
    let mut walker = Walker::start(&stage, &microsoft, browser).await;
    let page = walker.browser.get(&walker.path("authenticate")).await.text;
    let (_, script) = page.split_once("id=\"script\"").unwrap();
    let (_, script) = script.split_once('>').unwrap();
    let script = unescape(script.split("</pre>").next().unwrap());
    // For whoever registers by hand there is the same as a file.
    let file = walker.browser.get(&walker.path("certificate")).await.text;
    let lines = file.lines().filter(|line| !line.starts_with('-'));
    assert!(script.contains(&lines.collect::<String>()) && !file.contains("PRIVATE"));
    let app = run_script(&microsoft, &script).await;
    walker.by_certificate = Some(app.clone());
    let administrator = microsoft.administrator().unwrap();
    assert_eq!(walker.walk(&administrator).await, walker.path("checking"));
    let checked = walker.browser.get(&walker.path("checking")).await;
    assert_eq!(checked.location(), walker.path("review"));
    let fields = [
        ("csrf", walker.csrf.as_str()),
        ("schedule", "manual"),
        ("retain_days", ""),
    ];
    let made = walker.browser.post(&walker.path("review"), &fields).await;
    assert_eq!(made.status, 303, "{}", made.text);
    let connections = tenant.organization.connections().await.unwrap();
    assert_eq!(connections[0].health, Health::Connected);
    assert_eq!(connections[0].client_id, app);
    let file = walker.browser.get(&walker.path("certificate")).await;
    assert_eq!(file.status, 404, "the draft is gone");
}

/// abuse 103: the logs of server and worker, as talkative as they can be, over a whole walk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_of_server_or_worker_tells_a_secret_or_content() {
    let log = Log::default();
    let to = log.clone();
    tracing_subscriber::fmt()
        .with_env_filter("trace")
        .with_writer(move || to.clone())
        .with_ansi(false)
        .try_init()
        .unwrap();
    let mail = tempfile::tempdir().unwrap();
    let canaries = ["canarysubject", "canarybody", "canarysender", "canaryfile"];
    std::fs::write(
        mail.path().join("one"),
        "From: canarysender@example.com\r\nSubject: canarysubject\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n\
         --x\r\nContent-Type: text/plain\r\n\r\ncanarybody\r\n--x\r\nContent-Type: application/pdf; name=canaryfile\r\n\
         Content-Disposition: attachment; filename=canaryfile\r\n\r\n%PDF\r\n--x--\r\n",
    )
    .unwrap();
    let (stage, microsoft) = Stage::with_microsoft(|settings| {
        settings.world = emulator::World::new()
            .users(1, 7)
            .mail("canary", mail.path().to_owned());
    })
    .await;
    let (tenant, browser) = stage.signed_in("ada").await;
    let walker = Walker::start(&stage, &microsoft, browser).await;
    let administrator = microsoft.administrator().unwrap();
    let checking = walker.walk(&administrator).await;
    walker.browser.get(&checking).await;
    let fields = [
        ("csrf", walker.csrf.as_str()),
        ("schedule", "manual"),
        ("retain_days", ""),
    ];
    let made = walker.browser.post(&walker.path("review"), &fields).await;
    assert_eq!(made.status, 303, "{}", made.text);
    let (organization, task) = (
        tenant.organization.id(),
        tenant.organization.tasks().await.unwrap()[0].id,
    );
    let service = &stage.service;
    // The wizard has begun to look for the accounts; of two discoveries at once one would be outdated.
    let clock = SystemClock::new();
    let of = &tenant.organization;
    while of.task(task).await.unwrap().discovered_at.is_none() {
        assert!(clock.elapsed() < PATIENCE, "no accounts are looked for");
        clock.sleep(Duration::from_millis(20)).await;
    }
    let all = catalog::AccountFilter::default();
    tenant
        .organization
        .change_status(task, &all, catalog::StatusChange::Activate)
        .await
        .unwrap();
    let work_off = async |run: catalog::RunId| {
        let (stop, mut changes) = (
            tokio_util::sync::CancellationToken::new(),
            service.changed(),
        );
        let over = async {
            while tenant
                .organization
                .run(run)
                .await
                .unwrap()
                .finished_at
                .is_none()
            {
                changes.recv().await.unwrap();
            }
            stop.cancel();
        };
        tokio::join!(over, service.work(stop.clone()));
        let jobs = tenant.organization.jobs(run, 100).await.unwrap();
        let is_good = |job: &catalog::Job| job.result == Some(catalog::JobResult::Success);
        assert!(jobs.iter().all(is_good), "{jobs:?}");
        jobs
    };
    let jobs = work_off(
        service
            .backup_now(organization, task, service::Which::All)
            .await
            .unwrap(),
    )
    .await;
    let mut account = jobs[0].account;
    for job in &jobs {
        let one = tenant.organization.account(job.account).await.unwrap();
        if one.address.starts_with("canary") {
            account = one.key;
        }
    }
    let archive = service.archive(organization, account, None).await.unwrap();
    let inbox = archive
        .folders()
        .iter()
        .find(|one| one.messages > 0)
        .unwrap()
        .id
        .clone();
    let message = archive.messages(&inbox).await.unwrap().remove(0);
    let message = archive.message(&message).await.unwrap();
    assert!(
        message.json.get().contains("canarysubject"),
        "the canary is backed up"
    );
    let looked = walker.browser.get(&format!("/accounts/{account}")).await;
    assert_eq!(looked.status, 200, "{}", looked.text);
    let order = service::RestoreOrder {
        snapshot: None,
        selection: service::Selection::Mailbox,
        target: account,
        destination: workload::mail::restore::Destination::NewFolder {
            name: "Restored".to_owned(),
        },
        key: None,
    };
    work_off(service.restore(organization, account, order).await.unwrap()).await;
    let kit = service.emergency_kit(organization).await.unwrap();
    let key: String = kit
        .recovery_key
        .as_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let session = walker.browser.cookie("__Host-keepwell").unwrap();
    let written = log.text();
    assert!(
        written.contains("TRACE") && written.contains("hyper"),
        "everything is logged"
    );
    let secrets = [
        "Bearer ",
        "eyJ",
        crate::stage::PASSWORD,
        &session,
        &walker.csrf,
        &microsoft.client_secret,
        &administrator.password,
        &administrator.principal_name,
        &key,
    ];
    for secret in secrets.iter().chain(&canaries) {
        if let Some(at) = written.find(secret) {
            let line = &written[written[..at].rfind('\n').unwrap_or(0)..at];
            panic!("a secret is logged after {line:?}");
        }
    }
}

/// What is logged by everything in this process.
#[derive(Clone, Default)]
struct Log(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Grants appear late in tokens: what is missing is named, and looked for again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permissions_that_come_late_are_waited_for() {
    let delay = std::time::Duration::from_secs(120);
    let (stage, microsoft) =
        Stage::with_microsoft(|settings| settings.behaviour.grant_delay = delay).await;
    let (_tenant, browser) = stage.signed_in("ada").await;
    let walker = Walker::start(&stage, &microsoft, browser).await;
    let administrator = microsoft.administrator().unwrap();
    walker.walk(&administrator).await;
    let page = walker.browser.get(&walker.path("checking")).await;
    assert!(
        page.has("Checking permissions, up to five minutes"),
        "{}",
        page.text
    );
    assert!(page.has("http-equiv=\"refresh\" content=\"5\""));
    assert_eq!(
        walker.browser.get(&walker.path("review")).await.location(),
        walker.path("checking")
    );
    stage.pass(121);
    let page = walker.browser.get(&walker.path("checking")).await;
    assert_eq!(page.location(), walker.path("review"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permission_that_does_not_come_is_named() {
    let (stage, microsoft) = Stage::with_microsoft(|settings| {
        settings
            .requires
            .retain(|name| name != "MailboxSettings.Read");
    })
    .await;
    let (_tenant, browser) = stage.signed_in("ada").await;
    let walker = Walker::start(&stage, &microsoft, browser).await;
    let administrator = microsoft.administrator().unwrap();
    walker.walk(&administrator).await;
    stage.pass(301);
    let page = walker.browser.get(&walker.path("checking")).await;
    assert!(
        page.has("Permissions are missing: MailboxSettings.Read."),
        "{}",
        page.text
    );
    assert!(page.has("Authenticate again"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_without_the_role_is_told_who_may() {
    let (stage, microsoft) = Stage::with_microsoft(|_| {}).await;
    let (_tenant, browser) = stage.signed_in("ada").await;
    let walker = Walker::start(&stage, &microsoft, browser).await;
    let account = microsoft
        .account_with(DirectoryRole::ExchangeAdministrator)
        .unwrap();
    let to = walker.walk(&account).await;
    assert_eq!(to, walker.path("authenticate"));
    walker
        .refused("This needs a Global Administrator or a Privileged Role Administrator.")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cancels_loses_nothing() {
    let (stage, microsoft) = Stage::with_microsoft(|_| {}).await;
    let (_tenant, browser) = stage.signed_in("ada").await;
    let walker = Walker::start(&stage, &microsoft, browser).await;
    let administrator = microsoft.administrator().unwrap();
    let consent = walker.prove(&administrator).await;
    let back = walker
        .at_microsoft(&consent, &administrator, "cancel")
        .await;
    let to = walker.browser.get(&back).await.location().to_owned();
    assert_eq!(to, walker.path("authenticate"));
    walker.refused("consent was cancelled").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_secret_is_named() {
    let (stage, microsoft) = Stage::with_microsoft(|_| {}).await;
    let (_tenant, browser) = stage.signed_in("ada").await;
    let walker = Walker::start(&stage, &microsoft, browser).await;
    let administrator = microsoft.administrator().unwrap();
    let page = walker.authenticate(&[("secret", "not the secret")]).await;
    let (_, rest) = page.text.split_once("id=\"continue\" href=\"").unwrap();
    let url = unescape(rest.split('"').next().unwrap());
    let back = walker.at_microsoft(&url, &administrator, "accept").await;
    let to = walker.browser.get(&back).await.location().to_owned();
    assert_eq!(to, walker.path("authenticate"));
    walker.refused("The client secret is not right.").await;
}

/// abuse 88: the state of a return is taken once, in the session in which somebody left, and not hours later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_return_counts_once_and_in_its_own_session() {
    let (stage, microsoft) = Stage::with_microsoft(|_| {}).await;
    let (tenant, browser) = stage.signed_in("ada").await;
    let walker = Walker::start(&stage, &microsoft, browser).await;
    let administrator = microsoft.administrator().unwrap();
    let url = walker.leave().await;
    let back = walker.at_microsoft(&url, &administrator, "accept").await;
    // Another session of the same user, and another state.
    let other = stage.browser();
    other.sign_in(&tenant.address).await;
    let to = other.get(&back).await.location().to_owned();
    assert_eq!(to, walker.path("authenticate"));
    let (path, _) = back.split_once('?').unwrap();
    for query in ["", "?state=&code=x", "?code=x&state=AAAA"] {
        let to = walker.browser.get(&format!("{path}{query}")).await;
        assert_eq!(to.location(), walker.path("authenticate"), "{query}");
    }
    walker
        .refused("took too long, or belongs to another session")
        .await;
    // It was used up by the other session.
    let to = walker.browser.get(&back).await.location().to_owned();
    assert_eq!(to, walker.path("authenticate"));
    // An hour later.
    let url = walker.leave().await;
    let back = walker.at_microsoft(&url, &administrator, "accept").await;
    stage.pass(3601);
    let to = walker.browser.get(&back).await.location().to_owned();
    assert_eq!(to, walker.path("authenticate"));
    walker.refused("took too long").await;
    // And again from the beginning: nothing was lost.
    assert_eq!(walker.walk(&administrator).await, walker.path("checking"));
}

/// abuse 88: consent in another tenant than the one that was proven is not taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_address_says_of_the_tenant_is_not_believed() {
    let (stage, microsoft) = Stage::with_microsoft(|_| {}).await;
    let (_tenant, browser) = stage.signed_in("ada").await;
    let walker = Walker::start(&stage, &microsoft, browser).await;
    let administrator = microsoft.administrator().unwrap();
    for (tenant, consent) in [
        ("8d1f5f6e-0000-4000-8000-000000000009", "True"),
        ("", "True"),
    ] {
        let url = walker.prove(&administrator).await;
        let back = walker.at_microsoft(&url, &administrator, "accept").await;
        let forged = back
            .replace(&microsoft.tenant_id.to_string(), tenant)
            .replace("admin_consent=True", &format!("admin_consent={consent}"));
        let to = walker.browser.get(&forged).await.location().to_owned();
        assert_eq!(to, walker.path("authenticate"));
        walker.refused("another tenant").await;
    }
    let url = walker.prove(&administrator).await;
    let back = walker.at_microsoft(&url, &administrator, "accept").await;
    let forged = back.replace("admin_consent=True", "admin_consent=False");
    walker.browser.get(&forged).await;
    walker.refused("consent was cancelled").await;
}

/// abuse 88: the code of one walk does not fit another, because its verifier and nonce are others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_from_another_walk_is_refused() {
    let (stage, microsoft) = Stage::with_microsoft(|_| {}).await;
    let (_tenant, browser) = stage.signed_in("ada").await;
    let walker = Walker::start(&stage, &microsoft, browser).await;
    let administrator = microsoft.administrator().unwrap();
    let parameter = |url: &str, name: &str| {
        let url = url::Url::parse(url).unwrap();
        url.query_pairs()
            .find(|(key, _)| key == name)
            .unwrap()
            .1
            .into_owned()
    };
    let first = walker.leave().await;
    let first = walker.at_microsoft(&first, &administrator, "accept").await;
    let second = walker.leave().await;
    let second = walker.at_microsoft(&second, &administrator, "accept").await;
    let mixed = second.replace(&parameter(&second, "code"), &parameter(&first, "code"));
    let to = walker.browser.get(&mixed).await.location().to_owned();
    assert_eq!(to, walker.path("authenticate"));
    walker.refused("Microsoft did not accept it").await;
}

/// A certificate that Keepwell makes serves as well as a secret; its private half never leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_is_given_out_without_its_key() {
    let (stage, microsoft) = Stage::with_microsoft(|_| {}).await;
    let (_tenant, browser) = stage.signed_in("ada").await;
    let walker = Walker::start(&stage, &microsoft, browser).await;
    let page = walker.browser.get(&walker.path("authenticate")).await;
    assert!(!page.has("PRIVATE KEY"));
    let file = walker.browser.get(&walker.path("certificate")).await;
    assert!(file.text.starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(!file.text.contains("PRIVATE"));
    let again = walker.browser.get(&walker.path("certificate")).await;
    assert_eq!(again.text, file.text, "one draft has one certificate");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_said_before_anybody_leaves() {
    let (stage, microsoft) = Stage::with_microsoft(|_| {}).await;
    let (_tenant, browser) = stage.signed_in("ada").await;
    let walker = Walker::start(&stage, &microsoft, browser).await;
    for (field, value, said) in [
        ("secret", "", "Enter the client secret's value."),
        ("client_id", "my app", "Enter the application (client) id"),
        ("tenant", "", "Enter the tenant's id or its domain"),
        (
            "tenant",
            "contoso.com/../common",
            "Enter the tenant's id or its domain",
        ),
        ("proof", "server", "This server has no app of its own"),
    ] {
        let answer = walker.authenticate(&[(field, value)]).await;
        assert_eq!(answer.status, 422, "{field}={value}");
        assert!(answer.has(said), "{field}: {}", answer.text);
    }
    let fields = [
        ("csrf", walker.csrf.as_str()),
        ("name", ""),
        ("service", "exchange"),
    ];
    assert_eq!(walker.browser.post("/tasks/new", &fields).await.status, 422);
    let fields = [
        ("csrf", walker.csrf.as_str()),
        ("name", "Files"),
        ("service", "onedrive"),
    ];
    let answer = walker.browser.post("/tasks/new", &fields).await;
    assert!(answer.has("This service is not covered yet."));
}

/// A connection whose consent is given anew goes on with the credential that it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_authenticated_again() {
    let (stage, microsoft) = Stage::with_microsoft(|_| {}).await;
    let (tenant, browser) = stage.signed_in("ada").await;
    let mut walker = Walker::start(&stage, &microsoft, browser).await;
    let administrator = microsoft.administrator().unwrap();
    walker.walk(&administrator).await;
    walker.browser.get(&walker.path("checking")).await;
    let connection = tenant.organization.connections().await.unwrap()[0].id;
    let page = format!("/connections/{connection}");
    assert!(walker.browser.get(&page).await.has("Connected"));
    // One click, and the browser is on its way.
    let again = format!("{page}/authenticate");
    let csrf = walker.csrf.clone();
    let left = walker.browser.post(&again, &[("csrf", &csrf)]).await;
    assert_eq!(left.status, 200, "{}", left.text);
    let (_, rest) = left.text.split_once("id=\"continue\" href=\"").unwrap();
    let url = unescape(rest.split('"').next().unwrap());
    let back = walker.at_microsoft(&url, &administrator, "accept").await;
    let consent = walker.browser.get(&back).await.location().to_owned();
    let back = walker
        .at_microsoft(&consent, &administrator, "accept")
        .await;
    let to = walker.browser.get(&back).await.location().to_owned();
    walker.draft = to.strip_suffix("/checking").unwrap().to_owned();
    assert_eq!(walker.browser.get(&to).await.location(), page);
    assert_eq!(tenant.organization.connections().await.unwrap().len(), 1);

    // Another app or credential is entered first.
    let fields = [("csrf", csrf.as_str()), ("change", "yes")];
    let change = walker.browser.post(&again, &fields).await;
    walker.draft = change
        .location()
        .strip_suffix("/authenticate")
        .unwrap()
        .to_owned();
    let left = walker
        .authenticate(&[("proof", "kept"), ("secret", "")])
        .await;
    assert!(left.has("Continue to Microsoft"), "{}", left.text);

    // So is one in place of what Microsoft does not take any more.
    let detail = "the client secret has expired: make a new one and authenticate again";
    let of = &tenant.organization;
    let row = of.connection(connection).await.unwrap();
    of.set_health(
        connection,
        &row.credential,
        Health::Disconnected,
        detail,
        Timestamp::UNIX_EPOCH,
    )
    .await
    .unwrap();
    let to = walker.browser.post(&again, &[("csrf", &csrf)]).await;
    assert!(to.location().ends_with("/authenticate"), "{to:?}");
}
