//! Waiting with a deadline.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Far above what any scenario takes; reached only by one that hangs.
pub(crate) const LONG: Duration = Duration::from_mins(1);

/// Runs `scenario` on a thread of its own and fails if it hangs.
pub(crate) fn watched(scenario: impl FnOnce() + Send + 'static) {
    let (sender, receiver) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        let _ends = sender;
        scenario();
    });
    match receiver.recv_timeout(2 * LONG) {
        Err(RecvTimeoutError::Timeout) => panic!("the scenario hangs"),
        _ => thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload)),
    }
}

/// Waits until `condition` holds, looking again now and then; fails if it never does.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "not reached: {what}");
        thread::park_timeout(Duration::from_millis(1));
    }
}
