//! The commands that read: their forms agree with one another.

use crate::program::{Data, Running, crawl_line, page};
use crate::support::PATIENCE;
use crate::support::scripted::Scripted;
use crate::support::server::{Response, Server};

const TEXT: &str = "The restored wheel of \"Ashgate\", the largest in the valley, has 48 boards of \
                    elm; it turns seven times a minute <b>and</b> grinds, again, two tonnes a day.";

fn crawled() -> (Server, Data, String) {
    let script = Scripted::new()
        .on("/", Response::html(&page("Wheel", TEXT, &["/b".to_owned()])))
        .on("/b", Response::html(&page("Other", "Nothing of note stands here.", &[])));
    let server = Server::start(script).unwrap();
    let (data, url) = (Data::new(), server.url("/"));
    data.crawl(&url, &["--focus", "restored wheel", "--focus", "largest boards"]).output();
    (server, data, url)
}

#[test]
fn infos_have_the_same_facts_in_every_form() {
    let (_server, data, url) = crawled();
    let infos = data.run(&["infos", "--json"]).json();
    assert!(!infos.is_empty());
    for info in &infos {
        for key in ["fact", "url", "quote", "span", "focus", "grounding"] {
            assert!(!info[key].is_null(), "{key} is missing in {info}");
        }
    }
    let csv = data.run(&["infos", "--csv"]).output();
    let mut table = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<_> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), infos.len());
    for (row, info) in rows.iter().zip(&infos) {
        assert_eq!((&row[0], &row[1]), (info["fact"].as_str().unwrap(), url.as_str()));
        assert_eq!(row[3], info["span"][0].to_string());
    }
    let markdown = data.run(&["infos", "--markdown"]).output();
    assert!(markdown.contains("## restored wheel"), "{markdown}");
    assert!(markdown.contains(&format!("([source](<{url}>))")), "{markdown}");
    assert!(data.run(&["infos"]).output().contains("48 boards"));
    let focused = data.run(&["infos", "--json", "--focus", "restored wheel"]).json();
    assert!(!focused.is_empty() && focused.len() < infos.len());
    assert!(focused.iter().all(|info| info["focus"] == "restored wheel"));
    assert!(data.run(&["infos", "--json", "--focus", "none"]).json().is_empty());
    assert_eq!(data.run(&["infos", "--json", "--since", "1h"]).json().len(), infos.len());
    assert!(data.run(&["infos", "--quarantined", "--json"]).json().is_empty());
}

#[test]
fn a_page_can_be_had_in_every_form() {
    let (server, data, url) = crawled();
    let raw = data.run(&["get", &url, "--as", "raw"]).output();
    assert_eq!(raw, page("Wheel", TEXT, &["/b".to_owned()]));
    let text = data.run(&["get", &url, "--as", "text"]).output();
    assert!(text.contains("minute and grinds") && !text.ends_with('\n'), "{text:?}");
    assert!(data.run(&["get", &url]).output().contains("# Wheel"));
    let meta = data.run(&["get", &url, "--as", "meta"]).json().pop().unwrap();
    assert_eq!((&meta["title"], &meta["status"]), (&"Wheel".into(), &200.into()));
    assert_eq!(meta["outlinks"][0], server.url("/b"));

    let pages = data.run(&["pages", "--json"]).json();
    assert_eq!(pages.len(), 2);
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    assert_eq!(data.run(&["pages", "--json", "--host", host]).json().len(), 2);
    assert!(data.run(&["pages", "--host", "example.com"]).output().is_empty());
    let listed = |more: &[&str]| -> Vec<String> {
        let pages = data.run(&[&["pages", "--json"], more].concat()).json();
        pages.iter().map(|page| page["url"].as_str().unwrap().to_owned()).collect()
    };
    let other = server.url("/b");
    assert_eq!(listed(&[]), [url.as_str(), other.as_str()]);
    assert_eq!(listed(&["--reverse", "--limit", "1"]), [other.as_str()]);
    assert_eq!(listed(&["--after", &url]), [other.as_str()]);
    assert_eq!(listed(&["--prefix", &other]), [other.as_str()]);
    let line = data.run(&["pages", "--after", &server.url("/none")]).complaint(1);
    assert!(line.contains("is not stored"), "{line}");
    assert!(data.run(&["why", &url]).output().contains("done"));
    assert!(data.run(&["check"]).status == Some(0));
}

#[test]
fn stored_pages_are_extracted_again_without_their_server() {
    let (server, data, url) = crawled();
    drop(server);
    let report = data.crawl(&url, &["--reextract", "--json"]).json().pop().unwrap();
    assert_eq!((&report["pages"], &report["unchanged"]), (&2.into(), &2.into()), "{report}");
    assert_eq!(report["requests"], 0);
    let meta = data.run(&["get", &url, "--as", "meta"]).json().pop().unwrap();
    assert_eq!(meta["extractor"], gristmill::extract::VERSION);
    assert_eq!(meta["truncated"]["links"], false);
}

#[test]
fn stats_can_be_read_beside_a_running_crawl() {
    let script = Scripted::new()
        .on("/", Response::html(&page("Start", "One", &["/slow".to_owned()])))
        .on("/slow", Response::html("late").delayed(crate::program::NEVER));
    let server = Server::start(script).unwrap();
    let (data, url) = (Data::new(), server.url("/"));
    data.crawl(&server.url("/other"), &[]).complaint(1);
    let holder = Running::start(data.command(&crawl_line(&url, &[])));
    assert!(server.wait_for(4, PATIENCE));
    assert!(data.run(&["stats"]).output().contains("store"));
    assert!(data.run(&["stats", "--json"]).json().pop().unwrap()["pid"].is_number());
    let metrics = data.run(&["stats", "--prometheus"]).output();
    assert!(metrics.lines().any(|line| line.starts_with("gristmill_store_")), "{metrics}");
    holder.kill();
}

#[test]
fn stats_after_a_crawl_are_its_figures_whoever_reads_meanwhile() {
    let (_server, data, _) = crawled();
    data.run(&["infos"]).output();
    data.run(&["pages"]).output();
    let stats = data.run(&["stats", "--json"]).json().pop().unwrap();
    assert_eq!(stats["runs"][0][1]["pages"].as_u64(), Some(2), "{stats}");
}

#[test]
fn a_finished_job_revalidates_and_a_fresh_one_forgets() {
    let (server, data, url) = crawled();
    let before = server.hits("/b");
    let report = data.crawl(&url, &["--json"]).json().pop().unwrap();
    assert_eq!(report["pages"].as_u64(), Some(2), "{report}");
    assert_eq!(server.hits("/b"), before + 1);
    let report = data.crawl(&url, &["--json", "--fresh"]).json().pop().unwrap();
    assert_eq!(report["pages"].as_u64(), Some(2), "{report}");
    assert_eq!(server.hits("/b"), before + 2);
}
