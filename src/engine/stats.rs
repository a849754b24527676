//! The figures of all parts, and the file in which a running engine publishes them.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::parts::Parts;
use super::{Error, Progress};
use crate::time::Timestamp;

/// Name of the published file in the directory.
const FILE: &str = "stats.json";
/// The store's figure that counts keys by keyspace.
const KEYS_BY_NAME: &str = "store.keys";
/// A larger file was not published by an engine.
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
    /// The runs of this process, in progress or ended, by the name of their job.
    pub runs: Vec<(String, Progress)>,
    /// The figures of the parts: `store`, `http`, `crawl_pool`, `distil_pool`, `store_pool`; of the
    /// caches that are on, `content_cache`, `query_cache`, `robots_cache` and `dns_cache` (the
    /// crawl's resolver); where a model is configured, `llm`, `template_cache` and
    /// `response_cache`; and `frontier/NAME` for each run.
    pub parts: serde_json::Map<String, Value>,
}

impl Stats {
    /// The figures in the Prometheus text format. Each number is a gauge whose name joins
    /// `gristmill`, the part and the path of the field. Labels distinguish runs, keyspaces and
    /// levels.
    pub fn to_prometheus(&self) -> String {
        let mut metrics: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for Figure { path, labels, value } in self.figures() {
            let name: String = path
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
                .collect();
            let labels: Vec<String> = labels
                .iter()
                .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
                .collect();
            let labels =
                if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            metrics.entry(name).or_default().push(format!("{labels} {value}"));
        }
        let mut text = String::new();
        for (name, samples) in metrics {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# TYPE gristmill_{name} gauge");
            for sample in samples {
                let _ = writeln!(text, "gristmill_{name}{sample}");
            }
        }
        text
    }

    /// All numbers, in a fixed order.
    fn figures(&self) -> Vec<Figure> {
        let mut figures = Vec::new();
        for (job, progress) in &self.runs {
            let value = serde_json::to_value(progress).unwrap_or(Value::Null);
            flatten("run", &[("job", job.clone())], &value, &mut figures);
        }
        for (part, value) in &self.parts {
            match part.split_once('/') {
                Some((part, job)) => {
                    flatten(part, &[("job", job.to_owned())], value, &mut figures);
                }
                None => flatten(part, &[], value, &mut figures),
            }
        }
        figures
    }
}

