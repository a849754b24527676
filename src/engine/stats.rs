//! Figures of all parts in one snapshot, and the file in which a running engine publishes them.

use std::fmt::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Error, Progress, Shared};
use crate::time::Timestamp;

/// Name of the published file in the directory.
const FILE: &str = "stats.json";
/// A published file larger than this is not ours.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Figures of all parts at one moment.
///
/// The parts' own figures are JSON objects whose fields are those of `StoreStats`, `PoolStats`,
/// `CacheStats`, `HttpStats` and `LlmStats`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// When they were taken.
    pub taken_at: Timestamp,
    /// The process that took them.
    pub pid: u32,
    /// The runs under way or ended in this process, by the name of their job.
    pub runs: Vec<(String, Progress)>,
    /// The figures of the parts: `store`, `http`, `crawl_pool`, `distil_pool`, `content_cache`,
    /// `llm` where a model is configured, and `frontier/NAME` for each run.
    pub parts: serde_json::Map<String, Value>,
}

impl Stats {
    /// The figures in the Prometheus text format: one gauge for each number, its name made of
    /// `gristmill`, the part and the path of the field.
    pub fn to_prometheus(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.numbers() {
            let metric: String = name
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
                .collect();
            let _ = writeln!(text, "# TYPE gristmill_{metric} gauge\ngristmill_{metric} {value}");
        }
        text
    }

    /// All numbers with their dotted names, in a fixed order.
    fn numbers(&self) -> Vec<(String, serde_json::Number)> {
        let mut numbers = Vec::new();
        for (job, progress) in &self.runs {
            let value = serde_json::to_value(progress).unwrap_or(Value::Null);
            flatten(&format!("run.{job}"), &value, &mut numbers);
        }
        for (part, value) in &self.parts {
            flatten(part, value, &mut numbers);
        }
        numbers
    }
}

fn flatten(name: &str, value: &Value, into: &mut Vec<(String, serde_json::Number)>) {
    match value {
        Value::Number(number) => into.push((name.to_owned(), number.clone())),
        Value::Bool(flag) => into.push((name.to_owned(), u64::from(*flag).into())),
        Value::Object(fields) => {
            for (field, value) in fields {
                flatten(&format!("{name}.{field}"), value, into);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                flatten(&format!("{name}.{index}"), value, into);
            }
        }
        Value::Null | Value::String(_) => {}
    }
}

/// A table: one figure a line.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "taken at {} by process {}", self.taken_at, self.pid)?;
        let numbers = self.numbers();
        let width = numbers.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in numbers {
            write!(f, "\n{name:width$}  {value}")?;
        }
        Ok(())
    }
}

/// Takes the figures of all parts.
pub(super) fn collect(shared: &Shared) -> Stats {
    let mut parts = serde_json::Map::new();
    let mut add = |name: &str, value: Result<Value, serde_json::Error>| match value {
        Ok(value) => drop(parts.insert(name.to_owned(), value)),
        Err(error) => tracing::warn!(%error, part = name, "figures have no JSON form"),
    };
    add("store", serde_json::to_value(shared.tables.store.stats()));
    add("http", serde_json::to_value(shared.http.stats()));
    add("crawl_pool", serde_json::to_value(shared.crawl_pool.stats()));
    add("distil_pool", serde_json::to_value(shared.distil_pool.stats()));
    add("content_cache", serde_json::to_value(shared.contents.stats()));
    if let Some(llm) = &shared.llm {
        add("llm", serde_json::to_value(llm.stats()));
    }
    let runs = shared.runs.lock().clone();
    for run in &runs {
        add(&format!("frontier/{}", run.job_name()), serde_json::to_value(run.frontier_stats()));
    }
    Stats {
        taken_at: shared.clock.wall(),
        pid: std::process::id(),
        runs: runs.iter().map(|run| (run.job_name().to_owned(), run.progress())).collect(),
        parts,
    }
}

/// Replaces the published file atomically.
pub(super) fn publish(shared: &Shared) -> Result<(), Error> {
    let stats = collect(shared);
    let path = shared.dir.join(FILE);
    let fresh = shared.dir.join("stats.json.new");
    let file = |source| Error::File { path: path.clone(), source };
    std::fs::write(&fresh, serde_json::to_vec(&stats).map_err(|error| file(error.into()))?)
        .map_err(file)?;
    std::fs::rename(&fresh, &path).map_err(file)
}

/// The figures that the engine on `dir` published last: each second while it runs a job, and when
/// it closes. `None` if none ever did. Does not open the directory, so it works beside the engine
/// in another process.
pub fn published_stats(dir: impl AsRef<Path>) -> Result<Option<Stats>, Error> {
    let path = dir.as_ref().join(FILE);
    let file = |source| Error::File { path: path.clone(), source };
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file(error)),
        Ok(metadata) if metadata.len() > MAX_FILE_BYTES => {
            return Err(file(std::io::ErrorKind::FileTooLarge.into()));
        }
        Ok(_) => {}
    }
    let bytes = std::fs::read(&path).map_err(file)?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| file(error.into()))
}
