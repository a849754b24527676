//! What is asked and what comes back.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A conversation that a model is to continue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatRequest {
    /// The messages so far.
    pub messages: Vec<Message>,
    /// JSON Schema that the answer must satisfy; `None`: any text.
    pub schema: Option<Value>,
    /// The messages state the schema already, so that it need not be added for servers that do
    /// not take one.
    pub schema_in_prompt: bool,
    /// Sampling temperature; `None`: the server's default.
    pub temperature: Option<f32>,
    /// Most tokens of the answer; `None`: the client's limit.
    pub max_tokens: Option<u32>,
}

impl ChatRequest {
    /// A conversation without messages.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds instructions.
    #[must_use]
    pub fn system(self, content: impl Into<String>) -> Self {
        self.message(Role::System, content)
    }

    /// Adds what the user says.
    #[must_use]
    pub fn user(self, content: impl Into<String>) -> Self {
        self.message(Role::User, content)
    }

    /// Adds a message.
    #[must_use]
    pub fn message(mut self, role: Role, content: impl Into<String>) -> Self {
        self.messages.push(Message { role, content: content.into() });
        self
    }

    /// Sets the JSON Schema of the answer.
    #[must_use]
    pub fn schema(mut self, schema: Value) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Sets the sampling temperature.
    #[must_use]
    pub fn temperature(mut self, temperature: f32) -> Self {
        self.temperature = Some(temperature);
        self
    }

    /// Sets the most tokens of the answer.
    #[must_use]
    pub fn max_tokens(mut self, most: u32) -> Self {
        self.max_tokens = Some(most);
        self
    }

    /// Bytes of all message texts.
    pub fn prompt_bytes(&self) -> usize {
        self.messages.iter().map(|message| message.content.len()).sum()
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The instructions.
    System,
    /// The one who asks.
    User,
    /// The model.
    Assistant,
}

/// An accepted answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// The text as the model wrote it.
    pub text: String,
    /// The value that satisfies the schema, if one was asked for.
    pub value: Option<Value>,
    /// The model that answered, as the server named it; the one asked for where it named none.
    pub model: String,
    /// The server's id of the request.
    pub request_id: Option<String>,
    /// Tokens spent on this answer, re-asks included. For a cached answer: what it cost then.
    pub usage: Usage,
    /// Where the answer came from.
    pub cache: CacheTier,
    /// Why the model stopped.
    pub finish_reason: FinishReason,
    /// Requests that were answered on the way to this one; 0 for a cached answer.
    pub requests: u32,
    /// The text had to be repaired before it could be parsed.
    pub repaired: bool,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheTier {
    /// The server was asked.
    Miss,
    /// The memory tier had it, or an equal request was under way.
    Memory,
    /// The durable tier had it.
    Disk,
}

/// Why a model stopped.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinishReason {
    /// It had said everything.
    Stop,
    /// It reached the most tokens.
    Length,
    /// A filter cut the answer.
    ContentFilter,
    /// It wants to call a tool, which it is never given.
    ToolCalls,
    /// The server did not say.
    Missing,
    /// Something else, in the server's word.
    Other(String),
}

/// Tokens spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub input: u64,
    /// Tokens of the answer.
    pub output: u64,
    /// The server gave no figures, and these are estimates from the texts.
    pub estimated: bool,
}

impl Usage {
    /// Both together.
    pub const fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// The sum of two.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            estimated: self.estimated || other.estimated,
        }
    }
}

/// About how many tokens a text has: four Latin letters, or two letters of another alphabet, or
/// one ideograph, make a token. Vocabularies differ; the figure is meant for sizing, not billing.
pub fn estimate_tokens(text: &str) -> u64 {
    let quarters: u64 = text
        .chars()
        .map(|c| match u32::from(c) {
            0..=0x24F => 1,
            0x2E80..=0xD7FF | 0xF900..=0xFAFF | 0x20000.. => 4,
            _ => 2,
        })
        .sum();
    quarters.div_ceil(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_estimated_by_script() {
        assert_eq!(estimate_tokens(""), 0);
        assert_eq!(estimate_tokens("ownership moves"), 4);
        assert_eq!(estimate_tokens("所有权"), 3);
        assert_eq!(estimate_tokens("владение"), 4);
    }
}
