//! Public error enums are `#[non_exhaustive]`, so that new causes break no program.

use super::assert_none;
use super::source::{Token, sources, tokens};

/// Public enums of a library file (path below `src`) that are errors and promise their variants.
fn error_violations(file: &str, source: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    // What stands between the last item or its end and here: attributes and documentation.
    let mut before: Vec<Token> = Vec::new();
    let mut tokens = tokens(source).into_iter().peekable();
    while let Some(token) = tokens.next() {
        let is_enum = token == Token::Word("enum".to_owned());
        if let (true, Some(Token::Word(name))) = (is_enum, tokens.peek()) {
            let says = |word: &str| before.contains(&Token::Word(word.to_owned()));
            let public = before.last() == Some(&Token::Word("pub".to_owned()));
            let error = says("thiserror") || name.ends_with("Error");
            if public && error && !says("non_exhaustive") {
                wrong.push(format!("{file}: `{name}` is not `#[non_exhaustive]`"));
            }
        }
        if matches!(token, Token::Sign('{' | '}' | ';')) {
            before.clear();
        } else {
            before.push(token);
        }
    }
    wrong
}

#[test]
fn public_errors_are_non_exhaustive() {
    let library = sources().into_iter().filter(|(file, _)| !file.starts_with("bin/"));
    let found: Vec<String> =
        library.flat_map(|(file, source)| error_violations(&file, &source)).collect();
    assert_none(&found);
}

#[test]
fn a_public_error_with_promised_variants_is_found() {
    let bad = [
        "#[derive(Debug, thiserror::Error)]\npub enum Fault { #[error(\"a\")] A }",
        "use x::y;\n/// `#[non_exhaustive]`\n#[derive(Debug)]\npub enum StoreError { A }",
        "#[non_exhaustive]\npub struct S;\npub enum LlmError { A }",
    ];
    for source in bad {
        assert_eq!(error_violations("store/error.rs", source).len(), 1, "{source}");
    }
    let good = [
        "#[derive(Debug, thiserror::Error)]\n#[non_exhaustive]\npub enum Fault { A }",
        "enum StoreError { A }",
        "pub(super) enum StoreError { A }",
        "#[derive(Debug)]\npub enum Kind { Error }",
    ];
    for source in good {
        assert_none(&error_violations("store/error.rs", source));
    }
}
