//! Which row is next, how many workers there are, and which rows wait. Decisions only.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::engine::distil::Resumption;
use crate::engine::tables::FocusId;
use crate::url::UrlKey;

/// Successive failures after which the run distils no more; the rows stay for the next run.
const MAX_FAILURES_IN_A_ROW: u32 = 5;
/// Rows that may wait for a retry before no new row is taken (or as many as there are workers, if
/// more). A few pages that a server has trouble with then delay no others, and a server that has
/// trouble with everything is not asked about every page.
const MIN_WAITING: usize = 4;

/// A row of `pending_distil`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::engine) struct PendingRow {
    pub(in crate::engine) focus: FocusId,
    pub(in crate::engine) page: UrlKey,
}

/// One attempt at a row.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) row: PendingRow,
    /// Set if the row has waited.
    pub(super) deferral: Option<Deferral>,
}

/// What is kept of a row that waits.
#[derive(Debug)]
pub(in crate::engine) struct Deferral {
    /// How often it was deferred, including this time.
    pub(super) times: u32,
    /// Fingerprint of the text that the resumption belongs to.
    pub(super) text: [u8; 32],
    pub(super) resumption: Option<Resumption>,
}

/// Rows that wait for a retry.
pub(super) type Waiting = HashMap<PendingRow, Deferral>;

/// The rows that this run has claimed, and its workers.
///
/// A claimed row is in the queue, with a worker, waiting for a retry, or left to the next run.
#[derive(Debug)]
pub(super) struct Queue {
    /// Most workers.
    limit: usize,
    /// Rows to distil next.
    ready: VecDeque<Attempt>,
    claimed: HashSet<PendingRow>,
    waiting: Waiting,
    workers: usize,
    /// Rows may have been put since the last scan began.
    dirty: bool,
    failures_in_a_row: u32,
    /// The run has ended: no waiting row returns.
    ended: bool,
}

/// What a worker does next.
#[derive(Debug)]
pub(super) enum Next {
    Distil(Attempt),
    /// Scan the store for more rows.
    Scan,
    /// The worker ends, and is no longer counted.
    End,
}

