//! Wire formats: encoding requests and decoding responses, without I/O.

use secrecy::SecretString;
use serde_json::Value;
use url::Url;

use super::request::{ChatRequest, FinishReason, Usage};
use super::transport::{HttpReply, SecretHeader};

/// The wire format of one family of servers.
pub trait Wire: Send + Sync {
    /// A short name; part of the cache key.
    fn name(&self) -> &'static str;

    /// The URL for requests, from the base URL that the user gave.
    fn url(&self, base: &Url) -> Url;

    /// The header fields that carry the API key.
    fn authentication(&self, key: &SecretString) -> Vec<SecretHeader>;

    /// Encodes the body of a request.
    fn encode(
        &self,
        model: &str,
        request: &ChatRequest,
        max_tokens: u32,
        dialect: Dialect,
    ) -> Vec<u8>;

    /// Decodes a response of any status.
    fn decode(&self, reply: &HttpReply) -> Result<Answer, ServerError>;

    /// The dialect to try after `error`, if the server may understand it. It must ask for less than
    /// `dialect` does, so that the search ends.
    fn adapt(
        &self,
        error: &ServerError,
        request: &ChatRequest,
        dialect: Dialect,
    ) -> Option<Dialect>;
}

/// What a server understands, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dialect {
    /// How an answer with a schema is requested.
    pub structured: StructuredMode,
    /// The name of the answer's token limit.
    pub token_field: TokenField,
    /// Whether the temperature is left out.
    pub without_temperature: bool,
}

/// How an answer with a schema is requested, best first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum StructuredMode {
    /// `response_format` of type `json_schema`.
    #[default]
    JsonSchema,
    /// `response_format` of type `json_object` with a `schema`.
    JsonObjectWithSchema,
    /// `response_format` of type `json_object`.
    JsonObject,
    /// In the prompt alone.
    Plain,
}

/// Names of the answer's token limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenField {
    /// `max_tokens`, which most servers understand.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`, which some models require.
    MaxCompletionTokens,
}

/// A decoded answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The model's text.
    pub text: Option<String>,
    /// The model's refusal, where the format has a field for it.
    pub refusal: Option<String>,
    /// Why it stopped.
    pub finish_reason: FinishReason,
    /// The model that answered.
    pub model: Option<String>,
    /// The server's identifier of the answer.
    pub id: Option<String>,
    /// Tokens spent, if the server counts them.
    pub usage: Option<Usage>,
}

/// A decoded error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// The status, or the one in the body of a response with status 200.
    pub status: u16,
    /// The server's error code or type.
    pub code: Option<String>,
    /// The server's message, a few hundred bytes at most.
    pub message: String,
    /// The body in lower case, bounded, to search for phrases.
    pub body: String,
    /// Whether the status reports success, but the body cannot be read.
    pub malformed: bool,
}

impl ServerError {
    /// Whether the body contains one of `words`.
    pub fn mentions(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.body.contains(word))
    }
}

/// The member `name` of `value` as a string, even if it is a number.
pub(super) fn text_or_number(value: &Value, name: &str) -> Option<String> {
    match value.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `text` cut to at most `most` bytes, at a character boundary.
pub(super) fn clipped(text: &str, most: usize) -> &str {
    let border = (0..=most).rev().find(|at| text.is_char_boundary(*at));
    if text.len() <= most { text } else { border.and_then(|at| text.get(..at)).unwrap_or("") }
}
