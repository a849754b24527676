//! Starting exchanges within the limits, and ending the run.

use std::sync::Arc;
use std::time::Duration;

use super::progress::StopReason;
use super::state::{Lifecycle, RunState};
use crate::crawl::{Lease, Next, UrlRecord};
use crate::engine::Error;
use crate::model::BudgetKind;
use crate::pool::Priority;

/// What to do next, by the limits and the frontier.
enum Step {
    /// Start this exchange.
    Start(Lease),
    /// Record that this URL is not fetched.
    Refuse(Box<UrlRecord>),
    /// Look again at this time.
    Wait { at: Duration, now: Duration },
    /// Look again at once: the run has just failed.
    Again,
    /// Nothing to do until something ends.
    Idle,
    /// The run is over.
    Finish,
}

impl RunState {
    /// Starts as much as the limits allow; ends the run when nothing is left. Never blocks on
    /// another task.
    pub(super) fn advance(self: &Arc<Self>) {
        loop {
            let step = self.step().unwrap_or_else(|error| {
                self.fail(error);
                Step::Again
            });
            match step {
                Step::Start(lease) => {
                    let run = Arc::clone(self);
                    self.parts.crawl_pool.spawn(Priority::Normal, move || run.exchange(&lease));
                }
                Step::Refuse(record) => {
                    self.count_end(&record.reason);
                    if let Err(error) = self.store_final(&record) {
                        self.fail(error);
                    }
                }
                Step::Wait { at, now } => {
                    self.advance_at(at, now);
                    return;
                }
                Step::Again => {}
                Step::Idle => return,
                Step::Finish => {
                    self.finish();
                    return;
                }
            }
        }
    }

    fn step(&self) -> Result<Step, Error> {
        let mut lifecycle = self.lifecycle.lock();
        if lifecycle.finishing {
            return Ok(Step::Idle);
        }
        self.check_budgets(&mut lifecycle);
        if lifecycle.stop.is_some() || lifecycle.failure.is_some() {
            return Ok(self.finish_if_idle(&mut lifecycle));
        }
        let config = &self.parts.config;
        if self.pending.count() >= config.distil.max_pending as u64 && self.pending.has_given_up() {
            lifecycle.stop = Some(StopReason::Distiller);
            return Ok(self.finish_if_idle(&mut lifecycle));
        }
        if lifecycle.in_flight >= config.crawl.concurrency
            || self.pending.count() >= config.distil.max_pending as u64
            || self.pages_reserved(&lifecycle)
        {
            return Ok(Step::Idle);
        }
        let mut frontier = self.frontier.lock();
        let now = self.now();
        let mut next = frontier.next(now);
        while matches!(next, Next::Refill) {
            // Published records may still be in the store's queue, where a refill would miss them.
            self.parts.tables.store.flush()?;
            frontier.refill(&self.frontier_store(), now)?;
            next = frontier.next(now);
        }
        Ok(match next {
            Next::Ready(lease) => {
                lifecycle.in_flight += 1;
                Step::Start(lease)
            }
            Next::Refused(record) => Step::Refuse(record),
            Next::NotBefore(at)
                if lifecycle.timer.is_none_or(|timer| at < timer || timer <= now.monotonic) =>
            {
                lifecycle.timer = Some(at);
                Step::Wait { at, now: now.monotonic }
            }
            Next::Empty => {
                drop(frontier);
                self.finish_if_idle(&mut lifecycle)
            }
            Next::NotBefore(_) | Next::Refill => Step::Idle,
        })
    }

    /// Whether every page that the budget still allows is in flight.
    fn pages_reserved(&self, lifecycle: &Lifecycle) -> bool {
        let most = self.job.budget.max_pages.unwrap_or(u64::MAX);
        self.counters.pages.get() + lifecycle.in_flight as u64 >= most
    }

