//! Words of a text, in their form for comparison.
//!
//! A text is brought to NFKC and lower case and cut at whatever is not a letter, digit or mark.
//! Scripts that do not write spaces between words (Han, Kana, Thai, Lao, Khmer, Burmese), and
//! Hangul, whose words carry their particles, are cut into pairs of neighbouring characters;
//! such a run is cut at the most frequent particles of Chinese and Japanese first.

use std::borrow::Cow;

use icu_normalizer::properties::CanonicalCombiningClassMapBorrowed;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

use super::language::Language;

/// Longest word, in bytes; longer words are truncated.
const MAX_WORD: usize = 64;

/// A word in its form for comparison.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Token {
    pub(super) text: String,
    /// One of the pairs into which an unspaced script is cut.
    pub(super) pair: bool,
}

/// The words of `text` in lower case, not yet folded or stemmed.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    split(text, &mut |run, unspaced| {
        if !unspaced {
            words.push(run.to_owned());
        }
    });
    words
}

/// The tokens of `text` without stop words, in order.
pub(super) fn tokens(text: &str, language: Language) -> Vec<Token> {
    let mut tokens = Vec::new();
    split(text, &mut |run, unspaced| {
        if unspaced {
            pairs(run, &mut tokens);
        } else if !language.is_stop_word(run) {
            let folded = without_accents(run);
            // A run of nothing but accents stays what it is.
            let bare = if folded.is_empty() { run } else { &folded };
            tokens.push(Token { text: language.stem(bare), pair: false });
        }
    });
    tokens
}

/// Calls `each` with each run of word characters, in lower case, and whether its script is
/// written without spaces.
fn split(text: &str, each: &mut dyn FnMut(&str, bool)) {
    let text: Cow<'_, str> = if text.is_ascii() {
        Cow::Borrowed(text)
    } else {
        ComposingNormalizerBorrowed::new_nfkc().normalize(text)
    };
    let marks = CanonicalCombiningClassMapBorrowed::new();
    let (mut run, mut unspaced) = (String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let is_mark = !c.is_ascii() && marks.get_u8(c) != 0;
        let is_word = c.is_alphanumeric() || (is_mark && !run.is_empty());
        let here = if is_mark { unspaced } else { is_unspaced(c) };
        let programming = matches!(c, '+' | '#') && run.chars().count() == 1;
        if programming && (c == '#' || chars.peek() == Some(&'+')) {
            // `C++` and `C#` are words.
            run.push_str(if c == '#' { "#" } else { "++" });
            continue;
        }
        if !run.is_empty() && (!is_word || here != unspaced || is_particle(c)) {
            each(clip(&run, unspaced), unspaced);
            run.clear();
        }
        if is_word && !is_particle(c) {
            unspaced = here;
            run.extend(c.to_lowercase());
        }
    }
    if !run.is_empty() {
        each(clip(&run, unspaced), unspaced);
    }
}

fn clip(run: &str, unspaced: bool) -> &str {
    if unspaced { run } else { truncated(run, MAX_WORD) }
}

fn pairs(run: &str, tokens: &mut Vec<Token>) {
    let mut before: Option<char> = None;
    let mut single = true;
    for c in run.chars() {
        if let Some(before) = before {
            tokens.push(Token { text: [before, c].iter().collect(), pair: true });
            single = false;
        }
        before = Some(c);
    }
    if let (true, Some(only)) = (single, before) {
        tokens.push(Token { text: only.to_string(), pair: true });
    }
}

/// Scripts that are cut into pairs.
pub(super) fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c),
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF
        | 0x3040..=0x30FF | 0x31F0..=0x31FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF
        | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0x20000..=0x3FFFF)
}

/// The most frequent function words of Chinese and Japanese that are one character long.
fn is_particle(c: char) -> bool {
    matches!(c, '的' | '了' | '和' | '与' | '與' | '及' | '或' | '是' | '在' | 'の' | 'は' | 'を')
}

/// Latin, Greek and Cyrillic letters without their accents; `ß` becomes `ss`.
pub(super) fn without_accents(word: &str) -> String {
    if word.is_ascii() {
        return word.to_owned();
    }
    let nfkd = DecomposingNormalizerBorrowed::new_nfkd();
    let mut out = String::with_capacity(word.len());
    for c in word.chars() {
        match c {
            'ß' => out.push_str("ss"),
            'ø' => out.push('o'),
            'ł' => out.push('l'),
            'æ' => out.push_str("ae"),
            'œ' => out.push_str("oe"),
            '\0'..'\u{530}' | '\u{1e00}'..'\u{2000}' => out.extend(
                nfkd.normalize_iter(std::iter::once(c))
                    .filter(|part| !matches!(part, '\u{300}'..='\u{36f}')),
            ),
            other => out.push(other),
        }
    }
    out
}

/// The longest prefix of `text` with at most `most` bytes.
pub(super) fn truncated(text: &str, most: usize) -> &str {
    let border = (0..=most).rev().find(|at| text.is_char_boundary(*at));
    if text.len() <= most { text } else { border.and_then(|at| text.get(..at)).unwrap_or("") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(text: &str, language: Language) -> Vec<String> {
        tokens(text, language).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn words_are_cut_by_script() {
        assert_eq!(
            texts("The Owner's books, C++ & C#!", Language::English),
            ["owner", "book", "c++", "c#"]
        );
        assert_eq!(texts("所有权和借用", Language::Other), ["所有", "有权", "借用"]);
        assert_eq!(texts("メモリの安全", Language::Other), ["メモ", "モリ", "安全"]);
        assert_eq!(texts("ภาษา", Language::Other), ["ภา", "าษ", "ษา"]);
        assert_eq!(texts("ＲＵＳＴ １２", Language::Other), ["rust", "12"]);
        assert_eq!(texts("Straße ÉTÉ", Language::Other), ["strass", "ete"]);
        assert_eq!(texts("हिन्दी भाषा", Language::Other), ["हिन्दी", "भाषा"]);
    }

    proptest! {
        #[test]
        fn any_text_is_survived_and_words_are_bounded(text in "\\PC{0,200}") {
            for token in tokens(&text, Language::English) {
                prop_assert!(!token.text.is_empty() && token.text.len() <= 2 * MAX_WORD);
            }
        }
    }
}
