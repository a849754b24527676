//! What goes wrong is told on one line, with the right exit status.

use std::fs;
use std::net::TcpListener;

use crate::program::{Data, Running, crawl_line, exists, gristmill, page, run};
use crate::support::scripted::Scripted;
use crate::support::server::{Response, Server};

#[test]
fn usage_errors_end_with_status_2() {
    for (line, part) in [
        (&["crawl"][..], "required"),
        (&["crawl", "not a url"], "not a url"),
        (&["crawl", "example.com"], "https://example.com"),
        (&["crawl", "ftp://example.com/"], "ftp"),
        (&["crawl", "https://example.com/", "--delay", "soon"], "soon"),
        (&["crawl", "https://example.com/", "--per-host", "0"], "per_host"),
        (&["crawl", "https://example.com/", "--no-such-flag"], "--no-such-flag"),
        (&["crawl", "https://example.com/", "--header", "none"], "Name: value"),
        (&["infos", "--json", "--csv"], "--csv"),
        (&["grind"], "grind"),
        (&["get", "https://example.com/", "--as", "pdf"], "pdf"),
    ] {
        let line = run(line).complaint(2);
        assert!(line.contains(part), "{part} is not in {line}");
    }
    assert_eq!(run::<&str>([]).status, Some(2));
}

#[test]
fn help_and_version_are_no_errors() {
    assert!(run(["--help"]).output().contains("crawl"));
    assert!(run(["crawl", "--help"]).output().contains("--max-pages"));
    assert!(run(["--version"]).output().starts_with("gristmill "));
}

#[test]
fn a_host_that_nobody_serves_is_named_with_its_reason() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let (data, url) = (Data::new(), format!("http://{address}/"));
    let config = data.file("once.toml");
    fs::write(&config, "[crawl]\nmax_attempts = 1\n").unwrap();
    let line = data.crawl(&url, &["--config", config.to_str().unwrap()]).complaint(1);
    assert!(line.contains(&url) && line.contains("refused"), "{line}");
}

#[test]
fn a_private_address_is_refused_unless_allowed() {
    let server = Server::start(Scripted::new().on("/", Response::html("<p>inside"))).unwrap();
    let (data, url) = (Data::new(), server.url("/"));
    let line = data.run(&["crawl", &url, "--delay", "0s"]).complaint(1);
    assert!(line.contains("127.0.0.1") && line.contains("--allow-private"), "{line}");
    assert_eq!(server.requests(), 0);
    data.crawl(&url, &[]).output();
}

#[test]
fn a_data_path_below_a_regular_file_is_named() {
    let data = Data::new();
    let file = data.file("file");
    fs::write(&file, "x").unwrap();
    let path = file.join("data");
    for line in [&["crawl", "https://example.com/"][..], &["infos"], &["stats"]] {
        let finished = Running::start({
            let mut command = gristmill(line);
            command.arg("--data").arg(&path);
            command
        })
        .finish();
        let line = finished.complaint(1);
        assert!(line.contains(path.to_str().unwrap()), "{line}");
    }
}

#[test]
fn reading_where_nothing_is_stored_says_so_and_makes_nothing() {
    let data = Data::new();
    let url = "https://example.com/";
    let copy = data.file("copy");
    for line in [
        &["infos"][..],
        &["pages"],
        &["get", url],
        &["why", url],
        &["stats"],
        &["check"],
        &["compact"],
        &["backup", copy.to_str().unwrap()],
    ] {
        let line = data.run(line).complaint(1);
        assert!(line.contains("nothing is stored in"), "{line}");
    }
    assert!(!exists(&data.path()) && !exists(&copy));
}

