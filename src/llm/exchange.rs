//! One exchange with the server: attempts in one dialect or another, until there is an answer, a
//! failure, or a wait before the next attempt.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::call::{Call, ExchangeProgress};
use super::client::Inner;
use super::error::{LlmError, ResponseInfo};
use super::request::{ChatRequest, Usage, estimate_tokens};
use super::transport::{HttpReply, HttpRequest, TransportError};
use super::wire::{Answer, Dialect, ServerError};
use crate::cancel::wait::WaitError;
use crate::model::Headers;
use crate::pool::{Permit, Priority, SemaphoreError};
use crate::retry::{GiveUp, Retry, RetryPolicy, parse_retry_after};

/// Changes of dialect in one exchange: as many as the steps that a [`Dialect`] has.
const MAX_ADAPTATIONS: u32 = 6;

/// Phrases by which servers report an exhausted quota.
const QUOTA_WORDS: [&str; 6] = [
    "insufficient_quota",
    "exceeded your current quota",
    "billing_hard_limit",
    "exceeded_current_quota",
    "credit balance",
    "insufficient balance",
];

/// Phrases by which servers report that a prompt has too many tokens.
const CONTEXT_WORDS: [&str; 7] = [
    "context_length_exceeded",
    "context length",
    "context window",
    "exceed context",
    "maximum context",
    "exceeds the available context",
    "prompt is too long",
];

/// An answer, and what is known of the response that it came in.
pub(super) struct DecodedReply {
    pub(super) answer: Answer,
    pub(super) response: Box<ResponseInfo>,
}

/// A failed attempt.
enum Failure {
    Transport(TransportError),
    Server(ServerError, HttpReply),
}

impl Inner {
    /// Makes the request until it is answered, fails for good, or has to wait for its next attempt
    /// ([`LlmError::Later`]). Continues from where the call stands.
    pub(super) fn exchange(
        &self,
        request: &ChatRequest,
        call: &mut Call<'_>,
    ) -> Result<DecodedReply, LlmError> {
        if let Some(cause) = call.continuation.exchange.retry_cause.take() {
            self.stats.count(|stats| *stats.retries.entry(cause).or_default() += 1);
        }
        let known: Dialect = *self.dialect.lock();
        loop {
            let dialect = call.continuation.exchange.dialect.unwrap_or(known);
            let failure = match self.attempt(request, dialect, call)? {
                Ok(decoded) => {
                    if dialect != known {
                        *self.dialect.lock() = dialect;
                    }
                    call.continuation.exchange = ExchangeProgress::default();
                    return Ok(decoded);
                }
                Err(failure) => failure,
            };
            let progress = &mut call.continuation.exchange;
            let next = match &failure {
                Failure::Server(error, _) if progress.adaptations < MAX_ADAPTATIONS => {
                    self.wire().adapt(error, request, dialect).filter(|next| *next != dialect)
                }
                _ => None,
            };
            let Some(next) = next else { return Err(self.failed(failure, request, call)) };
            (progress.dialect, progress.adaptations) = (Some(next), progress.adaptations + 1);
            self.stats.count(|stats| stats.adaptations += 1);
        }
    }

    /// What a failed attempt leads to: the end of the call, or a wait before the next attempt.
    fn failed(&self, failure: Failure, request: &ChatRequest, call: &mut Call<'_>) -> LlmError {
        let asked = self.is_retryable(&failure).then(|| self.asked_wait(&failure));
        let cause = match &failure {
            Failure::Transport(_) => "transport".to_owned(),
            Failure::Server(error, _) => error.status.to_string(),
        };
        let error = self.error_of(failure, request, call);
        let Some(asked) = asked else { return error };
        let attempt = call.continuation.exchange.retries.saturating_add(1);
        let unit = || self.random.lock().f64();
        let decision = self.retry().next(attempt, asked, call.deadline.left(), unit);
        let error = self.apply(decision, error, call);
        if let LlmError::Later { .. } = error {
            let progress = &mut call.continuation.exchange;
            (progress.retry_cause, progress.retries) = (Some(cause), attempt);
        }
        error
    }

    /// Makes one request under a permit. The outer result ends the call.
    fn attempt(
        &self,
        request: &ChatRequest,
        dialect: Dialect,
        call: &mut Call<'_>,
    ) -> Result<Result<DecodedReply, Failure>, LlmError> {
        let body = self.wire().encode(self.model(), request, call.max_tokens, dialect);
        let _permit = self.permit(call)?;
        let left = call.deadline.left();
        if call.cancel.is_cancelled() {
            return Err(LlmError::Cancelled);
        }
        if left.is_zero() {
            return Err(self.gave_up(WaitError::TimedOut, call));
        }
        call.continuation.requests += 1;
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
                call.continuation.usage = call.continuation.usage.plus(usage);
                self.stats.answered(usage);
                let id = answer.id.clone();
                let response = Box::new(self.response(reply.headers, reply.status, id, call));
                Ok(DecodedReply { answer, response })
            }
            Err(error) => Err(Failure::Server(error, reply)),
        })
    }

    /// Waits until another request may be in flight.
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
            // Some servers answer with white space alone when they are overloaded.
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

    /// Turns a failed attempt into what the policy decided about it.
    pub(super) fn apply(&self, decision: Retry, error: LlmError, call: &Call<'_>) -> LlmError {
        let (attempts, source) = (call.continuation.requests, Box::new(error));
        match decision {
            Retry::After(wait) => {
                tracing::debug!(error = %source, attempts, ?wait, "the request will be made again");
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
                    attempts: call.continuation.requests,
                    source,
                };
            }
            Failure::Server(error, reply) => (error, reply),
        };
        let response = Box::new(self.response(reply.headers, error.status, None, call));
        let message = self.redacted(&error.message);
        if error.malformed {
            let reason = if error.body.trim().is_empty() {
                "the body is empty".to_owned()
            } else {
                format!("no choices in: {message}")
            };
            return LlmError::Malformed { reason, response };
        }
        if is_quota(&error) {
            return LlmError::Quota { message, response };
        }
        let too_long = matches!(error.status, 400 | 413 | 422 | 500)
            && error.mentions(&CONTEXT_WORDS)
            && !request.messages.is_empty();
        if too_long {
            return LlmError::ContextLength { message, response };
        }
        LlmError::Http { code: error.code.map(|code| self.redacted(&code)), message, response }
    }

    /// What is known of a response. Servers may echo the API key, so it is removed.
    fn response(
        &self,
        mut headers: Headers,
        status: u16,
        id: Option<String>,
        call: &Call<'_>,
    ) -> ResponseInfo {
        for header in &mut headers.0 {
            header.value = self.redacted(&header.value);
        }
        let request_id = ["x-request-id", "request-id", "x-amzn-requestid"]
            .iter()
            .find_map(|name| headers.get(name))
            .map(str::to_owned)
            .or(id);
        ResponseInfo {
            endpoint: self.endpoint.clone(),
            status,
            headers,
            request_id,
            attempts: call.continuation.requests,
            usage: call.continuation.usage,
        }
    }

    /// The text without the API key.
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
                attempts: call.continuation.requests,
                source: None,
            },
        }
    }
}

/// Whether an error answer is worth another attempt.
///
/// `x-should-retry` overrides the policy, except that an invalid request or a refused account is
/// never retried: nothing about it would change.
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
