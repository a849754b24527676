//! `gristmill demo`: the whole job on the bundled site, on the loopback interface.
//!
//! First without a model, as most will begin; then [with one](super::demo_model).

use std::cmp::Ordering;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gristmill::Config;
use gristmill::engine::{Engine, Error, InfoQuery, Report, StopReason};
use gristmill::http::Resolve;
use gristmill::model::{Budget, Focus, Info, Job, Scope};

use super::crawl::summary;
use super::demo_model;
use super::infos::citation;
use crate::arguments::DataOptions;
use crate::demo::server::Server;
use crate::demo::site::Site;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, plain};
use crate::{interrupt, progress};

/// What the demo looks for.
const FOCUSES: [&str; 4] =
    ["mill wheel restoration", "flood of 1784", "Restaurierung des Mühlrads", "水轮修复"];
/// Infos shown for each focus.
const SHOWN: usize = 3;
/// URLs of the site whose reasons are shown.
const TOLD: [&str; 6] = [
    "/mills/ashgate-wheel.html",
    "/old/mill.html",
    "/private/board.html",
    "/missing.html",
    "/loop/a",
    "/images/seal.png",
];
/// All pages worth reading are fewer links away from the start. The site has an endless calendar
/// and an endless maze; this bound ends the demo if nothing else stops them.
const MAX_DEPTH: u32 = 6;
/// More pages than the site has within this depth.
const MAX_PAGES: u64 = 300;

/// What is read from the engine before it is closed.
pub(super) struct Findings {
    infos: Vec<(&'static str, Vec<Info>)>,
    reasons: Vec<String>,
}

impl Findings {
    /// The number of queries behind these findings.
    pub(super) fn questions(&self) -> usize {
        self.infos.len() + TOLD.len()
    }
}

/// The demo's resolver: `localhost` is the loopback address, whatever the system says, and no other
/// name is looked up.
#[derive(Debug)]
pub(super) struct LoopbackResolver;

impl Resolve for LoopbackResolver {
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        match host {
            "localhost" => Ok(vec![Ipv4Addr::LOCALHOST.into()]),
            _ => {
                Err(io::Error::new(io::ErrorKind::NotFound, "the demo resolves only its own site"))
            }
        }
    }
}

pub(crate) fn run(data: &DataOptions, verbose: u8) -> Result<Outcome, Failure> {
    let server =
        Server::start(Site::new()).map_err(|e| Failure::system("start the demo's server", e))?;
    let dir = Directory::of(data)?;
    let engine = Engine::builder(dir.path())
        .config(settings())
        .resolver(Arc::new(LoopbackResolver))
        .build()?;
    let stop = interrupt::token()?;
    let job = job(&server, FOCUSES);
    let mut output = Output::stdout();
    output.line(&format!(
        "The bundled site is served at {}. Crawling it and looking for {} things ...",
        url(&server, "/"),
        FOCUSES.len()
    ))?;
    std::io::Write::flush(&mut output).map_err(Failure::Output)?;
    let (report, findings) =
        progress::watch(&engine, job, &stop, verbose == 0, |_| findings(&engine, &server))?;
    print(&mut output, &report, &findings)?;
    let outcome = if report.stopped == Some(StopReason::Cancelled) {
        Outcome::Interrupted
    } else if findings.infos.iter().any(|(_, infos)| infos.is_empty()) {
        return Err(Failure::Failed("the demo did not find the facts on its site".to_owned()));
    } else {
        demo_model::run(&mut output, &server, dir.path(), &stop, verbose == 0)?
    };
    print_end(&mut output, &dir)?;
    output.finish()?;
    dir.remove()?;
    drop(server);
    Ok(outcome)
}

/// The URL of a path of the site.
fn url(server: &Server, path: &str) -> String {
    format!("http://localhost:{}{path}", server.address().port())
}

/// No delay: the site is our own and on this machine.
pub(super) fn settings() -> Config {
    let mut config = Config::default();
    config.crawl.allow_private = true;
    config.crawl.delay = Duration::ZERO;
    config.crawl.max_attempts = 2;
    config
}

pub(super) fn job(server: &Server, focuses: impl IntoIterator<Item = &'static str>) -> Job {
    let job = Job::new("demo")
        .site(url(server, "/"))
        .scope(Scope { max_depth: Some(MAX_DEPTH), ..Scope::default() })
        .budget(Budget { max_pages: Some(MAX_PAGES), ..Budget::default() });
    focuses.into_iter().fold(job, |job, focus| job.focus(Focus::new(focus)))
}

pub(super) fn findings(engine: &Engine, server: &Server) -> Result<Findings, Error> {
    let mut infos = Vec::new();
    for focus in FOCUSES {
        let query = InfoQuery { focus: Some(focus.to_owned()), since: None };
        infos.push((focus, best(engine.infos(&query)?)?));
    }
    let mut reasons = Vec::new();
    for path in TOLD {
        for explanation in engine.why(&url(server, path))? {
            reasons.push(format!("{path}: {}", plain(&explanation.reason.to_string())));
        }
    }
    Ok(Findings { infos, reasons })
}

/// The infos to show: those with the highest scores.
pub(super) fn best(infos: impl Iterator<Item = Result<Info, Error>>) -> Result<Vec<Info>, Error> {
    let mut found = infos.collect::<Result<Vec<_>, _>>()?;
    found.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal));
    found.truncate(SHOWN);
    Ok(found)
}

fn print(output: &mut Output, report: &Report, findings: &Findings) -> Result<(), Failure> {
    output.line(&summary(report))?;
    for (focus, infos) in &findings.infos {
        output.line(&format!("\n{focus}"))?;
        for info in infos {
            output.line(&citation(info))?;
        }
    }
    output.line("\nWhy some URLs were kept and others were not")?;
    for reason in &findings.reasons {
        output.line(&format!("- {reason}"))?;
    }
    Ok(())
}

fn print_end(output: &mut Output, dir: &Directory) -> Result<(), Failure> {
    if let Directory::Kept(path) = dir {
        let path = path.display();
        output.line(&format!("\nAll of it is in {path}: try `gristmill infos --data {path}`."))?;
    }
    output.line("\nNow crawl a site of your own: gristmill crawl https://example.com/ --focus \"what matters\"")
}

/// Where the demo keeps its data.
enum Directory {
    /// The user's directory, which is kept.
    Kept(PathBuf),
    /// A temporary directory, which is removed.
    Temporary(PathBuf),
}

impl Directory {
    fn of(data: &DataOptions) -> Result<Self, Failure> {
        if let Some(path) = &data.data {
            return Ok(Self::Kept(path.clone()));
        }
        let name = format!("gristmill-demo-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Fails if the name is taken: an existing directory is not ours to fill and remove.
        std::fs::create_dir(&path)
            .map_err(|error| Failure::system(format!("create {}", path.display()), error))?;
        Ok(Self::Temporary(path))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) | Self::Temporary(path) => path,
        }
    }

    /// Removes a temporary directory, and reports a failure.
    fn remove(&self) -> Result<(), Failure> {
        let Self::Temporary(path) = self else { return Ok(()) };
        std::fs::remove_dir_all(path)
            .map_err(|error| Failure::system(format!("remove {}", path.display()), error))
    }
}

impl Drop for Directory {
    /// For early returns, which skip [`Directory::remove`].
    fn drop(&mut self) {
        if let Self::Temporary(path) = self {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}
