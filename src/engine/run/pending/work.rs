//! Which row is distilled next, how many workers there are, and which rows wait: decisions only.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::engine::distil::Resumption;
use crate::engine::tables::FocusId;
use crate::url::UrlKey;

/// Failures in a row after which the run distils no further; the rows stay for the next run.
const MAX_FAILURES_IN_A_ROW: u32 = 5;
/// Rows that may wait for their retry before no new one is taken, where no more than that are
/// worked on at once. A few pages that a server has trouble with hold nobody up then, and a server
/// that has trouble with everything is not asked about every page.
const MIN_WAITING: usize = 4;

/// A row of `pending_distil`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::engine::run) struct Item {
    pub(in crate::engine::run) focus: FocusId,
    pub(in crate::engine::run) page: UrlKey,
}

/// A row whose turn it is.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) item: Item,
    /// It has waited.
    pub(super) put_off: Option<PutOff>,
}

/// What a row that was put off comes back with.
#[derive(Debug)]
pub(in crate::engine::run) struct PutOff {
    /// How often it was put off, this time included.
    pub(super) times: u32,
    /// Fingerprint of the text that the resumption belongs to.
    pub(super) text: [u8; 32],
    pub(super) resumption: Option<Resumption>,
}

/// Rows that wait for their retry, by what they come back with.
pub(super) type Waiting = HashMap<Item, PutOff>;

/// The rows that this run has claimed, and its workers.
///
/// A claimed row is in the queue, with a worker, waiting for its retry, or left to the next run.
#[derive(Debug)]
pub(super) struct Work {
    /// Most workers.
    limit: usize,
    queue: VecDeque<Turn>,
    claimed: HashSet<Item>,
    waiting: Waiting,
    workers: usize,
    /// Rows may have been put since the last scan began.
    dirty: bool,
    failures_in_a_row: u32,
    /// The run has ended: nothing that waits comes back.
    ended: bool,
}

/// What a worker does next.
#[derive(Debug)]
pub(super) enum Next {
    Distil(Turn),
    /// Look into the store for more rows.
    Scan,
    /// The worker ends, and is not counted any more.
    End,
}

/// What a worker that found the queue empty does.
#[derive(Debug)]
pub(super) enum Scan {
    /// Look for rows that are not among these.
    Without(HashSet<Item>),
    /// The queue has rows by now.
    Needless,
    /// The worker ends, and is not counted any more.
    End,
}

