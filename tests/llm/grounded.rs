//! What a model says is believed only where the page proves it.

use std::sync::Arc;

use gristmill::cancel::CancelToken;
use gristmill::engine::distil::{
    DistilError, DistilRequest, Distilled, Distiller, LlmDistiller, LlmDistillerOptions,
    RejectedWhy,
};
use gristmill::llm::{Client, RetryPolicy};
use gristmill::model::{Content, Focus, Grounding};
use gristmill::time::Timestamp;
use serde_json::{Value, json};

use crate::script::{Bench, Script, Step, error, finishes, says};

pub(crate) const TEXT: &str = "Acme opened its second plant in Ulm on 5 March 2024.\n\n\
    The plant employs 1,200 workers and makes steel parts for bridges.\n\n\
    Visitors may park behind the plant; the gate closes at six.";

pub(crate) fn claims(list: &[(&str, &str)]) -> Step {
    let infos: Vec<_> =
        list.iter().map(|(fact, quote)| json!({"fact": fact, "quote": quote})).collect();
    says(&json!({ "infos": infos }).to_string())
}

pub(crate) fn distil_with(
    client: &Client,
    text: &str,
    focus: &Focus,
    options: LlmDistillerOptions,
) -> Result<Distilled, DistilError> {
    let content = Content { text: text.to_owned(), ..Content::default() };
    let url = "https://example.org/page".parse().unwrap();
    let request = DistilRequest {
        url: &url,
        content: &content,
        focus,
        fetched_at: Timestamp(5),
        now: Timestamp(9),
    };
    let distilled =
        LlmDistiller::new(client.clone(), options).distil(&request, &CancelToken::new())?;
    for info in &distilled.infos {
        assert_eq!(info.span.of(&content.text), Some(info.quote.as_str()));
        assert_ne!(info.grounding, Grounding::Ungrounded);
    }
    Ok(distilled)
}

fn distil(client: &Client, text: &str) -> Distilled {
    let focus = Focus::new("plant in Ulm").max_infos_per_page(10);
    distil_with(client, text, &focus, LlmDistillerOptions::default()).unwrap()
}

#[test]
fn proven_claims_become_infos_and_all_others_are_quarantined() {
    let (client, _, _) = Bench::new([claims(&[
        ("Acme opened a second plant in Ulm.", "Acme opened its second plant in Ulm"),
        ("The plant has 1200 workers.", "the plant EMPLOYS 1,200\nworkers"),
        ("The plant makes steel parts for bridges.", "makes steel part for bridges"),
        ("Acme closed its plant.", "Acme closed its plant in Berlin last year"),
        ("The plant employs 1,300 workers.", "The plant employs 1,200 workers"),
        ("The plant in Ulm belongs to Globex.", "Acme opened its second plant in Ulm"),
        ("Bananas are yellow.", "the gate closes at six"),
        ("a", "e"),
        ("acme opened a SECOND plant in Ulm", "Acme opened its second plant in Ulm"),
    ])])
    .client();
    let distilled = distil(&client, TEXT);
    let found: Vec<_> =
        distilled.infos.iter().map(|info| (info.quote.as_str(), info.grounding)).collect();
    assert_eq!(
        found,
        [
            ("Acme opened its second plant in Ulm", Grounding::Exact),
            ("The plant employs 1,200 workers", Grounding::Normalised),
            ("makes steel parts for bridges", Grounding::Fuzzy),
        ]
    );
    let why: Vec<_> = distilled.rejected.iter().map(|rejected| rejected.why.clone()).collect();
    let unsupported = |missing: &str| RejectedWhy::Unsupported { missing: missing.to_owned() };
    assert_eq!(
        why,
        [
            RejectedWhy::Ungrounded,
            unsupported("1300"),
            unsupported("Globex"),
            RejectedWhy::Unrelated,
            RejectedWhy::Ungrounded,
            RejectedWhy::Superfluous,
        ]
    );
    let info = &distilled.infos[0];
    assert_eq!(
        (info.model.as_deref(), info.request_id.as_deref()),
        (Some("served"), Some("req-1"))
    );
    assert_eq!((distilled.usage.calls, distilled.usage.tokens_in), (1, 10));
}

