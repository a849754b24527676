//! Whether a quote supports the fact drawn from it.
//!
//! A fact may rephrase its quote but not add to it: the quote must contain each number, date and
//! name of the fact, and a share of its other words.

use std::collections::BTreeSet;

use super::distilled::RejectedWhy;
use super::language::Language;
use super::tokens::{tokens, without_accents, words};

/// Percentage of the fact's informative terms that the quote must contain. Facts are written in the
/// language of the page, so a rephrasing keeps the subject and object.
const MIN_SHARED_PERCENT: usize = 25;

/// Beginnings of the names of months in English, German, French, Spanish, Italian, Portuguese,
/// Dutch and Russian, without accents.
const MONTHS: [&[&str]; 12] = [
    &["january", "januar", "janvier", "enero", "gennaio", "janeiro", "январ"],
    &["february", "februar", "fevrier", "febrero", "febbraio", "fevereiro", "феврал"],
    &["march", "marz", "maerz", "mars", "marzo", "marco", "maart", "март"],
    &["april", "avril", "abril", "aprile", "апрел"],
    &["may", "mai", "mayo", "maggio", "maio", "mei", "мая", "маи"],
    &["june", "juni", "juin", "junio", "giugno", "junho", "июн"],
    &["july", "juli", "juillet", "julio", "luglio", "julho", "июл"],
    &["august", "aout", "agosto", "augustus", "август"],
    &["september", "septembre", "septiembre", "settembre", "setembro", "сентябр"],
    &["october", "oktober", "octobre", "octubre", "ottobre", "outubro", "октябр"],
    &["november", "novembre", "noviembre", "novembro", "ноябр"],
    &["december", "dezember", "decembre", "diciembre", "dicembre", "dezembro", "декабр"],
];

/// Why `quote` does not support `fact`; `None` where it does. `page` is the text of the whole page:
/// in languages that write all nouns with a capital letter, a noun may also come from there.
pub(super) fn objection(
    fact: &str,
    quote: &str,
    page: &str,
    language: Language,
) -> Option<RejectedWhy> {
    let mut known = numbers(quote);
    known.extend(words(quote).iter().filter_map(|word| month(word)).map(|month| month.to_string()));
    let missing = numbers(fact).into_iter().find(|number| !known.contains(number));
    if let Some(missing) = missing {
        return Some(RejectedWhy::Unsupported { missing });
    }
    let stems = |text: &str| -> BTreeSet<String> {
        words(text).iter().map(|word| language.stem(&without_accents(word))).collect()
    };
    let quoted = stems(quote);
    let elsewhere = language.capitalises_nouns().then(|| stems(page));
    let missing = names(fact).into_iter().find(|name| {
        let folded = words(name);
        let is_month = folded
            .iter()
            .any(|word| month(word).is_some_and(|month| known.contains(&month.to_string())));
        let stands = |stem: &String| {
            quoted.contains(stem) || elsewhere.as_ref().is_some_and(|page| page.contains(stem))
        };
        !is_month && !stems(name).iter().all(stands)
    });
    if let Some(missing) = missing {
        return Some(RejectedWhy::Unsupported { missing });
    }
    let (said, shown): (BTreeSet<_>, BTreeSet<_>) = (
        tokens(fact, language).into_iter().collect(),
        tokens(quote, language).into_iter().collect(),
    );
    let shared = said.intersection(&shown).count();
    let enough = shared * 100 >= said.len() * MIN_SHARED_PERCENT && shared > 0;
    (!enough).then_some(RejectedWhy::Unrelated)
}

/// The numbers of a text in one spelling: digits of any script as ASCII, no grouping, a point
/// before decimals, no leading zeros. A separator that is followed by exactly three digits groups.
fn numbers(text: &str) -> BTreeSet<String> {
    let chars: Vec<char> = text.chars().map(|c| digit(c).unwrap_or(c)).collect();
    let mut found = BTreeSet::new();
    let mut at = 0;
    while let Some(c) = chars.get(at) {
        if !c.is_ascii_digit() {
            at += 1;
            continue;
        }
        let rest = chars.get(at..).unwrap_or_default();
        let length = number_length(rest);
        found.insert(canonical(rest.get(..length).unwrap_or_default()));
        at += length.max(1);
    }
    found
}

/// A digit of another script, or of full width, as its ASCII digit.
fn digit(c: char) -> Option<char> {
    let code = u32::from(c);
    let zero = [0x660, 0x6F0, 0x966, 0x9E6, 0xE50, 0xFF10]
        .into_iter()
        .find(|zero| (*zero..*zero + 10).contains(&code))?;
    char::from_digit(code - zero, 10)
}

