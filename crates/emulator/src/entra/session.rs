//! Signing in: passwords, and the cookie by which a browser is remembered.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use http::header;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{EntraError, LoginRequest};
use crate::{Tenant, User};

/// The name of Entra ID's own cookie.
const COOKIE: &str = "ESTSAUTH";

/// A session that is not kept signed in lasts a day.
const LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// Sessions that are remembered; more than that, and all sign in again.
const SESSIONS_MAX: usize = 4096;

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub(super) struct SignedIn {
    pub(super) user: Arc<User>,
    pub(super) since: Timestamp,
}

#[derive(Clone, Debug)]
struct Session {
    user: Uuid,
    since: Timestamp,
}

/// The sessions of all browsers.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Session>>);

impl Sessions {
    /// Who the request's cookie says is signed in, unless the session is over or the account was disabled meanwhile.
    pub(super) fn find(&self, tenant: &Tenant, request: &LoginRequest) -> Option<SignedIn> {
        let key = cookie(request)?;
        let session = self.lock().get(&key).cloned()?;
        let user = tenant.user(&session.user.to_string())?;
        let is_over = session.since.saturating_add(LIFETIME).ok()? <= request.stamp.now;
        (!is_over && user.is_enabled()).then_some(SignedIn {
            user,
            since: session.since,
        })
    }

    /// Begins a session under this key. Gives the value of `Set-Cookie`.
    pub(super) fn begin(&self, key: String, user: Uuid, now: Timestamp) -> String {
        let cookie = format!("{COOKIE}={key}; path=/; HttpOnly; SameSite=Lax");
        let mut sessions = self.lock();
        if sessions.len() >= SESSIONS_MAX {
            sessions.clear();
        }
        sessions.insert(key, Session { user, since: now });
        cookie
    }

    /// Ends the request's session. Gives the value of `Set-Cookie` that takes the cookie away.
    pub(super) fn end(&self, request: &LoginRequest) -> String {
        if let Some(key) = cookie(request) {
            self.lock().remove(&key);
        }
        format!("{COOKIE}=; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks name and password.
///
/// # Errors
/// In this order: 50034 for a name that the tenant does not have, 50057 for a disabled account, 50126 for another password.
pub(super) fn sign_in(
    tenant: &Tenant,
    name: &str,
    password: &str,
) -> Result<Arc<User>, EntraError> {
    let name = name.trim();
    // An object id is no name to sign in with.
    let user = tenant
        .user(name)
        .filter(|user| user.principal_name.eq_ignore_ascii_case(name));
    let user = user.ok_or_else(|| {
        EntraError::grant(
            50_034,
            format!(
                "The user account {{EmailHidden}} does not exist in the {} directory. To sign into this application, the account must be added to the directory.",
                tenant.id
            ),
        )
    })?;
    if !user.is_enabled() {
        return Err(EntraError::grant(50_057, "The user account is disabled."));
    }
    if user.password != password {
        return Err(EntraError::grant(
            50_126,
            "Error validating credentials due to invalid username or password.",
        ));
    }
    Ok(user)
}

fn cookie(request: &LoginRequest) -> Option<String> {
    let headers = request.headers.get_all(header::COOKIE).iter();
    headers
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value.to_owned())
}
