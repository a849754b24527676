//! The server of many hosts does what is planned, and writes down what it did.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use gristmill::http::Resolve as _;

use crate::many_hosts::{Answer, Fault, Host, ManyHosts, Robots, Which};
use crate::support::PATIENCE;

const ALWAYS: u32 = u32::MAX;

/// A connection to a host.
struct Client {
    stream: TcpStream,
    host: String,
}

impl Client {
    fn new(server: &ManyHosts, host: &str) -> Self {
        let stream = TcpStream::connect(server.address(host)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, host: host.to_owned() }
    }

    fn ask(&mut self, path: &str) -> &mut Self {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}:80\r\n\r\n", self.host);
        self.stream.write_all(request.as_bytes()).unwrap();
        self
    }

    /// The header of the next answer, and the length it announces.
    fn header(&mut self) -> (String, usize) {
        let (mut header, mut byte) = (Vec::new(), [0]);
        while !header.ends_with(b"\r\n\r\n") {
            self.stream.read_exact(&mut byte).unwrap();
            header.extend(byte);
        }
        let header = String::from_utf8(header).unwrap();
        let (_, rest) = header.split_once("Content-Length: ").unwrap();
        let length = rest.split_once("\r\n").unwrap().0.parse().unwrap();
        (header, length)
    }

    fn answer(&mut self) -> (String, String) {
        let (header, length) = self.header();
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        (header, String::from_utf8(body).unwrap())
    }
}

#[test]
fn connections_are_kept_and_exchanges_are_written_down() {
    const LATENCY: Duration = Duration::from_millis(30);
    let host = Host::new().pages(20).latency(LATENCY);
    let rules = Robots::Text("User-agent: *\nCrawl-delay: 2\n".to_owned());
    let server = ManyHosts::builder().hosts(2, &host).host("strict.test", host.robots(rules));
    let server = server.start().unwrap();
    let mut client = Client::new(&server, "site1.test");
    for path in ["/robots.txt", "/", "/page/19", "/page/20", "/page/07", "/"] {
        let (header, body) = client.ask(path).answer();
        let found = matches!(path, "/" | "/page/19");
        assert_eq!(header.starts_with("HTTP/1.1 200"), found, "{path}: {header}");
        assert_eq!(body.contains("site1.test"), found, "{path}: {body}");
        assert!(!found || body.len() >= 4096);
    }
    let rules = Client::new(&server, "strict.test").ask("/robots.txt").answer().1;
    assert!(rules.contains("Crawl-delay: 2"));
    // Another host's name at this address.
    client.host = "site0.test".to_owned();
    assert!(client.ask("/").answer().0.starts_with("HTTP/1.1 421"));

    assert!(server.wait_for(8, PATIENCE));
    let log = server.stop();
    assert_eq!((log.hits("site1.test", "/"), log.hits("site1.test", "/robots.txt")), (3, 1));
    assert_eq!((log.peak("site1.test"), log.total_peak()), (1, 1));
    assert_eq!(log.by_host().keys().copied().collect::<Vec<_>>(), ["site1.test", "strict.test"]);
    assert!(log.smallest_gap("site1.test").is_some() && log.smallest_gap("strict.test").is_none());
    for (number, exchange) in (0..).zip(log.of("site1.test")) {
        assert_eq!((exchange.number, exchange.connection), (number, 1), "{exchange:?}");
        assert!(exchange.took() >= LATENCY, "{exchange:?}");
    }
    let attempts: Vec<_> = log.of("site1.test").map(|exchange| exchange.attempt).collect();
    assert_eq!(attempts, [0, 0, 0, 0, 0, 1, 2]);
}

