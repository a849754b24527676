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

#[test]
fn a_document_can_be_had_in_every_form() {
    let dir = Data::new();
    let html = "<title>Mill</title><main><h1>Mill</h1><p>Rye &amp; <b>oats</b>.<ul><li>one</ul>\
                <table><tr><th>a<th>b<tr><td>c<td>d</table><img src=i.png alt=wheel></main>";
    fs::write(dir.file("a.html"), html).unwrap();
    let path = dir.file("a.html");
    let path = path.to_str().unwrap();
    let extract = |flags: &[&str]| {
        let arguments = [&["extract", path][..], flags].concat();
        run(arguments).output()
    };
    let text = "Mill\n\nRye & oats.\n\none\n\na\tb\n\nc\td";
    assert_eq!(extract(&["--text"]), format!("{text}\n"));
    assert!(extract(&["--markdown"]).starts_with("# Mill\n\nRye & **oats**."));
    assert_eq!(extract(&[]), extract(&["--markdown"]));
    let line: serde_json::Value = serde_json::from_str(&extract(&["--json"])).unwrap();
    let kinds: Vec<_> = line["blocks"].as_array().unwrap().iter().map(|b| &b["kind"]).collect();
    assert_eq!(kinds[0]["heading"], 1);
    assert_eq!(kinds[1..4], ["paragraph", "list_item", "table_row"]);
    let span = &line["blocks"][1]["span"];
    let place = |at: usize| usize::try_from(span[at].as_u64().unwrap()).unwrap();
    let block = &line["text"].as_str().unwrap()[place(0)..place(1)];
    assert_eq!(block, "Rye & oats.");
    assert_eq!(line["truncated"]["text"], false);
    let plain = extract(&["--no-tables", "--no-images", "--remove", "h1", "--text"]);
    assert_eq!(plain, "Rye & oats.\n\none\n");
    assert_eq!(extract(&["--keep", "ul", "--text"]), "one\n");
    let wrong = run(["extract", path, "--keep", "ul > li"]);
    assert_ne!(wrong.status, Some(0));
    assert!(wrong.stderr.contains("ul > li"), "{wrong:?}");
    assert_eq!(run(["extract", path, "--text", "--json"]).status, Some(2));
}
