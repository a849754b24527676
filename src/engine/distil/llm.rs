//! The distiller that asks a model, and accepts only what the page proves.

use std::fmt;

use super::bm25::{Query, page_language};
use super::chunk::{Chunk, ChunkSize, chunks, relevant};
use super::claims::{ClaimVerifier, Findings};
use super::distilled::{DistilUsage, Distilled, NotRelevant};
use super::distiller::{DistilRequest, Distiller, Resumption};
use super::error::DistilError;
use super::passage::blocks;
use super::prompt::{FocusPrompt, PromptBuilder, PromptCache, prompt_cache};
use crate::cancel::CancelToken;
use crate::llm::{Client, Completion, Continuation, LlmError, Usage};

/// Least room for page text in a prompt, in bytes; without it no prompt is sent.
const MIN_CHUNK_BYTES: usize = 256;

/// Options of an [`LlmDistiller`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LlmDistillerOptions {
    /// Most bytes of a prompt, instructions and page together. The client's own limit applies as
    /// well. Default 12,000.
    pub max_prompt_bytes: usize,
    /// Most tokens of the page's part of a prompt, estimated. Default 2,500.
    pub max_chunk_tokens: u64,
    /// Most tokens of an answer; `None`: the client's limit.
    pub max_answer_tokens: Option<u32>,
    /// Most calls of the model for one page and focus. Default 8.
    pub max_calls_per_page: u32,
    /// Least BM25 score of a chunk that is sent; the chunk must also contain a term of the focus.
    /// With 0 every chunk is sent, even if page and focus are in different languages. Default 0.05.
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
    builder: PromptBuilder,
}

/// The state of the work on one page, which a wait may interrupt.
#[derive(Debug)]
struct PageProgress {
    /// Open questions; the last is asked next.
    open: Vec<Question>,
    /// Calls that have ended.
    calls: u32,
    irrelevant: u32,
    findings: Findings,
}

/// One chunk that the model is asked about.
#[derive(Debug)]
struct Question {
    chunk: Chunk,
    score: f32,
    /// The chunk is whole, not half of another.
    whole: bool,
    call: Continuation,
    /// The part of the call's usage that has been counted.
    counted: Usage,
}

/// The page, and how it is asked about.
#[derive(Clone, Copy)]
struct PageContext<'a> {
    request: &'a DistilRequest<'a>,
    focus_prompt: &'a FocusPrompt,
    cancel: &'a CancelToken,
    /// Whether to wait for retries on this thread.
    pauses: bool,
}

impl LlmDistiller {
    /// A distiller that asks through `client`.
    ///
    /// # Panics
    ///
    /// Never. The templates of the prompt are constants that a test compiles.
    pub fn new(client: Client, options: LlmDistillerOptions) -> Self {
        Self::with_prompt_cache(client, options, Some(prompt_cache()))
    }

    /// The same with a cache of prompts; `None`: each page's prompt is made from scratch.
    pub(in crate::engine) fn with_prompt_cache(
        client: Client,
        options: LlmDistillerOptions,
        cache: Option<PromptCache>,
    ) -> Self {
        let builder = PromptBuilder::new(cache)
            .expect("invariant: the templates are constants that a test compiles");
        Self { client, options, builder }
    }

    /// The room for the page's part of a prompt.
    fn chunk_size(&self, empty_prompt: usize) -> Result<ChunkSize, DistilError> {
        let limit = self.options.max_prompt_bytes.min(self.client.max_prompt_bytes());
        let bytes = limit.saturating_sub(empty_prompt);
        if bytes < MIN_CHUNK_BYTES {
            return Err(DistilError::PromptFull { bytes: empty_prompt, limit });
        }
        Ok(ChunkSize { bytes, tokens: self.options.max_chunk_tokens.max(16) })
    }

    /// Collects the questions about a page, best first.
    fn begin(
        &self,
        request: &DistilRequest<'_>,
        focus_prompt: &FocusPrompt,
    ) -> Result<PageProgress, DistilError> {
        let content = request.content;
        let title = content.title.as_deref().unwrap_or_default();
        let empty =
            self.builder.request(focus_prompt, title, "").map_err(|e| template(request, e))?;
        let size = self.chunk_size(empty.prompt_bytes())?;
        let language = page_language(content);
        let query = Query::new(request.focus, language);
        let (found, irrelevant) =
            relevant(chunks(&blocks(content), size), &query, language, self.options.min_score);
        let open = found.into_iter().rev();
        Ok(PageProgress {
            open: open.map(|(chunk, score)| Question::new(chunk, score, true)).collect(),
            calls: 0,
            irrelevant,
            findings: Findings::new(request.url, &content.text),
        })
    }

    /// Asks the open questions. An error that asks for a wait carries the progress.
    fn ask_open(
        &self,
        page: PageContext<'_>,
        mut progress: PageProgress,
    ) -> Result<Distilled, DistilError> {
        let PageContext { request, cancel, .. } = page;
        let verifier = ClaimVerifier::new(request, page_language(request.content));
        let ended = if cancel.is_cancelled() {
            Err(LlmError::Cancelled)
        } else {
            self.ask_all(page, &verifier, &mut progress)
        };
        let Err(error) = ended else {
            let PageProgress { open, irrelevant, mut findings, .. } = progress;
            findings.keep_best(request.focus.max_infos_per_page);
            let beyond_limit = u32::try_from(open.len()).unwrap_or(u32::MAX);
            let skipped = NotRelevant { irrelevant, beyond_limit };
            findings.distilled.skipped = (skipped != NotRelevant::default()).then_some(skipped);
            return Ok(findings.distilled);
        };
        let url = Box::new(request.url.clone());
        let usage = std::mem::take(&mut progress.findings.distilled.usage);
        Err(match error {
            LlmError::Later { wait, .. } => DistilError::Later {
                url,
                usage,
                wait,
                resumption: Some(Resumption::new(progress)),
                source: Box::new(error),
            },
            error if matches!(unshared(&error), LlmError::Cancelled) => {
                DistilError::Cancelled { url, usage }
            }
            error => DistilError::Llm { url, usage, source: Box::new(error) },
        })
    }