#[test]
fn each_fault_is_what_its_name_says() {
    let path = |path| Which::Path { path, times: 1 };
    let busy = Fault::Status { status: 503, retry_after: Some(7) };
    let host =
        Host::new().fault(path("/page/1"), Fault::Reset).fault(path("/page/2"), Fault::Close);
    let host = host.fault(path("/page/3"), Fault::Cut).fault(path("/page/4"), Fault::Stall);
    let host = host.fault(path("/page/5"), busy).fault(Which::Numbered(6..8), Fault::status(500));
    let server = ManyHosts::builder().host("mill.test", host);
    let server = server.host("shut.test", Host::new().refusing());
    let server = server.host("void.test", Host::new().unknown()).start().unwrap();

    let fresh = || Client::new(&server, "mill.test");
    let mut left = Vec::new();
    let reset = fresh().ask("/page/1").stream.read_to_end(&mut left).unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
    assert_eq!(fresh().ask("/page/2").stream.read_to_end(&mut left).unwrap(), 0);
    let mut cut = fresh();
    let (_, length) = cut.ask("/page/3").header();
    let half = cut.stream.read_to_end(&mut left).unwrap();
    assert_eq!(half, length / 2);
    let mut stalled = fresh();
    let (_, length) = stalled.ask("/page/4").header();
    stalled.stream.read_exact(&mut vec![0; length / 2]).unwrap();
    let (header, _) = fresh().ask("/page/5").answer();
    assert!(header.starts_with("HTTP/1.1 503") && header.contains("Retry-After: 7\r\n"));
    // Each path once, and then no more.
    assert!(fresh().ask("/page/3").answer().1.contains("page 3"));
    for status in ["500", "500", "200"] {
        assert!(fresh().ask("/page/6").answer().0.contains(status));
    }
    drop(stalled);
    assert!(server.wait_for(9, PATIENCE));
    let refused = TcpStream::connect(server.address("shut.test")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(server.names().resolve("void.test").is_err());
    assert!(server.names().resolve("shut.test").is_ok());

    let log = server.stop();
    let sent = |status| Answer::Sent(status);
    let faults = [Answer::Reset, Answer::Closed, Answer::Cut, Answer::Stalled];
    let whole = [sent(503), sent(200), sent(500), sent(500), sent(200)];
    let answers: Vec<_> = log.all().iter().map(|exchange| exchange.answer).collect();
    assert_eq!(answers, [faults.as_slice(), &whole].concat());
    let stalled = &log.all()[3];
    assert!(stalled.over > stalled.ended);
    assert_eq!((log.peak("mill.test"), log.total_peak()), (2, 2), "one beside the stalled one");
}

#[test]
fn the_same_seed_gives_the_same_sites_and_the_same_faults() {
    let start = |seed| {
        let host = Host::new().pages(50).links_out(2);
        let host = host.fault(Which::Pages { share: 0.3, times: ALWAYS }, Fault::status(500));
        let host = host.fault(Which::Requests { share: 0.3 }, Fault::Reset);
        ManyHosts::builder().seed(seed).hosts(4, &host).start().unwrap()
    };
    let faults = |server: &ManyHosts| {
        let of_page =
            |page: String| [0, 1].map(|attempt| server.fault("site2.test", &page, attempt));
        server.pages("site2.test").map(of_page).collect::<Vec<_>>()
    };
    let body = |server: &ManyHosts| {
        let fine =
            server.pages("site2.test").find(|page| server.fault("site2.test", page, 0).is_none());
        let (header, body) = Client::new(server, "site2.test").ask(&fine.unwrap()).answer();
        assert!(header.starts_with("HTTP/1.1 200"), "{header}");
        let port = server.address("site2.test").port();
        body.replace(&format!(":{port}/"), "/")
    };
    let (first, again, other) = (start(1), start(1), start(2));
    assert_eq!(faults(&first), faults(&again));
    assert_eq!(body(&first), body(&again));
    assert_ne!(faults(&first), faults(&other));
    assert_ne!(body(&first), body(&other));
    let all = faults(&first);
    let count = |wanted| all.iter().flatten().filter(|fault| **fault == wanted).count();
    // Of 100 requests: 30 and 21 expected.
    assert!((10..50).contains(&count(Some(Fault::status(500)))), "{all:?}");
    assert!((5..40).contains(&count(Some(Fault::Reset))), "{all:?}");
    assert!(
        all.iter()
            .all(|[one, two]| (*one == Some(Fault::status(500)))
                == (*two == Some(Fault::status(500))))
    );
}

#[test]
fn who_comes_too_soon_is_told_and_what_is_slow_is_slow() {
    const MINUTE: Duration = Duration::from_mins(1);
    const LATE: Duration = Duration::from_millis(40);
    let server = ManyHosts::builder()
        .host("hasty.test", Host::new().min_gap(MINUTE))
        .host("tired.test", Host::new().slow(Which::Numbered(1..2), LATE).jitter(LATE / 4))
        .start()
        .unwrap();
    let mut client = Client::new(&server, "hasty.test");
    for status in ["200", "429", "429"] {
        assert!(client.ask("/").answer().0.contains(status));
    }
    let mut client = Client::new(&server, "tired.test");
    for path in ["/", "/page/1"] {
        client.ask(path).answer();
    }
    assert!(server.wait_for(5, PATIENCE));
    let second = server.log().of("tired.test").nth(1).unwrap().clone();
    assert!(second.took() >= LATE);
}

#[test]
fn hundreds_wait_at_once_and_the_server_stops_all_the_same() {
    const HOSTS: usize = 300;
    let host = Host::new().fault(Which::Every, Fault::Stall);
    let server = ManyHosts::builder().hosts(HOSTS, &host).start().unwrap();
    let mut clients: Vec<_> = server.hosts().map(|host| Client::new(&server, host)).collect();
    for client in &mut clients {
        client.ask("/");
    }
    for client in &mut clients {
        client.header();
    }
    let log = server.stop();
    assert_eq!((log.all().len(), log.total_peak(), log.peak("site7.test")), (HOSTS, HOSTS, 1));
    assert!(log.all().iter().all(|exchange| exchange.answer == Answer::Stalled));
}
