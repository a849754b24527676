//! Code blocks: their language, and the line numbers beside them.

use super::hints::words;
use super::tag::Tag;
use super::token::Attributes;
use super::tree::Tree;

/// Longest name of a language, in bytes.
const MAX_LANGUAGE_BYTES: usize = 24;
/// How many elements around a block of code are asked for its language.
const MAX_WRAPPERS: usize = 3;
/// What stands before the name of a language in a class.
const PREFIXES: [&str; 6] =
    ["language-", "lang-", "highlight-source-", "highlight-text-", "highlight-", "src-"];
/// Names that stand for no language.
const NONE: [&str; 11] = [
    "none",
    "text",
    "plain",
    "plaintext",
    "default",
    "auto",
    "undefined",
    "notranslate",
    "nohighlight",
    "source",
    "block",
];
/// Languages that stand as a class of their own.
const LANGUAGES: [&str; 36] = [
    "bash",
    "c",
    "clojure",
    "console",
    "cpp",
    "csharp",
    "css",
    "diff",
    "elixir",
    "erlang",
    "go",
    "haskell",
    "html",
    "ini",
    "java",
    "javascript",
    "js",
    "json",
    "julia",
    "kotlin",
    "lua",
    "perl",
    "php",
    "python",
    "ruby",
    "rust",
    "scala",
    "sh",
    "shell",
    "sql",
    "swift",
    "toml",
    "ts",
    "typescript",
    "xml",
    "yaml",
];

/// The language of the `pre` at `pre`, as its classes or those of what is around it or directly
/// inside it say.
pub(super) fn language(tree: &Tree<'_>, pre: usize) -> Option<String> {
    let inside = tree.nodes.get(pre + 1).filter(|node| node.tag == Tag::Code);
    let mut own = inside.into_iter().chain([&tree.nodes[pre]]);
    if let Some(found) = own.find_map(|node| named(tree.attributes(node), true)) {
        return Some(found);
    }
    let mut at = pre;
    for _ in 0..MAX_WRAPPERS {
        at = tree.nodes[at].parent();
        let node = &tree.nodes[at];
        if at == 0 || !matches!(node.tag, Tag::Div | Tag::Figure | Tag::Other) {
            return None;
        }
        if let Some(found) = named(tree.attributes(node), false) {
            return Some(found);
        }
    }
    None
}

/// The language that attributes name; a bare name counts only on the code itself.
fn named(attributes: Attributes<'_>, bare: bool) -> Option<String> {
    for attribute in ["data-lang", "data-language"] {
        if let Some(found) = attributes.get(attribute).and_then(|value| language_of(&value)) {
            return Some(found);
        }
    }
    let classes = attributes.get("class")?;
    let mut brush = false;
    for class in classes.split([' ', '\t', '\n', ';']).filter(|class| !class.is_empty()) {
        if brush {
            return language_of(class);
        }
        brush = class == "brush:";
        let prefixed = PREFIXES.iter().find_map(|prefix| class.strip_prefix(prefix));
        let prefixed = prefixed.or_else(|| class.strip_prefix("brush:"));
        if let Some(found) = prefixed.and_then(language_of) {
            return Some(found);
        }
    }
    classes
        .split_ascii_whitespace()
        .find(|class| bare && LANGUAGES.contains(class))
        .map(str::to_owned)
}

fn language_of(name: &str) -> Option<String> {
    let name = name.trim().to_ascii_lowercase();
    let fits = !name.is_empty()
        && name.len() <= MAX_LANGUAGE_BYTES
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'#' | b'-' | b'.'))
        && !NONE.contains(&name.as_str());
    fits.then_some(name)
}

/// Whether the element at `at`, inside code, is the number of a line: a number by its text, and a
/// cell of its own or so named.
pub(super) fn is_line_number(tree: &Tree<'_>, at: usize) -> bool {
    let node = &tree.nodes[at];
    let number = node.end() <= at + 3
        && tree.nodes[at + 1..node.end()].iter().any(super::tree::Node::is_text)
        && tree.nodes[at + 1..node.end()].iter().filter(|node| node.is_text()).all(|node| {
            let text = tree.text(node).trim();
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
        });
    number && (node.tag == Tag::Td || is_named_number(tree.attributes(node)))
}

/// Whether a class or an id speaks of line numbers; `number` alone is what highlighters call a
/// literal.
fn is_named_number(attributes: Attributes<'_>) -> bool {
    let mut found = attributes.get("data-line-number").is_some();
    for name in ["class", "id"] {
        for class in attributes.get(name).unwrap_or_default().split_ascii_whitespace() {
            let (mut line, mut number) = (false, false);
            words(class, |word| {
                let word = word.to_ascii_lowercase();
                line |= matches!(word.as_str(), "line" | "blob" | "row");
                number |= matches!(word.as_str(), "num" | "number" | "numbers" | "nr" | "no");
                found |= ["lineno", "linenum", "linenr"].iter().any(|sign| word.starts_with(sign))
                    || matches!(word.as_str(), "ln" | "lnt" | "lnum" | "gutter");
            });
            found |= line && number;
        }
    }
    found
}

/// Whether the `pre` at `pre` holds the numbers of the lines of another one in the same row.
pub(super) fn is_gutter(tree: &Tree<'_>, pre: usize) -> bool {
    let mut expected: Option<u64> = None;
    for node in tree.nodes[pre + 1..tree.nodes[pre].end()].iter().filter(|node| node.is_text()) {
        for word in tree.text(node).split_ascii_whitespace() {
            match (word.parse::<u64>(), expected) {
                (Ok(number), None) => expected = number.checked_add(1),
                (Ok(number), Some(next)) if number == next => expected = number.checked_add(1),
                _ => return false,
            }
        }
    }
    if expected.is_none() {
        return false;
    }
    let mut row = pre;
    for _ in 0..=MAX_WRAPPERS {
        row = tree.nodes[row].parent();
        if tree.nodes[row].tag == Tag::Tr {
            let after = tree.nodes[pre].end()..tree.nodes[row].end();
            return tree.nodes[after].iter().any(|node| node.tag == Tag::Pre);
        }
    }
    false
}

/// Whether the element of code at `at` follows another one with nothing between.
pub(super) fn follows_code(tree: &Tree<'_>, at: usize) -> bool {
    let node = &tree.nodes[at];
    let before = &tree.nodes[node.parent() + 1..at];
    // The node before is the last of the sibling that ends here.
    let mut last = at.saturating_sub(1);
    while !before.is_empty() && last > node.parent() && tree.nodes[last].parent() != node.parent() {
        last = tree.nodes[last].parent();
    }
    last > node.parent() && tree.nodes[last].tag == Tag::Code && !node.has_space_before()
}
