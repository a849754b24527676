use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::*;
use crate::config::Config;
use crate::model::{Headers, Truncated};

/// Pages with the same text.
const EQUAL: u64 = 4;
/// Pages of a host.
const PER_HOST: u64 = 100;
/// Rows of pages in one batch while the directory is filled.
const PER_BATCH: usize = 1000;
/// When the first page was fetched; each next one a millisecond later.
const BEGIN: u64 = 1_700_000_000_000;
/// Pages of the large directory, unless the variable says otherwise.
const MANY: u64 = 1_000_000;
const MANY_VARIABLE: &str = "GRISTMILL_TEST_PAGES";

/// What is listed one after the other.
const STEP: usize = 10;

fn url(page: u64) -> Url {
    // No order in them: pages do not come in the order of any index but that of time.
    let section = page.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
    let text = format!("http://host{:06}.example/{section:02x}/{page}", page / PER_HOST);
    text.parse().unwrap()
}

fn hash(page: u64) -> blake3::Hash {
    blake3::hash(&(page / EQUAL).to_le_bytes())
}

fn row(page: u64) -> PageRow {
    PageRow {
        url: url(page),
        status: 200,
        title: Some(format!("The page of the number {page}")),
        language: Some("en".to_owned()),
        media_type: Some("text/html".to_owned()),
        charset: Some("utf-8".to_owned()),
        published_at: None,
        bytes: 29_000,
        links: 40,
        fetched_at: Timestamp(BEGIN + page),
        content_hash: Some(hash(page).to_hex().to_string()),
        duplicate_of: None,
        extract_failure: None,
        truncated: Truncated::default(),
        extractor: 0,
        hops: Vec::new(),
        headers: Headers::default(),
    }
}

/// A directory with pages, written as a crawl writes them.
struct Bench {
    engine: Engine,
    pages: u64,
    _dir: tempfile::TempDir,
}

/// What a listing gave, and what it took.
struct Listed {
    pages: Vec<PageEntry>,
    rows: u64,
    reads: u64,
    took: Duration,
}

impl Bench {
    fn new(pages: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        // Each listing reads.
        config.cache.query_bytes = 0;
        let engine = Engine::builder(dir.path()).config(config).build().unwrap();
        let bench = Self { engine, pages, _dir: dir };
        let tables = bench.tables();
        let mut batch = tables.store.batch();
        for page in 0..pages {
            let (row, key) = (row(page), UrlKey::from_url(&url(page)));
            tables.put_page(&mut batch, key, &row, None);
            batch.put(&tables.by_hash, hash_key(*hash(page).as_bytes(), key), []);
            if batch.len() >= PER_BATCH {
                std::mem::replace(&mut batch, tables.store.batch()).commit_buffered().unwrap();
            }
        }
        batch.commit().unwrap();
        bench
    }

    fn tables(&self) -> &Tables {
        &self.engine.parts().unwrap().tables
    }

    fn list(&self, query: &PageQuery) -> Listed {
        let before = self.tables().store.stats();
        let begun = Instant::now();
        let pages: Vec<_> = self.engine.pages(query).unwrap().map(Result::unwrap).collect();
        let took = begun.elapsed();
        let after = self.tables().store.stats();
        let (rows, reads) = (after.rows_scanned - before.rows_scanned, after.reads - before.reads);
        Listed { pages, rows, reads, took }
    }

    /// Lists, and asserts that nothing was read but what was given.
    #[track_caller]
    fn list_exactly(&self, query: &PageQuery) -> Listed {
        let listed = self.list(query);
        let given = listed.pages.len() as u64;
        assert!(listed.rows <= given + 1, "{} rows for {given} pages: {query:?}", listed.rows);
        assert_eq!(listed.reads, given, "{query:?}");
        listed
    }

