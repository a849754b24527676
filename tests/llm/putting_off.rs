//! Calls that give their waits back instead of pausing: one call over several visits.

use std::error::Error;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gristmill::cancel::CancelToken;
use gristmill::llm::{
    Cancelled, ChatRequest, Client, Completion, Continuation, LlmError, RetryPolicy, Timer,
};

use crate::caching::{CountingClock, READS};
use crate::script::{Bench, Step, error, error_with, says, schema};

fn ask() -> ChatRequest {
    ChatRequest::new().user("question")
}

fn later(ended: Result<Completion, LlmError>) -> (Duration, u32) {
    match ended {
        Err(LlmError::Later { wait, attempts, source }) => {
            assert!(source.is_transient());
            (wait, attempts)
        }
        ended => panic!("{ended:?}"),
    }
}

/// Visits until the call ends; gives the waits too.
fn visits(
    client: &Client,
    request: &ChatRequest,
) -> (Vec<Duration>, Continuation, Result<Completion, LlmError>) {
    let (mut waits, mut so_far) = (Vec::new(), Continuation::default());
    loop {
        match client.complete_or_later(request, &mut so_far, &CancelToken::new()) {
            Err(LlmError::Later { wait, attempts, .. }) => {
                assert_eq!(attempts, so_far.attempts());
                waits.push(wait);
            }
            ended => return (waits, so_far, ended),
        }
    }
}

fn troubles() -> [Step; 4] {
    [error(503, "{}"), error_with(429, "retry-after", "7"), Step::Reset, error(200, " \n")]
}

#[test]
fn waits_and_attempts_are_those_of_a_call_that_pauses() {
    let (pausing, _, timer) = Bench::new(troubles()).client();
    let paused = pausing.complete(&ask(), &CancelToken::new()).unwrap();
    let (client, script, unused) = Bench::new(troubles()).client();
    let (waits, so_far, ended) = visits(&client, &ask());
    let answer = ended.unwrap();
    assert_eq!((answer.text.as_str(), answer.requests, script.count()), ("fine", 5, 5));
    assert_eq!((answer.usage, so_far.usage()), (paused.usage, paused.usage));
    assert_eq!((waits.len(), waits[1]), (4, Duration::from_secs(7)));
    assert_eq!(waits, timer.waits());
    assert!(unused.waits().is_empty(), "nothing was waited for");
    let (stats, same) = (client.stats(), pausing.stats());
    assert_eq!((stats.calls, stats.put_off), (1, 4));
    assert_eq!((stats.requests, &stats.retries), (same.requests, &same.retries));
    assert!(stats.failures.is_empty(), "{:?}", stats.failures);
    assert!(stats.latency.max_ms >= waits.iter().sum::<Duration>().as_secs_f64() * 1000.0);
}

#[test]
fn attempts_are_bounded_over_all_visits() {
    let bench = Bench::with_default([], |_| error(500, "{}"));
    let (script, policy) =
        (bench.script.clone(), RetryPolicy { max_attempts: 3, ..RetryPolicy::model() });
    let client = bench.builder.retry(policy).build().unwrap();
    let (waits, _, ended) = visits(&client, &ask());
    let failed = ended.unwrap_err();
    assert_eq!((failed.kind(), failed.response().unwrap().attempts), ("http", 3));
    assert_eq!((script.count(), waits.len()), (3, 2));
    assert_eq!((client.stats().failures["http"], client.stats().calls), (1, 1));
    // A call that has not begun knows nothing of that one.
    let mut fresh = Continuation::default();
    let other = client.complete_or_later(&ask(), &mut fresh, &CancelToken::new());
    assert_eq!(later(other).1, 1);
}

#[test]
fn what_cannot_pass_or_asks_for_too_much_is_not_put_off() {
    for (step, kind) in [
        (error(400, "{}"), "http"),
        (error(402, "{}"), "quota"),
        (error_with(500, "x-should-retry", "false"), "http"),
        (error_with(429, "retry-after", "3600"), "retry_after"),
    ] {
        let (client, script, _) = Bench::new([step]).client();
        let (waits, _, ended) = visits(&client, &ask());
        assert_eq!((ended.unwrap_err().kind(), script.count(), waits.len()), (kind, 1, 0));
    }
    let (client, script, _) = Bench::new([]).client();
    let (cancel, mut so_far) = (CancelToken::new(), Continuation::default());
    cancel.cancel();
    let ended = client.complete_or_later(&ask(), &mut so_far, &cancel);
    assert!(matches!(ended, Err(LlmError::Cancelled)) && script.count() == 0);
}

#[test]
fn visits_and_waits_use_up_one_time_and_lateness_does_not() {
    let slow =
        || Step::Slow(Duration::from_secs(25), Box::new(error_with(503, "retry-after", "9")));
    let bench = Bench::with_default([], move |_| slow());
    let (script, timer) = (bench.script.clone(), bench.timer.clone());
    let client = bench.builder.timeout(Duration::from_mins(1)).build().unwrap();
    let mut so_far = Continuation::default();
    let first = client.complete_or_later(&ask(), &mut so_far, &CancelToken::new());
    assert_eq!(later(first), (Duration::from_secs(9), 1));
    // The caller had better things to do.
    timer.wait(Duration::from_hours(1), &CancelToken::new()).unwrap();
    // 25 + 9 + 25 seconds are used up then, and another wait would be too long.
    let second = client.complete_or_later(&ask(), &mut so_far, &CancelToken::new()).unwrap_err();
    assert_eq!((second.kind(), script.count()), ("deadline", 2));
    assert_eq!(second.response().unwrap().status, 503);
}

