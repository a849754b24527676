//! Watching a run: the progress line, and the wait for its end.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use gristmill::cancel::CancelToken;
use gristmill::engine::{Engine, Error, Progress, Report, Run};
use gristmill::model::Job;
use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the line is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// How long the engine has to end its threads and release the directory after a run.
const CLOSE_WITHIN: Duration = Duration::from_secs(30);

/// Runs the job until it ends or `stop` is cancelled, and closes the engine. The progress line is
/// drawn on standard error if `visible` is set and that is a terminal.
///
/// `after` is called before the engine is closed, to read what the caller wants to report.
pub(crate) fn watch<T>(
    engine: &Engine,
    job: Job,
    stop: &CancelToken,
    visible: bool,
    after: impl FnOnce(&Report) -> Result<T, Error>,
) -> Result<(Report, T), Error> {
    let outcome = follow(engine, job, stop, visible);
    close(engine, outcome.and_then(|report| after(&report).map(|told| (report, told))))
}

/// The same without closing the engine.
pub(crate) fn follow(
    engine: &Engine,
    job: Job,
    stop: &CancelToken,
    visible: bool,
) -> Result<Report, Error> {
    let run = Arc::new(engine.run(job)?);
    let stopper = Arc::clone(&run);
    let guard = stop.on_cancel(move || stopper.cancel());
    let line = line(visible && std::io::stderr().is_terminal());
    let outcome = wait(&run, &line);
    drop(guard);
    line.finish_and_clear();
    outcome
}

/// Closes the engine, and returns the result. An error of the run takes precedence, because it
/// tells more.
pub(crate) fn close<T>(engine: &Engine, result: Result<T, Error>) -> Result<T, Error> {
    let closed = engine.close(CLOSE_WITHIN);
    let result = result?;
    closed?;
    Ok(result)
}

/// A bar that counts documents, on standard error. It is hidden if that is no terminal, or if the
/// results go to a terminal too.
pub(crate) fn documents(count: usize) -> ProgressBar {
    let visible = count > 1 && std::io::stderr().is_terminal() && !std::io::stdout().is_terminal();
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} documents, {eta} left")
        .expect("invariant: the template is written right");
    ProgressBar::with_draw_target(Some(count as u64), target(visible)).with_style(style)
}

fn wait(run: &Run, line: &ProgressBar) -> Result<Report, Error> {
    loop {
        if let Some(outcome) = run.wait_timeout(DRAW_EVERY) {
            return outcome;
        }
        line.set_message(message(&run.progress()));
        line.tick();
    }
}

fn line(visible: bool) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {wide_msg}")
        .expect("invariant: the template is written right");
    ProgressBar::with_draw_target(None, target(visible)).with_style(style)
}

fn target(visible: bool) -> ProgressDrawTarget {
    if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
}

fn message(progress: &Progress) -> String {
    let mut message = format!(
        "{} pages, {} queued, {} in flight, {} infos, {}, {}",
        progress.pages,
        progress.queued,
        progress.in_flight,
        progress.infos,
        HumanBytes(progress.bytes),
        HumanDuration(progress.elapsed),
    );
    if progress.failed > 0 {
        let _ = write!(message, ", {} failed", progress.failed);
    }
    if progress.pending_distil > 0 {
        let _ = write!(message, ", {} to distil", progress.pending_distil);
    }
    message
}
