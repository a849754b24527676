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

#[test]
fn a_caller_that_finds_the_queue_full_waits_until_there_is_room() {
    let queue = queue(100);
    queue.submit(batch(60), Submitter::Buffered).unwrap();
    queue.submit(batch(40), Submitter::Buffered).unwrap();
    // The store itself does not wait.
    queue.submit(batch(5), Submitter::Internal).unwrap();
    thread::scope(|scope| {
        for by in [Submitter::Buffered, Submitter::Sync] {
            let queue = &queue;
            scope.spawn(move || queue.submit(batch(30), by).unwrap());
        }
        wait_for_blocked(&queue, 2);
        let taken = queue.take(1).unwrap();
        assert_eq!((taken.last, taken.bytes), (1, 60));
        // What is being written takes room until it is done.
        wait_for_blocked(&queue, 2);
        queue.complete(taken.last, taken.bytes);
        wait_for_blocked(&queue, 1);
        assert_eq!(queue.held_bytes(), 75);
        let taken = queue.take(1).unwrap();
        queue.complete(taken.last, taken.bytes);
    });
    assert_eq!(queue.held_bytes(), 65);
}

#[test]
fn a_batch_larger_than_the_queue_goes_in_alone() {
    let queue = queue(100);
    assert_eq!(queue.submit(batch(1000), Submitter::Buffered).unwrap(), 1);
    thread::scope(|scope| {
        scope.spawn(|| queue.submit(batch(1), Submitter::Buffered).unwrap());
        wait_for_blocked(&queue, 1);
        let taken = queue.take(1).unwrap();
        queue.complete(taken.last, taken.bytes);
    });
    assert_eq!((queue.held_bytes(), queue.newest()), (1, 2));
}

#[test]
fn the_end_of_the_queue_is_told_to_who_waits_for_room() {
    for failed in [true, false] {
        let queue = queue(100);
        queue.submit(batch(100), Submitter::Buffered).unwrap();
        let result = thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.submit(batch(1), Submitter::Buffered));
            wait_for_blocked(&queue, 1);
            if failed {
                queue.fail_all();
            } else {
                queue.close();
            }
            waiting.join().unwrap()
        });
        match result.unwrap_err() {
            StoreError::Poisoned { .. } => assert!(failed),
            StoreError::Closed { .. } => assert!(!failed),
            error => panic!("{error}"),
        }
    }
}
