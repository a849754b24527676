//! Checks a model's claims about a page: a claim becomes an info only if the page proves it.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::chunk::Chunk;
use super::distilled::{Distilled, Flagged, Rejected, RejectedWhy};
use super::distiller::DistilRequest;
use super::ground::Grounder;
use super::injection;
use super::key::InfoKey;
use super::language::Language;
use super::support::objection;
use super::tokens::truncated;
use crate::llm::{CacheTier, Completion, LlmError};
use crate::model::{Grounding, Info, Span};

/// Most claims of one answer that are checked.
const MAX_ANSWERED: usize = 64;
/// Most rejected claims of one page that are kept.
const MAX_REJECTED: usize = 64;
/// Most bytes of a rejected fact or quote that are kept.
const MAX_KEPT: usize = 400;
/// Longest fact that is accepted, in bytes.
const MAX_FACT: usize = 1000;

/// A model's answer.
#[derive(Debug, Deserialize)]
struct Claims {
    infos: Vec<Claim>,
}

#[derive(Debug, Deserialize)]
struct Claim {
    fact: String,
    quote: String,
    #[serde(default)]
    fields: Value,
}

/// Checks claims against the text of one page.
pub(super) struct ClaimVerifier<'a> {
    request: &'a DistilRequest<'a>,
    language: Language,
    grounder: Grounder<'a>,
    content_hash: String,
}

/// The results from a page so far.
#[derive(Debug)]
pub(super) struct Findings {
    url: Url,
    known: HashSet<InfoKey>,
    pub(super) distilled: Distilled,
}

impl Findings {
    /// No results yet, for a page with this text.
    pub(super) fn new(url: &Url, text: &str) -> Self {
        let distilled = Distilled { flagged: injection::find(text), ..Distilled::default() };
        Self { url: url.clone(), known: HashSet::new(), distilled }
    }

    /// Keeps as many infos as the focus asks for; those of the best chunks came first.
    pub(super) fn keep_best(&mut self, most: u32) {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let rest = self.distilled.infos.split_off(self.distilled.infos.len().min(most));
        for info in rest {
            self.reject(&info.fact, &info.quote, RejectedWhy::Superfluous);
        }
    }

    /// Records that an answer could not be used.
    pub(super) fn reject_answer(&mut self, error: &LlmError) {
        let why = RejectedWhy::Answer { kind: error.kind().to_owned(), message: error.to_string() };
        self.reject("", "", why);
    }

    fn reject(&mut self, fact: &str, quote: &str, why: RejectedWhy) {
        tracing::debug!(url = %self.url, ?why, "an info was not accepted");
        if self.distilled.rejected.len() < MAX_REJECTED {
            let (fact, quote) =
                (truncated(fact, MAX_KEPT).to_owned(), truncated(quote, MAX_KEPT).to_owned());
            self.distilled.rejected.push(Rejected { fact, quote, why });
        }
    }
}

impl<'a> ClaimVerifier<'a> {
    pub(super) fn new(request: &'a DistilRequest<'a>, language: Language) -> Self {
        Self {
            request,
            language,
            grounder: Grounder::new(&request.content.text),
            content_hash: request.content_hash(),
        }
    }

    /// Checks every claim of an answer.
    pub(super) fn take(
        &self,
        completion: &Completion,
        chunk: &Chunk,
        score: f32,
        findings: &mut Findings,
    ) {
        findings.distilled.usage.cache_hits += u64::from(completion.cache != CacheTier::Miss);
        let claims = completion.value.clone().map(serde_json::from_value::<Claims>);
        let Some(Ok(Claims { infos })) = claims else {
            let why = RejectedWhy::Answer {
                kind: "invalid".into(),
                message: "the answer does not hold infos".into(),
            };
            findings.reject("", "", why);
            return;
        };
        for claim in infos.into_iter().take(MAX_ANSWERED) {
            match self.judge(&claim, chunk, findings) {
                Ok((span, grounding, quote)) => {
                    let info = self.info(claim, completion, score, (span, grounding, quote));
                    findings.distilled.infos.push(info);
                }
                Err(why) => findings.reject(&claim.fact, &claim.quote, why),
            }
        }
    }

    /// Where the claim's quote stands, or why the claim is not accepted.
    fn judge(
        &self,
        claim: &Claim,
        chunk: &Chunk,
        findings: &mut Findings,
    ) -> Result<(Span, Grounding, String), RejectedWhy> {
        let text = &self.request.content.text;
        let hint = Some(Span::from(chunk.range.clone()));
        let found = self.grounder.ground(&claim.quote, hint);
        let (span, grounding) = found.ok_or(RejectedWhy::Ungrounded)?;
        let quote = span.of(text).ok_or(RejectedWhy::Ungrounded)?;
        let overlaps = |flag: &Flagged| flag.span.start < span.end && span.start < flag.span.end;
        if findings.distilled.flagged.iter().any(overlaps)
            || !injection::find(&claim.fact).is_empty()
        {
            return Err(RejectedWhy::Injection);
        }
        if claim.fact.len() > MAX_FACT {
            return Err(RejectedWhy::Unrelated);
        }
        if let Some(why) = objection(&claim.fact, quote, text, self.language) {
            return Err(why);
        }
        if !findings.known.insert(InfoKey::new(&self.request.focus.text, &claim.fact)) {
            return Err(RejectedWhy::Superfluous);
        }
        Ok((span, grounding, quote.to_owned()))
    }

    fn info(
        &self,
        claim: Claim,
        completion: &Completion,
        score: f32,
        (span, grounding, quote): (Span, Grounding, String),
    ) -> Info {
        let request = self.request;
        Info {
            fact: claim.fact.split_whitespace().collect::<Vec<_>>().join(" "),
            fields: claim.fields,
            url: request.url.clone(),
            quote,
            span,
            focus: request.focus.text.clone(),
            grounding,
            score,
            fetched_at: request.fetched_at,
            published_at: request.content.published_at.clone(),
            also_at: Vec::new(),
            content_hash: self.content_hash.clone(),
            model: Some(completion.model.clone()),
            request_id: completion.request_id.clone(),
            cache_hit: completion.cache != CacheTier::Miss,
            created_at: request.now,
        }
    }
}
