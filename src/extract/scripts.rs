//! Superscripts and subscripts as text: never so that `10⁶` reads as 106.
//!
//! | on the page | in the text |
//! | --- | --- |
//! | digits and signs above or below | the characters of Unicode: `10⁶`, `m²`, `H₂O`, `¹⁄₂` |
//! | a note's mark: a link, or an element marked as a reference | `1841[12]` |
//! | a lower-case letter above a longer word, a list of notes | the same: `Table[b]`, `word[1,2]` |
//! | an ordinal or an abbreviation: `1<sup>st</sup>`, `M<sup>me</sup>` | glued: `1st`, `Mme` |
//! | `TM`, `SM` | `™`, `℠` |
//! | other letters above a digit, a letter or a bracket | a power: `2^n`, `e^(ix)` |
//! | letters below a letter or digit | `x_i`, `V_max`, `a_(i,j)` |
//! | anything else: `®`, `†`, `.99` | as it stands |

use super::entities::{self, Place};
use super::tag::Tag;
use super::tree::{Node, Tree};

/// How what stands above or below is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    /// As it stands.
    Plain,
    /// With these characters in place of the digits: above.
    Above,
    /// Below.
    Below,
    /// Between these two texts.
    Between(&'static str, &'static str),
    /// This text in its place.
    Instead(&'static str),
}

/// Longest text that is looked at, in bytes; a longer one is no script but text in small print.
const MAX_SCRIPT_BYTES: usize = 32;

/// Endings of ordinals in several languages, and what abbreviations end in.
const ENDINGS: [&str; 31] = [
    "st", "nd", "rd", "th", "er", "ère", "ere", "re", "e", "ème", "eme", "ième", "nde", "o", "os",
    "a", "as", "os.", "ste", "de", "me", "mes", "lle", "lles", "gr", "r", "rs", "te", "ie", "no",
    "s",
];

/// How the superscript or subscript at `at`, after `word`, is written; `None` for what is none.
pub(super) fn of(tree: &Tree<'_>, at: usize, word: &str) -> Option<Script> {
    let node = &tree.nodes[at];
    let parent = &tree.nodes[node.parent()];
    let mut content = String::new();
    let mut refers = parent.tag == Tag::A && parent.end() == node.end() && node.parent() + 1 == at;
    for inside in &tree.nodes[at + 1..node.end()] {
        if inside.is_text() {
            content.push_str(&entities::decode(tree.text(inside), Place::Text));
        } else if inside.tag.is_block() || inside.tag == Tag::Img {
            return None;
        }
        refers |= inside.tag == Tag::A;
        if content.len() > MAX_SCRIPT_BYTES {
            return None;
        }
    }
    let content = content.trim();
    if content.is_empty() {
        return None;
    }
    if node.tag == Tag::Sub {
        return Some(below(word, content));
    }
    refers |= is_named_note(tree, node);
    Some(above(word, content, refers))
}

/// Whether the names of a superscript say that it refers to a note.
fn is_named_note(tree: &Tree<'_>, node: &Node) -> bool {
    let attributes = tree.attributes(node);
    ["class", "id", "role"].iter().any(|name| {
        let value = attributes.get(name).unwrap_or_default().to_ascii_lowercase();
        ["footnote", "fnref", "noteref", "reference", "citation"]
            .iter()
            .any(|sign| value.contains(sign))
    })
}

/// How `content` is written above the end of `word`. `note`: it is a reference to a note.
fn above(word: &str, content: &str, note: bool) -> Script {
    if note {
        let marked = content.starts_with(['[', '(']) || !content.contains(char::is_alphanumeric);
        return if marked { Script::Plain } else { Script::Between("[", "]") };
    }
    match content {
        "TM" | "tm" => return Script::Instead("™"),
        "SM" | "sm" => return Script::Instead("℠"),
        _ => {}
    }
    let digits = content.contains(|c: char| c.is_ascii_digit());
    let range = content.trim_matches(['-', '–']).contains(['-', '–']);
    if digits && !range && content.chars().all(|c| raised(c) != c) {
        return Script::Above;
    }
    if digits && content.chars().all(|c| c.is_ascii_digit() || matches!(c, ',' | ' ' | '–' | '-'))
    {
        return Script::Between("[", "]");
    }
    let Some(base) = word.chars().next_back() else { return Script::Plain };
    let letters = content.chars().all(char::is_alphabetic);
    let single = word.chars().nth(1).is_none();
    if !letters || base.is_ascii_digit() || single {
        let abbreviation = letters
            && ENDINGS.contains(&content.to_lowercase().as_str())
            && (base.is_ascii_digit() || base.is_uppercase() || matches!(base, 'n'));
        let power = content.chars().next().is_some_and(|c| c.is_alphanumeric() || is_sign(c))
            && content.contains(char::is_alphanumeric)
            && (base.is_ascii_digit() || single && base.is_alphabetic() || is_bracket(base));
        return if power && !abbreviation { power_of(content) } else { Script::Plain };
    }
    if is_bracket(base) {
        return power_of(content);
    }
    let mark = content.chars().all(char::is_lowercase) && content.chars().count() == 1;
    if mark && base.is_alphanumeric() { Script::Between("[", "]") } else { Script::Plain }
}

