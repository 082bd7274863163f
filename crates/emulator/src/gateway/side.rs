//! The doors beside Graph: the login host, and the admin endpoint.

use http::{Method, StatusCode};

use super::{Gateway, Incoming, Outgoing, RequestIds, Seen, answer};
use crate::{
    Error,
    entra::{EntraError, LoginRequest, Stamp},
    fault::FaultRule,
};

impl Gateway {
    /// Answers a request to the login host.
    pub(super) fn login(&self, incoming: &Incoming) -> Outgoing {
        let ids = self.ids(&incoming.headers);
        let verdict = self.judge(incoming, &incoming.path, None);
        let mut answered = match &verdict.replace {
            Some(fault) => self.injected(fault, incoming, &ids),
            None => {
                let request = LoginRequest {
                    method: &incoming.method,
                    path: &incoming.path,
                    query: &incoming.query,
                    headers: &incoming.headers,
                    body: &incoming.body,
                    origin: &incoming.origin,
                    stamp: self.stamp(&ids),
                };
                match self.entra.answer(&request) {
                    Ok(Some(reply)) => answer::side(reply),
                    Ok(None) => answer::plain(StatusCode::NOT_FOUND),
                    Err(error) => self.login_error(&error, incoming, &ids),
                }
            }
        };
        // Without it the HTTP server would set the real time.
        answer::insert(&mut answered.headers, "date", &self.date());
        let mut outgoing = answer::alter(answered, &verdict, incoming);
        answer::insert(
            &mut outgoing.headers,
            "x-ms-request-id",
            &ids.request.to_string(),
        );
        let seen = Seen {
            faulty: verdict.changes_answer(),
            ..Seen::whole(incoming)
        };
        self.close(incoming, seen, outgoing)
    }

    /// What a host of Microsoft's does not have. It is no exchange with any service, and nobody is shown it.
    pub(super) fn absent(&self) -> Outgoing {
        self.counters.status(StatusCode::NOT_FOUND);
        answer::plain(StatusCode::NOT_FOUND)
    }

    pub(super) fn login_error(
        &self,
        error: &EntraError,
        incoming: &Incoming,
        ids: &RequestIds,
    ) -> Outgoing {
        answer::login(error.status, &error.body(self.stamp(ids), &incoming.origin))
    }

    fn stamp(&self, ids: &RequestIds) -> Stamp {
        Stamp {
            now: self.clock.now(),
            trace: ids.request,
            correlation: ids.client.parse().unwrap_or(ids.request),
        }
    }

    /// `/_emulator/faults`: POST adds rules, GET lists them, DELETE removes all.
    pub(super) fn administer(&self, incoming: &Incoming) -> Outgoing {
        if incoming.path.trim_end_matches('/') != "/_emulator/faults" {
            return answer::plain(StatusCode::NOT_FOUND);
        }
        match incoming.method {
            Method::GET => answer::login(StatusCode::OK, &self.faults.list()),
            Method::DELETE => {
                self.faults.clear();
                answer::plain(StatusCode::NO_CONTENT)
            }
            Method::POST => match self.add_faults(&incoming.body) {
                Ok(()) => answer::plain(StatusCode::NO_CONTENT),
                Err(error) => answer::login(
                    StatusCode::BAD_REQUEST,
                    &serde_json::json!({"error": error.to_string()}),
                ),
            },
            _ => answer::plain(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    fn add_faults(&self, body: &[u8]) -> Result<(), Error> {
        let text = std::str::from_utf8(body)
            .map_err(|_| Error::Invalid("the rules are not UTF-8".to_owned()))?;
        for rule in FaultRule::from_json(text)? {
            self.faults.add(rule, &self.routes)?;
        }
        Ok(())
    }
}
