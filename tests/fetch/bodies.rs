//! Bodies come whole, decoded and bounded, or as an error.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use gristmill::cancel::CancelToken;
use gristmill::http::{HttpError, MediaGate, Request};

use crate::server::{Server, get, local, ok, send, with_header};

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn chunked(lines: &str, chunks: &[&[u8]], end: &[u8]) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{lines}\r\n").into_bytes();
    for chunk in chunks {
        answer.extend(format!("{:x}\r\n", chunk.len()).bytes());
        answer.extend_from_slice(chunk);
        answer.extend(b"\r\n");
    }
    answer.extend_from_slice(end);
    answer
}

#[test]
fn every_framing_brings_the_whole_body() {
    let whole = b"one two three".as_slice();
    let chunks = chunked("", &[b"one ", b"two ", b"three"], b"0\r\nTrailer: x\r\n\r\n");
    assert_eq!(get(&Server::answering(ok(whole))).unwrap().body, whole);
    assert_eq!(get(&Server::answering(chunks)).unwrap().body, whole);
    let to_the_end = [b"HTTP/1.1 200 OK\r\n\r\n", whole].concat();
    assert_eq!(get(&Server::closing(to_the_end)).unwrap().body, whole);
    let old = [b"HTTP/1.0 200 OK\r\n\r\n", whole].concat();
    assert_eq!(get(&Server::closing(old)).unwrap().body, whole);
}

#[test]
fn a_chunked_body_leaves_its_connection_fit_for_use() {
    let server = Server::answering(chunked("", &[b"again"], b"0\r\n\r\n"));
    let client = local().build().unwrap();
    for _ in 0..5 {
        assert_eq!(send(&client, &server).unwrap().body, b"again");
    }
    assert_eq!(server.accepted(), 1);
}

#[test]
fn answers_without_a_body_have_none_whatever_their_header_says() {
    for status in ["204 No Content", "304 Not Modified"] {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 50\r\nETag: \"1\"\r\n\r\n");
        let server = Server::answering(answer);
        let client = local().build().unwrap();
        for _ in 0..3 {
            let answer = send(&client, &server).unwrap();
            assert!(answer.body.is_empty() && answer.headers.get("etag") == Some("\"1\""));
        }
        assert_eq!(server.accepted(), 1, "{status}");
    }
}

#[test]
fn encoded_bodies_are_decoded_and_counted_as_they_came() {
    let text = b"a paragraph, ".repeat(4000);
    let packed = gzip(&text);
    let lines = "Content-Encoding: gzip\r\n";
    for answer in [with_header("200 OK", lines, &packed), chunked(lines, &[&packed], b"0\r\n\r\n")]
    {
        let server = Server::answering(answer);
        let answer = get(&server).unwrap();
        assert_eq!((answer.body, answer.wire_bytes), (text.clone(), packed.len() as u64));
        let request = server.requests().remove(0).to_lowercase();
        assert!(request.contains("accept-encoding: gzip, deflate, br, zstd\r\n"), "{request}");
    }
}

