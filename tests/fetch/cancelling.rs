//! Cancelling ends a blocked exchange at once.

use std::sync::mpsc;
use std::time::Duration;

use gristmill::cancel::CancelToken;
use gristmill::http::{Client, HttpError, Request};

use crate::server::{Server, local, ok};

/// Far beyond what any machine needs, far below the deadlines of the client.
const SOON: Duration = Duration::from_secs(25);

/// Sends `part` of an answer and then nothing; cancels once that much is sent; the exchange must
/// end long before its deadlines.
fn cancel_after(part: &'static [u8]) {
    let (sent, is_sent) = mpsc::channel();
    let server = Server::new(move |peer| {
        peer.request();
        peer.send(part);
        sent.send(()).unwrap();
        peer.hold();
    });
    let client = local().build().unwrap();
    let (token, request) = (CancelToken::new(), Request::get(server.url("/")));
    let (done, is_done) = mpsc::sync_channel(1);
    let (sender, run) = (client.clone(), token.child());
    std::thread::spawn(move || drop(done.send(sender.send(&request, &run))));
    is_sent.recv_timeout(SOON).unwrap();
    token.cancel();
    let result = is_done.recv_timeout(SOON).expect("the exchange ends when it is cancelled");
    assert!(matches!(result, Err(HttpError::Cancelled { .. })), "{result:?}");
    assert_eq!(client.stats().connections_open, 0);
}

#[test]
fn while_waiting_for_the_answer() {
    cancel_after(b"");
}

#[test]
fn amid_the_header() {
    cancel_after(b"HTTP/1.1 200 OK\r\nContent-Ty");
}

#[test]
fn amid_a_body_of_known_length() {
    cancel_after(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
}

#[test]
fn amid_a_chunked_body() {
    cancel_after(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
}

#[test]
fn amid_a_body_that_ends_with_the_connection() {
    // The shutdown looks like the end of the body, and must not be taken for it.
    cancel_after(b"HTTP/1.1 200 OK\r\n\r\nhalf");
}

#[test]
fn before_anything_is_sent() {
    let server = Server::answering(ok(b"x"));
    let token = CancelToken::new();
    token.cancel();
    let client = local().build().unwrap();
    let result = client.send(&Request::get(server.url("/")), &token);
    assert!(matches!(result, Err(HttpError::Cancelled { .. })));
    assert_eq!(server.accepted(), 0);
}

#[test]
fn while_waiting_for_a_connection() {
    let (server, is_asked) = Server::silent();
    let client = local().connections_per_host(1).build().unwrap();
    let (first, second) = (CancelToken::new(), CancelToken::new());
    let (done, is_done) = mpsc::channel();
    let start = |client: &Client, token: &CancelToken, name: &'static str| {
        let (client, token, done) = (client.clone(), token.clone(), done.clone());
        let request = Request::get(server.url("/"));
        std::thread::spawn(move || drop(done.send((name, client.send(&request, &token)))));
    };
    start(&client, &first, "first");
    is_asked.recv_timeout(SOON).unwrap();
    start(&client, &second, "second");
    second.cancel();
    let (name, result) = is_done.recv_timeout(SOON).unwrap();
    assert_eq!(name, "second");
    assert!(matches!(result, Err(HttpError::Cancelled { .. })));
    first.cancel();
    assert_eq!(is_done.recv_timeout(SOON).unwrap().0, "first");
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_token_cancelled_between_exchanges_spoils_nothing_for_others() {
    let server = Server::answering(ok(b"fine"));
    let client = local().build().unwrap();
    for _ in 0..20 {
        let token = CancelToken::new();
        client.send(&Request::get(server.url("/")), &token).unwrap();
        token.cancel();
    }
    assert_eq!(server.accepted(), 1);
}
