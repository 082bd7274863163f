//! What every request passes: host, origin, form token, and the headers of every answer.

use reqwest::Method;

use crate::stage::Stage;

/// abuse 86.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_without_its_token_or_from_elsewhere_does_nothing() {
    let stage = Stage::start().await;
    let (_tenant, browser) = stage.signed_in("ada").await;
    let (_other, stranger) = stage.signed_in("bob").await;
    let csrf = browser.csrf().await;
    let strangers = stranger.csrf().await;
    for fields in [
        vec![],
        vec![("csrf", "")],
        vec![("csrf", strangers.as_str())],
        vec![("csrf", &csrf[1..])],
    ] {
        let answer = browser.post("/sign-out", &fields).await;
        assert_eq!(answer.status, 403, "{fields:?}");
    }
    let fields = [("csrf", csrf.as_str())];
    let ours = stage.url.as_str();
    for headers in [
        vec![],
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "cross-site"), ("origin", ours)],
        vec![
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://evil.example"),
        ],
    ] {
        let mut request = browser.form("/sign-out", &fields);
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let answer = browser.send(request).await;
        assert_eq!(answer.status, 403, "{headers:?}");
    }
    assert_eq!(browser.get("/").await.status, 200, "still signed in");
    let answer = browser.post("/sign-out", &fields).await;
    assert_eq!(answer.location(), "/sign-in");
}

/// abuse 86, 96: only forms, of a bounded size.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_bodies_are_not_read() {
    let stage = Stage::start().await;
    let (_tenant, browser) = stage.signed_in("ada").await;
    let csrf = browser.csrf().await;
    for (content_type, body, status) in [
        ("text/plain", "csrf=x".to_owned(), 415),
        ("application/json", "{}".to_owned(), 415),
        (
            "application/x-www-form-urlencoded",
            "x".repeat(300_000),
            413,
        ),
    ] {
        let request = browser
            .request(Method::POST, "/sign-out")
            .header("origin", &stage.url)
            .header("x-csrf-token", &csrf)
            .header("content-type", content_type)
            .body(body);
        assert_eq!(browser.send(request).await.status, status, "{content_type}");
    }
}

/// abuse 91.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_host_gets_nothing() {
    let stage = Stage::start().await;
    let browser = stage.browser();
    for host in ["evil.example", "127.0.0.1", "127.0.0.1:1"] {
        let request = browser
            .request(Method::GET, "/sign-in")
            .header("host", host);
        let answer = browser.send(request).await;
        assert_eq!(answer.status, 421, "{host}");
    }
    let request = browser
        .request(Method::GET, "/")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-proto", "https");
    assert_eq!(browser.send(request).await.location(), "/sign-in");
}

/// abuse 101: on pages, redirects, refusals and files.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_has_its_headers() {
    let stage = Stage::start().await;
    let (_tenant, browser) = stage.signed_in("ada").await;
    let home = browser.get("/").await;
    let (_, sheet) = home.text.split_once("href=\"/assets/").unwrap();
    let sheet = format!("/assets/{}", sheet.split('"').next().unwrap());
    let nobody = stage.browser();
    let mut answers = vec![
        home,
        browser.get("/nothing").await,
        browser.post("/sign-out", &[]).await,
        browser.send(browser.request(Method::DELETE, "/")).await,
        nobody.get("/").await,
        nobody.get("/sign-in").await,
    ];
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 404, 403, 403, 303, 200]);
    for answer in &answers {
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    answers.push(nobody.get(&sheet).await);
    let asset = answers.last().unwrap();
    assert_eq!(asset.status, 200);
    assert!(asset.header("cache-control").contains("immutable"));
    for answer in answers {
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        for part in [
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("x-frame-options", "DENY"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), value, "{name}");
        }
        assert_eq!(answer.header("strict-transport-security"), "", "plain HTTP");
    }
}

/// The console's own files travel compressed. Pages do not: the token of their forms stands beside what somebody else may choose, and the length would
/// tell of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_holds_no_secret_is_compressed() {
    let stage = Stage::start().await;
    let (_tenant, browser) = stage.signed_in("ada").await;
    let client = reqwest::Client::builder().no_proxy().no_gzip();
    let client = client.build().unwrap();
    let ask = async |path: &str| {
        let request = client.get(format!("{}{path}", stage.url));
        let request = browser.signed(request.header("accept-encoding", "gzip"));
        request.send().await.unwrap()
    };
    let home = ask("/").await;
    assert_eq!(home.status(), 200);
    assert!(!home.headers().contains_key("content-encoding"));
    let home = home.text().await.unwrap();
    let (before, _) = home.split_once(".css\"").unwrap();
    let (_, sheet) = before.rsplit_once('"').unwrap();
    let sheet = format!("{sheet}.css");
    let plain = browser.get(&sheet).await;
    let answer = ask(&sheet).await;
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert_eq!(answer.headers()["vary"], "accept-encoding");
    let kept = answer.headers()["cache-control"].to_str().unwrap();
    assert!(kept.contains("immutable"), "{kept}");
    let packed = answer.bytes().await.unwrap();
    assert!(
        packed.len() * 3 < plain.text.len(),
        "{} bytes",
        packed.len()
    );
}

/// abuse 99.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_path_leads_out_of_the_assets() {
    let stage = Stage::start().await;
    let browser = stage.browser();
    let page = browser.get("/sign-in").await;
    let (_, rest) = page.text.split_once("/assets/").unwrap();
    let hash = rest.split('/').next().unwrap();
    for name in [
        "..%2fCargo.toml",
        "..%2f..%2f..%2fetc%2fpasswd",
        "%2e%2e%2fsrc%2flib.rs",
        "..%252fCargo.toml",
        "%2fetc%2fpasswd",
        "nothing.css",
        "",
    ] {
        let answer = browser.get(&format!("/assets/{hash}/{name}")).await;
        assert_eq!(answer.status, 404, "{name}");
    }
    let other = browser.get("/assets/0000000000000000/console.css").await;
    assert_eq!(other.status, 404);
}

/// abuse 67: an answer that is under way is finished, and then it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_console_that_is_told_to_stop_ends() {
    let stage = Stage::start().await;
    assert_eq!(stage.browser().get("/sign-in").await.status, 200);
    stage.stop.cancel();
    stage.serving.await.unwrap().unwrap();
}

/// Whatever watches the process asks by any name; when the data folder is gone, it is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_watches_is_told_whether_it_works() {
    let stage = Stage::start().await;
    let browser = stage.browser();
    for path in ["/healthz", "/readyz"] {
        let request = browser
            .request(Method::GET, path)
            .header("host", "10.0.0.7");
        let answer = browser.send(request).await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (200, "ok\n"),
            "{path}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    stage.lose_data();
    assert_eq!(browser.get("/healthz").await.status, 200);
    assert_eq!(browser.get("/readyz").await.status, 503);
}
