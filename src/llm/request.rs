//! Requests and answers.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A conversation for a model to continue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatRequest {
    /// The messages so far.
    pub messages: Vec<Message>,
    /// JSON Schema of the answer; `None`: any text.
    pub schema: Option<Value>,
    /// The messages contain the schema, so it is not added for servers that do not take one.
    pub schema_in_prompt: bool,
    /// Sampling temperature; `None`: the server's default.
    pub temperature: Option<f32>,
    /// Token limit of the answer; `None`: the client's.
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

    /// Adds a message of the user.
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

    /// Sets the token limit of the answer.
    #[must_use]
    pub fn max_tokens(mut self, most: u32) -> Self {
        self.max_tokens = Some(most);
        self
    }

    /// Size of all messages, in bytes.
    pub fn prompt_bytes(&self) -> usize {
        self.messages.iter().map(|message| message.content.len()).sum()
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its author.
    pub role: Role,
    /// Its text.
    pub content: String,
}

/// The author of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The program, giving instructions.
    System,
    /// The user.
    User,
    /// The model.
    Assistant,
}

/// An accepted answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// The text as the model wrote it.
    pub text: String,
    /// The value that satisfies the schema, if there is one.
    pub value: Option<Value>,
    /// The model that answered, by the server's name for it, or by the client's if it gave none.
    pub model: String,
    /// The server's identifier of the request.
    pub request_id: Option<String>,
    /// Tokens spent on this answer, corrections included. For a cached answer: when it was made.
    pub usage: Usage,
    /// Where the answer came from.
    pub cache: CacheTier,
    /// Why the model stopped.
    pub finish_reason: FinishReason,
    /// Requests sent for this answer; 0 for a cached one.
    pub requests: u32,
    /// Whether the text was repaired before it could be parsed.
    pub repaired: bool,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheTier {
    /// The server.
    Miss,
    /// The memory tier, or an equal call that was under way.
    Memory,
    /// The durable tier.
    Disk,
}

/// Why a model stopped.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinishReason {
    /// The answer was complete.
    Stop,
    /// It reached the token limit.
    Length,
    /// A content filter stopped it.
    ContentFilter,
    /// It called a tool, although it was given none.
    ToolCalls,
    /// The server gave no reason.
    Missing,
    /// Another reason, as the server put it.
    Other(String),
}

/// Tokens spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub input: u64,
    /// Tokens of the answer.
    pub output: u64,
    /// Whether these are estimates from the texts, as the server gave no figures.
    pub estimated: bool,
}

impl Usage {
    /// The sum of both.
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

/// Estimates the number of tokens in a text: four Latin letters, two letters of another alphabet,
/// or one ideograph make a token. Vocabularies differ, so this is for sizing, not for billing.
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
