//! Starting exchanges within the limits, and ending the run.

use std::sync::Arc;
use std::time::Duration;

use super::{Flow, RunState, StopReason};
use crate::crawl::{Lease, Next, UrlRecord};
use crate::engine::{Error, stats};
use crate::model::BudgetKind;
use crate::pool::Priority;

/// What one look at the limits and the frontier leads to.
enum Step {
    /// Start this exchange.
    Start(Lease),
    /// Write down that this URL is not fetched.
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
    /// Starts what can be started; ends the run when nothing is left. Never blocks on another task.
    pub(super) fn pump(self: &Arc<Self>) {
        loop {
            let step = self.step().unwrap_or_else(|error| {
                self.fail(error);
                Step::Again
            });
            match step {
                Step::Start(lease) => {
                    let run = Arc::clone(self);
                    self.shared.crawl_pool.spawn(Priority::Normal, move || run.exchange(&lease));
                }
                Step::Refuse(record) => {
                    self.count_end(&record.reason);
                    if let Err(error) = self.store_final(&record) {
                        self.fail(error);
                    }
                }
                Step::Wait { at, now } => {
                    self.pump_at(at, now);
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
        let mut flow = self.flow.lock();
        if flow.finishing {
            return Ok(Step::Idle);
        }
        self.check_budgets(&mut flow);
        if flow.stop.is_some() || flow.failure.is_some() {
            return Ok(self.finish_if_idle(&mut flow));
        }
        let config = &self.shared.config;
        if self.pending.count() >= config.distil.max_pending as u64 && self.pending.has_given_up() {
            flow.stop = Some(StopReason::Distiller);
            return Ok(self.finish_if_idle(&mut flow));
        }
        if flow.in_flight >= config.crawl.concurrency
            || self.pending.count() >= config.distil.max_pending as u64
            || self.pages_reserved(&flow)
        {
            return Ok(Step::Idle);
        }
        let mut frontier = self.frontier.lock();
        let now = self.now();
        let mut next = frontier.next(now);
        while matches!(next, Next::Refill) {
            // What was published is queued, but a refill must find it.
            self.shared.tables.store.flush()?;
            frontier.refill(&self.frontier_store(), now)?;
            next = frontier.next(now);
        }
        Ok(match next {
            Next::Ready(lease) => {
                flow.in_flight += 1;
                Step::Start(lease)
            }
            Next::Refused(record) => Step::Refuse(record),
            Next::NotBefore(at)
                if flow.timer.is_none_or(|timer| at < timer || timer <= now.monotonic) =>
            {
                flow.timer = Some(at);
                Step::Wait { at, now: now.monotonic }
            }
            Next::Empty => {
                drop(frontier);
                self.finish_if_idle(&mut flow)
            }
            Next::NotBefore(_) | Next::Refill => Step::Idle,
        })
    }

    /// Whether every page that the budget still allows is in flight.
    fn pages_reserved(&self, flow: &Flow) -> bool {
        let most = self.job.budget.max_pages.unwrap_or(u64::MAX);
        self.counters.pages.get() + flow.in_flight as u64 >= most
    }

    /// Stops the run when a budget is used up. Time has its own timer.
    fn check_budgets(&self, flow: &mut Flow) {
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
        flow.stop.get_or_insert(StopReason::Budget(spent));
    }

    /// Whether distilling goes on although the crawl has stopped: it does when only the crawl's own
    /// budget is used up.
    fn distils_after(stop: Option<StopReason>) -> bool {
        matches!(stop, None | Some(StopReason::Budget(BudgetKind::Pages | BudgetKind::Bytes)))
    }

    fn finish_if_idle(&self, flow: &mut Flow) -> Step {
        // A run that was told to stop for a second reason distils no further either.
        let wanted =
            Self::distils_after(flow.stop) && flow.failure.is_none() && !self.token.is_cancelled();
        if flow.in_flight > 0 || !self.pending.end(wanted) {
            return Step::Idle;
        }
        flow.finishing = true;
        Step::Finish
    }

    /// Looks again at `at`. A timer that an earlier one has overtaken does not forget that one, so
    /// no more of them are under way than there were overtakings.
    fn pump_at(self: &Arc<Self>, at: Duration, now: Duration) {
        let run = Arc::clone(self);
        let delay = at.saturating_sub(now);
        self.shared.crawl_pool.spawn_after(delay, Priority::High, move || {
            {
                let mut flow = run.flow.lock();
                if flow.timer == Some(at) {
                    flow.timer = None;
                }
            }
            run.pump();
        });
    }

    /// Called when an exchange has ended, however it did.
    pub(super) fn exchange_ended(self: &Arc<Self>) {
        self.flow.lock().in_flight -= 1;
        self.pump();
    }

    /// Ends the run early, for this reason unless it has one already.
    pub(super) fn stop(self: &Arc<Self>, reason: StopReason) {
        self.flow.lock().stop.get_or_insert(reason);
        if !Self::distils_after(Some(reason)) {
            self.token.cancel();
        }
        self.pump();
    }

    /// Ends the run by a failure, the first one given.
    pub(super) fn fail(&self, error: Error) {
        tracing::error!(job = self.job.name, %error, "the run cannot go on");
        self.flow.lock().failure.get_or_insert(error);
        self.token.cancel();
    }

    /// Stores that the run has ended and tells who waits. Runs once.
    fn finish(&self) {
        self.pending.forget_waiting();
        let (mut stop, failure) = {
            let mut flow = self.flow.lock();
            (flow.stop, flow.failure.take())
        };
        // The last page that the budget allows may be the last page there is.
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
        self.flow.lock().outcome = Some(outcome);
        self.ended.notify_all();
        if let Err(error) = stats::publish(&self.shared) {
            tracing::warn!(%error, "the figures could not be published");
        }
    }

    fn store_end(&self, stop: Option<StopReason>) -> Result<(), Error> {
        self.receipts.settle(&self.shared.tables.store)?;
        if stop.is_some() {
            return Ok(());
        }
        let mut row = self.row.lock();
        row.finished_at = Some(self.shared.clock.wall());
        self.store_row(&row)
    }
}
