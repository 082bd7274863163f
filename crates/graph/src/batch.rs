//! `$batch`: up to twenty requests in one call, each with an answer, and a fate, of its own.
//!
//! Requests in a batch do not depend on each other; the service may carry them out in any order.

#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod part;

use std::time::Duration;

use http::{Method, StatusCode};

use crate::{
    client::{Client, Load, whole},
    error::{Codes, Error, Result},
    governor::{Lane, Scope, WaitCause},
    request::{Repeat, Request},
    response::Response,
    retry::{Budget, Reason, Verdict, judge_answer, judge_defect},
};

use part::{Answers, Call, PartAnswer};

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
            self.lane(scope).pause(WaitCause::Failure, wait).await;
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
        let repeat = parts.iter().map(|request| request.repeats()).max();
        let request = Request::post("/$batch")
            .json(&Call::of(scope, parts)?)?
            .repeat(repeat.unwrap_or(Repeat::Safe));
        let reads_only = parts.iter().all(|request| *request.method() == Method::GET);
        let load = Load {
            // Graph carries out several parts at a time, so a call takes as many permits as it has parts.
            width: parts.len().try_into().unwrap_or(u32::MAX),
            requests: parts.len() as u64,
            upload_bytes: match reads_only {
                true => 0,
                false => request.body_bytes() as u64,
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
        let numbered = parts.iter().enumerate();
        Ok(numbered
            .map(|(number, request)| self.judge_part(&lane, request, answers.remove(&number)))
            .collect())
    }

    fn judge_part(
        &self,
        lane: &Lane,
        request: &Request,
        answer: Option<PartAnswer>,
    ) -> Result<Response, Verdict> {
        let answered = answer.and_then(|answer| Some((answer.status()?, answer)));
        let Some((status, answer)) = answered else {
            let error = Error::bad_answer("a batch has no answer to a part");
            return Err(judge_defect(request, StatusCode::OK, error));
        };
        let headers = answer.headers();
        let advice = self.heed(lane, status, &headers);
        let body = answer.body(request);
        if !status.is_success() {
            let codes = Codes::read(&body.unwrap_or_default());
            return Err(judge_answer(request, status, codes, advice));
        }
        body.and_then(|body| {
            let response = Response {
                status,
                headers,
                body,
            };
            whole(request, response)
        })
        .map_err(|error| judge_defect(request, status, error))
    }
}
