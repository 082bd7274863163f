//! HTTPS, and the proxy behind which Microsoft's hosts have their names, as a client meets them that knows no other address.

use std::net::{Ipv4Addr, SocketAddr};

use emulator::{FaultRule, Settings, World};
use reqwest::{Certificate, Client, Method, Proxy, Version};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{Answer, Site, form_request, send};

const GRAPH: &str = "https://graph.microsoft.com/v1.0";
const LOGIN: &str = "https://login.microsoftonline.com";

/// An emulator with all doors, and one user with a mailbox.
async fn site() -> Site {
    let any = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let world = World::new().users(1, 1);
    Site::start_with(world, |settings| Settings {
        https: any,
        proxy: any,
        ..settings
    })
    .await
}

/// The same for a client that trusts the emulator's authority and nobody else, and that goes through the proxy.
async fn behind_the_proxy() -> Site {
    let mut site = site().await;
    let proxy = site.running.proxy_url.as_deref().expect("there is a proxy");
    let proxy = Proxy::all(proxy).expect("its address is a URL");
    site.client = client(&site, |client| client.proxy(proxy));
    site
}

fn client(
    site: &Site,
    adjust: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
) -> Client {
    let authority = Certificate::from_pem(site.running.ca_pem.as_bytes()).expect("it is PEM");
    let builder = Client::builder().no_proxy().tls_certs_only([authority]);
    adjust(builder).build().expect("a client can be made")
}

async fn token(site: &Site, login: &str) -> String {
    let path = format!("{login}/{}/oauth2/v2.0/token", site.running.tenant_id);
    let id = site.running.client_id.to_string();
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", "https://graph.microsoft.com/.default"),
        ("client_id", &id),
        ("client_secret", &site.running.client_secret),
    ];
    let answer = send(form_request(site.bare(Method::POST, &path), &form)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let token = answer.json()["access_token"].as_str().map(str::to_owned);
    token.expect("a token is text")
}

async fn get(site: &Site, url: &str, token: &str) -> Answer {
    send(site.bare(Method::GET, url).bearer_auth(token)).await
}

