//! Servers that take schemas, limits and temperatures in different ways.

use gristmill::cancel::CancelToken;
use gristmill::llm::ChatRequest;
use serde_json::{Value, json};

use crate::script::{Bench, Step, error, says, schema};

/// A server that refuses what `refuses` says it refuses.
fn picky(
    refuses: impl Fn(&Value) -> Option<&'static str> + Send + Sync + 'static,
) -> impl Fn(&Value) -> Step + Send + Sync + 'static {
    move |body| refuses(body).map_or_else(|| says(r#"{"a": "x"}"#), |words| error(400, words))
}

fn formats(asked: &[Value]) -> Vec<String> {
    asked
        .iter()
        .map(|body| {
            let format = &body["response_format"];
            let beside = if format.get("schema").is_some() { "+schema" } else { "" };
            format!("{}{beside}", format["type"].as_str().unwrap_or("none"))
        })
        .collect()
}

#[test]
fn a_schema_falls_back_step_by_step_and_the_step_is_remembered() {
    let (client, script, _) = Bench::with_default(
        [],
        picky(|body| {
            body.get("response_format")
                .map(|_| r#"{"error":{"message":"response_format is not supported","code":400}}"#)
        }),
    )
    .client();
    for question in ["one", "two"] {
        let request = ChatRequest::new().user(question).schema(schema());
        let answer = client.complete(&request, &CancelToken::new()).unwrap();
        assert_eq!(answer.value, Some(json!({"a": "x"})));
    }
    let asked = script.asked();
    let wanted = ["json_schema", "json_object+schema", "json_object", "none", "none"];
    assert_eq!(formats(&asked), wanted);
    // Where the server takes no schema, the prompt states it.
    let first = |body: &Value| body["messages"][0]["content"].as_str().unwrap().to_owned();
    assert!(!first(&asked[0]).contains("\"required\""));
    assert!(first(&asked[4]).contains("\"required\""));
    assert_eq!(client.stats().adaptations, 3);
}

#[test]
fn a_server_that_knows_json_object_gets_the_schema_beside_it() {
    let (client, script, _) = Bench::with_default([], |body| {
        if body["response_format"]["type"] == "json_schema" {
            // As one server words it, with a status that would be worth a retry.
            return error(
                500,
                r#"{"error":{"message":"1 validation error: ('body', 'response_format', 'type')"}}"#,
            );
        }
        says(r#"{"a": "x"}"#)
    })
    .client();
    let request = ChatRequest::new().user("q").schema(schema());
    client.complete(&request, &CancelToken::new()).unwrap();
    assert_eq!(formats(&script.asked()), ["json_schema", "json_object+schema"]);
    assert!(client.stats().retries.is_empty());
}

#[test]
fn limits_and_temperatures_are_renamed_or_dropped() {
    let (client, script, _) = Bench::with_default(
        [],
        picky(|body| {
            if body.get("max_tokens").is_some() {
                Some(r#"{"error":{"message":"Use 'max_completion_tokens' instead."}}"#)
            } else if body.get("temperature").is_some() {
                Some(r#"{"error":{"message":"'temperature' does not support 0 with this model."}}"#)
            } else {
                None
            }
        }),
    )
    .client();
    let request = ChatRequest::new().user("q").temperature(0.0).max_tokens(17);
    client.complete(&request, &CancelToken::new()).unwrap();
    let last = script.asked().pop().unwrap();
    assert_eq!(last["max_completion_tokens"], 17);
    assert_eq!(script.count(), 3);
}

#[test]
fn a_refusal_that_no_spelling_heals_is_reported() {
    let (client, script, _) = Bench::with_default([], |_| {
        error(400, r#"{"error":{"message":"grammar, schema, temperature, max_completion_tokens"}}"#)
    })
    .client();
    let request = ChatRequest::new().user("q").schema(schema()).temperature(0.5);
    let failed = client.complete(&request, &CancelToken::new()).unwrap_err();
    assert_eq!(failed.kind(), "http");
    assert!(script.count() <= 7, "{}", script.count());
    // Nothing was learnt from failures.
    let again = ChatRequest::new().user("r").schema(schema());
    let _failed = client.complete(&again, &CancelToken::new());
    assert!(formats(&script.asked()[script.count() - 5..]).contains(&"json_schema".to_owned()));
}

#[test]
fn strict_mode_is_asked_for_only_where_the_schema_allows_it() {
    let (client, script, _) = Bench::with_default([], |_| says(r#"{"a": "x"}"#)).client();
    let mut closed = schema();
    closed["additionalProperties"] = json!(false);
    for schema in [schema(), closed] {
        let request = ChatRequest::new().user("q").schema(schema);
        client.complete(&request, &CancelToken::new()).unwrap();
    }
    let strict: Vec<_> = script
        .asked()
        .iter()
        .map(|body| body["response_format"]["json_schema"]["strict"].clone())
        .collect();
    assert_eq!(strict, [json!(false), json!(true)]);
}
