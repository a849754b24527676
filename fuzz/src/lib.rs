//! What must hold for any input, one function a fuzz target.
//!
//! The fuzz targets call these with what the fuzzer invents; `tests/corpus.rs` of the main package
//! calls them with every file of `corpus/`, so that what was found once stays found.

mod cache_operations;
mod store_directory;
mod store_operations;
mod store_twins;

use gristmill::crawl::Robots;
use gristmill::extract::extract as extract_content;
use gristmill::url::{canonicalize, join, parse};

pub use cache_operations::cache_operations;
pub use store_directory::store_directory;
pub use store_operations::store_operations;

/// Under which name the crawler looks for its group in `robots.txt`.
const PRODUCT_TOKEN: &str = "gristmill";

/// Where the extracted document claims to come from.
const DOCUMENT_URL: &str = "https://site.example/folder/page.html?view=full";

/// URLs: what is read is crawlable, reads back as itself, and has one canonical form.
///
/// The first line is a URL, the second a reference that is resolved against it.
pub fn url(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (first, second) = text.split_once('\n').unwrap_or((&text, ""));
    let Ok(url) = parse(first) else { return };
    check_url(&url);
    if let Ok(target) = join(&url, second) {
        check_url(&target);
    }
}

fn check_url(url: &gristmill::url::Url) {
    assert!(matches!(url.scheme(), "http" | "https"), "{url} cannot be crawled");
    assert!(url.fragment().is_none() && url.password().is_none() && url.username().is_empty());
    let again = parse(url.as_str()).expect("what was read once is read again");
    assert_eq!(again, *url, "reading is idempotent");
    let canonical = canonicalize(url);
    // The canonical form may be longer than what is read, by its percent-encoding.
    if let Ok(read) = parse(canonical.as_str()) {
        assert_eq!(canonicalize(&read), canonical, "the canonical form of {url} is its own");
    }
}

/// `robots.txt`: any bytes are a file; it judges every URL, the same way each time.
///
/// The first line is the path that is asked for, the rest is the file.
pub fn robots(data: &[u8]) {
    let end = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let (path, file) = data.split_at(end);
    let robots = Robots::parse(file, PRODUCT_TOKEN);
    let address = |path: &str| parse(&format!("https://site.example/{path}"));
    let Ok(url) = address(&String::from_utf8_lossy(path)) else { return };
    let verdict = robots.check(&url);
    assert_eq!(verdict, Robots::parse(file, PRODUCT_TOKEN).check(&url), "{url}");
    let own = address("robots.txt").expect("a plain URL is read");
    assert!(robots.check(&own).allowed, "the file itself may always be fetched");
}

/// HTML: any bytes end in a content that is sound, or in a typed error.
pub fn extract(data: &[u8]) {
    let url = parse(DOCUMENT_URL).expect("a plain URL is read");
    let Ok(content) = extract_content(data, &url) else { return };
    let mut behind = 0;
    for block in &content.blocks {
        let (start, end) = (block.span.start, block.span.end);
        assert!(behind <= start && start <= end, "blocks are in order and do not overlap");
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        let text = range.and_then(|(start, end)| content.text.get(start..end));
        assert!(text.is_some(), "{start}..{end} is no piece of the text");
        behind = end;
    }
    let blocks = content.blocks.len() * size_of::<gristmill::model::Block>();
    let bytes = content.text.len() + content.markdown.len() + blocks;
    assert!(bytes <= 4 * data.len() + (64 << 10), "{bytes} bytes come out of {}", data.len());
    let links = content.links.iter().map(|link| link.url.as_str().len() + link.text.len());
    assert!(content.links.len() <= 50_000 && links.sum::<usize>() <= 8 << 20, "too many links");
    for link in &content.links {
        assert!(link.url.fragment().is_none(), "{} has a fragment", link.url);
    }
    assert_eq!(extract_content(data, &url).ok(), Some(content), "extraction is a function");
}

/// Store files: any bytes are decoded, or refused as damaged.
pub fn store_records(data: &[u8]) {
    gristmill::store::fuzzing::decode_records(data);
}
