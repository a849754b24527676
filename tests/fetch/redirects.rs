//! Redirects are followed by the fetcher, each hop told with its true status.

use gristmill::cancel::CancelToken;
use gristmill::fetch::{ExchangeRequest, FetchError, FetchOptions, Fetcher};
use gristmill::model::Reason;
use gristmill::time::{ManualClock, Timestamp};

use crate::server::{Server, local, with_header};

/// Answers by the path of the request.
fn site(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Server {
    Server::new(move |peer| {
        while let Some(header) = peer.request() {
            let path = header.split(' ').nth(1).unwrap().to_owned();
            if !peer.send(&answer(&path)) {
                return;
            }
        }
    })
}

fn redirect(status: &str, location: &str) -> Vec<u8> {
    with_header(status, &format!("Location: {location}\r\n"), b"moved")
}

fn fetcher() -> Fetcher {
    let clock = ManualClock::new(Timestamp(77));
    Fetcher::new(local().build().unwrap(), FetchOptions { clock, ..FetchOptions::default() })
}

fn fetch(server: &Server, path: &str) -> Result<gristmill::model::Page, FetchError> {
    fetcher().fetch(server.url(path).as_str(), &CancelToken::new())
}

#[test]
fn hops_are_followed_and_recorded() {
    let server = site(|path| match path {
        "/a" => redirect("301 Moved Permanently", "b?x=1#frag"),
        "/b?x=1" => redirect("302 Found", "/dir/c"),
        "/dir/c" => redirect("303 See Other", "./d"),
        "/dir/d" => {
            redirect("307 Temporary Redirect", "//localhost/ignored/../../e").into_iter().collect()
        }
        _ => with_header("404 Not Found", "Content-Type: text/html\r\n", b"gone"),
    });
    // The last hop leaves for port 80 of localhost, which this test does not own; stop before it.
    let exchange = fetcher()
        .exchange(&ExchangeRequest::new(server.url("/dir/d")), &CancelToken::new())
        .unwrap();
    assert_eq!(exchange.redirect.unwrap().unwrap().as_str(), "http://localhost/e");
    assert_eq!((exchange.status, exchange.body.as_slice()), (307, &b"moved"[..]));
    assert_eq!(exchange.fetched_at, Timestamp(77));

    let server = site(|path| match path {
        "/a" => redirect("301 Moved Permanently", "b?x=1#frag"),
        "/b?x=1" => redirect("302 Found", "/dir/c"),
        "/dir/c" => redirect("308 Permanent Redirect", "./d"),
        _ => with_header("404 Not Found", "Content-Type: text/html\r\n", b"gone"),
    });
    let page = fetch(&server, "/a#top").unwrap();
    assert_eq!((page.status, page.body.as_slice()), (404, &b"gone"[..]));
    assert_eq!(page.url, server.url("/a#top"));
    assert_eq!(page.final_url, server.url("/dir/d"));
    let hops: Vec<_> = page.hops.iter().map(|hop| (hop.url.path(), hop.status)).collect();
    assert_eq!(hops, [("/a", 301), ("/b", 302), ("/dir/c", 308)]);
    assert_eq!(page.hops[0].location, server.url("/b?x=1"));
    assert_eq!((page.hops[0].at, page.fetched_at), (Timestamp(77), Timestamp(77)));
    assert_eq!(server.accepted(), 1);
}

#[test]
fn loops_and_endless_chains_end() {
    let server = site(|path| match path {
        "/self" => redirect("302 Found", "/self"),
        "/a" => redirect("302 Found", "/b"),
        "/b" => redirect("302 Found", "/a#again"),
        other => redirect("302 Found", &format!("{other}x")),
    });
    for path in ["/self", "/a"] {
        let error = fetch(&server, path).unwrap_err();
        assert!(matches!(error, FetchError::RedirectLoop { .. }), "{error:?}");
    }
    let before = server.requests().len();
    let error = fetch(&server, "/x").unwrap_err();
    assert!(matches!(error, FetchError::TooManyRedirects { limit: 10, .. }), "{error:?}");
    assert_eq!(server.requests().len() - before, 11);
    assert!(!error.is_retryable());
}

#[test]
fn bad_locations_are_errors() {
    let server = site(|path| match path {
        "/none" => with_header("302 Found", "", b""),
        "/file" => redirect("302 Found", "file:///etc/passwd"),
        _ => redirect("302 Found", "http://[broken"),
    });
    for path in ["/none", "/file", "/broken"] {
        let error = fetch(&server, path).unwrap_err();
        assert!(matches!(error, FetchError::Redirect { .. }), "{path}: {error:?}");
        assert!(matches!(error.to_reason(), Reason::Failed { .. }));
    }
}

#[test]
fn conditions_are_sent_and_304_is_an_answer() {
    let server = Server::answering("HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n");
    let mut request = ExchangeRequest::new(server.url("/page"));
    request.etag = Some("\"v1\"".into());
    request.last_modified = Some("Sun, 22 Nov 2026 10:00:00 GMT".into());
    request.headers.push(("cookie".into(), "a=1".into()));
    let exchange = fetcher().exchange(&request, &CancelToken::new()).unwrap();
    assert_eq!((exchange.status, exchange.redirect.is_none()), (304, true));
    let header = server.requests().remove(0);
    for line in [
        "if-none-match: \"v1\"\r\n",
        "if-modified-since: Sun, 22 Nov 2026 10:00:00 GMT\r\n",
        "cookie: a=1\r\n",
        "accept: text/html,",
    ] {
        assert!(header.contains(line), "{line:?} in {header}");
    }
}

#[test]
fn types_that_are_not_read_are_not_received() {
    let server = site(|path| match path {
        "/pdf" => with_header("200 OK", "Content-Type: application/pdf\r\n", &[0; 100]),
        "/error" => with_header("500 Oops", "Content-Type: application/pdf\r\n", b"told"),
        "/bare" => with_header("200 OK", "", b"untyped"),
        _ => with_header("200 OK", "Content-Type: Text/HTML; charset=utf-8\r\n", b"page"),
    });
    let (fetcher, token) = (fetcher(), CancelToken::new());
    let exchange = fetcher.exchange(&ExchangeRequest::new(server.url("/pdf")), &token).unwrap();
    assert_eq!(exchange.skipped_media.as_deref(), Some("application/pdf"));
    assert!(exchange.body.is_empty() && exchange.wire_bytes == 0);
    let error = fetch(&server, "/pdf").unwrap_err();
    let media_type = "application/pdf".to_owned();
    assert_eq!(error.to_reason(), Reason::NotHtml { media_type });
    assert_eq!(fetch(&server, "/error").unwrap().body, b"told");
    assert_eq!(fetch(&server, "/bare").unwrap().body, b"untyped");
    assert_eq!(fetch(&server, "/html").unwrap().body, b"page");
}

#[test]
fn what_is_no_url_is_told() {
    for bad in ["", "no url", "ftp://a.test/", "//a.test/"] {
        let error = fetcher().fetch(bad, &CancelToken::new()).unwrap_err();
        assert!(matches!(error, FetchError::Url { .. }), "{bad:?}: {error:?}");
    }
}
