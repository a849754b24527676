//! The layers of DESIGN.md, enforced on the source text: imports go downward only.
//!
//! | level | modules | may use |
//! | --- | --- | --- |
//! | 0 | `cancel` `config` `error` `model` `time` `url` | each other |
//! | 1 | `pool` `cache` `monitor` `http` | level 0 and each other |
//! | 2 | `store` `crawl` `fetch` `extract` `llm` | levels 0 and 1, not each other; `crawl` and `extract` level 0 alone, `crawl` the cache too |
//! | 3 | `engine` | everything below |
//! | 4 | `src/bin` | the public API of the crate |
//!
//! Comments and strings are skipped; tests inside modules count like everything else. Paths name
//! the module that defines a thing, never a re-export at the crate's root.

use std::fs;
use std::path::{Path, PathBuf};

/// Every top-level module and its level; a module that is not here fails the test.
const LEVELS: &[(&str, u8)] = &[
    ("cancel", 0),
    ("config", 0),
    ("error", 0),
    ("model", 0),
    ("time", 0),
    ("url", 0),
    ("cache", 1),
    ("http", 1),
    ("monitor", 1),
    ("pool", 1),
    ("crawl", 2),
    ("extract", 2),
    ("fetch", 2),
    ("llm", 2),
    ("store", 2),
    ("engine", 3),
];

/// Modules of level 2 that only decide or only compute: they see level 0 alone.
const PURE: &[&str] = &["crawl", "extract"];

/// What they see beside it: memory with a bound decides nothing and waits for nothing.
const PURE_MAY_USE: &[(&str, &str)] = &[("crawl", "cache")];

/// The only file with `unsafe`: the memory map.
const UNSAFE_FILES: &[&str] = &["store/map.rs"];

/// The only file that spins, for microseconds, before a thread sleeps.
const SPINNING_FILES: &[&str] = &["pool/spin.rs"];

/// Calls that wait without an event to wait for, as the ends of their paths.
const WAITING: &[&[&str]] = &[&["thread", "sleep"], &["yield_now"], &["spin_loop"], &["snooze"]];

fn level(module: &str) -> Option<u8> {
    LEVELS.iter().find(|(name, _)| *name == module).map(|(_, level)| *level)
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

/// A piece of source text that matters here.
#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    /// `::`
    Path,
    Sign(char),
}

/// Words and signs of a source text, without comments, strings, characters and lifetimes.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let c = at(i);
        if c == '/' && matches!(at(i + 1), '/' | '*') {
            i = after_comment(&chars, i);
        } else if c == '"' {
            i = after_string(&chars, i);
        } else if c == '\'' {
            i = after_quote(&chars, i);
        } else if c.is_alphanumeric() || c == '_' {
            let start = i;
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
            let word: String = chars.iter().skip(start).take(i - start).collect();
            let raw = matches!(word.as_str(), "r" | "br" | "cr") && matches!(at(i), '"' | '#');
            match raw.then(|| after_raw_string(&chars, i)).flatten() {
                Some(after) => i = after,
                // The prefix of a string (b"", c"") is no word; a raw identifier loses its r#.
                None if at(i) == '"' && matches!(word.as_str(), "b" | "c") => {}
                None if word == "r" && at(i) == '#' => i += 1,
                None => tokens.push(Token::Word(word)),
            }
        } else if c == ':' && at(i + 1) == ':' {
            tokens.push(Token::Path);
            i += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(Token::Sign(c));
            }
            i += 1;
        }
    }
    tokens
}

