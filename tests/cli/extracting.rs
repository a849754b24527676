//! `gristmill extract` works on files alone.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use crate::program::{Data, gristmill, page, run};

#[test]
fn a_directory_gives_one_line_a_document() {
    let dir = Data::new();
    fs::create_dir(dir.file("sub")).unwrap();
    let first = page("First", "The first document of the folder.", &["next".to_owned()]);
    fs::write(dir.file("a.html"), first).unwrap();
    // ISO-8859-1, declared in the document.
    let mut second = b"<meta charset=iso-8859-1><title>Zweite M".to_vec();
    second.extend(b"\xfchle</title><p>Die zweite M\xfchle mahlt noch heute.</p>");
    fs::write(dir.file("sub/b.htm"), second).unwrap();
    fs::write(dir.file("c.png"), b"\x89PNG").unwrap();
    let path = dir.file(".");
    let path = path.to_str().unwrap();
    let lines = run(["extract", path, "--json", "--url", "https://example.com/x/"]).json();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0]["title"], "First");
    assert!(lines[0]["path"].as_str().unwrap().ends_with("a.html"));
    assert!(lines[0]["text"].as_str().unwrap().contains("The first document"));
    assert!(lines[0]["markdown"].as_str().unwrap().contains("# First"));
    assert_eq!(lines[0]["links"][0]["url"], "https://example.com/x/next");
    assert_eq!(lines[1]["title"], "Zweite Mühle");
    assert!(lines[1]["text"].as_str().unwrap().contains("Die zweite Mühle mahlt"));
}

#[test]
fn standard_input_is_a_document() {
    let mut child = gristmill(["extract", "-", "--json"]).stdin(Stdio::piped()).spawn().unwrap();
    let text = page("Piped", "From the pipe.", &[]);
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&line["path"], &line["title"]), (&"-".into(), &"Piped".into()));
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_is_done() {
    let dir = Data::new();
    fs::write(dir.file("a.html"), page("Good", "It is here.", &[])).unwrap();
    let (good, missing) = (dir.file("a.html"), dir.file("none.html"));
    let finished = run(["extract", missing.to_str().unwrap(), good.to_str().unwrap()]);
    assert_eq!(finished.status, Some(1));
    assert!(finished.stdout.contains("It is here."), "{finished:?}");
    assert!(finished.stderr.contains("none.html"), "{finished:?}");
}
