//! The demo's model: a server of chat completions that copies sentences.
//!
//! From the part of a page in the prompt it quotes the first sentence with two of the focus's
//! words, in the format that the prompt asks for. Its answers are checked like any model's.

use serde_json::{Value, json};

use super::server::{Handler, Request, Response};

/// Words of the focus that a sentence must contain.
const LEAST_WORDS: usize = 2;
/// Shorter words of the focus do not count.
const LEAST_LETTERS: usize = 4;

/// The stand-in.
pub(crate) struct StandIn;

impl Handler for StandIn {
    fn handle(&self, request: &Request) -> Response {
        if request.path() != "/v1/chat/completions" {
            return Response::status(404);
        }
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
            return Response::status(400);
        };
        let messages = body.get("messages").and_then(Value::as_array);
        let last = messages.and_then(|messages| messages.last());
        let prompt = last.and_then(|last| last.get("content")).and_then(Value::as_str);
        let Some(prompt) = prompt else { return Response::status(400) };
        let infos: Vec<Value> = sentence(prompt)
            .map(|sentence| json!({"fact": sentence, "quote": sentence}))
            .into_iter()
            .collect();
        let answer = json!({"infos": infos}).to_string();
        // About four bytes make a token.
        let usage =
            json!({"prompt_tokens": prompt.len() / 4, "completion_tokens": answer.len() / 4});
        let choice = json!({
            "index": 0,
            "message": {"role": "assistant", "content": answer},
            "finish_reason": "stop",
        });
        let reply = json!({"model": "stand-in", "choices": [choice], "usage": usage});
        Response::ok("application/json", reply.to_string().into_bytes())
    }
}

/// The sentence of the prompt's page that contains enough words of its focus.
fn sentence(prompt: &str) -> Option<&str> {
    let (head, rest) = prompt.split_once("\n<<<")?;
    let focus = head.lines().find_map(|line| line.strip_prefix("Focus: "))?.to_lowercase();
    let words: Vec<&str> =
        focus.split_whitespace().filter(|word| word.chars().count() >= LEAST_LETTERS).collect();
    let (_, rest) = rest.split_once(">>>\n")?;
    let (page, _) = rest.rsplit_once("\n<<<")?;
    page.lines().flat_map(|line| line.split_inclusive(". ")).map(str::trim).find(|sentence| {
        let whole = sentence.ends_with('.');
        let sentence = sentence.to_lowercase();
        whole && words.iter().filter(|word| sentence.contains(**word)).count() >= LEAST_WORDS
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sentence_with_two_words_of_the_focus_is_copied() {
        let page = "Arches of the bridge\nThe bridge is old. It spans 5.1 m.\nIts seven arches bear the bridge. More.";
        let prompt =
            format!("Focus: arches of the bridge\nPage title: x\n<<<1>>>\n{page}\n<<<1>>>");
        assert_eq!(sentence(&prompt), Some("Its seven arches bear the bridge."));
        assert_eq!(sentence("Focus: arches of the bridge\n<<<1>>>\nNothing.\n<<<1>>>"), None);
        assert_eq!(sentence("no prompt"), None);
    }
}
