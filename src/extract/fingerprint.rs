//! Fingerprints: exact and near duplicates of texts.
//!
//! All of them look at the normalised text: its words in lower case, one space between two. A word
//! is a run of letters, digits and marks; in scripts written without spaces each character is one.

use std::collections::{HashMap, HashSet};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::model::Fingerprint;

/// Words in one shingle.
const SHINGLE_WORDS: usize = 3;
/// Most bits in which the hashes of near duplicates differ.
const MAX_HAMMING: u32 = 3;
/// Least share of shingles that near duplicates have in common (Jaccard index).
const MIN_OVERLAP: f64 = 0.9;

/// Both fingerprints of a text: BLAKE3 of the normalised text, and `SimHash` (Charikar 2002) over its
/// shingles of three words, which is 0 for a text without words.
pub(super) fn of(text: &str) -> Fingerprint {
    let normalised = normalise(text);
    Fingerprint {
        text: *blake3::hash(normalised.as_bytes()).as_bytes(),
        simhash: simhash_of(&normalised),
    }
}

/// Whether `a` and `b` are near duplicates: their hashes ([`Fingerprint::simhash`]) differ in
/// at most three bits, nine tenths of their shingles are common, and no number, month or day of the
/// week differs.
pub fn near_duplicate(a: &str, b: &str) -> bool {
    let (a, b) = (normalise(a), normalise(b));
    if a == b {
        return true;
    }
    if (simhash_of(&a) ^ simhash_of(&b)).count_ones() > MAX_HAMMING {
        return false;
    }
    quantities(&a) == quantities(&b) && overlap(&a, &b) >= MIN_OVERLAP
}

/// Words in lower case, separated by single spaces.
pub(super) fn normalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_word = false;
    for character in text.chars() {
        if !(character.is_alphanumeric() || is_mark(character)) {
            in_word = false;
            continue;
        }
        let alone = stands_alone(character);
        if (!in_word || alone) && !out.is_empty() {
            out.push(' ');
        }
        in_word = !alone;
        if character.is_ascii() {
            out.push(character.to_ascii_lowercase());
        } else {
            out.extend(character.to_lowercase());
        }
    }
    out
}

/// Combining marks that belong to the word they stand in.
const fn is_mark(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36F}' | '\u{93A}'..='\u{94F}' | '\u{E31}' | '\u{E34}'..='\u{E4E}')
}

/// Characters of scripts written without spaces between words.
const fn stands_alone(character: char) -> bool {
    matches!(
        character,
        '\u{E00}'..='\u{EFF}' | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{4DBF}'
            | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}'
    )
}

/// The hashes of the shingles of a normalised text; one for a text shorter than a shingle.
fn shingles(normalised: &str) -> impl Iterator<Item = u64> {
    let mut window = [0; SHINGLE_WORDS];
    let words = if normalised.is_empty() {
        0
    } else {
        normalised.bytes().filter(|b| *b == b' ').count() + 1
    };
    let first = SHINGLE_WORDS.min(words);
    normalised.split(' ').filter(|word| !word.is_empty()).enumerate().filter_map(
        move |(at, word)| {
            window.rotate_left(1);
            window[SHINGLE_WORDS - 1] = xxh3_64(word.as_bytes());
            (at + 1 >= first).then(|| {
                window.iter().fold(0, |seed, word| xxh3_64_with_seed(&word.to_le_bytes(), seed))
            })
        },
    )
}

fn simhash_of(normalised: &str) -> u64 {
    let mut balance = [0_i32; 64];
    for hash in shingles(normalised) {
        for (bit, count) in balance.iter_mut().enumerate() {
            *count += if hash >> bit & 1 == 1 { 1 } else { -1 };
        }
    }
    balance.iter().enumerate().fold(0, |hash, (bit, count)| hash | u64::from(*count > 0) << bit)
}

/// Share of the shingles of two texts that both have.
fn overlap(a: &str, b: &str) -> f64 {
    type Set = HashSet<u64, foldhash::fast::FixedState>;
    let (a, b): (Set, Set) = (shingles(a).collect(), shingles(b).collect());
    let common = a.intersection(&b).count();
    let all = a.len() + b.len() - common;
    #[expect(clippy::cast_precision_loss, reason = "counts of words are far below 2^52")]
    let share = common as f64 / all.max(1) as f64;
    share
}

/// How often each word of an amount or a date occurs.
fn quantities(normalised: &str) -> HashMap<&str, u32, foldhash::fast::FixedState> {
    let mut counts = HashMap::default();
    let telling = |word: &&str| {
        word.bytes().any(|b| b.is_ascii_digit())
            || word.chars().any(char::is_numeric)
            || DATE_WORDS.contains(word)
    };
    for word in normalised.split(' ').filter(telling) {
        *counts.entry(word).or_default() += 1;
    }
    counts
}

/// Months and days of the week, in English.
const DATE_WORDS: &[&str] = &[
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Words without a period in their order.
    fn prose(words: u64) -> String {
        let letter = |hash: u64| char::from(b'a' + u8::try_from(hash % 26).unwrap());
        let word = |n: u64| {
            let hash = xxh3_64(&n.to_le_bytes());
            format!("{}{}{} ", letter(hash), letter(hash >> 8), letter(hash >> 16))
        };
        (0..words).map(word).collect()
    }

    #[test]
    fn layout_and_case_do_not_matter_to_the_exact_hash() {
        assert_eq!(of("One, two\n\nthree.").text, of("one TWO three").text);
        assert_ne!(of("one two three").text, of("one two four").text);
        assert_ne!(of("on etwo").text, of("one two").text);
        assert_eq!(of("a b"), of("A b"));
    }

    #[test]
    fn a_changed_word_in_a_long_text_is_a_near_duplicate() {
        let a = prose(3000);
        let b = a.replacen(' ', " other ", 1);
        assert_ne!(of(&a).text, of(&b).text);
        assert!(near_duplicate(&a, &b));
        assert!(!near_duplicate(&a, &prose(300)));
    }

    #[test]
    fn a_changed_number_or_date_is_no_duplicate() {
        let a = format!("{} the price is 100 euros on 3 March", prose(3000));
        for (from, to) in [("100", "120"), ("3 March", "4 March"), ("March", "April")] {
            assert!(!near_duplicate(&a, &a.replace(from, to)), "{from} to {to}");
        }
        assert!(near_duplicate(&a, &a.replace("euros on", "euros, on")));
    }

    #[test]
    fn characters_of_unspaced_scripts_are_words() {
        assert_eq!(normalise("Café 天地 x"), "café 天 地 x");
        assert_eq!(of("").simhash, 0);
        assert_ne!(of("one").simhash, 0);
    }
}
