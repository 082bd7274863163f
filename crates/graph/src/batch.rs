//! `$batch`: up to twenty requests in one call, each with an answer, and a fate, of its own.
//!
//! Requests in a batch do not depend on each other; the service may carry them out in any order.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use data_encoding::BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    client::{Client, Load, preference},
    error::{Codes, Error, Result},
    governor::{Advice, Scope},
    request::{Repeat, Request},
    response::Response,
    retry::{Budget, Reason, Verdict, judge_answer, judge_defect},
};

/// Requests in one call; Graph takes no more.
pub const BATCH_MAX: usize = 20;

/// A request that has no answer yet.
struct Open {
    index: usize,
    budget: Budget,
}

impl Client {
    /// Sends the requests, twenty to a call, and gives their answers in the same order. Those that were throttled or failed in passing are
    /// repeated alone, after the longest wait that was asked for. Each counts in the governor as one request of this scope.
    ///
    /// # Errors
    /// When a call as a whole fails for good, or a request cannot be part of a batch; otherwise each request has a result of its own.
    pub async fn batch(
        &self,
        scope: &Scope,
        requests: Vec<Request>,
    ) -> Result<Vec<Result<Response>>> {
        let mut answers: Vec<Option<Result<Response>>> = requests.iter().map(|_| None).collect();
        let mut open: Vec<Open> = (0..requests.len())
            .map(|index| Open {
                index,
                budget: Budget::default(),
            })
            .collect();
        while !open.is_empty() {
            let round: Vec<Open> = open.drain(..open.len().min(BATCH_MAX)).collect();
            let parts: Vec<&Request> = round.iter().map(|part| &requests[part.index]).collect();
            let results = self.call(scope, &parts).await?;
            let mut wait = Duration::ZERO;
            for (mut part, result) in round.into_iter().zip(results) {
                let verdict = match result {
                    Ok(response) => {
                        answers[part.index] = Some(Ok(response));
                        continue;
                    }
                    Err(verdict) => verdict,
                };
                match self.once_more(&mut part.budget, verdict) {
                    Ok(pause) => {
                        wait = wait.max(pause);
                        open.push(part);
                    }
                    Err(error) => {
                        let error = error.about(&requests[part.index].label());
                        answers[part.index] = Some(Err(error));
                    }
                }
            }
            self.wire().clock.sleep(wait).await;
        }
        Ok(answers.into_iter().flatten().collect())
    }

    fn once_more(&self, budget: &mut Budget, verdict: Verdict) -> Result<Duration> {
        // A part is refused for want of a token only when its own service refuses the application: another token changes nothing.
        let again = verdict
            .again
            .filter(|reason| *reason != Reason::Unauthorized);
        let wait = again
            .and_then(|reason| self.spend(budget, reason))
            .ok_or(verdict.error)?;
        self.wire().meter.readings().retries += 1;
        Ok(wait)
    }

    /// One call: the result of each part, in their order.
    async fn call(
        &self,
        scope: &Scope,
        parts: &[&Request],
    ) -> Result<Vec<Result<Response, Verdict>>> {
        let body = Call {
            requests: parts
                .iter()
                .enumerate()
                .map(|(number, request)| Part::of(scope, number, request))
                .collect::<Result<_>>()?,
        };
        let repeat =
            parts
                .iter()
                .map(|request| request.repeats())
                .min_by_key(|repeat| match repeat {
                    Repeat::Never => 0,
                    Repeat::IfRefused => 1,
                    Repeat::Safe => 2,
                });
        let request = Request::post("/$batch")
            .json(&body)?
            .repeat(repeat.unwrap_or(Repeat::Safe));
        let reads_only = parts.iter().all(|request| *request.method() == Method::GET);
        let load = Load {
            // Graph carries out several parts at a time, so a call takes as many permits as it has parts.
            width: parts.len().try_into().unwrap_or(u32::MAX),
            requests: parts.len() as u64,
            upload_bytes: if reads_only {
                0
            } else {
                request.body_bytes() as u64
            },
        };
        for part in parts {
            self.wire().meter.batched(&part.label());
        }
        let mut answers = self
            .run(scope, &request, load, |response| {
                Ok(response.json::<Answers>()?.by_number())
            })
            .await?;
        let lane = self.lane(scope);
        let mut results = Vec::with_capacity(parts.len());
        for (number, request) in parts.iter().enumerate() {
            let answer = answers.remove(&number);
            let throttled = answer.as_ref().is_some_and(|answer| answer.status == 429);
            let now = self.wire().clock.now();
            let (result, advice) = judge(request, answer, now);
            if let Some(advice) = advice {
                lane.close(advice.closed());
            }
            self.wire().meter.readings().throttled += u64::from(throttled);
            results.push(result);
        }
        Ok(results)
    }
}

