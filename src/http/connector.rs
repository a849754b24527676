//! The seams to `ureq`: a connector for one exchange, and a resolver that does nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::Mutex;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ArrayVec, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, NextTimeout, Transport};
use url::{Host, Url};

use crate::cancel::CancelToken;

use super::client::ClientInner;
use super::connections::{Checkout, Connection, Origin};
use super::fault::Fault;
use super::names::ResolveError;
use super::stats::Counters;
use super::transport::{Pooled, Socket, Wire, connect};

/// Input buffer under TLS: one record and its frame.
const TLS_RECORD_BUFFER: usize = 18 * 1024;
/// Output buffer: the longest line of a request header.
pub(super) const OUTPUT_BUFFER: usize = 16 * 1024;
/// Time limit of connecting, should `ureq` give none.
const NO_TIMEOUT: std::time::Duration = std::time::Duration::from_mins(1);

/// Where an exchange goes.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) tls: bool,
    host: Host<String>,
    port: u16,
}

impl Target {
    /// `None` if the URL is not http or https, or names no host.
    pub(super) fn of(url: &Url) -> Option<Self> {
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let host = url.host()?.to_owned();
        Some(Self { tls, host, port: url.port_or_known_default()? })
    }

    pub(super) fn origin(&self) -> Origin {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.authority()).into()
    }

    fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// What precedes the path in a request to a forwarding proxy.
    fn absolute_prefix(&self) -> String {
        if self.port == 80 {
            return format!("http://{}", self.host);
        }
        format!("http://{}", self.authority())
    }
}

/// What one exchange needs to get its connection.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) checkout: Checkout,
    pub(super) target: Target,
    pub(super) cancel: CancelToken,
}

/// Connects one exchange with its checkout.
#[derive(Debug)]
pub(super) struct ExchangeConnector {
    pub(super) inner: Arc<ClientInner>,
    pub(super) plan: Mutex<Option<Plan>>,
    /// Where the client finds the socket.
    pub(super) wire: Arc<OnceLock<Arc<Wire>>>,
}

impl Connector<()> for ExchangeConnector {
    type Out = Pooled;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Pooled>, ureq::Error> {
        let Some(Plan { checkout, target, cancel }) = self.plan.lock().take() else {
            return Err(ureq::Error::ConnectionFailed);
        };
        let Checkout { permit, idle } = checkout;
        let inner = &*self.inner;
        let forwards = inner.proxy.is_some() && !target.tls;
        let absolute = forwards.then(|| target.absolute_prefix());
        let (connection, watch) = if let Some(connection) = idle {
            Counters::add(&inner.counters.reused, 1);
            let watch = connection.wire.watch(&cancel);
            (connection, watch)
        } else {
            let deadline = deadline_of(&details.timeout);
            let wire = dial(inner, &target, deadline, &cancel)?;
            Counters::add(&inner.counters.opened, 1);
            let watch = wire.watch(&cancel);
            if let Some(proxy) = inner.proxy.as_ref().filter(|_| target.tls) {
                wire.open_tunnel(proxy, &target.authority(), deadline)?;
            }
            let transport = secured(inner, details, &wire, target.tls)?;
            (Connection { transport, wire }, watch)
        };
        // Empty so far: this is the only connection of the exchange.
        let _ = self.wire.set(Arc::clone(&connection.wire));
        Ok(Some(Pooled::new(connection, permit, watch, cancel, absolute)))
    }
}

fn deadline_of(timeout: &NextTimeout) -> Instant {
    let now = Instant::now();
    let never = timeout.after.is_not_happening();
    let after = if never { NO_TIMEOUT } else { *timeout.after };
    now.checked_add(after).unwrap_or(now + NO_TIMEOUT)
}