#[test]
fn the_same_page_is_not_paid_for_twice() {
    let (client, script, _) =
        Bench::new([claims(&[("Acme opened a plant.", "Acme opened its second plant")])]).client();
    let first = distil(&client, TEXT);
    let second = distil(&client, TEXT);
    assert_eq!(script.count(), 1);
    assert!(!first.infos[0].cache_hit && second.infos[0].cache_hit);
    assert_eq!((second.usage.cache_hits, second.usage.tokens_in), (1, 0));
}

#[test]
fn only_relevant_chunks_are_sent_and_prompts_are_bounded() {
    let filler = "Nothing of interest is said in this paragraph about the weather of the week. ";
    let mut parts: Vec<String> = (0..60).map(|n| format!("{n}: {}", filler.repeat(4))).collect();
    parts[30] = "Acme opened its second plant in Ulm on 5 March 2024.".into();
    let (client, script, _) = Bench::with_default([], |_| says(r#"{"infos":[]}"#)).client();
    let options = LlmDistillerOptions { max_prompt_bytes: 3000, ..LlmDistillerOptions::default() };
    let focus = Focus::new("plant in Ulm");
    let distilled = distil_with(&client, &parts.join("\n\n"), &focus, options).unwrap();
    assert_eq!(script.count(), 1);
    assert!(distilled.skipped.unwrap().irrelevant > 5);
    let sent = script.asked();
    let bytes = |body: &Value| -> usize {
        let messages = body["messages"].as_array().unwrap();
        messages.iter().map(|message| message["content"].as_str().unwrap().len()).sum()
    };
    assert!(sent.iter().all(|body| bytes(body) <= 3000));
    assert!(sent[0]["messages"][1]["content"].as_str().unwrap().contains("second plant in Ulm"));

    let off = distil_with(&client, "On bananas and their price.", &focus, options).unwrap();
    assert_eq!((script.count(), off.skipped.unwrap().irrelevant), (1, 1));
    let tight = LlmDistillerOptions { max_prompt_bytes: 500, ..options };
    let failed = distil_with(&client, TEXT, &focus, tight).unwrap_err();
    assert!(matches!(failed, DistilError::PromptFull { .. }) && !failed.is_transient());
}

#[test]
fn calls_a_page_are_bounded() {
    let text = vec![TEXT; 200].join("\n\n");
    let (client, script, _) = Bench::with_default([], |_| says(r#"{"infos":[]}"#)).client();
    let options = LlmDistillerOptions {
        max_prompt_bytes: 3000,
        max_calls_per_page: 3,
        ..LlmDistillerOptions::default()
    };
    let distilled = distil_with(&client, &text, &Focus::new("plant in Ulm"), options).unwrap();
    assert!(script.count() <= 3 && distilled.usage.calls == 3);
    assert!(distilled.skipped.unwrap().beyond_limit > 5);
}

#[test]
fn a_cut_answer_halves_the_chunk_once() {
    let (client, script, _) =
        Bench::with_default([], |_| finishes(r#"{"infos":[{"fact":"Acm"#, "length")).client();
    let distilled = distil(&client, TEXT);
    assert_eq!(script.count(), 3);
    assert!(distilled.infos.is_empty());
    let cut =
        |why: &RejectedWhy| matches!(why, RejectedWhy::Answer { kind, .. } if kind == "truncated");
    assert!(distilled.rejected.len() == 3 && distilled.rejected.iter().all(|r| cut(&r.why)));
    assert_eq!(distilled.usage.tokens_out, 15);
}

#[test]
fn a_server_that_is_down_is_an_error_and_a_useless_answer_is_not() {
    let bench = Bench::with_default([], |_| error(503, "{}"));
    let policy = RetryPolicy { max_attempts: 2, ..RetryPolicy::model() };
    let client = bench.builder.retry(policy).build().unwrap();
    let focus = Focus::new("plant");
    let failed = distil_with(&client, TEXT, &focus, LlmDistillerOptions::default()).unwrap_err();
    assert!(failed.is_transient() && failed.usage().calls == 1, "{failed:?}");

    let nonsense = ["\u{1}%$", "{\"infos\": 3}", "{\"infos\":[{\"fact\":\"\",\"quote\":\"\"}]}"];
    for text in nonsense {
        let (client, _, _) = Bench::with_default([], move |_| says(text)).client();
        let distilled = distil(&client, TEXT);
        assert!(distilled.infos.is_empty() && distilled.rejected.len() == 1, "{text}");
    }
}

#[test]
fn a_page_that_was_put_off_goes_on_where_it_stopped() {
    let parts = [TEXT, "The plant in Ulm was refused.", "Nobody in Ulm knows the plant."];
    let filler = "It stands at the river and may be seen from the bridge on clear days. ";
    let text: Vec<_> = parts.iter().map(|part| format!("{part} {}", filler.repeat(16))).collect();
    let found = claims(&[("Acme opened its second plant.", "Acme opened its second plant in Ulm")]);
    let content = Content { text: text.join("\n\n"), ..Content::default() };
    let (url, focus) = ("https://example.org/page".parse().unwrap(), Focus::new("plant in Ulm"));
    let request = |now| DistilRequest {
        url: &url,
        content: &content,
        focus: &focus,
        fetched_at: Timestamp(5),
        now: Timestamp(now),
    };
    // An answer that counts, one that is never cached, and a correction that is put off.
    let steps =
        [found, finishes("[]", "content_filter"), says("{}"), error(503, "{}"), Step::Reset];
    let bench = Bench::with_default(steps, |_| says(r#"{"infos":[]}"#));
    let (script, timer) = (bench.script.clone(), bench.timer.clone());
    let client = bench.builder.memory_cache(0).build().unwrap();
    let options = LlmDistillerOptions { max_prompt_bytes: 3000, ..LlmDistillerOptions::default() };
    let (asker, cancel) = (LlmDistiller::new(client, options), CancelToken::new());
    let (mut resumption, mut spent) = (None, Vec::new());
    let distilled = loop {
        match asker.distil_or_later(&request(9 + spent.len() as u64), resumption, &cancel) {
            Err(DistilError::Later { resumption: kept, usage, .. }) => {
                spent.push((usage.calls, usage.tokens_in));
                resumption = kept;
            }
            ended => break ended.unwrap(),
        }
    };
    // What was paid is told once and at once, a call when it has ended.
    assert_eq!(spent, [(2, 30), (0, 0)]);
    assert_eq!((distilled.usage.calls, distilled.usage.tokens_in), (1, 10));
    assert_eq!(distilled.infos.len(), 1);
    assert_eq!(distilled.infos[0].created_at, Timestamp(9));
    let filtered = |rejected: &RejectedWhy| matches!(rejected, RejectedWhy::Answer { kind, .. } if kind == "filtered");
    assert!(distilled.rejected.len() == 1 && filtered(&distilled.rejected[0].why));
    assert_eq!((script.count(), timer.waits().len()), (6, 0));
    // A state of another kind is as good as none.
    let other = Some(gristmill::engine::distil::Resumption::new("another's"));
    assert!(asker.distil_or_later(&request(9), other, &cancel).unwrap().infos.is_empty());
}

#[test]
fn fields_follow_the_schema_of_the_focus() {
    let script = |fields: Value| -> (Client, Arc<Script>) {
        let body = json!({"infos": [{"fact": "The plant employs 1,200 workers.",
            "quote": "The plant employs 1,200 workers", "fields": fields}]});
        let (client, script, _) =
            Bench::with_default([], move |_| says(&body.to_string())).client();
        (client, script)
    };
    let schema = json!({"type": "object", "properties": {"workers": {"type": "integer"}},
        "required": ["workers"], "additionalProperties": false});
    let focus = Focus::new("plant workers").schema(schema);
    let (client, asked) = script(json!({"workers": 1200}));
    let distilled = distil_with(&client, TEXT, &focus, LlmDistillerOptions::default()).unwrap();
    assert_eq!(distilled.infos[0].fields, json!({"workers": 1200}));
    assert!(asked.asked()[0].to_string().contains("workers"));
    let (client, _) = script(json!({"workers": "many"}));
    let distilled = distil_with(&client, TEXT, &focus, LlmDistillerOptions::default()).unwrap();
    assert!(distilled.infos.is_empty());
}