    /// Lists part after part, and asserts that together they are `expected`, in both directions.
    #[track_caller]
    fn walk(&self, query: &PageQuery, mut expected: Vec<Url>) {
        for reverse in [false, true] {
            let (mut after, mut found) = (None, Vec::new());
            loop {
                let part = PageQuery { reverse, limit: Some(STEP), after, ..query.clone() };
                let listed = self.list_exactly(&part).pages;
                let Some(last) = listed.last() else { break };
                after = Some(last.cursor());
                found.extend(listed.into_iter().map(|page| page.url));
            }
            assert_eq!(found, expected, "{query:?}, reverse {reverse}");
            expected.reverse();
        }
    }

    /// One query along each index, of pages in the middle.
    fn queries(&self) -> [(&'static str, PageQuery, usize); 5] {
        let middle = self.pages / 2 / PER_HOST * PER_HOST;
        let none = PageQuery::default();
        let host = Host::of(&url(middle)).as_str().to_owned();
        let (since, until) = (Timestamp(BEGIN + middle), Timestamp(BEGIN + middle + 100));
        let prefix = Some(format!("http://{host}/"));
        let content_hash = Some(hash(middle).to_hex().to_string());
        let all = usize::try_from(self.pages).unwrap();
        let per_host = usize::try_from(PER_HOST).unwrap();
        [
            ("all, by URL", none.clone(), all),
            ("URL prefix", PageQuery { url_prefix: prefix, ..none.clone() }, per_host),
            ("host", PageQuery { host: Some(host), ..none.clone() }, per_host),
            ("time", PageQuery { since: Some(since), until: Some(until), ..none.clone() }, 100),
            ("content hash", PageQuery { content_hash, ..none }, usize::try_from(EQUAL).unwrap()),
        ]
    }
}

/// The pages of these numbers, by what `order` makes of them.
fn sorted<K: Ord>(pages: impl Iterator<Item = u64>, order: impl Fn(u64) -> K) -> Vec<Url> {
    let sorted: BTreeMap<K, Url> = pages.map(|page| (order(page), url(page))).collect();
    sorted.into_values().collect()
}

#[test]
fn a_listing_reads_what_it_gives_and_nothing_else() {
    let bench = Bench::new(3_000);
    let key = |page| UrlKey::from_url(&url(page)).0;
    let middle = 1_500;
    let [all, prefix, host, time, equal] = bench.queries().map(|(_, query, _)| query);
    bench.walk(&all, sorted(0..3_000, |page| url(page).to_string()));
    bench.walk(&prefix, sorted(middle..middle + PER_HOST, |page| url(page).to_string()));
    bench.walk(&host, sorted(middle..middle + PER_HOST, key));
    bench.walk(&time, sorted(middle..middle + 100, |page| page));
    bench.walk(&equal, sorted(middle..middle + EQUAL, key));
    let since = PageQuery { since: Some(Timestamp(BEGIN + 2_990)), ..PageQuery::default() };
    bench.walk(&since, sorted(2_990..3_000, |page| page));
    let until = PageQuery { until: Some(Timestamp(BEGIN + 10)), ..PageQuery::default() };
    bench.walk(&until, sorted(0..10, |page| page));
}

#[test]
fn a_page_that_came_back_under_another_spelling_or_time_is_listed_once() {
    let bench = Bench::new(20);
    let tables = bench.tables();
    let before = row(7);
    let spelling = Url::parse(&before.url.as_str().replace("/7", "/%37")).unwrap();
    let key = UrlKey::from_url(&before.url);
    assert_eq!(key, UrlKey::from_url(&spelling));
    let after =
        PageRow { url: spelling.clone(), fetched_at: Timestamp(BEGIN + 50), ..before.clone() };
    let mut batch = tables.store.batch();
    tables.put_page(&mut batch, key, &after, Some(&before));
    batch.commit().unwrap();
    let since = PageQuery { since: Some(Timestamp(BEGIN)), ..PageQuery::default() };
    for query in [PageQuery::default(), since.clone()] {
        let pages = bench.list_exactly(&query).pages;
        let listed = pages.iter().filter(|page| page.url == spelling).count();
        assert_eq!((pages.len(), listed), (20, 1));
    }
    // Two jobs that store a page at once do not know of each other, so a row may stay behind.
    tables.by_time.put(time_key(Timestamp(BEGIN + 9), key.0), []).unwrap();
    tables.by_url.put(before.url.as_str(), key.0).unwrap();
    for query in [PageQuery::default(), since] {
        assert_eq!(bench.list(&query).pages.len(), 20);
    }
}

#[test]
fn conditions_together_hold_together_and_one_that_no_page_meets_gives_none() {
    let bench = Bench::new(500);
    let host = Some("HOST000002.example".to_owned());
    let count = |query: PageQuery| bench.list(&query).pages.len();
    let query = PageQuery { host, ..PageQuery::default() };
    assert_eq!(count(query.clone()), 100);
    assert_eq!(count(PageQuery { since: Some(Timestamp(BEGIN + 290)), ..query.clone() }), 10);
    assert_eq!(count(PageQuery { limit: Some(3), ..query.clone() }), 3);
    let elsewhere = Some("http://host000001.example/".to_owned());
    assert_eq!(count(PageQuery { url_prefix: elsewhere, ..query.clone() }), 0);
    let content_hash = Some(hash(200).to_hex().to_ascii_uppercase());
    assert_eq!(count(PageQuery { content_hash, ..query.clone() }), 4);
    assert_eq!(count(PageQuery { content_hash: Some("none".to_owned()), ..query }), 0);
    // A cursor of another listing: what lies behind it in this one.
    let first = bench.list(&PageQuery { limit: Some(1), ..PageQuery::default() }).pages.remove(0);
    let prefix = Some("http://host000003.example/".to_owned());
    let next =
        PageQuery { url_prefix: prefix, after: Some(first.cursor()), ..PageQuery::default() };
    assert_eq!(count(next.clone()), 100);
    assert_eq!(count(PageQuery { reverse: true, ..next }), 0);
}

#[test]
fn pages_of_before_there_was_a_list_by_url_are_in_it_after_an_opening() {
    // The second number fills its last batch, so none is left to commit at the end.
    for pages in [2_500, 2_000] {
        let bench = Bench::new(pages);
        let tables = bench.tables();
        let mut batch = tables.store.batch();
        for page in 100..pages {
            batch.delete(&tables.by_url, url(page).as_str());
        }
        batch.commit().unwrap();
        assert_eq!(bench.list(&PageQuery::default()).pages.len(), 100);
        Tables::open(tables.store.clone(), &Config::default().store).unwrap();
        bench.walk(&PageQuery::default(), sorted(0..pages, |page| url(page).to_string()));
    }
}

/// ```sh
/// cargo test --release --features engine --lib a_million_pages -- --ignored --nocapture
/// ```
#[test]
#[ignore = "takes a minute; it is there for its figures"]
fn a_listing_of_a_million_pages_reads_what_it_gives_too() {
    let pages = std::env::var(MANY_VARIABLE).map_or(MANY, |text| text.parse().unwrap());
    let begun = Instant::now();
    let bench = Bench::new(pages);
    println!("{pages} pages stored in {:.1} s", begun.elapsed().as_secs_f64());
    println!("{:24} {:>6} {:>6} {:>6} {:>10}", "query", "pages", "rows", "reads", "µs");
    for (name, query, found) in bench.queries() {
        for reverse in [false, true] {
            let first = PageQuery { reverse, limit: Some(STEP), ..query.clone() };
            let listed = bench.list_exactly(&first);
            assert_eq!(listed.pages.len(), found.min(STEP));
            let after = listed.pages.last().map(PageEntry::cursor);
            let second = PageQuery { after, ..first.clone() };
            let whole = PageQuery { limit: Some(PER_BATCH), ..first.clone() };
            let direction = if reverse { ", reverse" } else { "" };
            for (part, query) in [("", first), (", next", second), (", 1000", whole)] {
                // Read twice: the first time from cold pages of the index.
                bench.list_exactly(&query);
                let Listed { pages, rows, reads, took } = bench.list_exactly(&query);
                let (name, given) = (format!("{name}{direction}{part}"), pages.len());
                println!("{name:24} {given:>6} {rows:>6} {reads:>6} {:>10}", took.as_micros());
            }
        }
    }
}
