//! Authorization codes and refresh tokens: opaque to clients, remembered here until they are used up or over.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{EntraError, asked::Asked, session::SignedIn};
use crate::{App, tenant::Platform};

/// Codes live "about ten minutes".
const CODE_LIFETIME: SignedDuration = SignedDuration::from_mins(10);
/// Refresh tokens live ninety days unless they are used.
const REFRESH_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 90);
/// Codes and refresh tokens that are remembered; more than that, and those that are over are forgotten, then all.
const REMEMBERED_MAX: usize = 4096;

/// What a person let an application have.
#[derive(Clone, Debug)]
pub(super) struct Permit {
    pub(super) client_id: Uuid,
    pub(super) user: Uuid,
    /// When the person signed in.
    pub(super) since: Timestamp,
    pub(super) scopes: Vec<String>,
}

impl Permit {
    /// What a person who signed in lets an application have of what it asked for.
    pub(super) fn of(app: &App, signed_in: &SignedIn, asked: &Asked) -> Self {
        let scopes = asked.scopes(app);
        Self {
            client_id: app.client_id,
            user: signed_in.user.id,
            since: signed_in.since,
            scopes: scopes.iter().map(|scope| scope.value.to_owned()).collect(),
        }
    }
}

/// A permit on its way to the application.
#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) permit: Permit,
    pub(super) redirect_uri: String,
    pub(super) platform: Platform,
    pub(super) nonce: Option<String>,
    pub(super) challenge: Option<Challenge>,
}

/// What a code's redeemer must know (RFC 7636).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Plain(String),
    Sha256(String),
}

#[derive(Debug)]
struct Kept<T> {
    what: T,
    issued: Timestamp,
    is_used: bool,
}

/// All codes and refresh tokens.
#[derive(Debug, Default)]
pub(super) struct Codes {
    codes: Mutex<HashMap<String, Kept<Code>>>,
    refresh: Mutex<HashMap<String, Kept<Permit>>>,
}

impl Codes {
    pub(super) fn keep(&self, key: String, code: Code, now: Timestamp) {
        insert(&self.codes, key, code, now, CODE_LIFETIME);
    }

    pub(super) fn keep_refresh(&self, key: String, permit: Permit, now: Timestamp) {
        insert(&self.refresh, key, permit, now, REFRESH_LIFETIME);
    }

    /// A code as it was given out. That it is used up is noted by [`Codes::use_up`], when nothing else is wrong with the request.
    ///
    /// # Errors
    /// 54005 for a code that was redeemed, 70008 for one that is over, 70000 for one that was never given to this client.
    pub(super) fn find(
        &self,
        key: &str,
        client_id: Uuid,
        now: Timestamp,
    ) -> Result<Code, EntraError> {
        let codes = lock(&self.codes);
        let kept = codes
            .get(key)
            .filter(|kept| kept.what.permit.client_id == client_id);
        let kept = kept.ok_or_else(invalid)?;
        if kept.is_used {
            return Err(redeemed());
        }
        if is_over(kept.issued, CODE_LIFETIME, now) {
            return Err(EntraError::grant(
                70_008,
                "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource.",
            ));
        }
        Ok(kept.what.clone())
    }

    /// Uses a code up.
    ///
    /// # Errors
    /// 54005 if another request was faster.
    pub(super) fn use_up(&self, key: &str) -> Result<(), EntraError> {
        match lock(&self.codes).get_mut(key) {
            Some(kept) if !kept.is_used => {
                kept.is_used = true;
                Ok(())
            }
            _ => Err(redeemed()),
        }
    }

    /// What a refresh token stands for. It may be used again: Entra ID does not revoke the old one when it gives a new one.
    ///
    /// # Errors
    /// 700082 for one that is over, 70000 for one that was never given to this client.
    pub(super) fn refresh(
        &self,
        key: &str,
        client_id: Uuid,
        now: Timestamp,
    ) -> Result<Permit, EntraError> {
        let refresh = lock(&self.refresh);
        let kept = refresh
            .get(key)
            .filter(|kept| kept.what.client_id == client_id);
        let kept = kept.ok_or_else(invalid)?;
        if is_over(kept.issued, REFRESH_LIFETIME, now) {
            return Err(EntraError::grant(
                700_082,
                format!(
                    "The refresh token has expired due to inactivity. The token was issued on {} and was inactive for 90.00:00:00.",
                    kept.issued.strftime("%Y-%m-%dT%H:%M:%S%.7fZ")
                ),
            ));
        }
        Ok(kept.what.clone())
    }
}

fn redeemed() -> EntraError {
    EntraError::grant(
        54_005,
        "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.",
    )
}

fn invalid() -> EntraError {
    EntraError::grant(70_000, "Provided grant is invalid or malformed.")
}

fn is_over(issued: Timestamp, lifetime: SignedDuration, now: Timestamp) -> bool {
    now.duration_since(issued) >= lifetime
}

fn insert<T>(
    map: &Mutex<HashMap<String, Kept<T>>>,
    key: String,
    what: T,
    now: Timestamp,
    lifetime: SignedDuration,
) {
    let mut map = lock(map);
    if map.len() >= REMEMBERED_MAX {
        map.retain(|_, kept| !is_over(kept.issued, lifetime, now));
    }
    if map.len() >= REMEMBERED_MAX {
        map.clear();
    }
    map.insert(
        key,
        Kept {
            what,
            issued: now,
            is_used: false,
        },
    );
}

fn lock<T>(map: &Mutex<HashMap<String, T>>) -> MutexGuard<'_, HashMap<String, T>> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}
