//! What is sent again, when, and what never is.

use std::time::Duration;

use gristmill::cancel::CancelToken;
use gristmill::llm::{ChatRequest, LlmError, RetryPolicy};

use crate::script::{Bench, Step, error, error_with, says};

fn ask() -> ChatRequest {
    ChatRequest::new().user("question")
}

#[test]
fn what_passes_is_tried_again_until_it_does() {
    let (client, script, timer) = Bench::new([
        error(503, r#"{"error":{"message":"Loading model","code":503}}"#),
        error(529, r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#),
        Step::Reset,
        error(200, "  \n \n"),
    ])
    .client();
    let answer = client.complete(&ask(), &CancelToken::new()).unwrap();
    assert_eq!((answer.text.as_str(), answer.requests, script.count()), ("fine", 5, 5));
    assert_eq!(timer.waits().len(), 4);
    let bounds = [500, 1000, 2000, 4000].map(Duration::from_millis);
    assert!(timer.waits().iter().zip(bounds).all(|(taken, bound)| *taken <= bound));
    let stats = client.stats();
    assert_eq!(stats.retries.values().sum::<u64>(), 4);
    assert_eq!(stats.retries["transport"], 1);
    assert_eq!((stats.retries["503"], stats.retries["529"]), (1, 1));
}

#[test]
fn the_waits_are_drawn_from_nothing_to_a_bound_that_doubles_to_20_seconds() {
    let bench = Bench::with_default([], |_| error(500, "{}"));
    let (timer, policy) =
        (bench.timer.clone(), RetryPolicy { max_attempts: 11, ..RetryPolicy::model() });
    let client = bench.builder.retry(policy).timeout(Duration::from_hours(1)).build().unwrap();
    assert!(client.complete(&ask(), &CancelToken::new()).is_err());
    let taken: Vec<_> = timer.waits().iter().map(Duration::as_micros).collect();
    let wanted = [
        386_690, 222_485, 1_436_580, 1_924_507, 931_844, 2_648_589, 15_832_590, 1_851_018,
        2_774_380, 8_884_368,
    ];
    assert_eq!(taken, wanted);
    let bounds = (0..10_u32).map(|retry| (500_000 << retry).min(20_000_000));
    assert!(taken.iter().zip(bounds).all(|(taken, bound)| *taken <= bound), "{taken:?}");
}

#[test]
fn five_attempts_are_made_and_a_minute_is_the_longest_wait_that_is_obeyed() {
    let (client, script, _) = Bench::with_default([], |_| error(500, "{}")).client();
    assert!(client.complete(&ask(), &CancelToken::new()).is_err());
    assert_eq!(script.count(), 5);
    for (asked, wanted) in [("60", "fine"), ("60.001", "retry_after")] {
        let (client, _, timer) = Bench::new([error_with(503, "retry-after", asked)]).client();
        match client.complete(&ask(), &CancelToken::new()) {
            Ok(answer) => assert_eq!((answer.text.as_str(), timer.waits().len()), (wanted, 1)),
            Err(failed) => assert_eq!((failed.kind(), timer.waits().len()), (wanted, 0)),
        }
    }
}

#[test]
fn a_status_decides_unless_the_server_says_whether_to_ask_again() {
    let asked = |status, said: Option<&str>| {
        let step = match said {
            Some(said) => error_with(status, "x-should-retry", said),
            None => error(status, "{}"),
        };
        let (client, script, _) = Bench::new([step]).client();
        let _ended = client.complete(&ask(), &CancelToken::new());
        script.count() == 2
    };
    for status in (300..600).filter(|status| *status != 402) {
        let passing = matches!(status, 408 | 409 | 429) || status >= 500;
        assert_eq!(asked(status, None), passing, "{status}");
        let at_fault = matches!(status, 400..=404 | 422);
        assert_eq!(asked(status, Some("true")), !at_fault, "{status}");
        assert!(!asked(status, Some("false")), "{status}");
    }
}

#[test]
fn each_form_of_retry_after_is_obeyed() {
    for (name, value, wanted) in [
        ("retry-after", "7", 7000),
        ("retry-after", "1.5", 1500),
        ("retry-after", "Sun, 06 Nov 1994 08:49:41 GMT", 4000),
        ("retry-after-ms", "250", 250),
    ] {
        let (client, _, timer) = Bench::new([error_with(429, name, value)]).client();
        client.complete(&ask(), &CancelToken::new()).unwrap();
        assert_eq!(timer.waits(), [Duration::from_millis(wanted)], "{name}: {value}");
    }
}

#[test]
fn too_long_a_wait_fails_at_once_with_its_reason() {
    let (client, script, timer) = Bench::new([error_with(429, "retry-after", "3600")]).client();
    let failed = client.complete(&ask(), &CancelToken::new()).unwrap_err();
    let LlmError::RetryAfter { wait, .. } = &failed else { panic!("{failed:?}") };
    assert_eq!(*wait, Duration::from_hours(1));
    assert_eq!((script.count(), timer.waits().len()), (1, 0));
    assert_eq!(failed.response().unwrap().status, 429);
}

#[test]
fn what_cannot_pass_is_asked_once() {
    for (status, body, kind) in [
        (400, r#"{"error":{"message":"bad","code":400}}"#, "http"),
        (401, r#"{"detail":"no key"}"#, "http"),
        (403, r#"{"error":"forbidden"}"#, "http"),
        (404, r#"{"error":{"message":"no such model"}}"#, "http"),
        (402, "{}", "quota"),
        (429, r#"{"error":{"message":"x","code":"insufficient_quota"}}"#, "quota"),
        (400, r#"{"error":{"message":"maximum context length is 4096"}}"#, "context_length"),
        (200, "<html>captive portal</html>", "malformed"),
        (200, r#"{"error":{"message":"bad","code":400}}"#, "http"),
    ] {
        let (client, script, _) = Bench::new([error(status, body)]).client();
        let failed = client.complete(&ask(), &CancelToken::new()).unwrap_err();
        assert_eq!((failed.kind(), script.count()), (kind, 1), "{body}: {failed:?}");
        assert_eq!(failed.response().unwrap().request_id.as_deref(), Some("req-e"));
        assert_eq!(client.stats().failures[kind], 1);
    }
    let (client, script, _) = Bench::new([error_with(500, "x-should-retry", "false")]).client();
    assert!(client.complete(&ask(), &CancelToken::new()).is_err());
    assert_eq!(script.count(), 1);
}

#[test]
fn attempts_are_bounded() {
    let bench = Bench::with_default([], |_| error(500, "{}"));
    let policy = RetryPolicy { max_attempts: 3, ..RetryPolicy::model() };
    let script = bench.script.clone();
    let client = bench.builder.retry(policy).build().unwrap();
    let failed = client.complete(&ask(), &CancelToken::new()).unwrap_err();
    assert_eq!((failed.kind(), script.count()), ("http", 3));
    assert!(failed.is_transient());
    assert_eq!(failed.response().unwrap().attempts, 3);
}

#[test]
fn one_deadline_holds_for_all_attempts() {
    let slow = || Step::Slow(Duration::from_secs(25), Box::new(error(503, "{}")));
    let bench = Bench::with_default([], move |_| slow());
    let script = bench.script.clone();
    let client = bench.builder.timeout(Duration::from_mins(1)).build().unwrap();
    let failed = client.complete(&ask(), &CancelToken::new()).unwrap_err();
    assert_eq!(failed.kind(), "deadline");
    assert_eq!(failed.response().unwrap().status, 503);
    assert!(script.count() <= 3, "{}", script.count());
}

#[test]
fn a_cancelled_call_ends() {
    let (client, script, _) = Bench::new([Step::Refused]).client();
    let cancel = CancelToken::new();
    cancel.cancel();
    assert!(matches!(client.complete(&ask(), &cancel), Err(LlmError::Cancelled)));
    assert_eq!(script.count(), 0);
}

#[test]
fn a_pausing_call_holds_no_permit() {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Arc, Mutex};

    /// Pauses until the test lets it go on.
    #[derive(Debug)]
    struct Held(Mutex<(Sender<()>, Receiver<()>)>);
    impl gristmill::llm::Timer for Held {
        fn wait(&self, _: Duration, _: &CancelToken) -> Result<(), gristmill::llm::Cancelled> {
            let ends = self.0.lock().unwrap();
            ends.0.send(()).unwrap();
            ends.1.recv_timeout(Duration::from_mins(1)).unwrap();
            Ok(())
        }
    }

    let (paused, is_paused) = channel();
    let (go, going) = channel();
    let bench = Bench::new([error(503, "{}"), says("second"), says("first")]);
    let timer = Arc::new(Held(Mutex::new((paused, going))));
    let client = bench.builder.max_in_flight(1).timer(timer).build().unwrap();
    let first = {
        let client = client.clone();
        std::thread::spawn(move || client.complete(&ask(), &CancelToken::new()).unwrap().text)
    };
    is_paused.recv_timeout(Duration::from_mins(1)).unwrap();
    let other = ChatRequest::new().user("another");
    assert_eq!(client.complete(&other, &CancelToken::new()).unwrap().text, "second");
    go.send(()).unwrap();
    assert_eq!(first.join().unwrap(), "first");
}

#[test]
fn a_call_without_a_permit_ends_by_its_deadline_or_its_token() {
    for cancels in [false, true] {
        let bench = Bench::new([]);
        let script = bench.script.clone();
        let timeout = if cancels { Duration::from_mins(1) } else { Duration::from_millis(20) };
        let client = bench.builder.max_in_flight(1).timeout(timeout).build().unwrap();
        let (other, cancel) = (ChatRequest::new().user("another"), CancelToken::new());
        script.close();
        std::thread::scope(|scope| {
            let first = scope.spawn(|| client.complete(&ask(), &CancelToken::new()));
            script.wait_inside(1);
            let second = scope.spawn(|| client.complete(&other, &cancel));
            if cancels {
                cancel.cancel();
            }
            let failed = second.join().unwrap().unwrap_err();
            assert_eq!(failed.kind(), if cancels { "cancelled" } else { "deadline" });
            assert_eq!(script.count(), 1);
            script.open();
            assert_eq!(first.join().unwrap().unwrap().text, "fine");
        });
        // The permit is free again.
        let third = ChatRequest::new().user("a third");
        assert_eq!(client.complete(&third, &CancelToken::new()).unwrap().requests, 1);
    }
}

#[test]
fn no_more_are_in_flight_than_allowed() {
    let bench = Bench::new([]);
    let script = bench.script.clone();
    let client = bench.builder.max_in_flight(3).build().unwrap();
    script.close();
    let calls: Vec<_> = (0..12)
        .map(|number| {
            let client = client.clone();
            std::thread::spawn(move || {
                let request = ChatRequest::new().user(format!("{number}"));
                client.complete(&request, &CancelToken::new()).map(|answer| answer.text)
            })
        })
        .collect();
    script.wait_inside(3);
    script.open();
    for call in calls {
        assert_eq!(call.join().unwrap().unwrap(), "fine");
    }
    assert_eq!(script.most_inside(), 3);
}
