//! The distiller that needs no model: it selects the passages most relevant to the focus.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use serde_json::Value;

use super::bm25::{Query, page_language, saturation, scores};
use super::distilled::{Distilled, NotRelevant};
use super::distiller::{DistilRequest, Distiller};
use super::error::DistilError;
use super::injection;
use super::key::InfoKey;
use super::language::Language;
use super::passage::{Passage, blocks, sentences, weight};
use super::tokens::{Token, tokens, truncated};
use crate::cancel::CancelToken;
use crate::model::{BlockKind, Content, Grounding, Info};

/// Options of an [`Extractive`] distiller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtractiveOptions {
    /// Least weight of a passage: its letters and digits, where a character of a script without
    /// spaces counts as three. Shorter ones are menus and captions. Default 25.
    pub min_weight: usize,
    /// Most bytes of a quote; longer passages are cut to their best sentences. Default 600.
    pub max_quote_bytes: usize,
    /// Percentage of the focus's informative terms that at least one passage must contain, together
    /// with its heading and the page's title. Otherwise the page has another subject, and merely
    /// uses the same words here and there. Default 60.
    pub page_percent: usize,
    /// Percentage of these terms that each passage must contain in the same way, at least one of
    /// them in the passage itself. Default 50.
    pub passage_percent: usize,
}

impl Default for ExtractiveOptions {
    fn default() -> Self {
        Self { min_weight: 25, max_quote_bytes: 600, page_percent: 60, passage_percent: 50 }
    }
}

/// Ranks the passages of a page against the focus and returns the best.
///
/// ```
/// use gristmill::cancel::CancelToken;
/// use gristmill::engine::distil::{DistilRequest, Distiller, Extractive};
/// use gristmill::model::{Content, Focus};
/// use gristmill::time::Timestamp;
///
/// let content = Content {
///     text: "Every value has one owner; when the owner goes out of scope, the value is dropped."
///         .into(),
///     ..Content::default()
/// };
/// let url = "https://example.org/book".parse()?;
/// let request = DistilRequest {
///     url: &url,
///     content: &content,
///     focus: &Focus::new("owner of a value"),
///     fetched_at: Timestamp(0),
///     now: Timestamp(0),
/// };
/// let distilled = Extractive::default().distil(&request, &CancelToken::new())?;
/// assert_eq!(distilled.infos[0].quote, content.text);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Extractive {
    options: ExtractiveOptions,
}

/// A relevant passage.
struct Candidate<'a> {
    passage: &'a Passage<'a>,
    /// Rank within the page: the rarer a term is on the page, the more it counts.
    score: f32,
    /// Score that is comparable between pages.
    relevance: f32,
}

impl Extractive {
    /// A distiller with these options.
    pub const fn new(options: ExtractiveOptions) -> Self {
        Self { options }
    }

