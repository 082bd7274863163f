//! What costs much is refused to a user who asks too often, with the time to wait, on pages and to programs alike.

use reqwest::Method;

use crate::{
    content::{Backed, mail, noise},
    stage::Stage,
};

/// More than anybody may ask for at once.
const TOO_MANY: usize = 400;
const NO_ACCOUNT: &str = "01890000-0000-7000-8000-000000000000";

/// abuse 98: by user, whatever is asked for; the account need not even be there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_searches_too_often_is_told_to_wait() {
    let stage = Stage::start().await;
    let (_ada, ada) = stage.signed_in("ada").await;
    let (_bob, bob) = stage.signed_in("bob").await;
    ada.make_token("administrator").await;
    let page = format!("/accounts/{NO_ACCOUNT}/search?words=x");
    let program = format!("/api/v1/accounts/{NO_ACCOUNT}/restore-points/x/messages");
    let mut allowed = 0;
    let refused = loop {
        let answer = ada.get(&page).await;
        if answer.status == 429 {
            break answer;
        }
        assert_eq!(answer.status, 404);
        allowed += 1;
        assert!(allowed < TOO_MANY, "nobody is refused");
    };
    assert!(allowed > 100, "{allowed}: people search so often");
    assert!(
        refused.has("Too often") && refused.has("then try again"),
        "{}",
        refused.text
    );
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    // The token acts for the same user.
    let refused = ada.program(Method::GET, &program, "").await;
    assert_eq!(refused.status, 429);
    assert!(refused.problem().contains("then try again"));
    assert_eq!(refused.header("retry-after"), wait.to_string());
    assert_eq!(bob.get(&page).await.status, 404, "nobody else waits");
    assert_eq!(ada.get("/").await.status, 200, "nor does what costs little");
    stage.pass(wait);
    assert_eq!(ada.get(&page).await.status, 404);
}

/// abuse 98: downloads that nobody takes do not pile up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_has_two_zips_under_way_and_no_more() {
    // More than lies ready in all buffers between here and there.
    let large = format!("{}{}", mail(1, "Large"), noise(16_000_000));
    let backed = Backed::with(&[large]).await;
    let form = backed.form("folder").await;
    let (first, second) = (backed.download(&form).await, backed.download(&form).await);
    assert_eq!(
        (first.status().as_u16(), second.status().as_u16()),
        (200, 200)
    );
    let refused = backed.download(&form).await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    // Who goes away leaves room.
    drop(first);
    let clock = model::SystemClock::new();
    while backed.download(&form).await.status() == 429 {
        assert!(
            model::Clock::elapsed(&clock).as_secs() < 60,
            "there is no room"
        );
        model::Clock::sleep(&clock, std::time::Duration::from_millis(500)).await;
    }
    drop(second);
}
