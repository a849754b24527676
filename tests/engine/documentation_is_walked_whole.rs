//! A crawl stores exactly the pages that a plain walk over the links finds.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::path::Path;

use gristmill::Job;
use gristmill::url::{UrlKey, parse};

use crate::support::directory::Directory;
use crate::support::pages::toolchain_docs;
use crate::support::server::Server;
use crate::workshop::{eager, open, pages, run};

/// The walk, over the files themselves: every page that links lead to, a queue and a set.
fn walk(root: &Path, start: &str) -> BTreeSet<String> {
    let start = parse(start).unwrap();
    let mut queue = VecDeque::from([start.clone()]);
    let mut seen = HashSet::from([UrlKey::from_url(&start)]);
    let mut found = BTreeSet::new();
    while let Some(url) = queue.pop_front() {
        let path = url.path().trim_start_matches('/');
        let file = root.join(if path.is_empty() { "index.html" } else { path });
        if file.extension().is_none_or(|extension| extension != "html") {
            continue;
        }
        let Ok(bytes) = std::fs::read(&file) else { continue };
        found.insert(url.to_string());
        let links = gristmill::extract::links(&bytes, &url, Some("text/html")).unwrap();
        for link in links {
            if link.url.origin() == url.origin() && seen.insert(UrlKey::from_url(&link.url)) {
                queue.push_back(link.url);
            }
        }
    }
    found
}

#[test]
fn the_stored_pages_are_those_of_a_plain_walk() {
    let Some(book) = toolchain_docs().map(|docs| docs.join("book")).filter(|dir| dir.is_dir())
    else {
        eprintln!("skipped: the toolchain's documentation is not installed");
        return;
    };
    let server = Server::start(Directory::new(&book)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut config = eager();
    config.crawl.per_host = 16;
    // Links are the subject here.
    config.crawl.extract = false;
    let engine = open(dir.path(), config);
    let start = server.url("/index.html");
    let report = run(&engine, Job::new("book").site(&start));
    let expected = walk(&book, &start);
    assert!(expected.len() > 50, "the book has only {} pages", expected.len());
    let stored: BTreeSet<String> = pages(&engine).into_iter().map(|page| page.url.into()).collect();
    let kind = |url: &str| Path::new(url).extension().map(std::ffi::OsStr::to_owned);
    let html = stored.iter().filter(|url| kind(url).is_some_and(|kind| kind == "html"));
    let html: BTreeSet<String> = html.cloned().collect();
    let missing: Vec<_> = expected.difference(&html).collect();
    let surplus: Vec<_> = html.difference(&expected).collect();
    assert!(missing.is_empty() && surplus.is_empty(), "missing {missing:?}, surplus {surplus:?}");
    assert_eq!(report.pages, stored.len() as u64);
    for url in &stored {
        let path = &url[server.url("").len()..];
        assert_eq!(server.hits(path), 1, "{url}");
    }
}
