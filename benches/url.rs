//! What a link costs before the frontier sees it.
#![cfg(feature = "crawl")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use gristmill::url::{UrlKey, canonicalize, join, parse};

fn url(c: &mut Criterion) {
    let plain =
        parse("https://docs.example.org/std/collections/struct.HashMap.html").expect("valid");
    let query = parse("https://shop.example.org/list?page=3&utm_source=mail&colour=r%c3%a9d&a=1")
        .expect("valid");
    c.bench_function("canonicalize/plain", |b| b.iter(|| canonicalize(black_box(&plain))));
    c.bench_function("canonicalize/query", |b| b.iter(|| canonicalize(black_box(&query))));
    c.bench_function("key/plain", |b| b.iter(|| UrlKey::from_url(black_box(&plain))));
    c.bench_function("join/relative", |b| {
        b.iter(|| join(black_box(&plain), black_box("../fmt/trait.Debug.html#top")));
    });
}

criterion_group!(benches, url);
criterion_main!(benches);
