//! The least that signs in to the console and asks for pages: HTTP/1.1 over bare sockets, with cookies. It follows no redirect.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
};

use anyhow::{Context, ensure};

use crate::fill::{ADDRESS, PASSWORD};

/// Somebody who uses the console at an address.
pub(crate) struct Browser {
    /// `127.0.0.1:8080`.
    address: String,
    cookies: BTreeMap<String, String>,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    /// As it went over the wire, without the head.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The page's links to our own pages, as a browser reads them.
    pub(crate) fn links(&self) -> Vec<String> {
        let text = self.text();
        let links = text.split(" href=\"").skip(1);
        let links = links.filter_map(|rest| rest.split('"').next());
        let links = links.filter(|link| link.starts_with('/'));
        links.map(unescape).collect()
    }
}

fn unescape(text: &str) -> String {
    text.replace("&#38;", "&").replace("&amp;", "&")
}

impl Browser {
    /// Somebody who has not signed in.
    pub(crate) fn nobody(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            cookies: BTreeMap::new(),
        }
    }

    /// Somebody who has signed in.
    pub(crate) fn signed_in(address: &str) -> anyhow::Result<Self> {
        let mut browser = Self::nobody(address);
        let form = browser.get("/sign-in")?.text();
        let (_, rest) = form
            .split_once("name=\"csrf\" value=\"")
            .context("the sign-in page has no token")?;
        let token = rest.split('"').next().unwrap_or_default();
        let fields = [
            ("csrf", token),
            ("address", ADDRESS),
            ("password", PASSWORD),
        ];
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let answer = browser.send("POST", "/sign-in", &body)?;
        ensure!(answer.status == 303, "signing in: status {}", answer.status);
        Ok(browser)
    }

    pub(crate) fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.send("GET", path, "")
    }

    fn send(&mut self, method: &str, path: &str, body: &str) -> anyhow::Result<Answer> {
        let path = path.split('#').next().unwrap_or_default();
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nSec-Fetch-Site: same-origin\r\nAccept: text/html\r\n\
            Accept-Encoding: gzip\r\nCookie: {}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            cookies.join("; "),
            body.len(),
            address = self.address,
        );
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        let end = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .with_context(|| format!("{path}: no answer"))?;
        let body = bytes.split_off(end + 4);
        let head = String::from_utf8_lossy(&bytes).into_owned();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let answer = Answer {
            status: status.context("a status")?,
            head,
            body,
        };
        self.keep_cookies(&answer);
        Ok(answer)
    }

    fn keep_cookies(&mut self, answer: &Answer) {
        for line in answer.head.lines() {
            let Some((name, value)) = line.split_once(": ") else {
                continue;
            };
            let Some((cookie, rest)) = value.split_once('=') else {
                continue;
            };
            if name.eq_ignore_ascii_case("set-cookie") {
                let value = rest.split(';').next().unwrap_or_default();
                self.cookies.insert(cookie.to_owned(), value.to_owned());
            }
        }
    }
}
