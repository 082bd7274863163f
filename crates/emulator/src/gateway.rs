//! What happens to a request between the connection and the handler: which host it is for, fault rules, token, route, permission, query
//! options, throttling; and what happens to the answer on the way back: headers, observer, counts.
//!
//! It knows nothing of connections. `$batch` sends its parts through here again.

mod answer;
mod side;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use rand::{Rng, rngs::StdRng};
use uuid::Uuid;

use crate::{
    Access, Clock, GraphError, Observer, Preferences, Query, Reply, Route, Service, Tenant, batch,
    call::Call,
    doors::Site,
    entra::{Entra, Principal},
    fault::{Faults, Target, Verdict, Wire},
    route::{self, Match},
    stats::{Counters, Exchange},
    throttle::{self, Permit, Throttle},
};

/// A request that was read whole.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Scheme and host as the client sees them.
    pub(crate) origin: String,
}

/// An answer, ready to be sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) wire: Wire,
    /// The place among the requests that are under way; given back when the body is handed over.
    pub(crate) permit: Option<Permit>,
}

/// Everything that answers.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) routes: Vec<Route>,
    pub(crate) entra: Entra,
    pub(crate) faults: Faults,
    pub(crate) throttle: Option<Throttle>,
    pub(crate) latency: Duration,
    pub(crate) counters: Counters,
    pub(crate) observer: Option<Observer>,
    pub(crate) admin: bool,
    pub(crate) gzip: bool,
    /// For request ids, apart from the tenant's random numbers, so that requests do not change the world.
    pub(crate) random: Mutex<StdRng>,
}

/// Which service a request is for.
enum Entrance<'a> {
    /// Graph; the path after the version.
    Graph(&'a str),
    /// Outlook's host, to which upload URLs lead.
    Outlook,
    Login,
    Admin,
    /// Nothing that a host of Microsoft's has.
    Absent,
    Unknown,
}

/// The ids of a request, for its headers and errors.
#[derive(Clone, Debug)]
pub(crate) struct RequestIds {
    pub(crate) request: Uuid,
    pub(crate) client: String,
}

const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");

impl Gateway {
    /// Answers a request from a connection.
    pub(crate) fn answer(&self, incoming: &Incoming) -> Outgoing {
        self.counters.request(incoming.body.len());
        let outgoing = match entrance(incoming, self.admin) {
            Entrance::Graph(path) => self.graph(incoming, path, Caller::Header),
            Entrance::Outlook => self.graph(incoming, &incoming.path, Caller::Url),
            Entrance::Login => self.login(incoming),
            Entrance::Admin => self.administer(incoming),
            Entrance::Absent => self.absent(),
            Entrance::Unknown => {
                let version = incoming.path.split('/').find(|s| !s.is_empty());
                let message = format!("Invalid version: {}", version.unwrap_or_default());
                self.refuse(incoming, &GraphError::bad_request(message))
            }
        };
        let outgoing = if self.gzip {
            answer::compress(outgoing, &incoming.headers)
        } else {
            outgoing
        };
        self.counters.sent(outgoing.body.len());
        outgoing
    }

    /// Answers with an error before anything of the request was looked at.
    pub(crate) fn refuse(&self, incoming: &Incoming, error: &GraphError) -> Outgoing {
        let ids = self.ids(&incoming.headers);
        let outgoing = self.error(error, &ids);
        self.close(incoming, Seen::whole(incoming), outgoing)
    }

    /// Answers a request to Graph or to an upload URL.
    pub(crate) fn graph(&self, incoming: &Incoming, path: &str, caller: Caller) -> Outgoing {
        let ids = self.ids(&incoming.headers);
        let segments = route::segments(path);
        let in_batch = matches!(caller, Caller::Batch(_));
        let whole = if in_batch {
            format!("/v1.0/{}", path.trim_start_matches('/'))
        } else {
            incoming.path.clone()
        };
        let is_batch = matches!(caller, Caller::Header)
            && matches!(segments.as_deref(), Ok([only]) if only.eq_ignore_ascii_case("$batch"));
        let found = segments
            .as_deref()
            .map_err(Clone::clone)
            .and_then(|segments| route::find(&self.routes, &incoming.method, segments))
            .and_then(|found| match (found.route.access, caller) {
                (Access::UrlToken, Caller::Url)
                | (Access::Roles(_), Caller::Header | Caller::Batch(_)) => Ok(found),
                _ => Err(GraphError::resource_not_found()),
            });
        let template = found.as_ref().ok().map(|found| found.route.template);
        let verdict = self.judge(incoming, &whole, template);
        let mut permit = None;
        let serve = || {
            if verdict.resync && has_delta_token(&incoming.query) {
                return Err(GraphError::sync_state_not_found());
            }
            if is_batch {
                return self.batch(incoming);
            }
            let visit = Visit {
                incoming,
                verdict: &verdict,
                caller,
            };
            self.serve(visit, found, segments.clone(), &mut permit)
        };
        let answered = match &verdict.replace {
            Some(fault) => {
                if fault.after_effect {
                    // The effect is wanted, the answer is not.
                    let _ = serve();
                }
                self.injected(fault, incoming, &ids)
            }
            None => match serve() {
                Ok(reply) => self.reply(reply, &ids),
                Err(error) => self.error(&error, &ids),
            },
        };
        let mut outgoing = answer::alter(answered, &verdict, incoming);
        outgoing.permit = permit;
        let seen = Seen {
            path: &whole,
            template,
            in_batch,
            faulty: verdict.changes_answer(),
        };
        self.close(incoming, seen, outgoing)
    }

