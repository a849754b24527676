//! BM25 over the passages of one page, and how much of a focus a text covers.

use std::collections::{BTreeSet, HashMap};

use super::language::Language;
use super::tokens::truncated;
use super::tokens::{Token, tokens, words};
use crate::model::{Content, Focus};

/// Saturation of term frequency, and share of length normalisation: the customary values
/// (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009, section 3.4).
const K1: f32 = 1.2;
const B: f32 = 0.75;

/// Bytes of a text that are read to detect its language.
const SAMPLE_BYTES: usize = 8192;

/// The language of a page. The focus is read in it too, because both sides must be folded alike.
pub(super) fn page_language(content: &Content) -> Language {
    let words = words(truncated(&content.text, SAMPLE_BYTES));
    Language::of(content.language.as_deref(), words.iter().map(String::as_str))
}

/// The terms that make a text relevant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// The informative terms of the focus.
    pub(super) terms: BTreeSet<Token>,
    /// The further terms of the focus, each as its tokens.
    pub(super) marks: Vec<BTreeSet<Token>>,
}

impl Query {
    /// The query of `focus` on a page in `language`. Stop words of the focus's own language are
    /// dropped too.
    pub(super) fn new(focus: &Focus, language: Language) -> Self {
        let own_words = words(&focus.text);
        let own = Language::of(None, own_words.iter().map(String::as_str));
        let kept: Vec<&str> = focus
            .text
            .split_whitespace()
            .filter(|word| {
                let lower = word.to_lowercase();
                let bare = lower.trim_matches(|c: char| !c.is_alphanumeric());
                !own.is_stop_word(bare) && !Language::English.is_stop_word(bare)
            })
            .collect();
        let mut terms: BTreeSet<_> = tokens(&kept.join(" "), language).into_iter().collect();
        if terms.is_empty() {
            // In a focus of nothing but stop words, they are the subject.
            terms = tokens(&focus.text, Language::Other).into_iter().collect();
        }
        let marks = focus.terms.iter().map(|term| tokens(term, language).into_iter().collect());
        Self { terms, marks: marks.filter(|mark: &BTreeSet<_>| !mark.is_empty()).collect() }
    }

    /// How many of the terms are among `found`.
    pub(super) fn covered(&self, found: &BTreeSet<&Token>) -> usize {
        self.terms.iter().filter(|term| found.contains(term)).count()
    }

    /// Whether `found` contains all tokens of one of the further terms.
    pub(super) fn is_marked(&self, found: &BTreeSet<&Token>) -> bool {
        self.marks.iter().any(|mark| mark.iter().all(|token| found.contains(token)))
    }

    /// How many terms are `percent` of all, rounded up, at least one.
    pub(super) fn share(&self, percent: usize) -> usize {
        (self.terms.len() * percent).div_ceil(100).max(1)
    }

    /// All terms that score.
    fn scoring(&self) -> BTreeSet<&Token> {
        self.terms.iter().chain(self.marks.iter().flatten()).collect()
    }
}

/// Words of a passage of ordinary length, against which [`saturation`] weighs lengths.
const ORDINARY_WORDS: f32 = 40.0;

/// BM25's term part of one text with equal weights for all terms and a fixed ordinary length: of
/// the rank of a passage, what can be compared between pages. From 0 to `K1 + 1`.
#[expect(clippy::cast_precision_loss, reason = "counts of words of one passage")]
pub(super) fn saturation(query: &Query, text: &[Token]) -> f32 {
    let terms = query.scoring();
    // No bonus for short texts: a fragment says less.
    let length = (text.len() as f32 / ORDINARY_WORDS).max(1.0);
    let sum: f32 = terms
        .iter()
        .map(|term| {
            let count = text.iter().filter(|token| token == term).count() as f32;
            count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length))
        })
        .sum();
    sum / terms.len().max(1) as f32
}

/// The BM25 score of each of `texts`, taken as the whole collection.
#[expect(clippy::cast_precision_loss, reason = "counts of words of one page")]
pub(super) fn scores(query: &Query, texts: &[Vec<Token>]) -> Vec<f32> {
    let terms = query.scoring();
    let counts: Vec<HashMap<&Token, f32>> = texts
        .iter()
        .map(|text| {
            let mut counts = HashMap::new();
            for token in text.iter().filter(|token| terms.contains(token)) {
                *counts.entry(token).or_insert(0.0) += 1.0;
            }
            counts
        })
        .collect();
    let total = texts.len() as f32;
    let average = texts.iter().map(Vec::len).sum::<usize>() as f32 / total.max(1.0);
    let mut scores = vec![0.0; texts.len()];
    for term in terms {
        let holding = counts.iter().filter(|counts| counts.contains_key(term)).count() as f32;
        let weight = (1.0 + (total - holding + 0.5) / (holding + 0.5)).ln();
        for ((score, counts), text) in scores.iter_mut().zip(&counts).zip(texts) {
            let Some(count) = counts.get(term) else { continue };
            let length = text.len() as f32 / average.max(1.0);
            *score += weight * count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length));
        }
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_terms_and_short_texts_score_higher() {
        let query = Query::new(&Focus::new("the borrow checker"), Language::English);
        assert_eq!(query.terms.len(), 2);
        let texts = [
            "Borrowing is common here.",
            "The checker is rare.",
            "Borrowing and more words that fill it up without need.",
            "Nothing.",
        ]
        .map(|text| tokens(text, Language::English));
        let scores = scores(&query, &texts);
        assert!(scores[1] > scores[0] && scores[0] > scores[2] && scores[2] > 0.0);
        assert!(scores[3].abs() < f32::EPSILON);
    }

    #[test]
    fn question_words_are_no_terms() {
        let query = Query::new(&Focus::new("What is the price of steel?"), Language::German);
        let terms: Vec<_> = query.terms.iter().map(|term| term.text.as_str()).collect();
        assert_eq!(terms.len(), 2, "{terms:?}");
        assert_eq!(Query::new(&Focus::new("the who"), Language::English).terms.len(), 2);
    }
}
