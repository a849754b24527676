//! On the documentation that comes with the toolchain, links and headings are those that an
//! independent parser finds.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gristmill::extract::{extract, links};
use gristmill::url::Url;
use lol_html::{RewriteStrSettings, element, rewrite_str, text};

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

/// At most so many pages of each book, spread over it.
const MAX_PAGES_OF_A_BOOK: usize = 120;

fn html_pages(folder: &Path) -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "html") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// The texts of the headings below the main element, without their buttons.
fn headings(html: &str) -> Vec<String> {
    let without_buttons =
        RewriteStrSettings::new().append_element_content_handler(element!("button", |button| {
            button.remove();
            Ok(())
        }));
    let html = rewrite_str(html, without_buttons).unwrap();
    let levels: Vec<_> = (1..=6).map(|level| format!("main h{level}")).collect();
    let selector = levels.join(", ");
    let found = RefCell::new(Vec::new());
    let settings = RewriteStrSettings::new()
        .append_element_content_handler(element!(selector, |_heading| {
            found.borrow_mut().push(String::new());
            Ok(())
        }))
        .append_element_content_handler(text!(selector, |text| {
            if let Some(heading) = found.borrow_mut().last_mut() {
                heading.push_str(text.as_str());
            }
            Ok(())
        }));
    rewrite_str(&html, settings).unwrap();
    found.into_inner()
}

fn letters(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// The same of a text with the character references of headings.
fn decoded_letters(html: &str) -> String {
    let mut text = html.to_owned();
    for reference in ["&amp;", "&lt;", "&gt;", "&quot;", "&nbsp;", "&#39;", "&#x27;", "&#8211;"] {
        text = text.replace(reference, "");
    }
    letters(&text)
}

#[test]
fn no_heading_of_the_main_element_is_lost() {
    let Some(docs) = toolchain_docs() else {
        eprintln!("skipped: the toolchain's documentation is not installed");
        return;
    };
    let url = Url::parse("https://example.org/docs/").unwrap();
    let mut lost = Vec::new();
    for book in ["std", "book", "reference", "cargo"].map(|book| docs.join(book)) {
        let pages = if book.is_dir() { html_pages(&book) } else { Vec::new() };
        for path in pages.iter().step_by(pages.len() / MAX_PAGES_OF_A_BOOK + 1) {
            let html = std::fs::read_to_string(path).unwrap();
            let content = extract(html.as_bytes(), &url).unwrap();
            let text = letters(&content.text);
            let mut at = 0;
            for heading in headings(&html) {
                // In order, so that the same words in the text below do not count.
                match text[at..].find(&decoded_letters(&heading)) {
                    Some(found) => at += found,
                    None => lost.push(format!("{}: {heading}", path.display())),
                }
            }
        }
    }
    assert!(lost.is_empty(), "{} headings, the first: {:?}", lost.len(), lost.first());
}
