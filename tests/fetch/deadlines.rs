//! No server can hold an exchange beyond its deadlines.

use std::net::TcpListener;
use std::time::Duration;

use gristmill::cancel::CancelToken;
use gristmill::http::{HttpError, Phase, Request, Timeouts};
use gristmill::url::Url;

use crate::server::{Peer, Server, local};

const LONG: Duration = Duration::from_mins(10);
const SHORT: Duration = Duration::from_millis(60);

fn phase_with(server: &Server, timeouts: Timeouts) -> Phase {
    let client = local().timeouts(timeouts).build().unwrap();
    let error = client.send(&Request::get(server.url("/")), &CancelToken::new()).unwrap_err();
    match error {
        HttpError::Timeout { phase, .. } => phase,
        other => panic!("{other:?}"),
    }
}

fn lenient() -> Timeouts {
    Timeouts { connect: LONG, first_byte: LONG, body: LONG, total: LONG }
}

#[test]
fn a_silent_server_meets_the_deadline_of_the_first_byte() {
    let server = Server::new(Peer::hold);
    let timeouts = Timeouts { first_byte: SHORT, ..lenient() };
    assert_eq!(phase_with(&server, timeouts), Phase::FirstByte);
    let timeouts = Timeouts { total: SHORT, ..lenient() };
    assert_eq!(phase_with(&server, timeouts), Phase::Total);
}

#[test]
fn dripping_bytes_renews_no_deadline() {
    // Each byte comes at once, and the next as soon as it is taken: progress without end.
    let body = Server::new(|peer| {
        peer.request();
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while peer.send(b"1\r\nx\r\n") {}
    });
    let unlimited = |timeouts| {
        let client = local().timeouts(timeouts).max_body_bytes(u64::MAX / 2).build().unwrap();
        client.send(&Request::get(body.url("/")), &CancelToken::new()).unwrap_err()
    };
    let error = unlimited(Timeouts { total: SHORT, ..lenient() });
    assert!(matches!(error, HttpError::Timeout { phase: Phase::Total, .. }), "{error:?}");
    let error = unlimited(Timeouts { body: SHORT, ..lenient() });
    assert!(matches!(error, HttpError::Timeout { phase: Phase::Body, .. }), "{error:?}");
    assert!(error.is_retryable());
}

#[test]
fn informational_answers_without_end_meet_a_limit() {
    let server = Server::new(|peer| {
        peer.request();
        while peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n") {}
    });
    let timeouts = Timeouts { first_byte: SHORT, ..lenient() };
    let client = local().timeouts(timeouts).build().unwrap();
    let error = client.send(&Request::get(server.url("/")), &CancelToken::new()).unwrap_err();
    let limited = matches!(
        error,
        HttpError::HeaderTooLarge { .. } | HttpError::Timeout { phase: Phase::FirstByte, .. }
    );
    assert!(limited, "{error:?}");
}

#[test]
fn a_request_may_bring_its_own_deadlines() {
    let server = Server::new(Peer::hold);
    let client = local().timeouts(lenient()).build().unwrap();
    let mut request = Request::get(server.url("/"));
    request.timeouts = Some(Timeouts { first_byte: SHORT, ..lenient() });
    let error = client.send(&request, &CancelToken::new()).unwrap_err();
    assert!(matches!(error, HttpError::Timeout { phase: Phase::FirstByte, .. }), "{error:?}");
}

#[test]
fn a_refused_connection_is_told_as_such() {
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let client = local().build().unwrap();
    let url = Url::parse(&format!("http://{free}/")).unwrap();
    let error = client.send(&Request::get(url), &CancelToken::new()).unwrap_err();
    assert!(matches!(error, HttpError::Connect { .. }), "{error:?}");
    assert!(error.is_retryable() && error.is_before_first_byte());
}
