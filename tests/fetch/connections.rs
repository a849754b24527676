//! Connections are kept, counted and never more than allowed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use gristmill::cancel::CancelToken;
use gristmill::http::{HttpError, Phase, Request, Timeouts};
use gristmill::time::{ManualClock, Timestamp};

use crate::server::{Server, local, ok, send, with_header};

#[test]
fn one_connection_serves_one_exchange_after_another() {
    let server = Server::answering(ok(&b"x".repeat(40_000)));
    let client = local().build().unwrap();
    for _ in 0..50 {
        let answer = send(&client, &server).unwrap();
        assert_eq!((answer.status, answer.body.len()), (200, 40_000));
        assert_eq!(answer.remote_addr, server.address());
    }
    assert_eq!(server.accepted(), 1);
    let stats = client.stats();
    assert_eq!((stats.exchanges, stats.failures, stats.bytes), (50, 0, 2_000_000));
    assert_eq!((stats.connections_opened, stats.connections_reused), (1, 49));
    assert_eq!((stats.connections_open, stats.connections_idle), (1, 1));
}

#[test]
fn a_thousand_fetches_on_64_threads_stay_within_the_cap() {
    let server = Server::answering(ok(b"page"));
    let client = local().connections_per_host(3).build().unwrap();
    let left = AtomicUsize::new(1000);
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let take = |left: usize| left.checked_sub(1);
                while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
                    assert_eq!(send(&client, &server).unwrap().body, b"page");
                }
            });
        }
    });
    assert_eq!(server.requests().len(), 1000);
    assert!(server.most_open() <= 3, "{} connections at once", server.most_open());
    assert!(server.accepted() <= 3, "{} connections opened", server.accepted());
    let stats = client.stats();
    assert_eq!(stats.connections_opened + stats.connections_reused, 1000);
    assert_eq!(stats.connections_open, stats.connections_idle);
}

#[test]
fn what_the_server_closes_is_not_used_again() {
    let server = Server::closing(with_header("200 OK", "Connection: close\r\n", b"bye"));
    let client = local().build().unwrap();
    for _ in 0..5 {
        assert_eq!(send(&client, &server).unwrap().body, b"bye");
    }
    assert_eq!(server.accepted(), 5);
    assert_eq!(client.stats().connections_open, 0);
}

#[test]
fn a_connection_closed_while_idle_is_replaced() {
    let (closed, is_closed) = mpsc::channel();
    let server = Server::new(move |peer| {
        peer.request();
        peer.send(&ok(b"once"));
        peer.close();
        closed.send(()).unwrap();
    });
    let client = local().build().unwrap();
    for _ in 0..3 {
        assert_eq!(send(&client, &server).unwrap().body, b"once");
        // On loopback the end of the stream has arrived when the server's close returns.
        is_closed.recv_timeout(Duration::from_mins(1)).unwrap();
    }
    assert_eq!(server.accepted(), 3);
}

#[test]
fn bytes_nobody_asked_for_spoil_a_connection() {
    let server = Server::answering([ok(b"first"), ok(b"stray")].concat());
    let client = local().build().unwrap();
    for _ in 0..3 {
        assert_eq!(send(&client, &server).unwrap().body, b"first");
    }
    assert_eq!(server.accepted(), 3);
}

#[test]
fn idle_connections_are_bounded_in_number_and_age() {
    let servers: Vec<_> = (0..4).map(|_| Server::answering(ok(b"x"))).collect();
    let clock = ManualClock::new(Timestamp(0));
    let client = local().max_idle_connections(2).clock(clock.clone()).build().unwrap();
    for server in &servers {
        send(&client, server).unwrap();
    }
    assert_eq!(client.stats().connections_open, 2);
    // The two used last are the ones kept.
    send(&client, &servers[3]).unwrap();
    send(&client, &servers[2]).unwrap();
    assert_eq!(client.stats().connections_reused, 2);
    clock.advance(Duration::from_mins(1));
    send(&client, &servers[0]).unwrap();
    assert_eq!(client.stats().connections_open, 1);
}

#[test]
fn a_wait_for_a_connection_has_a_deadline() {
    let (server, is_asked) = Server::silent();
    let client = local().connections_per_host(1).build().unwrap();
    let token = CancelToken::new();
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| client.send(&Request::get(server.url("/")), &token));
        is_asked.recv_timeout(Duration::from_mins(1)).unwrap();
        let total = Duration::from_millis(30);
        let mut second = Request::get(server.url("/"));
        second.timeouts = Some(Timeouts { total, ..Timeouts::default() });
        let error = client.send(&second, &CancelToken::new()).unwrap_err();
        assert!(matches!(error, HttpError::Timeout { phase: Phase::Queue, .. }), "{error}");
        token.cancel();
        assert!(holder.join().unwrap().is_err());
    });
    assert_eq!(client.stats().connections_open, 0);
}
