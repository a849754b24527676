//! The client, and an exchange from start to finish.

use std::io::Read;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ureq::config::Config;
use ureq::http;
use ureq::unversioned::transport::RustlsConnector;
use ureq::{Agent, AsSendBody, Body};
use url::Url;

use crate::cache::Upkeep;
use crate::cancel::CancelToken;
use crate::cancel::wait::WaitError;
use crate::model::Headers;

use super::address::AddressPolicy;
use super::builder::{ClientBuilder, with_timeouts};
use super::connections::{Checkout, Connections};
use super::connector::{ExchangeConnector, NoResolver, OUTPUT_BUFFER, Plan, Target};
use super::decode::{self, Caps, DecodeError};
use super::error::{HttpError, Phase};
use super::fault::{Failing, classify};
use super::names::Resolver;
use super::proxy::Proxy;
use super::request::{Method, Request, Response, Timeouts};
use super::stats::{Counters, HttpStats};
use super::transport::Wire;

/// Most memory reserved for a body before its bytes arrive: its length is only announced.
const MAX_FIRST_ROOM: u64 = 256 * 1024;
/// Memory reserved for a body of unknown length.
const UNKNOWN_LENGTH_ROOM: u64 = 32 * 1024;
/// Longest URL and header field of a request.
const MAX_LINE: usize = OUTPUT_BUFFER - 64;
/// Shorter waits for a connection are not deducted from the exchange's time. Deducting them takes
/// timeouts for this exchange alone, which `ureq` builds anew.
const NOTABLE_WAIT: Duration = Duration::from_millis(5);

/// What all clones of a client share.
#[derive(Debug)]
pub(super) struct ClientInner {
    pub(super) config: Config,
    pub(super) tls: RustlsConnector,
    pub(super) resolver: Resolver,
    pub(super) policy: AddressPolicy,
    pub(super) proxy: Option<Proxy>,
    pub(super) counters: Arc<Counters>,
    pub(super) connections: Arc<Connections>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) timeouts: Timeouts,
    pub(super) max_body: u64,
    pub(super) max_header: u64,
    pub(super) max_ratio: u64,
}

/// An HTTP/1.1 client that makes one exchange at a time on the caller's thread. Clones share its
/// connections.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) inner: Arc<ClientInner>,
}

impl Client {
    /// A builder with the default settings.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Counters since the client was built.
    pub fn stats(&self) -> HttpStats {
        let (open, idle) = self.inner.connections.count();
        self.inner.counters.snapshot(open, idle)
    }

    /// The cache of names, for its counters and upkeep; `None` if it is off.
    pub fn dns_cache(&self) -> Option<Box<dyn Upkeep>> {
        let cache = self.inner.resolver.cache()?;
        Some(Box::new(cache.clone()))
    }

    /// Makes exactly one exchange: redirects are not followed, failures are not retried, and every
    /// status is a response.
    ///
    /// Blocks until the response is complete, a deadline passes or `cancel` is cancelled, which shuts
    /// down the socket. Only connecting cannot be interrupted; it has a deadline.
    pub fn send(&self, request: &Request, cancel: &CancelToken) -> Result<Response, HttpError> {
        Counters::add(&self.inner.counters.exchanges, 1);
        let result = self.exchange(request, cancel);
        if let Err(error) = &result {
            Counters::add(&self.inner.counters.failures, 1);
            tracing::debug!(url = error.url(), %error, "exchange failed");
        }
        result
    }

    fn exchange(&self, request: &Request, cancel: &CancelToken) -> Result<Response, HttpError> {
        let started = Instant::now();
        let Some(target) = Target::of(&request.url) else {
            let reason = "the URL must be http or https and name a host".into();
            return Err(HttpError::InvalidRequest { url: shown(&request.url), reason });
        };
        if let Some(reason) = too_long(request) {
            return Err(HttpError::InvalidRequest { url: shown(&request.url), reason });
        }
        if cancel.is_cancelled() {
            return Err(HttpError::Cancelled { url: shown(&request.url) });
        }
        let mut timeouts = request.timeouts.unwrap_or(self.inner.timeouts);
        let checkout = self.checkout(request, &target, started + timeouts.total, cancel)?;
        let waited = started.elapsed();
        let mut own_timeouts = request.timeouts.is_some();
        if waited > NOTABLE_WAIT {
            own_timeouts = true;
            timeouts.total = timeouts.total.saturating_sub(waited).max(Duration::from_millis(1));
        }
        let wire = Arc::new(OnceLock::new());
        let connector = ExchangeConnector {
            inner: Arc::clone(&self.inner),
            plan: Mutex::new(Some(Plan { checkout, target, cancel: cancel.clone() })),
            wire: Arc::clone(&wire),
        };
        let agent = Agent::with_parts(self.inner.config.clone(), connector, NoResolver);
        let timeouts = own_timeouts.then_some(timeouts);
        let answer = match (request.method, &request.body) {
            (Method::Post, Some(body)) => self.run(&agent, request, body.as_slice(), timeouts),
            (Method::Post, None) => self.run(&agent, request, [].as_slice(), timeouts),
            (Method::Get, _) => self.run(&agent, request, (), timeouts),
        };
        let reading = Reading { inner: &self.inner, request, started, wire: wire.get() };
        match answer {
            Ok(answer) => reading.read(answer),
            Err(error) => Err(reading.failed(error, None)),
        }
    }

