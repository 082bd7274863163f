//! Device codes (RFC 8628): a program without a browser asks for a code, a person enters it in a browser elsewhere, and the program gets tokens.
//!
//! A page of ours is where the code is entered; Microsoft prints a short address on another host that leads to it. What becomes of a code is
//! remembered here until it is used up or over. The token endpoint asks by [`Devices::redeem`].

use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Authority, Entra, EntraError, LoginRequest,
    asked::Asked,
    authorize::{approval_needed, ask, grant},
    client::{Claimed, form, malformed, registered, required},
    codes::Permit,
    consent,
    deliver::{encode, redirect},
    page,
    session::SignedIn,
    walk::{Person, Walk, check_audience},
};
use crate::{Query, Reply};

/// Codes live a quarter of an hour.
const LIFETIME: SignedDuration = SignedDuration::from_mins(15);
/// Seconds that a program is to wait between two questions.
const INTERVAL_S: u32 = 5;
/// Codes that are remembered; more than that, and those that are over are forgotten, then all.
const REMEMBERED_MAX: usize = 4096;
/// What a user code is made of: nothing that is mistaken for another.
const LETTERS: &[u8; 28] = b"ABCDEFGHJKLMNPQRSTUVWXYZ2345";
/// Characters of a user code.
const LETTERS_COUNT: usize = 9;

/// All device codes.
#[derive(Debug, Default)]
pub(super) struct Devices(Mutex<Vec<Device>>);

#[derive(Clone, Debug)]
struct Device {
    key: String,
    user_code: String,
    client_id: Uuid,
    scope: String,
    issued: Timestamp,
    state: State,
}

/// What became of a code.
#[derive(Clone, Debug)]
enum State {
    /// Nobody has entered it and said yes or no.
    Pending,
    Allowed(Permit),
    Declined,
    Redeemed,
}

impl Device {
    fn is_over(&self, now: Timestamp) -> bool {
        now.duration_since(self.issued) >= LIFETIME
    }
}

impl Devices {
    fn keep(&self, device: Device) {
        let mut devices = self.lock();
        if devices.len() >= REMEMBERED_MAX {
            devices.retain(|known| !known.is_over(device.issued));
        }
        if devices.len() >= REMEMBERED_MAX {
            devices.clear();
        }
        devices.push(device);
    }

    /// The code that a person typed, however they wrote it, if it waits for somebody.
    fn waiting(&self, typed: &str, now: Timestamp) -> Option<Device> {
        let devices = self.lock();
        let mut waiting = devices
            .iter()
            .filter(|known| matches!(known.state, State::Pending) && !known.is_over(now));
        waiting
            .find(|known| known.user_code.eq_ignore_ascii_case(typed.trim()))
            .cloned()
    }

    fn settle(&self, key: &str, state: State) {
        if let Some(known) = self.lock().iter_mut().find(|known| known.key == key) {
            known.state = state;
        }
    }

