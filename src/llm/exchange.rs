//! One exchange with the server: attempts and adaptations until there is an answer, a failure, or a
//! wait before the next attempt.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::call::{Call, Standing};
use super::client::Inner;
use super::error::{LlmError, Served};
use super::request::{ChatRequest, Usage, estimate_tokens};
use super::transport::{HttpReply, HttpRequest, TransportError};
use super::wire::{Answer, Dialect, ServerError};
use crate::cancel::wait::WaitError;
use crate::model::Headers;
use crate::pool::{Permit, Priority, SemaphoreError};
use crate::retry::{GiveUp, Retry, RetryPolicy, parse_retry_after};

/// Spellings that are tried in one exchange: as many as the ladders of a [`Dialect`] have steps.
const MAX_ADAPTATIONS: u32 = 6;

/// Words by which servers tell that an account has nothing left.
const QUOTA_WORDS: [&str; 6] = [
    "insufficient_quota",
    "exceeded your current quota",
    "billing_hard_limit",
    "exceeded_current_quota",
    "credit balance",
    "insufficient balance",
];

/// Words by which servers tell that a prompt has too many tokens.
const CONTEXT_WORDS: [&str; 7] = [
    "context_length_exceeded",
    "context length",
    "context window",
    "exceed context",
    "maximum context",
    "exceeds the available context",
    "prompt is too long",
];

/// An answer with what is known of the reply that brought it.
pub(super) struct Answered {
    pub(super) answer: Answer,
    pub(super) served: Box<Served>,
}

/// A failed attempt.
enum Failure {
    Transport(TransportError),
    Server(ServerError, HttpReply),
}

impl Inner {
    /// Sends the request until it is answered, is not worth another attempt, or has to wait for it
    /// ([`LlmError::Later`]); begins where the call stands.
    pub(super) fn exchange(
        &self,
        request: &ChatRequest,
        call: &mut Call<'_>,
    ) -> Result<Answered, LlmError> {
        if let Some(cause) = call.so_far.exchange.due.take() {
            self.stats.count(|stats| *stats.retries.entry(cause).or_default() += 1);
        }
        let known: Dialect = *self.dialect.lock();
        loop {
            let dialect = call.so_far.exchange.dialect.unwrap_or(known);
            let failure = match self.attempt(request, dialect, call)? {
                Ok(answered) => {
                    if dialect != known {
                        *self.dialect.lock() = dialect;
                    }
                    call.so_far.exchange = Standing::default();
                    return Ok(answered);
                }
                Err(failure) => failure,
            };
            let standing = &mut call.so_far.exchange;
            let next = match &failure {
                Failure::Server(error, _) if standing.adaptations < MAX_ADAPTATIONS => {
                    self.wire().adapt(error, request, dialect).filter(|next| *next != dialect)
                }
                _ => None,
            };
            let Some(next) = next else { return Err(self.failed(failure, request, call)) };
            (standing.dialect, standing.adaptations) = (Some(next), standing.adaptations + 1);
            self.stats.count(|stats| stats.adaptations += 1);
        }
    }

    /// What a failed attempt comes to: the call's end, or a wait before the next attempt.
    fn failed(&self, failure: Failure, request: &ChatRequest, call: &mut Call<'_>) -> LlmError {
        let asked = self.is_retryable(&failure).then(|| self.asked_wait(&failure));
        let cause = match &failure {
            Failure::Transport(_) => "transport".to_owned(),
            Failure::Server(error, _) => error.status.to_string(),
        };
        let error = self.error_of(failure, request, call);
        let Some(asked) = asked else { return error };
        let attempt = call.so_far.exchange.retries.saturating_add(1);
        let unit = || self.random.lock().f64();
        let decision = self.retry().next(attempt, asked, call.deadline.left(), unit);
        let error = self.later(decision, error, call);
        if let LlmError::Later { .. } = error {
            let standing = &mut call.so_far.exchange;
            (standing.due, standing.retries) = (Some(cause), attempt);
        }
        error
    }

    /// One request under a permit. The outer result ends the call.
    fn attempt(
        &self,
        request: &ChatRequest,
        dialect: Dialect,
        call: &mut Call<'_>,
    ) -> Result<Result<Answered, Failure>, LlmError> {
        let body = self.wire().encode(self.model(), request, call.max_tokens, dialect);
        let _permit = self.permit(call)?;
        let left = call.deadline.left();
        if call.cancel.is_cancelled() {
            return Err(LlmError::Cancelled);
        }
        if left.is_zero() {
            return Err(self.gave_up(WaitError::TimedOut, call));
        }
        call.so_far.requests += 1;
        self.stats.count(|stats| stats.requests += 1);
        let sent = self.transport().post(
            &HttpRequest {
                url: self.url(),
                headers: &self.headers,
                secret_headers: &self.secret_headers,
                body: &body,
                timeout: left.min(self.attempt_timeout()),
                max_body: self.max_answer_bytes(),
            },
            call.cancel,
        );
        if call.cancel.is_cancelled() && sent.is_err() {
            return Err(LlmError::Cancelled);
        }
        let reply = match sent {
            Ok(reply) => reply,
            Err(error) => return Ok(Err(Failure::Transport(error))),
        };
        Ok(match self.wire().decode(&reply) {
            Ok(answer) => {
                let usage = answer.usage.unwrap_or_else(|| estimated(request, &answer));
                call.so_far.usage = call.so_far.usage.plus(usage);
                self.stats.answered(usage);
                let id = answer.id.clone();
                let served = Box::new(self.served(reply.headers, reply.status, id, call));
                Ok(Answered { answer, served })
            }
            Err(error) => Err(Failure::Server(error, reply)),
        })
    }

