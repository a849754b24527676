//! Public error enums are `#[non_exhaustive]`, so that new causes break no program.

use super::assert_none;
use super::source::{Token, sources, tokens};

/// A public type that is an error.
struct PublicError {
    name: String,
    is_enum: bool,
    is_open: bool,
}

/// The public errors of a source text.
fn public_errors(source: &str) -> Vec<PublicError> {
    let mut found = Vec::new();
    let tokens = tokens(source);
    let word = |text: &str| Token::Word(text.to_owned());
    let implemented = |name: &str| {
        let end = [word("Error"), word("for"), word(name)];
        tokens.windows(end.len()).any(|window| *window == end)
    };
    // What stands between the last item or its end and here: attributes and documentation.
    let mut before: Vec<Token> = Vec::new();
    let mut ahead = tokens.iter().cloned().peekable();
    while let Some(token) = ahead.next() {
        let is_enum = token == word("enum");
        if let (true, Some(Token::Word(name))) = (is_enum || token == word("struct"), ahead.peek())
        {
            let says = |text: &str| before.contains(&word(text));
            let public = before.last() == Some(&word("pub"));
            let named = is_enum && name.ends_with("Error");
            if public && (named || says("Error") || implemented(name)) {
                let (name, is_open) = (name.clone(), says("non_exhaustive"));
                found.push(PublicError { name, is_enum, is_open });
            }
        }
        if matches!(token, Token::Sign('{' | '}' | ';')) {
            before.clear();
        } else {
            before.push(token);
        }
    }
    found
}

/// Public enums of a library file (path below `src`) that are errors and promise their variants.
fn error_violations(file: &str, source: &str) -> Vec<String> {
    let promised = |error: &PublicError| error.is_enum && !error.is_open;
    let wrong = public_errors(source).into_iter().filter(promised);
    wrong.map(|error| format!("{file}: `{}` is not `#[non_exhaustive]`", error.name)).collect()
}

/// Public errors that `tests/threads.rs` does not mention.
fn unlisted(list: &str, source: &str) -> Vec<String> {
    let listed = tokens(list);
    let errors = public_errors(source).into_iter().map(|error| error.name);
    errors.filter(|name| !listed.contains(&Token::Word(name.clone()))).collect()
}

#[test]
fn every_public_error_is_checked_to_fit_into_others() {
    let list = include_str!("../threads.rs");
    let library = sources().into_iter().filter(|(file, _)| !file.starts_with("bin/"));
    let found: Vec<String> = library.flat_map(|(_, source)| unlisted(list, &source)).collect();
    assert_none(&found);
}

#[test]
fn a_public_error_that_is_not_listed_is_found() {
    let source = "#[derive(thiserror::Error)] pub struct Fault; pub enum StoreError {}";
    assert_eq!(unlisted("error::<StoreError>();", source), ["Fault"]);
    assert_eq!(unlisted("// StoreError, Fault", source), ["Fault", "StoreError"]);
    assert_none(&unlisted("", "pub struct ServerError { status: u16 } enum HiddenError {}"));
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
        "use thiserror::Error;\n#[derive(Debug, Error)]\npub enum Fault { A }",
        "pub enum Fault { A }\nimpl std::error::Error for Fault {}",
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