/// One number with its place.
struct Figure {
    path: String,
    labels: Vec<(&'static str, String)>,
    value: serde_json::Number,
}

fn flatten(path: &str, labels: &[(&'static str, String)], value: &Value, into: &mut Vec<Figure>) {
    let figure = |value| Figure { path: path.to_owned(), labels: labels.to_vec(), value };
    let labelled = |name, value: &str| [labels, &[(name, value.to_owned())]].concat();
    match value {
        Value::Number(number) => into.push(figure(number.clone())),
        Value::Bool(flag) => into.push(figure(u64::from(*flag).into())),
        Value::Object(fields) if path == KEYS_BY_NAME => {
            for (name, value) in fields {
                flatten(path, &labelled("keyspace", name), value, into);
            }
        }
        Value::Object(fields) => {
            for (field, value) in fields {
                flatten(&format!("{path}.{field}"), labels, value, into);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                let index = index.to_string();
                let name = value.get("priority").and_then(Value::as_str).unwrap_or(&index);
                flatten(path, &labelled("priority", name), value, into);
            }
        }
        Value::Null | Value::String(_) => {}
    }
}

/// A label's value as the text format wants it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A table: one figure a line.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "taken at {} by process {}", self.taken_at, self.pid)?;
        let rows: Vec<(String, serde_json::Number)> = self
            .figures()
            .into_iter()
            .map(|Figure { path, labels, value }| {
                let labels: Vec<String> = labels.into_iter().map(|(_, value)| value).collect();
                (
                    if labels.is_empty() {
                        path
                    } else {
                        format!("{path} [{}]", labels.join(", "))
                    },
                    value,
                )
            })
            .collect();
        let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in rows {
            write!(f, "\n{name:width$}  {value}")?;
        }
        Ok(())
    }
}

impl Parts {
    /// Takes the figures of all self.
    pub(super) fn stats(&self) -> Stats {
        let mut figures = serde_json::Map::new();
        let mut add = |name: &str, value: Result<Value, serde_json::Error>| match value {
            Ok(value) => drop(figures.insert(name.to_owned(), value)),
            Err(error) => tracing::warn!(%error, part = name, "figures have no JSON form"),
        };
        add("store", serde_json::to_value(self.tables.store.stats()));
        add("http", serde_json::to_value(self.http.stats()));
        add("crawl_pool", serde_json::to_value(self.crawl_pool.stats()));
        add("distil_pool", serde_json::to_value(self.distil_pool.stats()));
        add("store_pool", serde_json::to_value(self.store_pool.stats()));
        for (name, stats) in self.caches.stats() {
            add(name, serde_json::to_value(stats));
        }
        if let Some(llm) = &self.llm {
            add("llm", serde_json::to_value(llm.stats()));
        }
        let runs = self.runs.lock().clone();
        for run in &runs {
            add(
                &format!("frontier/{}", run.job_name()),
                serde_json::to_value(run.frontier_stats()),
            );
        }
        Stats {
            taken_at: self.clock.wall(),
            pid: std::process::id(),
            runs: runs.iter().map(|run| (run.job_name().to_owned(), run.progress())).collect(),
            parts: figures,
        }
    }

    /// Replaces the published file atomically.
    pub(super) fn publish_stats(&self) -> Result<(), Error> {
        let _one_at_a_time = self.publishing.lock();
        let stats = self.stats();
        let path = self.dir.join(FILE);
        let fresh = self.dir.join("stats.json.new");
        let file = |source| Error::File { path: path.clone(), source };
        std::fs::write(&fresh, serde_json::to_vec(&stats).map_err(|error| file(error.into()))?)
            .map_err(file)?;
        std::fs::rename(&fresh, &path).map_err(file)
    }
}

/// The figures last published by the engine on `dir`; `None` if none ever were. An engine publishes
/// them every second while a job runs, and when it closes. This does not open the directory, so it
/// works beside an engine in another process.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::Engine;

    #[test]
    fn figures_become_gauges_with_labels() {
        let Value::Object(parts) = json!({
            "store": {"reads": 3, "keys": {"pages": 2, "infos": 1}},
            "crawl_pool": {"name": "crawl", "levels": [{"priority": "urgent", "done": 4}]},
            "frontier/a \"job\"": {"pending": 5},
        }) else {
            panic!("an object")
        };
        let progress = Progress { pages: 7, ..Progress::default() };
        let runs = vec![("b".to_owned(), progress)];
        let stats = Stats { taken_at: Timestamp(0), pid: 1, runs, parts };
        let text = stats.to_prometheus();
        for line in [
            "# TYPE gristmill_store_keys gauge",
            "gristmill_store_keys{keyspace=\"pages\"} 2",
            "gristmill_store_reads 3",
            "gristmill_crawl_pool_levels_done{priority=\"urgent\"} 4",
            "gristmill_frontier_pending{job=\"a \\\"job\\\"\"} 5",
            "gristmill_run_pages{job=\"b\"} 7",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert_eq!(text.matches("# TYPE gristmill_store_keys gauge").count(), 1);
        assert!(stats.to_string().contains("store.keys [pages]"));
    }

    #[test]
    fn figures_published_by_several_threads_at_once_are_whole() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path()).unwrap();
        let parts = engine.parts().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        parts.publish_stats().unwrap();
                        assert!(published_stats(dir.path()).unwrap().is_some());
                    }
                });
            }
        });
    }
}