    /// Waits until one more request may be in flight.
    fn permit(&self, call: &Call<'_>) -> Result<Permit, LlmError> {
        // The clock is read only where there is something to wait for.
        if let Some(permit) = self.permits.try_acquire() {
            return Ok(permit);
        }
        let permit = self.permits.acquire(Priority::Normal, call.deadline.left(), call.cancel);
        permit.map_err(|error| match error {
            SemaphoreError::Cancelled => LlmError::Cancelled,
            SemaphoreError::TimedOut => self.gave_up(WaitError::TimedOut, call),
        })
    }

    /// Whether another attempt may succeed.
    fn is_retryable(&self, failure: &Failure) -> bool {
        match failure {
            Failure::Transport(error) => error.retryable,
            // Nothing was read of an answer that is nothing but white space.
            Failure::Server(error, _) if error.malformed => error.body.trim().is_empty(),
            Failure::Server(error, reply) => {
                !is_quota(error) && should_retry(self.retry(), error.status, &reply.headers)
            }
        }
    }

    /// How long the server asks to wait.
    fn asked_wait(&self, failure: &Failure) -> Option<Duration> {
        match failure {
            Failure::Server(error, reply) if !error.malformed => {
                parse_retry_after(&reply.headers, self.clock().wall())
            }
            _ => None,
        }
    }

    /// The failure that a decision of the policy makes of `error`.
    pub(super) fn later(&self, decision: Retry, error: LlmError, call: &Call<'_>) -> LlmError {
        let (attempts, source) = (call.so_far.requests, Box::new(error));
        match decision {
            Retry::After(wait) => {
                tracing::debug!(error = %source, attempts, ?wait, "the model is to be asked again");
                LlmError::Later { wait, attempts, source }
            }
            Retry::GiveUp(GiveUp::TooLong { wait }) => {
                LlmError::RetryAfter { wait, limit: self.retry().longest_wait(), source }
            }
            Retry::GiveUp(GiveUp::Deadline) => {
                LlmError::Deadline { limit: self.timeout(), attempts, source: Some(source) }
            }
            Retry::GiveUp(GiveUp::Attempts) => *source,
        }
    }

    fn error_of(&self, failure: Failure, request: &ChatRequest, call: &Call<'_>) -> LlmError {
        let (error, reply) = match failure {
            Failure::Transport(source) => {
                return LlmError::Transport {
                    endpoint: self.endpoint.clone(),
                    attempts: call.so_far.requests,
                    source,
                };
            }
            Failure::Server(error, reply) => (error, reply),
        };
        let served = Box::new(self.served(reply.headers, error.status, None, call));
        let message = self.redacted(&error.message);
        if error.malformed {
            let reason = if error.body.trim().is_empty() {
                "the body is empty".to_owned()
            } else {
                format!("no choices in: {message}")
            };
            return LlmError::Malformed { reason, served };
        }
        if is_quota(&error) {
            return LlmError::Quota { message, served };
        }
        let too_long = matches!(error.status, 400 | 413 | 422 | 500)
            && error.mentions(&CONTEXT_WORDS)
            && !request.messages.is_empty();
        if too_long {
            return LlmError::ContextLength { message, served };
        }
        LlmError::Http { code: error.code.map(|code| self.redacted(&code)), message, served }
    }

    /// What is known of a reply, with the API key taken out wherever the server repeats it.
    fn served(
        &self,
        mut headers: Headers,
        status: u16,
        id: Option<String>,
        call: &Call<'_>,
    ) -> Served {
        for header in &mut headers.0 {
            header.value = self.redacted(&header.value);
        }
        let request_id = ["x-request-id", "request-id", "x-amzn-requestid"]
            .iter()
            .find_map(|name| headers.get(name))
            .map(str::to_owned)
            .or(id);
        Served {
            endpoint: self.endpoint.clone(),
            status,
            headers,
            request_id,
            attempts: call.so_far.requests,
            usage: call.so_far.usage,
        }
    }

    /// The text with the API key taken out.
    pub(super) fn redacted(&self, text: &str) -> String {
        match self.api_key().map(ExposeSecret::expose_secret) {
            Some(key) if !key.is_empty() => text.replace(key, "[key]"),
            _ => text.to_owned(),
        }
    }

    pub(super) fn gave_up(&self, error: WaitError, call: &Call<'_>) -> LlmError {
        match error {
            WaitError::Cancelled => LlmError::Cancelled,
            WaitError::TimedOut => LlmError::Deadline {
                limit: self.timeout(),
                attempts: call.so_far.requests,
                source: None,
            },
        }
    }
}

/// Whether an error answer is worth another attempt.
///
/// `x-should-retry` decides, except that a request at fault, or an account, stays so.
fn should_retry(policy: &RetryPolicy, status: u16, headers: &Headers) -> bool {
    let at_fault = matches!(status, 400..=404 | 422);
    match headers.get("x-should-retry").map(str::trim) {
        Some("true") => !at_fault,
        Some("false") => false,
        _ => policy.retries_status(status),
    }
}

fn is_quota(error: &ServerError) -> bool {
    error.status == 402 || (matches!(error.status, 400 | 403 | 429) && error.mentions(&QUOTA_WORDS))
}

fn estimated(request: &ChatRequest, answer: &Answer) -> Usage {
    Usage {
        input: request.messages.iter().map(|message| estimate_tokens(&message.content)).sum(),
        output: answer.text.as_deref().map_or(0, estimate_tokens),
        estimated: true,
    }
}