    /// Asks about the chunks, best first. A chunk whose answer was truncated is halved once.
    fn ask_all(
        &self,
        page: PageContext<'_>,
        verifier: &ClaimVerifier<'_>,
        progress: &mut PageProgress,
    ) -> Result<(), LlmError> {
        while progress.calls < self.options.max_calls_per_page {
            let Some(mut question) = progress.open.pop() else { break };
            let answer = self.ask(page, &mut question, &mut progress.findings.distilled.usage);
            if let Err(error @ LlmError::Later { .. }) = answer {
                progress.open.push(question);
                return Err(error);
            }
            progress.calls += 1;
            let Question { chunk, score, whole, .. } = question;
            let error = match answer {
                Ok(completion) => {
                    verifier.take(&completion, &chunk, score, &mut progress.findings);
                    continue;
                }
                Err(error) => error,
            };
            match *unshared(&error) {
                LlmError::Truncated { .. } | LlmError::ContextLength { .. } => {
                    let halves = if whole { halves(&chunk, page.text()) } else { Vec::new() };
                    let halves = halves.into_iter().rev();
                    progress.open.extend(halves.map(|half| Question::new(half, score, false)));
                }
                _ if error.is_unusable_answer() => {}
                _ => return Err(error),
            }
            progress.findings.reject_answer(&error);
        }
        Ok(())
    }

    /// Asks one question, or resumes it. Tokens are counted as soon as they are known, the call
    /// once it has ended.
    fn ask(
        &self,
        page: PageContext<'_>,
        question: &mut Question,
        usage: &mut DistilUsage,
    ) -> Result<Completion, LlmError> {
        let title = page.request.content.title.as_deref().unwrap_or_default();
        let prompt = self.builder.request(page.focus_prompt, title, &question.chunk.text);
        let mut prompt = prompt.map_err(|error| LlmError::Config {
            what: "prompt template",
            reason: error.to_string(),
        })?;
        prompt.max_tokens = self.options.max_answer_tokens;
        let so_far = &mut question.call;
        let answer = self.client.proceed(&prompt, so_far, page.cancel, page.pauses);
        let (paid, counted) = (so_far.usage(), question.counted);
        usage.tokens_in += paid.input.saturating_sub(counted.input);
        usage.tokens_out += paid.output.saturating_sub(counted.output);
        question.counted = paid;
        usage.calls += u64::from(!matches!(answer, Err(LlmError::Later { .. })));
        answer
    }

    fn start_or_resume(
        &self,
        request: &DistilRequest<'_>,
        resumption: Option<Resumption>,
        cancel: &CancelToken,
        pauses: bool,
    ) -> Result<Distilled, DistilError> {
        let focus_prompt =
            self.builder.focus_prompt(request.focus).map_err(|e| template(request, e))?;
        let progress = match resumption.and_then(Resumption::into_state::<PageProgress>) {
            Some(progress) => progress,
            None => self.begin(request, &focus_prompt)?,
        };
        self.ask_open(
            PageContext { request, focus_prompt: &focus_prompt, cancel, pauses },
            progress,
        )
    }
}

impl Distiller for LlmDistiller {
    fn distil(
        &self,
        request: &DistilRequest<'_>,
        cancel: &CancelToken,
    ) -> Result<Distilled, DistilError> {
        self.start_or_resume(request, None, cancel, true)
    }

    fn distil_or_later(
        &self,
        request: &DistilRequest<'_>,
        resumption: Option<Resumption>,
        cancel: &CancelToken,
    ) -> Result<Distilled, DistilError> {
        self.start_or_resume(request, resumption, cancel, false)
    }

    fn name(&self) -> &'static str {
        "llm"
    }
}

impl<'a> PageContext<'a> {
    fn text(&self) -> &'a str {
        &self.request.content.text
    }
}

impl Question {
    fn new(chunk: Chunk, score: f32, whole: bool) -> Self {
        let (call, counted) = (Continuation::default(), Usage::default());
        Self { chunk, score, whole, call, counted }
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

fn template(request: &DistilRequest<'_>, source: minijinja::Error) -> DistilError {
    DistilError::Template { url: Box::new(request.url.clone()), source }
}

/// The underlying error of a call that was shared with equal calls.
fn unshared(error: &LlmError) -> &LlmError {
    let mut error = error;
    while let LlmError::Shared(shared) = error {
        error = shared;
    }
    error
}

/// The two halves of a chunk, cut at the blank line nearest to its middle; empty if it has none.
fn halves(chunk: &Chunk, text: &str) -> Vec<Chunk> {
    let range = chunk.range.clone();
    let Some(covered) = text.get(range.clone()) else { return Vec::new() };
    let middle = covered.len() / 2;
    let cut = covered.match_indices("\n\n").map(|(at, _)| at).min_by_key(|at| at.abs_diff(middle));
    let Some(cut) = cut else { return Vec::new() };
    [range.start..range.start + cut, range.start + cut + 2..range.end]
        .into_iter()
        .filter_map(|range| {
            let shown = super::prompt::sanitized(text.get(range.clone())?);
            (!shown.trim().is_empty()).then_some(Chunk { text: shown, range })
        })
        .collect()
}
