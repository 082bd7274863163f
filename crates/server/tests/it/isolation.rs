//! Who may call what: every address of the table, as nobody, as another organization, and as its own (abuse 85).

use reqwest::Method;
use server::Who;

use crate::stage::Stage;

/// abuse 85.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_behind_the_sign_in_page() {
    let stage = Stage::start().await;
    stage.tenant("ada").await;
    let nobody = stage.browser();
    let csrf = nobody.csrf().await;
    let mut guarded = 0;
    for route in server::routes() {
        if route.who == Who::Anybody {
            continue;
        }
        let path = filled(route.path, "00000000-0000-7000-8000-000000000000");
        let answer = match route.method {
            Method::GET => nobody.get(&path).await,
            _ => nobody.post(&path, &[("csrf", &csrf)]).await,
        };
        let to = answer.location();
        assert!(
            to == "/sign-in" || to.starts_with("/sign-in?next=%2F"),
            "{route:?}"
        );
        guarded += 1;
    }
    assert!(guarded >= 2);
}

/// A path with something in place of everything in braces.
fn filled(path: &str, with: &str) -> String {
    let parts = path.split('/').map(|part| match part.starts_with('{') {
        true => with,
        false => part,
    });
    parts.collect::<Vec<_>>().join("/")
}