    /// Stops the run when a budget is used up. The time budget has a timer of its own.
    fn check_budgets(&self, lifecycle: &mut Lifecycle) {
        let budget = &self.job.budget;
        let used_up = |most: Option<u64>, used: u64| most.is_some_and(|most| used >= most);
        let counters = &self.counters;
        let tokens = counters.tokens_in.get() + counters.tokens_out.get();
        let spent = if used_up(budget.max_pages, counters.pages.get()) {
            BudgetKind::Pages
        } else if used_up(budget.max_bytes, counters.bytes.get()) {
            BudgetKind::Bytes
        } else if used_up(budget.max_tokens, tokens) {
            BudgetKind::Tokens
        } else {
            return;
        };
        lifecycle.stop.get_or_insert(StopReason::Budget(spent));
    }

    /// Whether distilling goes on after the crawl has stopped. It does if only a budget of the
    /// crawl itself is used up.
    fn distils_after(stop: Option<StopReason>) -> bool {
        matches!(stop, None | Some(StopReason::Budget(BudgetKind::Pages | BudgetKind::Bytes)))
    }

    fn finish_if_idle(&self, lifecycle: &mut Lifecycle) -> Step {
        // A cancelled token means a second reason to stop, which ends distilling too.
        let wanted = Self::distils_after(lifecycle.stop)
            && lifecycle.failure.is_none()
            && !self.token.is_cancelled();
        if lifecycle.in_flight > 0 || !self.pending.end(wanted) {
            return Step::Idle;
        }
        lifecycle.finishing = true;
        Step::Finish
    }

    /// Calls `advance` at `at`. A timer clears the entry only if it is its own, so an earlier timer
    /// that was set meanwhile stays known.
    fn advance_at(self: &Arc<Self>, at: Duration, now: Duration) {
        let run = Arc::clone(self);
        let delay = at.saturating_sub(now);
        self.parts.crawl_pool.spawn_after(delay, Priority::High, move || {
            {
                let mut lifecycle = run.lifecycle.lock();
                if lifecycle.timer == Some(at) {
                    lifecycle.timer = None;
                }
            }
            run.advance();
        });
    }

    /// Called when an exchange has ended, with whatever result.
    pub(super) fn exchange_ended(self: &Arc<Self>) {
        self.lifecycle.lock().in_flight -= 1;
        self.advance();
    }

    /// Ends the run early. The first reason given counts.
    pub(super) fn stop(self: &Arc<Self>, reason: StopReason) {
        self.lifecycle.lock().stop.get_or_insert(reason);
        if !Self::distils_after(Some(reason)) {
            self.token.cancel();
        }
        self.advance();
    }

    /// Ends the run with a failure. The first one counts.
    pub(super) fn fail(&self, error: Error) {
        tracing::error!(job = self.job.name, %error, "the run cannot go on");
        self.lifecycle.lock().failure.get_or_insert(error);
        self.token.cancel();
    }

    /// Stores that the run has ended and wakes those that wait for it. Called once.
    fn finish(&self) {
        self.pending.drop_waiting();
        let (mut stop, failure) = {
            let mut lifecycle = self.lifecycle.lock();
            (lifecycle.stop, lifecycle.failure.take())
        };
        // The budget did not stop the run if the last page it allowed was the last page there was.
        if stop == Some(StopReason::Budget(BudgetKind::Pages))
            && self.frontier.lock().pending() == 0
        {
            stop = None;
        }
        let ended = match failure {
            Some(error) => Err(error),
            None => self.store_end(stop),
        };
        let outcome = match ended {
            Ok(()) => Ok(self.report(stop)),
            Err(error) => Err(Arc::new(error)),
        };
        self.lifecycle.lock().outcome = Some(outcome);
        self.ended.notify_all();
        if let Err(error) = self.parts.publish_stats() {
            tracing::warn!(%error, "the figures could not be published");
        }
    }

    fn store_end(&self, stop: Option<StopReason>) -> Result<(), Error> {
        self.commits.flush(&self.parts.tables.store)?;
        if stop.is_some() || self.job.reextract {
            return Ok(());
        }
        let mut row = self.row.lock();
        row.finished_at = Some(self.parts.clock.wall());
        self.store_row(&row)
    }
}
