//! The distiller that asks a model and believes only what the page proves.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::bm25::{Query, page_language};
use super::chunk::{Chunk, ChunkSize, chunks, relevant};
use super::ground::Grounder;
use super::injection;
use super::key::InfoKey;
use super::language::Language;
use super::passage::{blocks, head};
use super::prompt::{Frame, Prompter};
use super::support::objection;
use super::{
    DistilError, DistilRequest, Distilled, Distiller, Flagged, NotRelevant, Rejected, RejectedWhy,
    content_hash,
};
use crate::cancel::CancelToken;
use crate::llm::{CacheTier, Client, Completion, LlmError};
use crate::model::{Info, Span};

/// Least bytes of page text in a prompt; a prompt with less room is not sent.
const MIN_CHUNK_BYTES: usize = 256;
/// Infos of one answer that are looked at.
const MAX_ANSWERED: usize = 64;
/// Rejected infos of one page that are kept.
const MAX_REJECTED: usize = 64;
/// Bytes of a rejected fact or quote that are kept.
const MAX_KEPT: usize = 400;
/// Longest fact, in bytes; a longer one is no fact.
const MAX_FACT: usize = 1000;

/// How a model is asked about pages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LlmDistillerOptions {
    /// Most bytes of a prompt, instructions and page together. The client's own limit holds too.
    /// Default 12,000.
    pub max_prompt_bytes: usize,
    /// Most tokens of the page's part of a prompt, by estimate. Default 2,500.
    pub max_chunk_tokens: u64,
    /// Most tokens of an answer; `None`: the client's limit.
    pub max_answer_tokens: Option<u32>,
    /// Most calls of the model for one page and focus. Default 8.
    pub max_calls_per_page: u32,
    /// Least BM25 score of a chunk that is sent; it must also hold a term of the focus. With 0
    /// every chunk is sent, also where page and focus share no language. Default 0.05.
    pub min_score: f32,
}

impl Default for LlmDistillerOptions {
    fn default() -> Self {
        Self {
            max_prompt_bytes: 12_000,
            max_chunk_tokens: 2_500,
            max_answer_tokens: None,
            max_calls_per_page: 8,
            min_score: 0.05,
        }
    }
}

/// Asks a model for facts and their quotes, and accepts what the page proves.
pub struct LlmDistiller {
    client: Client,
    options: LlmDistillerOptions,
    prompter: Prompter,
}

/// What a model answers.
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

/// The work on one page.
struct Work<'a> {
    request: &'a DistilRequest<'a>,
    language: Language,
    grounder: Grounder<'a>,
    known: HashSet<InfoKey>,
    content_hash: String,
    distilled: Distilled,
}

impl LlmDistiller {
    /// A distiller that asks through `client`.
    ///
    /// # Panics
    ///
    /// Never: the templates of the prompt are constants, and a test compiles them.
    pub fn new(client: Client, options: LlmDistillerOptions) -> Self {
        let prompter =
            Prompter::new().expect("invariant: the templates are constants that a test compiles");
        Self { client, options, prompter }
    }

    /// How large the page's part of a prompt may be.
    fn chunk_size(&self, empty_prompt: usize) -> Result<ChunkSize, DistilError> {
        let limit = self.options.max_prompt_bytes.min(self.client.max_prompt_bytes());
        let bytes = limit.saturating_sub(empty_prompt);
        if bytes < MIN_CHUNK_BYTES {
            return Err(DistilError::PromptFull { bytes: empty_prompt, limit });
        }
        Ok(ChunkSize { bytes, tokens: self.options.max_chunk_tokens.max(16) })
    }

