//! The client's settings.

use std::sync::Arc;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::{HeaderName, HeaderValue};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::transport::RustlsConnector;

use crate::time::{SharedClock, SystemClock};

use super::address::AddressPolicy;
use super::client::{Client, ClientInner};
use super::connections::{Connections, Limits};
use super::connector::OUTPUT_BUFFER;
use super::decode;
use super::error::HttpError;
use super::names::{Keeping, Resolver};
use super::proxy::Proxy;
use super::request::Timeouts;
use super::resolve::{Resolve, SystemResolver};
use super::stats::Counters;

/// Bytes of the input buffer beyond the largest header.
const BUFFER_BEYOND_HEADER: usize = 1024;
/// Range of `max_header_bytes`. Each connection has a buffer of that size.
const HEADER_BYTES: std::ops::RangeInclusive<usize> = 1024..=1024 * 1024;

/// Sets all of `ureq`'s deadlines. A macro, because its builders for a client and for a request
/// share no nameable trait.
macro_rules! with_timeouts {
    ($builder:expr, $timeouts:expr) => {
        $builder
            .timeout_global(Some($timeouts.total))
            .timeout_resolve(Some($timeouts.connect))
            .timeout_connect(Some($timeouts.connect))
            .timeout_send_request(Some($timeouts.first_byte))
            .timeout_send_body(Some($timeouts.body))
            .timeout_recv_response(Some($timeouts.first_byte))
            .timeout_recv_body(Some($timeouts.body))
    };
}
pub(super) use with_timeouts;

/// Settings of a [`Client`]; each method names its default.
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    user_agent: String,
    timeouts: Timeouts,
    max_body: u64,
    max_header: usize,
    max_ratio: u64,
    policy: AddressPolicy,
    limits: Limits,
    proxy: Option<String>,
    headers: Vec<(String, String)>,
    resolver: Arc<dyn Resolve>,
    names: Keeping,
    clock: SharedClock,
    roots: Option<Vec<u8>>,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        let max_idle_age = Duration::from_secs(15);
        Self {
            user_agent: concat!("gristmill/", env!("CARGO_PKG_VERSION")).into(),
            timeouts: Timeouts::default(),
            max_body: 16 * 1024 * 1024,
            max_header: 64 * 1024,
            max_ratio: 200,
            policy: AddressPolicy::Public,
            limits: Limits { per_origin: 6, max_idle: 64, max_idle_age },
            proxy: None,
            headers: Vec::new(),
            resolver: Arc::new(SystemResolver),
            names: Keeping::default(),
            clock: SystemClock::shared(),
            roots: None,
        }
    }
}

impl ClientBuilder {
    /// The `user-agent` header; default `gristmill/VERSION`.
    #[must_use]
    pub fn user_agent(mut self, value: impl Into<String>) -> Self {
        self.user_agent = value.into();
        self
    }

    /// Deadlines of exchanges without their own; default [`Timeouts::default`].
    #[must_use]
    pub const fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Size limit of a body in bytes, on the wire and decoded; default 16 MiB.
    #[must_use]
    pub const fn max_body_bytes(mut self, limit: u64) -> Self {
        self.max_body = limit;
        self
    }

    /// Size limit of a response's header in bytes, 1 KiB to 1 MiB; default 64 KiB. Each open
    /// connection has a buffer of that size. A response may have 128 header fields.
    #[must_use]
    pub const fn max_header_bytes(mut self, limit: usize) -> Self {
        self.max_header = limit;
        self
    }

    /// Limit of the ratio of a body's decoded bytes to its bytes on the wire, for bodies that decode
    /// to more than 1 MiB; default 200.
    #[must_use]
    pub const fn max_ratio(mut self, limit: u64) -> Self {
        self.max_ratio = limit;
        self
    }

    /// Which addresses may be contacted; default [`AddressPolicy::Public`].
    #[must_use]
    pub const fn address_policy(mut self, policy: AddressPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Maximum number of connections, idle ones included, to one scheme, host and port; default 6.
    /// Further exchanges wait.
    #[must_use]
    pub const fn connections_per_host(mut self, limit: usize) -> Self {
        self.limits.per_origin = limit;
        self
    }

    /// Maximum number of idle connections in all; default 64.
    #[must_use]
    pub const fn max_idle_connections(mut self, limit: usize) -> Self {
        self.limits.max_idle = limit;
        self
    }

    /// How long a connection may be idle; default 15 seconds.
    #[must_use]
    pub const fn max_idle_age(mut self, age: Duration) -> Self {
        self.limits.max_idle_age = age;
        self
    }

    /// An HTTP proxy as `http://[user:password@]host[:port]`; default none, whatever the environment
    /// says. https goes through a tunnel, http is forwarded. Names are resolved here as well, so that
    /// private addresses are refused behind a proxy too.
    #[must_use]
    pub fn proxy(mut self, url: Option<String>) -> Self {
        self.proxy = url;
        self
    }

    /// Adds a header field to every request; default none.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Resolves the names of hosts and of the proxy; default [`SystemResolver`]. Its answers are
    /// cached, and checked by [`address_policy`](Self::address_policy).
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.resolver = resolver;
        self
    }