/// Where the comment that begins at `start` ends; block comments nest.
fn after_comment(chars: &[char], start: usize) -> usize {
    if chars.get(start + 1) == Some(&'/') {
        let length = chars.iter().skip(start).position(|&c| c == '\n');
        return length.map_or(chars.len(), |length| start + length);
    }
    let (mut depth, mut i) = (0_usize, start);
    while i < chars.len() {
        match (chars.get(i), chars.get(i + 1)) {
            (Some('/'), Some('*')) => (depth, i) = (depth + 1, i + 2),
            (Some('*'), Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

fn after_string(chars: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < chars.len() {
        match chars.get(i) {
            Some('\\') => i += 2,
            Some('"') => return i + 1,
            _ => i += 1,
        }
    }
    i
}

/// Where the raw string ends whose hashes begin at `start`; `None` for a raw identifier.
fn after_raw_string(chars: &[char], start: usize) -> Option<usize> {
    let hashes = chars.iter().skip(start).take_while(|&&c| c == '#').count();
    if chars.get(start + hashes) != Some(&'"') {
        return None;
    }
    let mut i = start + hashes + 1;
    while i < chars.len() {
        let closing = chars.iter().skip(i + 1).take(hashes).filter(|&&c| c == '#').count();
        if chars.get(i) == Some(&'"') && closing == hashes {
            return Some(i + 1 + hashes);
        }
        i += 1;
    }
    Some(i)
}

/// Where the character literal ends that begins at `start`; behind the quote for a lifetime.
fn after_quote(chars: &[char], start: usize) -> usize {
    match (chars.get(start + 1), chars.get(start + 2)) {
        (Some('\\'), _) => {
            let escaped = start + 3;
            let length = chars.iter().skip(escaped).position(|&c| c == '\'');
            length.map_or(chars.len(), |length| escaped + length + 1)
        }
        (Some(_), Some('\'')) => start + 3,
        _ => start + 1,
    }
}

/// A path as written, with the inline modules it is written in.
#[derive(Debug, PartialEq)]
struct Named {
    inside: Vec<String>,
    segments: Vec<String>,
}

/// All paths of a source text; `a::{b, c::d}` gives `a::b` and `a::c::d`.
fn paths(tokens: &[Token]) -> Vec<Named> {
    let mut found = Vec::new();
    let mut inside: Vec<(String, usize)> = Vec::new();
    let mut depth = 0_usize;
    for (i, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('{') => {
                depth += 1;
                let before = |back: usize| i.checked_sub(back).and_then(|at| tokens.get(at));
                if let (Some(Token::Word(module)), Some(Token::Word(name))) = (before(2), before(1))
                    && module == "mod"
                {
                    inside.push((name.clone(), depth));
                }
            }
            Token::Sign('}') => {
                inside.pop_if(|(_, opened)| *opened == depth);
                depth = depth.saturating_sub(1);
            }
            Token::Word(word) if i == 0 || tokens.get(i - 1) != Some(&Token::Path) => {
                let modules: Vec<String> = inside.iter().map(|(name, _)| name.clone()).collect();
                let mut ends = Vec::new();
                follow(tokens, i + 1, vec![word.clone()], &mut ends);
                found.extend(
                    ends.into_iter().map(|segments| Named { inside: modules.clone(), segments }),
                );
            }
            _ => {}
        }
    }
    found
}

/// Follows a path or use tree from behind one of its words; returns the index behind it.
fn follow(tokens: &[Token], at: usize, path: Vec<String>, ends: &mut Vec<Vec<String>>) -> usize {
    if tokens.get(at) != Some(&Token::Path) {
        ends.push(path);
        return at;
    }
    match tokens.get(at + 1) {
        Some(Token::Word(word)) => {
            let longer = path.into_iter().chain([word.clone()]).collect();
            follow(tokens, at + 2, longer, ends)
        }
        Some(Token::Sign('*')) => {
            ends.push(path.into_iter().chain(["*".to_owned()]).collect());
            at + 2
        }
        Some(Token::Sign('{')) => {
            let mut i = at + 2;
            while let Some(token) = tokens.get(i) {
                match token {
                    Token::Sign('}') => return i + 1,
                    Token::Word(word) => {
                        let longer = path.iter().cloned().chain([word.clone()]).collect();
                        i = follow(tokens, i + 1, longer, ends);
                    }
                    Token::Sign('*') => {
                        ends.push(path.iter().cloned().chain(["*".to_owned()]).collect());
                        i += 1;
                    }
                    _ => i += 1,
                }
            }
            i
        }
        _ => {
            ends.push(path);
            at + 1
        }
    }
}

/// The modules of a file below `src`: `store/log/mod.rs` and `store/log.rs` are `[store, log]`.
fn modules_of(file: &str) -> Vec<String> {
    let stem = file.trim_end_matches(".rs").trim_end_matches("/mod");
    stem.split('/').filter(|name| *name != "lib" && !name.is_empty()).map(str::to_owned).collect()
}

/// What a path names from the crate's root; `None` if it does not go through the root.
fn from_root(file: &[String], named: &Named) -> Option<Vec<String>> {
    let mut module: Vec<String> = file.iter().chain(&named.inside).cloned().collect();
    let mut rest = named.segments.iter().peekable();
    if rest.next_if(|word| *word == "crate").is_some() {
        return (named.segments.len() > 1).then(|| rest.cloned().collect());
    }
    rest.next_if(|word| *word == "self");
    let mut ups = 0;
    while rest.next_if(|word| *word == "super").is_some() {
        module.pop();
        ups += 1;
    }
    (ups > 0 && rest.peek().is_some()).then(|| module.into_iter().chain(rest.cloned()).collect())
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

/// What a file of the binary does to get around the public API.
fn binary_violations(file: &str, source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let word = |text: &str| Token::Word(text.to_owned());
    let attribute = [Token::Sign('['), word("path"), Token::Sign('=')];
    let include = [word("include"), Token::Sign('!')];
    let mut wrong = Vec::new();
    if tokens.windows(attribute.len()).any(|window| window == attribute) {
        wrong.push(format!("{file}: `#[path]` could reach into the library"));
    }
    if tokens.windows(include.len()).any(|window| window == include) {
        wrong.push(format!("{file}: `include!` could reach into the library"));
    }
    wrong
}

/// `unsafe` outside the memory map, and waiting without an event.
fn conduct_violations(file: &str, source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let mut wrong = Vec::new();
    if !UNSAFE_FILES.contains(&file) && tokens.contains(&Token::Word("unsafe".to_owned())) {
        wrong.push(format!("{file}: `unsafe` outside the memory map"));
    }
    for path in paths(&tokens) {
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        let spins = SPINNING_FILES.contains(&file) && !segments.ends_with(&["thread", "sleep"]);
        if !spins && WAITING.iter().any(|end| segments.ends_with(end)) {
            wrong.push(format!("{file}: `{}` waits for no event", segments.join("::")));
        }
    }
    for call in tokens.windows(2) {
        if let [Token::Sign('.'), Token::Word(word)] = call
            && WAITING.iter().any(|end| *end == [word.as_str()])
        {
            wrong.push(format!("{file}: `.{word}` waits for no event"));
        }
    }
    wrong
}

/// Every Rust file below `src`: its path there with `/`, and its text.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("source folders can be read") {
            let path = entry.expect("source folders can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let names = path.strip_prefix(&root).expect("found below the root").components();
                let names: Vec<_> = names.map(|name| name.as_os_str().to_string_lossy()).collect();
                let text = fs::read_to_string(&path).expect("sources are UTF-8");
                found.push((names.join("/"), text));
            }
        }
    }
    found.sort();
    found
}

fn assert_none(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

#[test]
fn imports_go_downward_only() {
    let library = sources().into_iter().filter(|(file, _)| !file.starts_with("bin/"));
    let found: Vec<String> =
        library.flat_map(|(file, source)| layer_violations(&file, &source)).collect();
    assert_none(&found);
}

#[test]
fn the_binary_uses_the_public_api_alone() {
    let binary = sources().into_iter().filter(|(file, _)| file.starts_with("bin/"));
    let found: Vec<String> =
        binary.flat_map(|(file, source)| binary_violations(&file, &source)).collect();
    assert_none(&found);
}

#[test]
fn unsafe_stays_in_the_memory_map_and_nothing_waits_without_an_event() {
    let found: Vec<String> = sources()
        .into_iter()
        .flat_map(|(file, source)| conduct_violations(&file, &source))
        .collect();
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
        ("http/mod.rs", "use crate::monitor::Level; pub(in crate::http) fn f() {}"),
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

#[test]
fn unsafe_and_idle_waiting_are_found() {
    let bad = [
        ("pool/mod.rs", "fn f() { unsafe { g() } }"),
        ("pool/mod.rs", "fn f() { std::thread::sleep(d); }"),
        ("pool/mod.rs", "use std::{thread::{self, sleep}, time::Duration};"),
        ("pool/mod.rs", "fn f() { thread::yield_now() }"),
        ("pool/mod.rs", "use std::hint::spin_loop;"),
        ("pool/mod.rs", "fn f() { backoff.snooze() }"),
    ];
    for (file, source) in bad {
        assert!(!conduct_violations(file, source).is_empty(), "{source}");
    }
    assert_none(&conduct_violations("store/map.rs", "unsafe fn map() {}"));
    assert_none(&conduct_violations("pool/spin.rs", "use std::hint::spin_loop;"));
    assert!(!conduct_violations("pool/spin.rs", "fn f() { std::thread::sleep(d); }").is_empty());
    assert_none(&conduct_violations("pool/sleep.rs", "// unsafe, thread::sleep\nfn sleep() {}"));
}

#[test]
fn a_binary_that_reaches_around_the_api_is_found() {
    let bad = ["#[path = \"../../engine/mod.rs\"] mod engine;", "include!(\"../../lib.rs\");"];
    for source in bad {
        assert_eq!(binary_violations("bin/gristmill/main.rs", source).len(), 1, "{source}");
    }
    assert_none(&binary_violations("bin/gristmill/main.rs", "let path = gristmill::f();"));
}
