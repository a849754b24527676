//! The store under an engine: checked, compacted and copied while a run goes on, and closed with it.

use std::time::Duration;

use gristmill::engine::{Error, PageQuery};
use gristmill::model::Reason;
use gristmill::store::KeyspaceOptions;
use gristmill::{Config, ConfigError, Engine, Job};

use crate::support::PATIENCE;
use crate::support::scripted::Scripted;
use crate::support::server::{Request, Response, Server};
use crate::workshop::{Tally, eager, open, page, pages, readable, run, why};

/// Pages with the same body.
const EQUAL: usize = 10;

fn store_figure(engine: &Engine, name: &str) -> u64 {
    engine.stats().unwrap().parts["store"][name].as_u64().unwrap()
}

#[test]
fn a_run_goes_on_while_the_store_is_checked_compacted_and_copied() {
    let asked = Tally::default();
    let seen = asked.clone();
    let server = Server::start(move |request: &Request| match request.path() {
        "/" => Response::html(&page("Start", "The first one", ["/slow".to_owned()])),
        "/slow" => {
            seen.add(1);
            Response::html("late").delayed(Duration::from_hours(1))
        }
        _ => Response::status(404),
    })
    .unwrap();
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = open(dir.path(), eager());
    let under_way = engine.run(Job::new("job").site(server.url("/"))).unwrap();
    // It is linked by the first page, whose batch is on its way by then.
    assert!(asked.wait(1));
    engine.store().unwrap().flush().unwrap();
    assert!(engine.check().unwrap().is_clean());
    let target = copy.path().join("copy");
    let report = engine.backup(&target).unwrap();
    assert!(report.segments > 0 && report.bytes > 0, "{report:?}");
    assert!(matches!(engine.backup(&target), Err(Error::Store(_))));
    engine.compact().unwrap();
    assert!(!under_way.progress().done);
    assert!(engine.check().unwrap().is_clean());
    assert_eq!(engine.stats().unwrap().parts["store_pool"]["name"], "store");
    engine.close(PATIENCE).unwrap();
    assert!(matches!(engine.check(), Err(Error::Closed)));
    assert!(matches!(engine.compact(), Err(Error::Closed)));
    assert!(matches!(engine.backup(copy.path()), Err(Error::Closed)));

    // Both go on from there.
    for dir in [dir.path(), &target] {
        let engine = open(dir, eager());
        assert_eq!(readable(&engine).into_iter().collect::<Vec<_>>(), [server.url("/")]);
        assert_eq!(why(&engine, &server.url("/slow")), Reason::Pending);
        assert!(engine.check().unwrap().is_clean());
    }
}

#[test]
fn an_engine_that_is_not_to_make_a_store_makes_none() {
    let dir = tempfile::tempdir().unwrap();
    let build = |name: &str| Engine::builder(dir.path().join(name)).create(false).build();
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    for name in ["missing", "empty", "."] {
        let error = build(name).unwrap_err();
        assert!(matches!(error, Error::NothingStored { .. }), "{error:?}");
        assert!(error.to_string().starts_with("nothing is stored in "), "{error}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    open(&dir.path().join("made"), eager()).close(PATIENCE).unwrap();
    build("made").unwrap();
    // What is left of a store is no place to begin a new one.
    std::fs::rename(dir.path().join("made/index.redb"), dir.path().join("index")).unwrap();
    std::fs::write(dir.path().join("made/00000001.segment"), "").unwrap();
    assert!(matches!(build("made"), Err(Error::Store(_))));
}

#[test]
fn equal_bodies_are_stored_once_where_that_is_asked_for() {
    let body = page("Same", &"The same words on every page. ".repeat(1_000), []);
    let paths: Vec<String> = (0..EQUAL).map(|n| format!("/{n}")).collect();
    let script =
        paths.iter().fold(Scripted::new(), |script, path| script.on(path, Response::html(&body)));
    let server = Server::start(script).unwrap();
    let job = || paths.iter().fold(Job::new("job"), |job, path| job.site(server.url(path)));
    let [apart, once] = [false, true].map(|dedup| {
        let dir = tempfile::tempdir().unwrap();
        let mut config = eager();
        config.store.dedup = dedup;
        let engine = open(dir.path(), config);
        let report = run(&engine, job());
        assert_eq!((report.pages, report.deduplicated), (EQUAL as u64, EQUAL as u64 - 1));
        for page in pages(&engine) {
            let stored = engine.get(page.url.as_str()).unwrap().unwrap();
            assert_eq!(stored.raw().unwrap().unwrap(), body.as_bytes());
        }
        assert!(engine.check().unwrap().is_clean());
        store_figure(&engine, "live_bytes")
    });
    assert!(once * 4 < apart, "{once} bytes, {apart} without");
}

#[test]
fn the_memory_for_places_of_values_has_a_range() {
    let dir = tempfile::tempdir().unwrap();
    let with = |bytes| {
        let mut config = Config::default();
        config.store.pointer_cache_bytes = bytes;
        Engine::builder(dir.path()).config(config).build()
    };
    for bytes in [0, 65_536] {
        with(bytes).unwrap().close(PATIENCE).unwrap();
    }
    let error = with(100).unwrap_err();
    let Error::Config(ConfigError::Invalid { key, .. }) = error else { panic!("{error:?}") };
    assert_eq!(key, "store.pointer_cache_bytes");
}

#[test]
fn closing_stops_what_reclaims_space() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = eager();
    config.store.segment_bytes = 1 << 20;
    let engine = open(dir.path(), config);
    let store = engine.store().unwrap();
    let values = store.keyspace("user/values", KeyspaceOptions::default()).unwrap();
    // Rewritten again and again, one in eight left alone: much is dead, and something lives
    // everywhere.
    for round in 0..8_u32 {
        let mut batch = store.batch();
        for key in 0..200_u32 {
            if key % 8 >= round {
                batch.put(&values, key.to_be_bytes(), vec![7; 20_000]);
            }
        }
        batch.commit_buffered().unwrap();
    }
    store.flush().unwrap();
    drop((values, store));
    engine.close(PATIENCE).unwrap();
    let engine = open(dir.path(), eager());
    let store = engine.store().unwrap();
    assert_eq!(
        store.keyspace("user/values", KeyspaceOptions::default()).unwrap().len().unwrap(),
        200
    );
    assert!(engine.check().unwrap().is_clean());
    assert_eq!(engine.pages(&PageQuery::default()).unwrap().count(), 0);
}
