//! A resolver of the user's own tells addresses, and is believed no more than the system's.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use gristmill::cancel::CancelToken;
use gristmill::fetch::{FetchError, FetchOptions, Fetcher};
use gristmill::http::{Client, ClientBuilder, HttpError, Request, Resolve, SystemResolver};
use gristmill::model::Reason;
use gristmill::url::Url;

use crate::server::{Server, local, ok};

/// Knows `mill.test` and `twofold.test`, on loopback, and notes what it is asked.
#[derive(Debug, Default)]
struct Directory {
    asked: Mutex<Vec<String>>,
}

impl Resolve for Directory {
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(host.to_owned());
        match host {
            "mill.test" => Ok(vec![IpAddr::from([127, 0, 0, 1])]),
            "twofold.test" => Ok(vec!["::1".parse().unwrap(), IpAddr::from([127, 0, 0, 1])]),
            "void.test" => Ok(Vec::new()),
            "localhost" => SystemResolver.resolve(host),
            _ => Err(io::Error::other("not in the directory")),
        }
    }
}

fn get(builder: ClientBuilder, names: &Arc<Directory>, url: &str) -> Result<Vec<u8>, HttpError> {
    let client = builder.resolver(Arc::clone(names) as Arc<dyn Resolve>).build().unwrap();
    let request = Request::get(Url::parse(url).unwrap());
    client.send(&request, &CancelToken::new()).map(|answer| answer.body)
}

#[test]
fn names_that_only_the_users_resolver_knows_are_reached() {
    let server = Server::answering(ok(b"flour"));
    let port = server.address().port();
    let names = Arc::new(Directory::default());
    for host in ["MILL.test", "localhost", "127.0.0.1"] {
        assert_eq!(get(local(), &names, &format!("http://{host}:{port}/")).unwrap(), b"flour");
    }
    // Addresses are not looked up.
    assert_eq!(*names.asked.lock().unwrap(), ["mill.test", "localhost"]);
    let hosts = server.requests();
    assert!(hosts[0].contains(&format!("host: mill.test:{port}\r\n")), "{hosts:?}");
    for host in ["void.test", "elsewhere.test"] {
        let error = get(local(), &names, &format!("http://{host}:{port}/")).unwrap_err();
        assert!(matches!(error, HttpError::Resolve { .. }), "{error:?}");
    }
}

#[test]
fn the_next_address_is_tried_when_one_refuses() {
    let server = Server::answering(ok(b"yes"));
    let client = local().resolver(Arc::<Directory>::default()).build().unwrap();
    // The server listens on the second of the name's addresses alone.
    let mut url = server.url("/");
    url.set_host(Some("twofold.test")).unwrap();
    let answer = client.send(&Request::get(url), &CancelToken::new()).unwrap();
    assert_eq!((answer.body.as_slice(), answer.remote_addr), (&b"yes"[..], server.address()));
    let expected = format!("host: twofold.test:{}\r\n", server.address().port());
    assert!(server.requests()[0].contains(&expected), "{:?}", server.requests());
}

#[test]
fn a_private_address_is_refused_whoever_names_it() {
    let inside = Server::answering(ok(b"secret"));
    let port = inside.address().port();
    let names = Arc::new(Directory::default());
    for scheme in ["http", "https"] {
        let url = format!("{scheme}://mill.test:{port}/");
        let error = get(Client::builder(), &names, &url).unwrap_err();
        assert!(matches!(error, HttpError::BlockedAddress { .. }), "{error:?}");
    }
    // On a redirect too. The proxy stands for the public network.
    let location = format!("http://mill.test:{port}/");
    let outside = Server::answering(format!(
        "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    ));
    let proxy = Some(format!("http://{}", outside.address()));
    let client = Client::builder().proxy(proxy).resolver(names).build().unwrap();
    let fetcher = Fetcher::new(client, FetchOptions::default());
    let error = fetcher.fetch("http://1.1.1.1/start", &CancelToken::new()).unwrap_err();
    assert!(matches!(&error, FetchError::Http(HttpError::BlockedAddress { .. })), "{error:?}");
    assert_eq!(error.to_reason(), Reason::BlockedAddress { address: "127.0.0.1".into() });
    assert_eq!((outside.requests().len(), inside.accepted()), (1, 0));
}