/// Characters of the number at the beginning of `chars`. Spaces belong to it only as grouping.
fn number_length(chars: &[char]) -> usize {
    let digits_from = |at: usize| chars.iter().skip(at).take_while(|c| c.is_ascii_digit()).count();
    let mut length = digits_from(0);
    while let Some(separator) = chars.get(length) {
        let next = digits_from(length + 1);
        let joins = match separator {
            '.' | ',' | '\'' | '’' | '٫' | '٬' => next > 0,
            ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}' => next == 3,
            _ => false,
        };
        if !joins {
            break;
        }
        length += 1 + next;
    }
    length
}

fn canonical(number: &[char]) -> String {
    let last = number.iter().rposition(|c| !c.is_ascii_digit());
    let decimals = last.map(|at| number.len() - at - 1).filter(|decimals| *decimals != 3);
    let digits: String = number.iter().filter(|c| c.is_ascii_digit()).collect();
    let (whole, rest) = digits.split_at(digits.len() - decimals.unwrap_or(0));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let rest = rest.trim_end_matches('0');
    if rest.is_empty() { whole.to_owned() } else { format!("{whole}.{rest}") }
}

/// Words that begin with a capital letter and do not begin a sentence.
fn names(fact: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut begins = true;
    for word in fact.split(|c: char| c.is_whitespace() || matches!(c, '/' | '-' | '–' | '—')) {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let bare = bare.strip_suffix("'s").or_else(|| bare.strip_suffix("’s")).unwrap_or(bare);
        let upper = bare.chars().next().is_some_and(char::is_uppercase);
        if upper && !begins && bare != "I" {
            found.push(bare.to_owned());
        }
        if !word.is_empty() {
            begins = word.ends_with(['.', '!', '?', ':', '。']);
        }
    }
    found
}

fn month(word: &str) -> Option<usize> {
    let word = without_accents(word);
    let long = word.chars().count() >= 5;
    let named =
        |names: &[&str]| names.iter().any(|name| word == *name || (long && word.starts_with(name)));
    MONTHS.iter().position(|names| named(names)).map(|index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_spelling() {
        let list = |text: &str| numbers(text).into_iter().collect::<Vec<_>>();
        for (text, wanted) in [
            ("1,200,000 units", vec!["1200000"]),
            ("1.200.000,50 EUR", vec!["1200000.5"]),
            ("1 200 units", vec!["1200"]),
            ("0.5 % or ,5", vec!["0.5", "5"]),
            ("007", vec!["7"]),
            ("１２３ ٤٥", vec!["123", "45"]),
            ("v2.0", vec!["2"]),
            ("in 2024.", vec!["2024"]),
        ] {
            assert_eq!(list(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_a_fact_adds_is_seen() {
        let quote = "The company Acme opened its second plant on 5 March 2024 with 1,200 workers.";
        let check = |fact: &str| objection(fact, quote, quote, Language::English);
        for fact in [
            "On 2024-03-05 the company Acme opened a plant.",
            "A plant with 1200 workers was opened by Acme in March.",
            "Acme's second plant opened.",
        ] {
            assert_eq!(check(fact), None, "{fact}");
        }
        for (fact, missing) in [
            ("Acme opened a plant with 1,300 workers.", "1300"),
            ("The company Globex opened a plant.", "Globex"),
            ("The plant was opened in April.", "April"),
            ("The plant opened on 2024-04-05.", "4"),
        ] {
            let missing = missing.to_owned();
            assert_eq!(check(fact), Some(RejectedWhy::Unsupported { missing }), "{fact}");
        }
        for fact in ["Stocks fell sharply everywhere today.", "", "%%%"] {
            assert_eq!(check(fact), Some(RejectedWhy::Unrelated), "{fact}");
        }
    }

    #[test]
    fn german_nouns_may_come_from_the_page() {
        let page = "Der Bericht zur Brücke. Die Kosten der Sanierung stiegen auf 3 Millionen Euro.";
        let quote = "Die Kosten der Sanierung stiegen auf 3 Millionen Euro.";
        let check = |fact: &str| objection(fact, quote, page, Language::German);
        assert_eq!(check("Die Sanierung der Brücke kostet 3 Millionen Euro."), None);
        assert!(check("Die Sanierung in Hamburg kostet 3 Millionen Euro.").is_some());
    }
}