/// Opens a socket to the target, or to the proxy, at an address that the policy allows.
fn dial(
    inner: &ClientInner,
    target: &Target,
    deadline: Instant,
    cancel: &CancelToken,
) -> Result<Arc<Wire>, Fault> {
    let addresses_of = |host: &Host<String>| -> Result<Arc<[IpAddr]>, Fault> {
        let name = match host {
            Host::Ipv4(address) => return Ok(Arc::new([IpAddr::V4(*address)])),
            Host::Ipv6(address) => return Ok(Arc::new([IpAddr::V6(*address)])),
            Host::Domain(name) => name,
        };
        inner.resolver.resolve(name, deadline, cancel).map_err(|error| match error {
            ResolveError::Failed(cause) => Fault::Resolve(cause),
            ResolveError::TimedOut => Fault::ResolveTimedOut,
            ResolveError::Cancelled => Fault::Cancelled,
        })
    };
    let allowed = |address: &IpAddr| inner.policy.allows(*address);
    // The name is resolved here even behind a proxy, so that its address can be checked. Where all
    // addresses are allowed, resolving is left to the proxy.
    let judged = inner.proxy.is_none() || !allowed(&IpAddr::from([127, 0, 0, 1]));
    let found = match &target.host {
        Host::Domain(_) if !judged => Arc::new([]),
        host => addresses_of(host)?,
    };
    let good: Vec<IpAddr> = found.iter().copied().filter(allowed).collect();
    if let (true, Some(first)) = (good.is_empty(), found.first()) {
        return Err(Fault::Blocked(*first));
    }
    let (good, port) = match &inner.proxy {
        None => (good, target.port),
        Some(proxy) => (addresses_of(&proxy.host)?.to_vec(), proxy.port),
    };
    let sockets: Vec<_> = good.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
    connect(&sockets, deadline, cancel)
}

/// The transport over `wire`, with TLS if `tls` is set.
fn secured(
    inner: &ClientInner,
    details: &ConnectionDetails<'_>,
    wire: &Arc<Wire>,
    tls: bool,
) -> Result<Box<dyn Transport>, ureq::Error> {
    if !tls {
        let input = details.config.input_buffer_size();
        return Ok(Box::new(Socket::new(Arc::clone(wire), input, OUTPUT_BUFFER)));
    }
    let socket = Socket::new(Arc::clone(wire), TLS_RECORD_BUFFER, OUTPUT_BUFFER);
    let details = ConnectionDetails {
        uri: details.uri,
        addrs: details.resolver.empty(),
        config: &inner.config,
        // The client's settings count, so that its TLS configuration is reused.
        request_level: false,
        resolver: details.resolver,
        now: details.now,
        timeout: details.timeout,
        current_time: Arc::clone(&details.current_time),
        run_connector: Arc::clone(&details.run_connector),
        register_shutdown: Arc::clone(&details.register_shutdown),
    };
    match inner.tls.connect(&details, Some(socket))? {
        Some(transport) => Ok(Box::new(transport)),
        None => Err(ureq::Error::TlsRequired),
    }
}

/// Names are resolved by [`dial`], and only when a connection is opened.
#[derive(Debug)]
pub(super) struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(ArrayVec::from_fn(|_| SocketAddr::from(([0, 0, 0, 0], 0))))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use crate::http::{ClientBuilder, HttpError, Request, Resolve, Response};

    use super::*;

    /// The names of a small world.
    #[derive(Debug)]
    struct World;

    impl Resolve for World {
        fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
            let texts: &[&str] = match host {
                "inside.test" => &["10.0.0.1", "fd00::1"],
                "metadata.test" => &["169.254.169.254"],
                "empty.test" => &[],
                _ => return Err(io::Error::other("no such name")),
            };
            Ok(texts.iter().map(|text| text.parse().unwrap()).collect())
        }
    }

    fn get(builder: ClientBuilder, url: &str) -> Result<Response, HttpError> {
        let client = builder.resolver(Arc::new(World)).build().unwrap();
        client.send(&Request::get(Url::parse(url).unwrap()), &CancelToken::new())
    }

    #[test]
    fn names_of_private_addresses_are_refused_behind_a_proxy_too() {
        let proxied = ClientBuilder::default().proxy(Some("http://127.0.0.1:9".into()));
        for builder in [ClientBuilder::default(), proxied] {
            for host in ["inside.test", "metadata.test"] {
                let error = get(builder.clone(), &format!("http://{host}/")).unwrap_err();
                assert!(matches!(error, HttpError::BlockedAddress { .. }), "{error:?}");
            }
            for host in ["nowhere.test", "empty.test"] {
                let error = get(builder.clone(), &format!("https://{host}/")).unwrap_err();
                assert!(matches!(error, HttpError::Resolve { .. }), "{error:?}");
            }
        }
    }

    #[test]
    fn origins_are_told_apart_by_scheme_host_and_port() {
        let origin = |url: &str| Target::of(&Url::parse(url).unwrap()).unwrap().origin();
        assert_eq!(origin("http://A.test/x"), origin("http://u:p@a.test:80/y?z"));
        assert_eq!(&*origin("https://[::1]/"), "https://[::1]:443");
        assert_ne!(origin("http://a.test/"), origin("https://a.test/"));
        assert!(Target::of(&Url::parse("mailto:a@b.test").unwrap()).is_none());
    }
}