/// What a worker does that found the queue empty.
#[derive(Debug)]
pub(super) enum Scan {
    /// Look for rows that are not among these.
    Without(HashSet<PendingRow>),
    /// The queue has rows by now.
    Needless,
    /// The worker ends, and is no longer counted.
    End,
}

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            ready: VecDeque::new(),
            claimed: HashSet::new(),
            waiting: Waiting::new(),
            workers: 0,
            dirty: false,
            failures_in_a_row: 0,
            ended: false,
        }
    }

    /// Notes that rows may have been put. Returns whether to start a worker, which is then counted
    /// already.
    pub(super) fn wake(&mut self) -> bool {
        self.dirty = true;
        !self.waits_for_retries() && self.add_worker()
    }

    /// Takes the next row; `halted` if the run distils no more.
    pub(super) fn next(&mut self, halted: bool) -> Next {
        if halted || self.has_given_up() {
            self.dirty = false;
            self.workers -= 1;
            return Next::End;
        }
        // Rows that have waited are at the front.
        let returned = self.ready.front().is_some_and(|attempt| attempt.deferral.is_some());
        if !returned && self.waits_for_retries() {
            self.workers -= 1;
            return Next::End;
        }
        self.ready.pop_front().map_or(Next::Scan, Next::Distil)
    }

    /// Begins a scan, unless there is a row to take without one or nothing to look for.
    pub(super) fn begin_scan(&mut self) -> Scan {
        if !self.ready.is_empty() {
            return Scan::Needless;
        }
        if !self.dirty {
            self.workers -= 1;
            return Scan::End;
        }
        self.dirty = false;
        Scan::Without(self.claimed.clone())
    }

    /// Claims the rows that a scan has found; `full` if there may be more. Returns how many workers
    /// to start besides the one that scanned; they are counted already.
    pub(super) fn claim(&mut self, found: Vec<PendingRow>, full: bool) -> usize {
        self.dirty |= full;
        self.claimed.extend(&found);
        self.ready.extend(found.into_iter().map(|row| Attempt { row, deferral: None }));
        let more = self.ready.len().saturating_sub(1);
        let more = more.min(self.limit.saturating_sub(self.workers));
        self.workers += more;
        more
    }

    /// The row is done.
    pub(super) fn stored(&mut self, row: PendingRow) {
        self.claimed.remove(&row);
        self.failures_in_a_row = 0;
    }

    /// The row is pending again, for a new text.
    pub(super) fn outdated(&mut self, row: PendingRow) {
        self.claimed.remove(&row);
        self.dirty = true;
    }

    /// The row stays in the store, and stays claimed: only the next run takes it.
    pub(super) fn failed(&mut self) {
        self.failures_in_a_row += 1;
    }

    /// The row waits.
    pub(super) fn defer(&mut self, row: PendingRow, deferral: Deferral) {
        self.waiting.insert(row, deferral);
    }

    /// Removes a row that could not be scheduled to wait.
    pub(super) fn take_back(&mut self, row: PendingRow) -> Option<Deferral> {
        self.waiting.remove(&row)
    }

    /// The wait of a row is over, and it is next. Returns whether to start a worker, which is then
    /// counted already. Does nothing if the row was given up meanwhile.
    pub(super) fn resume(&mut self, row: PendingRow) -> bool {
        let Some(deferral) = self.waiting.remove(&row) else { return false };
        self.ready.push_front(Attempt { row, deferral: Some(deferral) });
        self.add_worker()
    }

    /// Removes a worker that ended without having been told to.
    pub(super) fn remove_worker(&mut self) {
        self.workers -= 1;
    }

    /// Whether so many rows failed in succession that this run distils no more.
    pub(super) fn has_given_up(&self) -> bool {
        self.failures_in_a_row >= MAX_FAILURES_IN_A_ROW
    }

    /// Ends distilling if no worker is left. If all rows are `wanted`, no row may have been put
    /// since the last scan and none may wait either, unless the run has given up. Returns whether
    /// distilling has ended.
    pub(super) fn end(&mut self, wanted: bool) -> bool {
        let waits = !self.waiting.is_empty() && !self.has_given_up();
        let open = wanted && (self.dirty || waits);
        self.ended |= self.workers == 0 && !open;
        self.ended
    }

    /// Gives up the rows that still wait; the caller drops them outside the lock.
    pub(super) fn take_waiting(&mut self) -> Waiting {
        std::mem::take(&mut self.waiting)
    }

    /// Whether so many rows wait that no new one is taken.
    fn waits_for_retries(&self) -> bool {
        self.waiting.len() >= self.limit.max(MIN_WAITING)
    }

    fn add_worker(&mut self) -> bool {
        let room = !self.ended && self.workers < self.limit;
        self.workers += usize::from(room);
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u8) -> PendingRow {
        PendingRow { focus: FocusId([0; 8]), page: UrlKey([number; 16]) }
    }

    fn deferral() -> Deferral {
        Deferral { times: 1, text: [0; 32], resumption: None }
    }

    /// A queue with one worker and these rows, all claimed by a scan.
    fn claimed(limit: usize, rows: std::ops::Range<u8>) -> Queue {
        let mut queue = Queue::new(limit);
        assert!(queue.wake());
        assert!(matches!(queue.next(false), Next::Scan));
        assert!(matches!(queue.begin_scan(), Scan::Without(known) if known.is_empty()));
        queue.claim(rows.map(row).collect(), false);
        queue
    }

    fn taken(queue: &mut Queue) -> Option<PendingRow> {
        match queue.next(false) {
            Next::Distil(attempt) => Some(attempt.row),
            Next::Scan | Next::End => None,
        }
    }

    #[test]
    fn a_row_that_waits_leaves_its_worker_to_others_and_is_first_when_it_comes_back() {
        let mut queue = claimed(1, 0..3);
        assert_eq!(taken(&mut queue), Some(row(0)));
        queue.defer(row(0), deferral());
        assert_eq!(taken(&mut queue), Some(row(1)));
        assert!(!queue.resume(row(0)), "the only worker is at work");
        assert!(
            matches!(queue.next(false), Next::Distil(Attempt { row: found, deferral: Some(_) })
            if found == row(0))
        );
        assert_eq!(taken(&mut queue), Some(row(2)));
        assert!(!queue.resume(row(0)), "it does not wait any more");
        assert!(matches!((queue.next(false), queue.begin_scan()), (Next::Scan, Scan::End)));
        assert!(queue.end(true));
    }

    #[test]
    fn no_new_row_is_taken_while_too_many_wait_but_those_that_come_back_are() {
        let mut queue = claimed(1, 0..9);
        for number in 0..4 {
            assert_eq!(taken(&mut queue), Some(row(number)));
            queue.defer(row(number), deferral());
        }
        assert!(matches!(queue.next(false), Next::End));
        assert!(!queue.wake(), "a worker would find nothing that it may take");
        assert!(!queue.end(true) && queue.resume(row(2)), "there is a worker again");
        assert_eq!(taken(&mut queue), Some(row(2)));
        queue.defer(row(2), deferral());
        assert!(matches!(queue.next(false), Next::End));
        assert!(queue.resume(row(0)));
        assert_eq!(taken(&mut queue), Some(row(0)));
        queue.stored(row(0));
        assert_eq!(taken(&mut queue), Some(row(4)), "three wait");
        // More may wait where more are worked on.
        let mut wide = claimed(6, 0..9);
        for number in 0..6 {
            assert_eq!(taken(&mut wide), Some(row(number)));
            wide.defer(row(number), deferral());
        }
        assert!(matches!(wide.next(false), Next::End));
    }

    #[test]
    fn a_run_ends_with_rows_that_wait_only_where_it_distils_no_further() {
        let mut queue = claimed(1, 0..1);
        assert!(!queue.end(false), "one is being worked on");
        assert_eq!(taken(&mut queue), Some(row(0)));
        queue.defer(row(0), deferral());
        assert!(matches!((queue.next(false), queue.begin_scan()), (Next::Scan, Scan::End)));
        assert!(!queue.end(true));
        assert!(queue.end(false));
        assert!(!queue.resume(row(0)) && !queue.wake(), "nothing begins after the end");

        let mut failing = claimed(1, 0..9);
        failing.defer(row(8), deferral());
        for number in 0..5 {
            assert!(!failing.has_given_up());
            assert_eq!(taken(&mut failing), Some(row(number)));
            failing.failed();
        }
        assert!(matches!(failing.next(false), Next::End));
        assert!(failing.end(true));
    }

    #[test]
    fn a_worker_that_is_lost_leaves_room() {
        let mut queue = claimed(1, 0..2);
        assert_eq!(taken(&mut queue), Some(row(0)));
        assert!(!queue.wake());
        queue.remove_worker();
        assert!(queue.wake());
        assert_eq!(taken(&mut queue), Some(row(1)));
    }
}