    fn judge(&self, incoming: &Incoming, path: &str, template: Option<&'static str>) -> Verdict {
        let verdict = self.faults.judge(Target {
            method: &incoming.method,
            path,
            template,
        });
        if verdict.expire_tokens {
            self.entra.tokens.expire_all();
        }
        verdict
    }

    fn serve(
        &self,
        visit: Visit,
        found: Result<Match, GraphError>,
        segments: Result<Vec<String>, GraphError>,
        permit: &mut Option<Permit>,
    ) -> Result<Reply, GraphError> {
        let Visit {
            incoming,
            verdict,
            caller,
        } = visit;
        let now = self.clock.now();
        // A token comes first: without one, Graph does not even say whether a path exists.
        let principal = match caller {
            Caller::Url => None,
            Caller::Batch(principal) => Some(principal.clone()),
            Caller::Header => Some(self.entra.tokens.check(
                &incoming.headers,
                now,
                &incoming.origin,
            )?),
        };
        let segments = segments?;
        if segments
            .first()
            .is_some_and(|s| s.eq_ignore_ascii_case("me"))
        {
            // A person's own routes are not served, and a token for a person opens no other.
            return Err(match principal.as_deref().and_then(|caller| caller.user) {
                Some(_) => GraphError::directory_denied(),
                None => GraphError::bad_request(
                    "/me request is only valid with delegated authentication flow.",
                ),
            });
        }
        let Match { route, params } = found?;
        authorise(route, principal.as_deref(), &incoming.headers)?;
        let query = Query::parse(&incoming.query)?;
        check_options(route, &query)?;
        let call = Call {
            method: incoming.method.clone(),
            service: route.service,
            segments,
            params,
            query,
            prefer: Preferences::parse(&incoming.headers),
            headers: incoming.headers.clone(),
            body: incoming.body.clone(),
            origin: incoming.origin.clone(),
            now,
            tenant: self.tenant.clone(),
            effects: verdict.effects,
            roles: principal
                .as_deref()
                .map_or_else(Vec::new, |principal| principal.roles.clone()),
        };
        let limited = self.limit(&call, principal.as_deref(), permit)?;
        let mut reply = (route.handler)(&call)?;
        reply.headers.extend(limited);
        if route.service == Service::Outlook && call.prefer.immutable_ids {
            reply.applied.insert(0, "IdType=\"ImmutableId\"".to_owned());
        }
        Ok(reply)
    }

