//! What of a source text only tests have.

use super::source::{Token, modules_of, tokens};

/// The files that are built without tests, and their texts without what only tests have. Takes paths
/// below `src` and texts.
pub(crate) fn untested(sources: &[(String, String)]) -> Vec<(String, Vec<Token>)> {
    let all: Vec<(&String, Vec<Token>)> =
        sources.iter().map(|(file, text)| (file, tokens(text))).collect();
    let only_tested: Vec<Vec<String>> = all
        .iter()
        .flat_map(|(file, tokens)| {
            let inside = |name| modules_of(file).into_iter().chain([name]).collect();
            tested_apart(tokens).into_iter().map(inside)
        })
        .collect();
    let is_kept =
        |file: &str| !only_tested.iter().any(|tested| modules_of(file).starts_with(tested));
    let kept = all.into_iter().filter(|(file, _)| is_kept(file));
    kept.map(|(file, tokens)| (file.clone(), without_tests(&tokens))).collect()
}

/// A source text without the items, fields and statements that only tests have.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if let Some(after) = tested_item(tokens, at) {
            at = after;
        } else {
            kept.push(token.clone());
            at += 1;
        }
    }
    kept
}

/// The modules of their own files that only tests have: `#[cfg(test)] mod tests;`.
fn tested_apart(tokens: &[Token]) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let Some(after) = tested_item(tokens, at) else {
            at += 1;
            continue;
        };
        if let Some([.., Token::Word(module), Token::Word(name), Token::Sign(';')]) =
            tokens.get(at..after)
            && module == "mod"
        {
            found.push(name.clone());
        }
        at = after;
    }
    found
}

/// Where the item ends whose attributes begin at `at`, if only tests have it.
fn tested_item(tokens: &[Token], at: usize) -> Option<usize> {
    let (mut item, mut tested) = (at, false);
    while tokens.get(item) == Some(&Token::Sign('#'))
        && tokens.get(item + 1) == Some(&Token::Sign('['))
    {
        let after = closing(tokens, item + 1) + 1;
        if let Some([Token::Word(cfg), Token::Sign('('), condition @ .., Token::Sign(')')]) =
            tokens.get(item + 2..after - 1)
            && cfg == "cfg"
        {
            tested |= without_test(condition) == Some(false);
        }
        item = after;
    }
    tested.then(|| after_item(tokens, item))
}

/// What a `cfg` condition is in a build without tests; `None` if that depends on something else.
fn without_test(condition: &[Token]) -> Option<bool> {
    let [Token::Word(word), rest @ ..] = condition else { return None };
    let inner = || {
        let [Token::Sign('('), inner @ .., Token::Sign(')')] = rest else { return Vec::new() };
        let (mut depth, mut pieces) = (0_usize, vec![Vec::new()]);
        for token in inner {
            match token {
                Token::Sign('(') => depth += 1,
                Token::Sign(')') => depth = depth.saturating_sub(1),
                Token::Sign(',') if depth == 0 => {
                    pieces.push(Vec::new());
                    continue;
                }
                _ => {}
            }
            if let Some(piece) = pieces.last_mut() {
                piece.push(token.clone());
            }
        }
        pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| without_test(piece)).collect()
    };
    match word.as_str() {
        "test" if rest.is_empty() => Some(false),
        "not" => inner().first().copied().flatten().map(|value: bool| !value),
        "all" if inner().contains(&Some(false)) => Some(false),
        "all" if inner().iter().all(|value| *value == Some(true)) => Some(true),
        "any" if inner().contains(&Some(true)) => Some(true),
        "any" if inner().iter().all(|value| *value == Some(false)) => Some(false),
        _ => None,
    }
}

/// The bracket that closes the one at `open`, or the end of the text.
pub(crate) fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len()
}

/// Where the item, field or statement ends that begins at `start`.
fn after_item(tokens: &[Token], start: usize) -> usize {
    let keywords = [
        "async", "const", "enum", "extern", "fn", "impl", "let", "mod", "pub", "static", "struct",
        "trait", "type", "unsafe", "use",
    ];
    let is = |at: usize, words: &[&str]| match tokens.get(at) {
        Some(Token::Word(word)) => words.contains(&word.as_str()),
        _ => false,
    };
    // A `pub` may belong to a field, which ends with a comma; types have commas of their own.
    let field = is(start, &["pub"]) && !(start + 1..start + 5).any(|at| is(at, &keywords));
    let item = is(start, &keywords) && !field;
    let value = (start..start + 5).any(|at| is(at, &["const", "let", "static", "use"]));
    let mut at = start;
    while let Some(token) = tokens.get(at) {
        match token {
            Token::Sign(';') => return at + 1,
            Token::Sign(',') if !item => return at + 1,
            Token::Sign('}') => return at,
            Token::Sign('{') if !value => return closing(tokens, at) + 1,
            Token::Sign('(' | '[' | '{') => at = closing(tokens, at) + 1,
            _ => at += 1,
        }
    }
    at
}
