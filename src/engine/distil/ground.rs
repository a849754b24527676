//! Finding a quote in its text.

use std::cell::OnceCell;
use std::ops::Range;

use super::fold::Folded;
use super::fuzzy;
use super::passage::weight;
use super::tokens::is_unspaced;
use crate::model::{Grounding, Span};

/// Least weight of a quote: shorter ones occur in any text. A character of a script without spaces
/// counts as three.
const MIN_WEIGHT: usize = 8;
/// Longest quote that is searched, in bytes.
const MAX_QUOTE_BYTES: usize = 16 * 1024;
/// Most occurrences of a quote that are tried, to find one whose ends are not inside words.
const MAX_PLACES: usize = 64;

/// Finds `quote` in `text`, and returns how it was found: byte for byte, else after folding, else
/// within an edit distance of a tenth of its characters. `hint` is a range of bytes that is
/// searched first.
///
/// ```
/// use gristmill::engine::distil::ground;
/// use gristmill::model::Grounding;
///
/// let text = "She said: “Every value\nhas an owner.”";
/// let (span, how) = ground("every value has an owner", text, None).unwrap();
/// assert_eq!(span.of(text), Some("Every value\nhas an owner"));
/// assert_eq!(how, Grounding::Normalised);
/// assert!(ground("values have no owners at all", text, None).is_none());
/// ```
pub fn ground(quote: &str, text: &str, hint: Option<Span>) -> Option<(Span, Grounding)> {
    Grounder::new(text).ground(quote, hint)
}

/// Grounds several quotes in one text, which is folded at most once.
#[derive(Debug)]
pub struct Grounder<'a> {
    text: &'a str,
    folded: OnceCell<Folded>,
}

impl<'a> Grounder<'a> {
    /// A grounder for `text`.
    pub fn new(text: &'a str) -> Self {
        Self { text, folded: OnceCell::new() }
    }

    /// Finds `quote`; see [`ground`].
    pub fn ground(&self, quote: &str, hint: Option<Span>) -> Option<(Span, Grounding)> {
        let quote = quote.trim();
        if quote.len() > MAX_QUOTE_BYTES || weight(quote) < MIN_WEIGHT {
            return None;
        }
        let whole = 0..self.text.len();
        let hint = hint.and_then(|hint| {
            let range = usize::try_from(hint.start).ok()?..usize::try_from(hint.end).ok()?;
            self.text.get(range.clone()).map(|_| range)
        });
        if let Some(range) = self.exact(quote, hint.as_ref().unwrap_or(&whole)) {
            return Some((range.into(), Grounding::Exact));
        }
        if hint.is_some()
            && let Some(range) = self.exact(quote, &whole)
        {
            return Some((range.into(), Grounding::Exact));
        }
        let folded = self.folded.get_or_init(|| Folded::new(self.text));
        let wanted = Folded::new(quote);
        let wanted = wanted.text.trim();
        let (near, all) = (hint.map(|hint| folded.range_of(&hint)), 0..folded.text.len());
        let areas = || near.iter().chain([&all]);
        let normalised = areas().find_map(|area| whole_words(wanted, &folded.text, area));
        if let Some(range) = normalised.and_then(|range| folded.source_of(range)) {
            return Some((self.trimmed(range)?.into(), Grounding::Normalised));
        }
        let found = areas().find_map(|area| {
            let found = fuzzy::find(wanted, folded.text.get(area.clone())?)?;
            Some(area.start + found.start..area.start + found.end)
        })?;
        let range = folded.source_of(widened(&folded.text, found))?;
        Some((self.trimmed(range)?.into(), Grounding::Fuzzy))
    }

    fn exact(&self, quote: &str, area: &Range<usize>) -> Option<Range<usize>> {
        whole_words(quote, self.text, area)
    }

    /// The range without white space at its ends; `None` where it is no range of characters.
    fn trimmed(&self, range: Range<usize>) -> Option<Range<usize>> {
        let part = self.text.get(range.clone())?;
        let start = range.start + (part.len() - part.trim_start().len());
        let end = start + part.trim().len();
        (start < end).then_some(start..end)
    }
}