    fn checkout(
        &self,
        request: &Request,
        target: &Target,
        deadline: Instant,
        cancel: &CancelToken,
    ) -> Result<Checkout, HttpError> {
        let acquired = self.inner.connections.acquire(&target.origin(), deadline, cancel);
        acquired.map_err(|error| {
            let url = shown(&request.url);
            match error {
                WaitError::TimedOut => HttpError::Timeout { url, phase: Phase::Queue },
                WaitError::Cancelled => HttpError::Cancelled { url },
            }
        })
    }

    fn run(
        &self,
        agent: &Agent,
        request: &Request,
        body: impl AsSendBody,
        timeouts: Option<Timeouts>,
    ) -> Result<http::Response<Body>, ureq::Error> {
        let method = match request.method {
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
        };
        let mut builder = http::Request::builder().method(method).uri(request.url.as_str());
        let replaced =
            |name: &str| request.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        for (name, value) in &self.inner.headers {
            if !replaced(name) {
                builder = builder.header(name, value);
            }
        }
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if let Some(proxy) = &self.inner.proxy
            && let Some(login) = &proxy.authorization
            && request.url.scheme() == "http"
        {
            builder = builder.header("proxy-authorization", login);
        }
        let prepared = builder.body(body).map_err(ureq::Error::Http)?;
        let Some(timeouts) = timeouts else { return agent.run(prepared) };
        agent.run(with_timeouts!(agent.configure_request(prepared), timeouts).build())
    }
}

/// The part of an exchange that follows the header.
struct Reading<'a> {
    inner: &'a ClientInner,
    request: &'a Request,
    started: Instant,
    wire: Option<&'a Arc<Wire>>,
}

impl Reading<'_> {
    fn failed(&self, error: ureq::Error, body: Option<u64>) -> HttpError {
        let answered = self.wire.is_some_and(|wire| wire.answered());
        let max_header = self.inner.max_header;
        classify(shown(&self.request.url), error, Failing { answered, body, max_header })
    }

    fn read(&self, answer: http::Response<Body>) -> Result<Response, HttpError> {
        let first_byte = self.started.elapsed();
        let Some(wire) = self.wire else {
            return Err(self.failed(ureq::Error::ConnectionFailed, None));
        };
        let (status, headers) = (answer.status().as_u16(), headers_of(answer.headers()));
        let mut response = Response {
            status,
            headers,
            body: Vec::new(),
            body_skipped: false,
            wire_bytes: 0,
            elapsed: first_byte,
            first_byte,
            remote_addr: wire.peer,
        };
        if let Some(gate) = &self.request.accept_media
            && !gate.wants(status, &response.headers)
        {
            response.body_skipped = true;
            return Ok(response);
        }
        let limit = self.request.max_body.unwrap_or(self.inner.max_body);
        let raw = self.receive(answer.into_body(), limit)?;
        response.wire_bytes = raw.len() as u64;
        response.elapsed = self.started.elapsed();
        let caps = Caps { bytes: limit, ratio: self.inner.max_ratio };
        response.body = decode::decode(raw, response.headers.get_all("content-encoding"), caps)
            .map_err(|error| self.undecodable(error, limit))?;
        Ok(response)
    }

    /// The body as received, at most `limit` bytes.
    fn receive(&self, body: Body, limit: u64) -> Result<Vec<u8>, HttpError> {
        let too_large = || HttpError::TooLarge { url: shown(&self.request.url), limit };
        let announced = body.content_length();
        if announced.is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let room = announced.unwrap_or(UNKNOWN_LENGTH_ROOM).min(MAX_FIRST_ROOM).min(limit);
        let mut raw = Vec::with_capacity(usize::try_from(room).unwrap_or(0));
        let mut reader = body.into_reader();
        let received = (&mut reader).take(limit.saturating_add(1)).read_to_end(&mut raw);
        Counters::add(&self.inner.counters.bytes, raw.len() as u64);
        received.map_err(|error| self.failed(error.into(), Some(raw.len() as u64)))?;
        if raw.len() as u64 > limit {
            return Err(too_large());
        }
        Ok(raw)
    }

    fn undecodable(&self, error: DecodeError, limit: u64) -> HttpError {
        let url = shown(&self.request.url);
        match error {
            DecodeError::TooLarge => HttpError::TooLarge { url, limit },
            DecodeError::Ratio => HttpError::Ratio { url, limit: self.inner.max_ratio },
            DecodeError::Invalid { encoding, source } => {
                HttpError::Decode { url, encoding, source }
            }
        }
    }
}

fn headers_of(map: &http::HeaderMap) -> Headers {
    let mut headers = Headers(Vec::with_capacity(map.len()));
    for (name, value) in map {
        headers.push(name.as_str(), String::from_utf8_lossy(value.as_bytes()));
    }
    headers
}

/// The line of the request's header that does not fit the output buffer, if there is one.
fn too_long(request: &Request) -> Option<String> {
    if request.url.as_str().len() > MAX_LINE {
        return Some(format!("the URL is longer than {MAX_LINE} bytes"));
    }
    let long = request.headers.iter().find(|(name, value)| name.len() + value.len() > MAX_LINE);
    long.map(|(name, _)| format!("the header {name} is longer than {MAX_LINE} bytes"))
}

/// The URL without user name and password.
fn shown(url: &Url) -> String {
    if url.username().is_empty() && url.password().is_none() {
        return url.as_str().to_owned();
    }
    let mut bare = url.clone();
    // Both succeed on every URL that has a host, and others have neither.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    bare.into()
}
