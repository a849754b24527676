//! `peers`: gristmill beside its peers, each part measured the same way on the same machine.
//!
//! ```text
//! peers crawl [--docs DIR] [--engines A,B] [--repeat N] [--connections N] [--json FILE]
//! peers pool [--engines A,B] [--repeat N] [--idle] [--json FILE]
//! peers cache [--traces DIR] [--trace FILE:CAPACITY].. [--synthetic]
//!             [--engines A,B] [--repeat N] [--json FILE]
//! peers store [--pages DIR] [--pages-count N] [--quick] [--dir DIR]
//!             [--engines A,B] [--repeat N] [--json FILE]
//! peers store-endurance [--live-mb N] [--total-mb N] [--pages DIR] [--dir DIR]
//!             [--engines A,B] [--json FILE]
//! peers store-reopen [--keys N] [--repeat N] [--dir DIR] [--json FILE]
//! ```
//!
//! Every engine runs in a process of its own; its processor time and peak memory are what the
//! kernel accounts to that process. Repetitions are interleaved, so that a slow minute of the
//! machine falls on all engines alike, and the table shows medians.

mod arguments;
mod cache;
mod crawl;
mod error;
mod numbers;
mod pool;
mod process;
mod report;
mod runs;
mod store;

use std::process::ExitCode;

use arguments::Arguments;
use error::Error;

const USAGE: &str = "usage: peers crawl [--docs DIR] [--engines A,B] [--repeat N] \
                     [--connections N] [--json FILE]\n       \
                     peers pool [--engines A,B] [--repeat N] [--idle] [--json FILE]\n       \
                     peers cache [--traces DIR] [--trace FILE:CAPACITY].. [--synthetic] \
                     [--engines A,B] [--repeat N] [--json FILE]\n       \
                     peers store [--pages DIR] [--pages-count N] [--quick] [--dir DIR] \
                     [--engines A,B] [--repeat N] [--json FILE]\n       \
                     peers store-endurance [--live-mb N] [--total-mb N] [--pages DIR] \
                     [--dir DIR] [--engines A,B] [--json FILE]\n       \
                     peers store-reopen [--keys N] [--repeat N] [--dir DIR] [--json FILE]";

fn main() -> ExitCode {
    match run(Arguments::from_process()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ Error::Usage(_)) => {
            eprintln!("peers: {error}\n{USAGE}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("peers: {}", error::with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

/// Names beginning with two underscores are for this binary's own child processes.
fn run(mut arguments: Arguments) -> Result<(), Error> {
    if arguments.flag("--help") {
        println!("{USAGE}");
        return Ok(());
    }
    match arguments.positional()?.as_str() {
        "crawl" => crawl::run(arguments),
        "__crawl-engine" => crawl::engine::run_here(arguments),
        "__crawl-read-back" => crawl::gristmill::read_back_here(arguments),
        "__crawl-server" => crawl::server::run_here(arguments),
        "pool" => pool::run(arguments),
        "__pool-engine" => pool::engine::run_here(arguments),
        "cache" => cache::run(arguments),
        "__cache-engine" => cache::engine::run_here(arguments),
        "store" => store::run(arguments),
        "__store-engine" => store::engine::run_here(arguments),
        "store-endurance" => store::endurance::run(arguments),
        "__store-endurance" => store::endurance::run_here(arguments),
        "store-reopen" => store::reopen::run(arguments),
        "__store-fill" => store::reopen::fill_here(arguments),
        "__store-open" => store::reopen::open_here(arguments),
        other => Err(Error::Usage(format!("there is no part called {other:?}"))),
    }
}
