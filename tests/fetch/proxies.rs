//! A proxy is used when it is configured, and only then.

use std::process::Command;

use gristmill::cancel::CancelToken;
use gristmill::http::{HttpError, Request};
use gristmill::url::Url;

use crate::server::{Server, local, ok, send, with_header};

/// Set in the process that the environment test starts.
const CHILD: &str = "GRISTMILL_TEST_PROXY_CHILD";

#[test]
fn http_is_forwarded_in_absolute_form() {
    let proxy = Server::answering(ok(b"by proxy"));
    let url = format!("http://user:pw@{}", proxy.address());
    let client = local().proxy(Some(url)).build().unwrap();
    for _ in 0..2 {
        let request = Request::get(Url::parse("http://site.invalid/path?q=1").unwrap())
            .header("cookie", "c".repeat(16_200));
        let answer = client.send(&request, &CancelToken::new()).unwrap();
        assert_eq!(answer.body, b"by proxy");
    }
    assert_eq!(proxy.accepted(), 1);
    for header in proxy.requests() {
        assert!(header.starts_with("GET http://site.invalid/path?q=1 HTTP/1.1\r\n"), "{header}");
        assert!(header.to_lowercase().contains("host: site.invalid\r\n"), "{header}");
        assert!(header.contains("proxy-authorization: Basic dXNlcjpwdw==\r\n"), "{header}");
    }
}

#[test]
fn https_goes_through_a_tunnel() {
    let refusing = Server::closing(with_header("407 Proxy Authentication Required", "", b""));
    let opening = Server::new(|peer| {
        peer.request();
        peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n");
        // The handshake begins; this is no answer to it.
        peer.body(1);
        peer.send(b"not tls\r\n\r\n");
        peer.hold();
    });
    let through = |proxy: &Server| {
        let client = local().proxy(Some(format!("{}", proxy.address()))).build().unwrap();
        let request = Request::get(Url::parse("https://site.invalid/secret").unwrap());
        client.send(&request, &CancelToken::new()).unwrap_err()
    };
    let error = through(&refusing);
    assert!(matches!(error, HttpError::Proxy { status: 407, .. }), "{error:?}");
    let error = through(&opening);
    assert!(matches!(error, HttpError::Tls { .. }), "{error:?}");
    for header in [refusing.requests(), opening.requests()].concat() {
        assert!(header.starts_with("CONNECT site.invalid:443 HTTP/1.1\r\n"), "{header}");
        assert!(!header.contains("secret"), "{header}");
    }
}

#[test]
fn the_environment_names_no_proxy() {
    if std::env::var_os(CHILD).is_some() {
        let server = Server::answering(ok(b"direct"));
        assert_eq!(send(&local().build().unwrap(), &server).unwrap().body, b"direct");
        return;
    }
    let trap = Server::answering(ok(b"trapped"));
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "proxies::the_environment_names_no_proxy"]).env(CHILD, "1");
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"] {
        child.env(name, format!("http://{}", trap.address()));
    }
    let output = child.env_remove("no_proxy").env_remove("NO_PROXY").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert_eq!(trap.accepted(), 0);
}
