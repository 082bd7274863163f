//! The pages that people meet: signing in, picking an account, consenting, and being refused. Plain HTML, usable without a script, by a screen reader
//! and by a test; the names of the fields are stable.
//!
//! | form | fields |
//! |---|---|
//! | sign in | `login`, `passwd` |
//! | pick an account | `account`: `session` or `other` |
//! | permissions requested | `decision`: `accept` or `cancel`; `organization`: `true` |
//! | need admin approval | `decision`: `cancel`; `account`: `other` |
//! | enter code | `otc` |
//! | sign in on a device | `decision`: `continue` or `cancel` |

use std::fmt::Write;

use bytes::Bytes;
use http::StatusCode;

use super::error::{EntraError, Stamp};
use crate::{Body, Reply};

pub(super) const HTML: &str = "text/html; charset=utf-8";

const STYLE: &str = "body{font:16px/1.5 'Segoe UI',sans-serif;background:#f2f2f2;color:#1b1b1b;margin:0}main{max-width:27rem;margin:3rem auto;padding:2rem;\
background:#fff;box-shadow:0 2px 6px #0003}h1{font-size:1.5rem;font-weight:600}label{display:block;margin:1rem 0}\
input[type=email],input[type=text],input[type=password]{display:block;width:100%;box-sizing:border-box;font:inherit;padding:.4rem;border:1px solid #666}\
button{font:inherit;padding:.4rem 1.5rem;margin:.5rem .5rem 0 0;border:1px solid #0067b8;background:#fff;color:#0067b8}\
button.first{background:#0067b8;color:#fff}[role=alert]{color:#c50f1f}dd{margin:0 0 .6rem 1rem;color:#444}small{color:#444}";

/// One line of what an application wants.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) description: &'a str,
}

/// Asks for name and password. `error` says what was wrong with those that were sent.
pub(super) fn sign_in(action: &str, app: &str, login: &str, error: Option<&EntraError>) -> Reply {
    let alert = error.map_or_else(String::new, |error| {
        format!(
            "<p role=\"alert\" id=\"error\">{} <span id=\"code\">AADSTS{}</span></p>",
            match error.number {
                50_034 => "This username may be incorrect. Make sure you typed it correctly.",
                50_057 =>
                    "Your account has been locked. Contact your support person to unlock it, then try again.",
                _ => "Your account or password is incorrect.",
            },
            error.number
        )
    });
    page(
        StatusCode::OK,
        "Sign in to your account",
        &format!(
            "<h1>Sign in</h1><p>to continue to {app}</p>{alert}\
             <form method=\"post\" action=\"{action}\">\
             <label>Email or user principal name<input type=\"text\" name=\"login\" value=\"{login}\" autocomplete=\"username\" required></label>\
             <label>Password<input type=\"password\" name=\"passwd\" autocomplete=\"current-password\" required></label>\
             <button class=\"first\" type=\"submit\">Sign in</button></form>",
            app = escape(app),
            action = escape(action),
            login = escape(login),
        ),
    )
}

/// Asks for the code that a device shows.
pub(super) fn device_code(action: &str, was_wrong: bool) -> Reply {
    let alert = match was_wrong {
        true => {
            "<p role=\"alert\" id=\"error\">That code didn't work. Check the code and try again.</p>"
        }
        false => "",
    };
    page(
        StatusCode::OK,
        "Sign in to your account",
        &format!(
            "<h1>Enter code to allow access</h1>{alert}<form method=\"post\" action=\"{}\">\
             <p>Once you enter the code displayed on your app or device, it will have access to your account.</p>\
             <label>Code<input type=\"text\" name=\"otc\" autocomplete=\"off\" required></label>\
             <button class=\"first\" type=\"submit\">Next</button></form>",
            escape(action)
        ),
    )
}

/// Asks whether it is this application that the person wants to sign in to.
pub(super) fn device_app(action: &str, app: &str) -> Reply {
    page(
        StatusCode::OK,
        "Sign in to your account",
        &format!(
            "<h1>Are you trying to sign in to {app}?</h1><p>Only continue if you downloaded the app from a store or website that you trust.</p>\
             <form method=\"post\" action=\"{action}\"><button name=\"decision\" value=\"cancel\">Cancel</button>\
             <button class=\"first\" name=\"decision\" value=\"continue\">Continue</button></form>",
            app = escape(app),
            action = escape(action),
        ),
    )
}

/// The device goes on by itself.
pub(super) fn device_done(app: &str) -> Reply {
    page(
        StatusCode::OK,
        "Sign in to your account",
        &format!(
            "<h1>{app}</h1><p>You have signed in to the {app} application on your device. You may now close this window.</p>",
            app = escape(app)
        ),
    )
}