    /// Asks about the chunks, best first. A chunk whose answer was cut is halved once.
    fn ask_all(
        &self,
        work: &mut Work<'_>,
        frame: &Frame,
        found: Vec<(Chunk, f32)>,
        cancel: &CancelToken,
    ) -> Result<u32, DistilError> {
        let mut queue: Vec<(Chunk, f32, bool)> =
            found.into_iter().rev().map(|(chunk, score)| (chunk, score, true)).collect();
        let mut calls = 0;
        while let Some((chunk, score, whole)) = queue.pop() {
            if calls >= self.options.max_calls_per_page {
                queue.push((chunk, score, whole));
                break;
            }
            calls += 1;
            match self.ask(work, frame, &chunk, cancel) {
                Ok(completion) => work.take(&completion, &chunk, score),
                Err(error) => {
                    work.spend(&error);
                    match *unshared(&error) {
                        LlmError::Cancelled => return Err(work.cancelled()),
                        LlmError::Truncated { .. } | LlmError::ContextLength { .. } if whole => {
                            let halves = halves(&chunk, work.request.content.text.as_str());
                            queue.extend(halves.into_iter().rev().map(|half| (half, score, false)));
                        }
                        LlmError::Schema { .. } => return Err(work.failed(error)),
                        _ if error.is_unusable_answer()
                            || matches!(
                                *unshared(&error),
                                LlmError::Truncated { .. } | LlmError::ContextLength { .. }
                            ) => {}
                        _ => return Err(work.failed(error)),
                    }
                    work.reject_answer(&error);
                }
            }
        }
        Ok(u32::try_from(queue.len()).unwrap_or(u32::MAX))
    }

    fn ask(
        &self,
        work: &mut Work<'_>,
        frame: &Frame,
        chunk: &Chunk,
        cancel: &CancelToken,
    ) -> Result<Completion, LlmError> {
        let title = work.request.content.title.as_deref().unwrap_or_default();
        let prompt = self.prompter.request(frame, title, &chunk.text);
        let mut prompt = prompt.map_err(|error| LlmError::Config {
            what: "prompt template",
            reason: error.to_string(),
        })?;
        prompt.max_tokens = self.options.max_answer_tokens;
        work.distilled.usage.calls += 1;
        self.client.complete(&prompt, cancel)
    }
}

impl Distiller for LlmDistiller {
    fn distil(
        &self,
        request: &DistilRequest<'_>,
        cancel: &CancelToken,
    ) -> Result<Distilled, DistilError> {
        let content = request.content;
        let template =
            |source| DistilError::Template { url: Box::new(request.url.clone()), source };
        let frame = self.prompter.frame(request.focus).map_err(template)?;
        let title = content.title.as_deref().unwrap_or_default();
        let empty = self.prompter.request(&frame, title, "").map_err(template)?;
        let size = self.chunk_size(empty.prompt_bytes())?;
        let language = page_language(content);
        let query = Query::new(request.focus, language);
        let (found, irrelevant) =
            relevant(chunks(&blocks(content), size), &query, language, self.options.min_score);
        let mut work = Work {
            request,
            language,
            grounder: Grounder::new(&content.text),
            known: HashSet::new(),
            content_hash: content_hash(content),
            distilled: Distilled {
                flagged: injection::find(&content.text),
                ..Distilled::default()
            },
        };
        if cancel.is_cancelled() {
            return Err(work.cancelled());
        }
        let beyond_limit = self.ask_all(&mut work, &frame, found, cancel)?;
        work.keep_best();
        let skipped = NotRelevant { irrelevant, beyond_limit };
        work.distilled.skipped = (skipped != NotRelevant::default()).then_some(skipped);
        Ok(work.distilled)
    }

    fn name(&self) -> &'static str {
        "llm"
    }
}

