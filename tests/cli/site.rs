//! The bundled site and its server do what the other tests rely on.

use std::collections::{BTreeSet, VecDeque};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::directory::Directory;
use crate::support::scripted::Scripted;
use crate::support::server::{Fault, Request, Response, Server};
use crate::support::site::Site;

/// Sends raw requests on one connection that the last of them closes; gives everything back.
fn exchange(server: &Server, requests: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(requests.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(server: &Server, path: &str) -> String {
    exchange(server, &format!("GET {path} HTTP/1.1\r\nHost: mill\r\nConnection: close\r\n\r\n"))
}

/// Paths of the links of an HTML page, without other hosts.
fn links(page: &str, path: &str) -> Vec<String> {
    let base = url::Url::parse("http://mill").unwrap().join(path).unwrap();
    let base = match page.split("<base href=\"").nth(1) {
        Some(rest) => base.join(rest.split('"').next().unwrap()).unwrap(),
        None => base,
    };
    page.replace("<base href", "")
        .split("href=\"")
        .skip(1)
        .filter_map(|rest| base.join(rest.split('"').next()?).ok())
        .filter(|url| url.host_str() == Some("mill"))
        .map(|url| url.path().to_owned())
        .collect()
}

#[test]
fn every_link_of_the_site_leads_where_it_should() {
    let server = Server::start(Site::new()).unwrap();
    let (mut queue, mut seen) = (VecDeque::from(["/".to_owned()]), BTreeSet::new());
    let mut pages = 0;
    while let Some(path) = queue.pop_front() {
        let endless = path.starts_with("/calendar/") || path.starts_with("/maze/");
        if endless || !seen.insert(path.clone()) {
            continue;
        }
        let answer = get(&server, &path);
        let expected = match path.as_str() {
            "/missing.html" => "404",
            "/broken/catalogue.html" => "500",
            "/old/mill.html" | "/old/ashgate" => "301",
            "/wheel" | "/loop/a" | "/loop/b" => "302",
            _ => "200",
        };
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{path}: {answer:.200}");
        pages += usize::from(answer.contains("text/html") && expected == "200");
        queue.extend(links(&answer, &path));
    }
    assert!((50..=80).contains(&pages), "{pages} pages");
    for path in ["/private/board.html", "/archive/behind-nofollow.html", "/feeds/atom.xml"] {
        assert!(seen.contains(path), "{path} is not linked");
    }
    assert!(!seen.contains("/archive/sitemap-only.html") && !seen.contains("/trail/one.html"));
    assert!(get(&server, "/sitemap.xml").contains("<loc>http://mill/archive/sitemap-only.html<"));
}

#[test]
fn traps_go_on_for_ever_and_the_large_page_is_large() {
    let server = Server::start(Site::new()).unwrap();
    let december = get(&server, "/calendar/2026/12.html");
    assert!(december.contains("/calendar/2027/01.html"), "{december}");
    let plate = get(&server, "/maze/north/further/?turned=yes");
    assert!(plate.contains("href=\"further/\""), "{plate}");
    assert!(plate.contains("href=\"?turned=yes&turned=yes\""), "{plate}");
    let ledger = get(&server, "/archive/toll-ledger.html");
    assert!((900_000..1_300_000).contains(&ledger.len()), "{}", ledger.len());
}

#[test]
fn old_encodings_go_over_the_wire() {
    let server = Server::start(Site::new()).unwrap();
    let raw = |path: &str| {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    };
    let has = |path: &str, bytes: &[u8]| raw(path).windows(bytes.len()).any(|part| part == bytes);
    assert!(has("/ru/muzey.html", b"\xcc\xf3\xe7\xe5\xe9"), "windows-1251");
    assert!(has("/ja/suisha.html", b"\x90\x85\x8e\xd4"), "Shift_JIS");
    assert!(has("/zh/shuimo.html", b"\xcb\xae\xc4\xa5"), "GB18030");
    assert!(has("/pl/mlyn.html", b"\xff\xfe<\0!\0"), "UTF-16 with a byte order mark");
    assert!(has("/es/harina.html", b"alcanz\xf3"), "ISO-8859-1");
}

#[test]
fn one_connection_serves_many_requests_and_heads_have_no_body() {
    let server = Server::start(Site::new()).unwrap();
    let answer = exchange(
        &server,
        "GET /short.html HTTP/1.1\r\nHost: a\r\n\r\n\
         HEAD /short.html HTTP/1.1\r\nHost: a\r\n\r\n\
         GET /wheel HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 3, "{answer}");
    assert_eq!(answer.matches("Closed on Mondays.").count(), 1, "{answer}");
    assert_eq!(server.connections().total, 1);
    let log = server.stop();
    assert_eq!(log.iter().map(|line| line.status).collect::<Vec<_>>(), [200, 200, 302]);
    assert!(log.iter().all(|line| line.connection == 1));
}

#[test]
fn requests_are_read_whole_and_what_is_no_request_gets_400() {
    let echo = |request: &Request| {
        let agent = request.header("USER-AGENT").unwrap_or("nobody");
        let text = String::from_utf8_lossy(&request.body);
        Response::html(&format!("{} {} {agent} {text}", request.method(), request.path()))
    };
    let server = Server::start(echo).unwrap();
    let answer = exchange(
        &server,
        "POST /a?b HTTP/1.1\r\nuser-agent:  mill \r\ncontent-length: 4\r\n\r\nbody\
         GET /c HTTP/1.0\r\nconnection: Close\r\n\r\nGET /d HTTP/1.1\r\n\r\n",
    );
    assert!(answer.contains("\r\n\r\nPOST /a mill bodyHTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nGET /c nobody "), "{answer}");
    let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(64 * 1024));
    for bad in [
        "GET /\r\n\r\n",
        "GET / SPDY/3\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: ten\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
        &long[..64 * 1024],
    ] {
        let answer = exchange(&server, bad);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{bad:.60}: {answer}");
    }
    assert_eq!(server.requests(), 2);
}

#[test]
fn an_unchanged_page_is_answered_with_304() {
    let server = Server::start(Site::new()).unwrap();
    let first = get(&server, "/about.html");
    let etag = first.split("ETag: ").nth(1).unwrap().split('\r').next().unwrap();
    let again = exchange(
        &server,
        &format!("GET /about.html HTTP/1.1\r\nIf-None-Match: {etag}\r\nConnection: close\r\n\r\n"),
    );
    assert!(again.starts_with("HTTP/1.1 304 ") && again.ends_with("\r\n\r\n"), "{again}");
}

#[test]
fn faults_and_scripts_are_what_they_say() {
    let script = Scripted::new()
        .on("/busy", Response::status(503).with("Retry-After", "1"))
        .on("/busy", Response::html("<p>ready</p>"))
        .on("/cut", Response::html("0123456789").broken(Fault::CutBody(4)))
        .on("/closed", Response::status(200).broken(Fault::Close))
        .on("/garbage", Response::status(200).broken(Fault::Garbage));
    let server = Server::start(script.clone()).unwrap();
    assert!(get(&server, "/busy").starts_with("HTTP/1.1 503 "));
    assert!(get(&server, "/busy").ends_with("ready</p>"));
    assert!(get(&server, "/busy").ends_with("ready</p>"));
    let cut = get(&server, "/cut");
    assert!(cut.contains("Content-Length: 10") && cut.ends_with("\r\n\r\n0123"), "{cut}");
    assert_eq!(get(&server, "/closed"), "");
    assert!(get(&server, "/garbage").contains("not HTTP"));
    assert!(get(&server, "/else").starts_with("HTTP/1.1 404 "));
    assert!(server.wait_for(7, PATIENCE));
    assert_eq!((server.hits("/busy"), server.requests()), (3, 7));
    script.replace("/busy", Response::status(429));
    assert!(get(&server, "/busy").starts_with("HTTP/1.1 429 "));
}

#[test]
fn stopping_ends_stalled_and_late_answers_at_once() {
    let late = |_: &Request| Response::status(200).delayed(Duration::from_hours(1));
    let server = Server::start(late).unwrap();
    let mut waiting = TcpStream::connect(server.address()).unwrap();
    waiting.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let idle = TcpStream::connect(server.address()).unwrap();
    let before = Instant::now();
    drop(server);
    assert!(before.elapsed() < PATIENCE, "stopping waited for its connections");
    assert_eq!(waiting.read(&mut [0; 8]).unwrap_or(0), 0);
    drop(idle);
}

#[test]
fn a_directory_is_served_and_not_left() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("a b")).unwrap();
    std::fs::write(dir.path().join("a b/index.html"), "<p>inside</p>").unwrap();
    let server = Server::start(Directory::new(dir.path())).unwrap();
    assert!(get(&server, "/a%20b/").ends_with("<p>inside</p>"));
    assert!(get(&server, "/a%20b").contains("Location: /a%20b/\r\n"));
    assert!(get(&server, "/%2e%2e/etc/passwd").starts_with("HTTP/1.1 404 "));
}
