//! Distilling a page without a model, grounding quotes, and answering from memory.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gristmill::cancel::CancelToken;
use gristmill::engine::distil::{DistilRequest, Distiller, Extractive, Grounder};
use gristmill::llm::{ChatRequest, Client, HttpReply, HttpRequest, Transport, TransportError};
use gristmill::model::{Content, Focus, Headers};
use gristmill::time::Timestamp;

/// About 30 kB of paragraphs, each with words of its own.
fn page() -> String {
    let paragraph = |number: u32| {
        format!(
            "Paragraph {number} tells how ownership of value {number} moves when it is assigned, \
             and that borrowing lends it “for a while” — at most until line {}. The rest of it \
             fills the page with words that say little, as most paragraphs do.",
            number * 7
        )
    };
    (0..120).map(paragraph).collect::<Vec<_>>().join("\n\n")
}

fn extractive(c: &mut Criterion) {
    let content = Content { text: page(), ..Content::default() };
    let url = "https://example.org/".parse().expect("invariant: a constant URL");
    let focus = Focus::new("ownership and borrowing of values");
    let request = DistilRequest {
        url: &url,
        content: &content,
        focus: &focus,
        fetched_at: Timestamp(0),
        now: Timestamp(0),
    };
    let mut group = c.benchmark_group("distil");
    group.throughput(Throughput::Bytes(content.text.len() as u64));
    group.bench_function("extractive", |b| {
        b.iter(|| Extractive::default().distil(black_box(&request), &CancelToken::new()));
    });
    group.finish();
}

fn grounding(c: &mut Criterion) {
    let text = page();
    let mut group = c.benchmark_group("ground");
    for (name, quote) in [
        ("exact", "lends it “for a while” — at most until line 770"),
        ("normalised", "LENDS it \"for a while\" - at most until line 770"),
        ("fuzzy", "lends it \"for a whole\" - at moist until line 770. The rest"),
        ("absent", "nothing of this kind stands anywhere in the whole page at all"),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| Grounder::new(black_box(&text)).ground(black_box(quote), None));
        });
    }
    group.finish();
}

struct Canned;

impl Transport for Canned {
    fn post(&self, _: &HttpRequest<'_>, _: &CancelToken) -> Result<HttpReply, TransportError> {
        let body = br#"{"choices":[{"message":{"content":"yes"},"finish_reason":"stop"}]}"#;
        Ok(HttpReply { status: 200, headers: Headers::default(), body: body.to_vec() })
    }
}

fn client(c: &mut Criterion) {
    let builder = |bytes: usize| {
        let builder = Client::builder().endpoint("http://127.0.0.1:9").model("m");
        let client = builder.transport(Arc::new(Canned)).memory_cache(bytes).build();
        client.expect("invariant: complete settings")
    };
    let (request, cancel) = (ChatRequest::new().user("x".repeat(3000)), CancelToken::new());
    let mut group = c.benchmark_group("client");
    let remembering = builder(1 << 20);
    group.bench_function("memory hit, prompt of 3 kB", |b| {
        b.iter(|| remembering.complete(black_box(&request), &cancel));
    });
    let forgetting = builder(0);
    group.bench_function("call without network, prompt of 3 kB", |b| {
        b.iter(|| forgetting.complete(black_box(&request), &cancel));
    });
    group.finish();
}

criterion_group!(benches, extractive, grounding, client);
criterion_main!(benches);
