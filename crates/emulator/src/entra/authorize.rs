//! `/{tenant}/oauth2/v2.0/authorize`: by way of signing in and consent back to the application, with a code, an id token or both.

use http::StatusCode;

use super::{
    Entra, EntraError, LoginRequest,
    asked::Asked,
    client::missing,
    codes::{Challenge, Code, Permit},
    consent::{self, For},
    deliver::Mode,
    id_token::IdToken,
    page::{self, Line},
    session::SignedIn,
    walk::{Person, Walk},
};
use crate::{Reply, User, permissions::Scope};

/// A code challenge is as long as its verifier may be (RFC 7636, 4.1).
const CHALLENGE_LENGTHS: std::ops::RangeInclusive<usize> = 43..=128;

/// Answers a request or a page of ours.
///
/// # Errors
/// What only a page can tell; everything else is sent to the application.
pub(super) fn answer(
    entra: &Entra,
    request: &LoginRequest,
    authority: &str,
) -> Result<Reply, EntraError> {
    let walk = Walk::begin(entra, request, authority)?;
    let wants = walk.get("response_type").map(Wants::parse);
    // An error travels as the answer would, as far as that is known.
    let usual = match &wants {
        Some(Ok(wants)) if wants.id_token => Mode::Fragment,
        _ => Mode::Query,
    };
    let mode = walk.get("response_mode").map_or(Some(usual), Mode::named);
    let refuse = |error: EntraError| walk.send(mode.unwrap_or(usual), walk.told(&error));
    let checked = wants
        .ok_or_else(|| missing("response_type"))
        .flatten()
        .and_then(|wants| {
            let mode = mode.ok_or_else(unsupported_mode)?;
            Authorization::check(&walk, wants, mode)
        });
    Ok(match checked {
        Ok(authorization) => authorization.answer().unwrap_or_else(refuse),
        Err(error) => refuse(error),
    })
}

/// `response_type`.
#[derive(Clone, Copy, Debug)]
struct Wants {
    code: bool,
    id_token: bool,
}

impl Wants {
    fn parse(text: &str) -> Result<Self, EntraError> {
        let mut wants = Self {
            code: false,
            id_token: false,
        };
        for word in text.split_whitespace() {
            match word {
                "code" => wants.code = true,
                "id_token" => wants.id_token = true,
                "token" => {
                    return Err(unsupported_type(
                        700_051,
                        "response_type 'token' is not enabled for the application.",
                    ));
                }
                _ => {
                    return Err(unsupported_type(
                        70_005,
                        "The provided value for the input parameter 'response_type' is not allowed for this client. Expected value is 'code'.",
                    ));
                }
            }
        }
        Ok(wants)
    }
}

/// A request that is right in itself.
#[derive(Debug)]
struct Authorization<'a> {
    walk: &'a Walk<'a>,
    wants: Wants,
    mode: Mode,
    asked: Asked,
    challenge: Option<Challenge>,
}

impl<'a> Authorization<'a> {
    fn check(walk: &'a Walk<'a>, wants: Wants, mode: Mode) -> Result<Self, EntraError> {
        let asked = walk.asked()?;
        if wants.id_token {
            if !walk.app.id_tokens {
                return Err(unsupported_type(
                    700_054,
                    "response_type 'id_token' is not enabled for the application.",
                ));
            }
            if mode == Mode::Query {
                return Err(EntraError::request(
                    70_007,
                    "'query' is not a supported value of 'response_mode' when requesting a token.",
                ));
            }
            if !asked.has("openid") {
                return Err(unsupported_type(
                    70_005,
                    "response_type 'id_token' requires the 'openid' scope.",
                ));
            }
            walk.get("nonce").ok_or_else(|| missing("nonce"))?;
        }
        if !matches!(
            walk.get("prompt"),
            None | Some("login" | "none" | "consent" | "select_account")
        ) {
            return Err(EntraError::request(90_023, "Unsupported 'prompt' value."));
        }
        Ok(Self {
            challenge: challenge(walk)?,
            walk,
            wants,
            mode,
            asked,
        })
    }

    fn answer(&self) -> Result<Reply, EntraError> {
        let walk = self.walk;
        let is_silent = walk.get("prompt") == Some("none");
        let signed_in = match walk.person() {
            Person::Known(signed_in) => signed_in,
            Person::Asked(_) if is_silent => {
                return Err(EntraError::new(
                    StatusCode::BAD_REQUEST,
                    "login_required",
                    50_058,
                    "A silent sign-in request was sent but no user is signed in.",
                ));
            }
            Person::Asked(page) => return Ok(page),
        };
        let tenant = &walk.entra.tenant;
        let missing = consent::missing(tenant, &walk.app, &self.asked, &signed_in.user);
        match walk.answer("decision") {
            Some("accept") => {
                grant(walk, &self.asked, &signed_in, &missing)?;
                Ok(self.done(&signed_in))
            }
            Some(_) if consent::may_grant(tenant, &signed_in.user, &missing) => Err(declined()),
            Some(_) => Err(approval_needed()),
            None if is_silent && !missing.is_empty() => Err(EntraError::new(
                StatusCode::BAD_REQUEST,
                "interaction_required",
                65_001,
                format!(
                    "The user or administrator has not consented to use the application with ID '{}' named '{}'. Send an interactive authorization request for this user and resource.",
                    walk.app.client_id, walk.app.display_name
                ),
            )),
            None if missing.is_empty() && walk.get("prompt") != Some("consent") => {
                Ok(self.done(&signed_in))
            }
            None => Ok(ask(walk, &self.asked, &signed_in.user, &missing)),
        }
    }

