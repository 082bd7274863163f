//! Users and their sessions.

use catalog::{
    ApiTokenId, ChainCheck, Error, NewApiToken, NewSession, OrganizationId, Role, UserId,
};
use jiff::Timestamp;

use crate::stage::{Stage, at, on_both, organization, user};

/// Sessions in these tests idle out after this.
fn idle_since(now: i64) -> Timestamp {
    at(now - 3_600)
}

on_both! {
    async fn a_session_ends_by_time_by_idleness_by_sign_out_and_with_its_user(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        let begin = async |token: &str, now: i64| {
            let new = NewSession {
                token_hash: token.to_owned(),
                user: tenant.user,
                organization: tenant.organization.id(),
                password_hash: "hash".to_owned(),
                expires_at: at(now + 10_000),
            };
            stage.catalog.begin_session(&new, at(now)).await.unwrap();
        };
        let is_there = async |token: &str, now: i64| {
            let found = stage.catalog.session(token, idle_since(now), at(now)).await.unwrap();
            found.is_some_and(|session| session.user.id == tenant.user)
        };
        begin("a", 0).await;
        assert!(is_there("a", 10).await);
        assert!(!is_there("b", 10).await);
        // Used every half hour it goes on until its end; unused for an hour it is over.
        for now in (1_800..10_000).step_by(1_800) {
            assert!(is_there("a", now).await, "{now}");
        }
        assert!(!is_there("a", 10_000).await);
        begin("b", 20_000).await;
        assert!(!is_there("b", 23_601).await);
        begin("c", 20_000).await;
        stage.catalog.end_session("c").await.unwrap();
        assert!(!is_there("c", 20_001).await);
        begin("d", 20_000).await;
        tenant.organization.set_password(tenant.user, "other").await.unwrap();
        assert!(!is_there("d", 20_001).await);
    }

    async fn an_api_token_ends_by_time_by_revocation_and_with_its_user(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        let us = &tenant.organization;
        let add = async |hash: &str| {
            let new = NewApiToken {
                user: tenant.user,
                name: "Reports".to_owned(),
                role: Role::Auditor,
                token_hash: hash.to_owned(),
                expires_at: at(10_000),
            };
            us.add_api_token(&new, at(0)).await.unwrap()
        };
        let find = async |hash: &str, now: i64| stage.catalog.api_token(hash, at(now)).await.unwrap();
        let (a, b) = (add("a").await, add("b").await);
        let (token, user) = find("a", 10).await.unwrap();
        assert_eq!((token.id, token.role, token.used_at), (a, Role::Auditor, None));
        assert_eq!((user.id, user.role), (tenant.user, Role::Administrator));
        // Its use is noted once a minute.
        assert_eq!(find("a", 20).await.unwrap().0.used_at, Some(at(10)));
        assert_eq!(find("a", 69).await.unwrap().0.used_at, Some(at(10)));
        find("a", 70).await.unwrap();
        assert_eq!(find("a", 71).await.unwrap().0.used_at, Some(at(70)));
        assert!(find("a", 9_999).await.is_some());
        assert!(find("a", 10_000).await.is_none());
        us.revoke_api_token(b, at(30)).await.unwrap();
        us.revoke_api_token(b, at(40)).await.unwrap();
        assert!(find("b", 41).await.is_none());
        // The newest first, and a revoked one is still there to be named.
        let all = us.api_tokens().await.unwrap();
        let all: Vec<_> = all.iter().map(|token| (token.id, token.revoked_at)).collect();
        assert_eq!(all, [(b, Some(at(30))), (a, None)]);
        us.add_user(&crate::stage::user("bob"), at(50)).await.unwrap();
        us.disable_user(tenant.user, at(50)).await.unwrap();
        assert!(find("a", 51).await.is_none());
        us.enable_user(tenant.user).await.unwrap();
        assert!(find("a", 52).await.is_none(), "it has ended for good");
        assert!(find("c", 51).await.is_none());
        let nothing = us.revoke_api_token(ApiTokenId::new(), at(60)).await;
        assert!(matches!(nothing, Err(Error::NotFound(_))), "{nothing:?}");
    }

    async fn an_address_signs_in_one_person_whatever_its_case(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        let found = stage.catalog.user_by_address("ANNA@Example.COM").await.unwrap().unwrap();
        assert_eq!((found.id, found.address.as_str()), (tenant.user, "anna@example.com"));
        assert!(stage.catalog.user_by_address("bob@example.com").await.unwrap().is_none());
        let mut again = user("anna");
        again.address = "Anna@EXAMPLE.com".to_owned();
        let other = OrganizationId::new();
        let refused = stage.catalog.found(&organization(other, "Other"), &again, at(1)).await;
        assert!(matches!(refused, Err(Error::Exists("user"))), "{refused:?}");
        // Neither half of it was made.
        assert!(matches!(stage.catalog.organization(other).get().await, Err(Error::NotFound(_))));
    }

    async fn the_last_administrator_stays_one(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        let mut bob = user("bob");
        bob.role = Role::Operator;
        let bob = tenant.organization.add_user(&bob, at(1)).await.unwrap();
        // Who has been invited and has not come administers nothing yet.
        let mut eve = user("eve");
        eve.password_hash.clear();
        let us = &tenant.organization;
        us.add_user(&eve, at(1)).await.unwrap();
        for refused in [
            us.disable_user(tenant.user, at(2)).await,
            us.set_role(tenant.user, Role::Operator).await,
            us.can_spare(tenant.user).await,
        ] {
            assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
        }
        us.set_role(tenant.user, Role::Administrator).await.unwrap();
        us.disable_user(bob, at(2)).await.unwrap();
        assert!(us.user(bob).await.unwrap().disabled);
        // Disabled, an administrator is none.
        us.set_role(bob, Role::Administrator).await.unwrap();
        let refused = us.set_role(tenant.user, Role::Auditor).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
        us.enable_user(bob).await.unwrap();
        us.can_spare(tenant.user).await.unwrap();
        us.set_role(tenant.user, Role::Auditor).await.unwrap();
        assert_eq!(us.user(tenant.user).await.unwrap().role, Role::Auditor);
        let refused = us.disable_user(bob, at(3)).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
        for nobody in [us.set_role(UserId::new(), Role::Auditor).await, us.enable_user(UserId::new()).await] {
            assert!(matches!(nobody, Err(Error::NotFound(_))), "{nobody:?}");
        }
        assert_eq!(
            tenant.organization.check_audit().await.unwrap(),
            ChainCheck::Unbroken { entries: 0, last: String::new() }
        );
    }

    async fn an_invitation_is_good_once_and_ends_by_time_by_the_next_and_with_its_user(stage: Stage) {
        let tenant = stage.tenant("anna").await;
        let us = &tenant.organization;
        let mut bob = user("bob");
        bob.password_hash.clear();
        let bob = us.add_user(&bob, at(1)).await.unwrap();
        let invited = async |hash: &str, now: i64| {
            let found = stage.catalog.invited(hash, at(now)).await.unwrap();
            found.is_some_and(|user| user.id == bob)
        };
        let accept = async |hash: &str, now: i64| stage.catalog.accept_invitation(hash, "argon", at(now)).await;
        let is_over = |accepted: Result<catalog::User, Error>| matches!(accepted, Err(Error::NotFound(_)));
        // Nobody who has none is meant by an empty one.
        assert!(!invited("", 2).await);
        assert!(is_over(accept("", 2).await));
        us.invite(bob, "first", at(100)).await.unwrap();
        assert!(invited("first", 2).await);
        us.invite(bob, "second", at(100)).await.unwrap();
        assert!(!invited("first", 3).await && invited("second", 99).await && !invited("second", 100).await);
        assert!(is_over(accept("second", 100).await));
        assert!(us.user(bob).await.unwrap().password_hash.is_empty());
        assert_eq!(us.user(bob).await.unwrap().invited_until, Some(at(100)));

        let accepted = accept("second", 99).await.unwrap();
        assert_eq!((accepted.id, accepted.password_hash.as_str(), accepted.invited_until), (bob, "argon", None));
        assert!(!invited("second", 4).await);
        assert!(is_over(accept("second", 4).await), "it is good once");

        // It ends what was opened with the password before it.
        let session = NewSession {
            token_hash: "a".to_owned(),
            user: bob,
            organization: us.id(),
            password_hash: "argon".to_owned(),
            expires_at: at(1_000),
        };
        stage.catalog.begin_session(&session, at(5)).await.unwrap();
        us.invite(bob, "third", at(100)).await.unwrap();
        assert!(stage.catalog.session("a", at(0), at(6)).await.unwrap().is_some());
        accept("third", 6).await.unwrap();
        assert!(stage.catalog.session("a", at(0), at(6)).await.unwrap().is_none());

        us.invite(bob, "fourth", at(100)).await.unwrap();
        us.disable_user(bob, at(7)).await.unwrap();
        us.enable_user(bob).await.unwrap();
        assert!(!invited("fourth", 8).await);
        us.disable_user(bob, at(9)).await.unwrap();
        let refused = us.invite(bob, "fifth", at(100)).await;
        assert!(matches!(refused, Err(Error::NotFound(_))), "{refused:?}");
    }
}
