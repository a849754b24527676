//! Rust source as words and paths: just enough of the grammar to see what a file names.

use std::fs;
use std::path::{Path, PathBuf};

/// A piece of source text that matters here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Word(String),
    /// `::`
    Path,
    Sign(char),
}

/// Words and signs of a source text, without comments, strings, characters and lifetimes.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
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
pub(crate) struct Named {
    pub(crate) inside: Vec<String>,
    pub(crate) segments: Vec<String>,
}

/// The inline modules that are open at a token, counted from the beginning of the text.
#[derive(Default)]
struct Inline {
    open: Vec<(String, usize)>,
    depth: usize,
}

impl Inline {
    fn step(&mut self, tokens: &[Token], at: usize) {
        match tokens.get(at) {
            Some(Token::Sign('{')) => {
                self.depth += 1;
                if let Some([Token::Word(module), Token::Word(name)]) =
                    at.checked_sub(2).and_then(|from| tokens.get(from..at))
                    && module == "mod"
                {
                    self.open.push((name.clone(), self.depth));
                }
            }
            Some(Token::Sign('}')) => {
                self.open.pop_if(|(_, opened)| *opened == self.depth);
                self.depth = self.depth.saturating_sub(1);
            }
            _ => {}
        }
    }

    fn names(&self) -> Vec<String> {
        self.open.iter().map(|(name, _)| name.clone()).collect()
    }
}

/// All paths of a source text; `a::{b, c::d}` gives `a::b` and `a::c::d`.
pub(crate) fn paths(tokens: &[Token]) -> Vec<Named> {
    let mut found = Vec::new();
    let mut inline = Inline::default();
    for (i, token) in tokens.iter().enumerate() {
        inline.step(tokens, i);
        if let Token::Word(word) = token
            && (i == 0 || tokens.get(i - 1) != Some(&Token::Path))
        {
            let mut ends = Vec::new();
            follow(tokens, i + 1, vec![word.clone()], &mut ends);
            found.extend(
                ends.into_iter().map(|segments| Named { inside: inline.names(), segments }),
            );
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
pub(crate) fn modules_of(file: &str) -> Vec<String> {
    let stem = file.trim_end_matches(".rs").trim_end_matches("/mod");
    stem.split('/').filter(|name| *name != "lib" && !name.is_empty()).map(str::to_owned).collect()
}

/// What a path names from the crate's root; `None` if it does not go through the root.
pub(crate) fn from_root(file: &[String], named: &Named) -> Option<Vec<String>> {
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

/// A name that a `use` brings into a module, and the path behind it.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) name: String,
    pub(crate) named: Named,
}

/// What the `use` declarations of a source text bring in under which name.
pub(crate) fn imports(tokens: &[Token]) -> Vec<Import> {
    let mut found = Vec::new();
    let mut inline = Inline::default();
    for (i, token) in tokens.iter().enumerate() {
        inline.step(tokens, i);
        if *token != Token::Word("use".to_owned()) {
            continue;
        }
        let length = tokens.iter().skip(i).position(|token| *token == Token::Sign(';'));
        let declared = length.and_then(|length| tokens.get(i + 1..i + length)).unwrap_or_default();
        for (segments, alias) in branches(declared) {
            let Some(last) = segments.iter().rev().find(|word| *word != "self") else { continue };
            let name = alias.unwrap_or_else(|| last.clone());
            found.push(Import { name, named: Named { inside: inline.names(), segments } });
        }
    }
    found
}

/// The ends of a use tree, each with the name after its `as`.
fn branches(tree: &[Token]) -> Vec<(Vec<String>, Option<String>)> {
    let (mut depth, mut start, mut pieces) = (0_usize, 0, Vec::new());
    for (at, token) in tree.iter().enumerate() {
        match token {
            Token::Sign('{') => depth += 1,
            Token::Sign('}') => depth = depth.saturating_sub(1),
            Token::Sign(',') if depth == 0 => {
                pieces.extend(tree.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.extend(tree.get(start..));
    let mut ends = Vec::new();
    for piece in pieces {
        let mut before = Vec::new();
        let mut words = piece.iter();
        let mut alias = None;
        while let Some(token) = words.next() {
            match token {
                Token::Word(word) if word == "as" => alias = words.next(),
                Token::Word(word) => before.push(word.clone()),
                Token::Sign('{') => break,
                _ => {}
            }
        }
        let rest = words.as_slice();
        match rest.split_last() {
            Some((Token::Sign('}'), within)) => {
                ends.extend(
                    branches(within)
                        .into_iter()
                        .map(|(end, alias)| (before.iter().cloned().chain(end).collect(), alias)),
                );
            }
            _ if before.is_empty() => {}
            _ => {
                let alias = alias.and_then(|token| match token {
                    Token::Word(word) => Some(word.clone()),
                    _ => None,
                });
                ends.push((before, alias));
            }
        }
    }
    ends
}

/// Every Rust file below `src`: its path there with `/`, and its text.
pub(crate) fn sources() -> Vec<(String, String)> {
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