#[test]
#[cfg(unix)]
fn a_directory_that_may_not_be_written_is_named() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::os::unix::process::CommandExt as _;

    const NOBODY: u32 = 65_534;
    let data = Data::new();
    fs::set_permissions(data.file("."), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(data.path()).unwrap();
    fs::set_permissions(data.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let mut command = data.command(&["crawl", "https://example.com/"]);
    if fs::metadata(data.path()).unwrap().uid() == 0 {
        // Root may write everywhere, so the child must not be root. The binary may lie where only
        // root can go; a copy beside the data can be run by all.
        let copy = data.file("gristmill");
        fs::copy(env!("CARGO_BIN_EXE_gristmill"), &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        let mut dropped = std::process::Command::new(&copy);
        dropped.args(command.get_args()).current_dir("/").uid(NOBODY).gid(NOBODY);
        dropped.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command = dropped;
    }
    let line = Running::start(command).finish().complaint(1);
    assert!(line.contains(data.path().to_str().unwrap()), "{line}");
    assert!(line.to_lowercase().contains("permission denied"), "{line}");
}

#[test]
fn a_directory_in_use_names_its_holder() {
    let script = Scripted::new()
        .on("/", Response::html(&page("Start", "One", &["/slow".to_owned()])))
        .on("/slow", Response::html("late").delayed(crate::program::NEVER));
    let server = Server::start(script).unwrap();
    let (data, url) = (Data::new(), server.url("/"));
    let holder = Running::start(data.command(&crawl_line(&url, &[])));
    // The robots.txt and the first page are answered, so the directory is open.
    assert!(server.wait_for(2, crate::support::PATIENCE));
    let copy = data.file("copy");
    for line in [
        &crawl_line(&url, &[])[..],
        &["infos"],
        &["pages"],
        &["check"],
        &["compact"],
        &["backup", copy.to_str().unwrap()],
    ] {
        let line = data.run(line).complaint(1);
        assert!(line.contains(&format!("process {}", holder.id())), "{line}");
    }
    assert!(!exists(&copy));
    holder.kill();
    data.run(&["pages"]).output();
}

#[test]
fn a_wrong_configuration_is_told_with_file_and_line() {
    let data = Data::new();
    let config = data.file("mill.toml");
    let path = config.to_str().unwrap();
    for (text, parts) in [
        ("[crawl]\ndelay = \n", &["mill.toml", "line 2"][..]),
        ("[crawl]\n\ndelai = \"1s\"\n", &["mill.toml", "line 3", "delai"]),
        ("[crawl]\nper_host = 0\n", &["crawl.per_host"]),
        ("[crwal]\n", &["mill.toml", "crwal"]),
    ] {
        fs::write(&config, text).unwrap();
        for command in [&["config", "--config", path][..], &["infos", "--config", path]] {
            let line = data.run(command).complaint(1);
            for part in parts {
                assert!(line.contains(part), "{part} is not in {line}");
            }
        }
    }
    let missing = data.file("none.toml");
    let line = run(["config", "--config", missing.to_str().unwrap()]).complaint(1);
    assert!(line.contains("none.toml"), "{line}");
}

#[test]
fn the_effective_configuration_is_printed_and_can_be_read_back() {
    let data = Data::new();
    let config = data.file("mill.toml");
    fs::write(&config, "[crawl]\nper_host = 3\n").unwrap();
    let mut command = gristmill(["config", "--config", config.to_str().unwrap()]);
    command.env("GRISTMILL_CRAWL_DELAY", "250ms");
    let printed = Running::start(command).finish().output();
    assert!(printed.contains("per_host = 3") && printed.contains("delay = \"250ms\""), "{printed}");
    fs::write(&config, &printed).unwrap();
    assert_eq!(run(["config", "--config", config.to_str().unwrap()]).output(), printed);
    let mut command = gristmill(["config"]);
    command.env("GRISTMILL_CRAWL_DELAI", "1s");
    let line = Running::start(command).finish().complaint(1);
    assert!(line.contains("GRISTMILL_CRAWL_DELAI"), "{line}");
}

#[test]
fn a_missing_key_names_its_variable() {
    let data = Data::new();
    let variable = "MILL_TEST_KEY_THAT_IS_NOT_SET";
    let line = data
        .crawl(
            "http://127.0.0.1:9/",
            &["--llm-url", "http://127.0.0.1:9/v1", "--model", "m", "--api-key-env", variable],
        )
        .complaint(1);
    assert!(line.contains(variable), "{line}");
}

#[test]
fn a_schema_that_is_no_json_is_told() {
    let data = Data::new();
    let schema = data.file("fields.json");
    fs::write(&schema, "{\n\"type\": }").unwrap();
    let schema = schema.to_str().unwrap();
    let line =
        data.crawl("http://127.0.0.1:9/", &["--focus", "x", "--schema", schema]).complaint(1);
    assert!(line.contains("fields.json") && line.contains("line 2"), "{line}");
    data.crawl("http://127.0.0.1:9/", &["--schema", schema]).complaint(2);
}

#[test]
fn what_is_not_stored_is_no_page() {
    let server = Server::start(Scripted::new().on("/", Response::html("<p>here"))).unwrap();
    let (data, url) = (Data::new(), server.url("/"));
    data.crawl(&url, &[]).output();
    let other = server.url("/other");
    assert!(data.run(&["get", &other]).complaint(1).contains(&other));
    assert!(data.run(&["why", &other]).complaint(1).contains(&other));
}