#[test]
fn cut_bodies_are_errors() {
    let packed = gzip(&b"text ".repeat(5000));
    let cut = |answer: Vec<u8>| get(&Server::closing(answer)).unwrap_err();
    let short = cut(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort".to_vec());
    assert!(matches!(short, HttpError::Truncated { received: 5, .. }), "{short:?}");
    let chunk = cut(chunked("", &[b"one"], b"5\r\ntw"));
    assert!(matches!(chunk, HttpError::Truncated { .. }), "{chunk:?}");
    let no_end = cut(chunked("", &[b"one"], b""));
    assert!(matches!(no_end, HttpError::Truncated { .. }), "{no_end:?}");
    assert!(short.is_retryable() && chunk.is_retryable());
    // Framed well, but the gzip inside is not complete.
    let lines = "Content-Encoding: gzip\r\n";
    let inner = cut(with_header("200 OK", lines, &packed[..packed.len() / 2]));
    assert!(matches!(inner, HttpError::Decode { .. }), "{inner:?}");
    let foreign = cut(with_header("200 OK", lines, b"<html>plain</html>"));
    assert!(matches!(foreign, HttpError::Decode { .. }), "{foreign:?}");
}

#[test]
fn too_large_is_told_from_the_announcement_and_from_the_bytes() {
    let client = local().max_body_bytes(1000).build().unwrap();
    // Announced: refused though not one byte of it comes.
    let announced = Server::new(|peer| {
        peer.request();
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n");
        peer.hold();
    });
    let endless = Server::new(|peer| {
        peer.request();
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n");
        while peer.send(&[b'x'; 512]) {}
    });
    let decoded = Server::answering(with_header(
        "200 OK",
        "Content-Encoding: gzip\r\n",
        &gzip(&[b'x'; 1001]),
    ));
    for server in [&announced, &endless, &decoded] {
        let error = send(&client, server).unwrap_err();
        assert!(matches!(error, HttpError::TooLarge { limit: 1000, .. }), "{error:?}");
        assert!(!error.is_retryable());
    }
    let fits = Server::answering(ok(&[b'x'; 1000]));
    assert_eq!(send(&client, &fits).unwrap().body.len(), 1000);
    let mut request = Request::get(fits.url("/"));
    request.max_body = Some(999);
    let error = client.send(&request, &CancelToken::new()).unwrap_err();
    assert!(matches!(error, HttpError::TooLarge { limit: 999, .. }), "{error:?}");
}

#[test]
fn a_bomb_goes_off_small() {
    let bomb = gzip(&vec![0; 8 << 20]);
    assert!(bomb.len() < 64 * 1024);
    let answer = with_header("200 OK", "Content-Encoding: gzip\r\n", &bomb);
    let error = get(&Server::answering(answer)).unwrap_err();
    assert!(matches!(error, HttpError::Ratio { limit: 200, .. }), "{error:?}");
}

#[test]
fn a_gate_spares_the_body() {
    let server = Server::new(|peer| {
        peer.request();
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 9999999\r\n\r\n");
        peer.hold();
    });
    let client = local().build().unwrap();
    let mut request = Request::get(server.url("/"));
    request.accept_media = Some(MediaGate::new(|status, headers| {
        assert_eq!(status, 200);
        headers.media_type().as_deref() != Some("video/mp4")
    }));
    let answer = client.send(&request, &CancelToken::new()).unwrap();
    assert!(answer.body_skipped && answer.body.is_empty());
    assert_eq!(client.stats().connections_open, 0);
}

#[test]
fn an_answer_that_comes_before_the_request_is_read_is_not_lost() {
    let server = Server::new(|peer| {
        peer.request();
        peer.send(&with_header("413 Content Too Large", "Connection: close\r\n", b"too much"));
        // Closing with the body unread resets the connection.
    });
    let client = local().build().unwrap();
    let request = Request::post(server.url("/"), vec![b'x'; 20 << 20]);
    let answer = client.send(&request, &CancelToken::new()).unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (413, &b"too much"[..]));
    assert_eq!(client.stats().connections_open, 0);
}

#[test]
fn a_body_is_posted_whole() {
    let sent = b"{\"n\":1}".repeat(20_000);
    let expected = sent.clone();
    let server = Server::new(move |peer| {
        while let Some(header) = peer.request() {
            assert!(header.starts_with("POST /v1 HTTP/1.1\r\n"), "{header}");
            let length = format!("content-length: {}\r\n", expected.len());
            assert!(header.to_lowercase().contains(&length), "{header}");
            let same = peer.body(expected.len()) == expected;
            peer.send(&ok(if same { b"same" } else { b"different" }));
        }
    });
    let client = local().header("x-client", "yes").build().unwrap();
    for _ in 0..2 {
        let request = Request::post(server.url("/v1"), sent.clone()).header("X-Own", "also");
        assert_eq!(client.send(&request, &CancelToken::new()).unwrap().body, b"same");
    }
    let header = server.requests().remove(0).to_lowercase();
    assert!(header.contains("x-client: yes\r\n") && header.contains("x-own: also\r\n"));
    assert_eq!(server.accepted(), 1);
}
