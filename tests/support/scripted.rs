//! Responses scripted by a test.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use super::server::{Handler, Request, Response};

/// Gives each target (path and query) its responses in turn and then repeats the last. A target
/// without responses gets 404.
#[derive(Clone, Default)]
pub(crate) struct Scripted {
    answers: Arc<Mutex<HashMap<String, VecDeque<Response>>>>,
}

impl Scripted {
    /// A script without responses.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a response for `target`, after those that it has.
    pub(crate) fn on(self, target: &str, response: Response) -> Self {
        self.add(target, response);
        self
    }

    /// The same on a script that is already served by a clone.
    pub(crate) fn add(&self, target: &str, response: Response) {
        self.answers.lock().entry(target.to_owned()).or_default().push_back(response);
    }

    /// Replaces the responses of `target` by this one.
    pub(crate) fn replace(&self, target: &str, response: Response) {
        self.answers.lock().insert(target.to_owned(), VecDeque::from([response]));
    }
}

impl Handler for Scripted {
    fn handle(&self, request: &Request) -> Response {
        let mut answers = self.answers.lock();
        let Some(queue) = answers.get_mut(request.target()) else { return Response::status(404) };
        let next = if queue.len() > 1 { queue.pop_front() } else { queue.front().cloned() };
        next.unwrap_or_else(|| Response::status(404))
    }
}
