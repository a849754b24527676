//! Ctrl-C, resuming, and readers that leave.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::program::{Data, NEVER, Running, crawl_line, page};
use crate::support::PATIENCE;
use crate::support::scripted::Scripted;
use crate::support::server::{Fault, Response, Server};

const PAGES: usize = 12;

/// A start page and pages that it links to, of which the last ones are late.
fn site(late: usize) -> Scripted {
    let links: Vec<_> = (0..PAGES).map(|number| format!("/{number}")).collect();
    let script = Scripted::new().on("/", Response::html(&page("Start", "The start", &links)));
    for (number, link) in links.iter().enumerate() {
        let title = format!("Page {number}");
        let text = format!("The wheel number {number} of the mill has {} boards", number * 7 + 3);
        let answer = Response::html(&page(&title, &text, &[]));
        script.add(link, if number < PAGES - late { answer } else { answer.delayed(NEVER) });
    }
    script
}

#[test]
#[cfg(unix)]
fn an_interrupted_crawl_ends_cleanly_and_the_same_command_goes_on() {
    let script = site(1);
    let server = Server::start(script.clone()).unwrap();
    let (data, url) = (Data::new(), server.url("/"));
    let line = crawl_line(&url, &["--json"]);
    let crawl = Running::start(data.command(&line));
    // robots.txt, the start and all pages but the late one.
    assert!(server.wait_for(1 + PAGES + 1 - 1, PATIENCE));
    crawl.signal("INT");
    let stopped = crawl.finish();
    assert_eq!(stopped.status, Some(130), "{stopped:?}");
    let last = stopped.stdout.lines().last().unwrap();
    let report: serde_json::Value = serde_json::from_str(last).unwrap();
    let before = report["pages"].as_u64().unwrap();
    assert!(before <= PAGES as u64, "{report}");

    let last = format!("/{}", PAGES - 1);
    script.replace(&last, Response::html(&page("Late", "The last wheel", &[])));
    let report = data.run(&line).json().pop().unwrap();
    assert_eq!(report["pages"].as_u64(), Some(PAGES as u64 + 1), "{report}");
    assert_eq!(server.hits("/"), 1, "a stored page was fetched again");
    assert_eq!(data.run(&["pages"]).output().lines().count(), PAGES + 1);
}

#[test]
#[cfg(unix)]
fn a_second_interrupt_ends_at_once() {
    let server = Server::start(site(PAGES)).unwrap();
    let (data, url) = (Data::new(), server.url("/"));
    let crawl = Running::start(data.command(&crawl_line(&url, &[])));
    assert!(server.wait_for(2, PATIENCE));
    crawl.signal("INT");
    crawl.signal("INT");
    assert_eq!(crawl.finish().status, Some(130));
}

#[test]
#[cfg(unix)]
fn a_killed_crawl_asks_again_only_for_what_was_not_stored() {
    // A chain, whose last page is never complete: the crawl cannot have ended when it is killed.
    let script = Scripted::new();
    for number in 0..PAGES {
        let (this, next) = (format!("/{number}"), format!("/{}", number + 1));
        let text = format!("The wheel number {number} has {} boards", number * 7 + 3);
        script.add(&this, Response::html(&page(&this, &text, &[next])));
    }
    let last = format!("/{PAGES}");
    script.add(&last, Response::html("late").broken(Fault::Stall));
    let server = Server::start(script.clone()).unwrap();
    let (data, url) = (Data::new(), server.url("/0"));
    data.crawl(&url, &["--max-pages", "4"]).output();
    let requests = server.requests();
    let crawl = Running::start(data.command(&crawl_line(&url, &[])));
    // robots.txt, the other pages, and the head of the last answer, which never gets a body.
    assert!(server.wait_for(requests + 1 + (PAGES - 4) + 1, PATIENCE));
    crawl.kill();
    let stored = data.run(&["pages"]).output();
    let stored = |number: &usize| stored.contains(&(server.url(&format!("/{number}")) + "  "));
    assert!((0..4).all(|number| stored(&number)), "what a run had acknowledged is lost");
    script.replace(&last, Response::html(&page("Late", "The last wheel", &[])));
    let report = data.crawl(&url, &["--json"]).json().pop().unwrap();
    assert_eq!(report["pages"].as_u64(), Some(PAGES as u64 + 1), "{report}");
    let again: Vec<_> = (0..PAGES).filter(|n| server.hits(&format!("/{n}")) > 1).collect();
    let missing: Vec<_> = (0..PAGES).filter(|number| !stored(number)).collect();
    assert_eq!(again, missing, "fetched again, and not stored when killed");
}

#[test]
fn budgets_end_a_run_and_the_next_goes_on() {
    let server = Server::start(site(0)).unwrap();
    let (data, url) = (Data::new(), server.url("/"));
    let report = data.crawl(&url, &["--json", "--max-pages", "3"]).json().pop().unwrap();
    assert_eq!(report["pages"].as_u64(), Some(3), "{report}");
    let report = data.crawl(&url, &["--json"]).json().pop().unwrap();
    assert_eq!(report["pages"].as_u64(), Some(PAGES as u64 + 1), "{report}");
}

#[test]
#[cfg(unix)]
fn a_reader_that_leaves_is_no_error() {
    let server = Server::start(site(0)).unwrap();
    let (data, url) = (Data::new(), server.url("/"));
    data.crawl(&url, &["--focus", "wheel of the mill"]).output();
    for line in [&["pages", "--json"][..], &["infos"], &["config"], &["stats", "--json"]] {
        // A pipe without a reader from the start.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = data.command(line);
        command.stdout(writer);
        let finished = Running::start(command).finish();
        assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""), "{line:?}");
    }
    let mut command = data.command(&["pages"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains(&url), "{first}");
    assert!(child.wait().unwrap().success());
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_under_the_output_is_an_error() {
    let mut command = crate::program::gristmill(["config"]);
    command.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let line = Running::start(command).finish().complaint(1);
    assert!(line.contains("cannot write the results"), "{line}");
}