#[test]
fn an_answer_that_is_being_corrected_is_not_paid_for_again() {
    let bench = Bench::new([says("{}"), error(503, "{}"), Step::Reset, says(r#"{"a": "b"}"#)]);
    let (client, script, _) = bench.client();
    let request = ask().schema(schema());
    let (waits, so_far, ended) = visits(&client, &request);
    let answer = ended.unwrap();
    assert_eq!((waits.len(), answer.requests, client.stats().reasks), (2, 4, 1));
    assert_eq!((so_far.usage().input, answer.usage.input), (20, 20));
    let asked = script.asked();
    assert_ne!(asked[0], asked[1]);
    assert!(asked[2] == asked[1] && asked[3] == asked[1], "the correction is asked for again");
}

#[test]
fn a_spelling_that_was_found_is_kept() {
    let refused = error(400, r#"{"error": {"message": "response_format is not supported"}}"#);
    let bench = Bench::new([refused, error(503, "{}"), says(r#"{"a": "b"}"#)]);
    let (client, script, _) = bench.client();
    let (waits, _, ended) = visits(&client, &ask().schema(schema()));
    assert_eq!((waits.len(), ended.unwrap().requests), (1, 3));
    let asked = script.asked();
    assert_ne!(asked[0], asked[1]);
    assert_eq!(asked[1], asked[2]);
}

#[test]
fn who_joined_a_call_is_put_off_with_it_and_goes_on_with_its_backoff() {
    let bench = Bench::with_default([error_with(503, "retry-after", "7")], |_| error(500, "{}"));
    let (script, clock) = (bench.script.clone(), Arc::new(CountingClock::default()));
    let policy = RetryPolicy { max_attempts: 3, ..RetryPolicy::model() };
    let client = bench.builder.retry(policy).memory_cache(0).clock(clock.clone()).build().unwrap();
    script.close();
    let visit = || {
        let client = client.clone();
        std::thread::spawn(move || {
            let mut so_far = Continuation::default();
            let ended = client.complete_or_later(&ask(), &mut so_far, &CancelToken::new());
            (ended, so_far)
        })
    };
    let leader = visit();
    script.wait_inside(1);
    let follower = visit();
    clock.wait_for(2 * READS);
    script.open();
    let (led, _) = leader.join().unwrap();
    assert_eq!(later(led), (Duration::from_secs(7), 1));
    let (joined, mut so_far) = follower.join().unwrap();
    assert!(joined.as_ref().unwrap_err().source().is_some());
    assert_eq!(later(joined), (Duration::from_secs(7), 0));
    assert_eq!((script.count(), client.stats().put_off), (1, 2));
    // It comes back first, asks, and has one attempt left: three were allowed to both together.
    let again = client.complete_or_later(&ask(), &mut so_far, &CancelToken::new());
    assert_eq!(later(again).1, 1);
    let last = client.complete_or_later(&ask(), &mut so_far, &CancelToken::new()).unwrap_err();
    assert_eq!((last.kind(), script.count(), so_far.attempts()), ("http", 3, 2));
}

#[test]
fn a_pausing_call_that_joined_sits_the_wait_out() {
    let bench = Bench::new([error_with(503, "retry-after", "7")]);
    let (script, clock) = (bench.script.clone(), Arc::new(CountingClock::default()));
    let timer = bench.timer.clone();
    let client = bench.builder.memory_cache(0).clock(clock.clone()).build().unwrap();
    script.close();
    let leader = {
        let client = client.clone();
        std::thread::spawn(move || {
            client.complete_or_later(&ask(), &mut Continuation::default(), &CancelToken::new())
        })
    };
    script.wait_inside(1);
    let follower = {
        let client = client.clone();
        std::thread::spawn(move || client.complete(&ask(), &CancelToken::new()))
    };
    clock.wait_for(2 * READS);
    script.open();
    assert_eq!(later(leader.join().unwrap()).0, Duration::from_secs(7));
    let answer = follower.join().unwrap().unwrap();
    assert_eq!((answer.text.as_str(), answer.requests, script.count()), ("fine", 1, 2));
    assert_eq!(timer.waits(), [Duration::from_secs(7)]);
}

/// Pauses until the test lets it go on.
#[derive(Debug)]
struct Held(Mutex<(Sender<()>, Receiver<()>)>);

impl Timer for Held {
    fn wait(&self, _: Duration, _: &CancelToken) -> Result<(), Cancelled> {
        let ends = self.0.lock().unwrap();
        ends.0.send(()).unwrap();
        ends.1.recv_timeout(Duration::from_mins(1)).unwrap();
        Ok(())
    }
}

#[test]
fn nobody_waits_for_the_pause_of_another() {
    let (paused, is_paused) = channel();
    let (go, going) = channel();
    let bench = Bench::new([error_with(503, "retry-after", "7")]);
    let script = bench.script.clone();
    let timer = Arc::new(Held(Mutex::new((paused, going))));
    let client = bench.builder.timer(timer).build().unwrap();
    let leader = {
        let client = client.clone();
        std::thread::spawn(move || client.complete(&ask(), &CancelToken::new()).unwrap())
    };
    is_paused.recv_timeout(Duration::from_mins(1)).unwrap();
    let mut so_far = Continuation::default();
    let joined = client.complete_or_later(&ask(), &mut so_far, &CancelToken::new());
    assert_eq!(later(joined), (Duration::from_secs(7), 0));
    assert_eq!(script.count(), 1, "the pause is not cut short by asking");
    go.send(()).unwrap();
    assert_eq!(leader.join().unwrap().requests, 2);
    let answer = client.complete_or_later(&ask(), &mut so_far, &CancelToken::new()).unwrap();
    assert_eq!((answer.requests, script.count()), (0, 2));
}
