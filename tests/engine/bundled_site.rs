//! The bundled site, crawled whole: what comes out, what is left alone, and why.

use std::collections::BTreeSet;

use gristmill::model::{Focus, Reason, Scope, TrapKind};
use gristmill::{Engine, Job};

use crate::support::known_facts::{folded, known_facts, strings};
use crate::support::server::Server;
use crate::support::site::Site;
use crate::workshop::{eager, infos, open, pages, readable, run, why};

#[test]
fn the_known_facts_come_out_where_they_stand_and_each_url_is_explained() {
    let facts = known_facts();
    let focuses = facts["focuses"].as_array().unwrap();
    let server = Server::start(Site::new()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), eager());
    let mut job = Job::new("site").site(server.url("/"));
    for focus in focuses {
        job = job.focus(Focus::new(focus["focus"].as_str().unwrap()));
    }
    let report = run(&engine, job.clone());
    assert_eq!(report.stopped, None, "the site has traps, but an end");

    let found = infos(&engine);
    assert_eq!(report.infos, found.len() as u64);
    for focus in focuses {
        for fact in focus["facts"].as_array().unwrap() {
            let sentence = folded(fact["sentence"].as_str().unwrap());
            let urls: Vec<_> =
                strings(&fact["paths"]).into_iter().map(|path| server.url(path)).collect();
            let there = found.iter().any(|info| {
                focus["focus"] == info.focus.as_str()
                    && urls.iter().any(|url| info.url.as_str() == url)
                    && folded(&info.quote).contains(&sentence)
            });
            assert!(there, "{sentence:?} of {urls:?} is not in {found:#?}");
        }
    }
    for hidden in strings(&facts["never_quoted"]) {
        assert!(found.iter().all(|info| !info.quote.contains(hidden)), "{hidden} was quoted");
    }
    for path in strings(&facts["never_fetched"]) {
        assert_eq!(server.hits(path), 0, "{path} was fetched");
    }

    let pages = pages(&engine);
    assert_eq!(report.pages, pages.len() as u64);
    let duplicates = pages.iter().filter(|page| page.duplicate_of.is_some()).count();
    assert!(duplicates >= 1);
    assert_eq!(report.deduplicated, duplicates as u64);
    explained(&engine, &server);

    // Once more: what the rules forbid stays forbidden where pages come from the store.
    let again = run(&engine, job);
    assert!(again.unchanged > 0, "{again:?}");
    assert_eq!(again.pages, report.pages);
    for path in strings(&facts["never_fetched"]) {
        assert_eq!(server.hits(path), 0, "{path} was fetched by the second run");
    }
    assert_eq!(infos(&engine), found, "nothing has changed");
}

/// Each kind of URL of the site has the reason that is documented.
fn explained(engine: &Engine, server: &Server) {
    let why = |path: &str| why(engine, &server.url(path));
    let at = |path: &str| server.url(path).parse().unwrap();
    assert_eq!(why("/mills/ashgate.html"), Reason::Done);
    let Reason::Robots { line } = why("/private/board.html") else { panic!("not robots") };
    assert!(line.contains("/private/"), "{line}");
    assert_eq!(why("/private/opening-day.html"), Reason::Done, "an Allow line is longer");
    assert_eq!(why("/old/mill.html"), Reason::DuplicateOf { url: at("/old/ashgate") });
    assert_eq!(why("/old/ashgate"), Reason::DuplicateOf { url: at("/mills/ashgate.html") });
    let hops = engine.why(&server.url("/old/mill.html")).unwrap().remove(0).hops;
    assert_eq!((hops.len(), hops[0].status), (1, 301));
    assert_eq!(hops[0].location, at("/old/ashgate"));
    assert_eq!(why("/missing.html"), Reason::Http { status: 404 });
    assert_eq!(why("/broken/catalogue.html"), Reason::Http { status: 500 });
    assert_eq!(server.hits("/broken/catalogue.html"), 2, "as many attempts as configured");
    assert_eq!(why("/images/seal.png"), Reason::NotHtml { media_type: "image/png".into() });
    let looped = [why("/loop/a"), why("/loop/b")];
    assert!(
        looped
            .iter()
            .any(|reason| matches!(reason, Reason::Failed { cause } if cause.contains("loop")))
            || looped.iter().all(|reason| matches!(reason, Reason::DuplicateOf { .. })),
        "{looped:?}"
    );
    assert!(server.hits("/loop/a") <= 2 && server.hits("/loop/b") <= 2);

    let mut traps = BTreeSet::new();
    for page in pages(engine) {
        for link in engine.get(page.url.as_str()).unwrap().unwrap().links().unwrap() {
            // Links of a page that asks not to follow them were never looked at.
            let Some(known) = engine.why(&link).unwrap().pop() else { continue };
            match known.reason {
                Reason::Trap { kind } => drop(traps.insert(format!("{kind:?}"))),
                Reason::Pending | Reason::WaitingUntil { .. } => panic!("{link} was left behind"),
                _ => {}
            }
        }
    }
    let expected = [TrapKind::Calendar, TrapKind::PathRepetition, TrapKind::QueryGrowth];
    assert_eq!(traps, expected.map(|kind| format!("{kind:?}")).into());
}

#[test]
fn scope_and_depth_are_reasons_too() {
    let server = Server::start(Site::new()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let scope = Scope { exclude: vec!["*/mills/*".into()], max_depth: Some(1), ..Scope::default() };
    let mut config = eager();
    config.crawl.sitemaps = false;
    let engine = open(dir.path(), config);
    let report = run(&engine, Job::new("shallow").site(server.url("/")).scope(scope));
    assert_eq!(report.stopped, None);
    assert!(report.skipped >= 2);
    let Reason::OutOfScope { rule } = why(&engine, &server.url("/mills/")) else {
        panic!("/mills/ is in scope")
    };
    assert!(rule.contains("*/mills/*"), "{rule}");
    let mut deep = 0;
    for url in readable(&engine) {
        let depth = engine.why(&url).unwrap().remove(0).depth;
        assert!(depth <= 1, "{url} is {depth} links away");
        for link in engine.get(&url).unwrap().unwrap().links().unwrap() {
            let known = engine.why(&link).unwrap().pop();
            deep += usize::from(
                known.is_some_and(|known| known.reason == Reason::TooDeep { depth: 2 }),
            );
        }
    }
    assert!(deep > 0, "no link was too deep");
}
