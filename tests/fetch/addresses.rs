//! Private addresses are refused however they are written.

use gristmill::cancel::CancelToken;
use gristmill::fetch::{FetchError, FetchOptions, Fetcher};
use gristmill::http::{Client, HttpError, Request};
use gristmill::model::Reason;
use gristmill::url::Url;

use crate::server::{Server, local, ok, send};

fn refused(url: &str) -> bool {
    let client = Client::builder().build().unwrap();
    let request = Request::get(Url::parse(url).unwrap());
    let error = client.send(&request, &CancelToken::new()).unwrap_err();
    assert!(!error.is_retryable());
    matches!(error, HttpError::BlockedAddress { .. })
}

#[test]
fn every_spelling_of_a_private_address_is_refused() {
    let server = Server::answering(ok(b"secret"));
    let port = server.address().port();
    for host in [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "169.254.169.254",
        "10.0.0.1",
        "100.64.0.1",
        "[fd00::1]",
        "[fe80::1]",
    ] {
        assert!(refused(&format!("http://{host}:{port}/")), "{host}");
        assert!(refused(&format!("https://{host}:{port}/")), "{host}");
    }
    assert_eq!(server.accepted(), 0);
}

#[test]
fn a_redirect_to_a_private_address_is_refused() {
    // The proxy stands for the public network: the client reaches it by the user's own word.
    let inside = Server::answering(ok(b"secret"));
    let location = inside.url("/latest/meta-data");
    let outside = Server::answering(format!(
        "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    ));
    let proxy = Some(format!("http://{}", outside.address()));
    let client = Client::builder().proxy(proxy).build().unwrap();
    let fetcher = Fetcher::new(client, FetchOptions::default());
    let error = fetcher.fetch("http://1.1.1.1/start", &CancelToken::new()).unwrap_err();
    assert!(matches!(error, FetchError::Http(HttpError::BlockedAddress { .. })), "{error:?}");
    assert_eq!(error.to_reason(), Reason::BlockedAddress { address: "127.0.0.1".into() });
    assert_eq!((outside.requests().len(), inside.accepted()), (1, 0));
}

#[test]
fn private_addresses_are_reached_when_allowed() {
    let server = Server::answering(ok(b"mine"));
    assert_eq!(send(&local().build().unwrap(), &server).unwrap().body, b"mine");
    let mut by_name = server.url("/");
    by_name.set_host(Some("localhost")).unwrap();
    let client = local().build().unwrap();
    for _ in 0..3 {
        client.send(&Request::get(by_name.clone()), &CancelToken::new()).unwrap();
    }
    let stats = client.stats();
    // One look-up, by the exchange that opened the connection.
    assert_eq!((stats.dns_misses, stats.connections_opened), (1, 1));
}
