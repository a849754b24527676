//! The response cache of the model client: a hit in memory, and one on disk after a restart.
//!
//! The durable tier is a keyspace of a store in a temporary directory, as the engine has it. The
//! store is filled, closed and opened again before its hits are measured, and the client that
//! measures them has no memory tier. Goals: 5 µs in memory, 100 µs on disk.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use gristmill::cache::{Tier, TierError};
use gristmill::cancel::CancelToken;
use gristmill::llm::{
    CacheTier, ChatRequest, Client, HttpReply, HttpRequest, Transport, TransportError,
};
use gristmill::model::Headers;
use gristmill::store::{Keyspace, KeyspaceOptions, Store, StoreError};

/// Different requests; they are asked in turn.
const REQUESTS: usize = 2_000;
/// Bytes of a prompt's page, and of an answer.
const PAGE_BYTES: usize = 4_000;
const ANSWER_BYTES: usize = 600;

/// Answers everything alike.
struct Canned(Vec<u8>);

impl Transport for Canned {
    fn post(&self, _: &HttpRequest<'_>, _: &CancelToken) -> Result<HttpReply, TransportError> {
        Ok(HttpReply { status: 200, headers: Headers::default(), body: self.0.clone() })
    }
}

struct Rows(Keyspace);

impl Tier<[u8; 32], Vec<u8>> for Rows {
    fn get(&self, key: &[u8; 32]) -> Result<Option<Vec<u8>>, TierError> {
        let value = self.0.get(key).map_err(|error| failure("read", error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn put(&self, key: &[u8; 32], value: &Vec<u8>) -> Result<(), TierError> {
        self.0.put(key, value).map_err(|error| failure("write", error))
    }
}

fn failure(operation: &'static str, error: StoreError) -> TierError {
    TierError { operation, source: Box::new(error) }
}

fn client(cache: Option<Arc<dyn Tier<[u8; 32], Vec<u8>>>>, memory: usize) -> Client {
    let text = "x".repeat(ANSWER_BYTES);
    let body = format!(r#"{{"choices": [{{"message": {{"content": "{text}"}}}}]}}"#).into_bytes();
    let builder = Client::builder()
        .endpoint("http://127.0.0.1:8080/v1")
        .model("small")
        .transport(Arc::new(Canned(body)))
        .memory_cache(memory);
    let builder = match cache {
        Some(cache) => builder.cache(cache),
        None => builder,
    };
    builder.build().expect("the settings make sense")
}

fn requests() -> Vec<ChatRequest> {
    let page = "The bridge, built in 1932, is 503 m long. ".repeat(PAGE_BYTES / 42);
    (0..REQUESTS)
        .map(|n| ChatRequest::new().system("Find facts.").user(format!("{n} {page}")))
        .collect()
}

fn rows(dir: &Path) -> (Store, Arc<dyn Tier<[u8; 32], Vec<u8>>>) {
    let store = Store::open(dir).expect("the store opens");
    let rows = store.keyspace("answers", KeyspaceOptions::default()).expect("the keyspace opens");
    (store, Arc::new(Rows(rows)))
}

fn ask(client: &Client, request: &ChatRequest, tier: CacheTier) {
    let answer = client.complete(request, &CancelToken::new()).expect("the model answers");
    assert_eq!(answer.cache, tier);
    black_box(answer);
}

fn hits(criterion: &mut Criterion) {
    let requests = requests();
    let mut group = criterion.benchmark_group("llm_cache");
    let mut turn = requests.iter().cycle();
    let mut next = || turn.next().expect("a cycle has no end");

    let memory = client(None, 64 << 20);
    for request in &requests {
        ask(&memory, request, CacheTier::Miss);
    }
    group.bench_function("memory_hit", |b| b.iter(|| ask(&memory, next(), CacheTier::Memory)));

    let dir = tempfile::tempdir().expect("a temporary directory");
    let (store, cache) = rows(dir.path());
    let fill = client(Some(cache), 0);
    for request in &requests {
        ask(&fill, request, CacheTier::Miss);
    }
    drop(fill);
    store.close(Duration::from_mins(1)).expect("the store closes");
    drop(store);
    let (_store, cache) = rows(dir.path());
    let disk = client(Some(cache), 0);
    group.bench_function("disk_hit_after_reopening", |b| {
        b.iter(|| ask(&disk, next(), CacheTier::Disk));
    });
    group.finish();
}

criterion_group!(benches, hits);
criterion_main!(benches);