    /// Counts the call for throttling; gives headers that tell of the quota.
    fn limit(
        &self,
        call: &Call,
        principal: Option<&Principal>,
        permit: &mut Option<Permit>,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, GraphError> {
        let (Some(throttle), Some(principal)) = (&self.throttle, principal) else {
            return Ok(Vec::new());
        };
        if call.service == Service::Directory {
            return throttle.identity(
                principal.app,
                throttle::identity_units(&call.query),
                call.now,
            );
        }
        // An unknown mailbox is refused by the handler, uncounted.
        if let Ok(user) = call.user() {
            let writes = matches!(call.method, Method::POST | Method::PUT | Method::PATCH);
            let upload = if writes { call.body.len() } else { 0 };
            *permit = Some(throttle.outlook(
                principal.app,
                user.id,
                self.tenant.behaviour.concurrency_per_app,
                u64::try_from(upload).unwrap_or(u64::MAX),
                call.now,
            )?);
        }
        Ok(Vec::new())
    }

    fn batch(&self, incoming: &Incoming) -> Result<Reply, GraphError> {
        let now = self.clock.now();
        let principal = self
            .entra
            .tokens
            .check(&incoming.headers, now, &incoming.origin)?;
        if incoming.method != Method::POST {
            return Err(GraphError::method_not_allowed());
        }
        batch::answer(incoming, |part| match part {
            Ok(part) => self.graph(part, &part.path, Caller::Batch(&principal)),
            Err(error) => self.error(error, &self.ids(&incoming.headers)),
        })
    }

    /// Counts, shows to the observer, and lets go.
    fn close(&self, incoming: &Incoming, seen: Seen, outgoing: Outgoing) -> Outgoing {
        self.counters.route(&incoming.method, seen.template);
        self.counters.status(outgoing.status);
        if let Some(observer) = &self.observer {
            observer.see(&Exchange {
                in_batch: seen.in_batch,
                faulty: seen.faulty,
                template: seen.template,
                method: incoming.method.clone(),
                path: seen.path.to_owned(),
                query: incoming.query.clone(),
                request_headers: incoming.headers.clone(),
                request_body: incoming.body.clone(),
                status: outgoing.status,
                headers: outgoing.headers.clone(),
                body: outgoing.body.clone(),
            });
        }
        outgoing
    }

    fn ids(&self, headers: &HeaderMap) -> RequestIds {
        let mut bytes = [0; 16];
        self.random
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill_bytes(&mut bytes);
        let request = uuid::Builder::from_random_bytes(bytes).into_uuid();
        let client = headers
            .get(CLIENT_REQUEST_ID)
            .and_then(|value| value.to_str().ok());
        RequestIds {
            request,
            client: client.map_or_else(|| request.to_string(), str::to_owned),
        }
    }
}

/// A request on its way to a handler.
#[derive(Clone, Copy)]
struct Visit<'a> {
    incoming: &'a Incoming,
    verdict: &'a Verdict,
    caller: Caller<'a>,
}

/// What is told of a request beside itself.
#[derive(Clone, Copy)]
struct Seen<'a> {
    path: &'a str,
    template: Option<&'static str>,
    in_batch: bool,
    faulty: bool,
}

impl<'a> Seen<'a> {
    fn whole(incoming: &'a Incoming) -> Self {
        Self {
            path: &incoming.path,
            template: None,
            in_batch: false,
            faulty: false,
        }
    }
}

/// How a request says who calls.
#[derive(Clone, Copy)]
pub(crate) enum Caller<'a> {
    /// By a token in its `Authorization` header.
    Header,
    /// By the token of the batch that it is part of.
    Batch(&'a Arc<Principal>),
    /// By its URL.
    Url,
}

/// Under the emulator's own address a path is enough; one of Microsoft's hosts has only what belongs there.
fn entrance(incoming: &Incoming, admin: bool) -> Entrance<'_> {
    let host = incoming.origin.split_once("://").map(|(_, host)| host);
    let found = by_path(&incoming.path, admin);
    match (Site::of(host.unwrap_or_default()), found) {
        (Site::Own, found)
        | (Site::Graph, found @ (Entrance::Graph(_) | Entrance::Unknown))
        | (Site::Login, found @ Entrance::Login)
        | (Site::Outlook, found @ Entrance::Outlook) => found,
        (Site::Graph, _) => Entrance::Unknown,
        _ => Entrance::Absent,
    }
}

fn by_path(path: &str, admin: bool) -> Entrance<'_> {
    let trimmed = path.trim_start_matches('/');
    let (first, rest) = trimmed.split_once('/').unwrap_or((trimmed, ""));
    match first.to_ascii_lowercase().as_str() {
        "v1.0" => Entrance::Graph(rest),
        "api" if rest.to_ascii_lowercase().starts_with("gv1.0/") => Entrance::Outlook,
        "_emulator" if admin => Entrance::Admin,
        _ if Entra::serves(path) => Entrance::Login,
        _ => Entrance::Unknown,
    }
}

fn authorise(
    route: &Route,
    principal: Option<&Principal>,
    headers: &HeaderMap,
) -> Result<(), GraphError> {
    match (route.access, principal) {
        (Access::UrlToken, _) if headers.contains_key(header::AUTHORIZATION) => {
            Err(GraphError::invalid_audience())
        }
        (Access::UrlToken, _) => Ok(()),
        (Access::Roles(needed), Some(principal))
            if needed
                .iter()
                .any(|role| principal.roles.iter().any(|own| own == role)) =>
        {
            Ok(())
        }
        (Access::Roles(_), _) => Err(match route.service {
            Service::Directory => GraphError::directory_denied(),
            Service::Outlook => GraphError::access_denied(),
        }),
    }
}

fn check_options(route: &Route, query: &Query) -> Result<(), GraphError> {
    for (name, _) in query.iter() {
        let mut known = route.query.iter();
        if !known.any(|option| option.eq_ignore_ascii_case(name)) {
            return Err(GraphError::unknown_query_option(name));
        }
    }
    Ok(())
}

fn has_delta_token(query: &str) -> bool {
    Query::parse(query).is_ok_and(|query| query.get("$deltatoken").is_some())
}
