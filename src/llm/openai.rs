//! The wire format of OpenAI chat completions, as its many servers speak it.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use super::request::{ChatRequest, FinishReason, Role, Usage};
use super::schema::is_strict;
use super::transport::{HttpReply, SecretHeader};
use super::wire::{
    Answer, Dialect, ServerError, StructuredMode, TokenField, Wire, clipped, text_or_number,
};

/// Bytes of a server's message that are kept.
const MAX_MESSAGE: usize = 500;
/// Bytes of an error's body that are searched for phrases.
const MAX_SEARCHED: usize = 64 * 1024;

/// `POST …/chat/completions`.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenAiChat;

impl Wire for OpenAiChat {
    fn name(&self) -> &'static str {
        "openai-chat"
    }

    /// A base URL without a path gets `/v1`. One that already ends in the method is used as it is.
    fn url(&self, base: &Url) -> Url {
        let mut url = base.clone();
        let path = base.path().trim_end_matches('/');
        url.set_path(&if path.ends_with("/chat/completions") {
            path.to_owned()
        } else if path.is_empty() {
            "/v1/chat/completions".to_owned()
        } else {
            format!("{path}/chat/completions")
        });
        url
    }

    fn authentication(&self, key: &SecretString) -> Vec<SecretHeader> {
        let value = SecretString::from(format!("Bearer {}", key.expose_secret()));
        vec![SecretHeader { name: "authorization".into(), value }]
    }

    fn encode(
        &self,
        model: &str,
        request: &ChatRequest,
        max_tokens: u32,
        dialect: Dialect,
    ) -> Vec<u8> {
        let mut body = json!({"model": model, "messages": messages(request, dialect.structured)});
        body[match dialect.token_field {
            TokenField::MaxTokens => "max_tokens",
            TokenField::MaxCompletionTokens => "max_completion_tokens",
        }] = json!(max_tokens);
        if let (Some(temperature), false) = (request.temperature, dialect.without_temperature) {
            body["temperature"] = json!(temperature);
        }
        if let Some(format) = response_format(request, dialect.structured) {
            body["response_format"] = format;
        }
        body.to_string().into_bytes()
    }

    fn decode(&self, reply: &HttpReply) -> Result<Answer, ServerError> {
        let body: Result<Value, _> = serde_json::from_slice(&reply.body);
        let ok = (200..300).contains(&reply.status);
        match body {
            Ok(body) if ok => read_answer(&body).ok_or_else(|| read_error(reply, Some(&body))),
            Ok(body) => Err(read_error(reply, Some(&body))),
            Err(_) => Err(read_error(reply, None)),
        }
    }

    fn adapt(
        &self,
        error: &ServerError,
        request: &ChatRequest,
        dialect: Dialect,
    ) -> Option<Dialect> {
        if !matches!(error.status, 400 | 404 | 415 | 422 | 500 | 501) {
            return None;
        }
        let mut next = dialect;
        if dialect.token_field == TokenField::MaxTokens
            && error.mentions(&["max_completion_tokens"])
        {
            next.token_field = TokenField::MaxCompletionTokens;
        } else if request.schema.is_some()
            && dialect.structured != StructuredMode::Plain
            && error.mentions(&[
                "response_format",
                "json_schema",
                "json_object",
                "schema",
                "grammar",
                "json mode",
                "structured output",
                "guided",
            ])
        {
            next.structured = match dialect.structured {
                StructuredMode::JsonSchema => StructuredMode::JsonObjectWithSchema,
                StructuredMode::JsonObjectWithSchema => StructuredMode::JsonObject,
                StructuredMode::JsonObject | StructuredMode::Plain => StructuredMode::Plain,
            };
        } else if request.temperature.is_some()
            && !dialect.without_temperature
            && error.mentions(&["temperature"])
        {
            next.without_temperature = true;
        } else {
            return None;
        }
        Some(next)
    }
}

fn messages(request: &ChatRequest, mode: StructuredMode) -> Vec<Value> {
    let mut messages: Vec<Value> = Vec::with_capacity(request.messages.len() + 1);
    let stated = mode == StructuredMode::JsonSchema || request.schema_in_prompt;
    if let (Some(schema), false) = (&request.schema, stated) {
        messages.push(json!({"role": "system", "content": format!(
            "Answer with one JSON value that satisfies this JSON Schema, and nothing else:\n{schema}"
        )}));
    }
    messages.extend(request.messages.iter().map(|message| {
        let role = match message.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        json!({"role": role, "content": message.content})
    }));
    messages
}