    /// What the program may have, once; then the code is used up.
    ///
    /// # Errors
    /// `authorization_pending` (70016) until somebody has entered the code, `authorization_declined` (65004) when they said no, `expired_token` (70020)
    /// after a quarter of an hour, `bad_verification_code` (70018) for a code that was never given to this client, 54005 for one that was redeemed.
    pub(super) fn redeem(
        &self,
        key: &str,
        client_id: Uuid,
        now: Timestamp,
    ) -> Result<Permit, EntraError> {
        let refused = |error, number, message: &str| {
            Err(EntraError::new(
                StatusCode::BAD_REQUEST,
                error,
                number,
                message,
            ))
        };
        let mut devices = self.lock();
        let known = devices
            .iter_mut()
            .find(|known| known.key == key && known.client_id == client_id);
        let Some(known) = known else {
            return refused(
                "bad_verification_code",
                70_018,
                "Invalid verification code due to User typing in wrong user code for device code flow. Authorization isn't approved.",
            );
        };
        if known.is_over(now) {
            return refused(
                "expired_token",
                70_020,
                "The provided value for the input parameter 'device_code' is not valid. This device code has expired.",
            );
        }
        match std::mem::replace(&mut known.state, State::Redeemed) {
            State::Allowed(permit) => Ok(permit),
            State::Pending => {
                known.state = State::Pending;
                refused(
                    "authorization_pending",
                    70_016,
                    "OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
                )
            }
            State::Declined => {
                known.state = State::Declined;
                refused(
                    "authorization_declined",
                    65_004,
                    "User declined to consent to access the app.",
                )
            }
            State::Redeemed => Err(EntraError::grant(
                54_005,
                "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.",
            )),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Device>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `POST /{tenant}/oauth2/v2.0/devicecode`
///
/// # Errors
/// As the token endpoint's for an unknown application or scope.
pub(super) fn begin(
    entra: &Entra,
    request: &LoginRequest,
    authority: Authority,
) -> Result<Value, EntraError> {
    let form = form(request)?;
    let app = Claimed::read(request, &form)?.app(&entra.tenant)?;
    check_audience(&app, authority)?;
    let scope = required(&form, "scope")?;
    Asked::parse(scope, &entra.tenant, &app)?;
    let device = Device {
        key: entra.opaque(),
        user_code: entra.letters::<LETTERS_COUNT>(LETTERS),
        client_id: app.client_id,
        scope: scope.to_owned(),
        issued: request.stamp.now,
        state: State::Pending,
    };
    let (key, code) = (device.key.clone(), device.user_code.clone());
    entra.devices.keep(device);
    let page = format!("{}/common/oauth2/deviceauth", request.origin);
    Ok(json!({
        "user_code": code,
        "device_code": key,
        "verification_uri": page,
        "expires_in": LIFETIME.as_secs(),
        "interval": INTERVAL_S,
        "message": format!(
            "To sign in, use a web browser to open the page {page} and enter the code {code} to authenticate."
        ),
    }))
}

/// `/common/oauth2/deviceauth`: asks for the code, for the person, and whether they want what the program wants.
///
/// # Errors
/// What only a page can tell: a form or a query that makes no sense.
pub(super) fn answer(entra: &Entra, request: &LoginRequest) -> Result<Reply, EntraError> {
    let posted = match *request.method {
        Method::POST => form(request)?,
        _ => Query::default(),
    };
    let query = Query::parse(request.query).map_err(|_| malformed())?;
    if let Some(typed) = posted.get("otc") {
        return Ok(match entra.devices.waiting(typed, request.stamp.now) {
            Some(device) => redirect(&format!(
                "{}?{}",
                request.path,
                encode(&[("otc", &device.user_code)])
            )),
            None => page::device_code(request.path, true),
        });
    }
    let Some(typed) = query.get("otc") else {
        return Ok(page::device_code(request.path, false));
    };
    let Some(device) = entra.devices.waiting(typed, request.stamp.now) else {
        return Ok(page::device_code(request.path, true));
    };
    let app = registered(&entra.tenant, &device.client_id.to_string())?;
    let asked = Asked::parse(&device.scope, &entra.tenant, &app)?;
    let walk = Walk::of_device(entra, request, query, posted, app);
    let signed_in = match walk.person() {
        Person::Known(signed_in) => signed_in,
        Person::Asked(page) => return Ok(page),
    };
    let missing = consent::missing(&entra.tenant, &walk.app, &asked, &signed_in.user);
    Ok(match walk.answer("decision") {
        None => page::device_app(&walk.address(&[]), &walk.app.display_name),
        Some("continue") if !missing.is_empty() => ask(&walk, &asked, &signed_in.user, &missing),
        Some("continue") => done(&walk, &device, &asked, &signed_in),
        Some("accept") => {
            grant(&walk, &asked, &signed_in, &missing)?;
            done(&walk, &device, &asked, &signed_in)
        }
        Some(_) => {
            entra.devices.settle(&device.key, State::Declined);
            let error = match consent::may_grant(&entra.tenant, &signed_in.user, &missing) {
                true => super::authorize::declined(),
                false => approval_needed(),
            };
            page::error(&error, request.stamp)
        }
    })
}

/// The person may close the window.
fn done(walk: &Walk, device: &Device, asked: &Asked, signed_in: &SignedIn) -> Reply {
    let permit = Permit::of(&walk.app, signed_in, asked);
    walk.entra
        .devices
        .settle(&device.key, State::Allowed(permit));
    page::device_done(&walk.app.display_name)
}