    /// Relevant passages, best first, and the number of irrelevant ones.
    fn ranked<'a>(
        &self,
        content: &'a Content,
        passages: &'a [Passage<'a>],
        query: &Query,
        language: Language,
    ) -> (Vec<Candidate<'a>>, u32) {
        let texts: Vec<Vec<Token>> =
            passages.iter().map(|passage| tokens(passage.text, language)).collect();
        let title = tokens(content.title.as_deref().unwrap_or_default(), language);
        let scores = scores(query, &texts);
        let mut found = Vec::new();
        let mut page_speaks = false;
        for ((passage, text), score) in passages.iter().zip(&texts).zip(scores) {
            if !self.can_stand(passage) {
                continue;
            }
            let own: BTreeSet<&Token> = text.iter().collect();
            let heading = tokens(passage.heading.unwrap_or_default(), language);
            let nearby: BTreeSet<&Token> = text.iter().chain(&heading).chain(&title).collect();
            let (here, around) = (query.covered(&own), query.covered(&nearby));
            page_speaks |= here > 0 && around >= query.share(self.options.page_percent);
            let speaks = here > 0 && around >= query.share(self.options.passage_percent);
            let coverage = 1.0 + share_of(here, query) + 0.25 * share_of(around, query);
            let score = score * coverage;
            let relevance = saturation(query, text) * coverage;
            found.push((Candidate { passage, score, relevance }, speaks, query.is_marked(&own)));
        }
        let all = found.len();
        let relevant =
            |(candidate, speaks, marked)| (marked || (speaks && page_speaks)).then_some(candidate);
        let mut candidates: Vec<_> = found.into_iter().filter_map(relevant).collect();
        let irrelevant = u32::try_from(all - candidates.len()).unwrap_or(u32::MAX);
        candidates.sort_by(|a, b| {
            let by_place = a.passage.range.start.cmp(&b.passage.range.start);
            b.score.total_cmp(&a.score).then(by_place)
        });
        (candidates, irrelevant)
    }

    fn can_stand(&self, passage: &Passage<'_>) -> bool {
        !matches!(passage.kind, BlockKind::Heading(_) | BlockKind::Code)
            && weight(passage.text) >= self.options.min_weight
    }

    /// The part of the passage that is quoted: all of it, or its best run of sentences.
    fn quoted(&self, passage: &Passage<'_>, query: &Query, language: Language) -> Range<usize> {
        let limit = self.options.max_quote_bytes.max(1);
        let place =
            |part: Range<usize>| passage.range.start + part.start..passage.range.start + part.end;
        if passage.text.len() <= limit {
            return passage.range.clone();
        }
        let sentences = sentences(passage.text);
        let hits: Vec<usize> = sentences
            .iter()
            .map(|range| {
                let text = tokens(passage.text.get(range.clone()).unwrap_or(""), language);
                query.covered(&text.iter().collect())
            })
            .collect();
        let best = (0..sentences.len())
            .filter_map(|first| run_from(first, &sentences, &hits, limit))
            .max_by_key(|(hits, range)| (*hits, std::cmp::Reverse(range.start)));
        match best {
            Some((hits, range)) if hits > 0 => place(range),
            _ => place(0..word_border(passage.text, limit)),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of words of a focus")]
fn share_of(covered: usize, query: &Query) -> f32 {
    covered as f32 / query.terms.len().max(1) as f32
}

/// The longest run of sentences from `first` within `limit` bytes, and its hits.
fn run_from(
    first: usize,
    sentences: &[Range<usize>],
    hits: &[usize],
    limit: usize,
) -> Option<(usize, Range<usize>)> {
    let start = sentences.get(first)?.start;
    let run = sentences.iter().zip(hits).skip(first);
    let run = run.take_while(|(range, _)| range.end - start <= limit);
    run.fold(None, |best, (range, hits)| {
        let before = best.map_or(0, |(before, _)| before);
        Some((before + hits, start..range.end))
    })
}

/// Where to cut `text` within `limit` bytes: after a word, or after a character.
fn word_border(text: &str, limit: usize) -> usize {
    let head = truncated(text, limit);
    let end = head.len();
    if head.len() == text.len() {
        return end;
    }
    match head.rfind(char::is_whitespace) {
        Some(at) if at > end / 2 => head.get(..at).map_or(end, |head| head.trim_end().len()),
        _ => end,
    }
}

impl Distiller for Extractive {
    fn distil(
        &self,
        request: &DistilRequest<'_>,
        cancel: &CancelToken,
    ) -> Result<Distilled, DistilError> {
        let mut distilled = Distilled::default();
        if cancel.is_cancelled() {
            let usage = distilled.usage;
            return Err(DistilError::Cancelled { url: Box::new(request.url.clone()), usage });
        }
        let content = request.content;
        let language = page_language(content);
        let query = Query::new(request.focus, language);
        let passages = blocks(content);
        let (candidates, irrelevant) = self.ranked(content, &passages, &query, language);
        let most = usize::try_from(request.focus.max_infos_per_page).unwrap_or(usize::MAX);
        let hash = request.content_hash();
        let mut known = HashSet::new();
        let mut beyond_limit = 0;
        for Candidate { passage, relevance, .. } in candidates {
            let range = self.quoted(passage, &query, language);
            let Some(quote) = content.text.get(range.clone()) else { continue };
            if !known.insert(InfoKey::new(&request.focus.text, quote)) {
                continue;
            }
            if distilled.infos.len() >= most {
                beyond_limit += 1;
                continue;
            }
            distilled.infos.push(Info {
                fact: quote.split_whitespace().collect::<Vec<_>>().join(" "),
                fields: Value::Null,
                url: request.url.clone(),
                quote: quote.to_owned(),
                span: range.into(),
                focus: request.focus.text.clone(),
                grounding: Grounding::Exact,
                score: relevance,
                fetched_at: request.fetched_at,
                published_at: content.published_at.clone(),
                also_at: Vec::new(),
                content_hash: hash.clone(),
                model: None,
                request_id: None,
                cache_hit: false,
                created_at: request.now,
            });
        }
        distilled.flagged = injection::find(&content.text);
        let skipped = NotRelevant { irrelevant, beyond_limit };
        distilled.skipped = (skipped != NotRelevant::default()).then_some(skipped);
        Ok(distilled)
    }

    fn name(&self) -> &'static str {
        "extractive"
    }
}
