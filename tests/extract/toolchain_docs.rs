//! On the pages of the Rust book, the links are those that an independent parser finds.

use std::cell::RefCell;
use std::collections::BTreeSet;

use gristmill::extract::{extract, links};
use gristmill::url::Url;
use lol_html::{RewriteStrSettings, element, rewrite_str};

use super::blocks_cover_the_text::check;
use super::pages::toolchain_docs;

const MAX_PAGES: usize = 200;

/// `a[href]` and `iframe[src]` as another parser sees them.
fn independent(html: &str, url: &Url) -> BTreeSet<String> {
    let found = RefCell::new(BTreeSet::new());
    let add = |href: Option<String>| {
        let decoded = href.map(|href| href.replace("&amp;", "&"));
        if let Some(mut link) = decoded.and_then(|href| url.join(&href).ok()) {
            link.set_fragment(None);
            if matches!(link.scheme(), "http" | "https") {
                found.borrow_mut().insert(link.to_string());
            }
        }
    };
    let settings = RewriteStrSettings::new()
        .append_element_content_handler(element!("a[href]", |a| {
            add(a.get_attribute("href"));
            Ok(())
        }))
        .append_element_content_handler(element!("iframe[src]", |frame| {
            add(frame.get_attribute("src"));
            Ok(())
        }));
    rewrite_str(html, settings).unwrap();
    found.into_inner()
}

#[test]
fn links_agree_with_an_independent_parser() {
    let Some(book) = toolchain_docs().map(|docs| docs.join("book")).filter(|dir| dir.is_dir())
    else {
        eprintln!("skipped: the toolchain's documentation is not installed");
        return;
    };
    let mut pages: Vec<_> = std::fs::read_dir(book)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "html"))
        .collect();
    pages.sort();
    for path in pages.iter().take(MAX_PAGES) {
        let html = std::fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let url = Url::parse("https://example.org/book/").unwrap().join(name).unwrap();
        let content = extract(html.as_bytes(), &url).unwrap();
        check(&content);
        assert_eq!(links(html.as_bytes(), &url, None).unwrap(), content.links, "{name}");
        let found: BTreeSet<_> = content.links.iter().map(|link| link.url.to_string()).collect();
        assert_eq!(found.len(), content.links.len(), "{name}: each URL once");
        let expected = independent(&html, &url);
        assert!(expected.is_subset(&found), "{name}: {:?}", expected.difference(&found));
    }
}
