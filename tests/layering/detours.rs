//! Nothing gets around the names that the other checks read.

use super::assert_none;
use super::source::{Token, paths, sources};
use super::test_code::{closing, untested};

/// The only file that re-exports all of another: one or the other, as it is built.
const MAY_REEXPORT_ALL: &[&str] = &["sync/mod.rs"];

/// Other names for the root, text from elsewhere, macros without a path, and names that nobody sees.
fn detours(sources: &[(String, String)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (file, tokens) in untested(sources) {
        let word = |at: usize| match tokens.get(at) {
            Some(Token::Word(word)) => word.as_str(),
            _ => "",
        };
        for at in 0..tokens.len() {
            let next = tokens.get(at + 1);
            let before = at.checked_sub(1).and_then(|before| tokens.get(before));
            let has_path = |from: usize, to: usize| {
                let path = [Token::Word("path".to_owned()), Token::Sign('=')];
                tokens.get(from..to).is_some_and(|within| within.windows(2).any(|two| two == path))
            };
            let detour = match (word(at), word(at + 1)) {
                ("crate" | "super", "as") => "another name for a module above",
                ("extern", "crate") => "another name for the library",
                ("macro_use" | "macro_export", _) => "a macro that is used without a path",
                ("path", _) if before == Some(&Token::Sign('[')) && has_path(at, at + 2) => {
                    "code by `#[path]`"
                }
                ("cfg_attr", _) if has_path(at, closing(&tokens, at + 1)) => "code by `#[path]`",
                ("include", _) if next == Some(&Token::Sign('!')) => "code by `include!`",
                ("include", _) if before == Some(&Token::Path) => "code by `include!`",
                _ => continue,
            };
            wrong.push(format!("{file}: {detour}"));
        }
        if !MAY_REEXPORT_ALL.contains(&file.as_str()) {
            let prelude = ["prelude".to_owned(), "*".to_owned()];
            let all = paths(&tokens).into_iter().map(|path| path.segments).filter(|segments| {
                segments.last().is_some_and(|last| last == "*") && !segments.ends_with(&prelude)
            });
            wrong.extend(all.map(|path| format!("{file}: `{}` hides names", path.join("::"))));
        }
    }
    wrong
}

#[test]
fn nothing_gets_around_the_checks() {
    assert_none(&detours(&sources()));
}

#[test]
fn a_way_around_the_checks_is_found() {
    let found = |file: &str, text: &str| detours(&[(file.to_owned(), text.to_owned())]);
    let bad = [
        "use crate as c; use c::engine::Engine;",
        "use super::super as above; use above::engine::Engine;",
        "extern crate self as g; use g::engine::Engine;",
        "#[macro_use] mod m;",
        "#[macro_export] macro_rules! m { () => { $crate::engine::f() } }",
        "#[path = \"../../engine/mod.rs\"] mod engine;",
        "#[cfg_attr(unix, path = \"../../engine/mod.rs\")] mod engine;",
        "#[cfg_attr(path = \"../../engine/mod.rs\")] mod engine;",
        "include!(\"../../lib.rs\");",
        "use std::include as text; text!(\"../../lib.rs\");",
        "pub use b::*;",
        "use super::{a, b::*};",
    ];
    for source in bad {
        for file in ["crawl/mod.rs", "bin/gristmill/main.rs"] {
            assert!(!found(file, source).is_empty(), "{source}");
        }
    }
    let good = [
        "let path = gristmill::f(path); debug!(path = 1); #[cfg_attr(unix, doc = \"x\")] let a = [b];",
        "use rayon::prelude::*; use super::b as c; use std::fmt as f;",
        "#[cfg(test)] mod tests { use super::*; }",
        "struct S { include: Vec<Glob> } fn f(s: S) { s.include.len() }",
    ];
    for source in good {
        assert_none(&found("crawl/mod.rs", source));
    }
    assert_none(&found("sync/mod.rs", "pub(crate) use real::*;"));
}
