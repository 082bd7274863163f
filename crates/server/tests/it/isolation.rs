//! Who may call what: every address of the table, as nobody, as another organization, and as its own (abuse 85).
//!
//! The table itself is walked, so that an address which is added is tested, too; one with an id of a new kind makes the test say so.

use catalog::{
    AccountFilter, AccountSort, ConnectionId, Direction, Discovered, JobKind, NewApiToken, NewJob,
    Role, RunCause,
};
use model::{AccountId, Service, TenantId};
use reqwest::Method;
use server::{RouteInfo, Who};
use service::{Credential, NewCredential, TaskSettings};

use crate::{
    browser::{Answer, Browser},
    stage::{Stage, Tenant, new_user},
};

/// The ids of one organization's things, by their names in paths.
pub(crate) type Ids = Vec<(&'static str, String)>;

/// An organization with one of everything.
pub(crate) async fn owner(stage: &Stage, name: &str) -> (Tenant, Browser, Ids) {
    let (tenant, browser) = stage.signed_in(name).await;
    let organization = tenant.organization.id();
    let at = TenantId::new(format!("8d1f5f6e-0000-4000-8000-{:012}", name.len())).unwrap();
    let connection: ConnectionId = stage
        .service
        .connect(
            organization,
            NewCredential {
                service: Service::Exchange,
                tenant: at.clone(),
                tenant_name: name.to_owned(),
                client_id: "11111111-0000-4000-8000-000000000001".to_owned(),
                credential: Credential::Secret("secret".to_owned().into()),
            },
        )
        .await
        .unwrap();
    let settings = TaskSettings::default();
    let task = stage
        .service
        .add_task(organization, connection, "Mail", &settings)
        .await
        .unwrap();
    let found = Discovered {
        source: AccountId::new("1").unwrap(),
        name: "Alex".to_owned(),
        address: "alex@example.com".to_owned(),
    };
    let of = &tenant.organization;
    of.note_accounts(task, &at, &[found], stage.now())
        .await
        .unwrap();
    let (sort, filter) = (AccountSort::Name, AccountFilter::default());
    let page = of
        .accounts(task, &filter, sort, Direction::Ascending, None, 1)
        .await
        .unwrap();
    let account = page.rows[0].key;
    let job = NewJob {
        kind: JobKind::Backup,
        priority: 0,
        input: String::new(),
    };
    let begun = of.begin_run(task, RunCause::BackupNow, &filter, &job, stage.now());
    let (run, _) = begun.await.unwrap().unwrap();
    let csrf = browser.csrf().await;
    let fields = [
        ("csrf", csrf.as_str()),
        ("name", "Other"),
        ("service", "exchange"),
    ];
    let draft = browser.post("/tasks/new", &fields).await;
    let draft = draft.location().split('/').nth(3).unwrap().to_owned();
    browser
        .get(&format!("/tasks/new/{draft}/authenticate"))
        .await;
    browser.make_token("administrator").await;
    let all = of.api_tokens().await.unwrap();
    let used = all.first().unwrap().id;
    let another = NewApiToken {
        user: tenant.user,
        name: "Another".to_owned(),
        role: Role::Auditor,
        token_hash: used.to_string(),
        expires_at: stage.now() + jiff::SignedDuration::from_hours(1),
    };
    let token = of.add_api_token(&another, stage.now()).await.unwrap();
    let colleague = new_user(&format!("colleague-of-{}", tenant.address), Role::Auditor);
    let user = of.add_user(&colleague, stage.now()).await.unwrap();
    let ids = vec![
        ("user", user.to_string()),
        ("token", token.to_string()),
        // What there is none of.
        ("point", "0".repeat(64)),
        ("folder", "none".to_owned()),
        ("message", "none".to_owned()),
        ("number", "0".to_owned()),
        ("connection", connection.to_string()),
        ("task", task.to_string()),
        ("account", account.to_string()),
        ("run", run.to_string()),
        ("draft", draft),
    ];
    (tenant, browser, ids)
}

pub(crate) async fn call(browser: &Browser, route: &RouteInfo, path: &str) -> Answer {
    if route.is_api() {
        let body = match route.method {
            Method::GET => "",
            // What those want who choose accounts; ids are looked for before the body is read.
            _ => r#"{"all": {}}"#,
        };
        return browser.program(route.method.clone(), path, body).await;
    }
    match route.method {
        Method::GET => browser.get(path).await,
        _ => {
            let csrf = browser.csrf().await;
            // What the forms of the console want at least; ids are looked for first.
            let fields = [
                ("csrf", csrf.as_str()),
                ("name", "Another"),
                ("service", "exchange"),
                ("proof", "certificate"),
                ("schedule", "2"),
            ];
            browser.post(path, &fields).await
        }
    }
}

/// A path with ids in place of what is in braces; nothing when a kind of id is not known here.
pub(crate) fn filled(path: &str, ids: &Ids) -> Option<String> {
    let parts = path.split('/').map(|part| {
        match part
            .strip_prefix('{')
            .and_then(|part| part.strip_suffix('}'))
        {
            None => Some(part.to_owned()),
            Some(name) => ids
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, id)| id.clone()),
        }
    });
    parts
        .collect::<Option<Vec<_>>>()
        .map(|parts| parts.join("/"))
}

