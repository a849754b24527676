//! Imports go downward only.

use std::collections::BTreeSet;

use super::assert_none;
use super::source::{from_root, modules_of, paths, sources, tokens};

/// A row of DESIGN.md's table.
pub(crate) struct Layer {
    pub(crate) level: u8,
    pub(crate) modules: &'static [&'static str],
    pub(crate) may_use: &'static str,
}

/// All layers of the library. Every top-level module stands in one of them.
pub(crate) const LAYERS: &[Layer] = &[
    Layer {
        level: 0,
        modules: &[
            "cancel",
            "config",
            "histogram",
            "model",
            "retry",
            "sync",
            "thread_slot",
            "time",
            "url",
        ],
        may_use: "each other",
    },
    Layer { level: 1, modules: &["cache", "http", "pool"], may_use: "level 0 and each other" },
    Layer {
        level: 2,
        modules: &["crawl", "extract", "fetch", "llm", "store"],
        may_use: "levels 0 and 1, not each other; `crawl` and `extract` level 0 alone, `crawl` the cache too",
    },
    Layer {
        level: 3,
        modules: &["engine"],
        may_use: "everything below: the only place where parts meet",
    },
];

/// Modules of level 2 that only decide or only compute: they see level 0 alone.
const PURE: &[&str] = &["crawl", "extract"];

/// What they see beside it: memory with a bound decides nothing and waits for nothing.
const PURE_MAY_USE: &[(&str, &str)] = &[("crawl", "cache")];

fn level(module: &str) -> Option<u8> {
    LAYERS.iter().find(|layer| layer.modules.contains(&module)).map(|layer| layer.level)
}

/// Whether code of one top-level module may name another.
fn allowed(from: &str, to: &str) -> bool {
    match (level(from), level(to)) {
        _ if from == to => true,
        (Some(2), Some(level)) if PURE.contains(&from) => {
            level == 0 || PURE_MAY_USE.contains(&(from, to))
        }
        (Some(from @ 0..=1), Some(to)) => to <= from,
        (Some(from), Some(to)) => to < from,
        _ => false,
    }
}

/// What a library file (path below `src`) does against the layers.
fn layer_violations(file: &str, source: &str) -> Vec<String> {
    let modules = modules_of(file);
    let Some(own) = modules.first() else { return Vec::new() };
    if level(own).is_none() {
        return vec![format!("{file}: module `{own}` is not in the table of layers")];
    }
    let named = paths(&tokens(source));
    let targets = named.iter().filter_map(|path| from_root(&modules, path));
    let wrong = targets.filter_map(|path| path.into_iter().next()).filter(|to| !allowed(own, to));
    let mut wrong: Vec<String> =
        wrong.map(|to| format!("{file}: `{own}` must not name `crate::{to}`")).collect();
    wrong.sort();
    wrong.dedup();
    wrong
}

#[test]
fn the_layers_list_what_exists() {
    let library = sources().into_iter().filter(|(file, _)| !file.starts_with("bin/"));
    let exist: BTreeSet<String> =
        library.filter_map(|(file, _)| modules_of(&file).into_iter().next()).collect();
    let listed: BTreeSet<String> =
        LAYERS.iter().flat_map(|layer| layer.modules).map(|name| (*name).to_owned()).collect();
    assert_eq!(listed, exist);
}

#[test]
fn imports_go_downward_only() {
    let library = sources().into_iter().filter(|(file, _)| !file.starts_with("bin/"));
    let found: Vec<String> =
        library.flat_map(|(file, source)| layer_violations(&file, &source)).collect();
    assert_none(&found);
}

#[test]
fn a_path_upward_or_sideways_is_found_however_it_is_written() {
    let bad = [
        ("crawl/mod.rs", "use crate::store::Store;"),
        ("crawl/mod.rs", "fn f() { crate::http::get() }"),
        ("extract/text.rs", "use crate::{model::Content, pool::Pool};"),
        ("fetch/mod.rs", "use super::{url::Url, crawl::{robots::Robots}};"),
        ("fetch/retry.rs", "use super::super::llm::Client;"),
        ("store/mod.rs", "use crate::*;"),
        ("store/mod.rs", "mod tests { use super::super::engine::Engine; }"),
        ("store/a/mod.rs", "mod tests { mod deep { use super::super::super::super::fetch; } }"),
        ("pool/mod.rs", "use crate::store;"),
        ("time.rs", "use super::pool::Pool;"),
        ("llm/mod.rs", "use crate::Engine;"),
        ("gossip/mod.rs", ""),
    ];
    for (file, source) in bad {
        assert_eq!(layer_violations(file, source).len(), 1, "{file}: {source}");
    }
}

#[test]
fn a_path_downward_is_fine_and_text_is_no_path() {
    let good = [
        ("engine/mod.rs", "use crate::{store::Store, crawl, fetch::Fetcher, pool::*};"),
        ("store/mod.rs", "use crate::{cache, pool::Pool, time::Clock}; pub(crate) struct S;"),
        ("store/log.rs", "use super::index::Index; mod tests { use super::*; }"),
        ("http/mod.rs", "use crate::cache::Cache; pub(in crate::http) fn f() {}"),
        ("model/mod.rs", "use crate::time::Timestamp; use super::url::Url;"),
        ("crawl/mod.rs", "// use crate::store;\n/* crate::llm /* x */ crate::fetch */ fn f() {}"),
        (
            "crawl/mod.rs",
            r##"const A: (&str, char) = ("crate::store", '"'); const B: &str = r#"" crate::llm"#;"##,
        ),
        (
            "crawl/mod.rs",
            r#"fn f<'a>(x: &'a str) -> char { '\'' } const C: &[u8] = b"crate::llm";"#,
        ),
    ];
    for (file, source) in good {
        assert_none(&layer_violations(file, source));
    }
}
