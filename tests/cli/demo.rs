//! `gristmill demo` does the whole job.

use crate::program::{Data, exists, run};

#[test]
fn the_demo_prints_infos_with_their_citations() {
    let output = run(["demo"]).output();
    for expected in [
        "The mill wheel restoration cost 412,000 crowns",
        "/mills/ashgate-wheel.html  bytes ",
        "In the night from 13 to 14 March 1784 an ice dam at Gallen Narrows broke",
        "Restaurierung des Mühlrads kostete 412.000 Kronen",
        "水轮修复共花费四十一万二千克朗",
        "/private/board.html: disallowed by robots.txt: ",
        "/missing.html: the server answered 404",
    ] {
        assert!(output.contains(expected), "{expected} is not in:\n{output}");
    }
}

/// Every cache of the engine is used by what the demo does, and finds what was put in.
#[test]
fn every_cache_shows_hits_after_the_demo() {
    let data = Data::new();
    let output = data.run(&["demo"]).output();
    assert!(output.contains("a second job with the same focus: 0 calls, "), "{output}");
    let copied = "The Harrow Bridge was built between 1611 and 1617 by the mason Tobias Renwick.";
    let facts = data.run(&["infos", "--focus", "arches of the Harrow Bridge", "--json"]).json();
    assert!(facts.iter().any(|info| info["fact"] == copied), "{facts:?}");
    let stats = data.run(&["stats", "--json"]).json().remove(0);
    let parts = stats["parts"].as_object().unwrap();
    let caches: Vec<_> = parts.keys().filter(|part| part.ends_with("_cache")).collect();
    let expected = [
        "content_cache",
        "dns_cache",
        "query_cache",
        "response_cache",
        "robots_cache",
        "template_cache",
    ];
    assert_eq!(caches, expected);
    for name in expected {
        let cache = &parts[name];
        assert!(cache["hits"].as_u64() > Some(0), "{name}: {cache}");
        assert!(cache["weight"].as_u64() <= cache["capacity"].as_u64(), "{name}: {cache}");
    }
    assert_eq!(parts["response_cache"]["hits"], parts["llm"]["memory_hits"]);
    // One focus, which all workers may have met at once.
    assert!(parts["template_cache"]["misses"].as_u64() <= Some(4), "{}", parts["template_cache"]);
}

#[test]
fn the_demo_keeps_its_data_where_it_is_told_to() {
    let data = Data::new();
    data.run(&["demo"]).output();
    assert!(exists(&data.path()));
    let infos = data.run(&["infos", "--focus", "flood of 1784", "--json"]).json();
    assert!(!infos.is_empty());
    for info in infos {
        let url = info["url"].as_str().unwrap();
        let text = data.run(&["get", url, "--as", "text"]).output();
        let (start, end) = (info["span"][0].as_u64().unwrap(), info["span"][1].as_u64().unwrap());
        let passage =
            &text.as_bytes()[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()];
        assert_eq!(passage, info["quote"].as_str().unwrap().as_bytes());
        assert_eq!(info["focus"], "flood of 1784");
    }
}
