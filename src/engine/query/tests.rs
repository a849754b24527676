use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value as Json;

use super::*;
use crate::config::Config;
use crate::crawl::{DocumentKind, UrlRecord, Via};
use crate::engine::tables::encode_row;
use crate::model::{Grounding, Headers, Truncated};

const PAGE: &str = "http://a.example/page";
const MOVED: &str = "http://a.example/moved";

struct Bench {
    engine: Engine,
    _dir: tempfile::TempDir,
}

impl Bench {
    /// An engine with a page, a URL that redirected to it, an info and a refused claim.
    fn new() -> Self {
        Self::with(4 << 20)
    }

    fn with(query_bytes: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.cache.query_bytes = query_bytes;
        let engine = Engine::builder(dir.path()).config(config).build().unwrap();
        let bench = Self { engine, _dir: dir };
        bench.put_job("first", 0);
        bench.put_info(1);
        bench.put_quarantined(1);
        bench.put_page(PAGE, 200);
        bench.put_url(0, PAGE, Reason::Done);
        bench.put_url(0, MOVED, Reason::DuplicateOf { url: PAGE.parse().unwrap() });
        bench
    }

    fn tables(&self) -> &Tables {
        &self.engine.parts().unwrap().tables
    }

    fn put_job(&self, name: &str, id: u32) {
        let row = JobRow {
            id: JobId(id),
            run: 1,
            started_at: Timestamp(0),
            finished_at: None,
            focuses: Vec::new(),
            hosts: Vec::new(),
        };
        self.tables().jobs.put(name, encode_row(&row)).unwrap();
    }

    fn put_info(&self, at: u64) {
        let info = Info {
            fact: format!("fact {at}"),
            fields: Json::Null,
            url: PAGE.parse().unwrap(),
            quote: "quote".to_owned(),
            span: (0..5).into(),
            focus: if at % 2 == 1 { "odd" } else { "even" }.to_owned(),
            grounding: Grounding::Exact,
            score: 1.0,
            fetched_at: Timestamp(at),
            published_at: None,
            also_at: Vec::new(),
            content_hash: String::new(),
            model: None,
            request_id: None,
            cache_hit: false,
            created_at: Timestamp(at),
        };
        let key = time_key(Timestamp(at), [0; 16]);
        self.tables().infos.put(key, encode_row(&info)).unwrap();
    }

    fn put_quarantined(&self, at: u64) {
        let refused = Quarantined {
            fact: "fact".to_owned(),
            quote: "quote".to_owned(),
            url: PAGE.parse().unwrap(),
            focus: "odd".to_owned(),
            why: RejectedWhy::Ungrounded,
            created_at: Timestamp(at),
        };
        let key = time_key(Timestamp(at), [0; 16]);
        self.tables().quarantine.put(key, encode_row(&refused)).unwrap();
    }

    fn put_page(&self, url: &str, status: u16) {
        let (tables, url) = (self.tables(), url.parse::<Url>().unwrap());
        let key = UrlKey::from_url(&url);
        let mut batch = tables.store.batch();
        let row = PageRow {
            url,
            status,
            title: Some("Title".to_owned()),
            language: None,
            media_type: None,
            charset: None,
            published_at: None,
            bytes: 1,
            links: 0,
            fetched_at: Timestamp(1),
            content_hash: None,
            duplicate_of: None,
            extract_failure: None,
            truncated: Truncated::default(),
            extractor: 0,
            hops: Vec::new(),
            headers: Headers::default(),
        };
        tables.put_page(&mut batch, key, &row, None);
        batch.commit().unwrap();
    }

    fn put_url(&self, job: u32, url: &str, reason: Reason) {
        let url: Url = url.parse().unwrap();
        let record = UrlRecord {
            kind: DocumentKind::Page,
            via: Via::Seed,
            seed: true,
            depth: 0,
            parent: None,
            hops: Vec::new(),
            attempts: 0,
            rank: 0,
            sequence: 0,
            reason,
            admitted_at: Timestamp(0),
            updated_at: Timestamp(0),
            url,
        };
        let key = JobId(job).url_key(record.key());
        self.tables().urls.put(key, UrlRow::encode(1, true, &record)).unwrap();
    }

    fn infos(&self) -> Vec<Info> {
        self.engine.infos(&InfoQuery::default()).unwrap().map(Result::unwrap).collect()
    }

    /// Everything that can be asked, in one text.
    fn ask_all(&self) -> Vec<String> {
        let (infos, pages) = (InfoQuery::default(), PageQuery::default());
        let odd = InfoQuery { focus: Some("odd".to_owned()), since: Some(Timestamp(1)) };
        let late = PageQuery {
            since: Some(Timestamp(1)),
            host: Some("A.example".to_owned()),
            ..PageQuery::default()
        };
        let engine = &self.engine;
        let page = |url| engine.get(url).unwrap().map(|page| page.entry);
        vec![
            format!("{:?}", self.infos()),
            format!("{:?}", engine.infos(&odd).unwrap().collect::<Vec<_>>()),
            format!("{:?}", engine.quarantined(&infos).unwrap().collect::<Vec<_>>()),
            format!("{:?}", engine.pages(&pages).unwrap().collect::<Vec<_>>()),
            format!("{:?}", engine.pages(&late).unwrap().collect::<Vec<_>>()),
            format!("{:?}", page(PAGE)),
            format!("{:?}", page(MOVED)),
            format!("{:?}", page("http://a.example/unknown")),
            format!("{:?}", engine.why(PAGE).unwrap()),
            format!("{:?}", engine.why("http://a.example/unknown").unwrap()),
        ]
    }