fn response_format(request: &ChatRequest, mode: StructuredMode) -> Option<Value> {
    let schema = request.schema.as_ref()?;
    match mode {
        StructuredMode::JsonSchema => Some(json!({"type": "json_schema", "json_schema": {
            "name": "answer", "strict": is_strict(schema), "schema": schema}})),
        StructuredMode::JsonObjectWithSchema => {
            Some(json!({"type": "json_object", "schema": schema}))
        }
        StructuredMode::JsonObject => Some(json!({"type": "json_object"})),
        StructuredMode::Plain => None,
    }
}

/// `None` if the body reports an error or has no choice.
fn read_answer(body: &Value) -> Option<Answer> {
    if body.get("error").is_some_and(|error| !error.is_null()) {
        return None;
    }
    let choice = body.get("choices")?.get(0)?;
    if choice.get("error").is_some_and(|error| !error.is_null()) {
        return None;
    }
    let message = choice.get("message").unwrap_or(choice);
    let text = match message.get("content").or_else(|| message.get("text")) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Array(parts)) => {
            Some(parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect())
        }
        _ => None,
    };
    let string = |value: Option<&Value>| {
        value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    Some(Answer {
        text,
        refusal: string(message.get("refusal")),
        finish_reason: finish_reason(choice.get("finish_reason")),
        model: string(body.get("model")),
        id: string(body.get("id")),
        usage: body.get("usage").and_then(usage),
    })
}

fn finish_reason(value: Option<&Value>) -> FinishReason {
    match value {
        None | Some(Value::Null) => FinishReason::Missing,
        Some(Value::String(word)) => match word.as_str() {
            "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" => FinishReason::Stop,
            "length" | "max_tokens" | "model_length" => FinishReason::Length,
            "content_filter" | "content_filtered" | "safety" => FinishReason::ContentFilter,
            "tool_calls" | "function_call" => FinishReason::ToolCalls,
            "" => FinishReason::Missing,
            other => FinishReason::Other(clipped(other, 64).to_owned()),
        },
        Some(other) => FinishReason::Other(clipped(&other.to_string(), 64).to_owned()),
    }
}

fn usage(value: &Value) -> Option<Usage> {
    let count = |name: &str| {
        let number = value.get(name)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float of the server: `as` saturates"
        )]
        number.as_u64().or_else(|| number.as_f64().map(|float| float as u64))
    };
    let input = count("prompt_tokens").or_else(|| count("input_tokens"));
    let output = count("completion_tokens").or_else(|| count("output_tokens"));
    Some(Usage { input: input?, output: output.unwrap_or(0), estimated: false })
}

/// Reads `{"error": {…}}`, `{"error": "text"}`, `{"detail": …}`, flat errors, lists of them, and
/// bodies that are not JSON.
fn read_error(reply: &HttpReply, body: Option<&Value>) -> ServerError {
    let raw = String::from_utf8_lossy(reply.body.get(..MAX_SEARCHED).unwrap_or(&reply.body));
    let ok = (200..300).contains(&reply.status);
    let body = body.map(|body| body.get(0).unwrap_or(body));
    let choice_error = body.and_then(|body| body.get("choices")?.get(0)?.get("error"));
    let error = body.and_then(|body| {
        let first = body.get("errors").and_then(|errors| errors.get(0));
        body.get("error").filter(|error| !error.is_null()).or(first).or(choice_error)
    });
    let holder = error.filter(|error| error.is_object()).or(body);
    let code = holder.and_then(|holder| {
        text_or_number(holder, "code")
            .or_else(|| text_or_number(holder, "type"))
            .or_else(|| text_or_number(holder, "status"))
    });
    let message = error
        .and_then(Value::as_str)
        .map(str::to_owned)
        .or_else(|| holder.and_then(|holder| text_or_number(holder, "message")))
        .or_else(|| body.and_then(|body| body.get("detail")).map(detail))
        .unwrap_or_else(|| raw.trim().to_owned());
    let in_band = code.as_deref().and_then(|code| code.parse().ok());
    let in_band = in_band.filter(|status| (400..600).contains(status));
    let status = if ok { in_band.unwrap_or(reply.status) } else { reply.status };
    let reported = error.is_some_and(|error| !error.is_null());
    ServerError {
        // An error inside a 200 that names no status is the server's failure, and may pass.
        status: if ok && reported && in_band.is_none() { 500 } else { status },
        code,
        message: clipped(&message, MAX_MESSAGE).to_owned(),
        body: raw.to_lowercase(),
        malformed: ok && !reported,
    }
}

