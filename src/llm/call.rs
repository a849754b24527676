//! The state of a call: what one visit has, and what a deferred call continues with.

use std::sync::Arc;
use std::time::Duration;

use super::deadline::Deadline;
use super::request::{ChatRequest, Usage};
use super::wire::Dialect;
use crate::cancel::CancelToken;

/// The state of a call made with
/// [`Client::complete_or_later`](super::Client::complete_or_later): requests sent, time and tokens
/// spent, and the question that is open.
///
/// The default is a call that has not begun. A deferred call continues from here, so its attempts,
/// backoff and time are those of one call, however often it is deferred, and an answer that is being
/// corrected is not paid for twice. A continuation belongs to one request; with another it starts
/// anew. After the call has ended it only tells what the call took.
#[derive(Debug, Default)]
pub struct Continuation {
    /// The request's key; `None` before the first visit.
    pub(super) key: Option<[u8; 32]>,
    /// Time spent: that of the visits, and the waits as they were asked for.
    pub(super) spent: Duration,
    pub(super) requests: u32,
    pub(super) usage: Usage,
    pub(super) exchange: ExchangeProgress,
    /// Corrections that were asked for.
    pub(super) reasks: u32,
    /// The correction that is being asked for, in place of the request itself.
    pub(super) correction: Option<Arc<ChatRequest>>,
}

/// How far the current exchange has come.
#[derive(Debug, Default)]
pub(super) struct ExchangeProgress {
    /// Failed attempts after which another was worth making.
    pub(super) retries: u32,
    /// Dialects tried after the first.
    pub(super) adaptations: u32,
    /// The dialect to use, where it is not the client's.
    pub(super) dialect: Option<Dialect>,
    /// Why the next attempt is a retry: a status, or `transport`.
    pub(super) retry_cause: Option<String>,
}

impl Continuation {
    /// Requests sent so far.
    pub fn attempts(&self) -> u32 {
        self.requests
    }

    /// Tokens spent so far; zero where the answer came from the cache or from an equal call.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Starts the call with `key` anew unless it is the one under way. Returns whether it did.
    pub(super) fn start_if_new(&mut self, key: [u8; 32]) -> bool {
        if self.key == Some(key) {
            return false;
        }
        *self = Self { key: Some(key), ..Self::default() };
        true
    }
}

/// One visit of a call.
pub(super) struct Call<'a> {
    pub(super) cancel: &'a CancelToken,
    pub(super) deadline: Deadline,
    pub(super) max_tokens: u32,
    /// The call waits for its retries itself; otherwise it is deferred.
    pub(super) blocking: bool,
    pub(super) continuation: &'a mut Continuation,
}
