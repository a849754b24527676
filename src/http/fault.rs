//! Translates the errors of the layers below to [`HttpError`].

use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;

use ureq::Timeout;

use super::error::{HttpError, Phase};

/// An error of this client's connector or transport, on its way through `ureq`.
#[derive(Debug)]
pub(super) enum Fault {
    Cancelled,
    Resolve(io::Error),
    ResolveTimedOut,
    Blocked(IpAddr),
    Connect(io::Error),
    ConnectTimedOut,
    Proxy(u16),
    Reset(io::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("cancelled"),
            Self::Resolve(error) => write!(f, "resolving: {error}"),
            Self::ResolveTimedOut => f.write_str("resolving timed out"),
            Self::Blocked(address) => write!(f, "address {address} is refused"),
            Self::Connect(error) => write!(f, "connecting: {error}"),
            Self::ConnectTimedOut => f.write_str("connecting timed out"),
            Self::Proxy(status) => write!(f, "the proxy answered {status}"),
            Self::Reset(error) => write!(f, "connection lost: {error}"),
        }
    }
}

impl Error for Fault {}

impl From<Fault> for ureq::Error {
    fn from(fault: Fault) -> Self {
        Self::Other(Box::new(fault))
    }
}

/// What is known of an exchange when it fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failing {
    /// Whether a byte of the response had arrived.
    pub(super) answered: bool,
    /// Body bytes received; `None` before the body.
    pub(super) body: Option<u64>,
    /// Size limit of the header in bytes.
    pub(super) max_header: u64,
}

/// The public error for what `ureq` reported about `url`.
pub(super) fn classify(url: String, error: ureq::Error, at: Failing) -> HttpError {
    match error {
        ureq::Error::Other(cause) => match cause.downcast::<Fault>() {
            Ok(fault) => of_fault(url, *fault, at),
            Err(source) => HttpError::Protocol { url, source },
        },
        ureq::Error::Timeout(phase) => HttpError::Timeout { url, phase: phase_of(phase) },
        ureq::Error::LargeResponseHeader(..) => {
            HttpError::HeaderTooLarge { url, limit: at.max_header }
        }
        ureq::Error::Io(source) => of_io(url, source, at),
        ureq::Error::BadUri(reason) => HttpError::InvalidRequest { url, reason },
        ureq::Error::Http(cause) => HttpError::InvalidRequest { url, reason: cause.to_string() },
        ureq::Error::Rustls(cause) => HttpError::Tls { url, source: Box::new(cause) },
        ureq::Error::Tls(reason) => HttpError::Tls { url, source: reason.into() },
        other => HttpError::Protocol { url, source: Box::new(other) },
    }
}

fn of_fault(url: String, fault: Fault, at: Failing) -> HttpError {
    match fault {
        Fault::Cancelled => HttpError::Cancelled { url },
        Fault::Resolve(source) => HttpError::Resolve { url, source },
        Fault::ResolveTimedOut => HttpError::Timeout { url, phase: Phase::Resolve },
        Fault::Blocked(address) => HttpError::BlockedAddress { url, address },
        Fault::Connect(source) => HttpError::Connect { url, source },
        Fault::ConnectTimedOut => HttpError::Timeout { url, phase: Phase::Connect },
        Fault::Proxy(status) => HttpError::Proxy { url, status },
        Fault::Reset(source) => HttpError::Reset { url, answered: at.answered, source },
    }
}

fn of_io(url: String, source: io::Error, at: Failing) -> HttpError {
    if source.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<rustls::Error>) {
        return HttpError::Tls { url, source: source.into() };
    }
    match (source.kind(), at.body) {
        (io::ErrorKind::UnexpectedEof, Some(received)) => HttpError::Truncated { url, received },
        _ => HttpError::Reset { url, answered: at.answered, source },
    }
}

fn phase_of(timeout: Timeout) -> Phase {
    match timeout {
        Timeout::Resolve => Phase::Resolve,
        Timeout::Connect => Phase::Connect,
        Timeout::SendRequest | Timeout::SendBody | Timeout::PerWrite => Phase::Send,
        Timeout::RecvResponse => Phase::FirstByte,
        Timeout::RecvBody | Timeout::PerRead => Phase::Body,
        _ => Phase::Total,
    }
}