    /// Back to the application.
    fn done(&self, signed_in: &SignedIn) -> Reply {
        let walk = self.walk;
        let now = walk.request.stamp.now;
        let nonce = walk.get("nonce").map(str::to_owned);
        let permit = Permit::of(&walk.app, signed_in, &self.asked);
        let mut fields = Vec::new();
        let mut code = None;
        if self.wants.code {
            let key = walk.entra.opaque();
            fields.push(("code", key.clone()));
            code = Some(key);
        }
        if self.wants.id_token {
            let id_token = IdToken {
                app: &walk.app,
                user: &signed_in.user,
                permit: &permit,
                nonce: nonce.as_deref(),
                code: code.as_deref(),
            };
            fields.push((
                "id_token",
                id_token.sign(walk.entra, walk.request.origin, now),
            ));
        }
        if let Some(key) = code {
            let code = Code {
                permit,
                redirect_uri: walk.redirect_uri.clone(),
                platform: walk.platform,
                nonce,
                challenge: self.challenge.clone(),
            };
            walk.entra.codes.keep(key, code, now);
        }
        walk.send(self.mode, fields)
    }
}

/// The page that asks for consent, or says who could give it.
pub(super) fn ask(walk: &Walk, asked: &Asked, user: &User, missing: &[&'static Scope]) -> Reply {
    let action = walk.address(&[]);
    let (app, name) = (&walk.app.display_name, &user.principal_name);
    if !consent::may_grant(&walk.entra.tenant, user, missing) {
        let stamp = walk.request.stamp;
        return page::need_approval(&action, app, name, &approval_needed(), stamp);
    }
    let all = asked.scopes(&walk.app);
    // `openid` is what signing in means; Microsoft's page does not list it.
    let lines: Vec<_> = all
        .iter()
        .filter(|scope| scope.value != "openid")
        .map(|scope| Line {
            name: scope.user_name,
            description: scope.description,
        })
        .collect();
    let organization = consent::may_grant_for_all(user).then_some(false);
    page::consent(&action, app, name, &lines, organization)
}

/// Writes down that the person consented on that page.
///
/// # Errors
/// 90094 for somebody who may not.
pub(super) fn grant(
    walk: &Walk,
    asked: &Asked,
    signed_in: &SignedIn,
    missing: &[&'static Scope],
) -> Result<(), EntraError> {
    let user = &signed_in.user;
    if !consent::may_grant(&walk.entra.tenant, user, missing) {
        return Err(approval_needed());
    }
    let for_all = walk.answer("organization") == Some("true");
    let whom = match for_all && consent::may_grant_for_all(user) {
        true => For::Everybody,
        false => For::Oneself,
    };
    let scopes = asked.scopes(&walk.app);
    let now = walk.request.stamp.now;
    consent::record(
        &walk.entra.tenant,
        &walk.app,
        user,
        whom,
        (&scopes, &[]),
        now,
    );
    Ok(())
}

fn challenge(walk: &Walk) -> Result<Option<Challenge>, EntraError> {
    let method = walk.get("code_challenge_method");
    let Some(challenge) = walk.get("code_challenge") else {
        return match method {
            None => Ok(None),
            Some(_) => Err(EntraError::request(
                50_147,
                "Missing Code_Challenge parameter.",
            )),
        };
    };
    if !CHALLENGE_LENGTHS.contains(&challenge.len()) {
        return Err(EntraError::request(
            501_491,
            "Invalid size of Code_Challenge parameter.",
        ));
    }
    match method {
        Some("S256") => Ok(Some(Challenge::Sha256(challenge.to_owned()))),
        None | Some("plain") => Ok(Some(Challenge::Plain(challenge.to_owned()))),
        Some(_) => Err(EntraError::request(
            50_149,
            "Invalid Code_Challenge_method parameter.",
        )),
    }
}

/// Somebody pressed Cancel.
pub(super) fn declined() -> EntraError {
    EntraError::new(
        StatusCode::FORBIDDEN,
        "access_denied",
        65_004,
        "User declined to consent to access the app.",
    )
    .with_subcode("cancel")
}

/// Somebody may not grant what is asked for.
pub(super) fn approval_needed() -> EntraError {
    EntraError::new(
        StatusCode::FORBIDDEN,
        "access_denied",
        90_094,
        "The grant requires admin permission.",
    )
}

fn unsupported_type(number: u32, message: &str) -> EntraError {
    EntraError::new(
        StatusCode::BAD_REQUEST,
        "unsupported_response_type",
        number,
        message,
    )
}

fn unsupported_mode() -> EntraError {
    EntraError::request(
        70_007,
        "The provided value for the input parameter 'response_mode' is not supported.",
    )
}