/// The first occurrence of `wanted` in `area` of `text` that neither begins nor ends inside a word.
fn whole_words(wanted: &str, text: &str, area: &Range<usize>) -> Option<Range<usize>> {
    if wanted.is_empty() {
        return None;
    }
    text.get(area.clone())?
        .match_indices(wanted)
        .take(MAX_PLACES)
        .map(|(at, found)| area.start + at..area.start + at + found.len())
        .find(|range| !inside_word(text, range.start) && !inside_word(text, range.end))
}

/// Whether the characters on both sides of `at` belong to one word.
fn inside_word(text: &str, at: usize) -> bool {
    let spelled = |c: char| c.is_alphanumeric() && !is_unspaced(c);
    let before = text.get(..at).and_then(|head| head.chars().next_back());
    let after = text.get(at..).and_then(|tail| tail.chars().next());
    before.is_some_and(spelled) && after.is_some_and(spelled)
}

/// The range widened to the ends of the words that it cuts.
fn widened(text: &str, range: Range<usize>) -> Range<usize> {
    /// Characters by which an end is moved at most.
    const MOST: usize = 32;
    let (mut start, mut end) = (range.start, range.end);
    for _ in 0..MOST {
        if !inside_word(text, start) {
            break;
        }
        let before = text.get(..start).and_then(|head| head.chars().next_back());
        start -= before.map_or(0, char::len_utf8);
    }
    for _ in 0..MOST {
        if !inside_word(text, end) {
            break;
        }
        end += text.get(end..).and_then(|tail| tail.chars().next()).map_or(0, char::len_utf8);
    }
    start..end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_quote_is_found_three_ways_and_stored_as_the_page_has_it() {
        let text =
            "Intro.\n\nThe „Müller\u{a0}GmbH“ sold 1\u{202f}200 units — a re\u{ad}cord — in 2024.";
        for (quote, how) in [
            ("sold 1\u{202f}200 units", Grounding::Exact),
            ("the \"Müller GmbH\" sold 1 200 units - a record - in 2024", Grounding::Normalised),
            ("The Müller GmbH sold 1200 units - a record - in 2024.", Grounding::Fuzzy),
        ] {
            let (span, found) = ground(quote, text, None).unwrap();
            assert_eq!(found, how, "{quote}");
            assert!(span.of(text).unwrap().contains("1\u{202f}200 units"), "{quote}");
        }
    }

    #[test]
    fn fragments_and_inventions_are_not_found() {
        let text = "The party started at noon and the artist arrived late in the evening.";
        for quote in
            ["", " ", "art", "arty start", "e", "noon", "The party was cancelled by police."]
        {
            assert_eq!(ground(quote, text, None), None, "{quote}");
        }
        assert!(ground("party started", text, None).is_some());
        assert!(ground("所有权移动", "变量的所有权移动到函数", None).is_some());
    }

    #[test]
    fn the_hint_chooses_among_equals_and_never_hides() {
        let text = "one same phrase here. two same phrase here.";
        let at = |hint: Option<Span>| ground("same phrase here", text, hint).unwrap().0.start;
        assert_eq!((at(None), at(Some((22..text.len()).into()))), (4, 26));
        assert_eq!(at(Some((0..3).into())), 4);
        assert_eq!(at(Some(Span { start: 5, end: 9_999 })), 4);
    }

    proptest! {
        #[test]
        fn a_span_always_covers_exact_characters(
            text in "[a-zA-Z0-9 .,“”'é\u{301}ﬁ所有权\\n\u{200b}]{0,200}", from in 0..200_usize,
            length in 1..80_usize, noise in "[a-z ]{0,3}",
        ) {
            let chars: Vec<char> = text.chars().collect();
            let from = from.min(chars.len());
            let part: String = chars[from..(from + length).min(chars.len())].iter().collect();
            for quote in [part.clone(), part.to_uppercase(), format!("{part}{noise}")] {
                if let Some((span, how)) = ground(&quote, &text, None) {
                    let found = span.of(&text);
                    prop_assert!(found.is_some_and(|found| !found.trim().is_empty()));
                    if how == Grounding::Exact {
                        prop_assert_eq!(found, Some(quote.trim()));
                    }
                }
            }
        }

        #[test]
        fn what_stands_in_the_text_is_found(
            words in prop::collection::vec("[a-z]{2,9}", 12..40), from in 0..4_usize, count in 4..8_usize,
        ) {
            let text = words.join("  ");
            let quote = words[from..from + count].join(" ");
            prop_assume!(quote.len() > 12);
            prop_assert!(ground(&quote, &text, None).is_some());
        }
    }
}
