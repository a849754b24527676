//! What is not HTTP ends in an error of its kind.

use gristmill::cancel::CancelToken;
use gristmill::http::{HttpError, Request};
use gristmill::url::Url;

use crate::server::{Server, get, local, ok, send};

#[test]
fn answers_that_are_not_http_are_protocol_errors() {
    for garbage in [
        "not http at all\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 000 Zero\r\n\r\n",
        "HTTP/7.3 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "\u{0}\u{1}\u{2}\r\n\r\n",
    ] {
        let error = get(&Server::closing(garbage)).unwrap_err();
        assert!(matches!(error, HttpError::Protocol { .. }), "{garbage:?} gave {error:?}");
        assert!(!error.is_retryable());
    }
}

#[test]
fn headers_are_bounded_in_size_and_number() {
    let long = Server::new(|peer| {
        peer.request();
        peer.send(b"HTTP/1.1 200 OK\r\nX: ");
        while peer.send(&[b'x'; 1024]) {}
    });
    let error = get(&long).unwrap_err();
    assert!(matches!(error, HttpError::HeaderTooLarge { limit: 65_536, .. }), "{error:?}");
    let many = "X: y\r\n".repeat(200);
    let error = get(&Server::closing(format!("HTTP/1.1 200 OK\r\n{many}\r\n"))).unwrap_err();
    assert!(
        matches!(error, HttpError::Protocol { .. } | HttpError::HeaderTooLarge { .. }),
        "{error:?}"
    );
    let value = "v".repeat(60_000);
    let fits = format!("HTTP/1.1 200 OK\r\nX: {value}\r\nContent-Length: 2\r\n\r\nok");
    let answer = get(&Server::answering(fits)).unwrap();
    assert_eq!((answer.headers.get("x"), answer.body.as_slice()), (Some(&*value), &b"ok"[..]));
}

#[test]
fn a_connection_lost_before_the_answer_is_a_retryable_reset() {
    let error = get(&Server::closing("")).unwrap_err();
    assert!(matches!(error, HttpError::Reset { answered: false, .. }), "{error:?}");
    assert!(error.is_retryable() && error.is_before_first_byte());
    let error = get(&Server::closing("HTTP/1.1 200 OK\r\nX: y\r\n")).unwrap_err();
    assert!(matches!(error, HttpError::Reset { answered: true, .. }), "{error:?}");
    assert!(error.is_retryable() && !error.is_before_first_byte());
}

#[test]
fn informational_answers_are_passed_over() {
    let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".to_vec();
    let server = Server::answering([hints, ok(b"final")].concat());
    assert_eq!(get(&server).unwrap().body, b"final");
}

#[test]
fn header_bytes_outside_utf8_do_no_harm() {
    let server = Server::answering(
        b"HTTP/1.1 200 OK\r\nX-Name: caf\xe9\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
          Content-Length: 0\r\n\r\n"
            .to_vec(),
    );
    let headers = get(&server).unwrap().headers;
    assert_eq!(headers.get("x-name"), Some("caf\u{fffd}"));
    assert_eq!(headers.get_all("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2"]);
}

#[test]
fn requests_that_cannot_be_sent_are_told_apart() {
    let client = local().build().unwrap();
    let server = Server::answering(ok(b""));
    for url in ["ftp://a.test/", "file:///etc/passwd", "data:text/plain,x"] {
        let request = Request::get(Url::parse(url).unwrap());
        let error = client.send(&request, &CancelToken::new()).unwrap_err();
        assert!(matches!(error, HttpError::InvalidRequest { .. }), "{error:?}");
    }
    let split = Request::get(server.url("/")).header("X", "a\r\nHost: evil");
    let error = client.send(&split, &CancelToken::new()).unwrap_err();
    assert!(matches!(error, HttpError::InvalidRequest { .. }), "{error:?}");
    assert!(local().header("bad name", "x").build().is_err());
    assert!(local().user_agent("two\r\nlines").build().is_err());
    assert!(local().connections_per_host(0).build().is_err());
}

#[test]
fn what_is_fetched_is_what_was_written_and_errors_hide_passwords() {
    let server = Server::answering(ok(b"x"));
    let client = local().user_agent("mill/1 (+https://mill.test)").build().unwrap();
    let path = "/A/b%2Fc/%7e/?q=a%20b&r=|{}^`'\"<>&s=%C3%BC";
    let url = server.url(path);
    client.send(&Request::get(url.clone()), &CancelToken::new()).unwrap();
    let header = server.requests().remove(0);
    let line = format!("GET {}?{} HTTP/1.1\r\n", url.path(), url.query().unwrap());
    assert!(header.starts_with(&line), "{header}");
    assert!(header.contains("mill/1 (+https://mill.test)\r\n"), "{header}");
    assert!(header.to_lowercase().contains(&format!("host: {}\r\n", server.address())));

    let mut secret = Server::closing("garbage\r\n\r\n").url("/");
    secret.set_username("me").unwrap();
    secret.set_password(Some("hunter2")).unwrap();
    let error = client.send(&Request::get(secret), &CancelToken::new()).unwrap_err();
    assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
}

#[test]
fn long_urls_and_headers_are_sent_up_to_a_limit() {
    let server = Server::answering(ok(b"x"));
    let client = local().build().unwrap();
    let send = |path: &str, value: &str| {
        let request = Request::get(server.url(path)).header("cookie", value);
        client.send(&request, &CancelToken::new())
    };
    let (fits, exceeds) = ("v".repeat(15_000), "v".repeat(17_000));
    assert_eq!(send(&format!("/{fits}"), &fits).unwrap().status, 200);
    assert!(server.requests()[0].contains(&format!("cookie: {fits}\r\n")));
    for error in [send(&format!("/{exceeds}"), ""), send("/", &exceeds)] {
        let error = error.unwrap_err();
        assert!(matches!(error, HttpError::InvalidRequest { .. }), "{error:?}");
    }
}

#[test]
fn a_server_without_tls_gives_a_tls_error() {
    let server = Server::new(|peer| {
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        peer.hold();
    });
    let url = Url::parse(&format!("https://{}/", server.address())).unwrap();
    let client = local().build().unwrap();
    let error = client.send(&Request::get(url), &CancelToken::new()).unwrap_err();
    assert!(matches!(error, HttpError::Tls { .. }), "{error:?}");
    assert!(send(&client, &Server::answering(ok(b"x"))).is_ok());
}