#[tokio::test]
async fn https_is_spoken_in_both_versions_and_links_say_so() {
    let mut site = site().await;
    site.add_user(1, "ann", &json!({}));
    let base = site.running.https_url.clone().expect("there is HTTPS");
    let port = base.rsplit(':').next().expect("it has a port").to_owned();
    site.client = client(&site, |client| client);
    let token = token(&site, &base).await;
    let next = format!("https://localhost:{port}/v1.0/users?$top=1");
    for old in [false, true] {
        let client = client(
            &site,
            |client| if old { client.http1_only() } else { client },
        );
        let answer = client.get(&next).bearer_auth(&token).send().await;
        let answer = answer.expect("an answer comes");
        let expected = if old {
            Version::HTTP_11
        } else {
            Version::HTTP_2
        };
        assert_eq!(
            (answer.status().as_u16(), answer.version()),
            (200, expected)
        );
        let text = answer.text().await.expect("the body is complete");
        assert!(
            text.contains(&format!(
                "\"https://localhost:{port}/v1.0/users?$top=1&$skiptoken"
            )),
            "links name the scheme and the host that the client wrote: {text}"
        );
    }
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_authority_is_not_served() {
    let site = site().await;
    let base = site.running.https_url.clone().expect("there is HTTPS");
    let url = format!("{base}/v1.0/users");
    let refused = site.client.get(&url).send().await;
    assert!(refused.expect_err("it is not believed").is_connect());
    let second = self::site().await;
    let other = client(&second, |client| client);
    let refused = other.get(&url).send().await;
    assert!(
        refused
            .expect_err("each emulator has an authority of its own")
            .is_connect()
    );
}

#[tokio::test]
async fn behind_the_proxy_microsofts_hosts_have_their_own_names() {
    let site = behind_the_proxy().await;
    let tenant = site.running.tenant_id;
    let openid = format!("{LOGIN}/{tenant}/v2.0/.well-known/openid-configuration");
    let openid = send(site.bare(Method::GET, &openid)).await.json();
    assert_eq!(openid["issuer"], format!("{LOGIN}/{tenant}/v2.0"));
    let token = token(&site, LOGIN).await;

    let users = get(&site, &format!("{GRAPH}//users?$top=1"), &token).await;
    assert_eq!(users.status, 200);
    let users = users.json();
    assert_eq!(users["@odata.context"], format!("{GRAPH}/$metadata#users"));
    let next = users["@odata.nextLink"].as_str().expect("there are more");
    assert!(next.starts_with(&format!("{GRAPH}/users?")), "{next}");
    assert_eq!(get(&site, next, &token).await.status, 200);

    let denied = send(site.bare(Method::GET, &format!("{GRAPH}/users"))).await;
    assert_eq!(denied.status, 401);
    let challenge = denied.header("www-authenticate");
    assert!(
        challenge.contains(&format!(
            "authorization_uri=\"{LOGIN}/common/oauth2/authorize\""
        )),
        "{challenge}"
    );
}

#[tokio::test]
async fn uploads_go_to_outlooks_host() {
    let site = behind_the_proxy().await;
    let token = token(&site, LOGIN).await;
    let mailbox = site.mailboxes().remove(0);
    let messages = format!("{GRAPH}{mailbox}/messages");
    let new = site.bare(Method::POST, &messages).bearer_auth(&token);
    let message = send(new.json(&json!({"subject": "large"}))).await.json();
    let id = message["id"].as_str().expect("it has an id");
    let large = json!({
        "AttachmentItem": {"attachmentType": "file", "name": "big.bin", "size": 3_500_000},
    });
    let create = format!("{messages}/{id}/attachments/createUploadSession");
    let session = site.bare(Method::POST, &create).bearer_auth(&token);
    let session = send(session.json(&large)).await.json();
    let url = session["uploadUrl"].as_str().expect("it has a URL");
    assert!(
        url.starts_with("https://outlook.office.com/api/gv1.0/"),
        "{url}"
    );
    for host in ["outlook.office.com", "outlook.office365.com"] {
        let url = url.replace("outlook.office.com", host);
        let state = send(site.bare(Method::GET, &url)).await;
        assert_eq!(state.json()["nextExpectedRanges"], json!(["0"]), "{host}");
    }
}

#[tokio::test]
async fn a_host_has_only_what_belongs_there() {
    let site = behind_the_proxy().await;
    let token = token(&site, LOGIN).await;
    for (url, status) in [
        (format!("{LOGIN}/v1.0/users"), 404),
        (format!("{LOGIN}/_emulator/faults"), 404),
        (format!("{GRAPH}/users"), 200),
        (
            "https://graph.microsoft.com/common/discovery/instance".to_owned(),
            400,
        ),
        ("https://outlook.office365.com/v1.0/users".to_owned(), 404),
        (
            "https://contoso-my.sharepoint.com/v1.0/users".to_owned(),
            404,
        ),
    ] {
        assert_eq!(get(&site, &url, &token).await.status, status, "{url}");
    }
}

#[tokio::test]
async fn nothing_is_passed_on_to_other_hosts() {
    let site = site().await;
    let proxy = site.running.proxy_url.as_deref().expect("there is a proxy");
    let address = proxy.trim_start_matches("http://");
    for (head, status) in [
        ("CONNECT example.com:443 HTTP/1.1\r\n\r\n", "403"),
        (
            "CONNECT graph.microsoft.com.example.com:443 HTTP/1.1\r\n\r\n",
            "403",
        ),
        ("CONNECT graph.microsoft.com:80 HTTP/1.1\r\n\r\n", "403"),
        (
            "GET http://graph.microsoft.com/v1.0/users HTTP/1.1\r\nHost: graph.microsoft.com\r\n\r\n",
            "405",
        ),
        ("CONNECT : HTTP/1.1\r\n\r\n", "403"),
    ] {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(head.as_bytes()).await.expect("it reads");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.expect("it answers");
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(answer, format!("HTTP/1.1 {status}"), "{head:?}");
    }
}

#[tokio::test]
async fn a_connection_can_be_reset_within_tls() {
    let site = behind_the_proxy().await;
    let token = token(&site, LOGIN).await;
    let url = format!("{GRAPH}/users");
    assert_eq!(get(&site, &url, &token).await.status, 200);
    site.running
        .add_fault(FaultRule {
            reset: true,
            count: Some(1),
            ..FaultRule::on("/v1.0/users")
        })
        .expect("the rule makes sense");
    // A client of its own: one that reuses a connection would try again by itself.
    let proxy = site.running.proxy_url.as_deref().expect("there is a proxy");
    let proxy = Proxy::all(proxy).expect("its address is a URL");
    let fresh = client(&site, |client| client.proxy(proxy).http1_only());
    let cut = fresh.get(&url).bearer_auth(&token).send().await;
    assert!(cut.is_err(), "{cut:?}");
    assert_eq!(get(&site, &url, &token).await.status, 200);
}
