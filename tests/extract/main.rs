//! Extraction through its public interface: one module for each thing it must prove.
#![cfg(feature = "crawl")]
#![expect(clippy::unwrap_used, reason = "what a test did not expect ends it")]

#[path = "../support/pages.rs"]
mod pages;

mod blocks_cover_the_text;
mod charsets;
mod development_pages;
mod hidden_text;
mod hostile_input;
mod links;
mod markdown;
mod markdown_renders;
mod media_types;
mod metadata;
mod names_and_places;
mod options;
mod page_types;
mod text_truth;
mod toolchain_docs;

use gristmill::extract::extract;
use gristmill::model::Content;
use gristmill::url::Url;

/// The page that all documents of these tests stand at.
fn page_url() -> Url {
    Url::parse("https://example.org/dir/page.html?q=1").unwrap()
}

/// Extracts from an HTML document.
fn content(html: &str) -> Content {
    extract(html.as_bytes(), &page_url()).unwrap()
}