/// What changes more than a test may: it ends the session or asks Microsoft, which is not here.
fn is_left_out(path: &str) -> bool {
    path == "/sign-out" || path.ends_with("/check") || path.ends_with("/checking")
}

/// What only an account that was backed up has; `api` looks into one.
fn is_inside_a_backup(path: &str) -> bool {
    path.contains("{point}")
}

/// An answer that goes on as long as there is something to tell; only that it is refused can be waited for.
pub(crate) fn is_endless(path: &str) -> bool {
    path.ends_with("/events")
}

/// abuse 85.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_behind_the_sign_in_page() {
    let stage = Stage::start().await;
    let (_tenant, _browser, ids) = owner(&stage, "ada").await;
    let nobody = stage.browser();
    let mut guarded = 0;
    for route in server::routes() {
        if route.who == Who::Anybody {
            continue;
        }
        let path = filled(&route.path, &ids).unwrap_or_else(|| route.path.replace(['{', '}'], ""));
        let answer = call(&nobody, &route, &path).await;
        guarded += 1;
        if route.is_api() {
            assert_eq!(answer.status, 401, "{route:?}");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
            answer.problem();
            continue;
        }
        let to = answer.location();
        assert!(
            to == "/sign-in" || to.starts_with("/sign-in?next=%2F"),
            "{route:?}"
        );
    }
    assert!(guarded > 10);
}

/// abuse 85: 404, as for what there is not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_anothers_is_not_there() {
    let stage = Stage::start().await;
    let (_ada, adas, ids) = owner(&stage, "ada").await;
    let (_bob, bobs, _) = owner(&stage, "bobby").await;
    let mut seen = 0;
    for route in server::routes() {
        if route.who == Who::Anybody || !route.path.contains('{') {
            continue;
        }
        let path = filled(&route.path, &ids);
        let path =
            path.unwrap_or_else(|| panic!("an id of a new kind: name one in `owner`: {route:?}"));
        let foreign = call(&bobs, &route, &path).await;
        assert_eq!(foreign.status, 404, "{route:?}: {}", foreign.text);
        seen += 1;
        let is_left_out = is_left_out(&route.path) || is_endless(&route.path);
        if is_left_out || is_inside_a_backup(&route.path) {
            continue;
        }
        let own = call(&adas, &route, &path).await;
        assert_ne!(own.status, 404, "{route:?}");
        assert!(own.status < 500, "{route:?}: {}", own.text);
    }
    assert!(seen > 5);
}

/// abuse 85: by role.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_allows_what_it_says_and_no_more() {
    let stage = Stage::start().await;
    let (tenant, _, ids) = owner(&stage, "ada").await;
    for (role, address) in [
        (Role::Operator, "operator@example.com"),
        (Role::Auditor, "auditor@example.com"),
    ] {
        let user = new_user(address, role);
        tenant
            .organization
            .add_user(&user, stage.now())
            .await
            .unwrap();
        let browser = stage.browser();
        browser.sign_in(address).await;
        browser.make_token(role.word()).await;
        for route in server::routes() {
            let Some(path) = filled(&route.path, &ids) else {
                continue;
            };
            let is_allowed = match route.who {
                Who::Anybody => continue,
                Who::User => true,
                Who::Operator => role == Role::Operator,
                Who::Administrator => false,
            };
            if is_allowed && (is_left_out(&path) || is_endless(&path)) {
                continue;
            }
            let answer = call(&browser, &route, &path).await;
            assert_eq!(answer.status != 403, is_allowed, "{role:?} {route:?}");
        }
    }
}
