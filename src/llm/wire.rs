//! Wire formats: how a request is spelled and an answer read. No I/O.

use secrecy::SecretString;
use serde_json::Value;
use url::Url;

use super::request::{ChatRequest, FinishReason, Usage};
use super::transport::{HttpReply, SecretHeader};

/// How one family of servers wants requests spelled and spells its answers.
pub trait Wire: Send + Sync {
    /// A short name; part of the cache key.
    fn name(&self) -> &'static str;

    /// The URL that takes requests, for the base URL that the user gave.
    fn url(&self, base: &Url) -> Url;

    /// The header fields that carry the API key.
    fn authentication(&self, key: &SecretString) -> Vec<SecretHeader>;

    /// The body of a request.
    fn encode(
        &self,
        model: &str,
        request: &ChatRequest,
        max_tokens: u32,
        dialect: Dialect,
    ) -> Vec<u8>;

    /// Reads an answer of any status.
    fn decode(&self, reply: &HttpReply) -> Result<Answer, ServerError>;

    /// How to spell a request that was refused with `error`, if another spelling may be taken.
    /// Each answer must be further down the ladder than `dialect`, so that the search ends.
    fn adapt(
        &self,
        error: &ServerError,
        request: &ChatRequest,
        dialect: Dialect,
    ) -> Option<Dialect>;
}

/// What a server was found to understand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dialect {
    /// How a schema is asked for.
    pub structured: StructuredMode,
    /// What the limit of the answer's tokens is called.
    pub token_field: TokenField,
    /// The server takes no temperature.
    pub without_temperature: bool,
}

/// Ways to ask for an answer by a schema, best first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum StructuredMode {
    /// `response_format` of type `json_schema`.
    #[default]
    JsonSchema,
    /// `response_format` of type `json_object` with a `schema` beside it.
    JsonObjectWithSchema,
    /// `response_format` of type `json_object`.
    JsonObject,
    /// Words in the prompt alone.
    Plain,
}

/// Names of the limit of the answer's tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenField {
    /// `max_tokens`, which most servers know.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`, which some models insist on.
    MaxCompletionTokens,
}

/// A decoded answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the model wrote.
    pub text: Option<String>,
    /// Its refusal, in a field of its own.
    pub refusal: Option<String>,
    /// Why it stopped.
    pub finish_reason: FinishReason,
    /// The model that answered.
    pub model: Option<String>,
    /// The server's id of the answer.
    pub id: Option<String>,
    /// Tokens spent, where the server says so.
    pub usage: Option<Usage>,
}

/// A decoded error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// The status, or the one that stands in the body of an answer whose own status is 200.
    pub status: u16,
    /// The server's code or type of the error.
    pub code: Option<String>,
    /// The server's words, at most a few hundred bytes.
    pub message: String,
    /// The whole body in lower case, bounded, for what only it says.
    pub body: String,
    /// The answer is not an error by its status, but cannot be read.
    pub malformed: bool,
}

impl ServerError {
    /// Whether the body, or its words, hold one of `words`.
    pub fn mentions(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.body.contains(word))
    }
}

/// The member `name` of `value` as a string, also where it is a number.
pub(super) fn text_or_number(value: &Value, name: &str) -> Option<String> {
    match value.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `text` cut to at most `most` bytes on a character border.
pub(super) fn clipped(text: &str, most: usize) -> &str {
    let border = (0..=most).rev().find(|at| text.is_char_boundary(*at));
    if text.len() <= most { text } else { border.and_then(|at| text.get(..at)).unwrap_or("") }
}