/// Offers the account that is signed in, or another one.
pub(super) fn pick_account(action: &str, user: &str) -> Reply {
    page(
        StatusCode::OK,
        "Sign in to your account",
        &format!(
            "<h1>Pick an account</h1><form method=\"post\" action=\"{}\">\
             <button class=\"first\" name=\"account\" value=\"session\">{}</button>\
             <button name=\"account\" value=\"other\">Use another account</button></form>",
            escape(action),
            escape(user)
        ),
    )
}

/// Asks for consent. `organization` is what an administrator is told of consent for everybody: whether it is the only choice.
pub(super) fn consent(
    action: &str,
    app: &str,
    user: &str,
    lines: &[Line],
    organization: Option<bool>,
) -> Reply {
    let mut list = String::new();
    for line in lines {
        // Writing to a string cannot fail.
        let _ = write!(
            list,
            "<dt>{}</dt><dd>{}</dd>",
            escape(line.name),
            escape(line.description)
        );
    }
    let choice = match organization {
        Some(true) => {
            "<p>If you accept, this app will get access to the specified resources for all users in your organization. No one else will be prompted to review these permissions.</p>"
        }
        Some(false) => {
            "<label><input type=\"checkbox\" name=\"organization\" value=\"true\"> Consent on behalf of your organization</label>"
        }
        None => "",
    };
    let title = match organization {
        Some(true) => "Permissions requested: review for your organization",
        _ => "Permissions requested",
    };
    page(
        StatusCode::OK,
        title,
        &format!(
            "<p>{user}</p><h1>{title}</h1><p><strong>{app}</strong> <small>unverified</small></p><p>This app would like to:</p>\
             <form method=\"post\" action=\"{action}\"><dl id=\"permissions\">{list}</dl>{choice}\
             <p><small>Accepting these permissions means that you allow this app to use your data as specified in their terms of service and privacy statement.</small></p>\
             <button name=\"decision\" value=\"cancel\">Cancel</button>\
             <button class=\"first\" name=\"decision\" value=\"accept\">Accept</button></form>",
            user = escape(user),
            app = escape(app),
            action = escape(action),
        ),
    )
}

/// Says that only an administrator can grant it.
pub(super) fn need_approval(
    action: &str,
    app: &str,
    user: &str,
    error: &EntraError,
    stamp: Stamp,
) -> Reply {
    page(
        StatusCode::OK,
        "Need admin approval",
        &format!(
            "<p>{user}</p><h1>Need admin approval</h1><p><strong>{app}</strong></p>\
             <p>{app} needs permission to access resources in your organization that only an admin can grant. Please ask an admin to grant permission to this app before you can use it.</p>\
             <form method=\"post\" action=\"{action}\">\
             <button name=\"account\" value=\"other\">Have an admin account? Sign in with that account</button>\
             <button name=\"decision\" value=\"cancel\">Return to the application without granting consent</button></form>\
             <pre id=\"error\">{error}</pre>",
            user = escape(user),
            app = escape(app),
            action = escape(action),
            error = escape(&error.description(stamp)),
        ),
    )
}

/// Says that somebody was signed out.
pub(super) fn signed_out() -> Reply {
    page(
        StatusCode::OK,
        "Sign out",
        "<h1>You signed out of your account</h1><p>It's a good idea to close all browser windows.</p>",
    )
}

/// What cannot be told to the application, because nobody knows which one it is or where it is.
pub(super) fn error(error: &EntraError, stamp: Stamp) -> Reply {
    page(
        error.status,
        "Sign in to your account",
        &format!(
            "<h1>Sorry, but we’re having trouble signing you in.</h1><pre id=\"error\" role=\"alert\">{}</pre>",
            escape(&error.description(stamp))
        ),
    )
}

/// A form that a browser posts to the application by itself; without a script, by a button.
pub(super) fn form_post(redirect_uri: &str, fields: &[(&str, String)]) -> Reply {
    let mut inputs = String::new();
    for (name, value) in fields {
        let _ = write!(
            inputs,
            "<input type=\"hidden\" name=\"{}\" value=\"{}\">",
            escape(name),
            escape(value)
        );
    }
    page(
        StatusCode::OK,
        "Working...",
        &format!(
            "<form method=\"post\" name=\"hiddenform\" action=\"{}\">{inputs}\
             <noscript><p>Script is disabled. Click Submit to continue.</p></noscript>\
             <button type=\"submit\">Submit</button></form><script>document.forms[0].submit();</script>",
            escape(redirect_uri)
        ),
    )
}

fn page(status: StatusCode, title: &str, content: &str) -> Reply {
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{}</title><link rel=\"icon\" href=\"data:,\"><style>{STYLE}</style></head><body><main>{content}</main></body></html>\n",
        escape(title)
    );
    Reply::new(status, Body::Bytes(Bytes::from(html), HTML))
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
