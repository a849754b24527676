//! A server that answers by script, and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use gristmill::cancel::CancelToken;
use gristmill::llm::{
    Client, ClientBuilder, HttpReply, HttpRequest, ManualTimer, Transport, TransportError,
};
use gristmill::model::Headers;
use gristmill::time::{ManualClock, Timestamp};
use serde_json::{Value, json};

/// One scripted reaction.
pub(crate) enum Step {
    Reply(u16, Vec<(&'static str, String)>, String),
    Reset,
    Refused,
    /// The server takes this long before it answers with what follows.
    Slow(Duration, Box<Step>),
}

/// Plays its steps in order, then repeats the last answer it was given as a default.
pub(crate) struct Script {
    steps: Mutex<VecDeque<Step>>,
    default: Box<dyn Fn(&Value) -> Step + Send + Sync>,
    asked: Mutex<Vec<Value>>,
    clock: Arc<ManualClock>,
    gate: Mutex<Gate>,
    moved: Condvar,
}

#[derive(Default)]
struct Gate {
    closed: bool,
    inside: usize,
    most: usize,
}

impl Script {
    /// What was asked so far: the bodies.
    pub(crate) fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Holds back all answers until `open`.
    pub(crate) fn close(&self) {
        self.gate.lock().unwrap().closed = true;
    }

    pub(crate) fn open(&self) {
        self.gate.lock().unwrap().closed = false;
        self.moved.notify_all();
    }

    /// Waits until `count` requests are held back.
    pub(crate) fn wait_inside(&self, count: usize) {
        let gate = self.gate.lock().unwrap();
        let patience = Duration::from_mins(1);
        let (gate, _) =
            self.moved.wait_timeout_while(gate, patience, |gate| gate.inside < count).unwrap();
        assert!(gate.inside >= count, "only {} requests arrived", gate.inside);
    }

    /// Most requests that were inside at once.
    pub(crate) fn most_inside(&self) -> usize {
        self.gate.lock().unwrap().most
    }
}

impl Transport for Script {
    fn post(
        &self,
        request: &HttpRequest<'_>,
        _: &CancelToken,
    ) -> Result<HttpReply, TransportError> {
        let body: Value = serde_json::from_slice(request.body).unwrap();
        self.asked.lock().unwrap().push(body.clone());
        {
            let mut gate = self.gate.lock().unwrap();
            gate.inside += 1;
            gate.most = gate.most.max(gate.inside);
            self.moved.notify_all();
            let patience = Duration::from_mins(1);
            let (mut gate, _) =
                self.moved.wait_timeout_while(gate, patience, |gate| gate.closed).unwrap();
            gate.inside -= 1;
        }
        let next = self.steps.lock().unwrap().pop_front();
        let mut step = next.unwrap_or_else(|| (self.default)(&body));
        loop {
            match step {
                Step::Reset => {
                    return Err(TransportError::new("reset").retryable(true).sent(true));
                }
                Step::Refused => return Err(TransportError::new("refused").retryable(true)),
                Step::Slow(time, then) => {
                    self.clock.advance(time);
                    step = *then;
                }
                Step::Reply(status, fields, body) => {
                    let mut headers = Headers::default();
                    for (name, value) in fields {
                        headers.push(name, value);
                    }
                    return Ok(HttpReply { status, headers, body: body.into_bytes() });
                }
            }
        }
    }
}

/// A client before its script, with clocks that move only when told to.
pub(crate) struct Bench {
    pub(crate) script: Arc<Script>,
    pub(crate) timer: Arc<ManualTimer>,
    pub(crate) builder: ClientBuilder,
}

impl Bench {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self::with_default(steps, |_| says("fine"))
    }

    pub(crate) fn with_default(
        steps: impl IntoIterator<Item = Step>,
        default: impl Fn(&Value) -> Step + Send + Sync + 'static,
    ) -> Self {
        let clock = ManualClock::new(Timestamp(784_111_777_000));
        let script = Arc::new(Script {
            steps: Mutex::new(steps.into_iter().collect()),
            default: Box::new(default),
            asked: Mutex::default(),
            clock: Arc::clone(&clock),
            gate: Mutex::default(),
            moved: Condvar::new(),
        });
        let timer = ManualTimer::new(Arc::clone(&clock));
        let builder = Client::builder()
            .endpoint("http://127.0.0.1:9/v1")
            .model("asked")
            .seed(7)
            .clock(clock.clone())
            .timer(timer.clone())
            .transport(script.clone());
        Self { script, timer, builder }
    }

    pub(crate) fn client(self) -> (Client, Arc<Script>, Arc<ManualTimer>) {
        (self.builder.build().unwrap(), self.script, self.timer)
    }
}

/// A good answer with that text.
pub(crate) fn says(text: &str) -> Step {
    finishes(text, "stop")
}

/// An answer that ended for that reason.
pub(crate) fn finishes(text: &str, reason: &str) -> Step {
    let body = json!({"id": "id-1", "model": "served", "choices": [
        {"message": {"role": "assistant", "content": text}, "finish_reason": reason}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5}});
    Step::Reply(200, vec![("x-request-id", "req-1".into())], body.to_string())
}

/// An error answer.
pub(crate) fn error(status: u16, body: &str) -> Step {
    Step::Reply(status, vec![("x-request-id", "req-e".into())], body.to_owned())
}

/// An error answer with one header field.
pub(crate) fn error_with(status: u16, name: &'static str, value: &str) -> Step {
    Step::Reply(status, vec![(name, value.to_owned())], "{}".into())
}

/// An object schema with one string member.
pub(crate) fn schema() -> Value {
    json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}})
}