impl Work {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            queue: VecDeque::new(),
            claimed: HashSet::new(),
            waiting: Waiting::new(),
            workers: 0,
            dirty: false,
            failures_in_a_row: 0,
            ended: false,
        }
    }

    /// Rows may have been put. Gives whether to start a worker, which is counted already.
    pub(super) fn wake(&mut self) -> bool {
        self.dirty = true;
        !self.waits_for_retries() && self.hire()
    }

    /// Takes the next row; `halted` if the run distils no further.
    pub(super) fn next(&mut self, halted: bool) -> Next {
        if halted || self.has_given_up() {
            self.dirty = false;
            self.workers -= 1;
            return Next::End;
        }
        // Those that come back stand in front.
        let returned = self.queue.front().is_some_and(|turn| turn.put_off.is_some());
        if !returned && self.waits_for_retries() {
            self.workers -= 1;
            return Next::End;
        }
        self.queue.pop_front().map_or(Next::Scan, Next::Distil)
    }

    /// Begins a scan, unless there is a row to take without one or nothing to look for.
    pub(super) fn begin_scan(&mut self) -> Scan {
        if !self.queue.is_empty() {
            return Scan::Needless;
        }
        if !self.dirty {
            self.workers -= 1;
            return Scan::End;
        }
        self.dirty = false;
        Scan::Without(self.claimed.clone())
    }

    /// Claims the rows that a scan has found; `full` if it may have left some behind. Gives how
    /// many workers to start, beside the one that has scanned; they are counted already.
    pub(super) fn claim(&mut self, found: Vec<Item>, full: bool) -> usize {
        self.dirty |= full;
        self.claimed.extend(&found);
        self.queue.extend(found.into_iter().map(|item| Turn { item, put_off: None }));
        let more = self.queue.len().saturating_sub(1);
        let more = more.min(self.limit.saturating_sub(self.workers));
        self.workers += more;
        more
    }

    /// The row is done.
    pub(super) fn stored(&mut self, item: Item) {
        self.claimed.remove(&item);
        self.failures_in_a_row = 0;
    }

    /// The row is there again, for a new text.
    pub(super) fn outdated(&mut self, item: Item) {
        self.claimed.remove(&item);
        self.dirty = true;
    }

    /// The row stays, and stays claimed: the next run of the job takes it up.
    pub(super) fn failed(&mut self) {
        self.failures_in_a_row += 1;
    }

    /// The row waits.
    pub(super) fn put_off(&mut self, item: Item, put_off: PutOff) {
        self.waiting.insert(item, put_off);
    }

    /// Takes a row back that cannot wait.
    pub(super) fn take_back(&mut self, item: Item) -> Option<PutOff> {
        self.waiting.remove(&item)
    }

    /// The wait of a row is over: it is next. Gives whether to start a worker, which is counted
    /// already; nothing comes of a row that was given up meanwhile.
    pub(super) fn comes_back(&mut self, item: Item) -> bool {
        let Some(put_off) = self.waiting.remove(&item) else { return false };
        self.queue.push_front(Turn { item, put_off: Some(put_off) });
        self.hire()
    }

    /// A worker is gone without having been told to end.
    pub(super) fn lose_worker(&mut self) {
        self.workers -= 1;
    }

    /// Failed so often in a row that this run distils no further.
    pub(super) fn has_given_up(&self) -> bool {
        self.failures_in_a_row >= MAX_FAILURES_IN_A_ROW
    }

    /// Ends the distilling if no row is being worked on and, where all are `wanted`, none may have
    /// been put since the last look and none waits; those that wait when the run has given up do
    /// not count. Gives whether it has ended.
    pub(super) fn end(&mut self, wanted: bool) -> bool {
        let waits = !self.waiting.is_empty() && !self.has_given_up();
        let open = wanted && (self.dirty || waits);
        self.ended |= self.workers == 0 && !open;
        self.ended
    }

    /// Gives up what still waits, for the caller to drop without the lock.
    pub(super) fn forget_waiting(&mut self) -> Waiting {
        std::mem::take(&mut self.waiting)
    }

    /// So many rows wait that no new one is taken.
    fn waits_for_retries(&self) -> bool {
        self.waiting.len() >= self.limit.max(MIN_WAITING)
    }

    fn hire(&mut self) -> bool {
        let room = !self.ended && self.workers < self.limit;
        self.workers += usize::from(room);
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(number: u8) -> Item {
        Item { focus: FocusId([0; 8]), page: UrlKey([number; 16]) }
    }

    fn put_off() -> PutOff {
        PutOff { times: 1, text: [0; 32], resumption: None }
    }

    /// Work with one worker and these rows, all claimed by a scan.
    fn claimed(limit: usize, rows: std::ops::Range<u8>) -> Work {
        let mut work = Work::new(limit);
        assert!(work.wake());
        assert!(matches!(work.next(false), Next::Scan));
        assert!(matches!(work.begin_scan(), Scan::Without(known) if known.is_empty()));
        work.claim(rows.map(item).collect(), false);
        work
    }

    fn taken(work: &mut Work) -> Option<Item> {
        match work.next(false) {
            Next::Distil(turn) => Some(turn.item),
            Next::Scan | Next::End => None,
        }
    }

    #[test]
    fn a_row_that_waits_leaves_its_worker_to_others_and_is_first_when_it_comes_back() {
        let mut work = claimed(1, 0..3);
        assert_eq!(taken(&mut work), Some(item(0)));
        work.put_off(item(0), put_off());
        assert_eq!(taken(&mut work), Some(item(1)));
        assert!(!work.comes_back(item(0)), "the only worker is at work");
        assert!(matches!(work.next(false), Next::Distil(Turn { item: found, put_off: Some(_) })
            if found == item(0)));
        assert_eq!(taken(&mut work), Some(item(2)));
        assert!(!work.comes_back(item(0)), "it does not wait any more");
        assert!(matches!((work.next(false), work.begin_scan()), (Next::Scan, Scan::End)));
        assert!(work.end(true));
    }

    #[test]
    fn no_new_row_is_taken_while_too_many_wait_but_those_that_come_back_are() {
        let mut work = claimed(1, 0..9);
        for number in 0..4 {
            assert_eq!(taken(&mut work), Some(item(number)));
            work.put_off(item(number), put_off());
        }
        assert!(matches!(work.next(false), Next::End));
        assert!(!work.wake(), "a worker would find nothing that it may take");
        assert!(!work.end(true) && work.comes_back(item(2)), "there is a worker again");
        assert_eq!(taken(&mut work), Some(item(2)));
        work.put_off(item(2), put_off());
        assert!(matches!(work.next(false), Next::End));
        assert!(work.comes_back(item(0)));
        assert_eq!(taken(&mut work), Some(item(0)));
        work.stored(item(0));
        assert_eq!(taken(&mut work), Some(item(4)), "three wait");
        // More may wait where more are worked on.
        let mut wide = claimed(6, 0..9);
        for number in 0..6 {
            assert_eq!(taken(&mut wide), Some(item(number)));
            wide.put_off(item(number), put_off());
        }
        assert!(matches!(wide.next(false), Next::End));
    }

    #[test]
    fn a_run_ends_with_rows_that_wait_only_where_it_distils_no_further() {
        let mut work = claimed(1, 0..1);
        assert!(!work.end(false), "one is being worked on");
        assert_eq!(taken(&mut work), Some(item(0)));
        work.put_off(item(0), put_off());
        assert!(matches!((work.next(false), work.begin_scan()), (Next::Scan, Scan::End)));
        assert!(!work.end(true));
        assert!(work.end(false));
        assert!(!work.comes_back(item(0)) && !work.wake(), "nothing begins after the end");

        let mut failing = claimed(1, 0..9);
        failing.put_off(item(8), put_off());
        for number in 0..5 {
            assert!(!failing.has_given_up());
            assert_eq!(taken(&mut failing), Some(item(number)));
            failing.failed();
        }
        assert!(matches!(failing.next(false), Next::End));
        assert!(failing.end(true));
    }

    #[test]
    fn a_worker_that_is_lost_leaves_room() {
        let mut work = claimed(1, 0..2);
        assert_eq!(taken(&mut work), Some(item(0)));
        assert!(!work.wake());
        work.lose_worker();
        assert!(work.wake());
        assert_eq!(taken(&mut work), Some(item(1)));
    }
}
