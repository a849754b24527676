//! Callers that wait for room, and the sizes of groups.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;

/// Long enough for any machine.
const MINUTE: Duration = Duration::from_mins(1);

fn queue(limit: usize) -> Queue {
    Queue::new(Path::new("dir"), limit)
}

fn batch(bytes: usize) -> Encoded {
    Encoded { ops: vec![0; bytes], count: 1, ..Encoded::default() }
}

/// Waits until so many callers are held up.
fn wait_for_blocked(queue: &Queue, callers: usize) {
    let deadline = Instant::now() + MINUTE;
    while queue.state.lock().blocked != callers {
        assert!(Instant::now() < deadline, "{callers} are not held up");
        thread::park_timeout(Duration::from_millis(1));
    }
}

/// Says that the test has ended, however it does.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn callers_wait_while_reclaiming_lags_and_the_store_itself_does_not() {
    let (queue, done) = (queue(1 << 20), AtomicBool::new(false));
    queue.submit(batch(1), Submitter::Buffered).unwrap();
    assert_eq!(queue.slowed(), 0);
    queue.throttle(true);
    thread::scope(|scope| {
        let _done = Done(&done);
        // Each waits for a moment only, so one after the other, until one is seen to wait.
        scope.spawn(|| {
            for _ in (0..10_000).take_while(|_| !done.load(Ordering::Acquire)) {
                queue.submit(batch(1), Submitter::Buffered).unwrap();
            }
        });
        wait_for_blocked(&queue, 1);
    });
    let slowed = queue.slowed();
    assert_eq!(slowed + 2, queue.state.lock().next, "each was held up but the first");
    queue.submit(batch(1), Submitter::Internal).unwrap();
    queue.throttle(false);
    queue.submit(batch(1), Submitter::Buffered).unwrap();
    assert_eq!(queue.slowed(), slowed);
}
