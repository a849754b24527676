//! TLS is verified, its connections are kept, and it is bounded and cancelled like the rest.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use gristmill::cancel::CancelToken;
use gristmill::http::{Client, HttpError, Request};
use gristmill::url::Url;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::server::{Server, local, ok};

const AUTHORITY: &str = include_str!("certificates/authority.pem");
const CERTIFICATE: &str = include_str!("certificates/localhost.pem");
const KEY: &str = include_str!("certificates/localhost.key.pem");

/// Speaks TLS as `localhost`, sends `answer` to each request, then tells `sent`.
fn server(answer: Vec<u8>, sent: mpsc::Sender<()>) -> Server {
    let chain = vec![CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    Server::new(move |peer| {
        peer.start_tls(&config);
        while peer.request().is_some() && peer.send(&answer) {
            let _ = sent.send(());
        }
    })
}

fn url(server: &Server, host: &str) -> Url {
    Url::parse(&format!("https://{host}:{}/", server.address().port())).unwrap()
}

fn trusting() -> Client {
    local().root_certificates(AUTHORITY).build().unwrap()
}

#[test]
fn one_handshake_serves_many_exchanges() {
    let body = b"over tls, ".repeat(20_000);
    let server = server(ok(&body), mpsc::channel().0);
    let client = trusting();
    for _ in 0..10 {
        let request = Request::get(url(&server, "localhost"));
        let answer = client.send(&request, &CancelToken::new()).unwrap();
        assert!(answer.body == body);
    }
    assert_eq!(server.accepted(), 1);
    assert_eq!(client.stats().connections_reused, 9);
}

#[test]
fn a_header_beyond_the_size_of_a_record_is_read() {
    let value = "v".repeat(60_000);
    let answer = format!("HTTP/1.1 200 OK\r\nX: {value}\r\nContent-Length: 2\r\n\r\nok");
    let server = server(answer.into(), mpsc::channel().0);
    let request = Request::get(url(&server, "localhost"));
    let answer = trusting().send(&request, &CancelToken::new()).unwrap();
    assert_eq!(answer.headers.get("x").map(str::len), Some(60_000));
}

#[test]
fn unknown_authorities_and_wrong_names_are_refused() {
    let server = server(ok(b"x"), mpsc::channel().0);
    let send = |client: Client, host: &str| {
        client.send(&Request::get(url(&server, host)), &CancelToken::new()).unwrap_err()
    };
    for error in [send(local().build().unwrap(), "localhost"), send(trusting(), "127.0.0.1")] {
        assert!(matches!(error, HttpError::Tls { .. }), "{error:?}");
        assert!(!error.is_retryable());
    }
    assert!(server.requests().is_empty());
    assert!(local().root_certificates("no pem").build().is_err());
}

#[test]
fn a_blocked_read_is_cancelled() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec();
    let (sent, is_sent) = mpsc::channel();
    let server = server(half, sent);
    let (client, token) = (trusting(), CancelToken::new());
    let (request, run) = (Request::get(url(&server, "localhost")), token.clone());
    let (done, is_done) = mpsc::sync_channel(1);
    std::thread::spawn(move || drop(done.send(client.send(&request, &run))));
    is_sent.recv_timeout(Duration::from_secs(25)).unwrap();
    token.cancel();
    let result = is_done.recv_timeout(Duration::from_secs(25)).expect("the exchange ends");
    assert!(matches!(result, Err(HttpError::Cancelled { .. })), "{result:?}");
}