    /// Values looked up and rows gone through in the store.
    fn reads(&self) -> u64 {
        let stats = self.tables().store.stats();
        stats.reads + stats.rows_scanned
    }

    fn hits(&self) -> u64 {
        self.engine.stats().unwrap().parts["query_cache"]["hits"].as_u64().unwrap()
    }
}

#[test]
fn the_same_question_again_reads_nothing_of_the_store() {
    let bench = Bench::new();
    let first = bench.ask_all();
    let nothing = |answer: &&String| matches!(answer.as_str(), "[]" | "None");
    assert_eq!(first.iter().filter(nothing).count(), 2, "{first:#?}");
    let (reads, hits) = (bench.reads(), bench.hits());
    assert!(reads > 0);
    assert_eq!(bench.ask_all(), first);
    assert_eq!((bench.reads(), bench.hits()), (reads, hits + first.len() as u64));
}

#[test]
fn after_a_commit_every_answer_that_it_touches_is_new() {
    let bench = Bench::new();
    let before = bench.ask_all();
    bench.put_info(3);
    bench.put_quarantined(2);
    bench.put_page(PAGE, 203);
    bench.put_page("http://a.example/unknown", 200);
    bench.put_url(0, PAGE, Reason::Http { status: 410 });
    bench.put_url(0, "http://a.example/unknown", Reason::Done);
    for (before, after) in before.iter().zip(bench.ask_all()) {
        assert_ne!(*before, after);
    }
    // A job that becomes known may know a URL too.
    bench.put_url(1, PAGE, Reason::Done);
    assert_eq!(bench.engine.why(PAGE).unwrap().len(), 1);
    bench.put_job("second", 1);
    assert_eq!(bench.engine.why(PAGE).unwrap().len(), 2);
}

#[test]
fn a_commit_to_something_else_leaves_answers_in_place() {
    let bench = Bench::new();
    bench.infos();
    bench.put_page("http://b.example/", 200);
    let (reads, hits) = (bench.reads(), bench.hits());
    bench.infos();
    assert_eq!((bench.reads(), bench.hits()), (reads, hits + 1));
}

#[test]
fn a_commit_in_the_middle_of_a_question_is_not_hidden_by_its_answer() {
    let bench = Bench::new();
    let begun = bench.engine.infos(&InfoQuery::default()).unwrap();
    bench.put_info(2);
    assert_eq!(begun.count(), 1, "it shows the state of its beginning");
    assert_eq!(bench.infos().len(), 2);
    // What was kept is found by who reads the same state: another that began before the commit.
    let [early, late] = [(); 2].map(|()| bench.engine.infos(&InfoQuery::default()).unwrap());
    bench.put_info(4);
    let hits = bench.hits();
    assert_eq!((early.count(), late.count(), bench.infos().len()), (2, 2, 3));
    assert_eq!(bench.hits(), hits);
}

#[test]
fn no_answer_is_older_than_an_acknowledged_commit() {
    let (bench, done) = (Bench::new(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut seen = 0;
                while !done.load(Ordering::Acquire) {
                    let infos = bench.infos().len();
                    assert!(infos >= seen, "{infos} infos after {seen}");
                    seen = infos;
                }
            });
        }
        for at in 2..100 {
            bench.put_info(at);
            assert_eq!(bench.infos().len() as u64, at);
        }
        done.store(true, Ordering::Release);
    });
}

#[test]
fn answers_too_large_or_not_heard_to_the_end_are_not_kept() {
    let bench = Bench::with(1 << 16);
    bench.put_info(2);
    let mut infos = bench.engine.infos(&InfoQuery::default()).unwrap();
    infos.next().unwrap().unwrap();
    drop(infos);
    let entries =
        || bench.engine.stats().unwrap().parts["query_cache"]["entries"].as_u64().unwrap();
    assert_eq!(entries(), 0);
    (3..40).for_each(|at| bench.put_info(at));
    assert_eq!((bench.infos().len(), entries()), (39, 0));
    assert_eq!((bench.infos().len(), bench.hits()), (39, 0));
}

#[test]
fn without_a_cache_every_question_reads() {
    let bench = Bench::with(0);
    let first = bench.ask_all();
    let reads = bench.reads();
    assert_eq!(bench.ask_all(), first);
    assert!(bench.reads() > reads);
    assert!(!bench.engine.stats().unwrap().parts.contains_key("query_cache"));
}
