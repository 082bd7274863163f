//! Users, mailbox settings and the organization.

use emulator::{Mailbox, Purpose, User, World};
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::harness::{Site, send};

#[tokio::test]
async fn users_come_in_pages_of_a_hundred() {
    let site = Site::start(World::new()).await;
    for number in 1..=205 {
        site.add_user(
            number,
            &format!("user{number}"),
            &json!({"department": "Sales"}),
        );
    }
    let mut path = "/v1.0/users?$select=id".to_owned();
    let mut pages = Vec::new();
    let mut ids = std::collections::BTreeSet::new();
    loop {
        let answer = site.get(&path).await;
        assert_eq!(answer.status, 200);
        let found = answer.column("id");
        pages.push(found.len());
        ids.extend(found);
        match answer.json()["@odata.nextLink"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
        assert!(path.contains("skiptoken="), "{path}");
    }
    assert_eq!(pages, [100, 100, 5]);
    assert_eq!(ids.len(), 205);
    let all = site.get("/v1.0/users?$top=999").await;
    assert_eq!(all.column("id").len(), 205);
    let many = site.get("/v1.0/users?$top=1000").await;
    assert_eq!(
        (many.status, many.code().as_str()),
        (400, "Request_UnsupportedQuery")
    );
    let few = site.get("/v1.0/users?$top=3").await;
    assert_eq!(few.column("id").len(), 3);
    assert!(few.json()["@odata.nextLink"].is_string());
    let edited = site.get("/v1.0/users?$skiptoken=AAAA").await;
    assert_eq!(
        (edited.status, edited.code().as_str()),
        (400, "Directory_ExpiredPageToken")
    );
    site.assert_clean();
}

#[tokio::test]
async fn a_user_shows_the_default_properties_or_those_selected() {
    let site = Site::start(World::new()).await;
    let id = site.add_user(
        1,
        "ann",
        &json!({
            "givenName": "Ann",
            "accountEnabled": false,
            "assignedPlans": [{
                "assignedDateTime": "2026-01-01T00:00:00Z",
                "capabilityStatus": "Enabled",
                "service": "exchange",
                "servicePlanId": "efb87545-963c-4e0d-99df-69c6916d9eb0",
            }],
        }),
    );
    let plain = site.get(&format!("/v1.0/users/{id}")).await.json();
    assert_eq!(plain["givenName"], "Ann");
    assert_eq!(plain["businessPhones"], json!([]));
    assert!(plain["jobTitle"].is_null() && plain.get("jobTitle").is_some());
    assert!(
        plain.get("accountEnabled").is_none(),
        "not a default property"
    );
    let path = "/v1.0/users('ANN@contoso.onmicrosoft.com')?$select=accountEnabled,assignedPlans,assignedLicenses";
    let selected = site.get(path).await.json();
    assert_eq!(selected["accountEnabled"], false);
    assert_eq!(selected["assignedPlans"][0]["service"], "exchange");
    assert_eq!(selected["assignedLicenses"], json!([]));
    assert!(selected.get("id").is_none() && selected.get("displayName").is_none());
    assert!(
        selected["@odata.context"]
            .as_str()
            .expect("a text")
            .ends_with("#users(accountEnabled,assignedPlans,assignedLicenses)/$entity")
    );
    let unknown = site.get("/v1.0/users?$select=colour").await;
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (400, "BadRequest")
    );
    let missing = site.get("/v1.0/users/nobody@contoso.onmicrosoft.com").await;
    assert_eq!(
        (missing.status, missing.code().as_str()),
        (404, "Request_ResourceNotFound")
    );
    let me = site.get("/v1.0/me").await;
    assert_eq!((me.status, me.code().as_str()), (400, "BadRequest"));
    site.assert_clean();
}

