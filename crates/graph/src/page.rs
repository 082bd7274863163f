//! Listings: page by page, items as the bytes that Microsoft sent, until there is no next link.
//!
//! It does not read items, and does not decide what a missing one means. What looks like the end of a list but is not is an error.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    client::{Client, Load},
    error::{Error, Kind, Result},
    governor::Scope,
    link::Link,
    request::Request,
    response::Response,
};

/// More pages than any container has: a million items at ten to a page.
pub const PAGES_MAX: usize = 100_000;

/// One page.
#[derive(Debug)]
pub struct Page {
    /// In the order in which they came.
    pub items: Vec<Box<RawValue>>,
    /// Where the next page is; `None` on the last.
    pub next: Option<Link>,
    /// Where changes after this listing will be: only on the last page of a delta.
    pub delta: Option<Link>,
}

/// A listing under way. After an error, `next` asks for the same page again.
#[derive(Debug)]
pub struct Pages {
    client: Client,
    scope: Scope,
    next: Option<Request>,
    is_delta: bool,
    seen: HashSet<u64>,
}

impl Client {
    /// Lists what the request asks for. Its preferences go with every page.
    #[must_use]
    pub fn pages(&self, scope: &Scope, request: Request) -> Pages {
        Pages {
            client: self.clone(),
            scope: scope.clone(),
            is_delta: request.is_delta(),
            next: Some(request),
            seen: HashSet::new(),
        }
    }

    /// Continues from a next link or a delta link that was kept.
    #[must_use]
    pub fn follow(&self, scope: &Scope, link: &Link, prefer: &[&str]) -> Pages {
        let request = prefer
            .iter()
            .fold(Request::follow(link), |request, preference| {
                request.prefer(*preference)
            });
        let mut pages = self.pages(scope, request);
        pages.seen.insert(fingerprint(link));
        pages
    }
}

impl Pages {
    /// The next page, or `None` after the last. Not cancelled half way: when its future is dropped, the page is asked for again.
    ///
    /// # Errors
    /// `Resync` when the delta token is no longer good; `BadAnswer` for a page without its parts, a link that was followed before, a link away
    /// from Graph, or a listing that does not end; else as [`Client::send`].
    pub async fn next(&mut self) -> Result<Option<Page>> {
        let Some(request) = &self.next else {
            return Ok(None);
        };
        let load = Load {
            width: 1,
            requests: 1,
            upload_bytes: 0,
        };
        let is_delta = self.is_delta;
        let page = self
            .client
            .run(&self.scope, request, load, |response| {
                read(&response, is_delta)
            })
            .await?;
        let label = request.label();
        self.next = match &page.next {
            None => None,
            Some(link) => {
                if !self.seen.insert(fingerprint(link)) {
                    return Err(Error::bad_answer("a listing goes in circles").about(&label));
                }
                if self.seen.len() >= self.client.pages_max() {
                    // No answer was wrong: whoever kept the last link may go on from there another time (survival 54).
                    return Err(
                        Error::new(Kind::Unavailable, "a listing does not end").about(&label)
                    );
                }
                Some(request.at(link))
            }
        };
        Ok(Some(page))
    }
}

#[derive(Deserialize)]
struct Body {
    value: Vec<Box<RawValue>>,
    #[serde(rename = "@odata.nextLink", default)]
    next: Option<Link>,
    #[serde(rename = "@odata.deltaLink", default)]
    delta: Option<Link>,
}

/// survival 21 and 38: a page without `value`, or a delta without either link, is a failure and not the end.
pub(crate) fn read(response: &Response, is_delta: bool) -> Result<Page> {
    let body: Body = response.json()?;
    let present = |link: &Link| !link.as_str().is_empty();
    let next = body.next.filter(present);
    let delta = body.delta.filter(present).filter(|_| next.is_none());
    if is_delta && next.is_none() && delta.is_none() {
        return Err(Error::bad_answer("a page of changes has no link to go on"));
    }
    Ok(Page {
        items: body.value,
        next,
        delta,
    })
}

fn fingerprint(link: &Link) -> u64 {
    let mut hasher = DefaultHasher::new();
    link.hash(&mut hasher);
    hasher.finish()
}
