//! How answers end, and what becomes of those that do not satisfy the schema.

use gristmill::cancel::CancelToken;
use gristmill::llm::{ChatRequest, FinishReason, LlmError};
use serde::Deserialize;
use serde_json::json;

use crate::script::{Bench, Step, error, finishes, says, schema};

fn ask() -> ChatRequest {
    ChatRequest::new().system("SECRET INSTRUCTIONS").user("the question").schema(schema())
}

#[test]
fn how_an_answer_ended_is_looked_at_before_its_text() {
    let refusal = r#"{"choices":[{"message":{"content":null,"refusal":"I will not"},
        "finish_reason":"stop"}]}"#;
    let empty = r#"{"choices":[{"message":{"content":null,"reasoning_content":"hm"},
        "finish_reason":null}]}"#;
    let steps: [(Step, &str); 4] = [
        (finishes(r#"{"a": "x"}"#, "length"), "truncated"),
        (finishes(r#"{"a": "x"}"#, "content_filter"), "filtered"),
        (error(200, refusal), "refused"),
        (error(200, empty), "empty"),
    ];
    for (step, kind) in steps {
        let (client, script, _) =
            Bench::with_default([step], |_| says(r#"{"a": "later"}"#)).client();
        let failed = client.complete(&ask(), &CancelToken::new()).unwrap_err();
        assert_eq!((failed.kind(), script.count()), (kind, 1));
        assert!(failed.is_unusable_answer() && failed.usage().total() > 0, "{failed:?}");
        // It was not cached: the same question is asked again.
        let later = client.complete(&ask(), &CancelToken::new()).unwrap();
        assert_eq!(later.value, Some(json!({"a": "later"})));
        assert_eq!(script.count(), 2);
    }
}

#[test]
fn free_text_may_be_cut_and_is_not_cached_then() {
    let (client, script, _) = Bench::new([finishes("half a", "length")]).client();
    let request = ChatRequest::new().user("q");
    let cut = client.complete(&request, &CancelToken::new()).unwrap();
    assert_eq!((cut.text.as_str(), cut.finish_reason), ("half a", FinishReason::Length));
    client.complete(&request, &CancelToken::new()).unwrap();
    assert_eq!(script.count(), 2);
}

#[test]
fn repairs_need_no_second_request() {
    for text in ["```json\n{\"a\": \"x\"}\n```", "Here: {\"a\": \"x\",} ok?", "{\"a\": \"x\""] {
        let (client, script, _) = Bench::new([says(text)]).client();
        let answer = client.complete(&ask(), &CancelToken::new()).unwrap();
        assert_eq!((answer.value, answer.repaired), (Some(json!({"a": "x"})), true), "{text}");
        assert_eq!((script.count(), client.stats().repairs), (1, 1));
    }
}

#[test]
fn an_invalid_answer_is_sent_back_alone_and_at_most_twice() {
    let (client, script, _) =
        Bench::with_default([says(r#"{"a": 7}"#)], |_| says(r#"{"a": "mended"}"#)).client();
    let answer = client.complete(&ask(), &CancelToken::new()).unwrap();
    assert_eq!(answer.value, Some(json!({"a": "mended"})));
    assert_eq!((answer.requests, answer.usage.input), (2, 20));
    let again = script.asked()[1]["messages"].to_string();
    assert!(again.contains("{\\\"a\\\":7}") && again.contains("/a"), "{again}");
    assert!(!again.contains("SECRET INSTRUCTIONS") && !again.contains("the question"), "{again}");

    let (client, script, _) = Bench::with_default([], |_| says("not json at all")).client();
    let failed = client.complete(&ask(), &CancelToken::new()).unwrap_err();
    assert!(matches!(failed, LlmError::Invalid { .. }), "{failed:?}");
    assert_eq!((script.count(), client.stats().reasks, failed.usage().input), (3, 2, 30));
}

#[test]
fn the_prompt_is_bounded() {
    let bench = Bench::new([]);
    let script = bench.script.clone();
    let client = bench.builder.max_prompt_bytes(10).build().unwrap();
    let failed =
        client.complete(&ChatRequest::new().user("eleven char"), &CancelToken::new()).unwrap_err();
    assert!(matches!(failed, LlmError::PromptTooLarge { bytes: 11, limit: 10 }));
    assert_eq!(script.count(), 0);
}

#[derive(Debug, PartialEq, Deserialize, schemars::JsonSchema)]
struct City {
    name: String,
    inhabitants: u64,
}

#[test]
fn an_answer_becomes_a_rust_value() {
    let (client, script, _) =
        Bench::new([says(r#"{"name": "Ulm", "inhabitants": 128000}"#)]).client();
    let request = ChatRequest::new().user("q");
    let (city, answer) = client.complete_as::<City>(&request, &CancelToken::new()).unwrap();
    assert_eq!(city, City { name: "Ulm".into(), inhabitants: 128_000 });
    assert_eq!((answer.model.as_str(), answer.request_id.as_deref()), ("served", Some("req-1")));
    let sent = &script.asked()[0]["response_format"]["json_schema"]["schema"];
    assert_eq!(sent["properties"]["name"]["type"], "string");
}
