//! A crawl of the bundled site finds the facts that are known to be in it.

use crate::program::Data;
use crate::support::known_facts::{folded, known_facts, strings};
use crate::support::server::Server;
use crate::support::site::Site;

#[test]
fn the_known_facts_of_the_site_come_out_with_their_pages() {
    let facts = known_facts();
    let focuses = facts["focuses"].as_array().unwrap();
    let server = Server::start(Site::new()).unwrap();
    let (data, url) = (Data::new(), server.url("/"));
    let mut more = vec!["--depth", "6", "--max-pages", "400", "--json"];
    for focus in focuses {
        more.extend(["--focus", focus["focus"].as_str().unwrap()]);
    }
    let report = data.crawl(&url, &more).json().pop().unwrap();
    for key in [
        "pages",
        "bytes",
        "links",
        "infos",
        "failed",
        "skipped",
        "deduplicated",
        "seconds",
        "requests",
        "retries",
    ] {
        assert!(report[key].is_number(), "{key} is missing in {report}");
    }
    for key in ["calls", "cache_hits", "tokens_in", "tokens_out"] {
        assert!(report["llm"][key].is_number(), "llm.{key} is missing in {report}");
    }
    assert!(report["deduplicated"].as_u64() >= Some(1), "{report}");

    let infos = data.run(&["infos", "--json"]).json();
    assert_eq!(report["infos"].as_u64(), Some(infos.len() as u64));
    for focus in focuses {
        for fact in focus["facts"].as_array().unwrap() {
            let sentence = folded(fact["sentence"].as_str().unwrap());
            let pages: Vec<_> =
                strings(&fact["paths"]).into_iter().map(|path| server.url(path)).collect();
            let found = infos.iter().any(|info| {
                info["focus"] == focus["focus"]
                    && pages.iter().any(|page| info["url"] == page.as_str())
                    && folded(info["quote"].as_str().unwrap()).contains(&sentence)
            });
            assert!(found, "{sentence:?} for {} is not in {infos:#?}", focus["focus"]);
        }
    }
    for info in &infos {
        for hidden in strings(&facts["never_quoted"]) {
            assert!(!info["quote"].as_str().unwrap().contains(hidden), "{info}");
        }
    }
    for path in strings(&facts["never_fetched"]) {
        assert_eq!(server.hits(path), 0, "{path} was fetched");
    }
}

#[test]
fn old_encodings_feeds_and_redirects_are_read() {
    let server = Server::start(Site::new()).unwrap();
    let (data, url) = (Data::new(), server.url("/"));
    data.crawl(&url, &["--exclude", "*/calendar/*", "--exclude", "*/maze/*"]).output();
    for (path, words) in [
        ("/ru/muzey.html", "Музей мельниц открылся 5 мая 1974 года"),
        ("/ru/melnitsa.html", "Реставрация мельничного колеса"),
        ("/ja/suisha.html", "水車の修復には四十一万二千クラウン"),
        ("/zh/shuimo.html", "水轮修复共花费"),
        ("/pl/mlyn.html", "Żelazny wał z 1758 roku"),
        ("/es/harina.html", "«nadie pronunció un discurso»"),
        ("/trade/guild.html", "The guild’s measure"),
        ("/archive/letters.html", "The moths think highly of it."),
        ("/trail/stages/two.html", "an iron bridge of 1873"),
        ("/archive/sitemap-only.html", "only the sitemap names this address"),
        ("/old/mill.html", "the widow Hanne Brook"),
        ("/private/opening-day.html", "The season begins on 1 April 2027"),
    ] {
        let text = data.run(&["get", &server.url(path), "--as", "text"]).output();
        assert!(text.contains(words), "{path}: {text}");
    }
    let why = data.run(&["why", &server.url("/private/board.html")]).output();
    assert!(why.contains("robots.txt") && why.contains("/private/"), "{why}");
    assert_eq!(server.hits("/archive/behind-nofollow.html"), 0);
}