impl fmt::Debug for LlmDistiller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LlmDistiller")
            .field("client", &self.client)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Work<'_> {
    /// Looks at every claim of an answer.
    fn take(&mut self, completion: &Completion, chunk: &Chunk, score: f32) {
        let usage = &mut self.distilled.usage;
        if completion.cache == CacheTier::Miss {
            usage.tokens_in += completion.usage.input;
            usage.tokens_out += completion.usage.output;
        } else {
            usage.cache_hits += 1;
        }
        let claims = completion.value.clone().map(serde_json::from_value::<Claims>);
        let Some(Ok(Claims { infos })) = claims else {
            let why = RejectedWhy::Answer {
                kind: "invalid".into(),
                message: "the answer does not hold infos".into(),
            };
            self.reject("", "", why);
            return;
        };
        for claim in infos.into_iter().take(MAX_ANSWERED) {
            match self.judge(&claim, chunk) {
                Ok((span, grounding, quote)) => {
                    let info = self.info(claim, completion, score, (span, grounding, quote));
                    self.distilled.infos.push(info);
                }
                Err(why) => self.reject(&claim.fact, &claim.quote, why),
            }
        }
    }

    /// Where the claim's quote stands, or why the claim is not accepted.
    fn judge(
        &mut self,
        claim: &Claim,
        chunk: &Chunk,
    ) -> Result<(Span, crate::model::Grounding, String), RejectedWhy> {
        let text = &self.request.content.text;
        let hint = Some(Span::from(chunk.range.clone()));
        let found = self.grounder.ground(&claim.quote, hint);
        let (span, grounding) = found.ok_or(RejectedWhy::Ungrounded)?;
        let quote = span.of(text).ok_or(RejectedWhy::Ungrounded)?;
        let overlaps = |flag: &Flagged| flag.span.start < span.end && span.start < flag.span.end;
        if self.distilled.flagged.iter().any(overlaps) || !injection::find(&claim.fact).is_empty() {
            return Err(RejectedWhy::Injection);
        }
        if claim.fact.len() > MAX_FACT {
            return Err(RejectedWhy::Unrelated);
        }
        if let Some(why) = objection(&claim.fact, quote, text, self.language) {
            return Err(why);
        }
        if !self.known.insert(InfoKey::new(&self.request.focus.text, &claim.fact)) {
            return Err(RejectedWhy::Superfluous);
        }
        Ok((span, grounding, quote.to_owned()))
    }

    fn info(
        &self,
        claim: Claim,
        completion: &Completion,
        score: f32,
        (span, grounding, quote): (Span, crate::model::Grounding, String),
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
            content_hash: self.content_hash.clone(),
            model: Some(completion.model.clone()),
            request_id: completion.request_id.clone(),
            cache_hit: completion.cache != CacheTier::Miss,
            created_at: request.now,
        }
    }

    /// Keeps as many infos as the focus asks for; those of the best chunks came first.
    fn keep_best(&mut self) {
        let most = usize::try_from(self.request.focus.max_infos_per_page).unwrap_or(usize::MAX);
        let rest = self.distilled.infos.split_off(self.distilled.infos.len().min(most));
        for info in rest {
            self.reject(&info.fact, &info.quote, RejectedWhy::Superfluous);
        }
    }

    fn spend(&mut self, error: &LlmError) {
        let usage = error.usage();
        self.distilled.usage.tokens_in += usage.input;
        self.distilled.usage.tokens_out += usage.output;
    }

    fn reject_answer(&mut self, error: &LlmError) {
        let why = RejectedWhy::Answer { kind: error.kind().to_owned(), message: error.to_string() };
        self.reject("", "", why);
    }

    fn reject(&mut self, fact: &str, quote: &str, why: RejectedWhy) {
        tracing::debug!(url = %self.request.url, ?why, "an info was not accepted");
        if self.distilled.rejected.len() < MAX_REJECTED {
            let (fact, quote) = (head(fact, MAX_KEPT).to_owned(), head(quote, MAX_KEPT).to_owned());
            self.distilled.rejected.push(Rejected { fact, quote, why });
        }
    }

    fn cancelled(&self) -> DistilError {
        let usage = self.distilled.usage;
        DistilError::Cancelled { url: Box::new(self.request.url.clone()), usage }
    }

    fn failed(&self, error: LlmError) -> DistilError {
        DistilError::Llm {
            url: Box::new(self.request.url.clone()),
            usage: self.distilled.usage,
            source: Box::new(error),
        }
    }
}

/// The failure itself, also where it was shared by equal calls.
fn unshared(error: &LlmError) -> &LlmError {
    let mut error = error;
    while let LlmError::Shared(shared) = error {
        error = shared;
    }
    error
}

/// The two halves of a chunk, cut at the blank line nearest to its middle; none where there is no
/// such line.
fn halves(chunk: &Chunk, text: &str) -> Vec<Chunk> {
    let range = chunk.range.clone();
    let Some(covered) = text.get(range.clone()) else { return Vec::new() };
    let middle = covered.len() / 2;
    let cut = covered.match_indices("\n\n").map(|(at, _)| at).min_by_key(|at| at.abs_diff(middle));
    let Some(cut) = cut else { return Vec::new() };
    [range.start..range.start + cut, range.start + cut + 2..range.end]
        .into_iter()
        .filter_map(|range| {
            let shown = super::prompt::shown(text.get(range.clone())?);
            (!shown.trim().is_empty()).then_some(Chunk { text: shown, range })
        })
        .collect()
}
