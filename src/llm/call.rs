//! The state of a call: what one visit has, and what a call that was put off goes on with.

use std::sync::Arc;
use std::time::Duration;

use super::deadline::Deadline;
use super::request::{ChatRequest, Usage};
use super::wire::Dialect;
use crate::cancel::CancelToken;

/// The standing of a call that is made with
/// [`Client::complete_or_later`](super::Client::complete_or_later): how often its server was asked,
/// how much of its time is used up, what was paid, and which question stands open.
///
/// The default is a call that has not begun. One that was put off goes on from here, so its
/// attempts, its backoff and its time are those of one call, however often it is put off; an answer
/// that was paid for and is being corrected is not asked for again. It belongs to one request;
/// used with another, it begins anew. When the call has ended it only tells what the call took.
#[derive(Debug, Default)]
pub struct Continuation {
    /// The request's key; `None` before the first visit.
    pub(super) key: Option<[u8; 32]>,
    /// Time used up: that of the visits, and the waits as they were asked for.
    pub(super) spent: Duration,
    pub(super) requests: u32,
    pub(super) usage: Usage,
    pub(super) exchange: Standing,
    /// Corrections that were asked for.
    pub(super) reasks: u32,
    /// The correction that is being asked for, in place of the request itself.
    pub(super) correction: Option<Arc<ChatRequest>>,
}

/// Where the exchange stands that a call is making.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Attempts that failed and are worth another.
    pub(super) retries: u32,
    /// Spellings that were tried after the first.
    pub(super) adaptations: u32,
    /// The spelling to use, where it is not the one known to the client.
    pub(super) dialect: Option<Dialect>,
    /// Why the next attempt is a retry: a status, or `transport`.
    pub(super) due: Option<String>,
}

impl Continuation {
    /// Requests sent so far.
    pub fn attempts(&self) -> u32 {
        self.requests
    }

    /// Tokens paid so far; none for an answer of the cache or of an equal call.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Makes this the standing of the call with that key. Gives whether the call begins now.
    pub(super) fn take_up(&mut self, key: [u8; 32]) -> bool {
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
    /// Waits are sat out here; else the call is put off.
    pub(super) pauses: bool,
    pub(super) so_far: &'a mut Continuation,
}