/// The `detail` of servers built on `FastAPI`: a text, or a list of `{"loc", "msg"}`.
fn detail(detail: &Value) -> String {
    match detail {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let lines: Vec<_> = items
                .iter()
                .take(4)
                .map(|item| text_or_number(item, "msg").unwrap_or_else(|| item.to_string()))
                .collect();
            lines.join("; ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Headers;

    fn decode(status: u16, body: &str) -> Result<Answer, ServerError> {
        let body = body.as_bytes().to_vec();
        OpenAiChat.decode(&HttpReply { status, headers: Headers::default(), body })
    }

    #[test]
    fn every_dialect_of_errors_is_read() {
        for (status, body, wanted_status, code, message) in [
            (429, r#"{"error":{"message":"slow","code":"rate_limit"}}"#, 429, "rate_limit", "slow"),
            (400, r#"{"error":{"message":"bad","code":400}}"#, 400, "400", "bad"),
            (400, r#"{"error":{"message":"bad","type":"t","code":null}}"#, 400, "t", "bad"),
            (404, r#"{"error":"model not found"}"#, 404, "", "model not found"),
            (422, r#"{"detail":[{"loc":["body"],"msg":"wrong"}]}"#, 422, "", "wrong"),
            (401, r#"{"detail":"who?"}"#, 401, "", "who?"),
            (400, r#"{"object":"error","message":"flat","code":40001}"#, 400, "40001", "flat"),
            (400, r#"[{"error":{"message":"listed","code":400}}]"#, 400, "400", "listed"),
            (502, "<html>Bad Gateway</html>", 502, "", "<html>Bad Gateway</html>"),
            (200, r#"{"error":{"message":"in band","code":429}}"#, 429, "429", "in band"),
            (200, r#"{"error":"in band"}"#, 500, "", "in band"),
            (200, r#"{"choices":[{"error":{"message":"late","code":502}}]}"#, 502, "502", "late"),
        ] {
            let error = decode(status, body).unwrap_err();
            let found = (error.status, error.code.as_deref().unwrap_or(""), &*error.message);
            assert_eq!(found, (wanted_status, code, message), "{body}");
            assert!(!error.malformed);
        }
        for body in ["", "   \n", "{}", r#"{"choices":[]}"#, "[]", "null", "<html>"] {
            assert!(decode(200, body).unwrap_err().malformed, "{body}");
        }
    }

    #[test]
    fn tolerant_of_nulls_and_strange_fields() {
        let answer = decode(
            200,
            r#"{"choices":[{"message":{"role":"assistant","content":null,"refusal":"no",
               "reasoning":"r","reasoning_content":"r"},"finish_reason":null}],"usage":null}"#,
        )
        .unwrap();
        assert_eq!((answer.text, answer.refusal.as_deref()), (None, Some("no")));
        assert_eq!((answer.finish_reason, answer.usage), (FinishReason::Missing, None));
        let answer = decode(
            200,
            r#"{"choices":[{"message":{"content":[{"type":"text","text":"a"},{"text":"b"}]},
               "finish_reason":"eos"}],"usage":{"prompt_tokens":3.0,"completion_tokens":2}}"#,
        )
        .unwrap();
        assert_eq!(answer.text.as_deref(), Some("ab"));
        assert_eq!(answer.finish_reason, FinishReason::Stop);
        assert_eq!(answer.usage.unwrap().total(), 5);
    }

    #[test]
    fn base_urls_are_completed() {
        for (base, wanted) in [
            ("http://h:1", "http://h:1/v1/chat/completions"),
            ("http://h:1/v1/", "http://h:1/v1/chat/completions"),
            ("http://h/api/v2?k=1", "http://h/api/v2/chat/completions?k=1"),
            ("http://h/x/chat/completions", "http://h/x/chat/completions"),
        ] {
            assert_eq!(OpenAiChat.url(&Url::parse(base).unwrap()).as_str(), wanted);
        }
    }
}
