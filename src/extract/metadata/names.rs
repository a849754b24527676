//! Names of authors.

use crate::extract::text::line;

/// Longest name, in bytes.
const MAX_NAME_BYTES: usize = 80;
/// How many authors are kept.
const MAX_NAMES: usize = 32;
/// Most words of one name that stands in the page's text.
const MAX_WORDS: usize = 6;
/// Words before a name in a byline.
const LABELS: [&str; 12] = [
    "written by",
    "posted by",
    "published by",
    "by",
    "author:",
    "authors:",
    "author",
    "von",
    "par",
    "por",
    "escrito por",
    "door",
];

/// Adds the authors that a declaration names, each once.
pub(super) fn add(declared: &str, names: &mut Vec<String>) {
    let Some(declared) = line(declared) else { return };
    for name in split(&declared) {
        let name = unlabelled(name).trim_matches(|c: char| c.is_whitespace() || c == ',');
        if is_name(name) && names.len() < MAX_NAMES && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
}

/// Whether something that is declared as an author is a name: not an address, an account or a
/// number.
fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES
        && !name.starts_with('@')
        && !name.contains("://")
        && name.chars().any(char::is_alphabetic)
}

/// The names in a list of several. A comma separates them only where each part has two words, as
/// in `Ada Keeper, Bo Reed`; what comes after one is a title in `Ada Keeper, PhD`.
fn split(declared: &str) -> Vec<&str> {
    let mut names = vec![declared];
    for separator in ["; ", " and ", " & ", " | "] {
        let apart: Vec<&str> = names.iter().flat_map(|name| name.split(separator)).collect();
        let several = separator == "; " || apart.iter().all(|name| name.trim().contains(' '));
        if several {
            names = apart;
        }
    }
    names
        .into_iter()
        .flat_map(|name| {
            let parts: Vec<&str> = name.split(", ").collect();
            let people = parts.iter().all(|part| looks_like_name(part.trim()));
            if people { parts } else { vec![name] }
        })
        .collect()
}

/// What comes after the label of a byline.
pub(super) fn unlabelled(text: &str) -> &str {
    let text = text.trim();
    for label in LABELS {
        let start = text.get(..label.len()).filter(|start| start.eq_ignore_ascii_case(label));
        if start.is_some() {
            let rest = &text[label.len()..];
            if rest.starts_with([' ', ':', '\u{a0}']) {
                return rest.trim_start_matches([' ', ':', '\u{a0}']);
            }
        }
    }
    text
}

/// Whether `text` is the label of a byline and nothing else.
pub(super) fn is_label(text: &str) -> bool {
    let text = text.trim().trim_end_matches(':').trim_end();
    LABELS.iter().any(|label| text.eq_ignore_ascii_case(label.trim_end_matches(':')))
}

/// Whether a text of the page looks like the name of a person: two words or more, each with a
/// capital or of a script without them, particles apart.
pub(super) fn looks_like_name(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let particle = |word: &str| word.chars().count() <= 3 && word.chars().all(char::is_alphabetic);
    (2..=MAX_WORDS).contains(&words.len())
        && text.len() <= MAX_NAME_BYTES
        && !text.chars().any(|c| c.is_ascii_digit() || matches!(c, ':' | '/' | '@' | '?' | '!'))
        && words.iter().all(|word| {
            let capital =
                word.chars().find(|c| c.is_alphabetic()).is_some_and(|c| !c.is_lowercase());
            capital || particle(word)
        })
        && words.first().is_some_and(|word| !word.starts_with(char::is_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_names_are_taken_apart() {
        for (declared, expected) in [
            ("Ada Keeper", vec!["Ada Keeper"]),
            ("By Ada Keeper and Bo Reed", vec!["Ada Keeper", "Bo Reed"]),
            ("Ada Keeper, Bo Reed", vec!["Ada Keeper", "Bo Reed"]),
            ("Ada Keeper, PhD", vec!["Ada Keeper, PhD"]),
            ("Keeper, Ada; Reed, Bo", vec!["Keeper, Ada", "Reed, Bo"]),
            ("Mill and Sons", vec!["Mill and Sons"]),
            ("@ada", vec![]),
            ("https://mill.example/ada", vec![]),
            ("12345", vec![]),
        ] {
            let mut names = Vec::new();
            add(declared, &mut names);
            assert_eq!(names, expected, "{declared}");
        }
    }

    #[test]
    fn names_are_told_from_other_words() {
        assert!(looks_like_name("Ada van der Keeper") && looks_like_name("Ада Мельник"));
        for text in ["Home", "read more", "The old mill beside the ford has ground", "Top 10"] {
            assert!(!looks_like_name(text), "{text}");
        }
        assert!(is_label("Written by:") && !is_label("bye"));
    }
}