#[tokio::test]
async fn advanced_queries_need_the_header_that_the_directory_asks_for() {
    let site = Site::start(World::new()).await;
    site.add_user(
        1,
        "ann",
        &json!({"userType": "Member", "accountEnabled": true}),
    );
    site.add_user(
        2,
        "bob",
        &json!({"userType": "Guest", "accountEnabled": true}),
    );
    site.add_user(
        3,
        "cid",
        &json!({"userType": "Member", "accountEnabled": false}),
    );
    let names = |answer: crate::harness::Answer| answer.column("displayName");
    let filter = "/v1.0/users?$filter=userType eq 'Member' and accountEnabled eq true";
    assert_eq!(names(site.get(filter).await), ["ann"]);
    let starts = site
        .get("/v1.0/users?$filter=startswith(displayName,'B')")
        .await;
    assert_eq!(names(starts), ["bob"]);
    for advanced in [
        "/v1.0/users?$filter=userType ne 'Guest'",
        "/v1.0/users?$filter=endswith(mail,'.com')",
        "/v1.0/users?$filter=userType eq 'Guest'&$orderby=displayName",
        "/v1.0/users?$search=\"displayName:ann\"",
    ] {
        let answer = site.get(advanced).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "Request_UnsupportedQuery"),
            "{advanced}"
        );
    }
    let path = "/v1.0/users?$filter=userType ne 'Guest'&$orderby=displayName desc&$count=true";
    let request = site.request(Method::GET, path).await;
    let answer = send(request.header("ConsistencyLevel", "eventual")).await;
    assert_eq!(answer.json()["@odata.count"], 2);
    assert_eq!(names(answer), ["cid", "ann"]);
    let uncounted = site.get("/v1.0/users?$count=true").await;
    assert!(uncounted.json().get("@odata.count").is_none());
    site.assert_clean();
}

#[tokio::test]
async fn mailbox_settings_tell_what_an_account_is() {
    let site = Site::start(World::new()).await;
    for (number, purpose, name) in [
        (1, Purpose::User, "user"),
        (2, Purpose::Shared, "shared"),
        (3, Purpose::Room, "room"),
        (4, Purpose::Equipment, "equipment"),
    ] {
        let id = Uuid::from_u128(number);
        let mut user = User::new(id, &format!("{name}@contoso.onmicrosoft.com"), name);
        user.purpose = purpose;
        site.running
            .tenant()
            .set_mailbox(id, Mailbox::new(id, &user.principal_name));
        site.running.tenant().set_user(user);
        let settings = site.get(&format!("/v1.0/users/{id}/mailboxSettings")).await;
        assert_eq!(settings.json()["userPurpose"], name);
        assert_eq!(
            settings.json()["automaticRepliesSetting"]["status"],
            "disabled"
        );
    }
    let guest = site.add_user(9, "guest", &json!({"userType": "Guest"}));
    let answer = site
        .get(&format!("/v1.0/users/{guest}/mailboxSettings"))
        .await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (404, "MailboxNotEnabledForRESTAPI")
    );
    let answer = site.get("/v1.0/users/nobody/mailboxSettings").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (404, "ErrorInvalidUser")
    );
    site.assert_clean();
}

#[tokio::test]
async fn there_is_one_organization() {
    let site = Site::start(World::new()).await;
    let answer = site.get("/v1.0/organization").await;
    assert_eq!(answer.column("id"), [site.running.tenant_id.to_string()]);
    assert_eq!(
        answer.json()["value"][0]["verifiedDomains"][0]["name"],
        "contoso.onmicrosoft.com"
    );
    let one = site
        .get(&format!("/v1.0/organization/{}", site.running.tenant_id))
        .await;
    assert_eq!(one.json()["displayName"], "Contoso");
    let other = site
        .get(&format!("/v1.0/organization/{}", Uuid::nil()))
        .await;
    assert_eq!(other.status, 404);
    site.assert_clean();
}

#[tokio::test]
async fn a_generated_company_reads_as_the_directory_does() {
    let site = Site::start(World::new().users(8, 42)).await;
    let answer = site
        .get("/v1.0/users?$select=id,userPrincipalName,mail,proxyAddresses,accountEnabled,userType,assignedLicenses,assignedPlans,createdDateTime&$top=999")
        .await;
    assert!(answer.column("id").len() >= 8);
    site.assert_clean();
}
