//! What must hold for every answer, for the fuzz targets and the tests that repeat their corpus.
//!
//! An answer may come from a proxy, be cut, or be somebody's joke. A function here returns when all is well and panics otherwise. It is part of
//! no ordinary build.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;

use crate::{
    batch::fuzzing as batch,
    error::Codes,
    governor::{Advice, CLOSED_MAX},
    page,
    request::Request,
    response::Response,
    retry::judge_answer,
};

/// Microsoft's errors are nested two deep; more codes than this are never taken from one.
const CODES_MAX: usize = 5;

/// `body` as a page of changes, and of anything else: it has somewhere to go on, and its items are bytes of the body.
pub fn page(body: &[u8]) {
    let response = Response {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(body),
    };
    if let Ok(page) = page::read(&response, true) {
        assert!(page.next.is_some() != page.delta.is_some());
    }
    let Ok(page) = page::read(&response, false) else {
        return;
    };
    let mut rest = body;
    for item in &page.items {
        let item = item.get().as_bytes();
        let at = rest.windows(item.len()).position(|window| window == item);
        let at = at.expect("an item stands in the body, after the one before it");
        rest = &rest[at + item.len()..];
    }
    for link in [&page.next, &page.delta].into_iter().flatten() {
        assert!(!link.as_str().is_empty());
        // Of a link nothing is shown but its length.
        let shown = format!("Link({} bytes)", link.as_str().len());
        assert_eq!(format!("{link:?}"), shown);
    }
}

/// `bytes` as a status line, headers, an empty line and a body: how long to wait, Microsoft's codes, and what follows from both.
pub fn answer(bytes: &[u8]) {
    let (head, body) = match bytes.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&bytes[..at], &bytes[at + 2..]),
        None => (bytes, &b""[..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let status = lines
        .next()
        .and_then(|line| StatusCode::from_bytes(line).ok());
    let Some(status) = status else {
        return;
    };
    let headers: HeaderMap = lines
        .filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(&line[..at]).ok()?;
            Some((name, HeaderValue::from_bytes(&line[at + 1..]).ok()?))
        })
        .collect();
    let advice = Advice::read(status, &headers, Timestamp::UNIX_EPOCH);
    if let Some(advice) = advice {
        assert!(!advice.span().is_zero());
        assert!(advice.closed() <= CLOSED_MAX && advice.closed() <= advice.span());
    }
    let codes = Codes::read(body);
    assert!(codes.iter().count() <= CODES_MAX);
    for code in codes.iter() {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        assert!(!code.is_empty() && code.len() <= 100 && code.chars().all(plain));
    }
    for request in [Request::get("/users"), Request::post("/users/u/messages")] {
        let verdict = judge_answer(&request, status, codes.clone(), advice);
        let shown = verdict.error.to_string();
        assert!(shown.len() < 1_000, "an error quotes an answer");
    }
    batch::answers(body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kept_corpus_holds() {
        testkit::corpus::repeat(&[("page", page), ("answer", answer)]);
    }
}
