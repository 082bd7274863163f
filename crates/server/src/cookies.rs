//! The four cookies. All are `__Host-`: no other host, no subdomain and no plain connection can set or read them.
//!
//! Browsers take `Secure` cookies from `http://127.0.0.1` as well, because the loopback is trustworthy to them.

use axum::http::{HeaderMap, HeaderValue, header::SET_COOKIE};
use axum_extra::extract::{
    CookieJar,
    cookie::{Cookie, SameSite},
};

use crate::{token::Token, zone::Zone};

/// Who is signed in.
const SESSION: &str = "__Host-keepwell";
/// Whose form it is that somebody sends who is not signed in.
const VISITOR: &str = "__Host-keepwell-visitor";
/// What the next page says at its top.
const FLASH: &str = "__Host-keepwell-said";
/// The reader's time zone. It is the script that sets this one.
const ZONE: &str = "__Host-keepwell-zone";

/// What a request's cookies say.
#[derive(Clone, Debug)]
pub(crate) struct Cookies {
    pub(crate) session: Option<Token>,
    pub(crate) visitor: Token,
    /// Whether the visitor has to be told who they are.
    pub(crate) is_new_visitor: bool,
    pub(crate) flash: Option<String>,
    pub(crate) zone: Zone,
}

impl Cookies {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let jar = CookieJar::from_headers(headers);
        let token = |name| jar.get(name).and_then(|cookie| Token::read(cookie.value()));
        let visitor = token(VISITOR);
        Self {
            session: token(SESSION),
            is_new_visitor: visitor.is_none(),
            visitor: visitor.unwrap_or_else(Token::random),
            flash: jar.get(FLASH).map(|cookie| cookie.value().to_owned()),
            zone: jar
                .get(ZONE)
                .map_or_else(Zone::utc, |cookie| Zone::read(cookie.value())),
        }
    }
}

/// Sets the session's cookie. It is sent when Microsoft sends somebody back, so it is lax; forms are guarded by their tokens.
pub(crate) fn set_session(headers: &mut HeaderMap, token: &Token) {
    set(headers, SESSION, token.as_str(), None);
}

pub(crate) fn clear_session(headers: &mut HeaderMap) {
    set(headers, SESSION, "", Some(0));
}

pub(crate) fn set_visitor(headers: &mut HeaderMap, token: &Token) {
    set(headers, VISITOR, token.as_str(), None);
}

pub(crate) fn set_flash(headers: &mut HeaderMap, value: &str) {
    set(headers, FLASH, value, Some(60));
}

pub(crate) fn clear_flash(headers: &mut HeaderMap) {
    set(headers, FLASH, "", Some(0));
}

/// Whether an answer says something to the next page.
pub(crate) fn sets_flash(headers: &HeaderMap) -> bool {
    let mut set = headers.get_all(SET_COOKIE).iter();
    set.any(|value| value.as_bytes().starts_with(FLASH.as_bytes()))
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str, lives_s: Option<i64>) {
    let mut cookie = Cookie::build((name, value.to_owned()))
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Lax)
        .build()
        .to_string();
    if let Some(seconds) = lives_s {
        cookie.push_str(&format!("; Max-Age={seconds}"));
    }
    // Names and values are of our making and plain.
    if let Ok(value) = HeaderValue::try_from(cookie) {
        headers.append(SET_COOKIE, value);
    }
}
