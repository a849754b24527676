//! The binary uses the public API alone, and so proves that it suffices.

use super::assert_none;
use super::source::{Token, sources, tokens};

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

#[test]
fn the_binary_uses_the_public_api_alone() {
    let binary = sources().into_iter().filter(|(file, _)| file.starts_with("bin/"));
    let found: Vec<String> =
        binary.flat_map(|(file, source)| binary_violations(&file, &source)).collect();
    assert_none(&found);
}

#[test]
fn a_binary_that_reaches_around_the_api_is_found() {
    let bad = ["#[path = \"../../engine/mod.rs\"] mod engine;", "include!(\"../../lib.rs\");"];
    for source in bad {
        assert_eq!(binary_violations("bin/gristmill/main.rs", source).len(), 1, "{source}");
    }
    assert_none(&binary_violations("bin/gristmill/main.rs", "let path = gristmill::f();"));
}