fn judge(
    request: &Request,
    answer: Option<PartAnswer>,
    now: jiff::Timestamp,
) -> (Result<Response, Verdict>, Option<Advice>) {
    let Some((answer, status)) = answer
        .and_then(|answer| Some((StatusCode::from_u16(answer.status).ok()?, answer)))
        .map(|(status, answer)| (answer, status))
    else {
        let error = Error::bad_answer("a batch has no answer to a part");
        return (Err(judge_defect(request, StatusCode::OK, error)), None);
    };
    let headers = answer.headers();
    let advice = Advice::read(status, &headers, now);
    let body = answer.body(request);
    if !status.is_success() {
        let codes = Codes::read(&body.unwrap_or_default());
        return (Err(judge_answer(request, status, codes, advice)), advice);
    }
    let response = body.map(|body| Response {
        status,
        headers,
        body,
    });
    (
        response.map_err(|error| judge_defect(request, status, error)),
        advice,
    )
}

#[derive(Serialize)]
struct Call<'a> {
    requests: Vec<Part<'a>>,
}

#[derive(Serialize)]
struct Part<'a> {
    id: String,
    method: &'a str,
    url: String,
    headers: HashMap<&'a str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Box<RawValue>>,
}

impl<'a> Part<'a> {
    fn of(scope: &Scope, number: usize, request: &'a Request) -> Result<Self> {
        let text = |value: &HeaderValue| {
            value
                .to_str()
                .map(str::to_owned)
                .map_err(|error| Error::invalid("a header of a part is no text").because(error))
        };
        let mut headers = HashMap::new();
        if let Some(preference) = preference(scope, request) {
            headers.insert("Prefer", preference);
        }
        for (name, value) in request.extra_headers() {
            headers.insert(name.as_str(), text(value)?);
        }
        let mut body = None;
        if let Some((bytes, content_type)) = request.content() {
            headers.insert("Content-Type", text(content_type)?);
            let raw = if content_type.as_bytes().starts_with(b"application/json") {
                serde_json::from_slice::<Box<RawValue>>(bytes)
            } else {
                serde_json::value::to_raw_value(&BASE64.encode(bytes))
            };
            body =
                Some(raw.map_err(|error| {
                    Error::invalid("the body of a part is no JSON").because(error)
                })?);
        }
        Ok(Self {
            id: number.to_string(),
            method: request.method().as_str(),
            url: request.relative_url()?,
            headers,
            body,
        })
    }
}

#[derive(Deserialize)]
struct Answers {
    responses: Vec<PartAnswer>,
}

impl Answers {
    fn by_number(self) -> HashMap<usize, PartAnswer> {
        self.responses
            .into_iter()
            .filter_map(|answer| Some((answer.id.parse().ok()?, answer)))
            .collect()
    }
}

#[derive(Deserialize)]
struct PartAnswer {
    id: String,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    headers: Option<HashMap<String, serde_json::Value>>,
    #[serde(default)]
    body: Option<Box<RawValue>>,
}

impl PartAnswer {
    /// Those that are text; Retry-After may come as a number.
    fn headers(&self) -> HeaderMap {
        let all = self.headers.iter().flatten();
        all.filter_map(|(name, value)| {
            let text = match value {
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            Some((
                name.parse::<HeaderName>().ok()?,
                text.parse::<HeaderValue>().ok()?,
            ))
        })
        .collect()
    }

    /// JSON as it stands; what is not JSON travels as a string of Base64.
    fn body(&self, request: &Request) -> Result<Bytes> {
        let Some(raw) = &self.body else {
            return Ok(Bytes::new());
        };
        if request.expects_json() || !raw.get().starts_with('"') {
            return Ok(Bytes::copy_from_slice(raw.get().as_bytes()));
        }
        serde_json::from_str::<String>(raw.get())
            .ok()
            .and_then(|text| BASE64.decode(text.as_bytes()).ok())
            .map(Bytes::from)
            .ok_or_else(|| Error::bad_answer("a part of a batch is no Base64"))
    }
}
