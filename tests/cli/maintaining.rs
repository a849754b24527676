//! The commands that look after the store: `check`, `compact` and `backup`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{Data, Finished, Running, exists, gristmill, page};
use crate::support::scripted::Scripted;
use crate::support::server::{Response, Server};

/// Long enough for a record of its own.
const TEXT: &str = "The weir of Ashgate was rebuilt in 1911 from oak, and its sluice has been opened \
                    by hand ever since. In the flood of 1953 it held for nine hours, which is why \
                    the lower town, as the plaque on the bridge says, still has its market hall and \
                    the two rows of limes in front of it.";

fn crawled(script: &Scripted) -> (Server, Data, String) {
    script.replace("/", Response::html(&page("Weir", TEXT, &[])));
    let server = Server::start(script.clone()).unwrap();
    let (data, url) = (Data::new(), server.url("/"));
    data.crawl(&url, &["--focus", "weir sluice"]).output();
    (server, data, url)
}

/// Runs a command on a directory other than that of `Data`.
fn on(dir: &Path, line: &[&str]) -> Finished {
    let mut command = gristmill(line);
    command.arg("--data").arg(dir);
    Running::start(command).finish()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "segment")).collect()
}

#[test]
fn a_store_without_damage_is_told_as_clean() {
    let (_server, data, _) = crawled(&Scripted::new());
    let text = data.run(&["check"]).output();
    assert!(text.contains(" 0 problems"), "{text}");
    let report = data.run(&["check", "--json"]).json().pop().unwrap();
    assert_eq!((&report["problem_count"], &report["problems"]), (&0.into(), &[0; 0][..].into()));
    assert!(report["keys"].as_u64() > Some(0) && report["records"].as_u64() > Some(0), "{report}");
}

#[test]
fn a_flipped_byte_is_found_and_ends_with_status_1() {
    let (_server, data, _) = crawled(&Scripted::new());
    let (words, mut flipped) = (b"nine hours".as_slice(), 0);
    for path in segments(&data.path()) {
        let mut bytes = fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(words.len()).position(|part| part == words) {
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            flipped += 1;
        }
    }
    assert_eq!(flipped, 1);
    let finished = data.run(&["check"]);
    assert!(finished.stdout.contains(".segment at byte "), "{finished:?}");
    let line = finished.complaint(1);
    assert!(line.contains(data.path().to_str().unwrap()) && line.contains("damaged"), "{line}");
    let finished = data.run(&["check", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(report["problems"].as_array().unwrap().len(), 1, "{report}");
    assert!(report["problems"][0]["path"].as_str().unwrap().ends_with(".segment"), "{report}");
    finished.complaint(1);
}

#[test]
fn compacting_gives_space_back_and_leaves_the_rest() {
    let large = page("Weir", &format!("{TEXT} {}", "more ".repeat(100_000)), &[]);
    let script = Scripted::new()
        .on("/", Response::html(&large))
        .on("/kept", Response::html(&page("Weir", TEXT, &[])));
    let server = Server::start(script.clone()).unwrap();
    let (data, url, kept) = (Data::new(), server.url("/"), server.url("/kept"));
    data.crawl(&url, &[&kept]).output();
    script.replace("/", Response::html(&page("Weir", "It is gone.", &[])));
    data.crawl(&url, &[]).output();
    let report = data.run(&["compact", "--json"]).json().pop().unwrap();
    let [before, after] =
        ["bytes_before", "bytes_after"].map(|field| report[field].as_u64().unwrap());
    assert!(before > 1_000_000 && after < before / 4, "{report}");
    let used: u64 = segments(&data.path()).iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(used < before / 4, "{used} bytes of segments after {report}");
    assert!(data.run(&["get", &url, "--as", "text"]).output().contains("It is gone."));
    assert!(data.run(&["get", &kept, "--as", "text"]).output().contains("nine hours"));
    data.run(&["check"]).output();
    assert!(data.run(&["compact"]).output().contains(" bytes of segments before"));
}

#[test]
fn a_backup_is_a_directory_like_the_first_and_takes_no_place_that_is_taken() {
    let (_server, data, url) = crawled(&Scripted::new());
    let copy = data.file("copies/first");
    let path = copy.to_str().unwrap();
    let report = data.run(&["backup", path, "--json"]).json().pop().unwrap();
    assert!(report["segments"].as_u64() > Some(0) && report["bytes"].as_u64() > Some(0));
    for line in [&["infos", "--json"][..], &["pages", "--json"], &["get", &url, "--as", "raw"]] {
        let first = data.run(line).output();
        assert!(!first.is_empty());
        assert_eq!(on(&copy, line).output(), first, "{line:?}");
    }
    on(&copy, &["check"]).output();
    // Where a store is already, the copy's own or the first, nothing is copied over it.
    for taken in [path, data.path().to_str().unwrap()] {
        let line = data.run(&["backup", taken]).complaint(1);
        assert!(line.contains(taken) && line.contains("directory of its own"), "{line}");
    }
    let text = data.run(&["backup", data.file("copies/second").to_str().unwrap()]).output();
    assert!(text.contains("copied to"), "{text}");
    data.run(&["check"]).output();
}

#[test]
fn a_directory_of_something_else_is_left_as_it_is() {
    let data = Data::new();
    fs::create_dir(data.path()).unwrap();
    fs::write(data.path().join("letter"), "dear").unwrap();
    let copy = data.file("copy");
    for line in [&["check"][..], &["compact"], &["backup", copy.to_str().unwrap()], &["infos"]] {
        let line = data.run(line).complaint(1);
        assert!(line.contains("nothing is stored in"), "{line}");
    }
    assert_eq!(fs::read_dir(data.path()).unwrap().count(), 1);
    assert!(!exists(&copy));
}

#[test]
fn a_backup_below_a_regular_file_is_refused_with_its_path() {
    let (_server, data, _) = crawled(&Scripted::new());
    let file = data.file("file");
    fs::write(&file, "x").unwrap();
    let target = file.join("copy");
    let line = data.run(&["backup", target.to_str().unwrap()]).complaint(1);
    assert!(line.contains(target.to_str().unwrap()), "{line}");
}