    /// How long the addresses of a name are cached; default 60 seconds. Zero turns the cache off.
    #[must_use]
    pub const fn dns_ttl(mut self, ttl: Duration) -> Self {
        self.names.ttl = ttl;
        self
    }

    /// How long a failed lookup is cached, at most for `dns_ttl`; default 10 seconds.
    #[must_use]
    pub const fn dns_negative_ttl(mut self, ttl: Duration) -> Self {
        self.names.negative_ttl = ttl;
        self
    }

    /// Maximum number of cached names; default 10,000. Zero turns the cache off.
    #[must_use]
    pub const fn dns_names(mut self, most: usize) -> Self {
        self.names.names = most;
        self
    }

    /// The clock by which cached names and idle connections age; default the system's. Deadlines
    /// always go by real time.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = clock;
        self
    }

    /// The certificate authorities to trust, as PEM; default Mozilla's, from the crate
    /// `webpki-roots`. Use this for servers of your own: verification cannot be turned off.
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// Builds the client; fails with [`HttpError::Config`], which names the invalid setting.
    pub fn build(self) -> Result<Client, HttpError> {
        self.check().map_err(|reason| HttpError::Config { reason })?;
        let proxy = self.proxy.as_deref().map(Proxy::parse).transpose();
        let proxy = proxy.map_err(|reason| HttpError::Config { reason })?;
        let roots = self.roots.as_deref().map(root_certificates).transpose();
        let roots = roots.map_err(|reason| HttpError::Config { reason })?;
        let tls = TlsConfig::builder().root_certs(roots.unwrap_or(RootCerts::WebPki)).build();
        let counters = Arc::new(Counters::default());
        let clock = self.clock;
        let (source, counted) = (self.resolver, Arc::clone(&counters));
        let resolver = Resolver::new(source, Arc::clone(&clock), self.names, counted);
        let config = with_timeouts!(Config::builder(), self.timeouts)
            .tls_config(tls)
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Connections are kept by `Connections`, not by `ureq`.
            .max_idle_connections(0)
            .max_idle_connections_per_host(0)
            .accept_encoding(decode::ACCEPT_ENCODING)
            .user_agent(self.user_agent)
            .max_response_header_size(self.max_header)
            .input_buffer_size(self.max_header + BUFFER_BEYOND_HEADER)
            .output_buffer_size(OUTPUT_BUFFER)
            .build();
        Ok(Client {
            inner: Arc::new(ClientInner {
                config,
                tls: RustlsConnector::default(),
                resolver,
                policy: self.policy,
                proxy,
                counters,
                connections: Connections::new(self.limits, clock),
                headers: self.headers,
                timeouts: self.timeouts,
                max_body: self.max_body,
                max_header: self.max_header as u64,
                max_ratio: self.max_ratio,
            }),
        })
    }

    fn check(&self) -> Result<(), String> {
        if self.limits.per_origin == 0 {
            return Err("connections_per_host must be at least 1".into());
        }
        if self.max_ratio == 0 {
            return Err("max_ratio must be at least 1".into());
        }
        if !HEADER_BYTES.contains(&self.max_header) {
            return Err("max_header_bytes must be between 1 KiB and 1 MiB".into());
        }
        let Timeouts { connect, first_byte, body, total } = self.timeouts;
        if [connect, first_byte, body, total].contains(&Duration::ZERO) {
            return Err("timeouts must be above zero".into());
        }
        HeaderValue::from_str(&self.user_agent).map_err(|error| format!("user_agent: {error}"))?;
        for (name, value) in &self.headers {
            HeaderName::try_from(name).map_err(|error| format!("header {name}: {error}"))?;
            HeaderValue::try_from(value).map_err(|error| format!("header {name}: {error}"))?;
        }
        Ok(())
    }
}

fn root_certificates(pem: &[u8]) -> Result<RootCerts, String> {
    let mut roots = Vec::new();
    for item in parse_pem(pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => roots.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(format!("root_certificates: {error}")),
        }
    }
    if roots.is_empty() {
        return Err("root_certificates: no certificate in it".into());
    }
    Ok(RootCerts::new_with_certs(&roots))
}
