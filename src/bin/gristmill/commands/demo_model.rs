//! The second part of `gristmill demo`: a model, and the caches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gristmill::cancel::CancelToken;
use gristmill::engine::{Engine, Error, InfoQuery, Report, StopReason};
use gristmill::model::{Info, Job};

use super::demo::{self, LoopbackResolver};
use super::infos::citation;
use crate::demo::model::StandIn;
use crate::demo::server::Server;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::progress;

/// What the model is asked about.
const FOCUS: &str = "arches of the Harrow Bridge";

/// What is read from the engine before it is closed.
struct Findings {
    first: Report,
    second: Report,
    infos: Vec<Info>,
    /// Queries to the engine, and the time that all of them took.
    questions: usize,
    from_store: Duration,
    from_memory: Duration,
}

/// Distils the pages stored by the first part with a model, twice, queries the results twice, and
/// reports both.
pub(super) fn run(
    output: &mut Output,
    site: &Server,
    dir: &std::path::Path,
    stop: &CancelToken,
    visible: bool,
) -> Result<Outcome, Failure> {
    let model = Server::start(StandIn).map_err(|e| Failure::system("start the demo's model", e))?;
    output.line(&format!(
        "\nThe same pages distilled by a model, for {FOCUS:?}. The demo's model only copies \
         sentences."
    ))?;
    std::io::Write::flush(output).map_err(Failure::Output)?;
    let mut config = demo::settings();
    // The first part has already retried what is broken.
    config.crawl.max_attempts = 1;
    config.llm.url = Some(model.url("/v1"));
    config.llm.model = Some("stand-in".to_owned());
    let engine =
        Engine::builder(dir).config(config).resolver(Arc::new(LoopbackResolver)).build()?;
    let found = findings(&engine, site, stop, visible);
    let found = progress::close(&engine, found)?;
    drop(model);
    print(output, &found)?;
    if found.second.stopped == Some(StopReason::Cancelled) {
        return Ok(Outcome::Interrupted);
    }
    if found.infos.is_empty() {
        return Err(Failure::Failed("the demo's model found nothing".to_owned()));
    }
    Ok(Outcome::Done)
}

fn findings(
    engine: &Engine,
    site: &Server,
    stop: &CancelToken,
    visible: bool,
) -> Result<Findings, Error> {
    let job = |name| Job { name, ..demo::job(site, [FOCUS]) };
    let first = progress::follow(engine, job("demo with a model".to_owned()), stop, visible)?;
    let second = progress::follow(engine, job("demo once more".to_owned()), stop, visible)?;
    let query = InfoQuery { focus: Some(FOCUS.to_owned()), since: None };
    let infos = demo::best(engine.infos(&query)?)?;
    let (questions, from_store) = ask_all(engine, site)?;
    let (_, from_memory) = ask_all(engine, site)?;
    Ok(Findings { first, second, infos, questions, from_store, from_memory })
}

/// Repeats all queries of the first part; returns their number and the time they took.
fn ask_all(engine: &Engine, site: &Server) -> Result<(usize, Duration), Error> {
    let started = Instant::now();
    let questions = demo::findings(engine, site)?.questions();
    Ok((questions, started.elapsed()))
}

fn print(output: &mut Output, found: &Findings) -> Result<(), Failure> {
    let (first, second) = (&found.first.llm, &found.second.llm);
    output.line(&format!(
        "{} calls, {} tokens, {} infos; a second job with the same focus: {} calls, {} answers \
         from the cache",
        first.calls,
        first.tokens_in + first.tokens_out,
        found.first.infos,
        second.calls,
        second.cache_hits,
    ))?;
    for info in &found.infos {
        output.line(&citation(info))?;
    }
    output.line(&format!(
        "\n{} queries took {:?} from the store, and {:?} when repeated",
        found.questions, found.from_store, found.from_memory
    ))
}