/// How `content` is written below the end of `word`.
fn below(word: &str, content: &str) -> Script {
    let digits = content.contains(|c: char| c.is_ascii_digit());
    if digits && content.chars().all(|c| lowered(c) != c) {
        return Script::Below;
    }
    let base = word.chars().next_back();
    let word = content.contains(char::is_alphanumeric) && !content.contains(' ');
    match base {
        Some(base) if word && (base.is_alphanumeric() || is_bracket(base)) => {
            if content.chars().all(char::is_alphanumeric) {
                Script::Between("_", "")
            } else {
                Script::Between("_(", ")")
            }
        }
        _ => Script::Plain,
    }
}

fn power_of(content: &str) -> Script {
    if content.chars().nth(1).is_none() {
        Script::Between("^", "")
    } else {
        Script::Between("^(", ")")
    }
}

const fn is_sign(character: char) -> bool {
    matches!(character, '+' | '-' | '−' | '(')
}

const fn is_bracket(character: char) -> bool {
    matches!(character, ')' | ']' | '}')
}

/// `character` as Unicode has it above the line, or itself.
pub(super) const fn raised(character: char) -> char {
    match character {
        '0' => '⁰',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4' => '⁴',
        '5' => '⁵',
        '6' => '⁶',
        '7' => '⁷',
        '8' => '⁸',
        '9' => '⁹',
        '+' => '⁺',
        '-' | '−' | '–' => '⁻',
        '=' => '⁼',
        '(' => '⁽',
        ')' => '⁾',
        other => other,
    }
}

/// `character` as Unicode has it below the line, or itself.
pub(super) const fn lowered(character: char) -> char {
    match character {
        '0' => '₀',
        '1' => '₁',
        '2' => '₂',
        '3' => '₃',
        '4' => '₄',
        '5' => '₅',
        '6' => '₆',
        '7' => '₇',
        '8' => '₈',
        '9' => '₉',
        '+' => '₊',
        '-' | '−' | '–' => '₋',
        '=' => '₌',
        '(' => '₍',
        ')' => '₎',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(script: Script, content: &str) -> String {
        match script {
            Script::Plain => content.to_owned(),
            Script::Above => content.chars().map(raised).collect(),
            Script::Below => content.chars().map(lowered).collect(),
            Script::Between(before, after) => format!("{before}{content}{after}"),
            Script::Instead(text) => text.to_owned(),
        }
    }

    #[test]
    fn what_stands_above_keeps_its_meaning() {
        for (word, content, note, text) in [
            ("10", "6", false, "⁶"),
            ("10", "-3", false, "⁻³"),
            ("m", "2", false, "²"),
            ("1841", "12", true, "[12]"),
            ("word", "[28]", true, "[28]"),
            ("word", "↩", true, "↩"),
            ("word", "1,2", false, "[1,2]"),
            ("word", "1–3", false, "[1–3]"),
            ("1", "st", false, "st"),
            ("2", "ème", false, "ème"),
            ("M", "me", false, "me"),
            ("n", "o", false, "o"),
            ("2", "n", false, "^n"),
            ("e", "ix", false, "^(ix)"),
            ("x)", "n", false, "^n"),
            ("FFMQ", "b", false, "[b]"),
            ("Brand", "TM", false, "™"),
            ("Card", "®", false, "®"),
            ("799", ".99", false, ".99"),
            ("", "th", false, "th"),
        ] {
            assert_eq!(written(above(word, content, note), content), text, "{word} {content}");
        }
    }

    #[test]
    fn what_stands_below_keeps_its_meaning() {
        for (word, content, text) in [
            ("H", "2", "₂"),
            ("x", "i", "_i"),
            ("V", "max", "_max"),
            ("a", "i,j", "_(i,j)"),
            ("", "small", "small"),
        ] {
            assert_eq!(written(below(word, content), content), text, "{word} {content}");
        }
    }
}
