//! Errors of an exchange.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;

use thiserror::Error;

/// A source of any type.
pub type Cause = Box<dyn Error + Send + Sync + 'static>;

/// The part of an exchange in which a deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Waiting for a connection to the host to be free.
    Queue,
    /// Resolving the name.
    Resolve,
    /// Connecting, TLS handshake included.
    Connect,
    /// Sending the request.
    Send,
    /// Waiting for the complete header of the response.
    FirstByte,
    /// Receiving the body.
    Body,
    /// The exchange as a whole.
    Total,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "waiting for a connection",
            Self::Resolve => "resolving the name",
            Self::Connect => "connecting",
            Self::Send => "sending the request",
            Self::FirstByte => "waiting for the response",
            Self::Body => "receiving the body",
            Self::Total => "the whole exchange",
        })
    }
}

/// Why an exchange failed. URLs are shown without user name and password.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HttpError {
    /// A setting of the client is invalid.
    #[error("invalid client setting: {reason}")]
    Config {
        /// Which setting, and what is wrong with it.
        reason: String,
    },
    /// The request cannot be sent; its scheme or a header is invalid, for instance.
    #[error("{url}: invalid request: {reason}")]
    InvalidRequest {
        /// The URL of the request.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The host's name could not be resolved.
    #[error("{url}: the host name does not resolve")]
    Resolve {
        /// The URL of the request.
        url: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// The [`AddressPolicy`](super::AddressPolicy) refuses all addresses of the host.
    #[error("{url}: the address {address} is not public, and must not be contacted")]
    BlockedAddress {
        /// The URL of the request.
        url: String,
        /// The first address that was refused.
        address: IpAddr,
    },
    /// No address of the host accepted a connection.
    #[error("{url}: cannot connect")]
    Connect {
        /// The URL of the request.
        url: String,
        /// The error of the last address that was tried.
        source: io::Error,
    },
    /// The proxy refused the tunnel.
    #[error("{url}: the proxy answered {status}")]
    Proxy {
        /// The URL of the request.
        url: String,
        /// Status of its response to CONNECT.
        status: u16,
    },
    /// The TLS handshake or a TLS record failed; the certificate is invalid, for instance.
    #[error("{url}: TLS failed")]
    Tls {
        /// The URL of the request.
        url: String,
        /// What failed.
        source: Cause,
    },
    /// A deadline passed.
    #[error("{url}: timed out: {phase}")]
    Timeout {
        /// The URL of the request.
        url: String,
        /// The part of the exchange that it ended.
        phase: Phase,
    },
    /// The body exceeds the size limit, on the wire or decoded.
    #[error("{url}: the body is larger than {limit} bytes")]
    TooLarge {
        /// The URL of the request.
        url: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The response's header exceeds the size limit, or has too many fields.
    #[error("{url}: the header is larger than {limit} bytes")]
    HeaderTooLarge {
        /// The URL of the request.
        url: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The body exceeds the limit of the compression ratio.
    #[error("{url}: the body expands more than {limit} times")]
    Ratio {
        /// The URL of the request.
        url: String,
        /// The limit: decoded bytes for each byte on the wire.
        limit: u64,
    },
    /// The body is not valid in its content encoding.
    #[error("{url}: cannot decode {encoding}")]
    Decode {
        /// The URL of the request.
        url: String,
        /// The content encoding.
        encoding: String,
        /// What is wrong.
        source: io::Error,
    },
    /// The response is not valid HTTP/1.
    #[error("{url}: the response is not valid HTTP")]
    Protocol {
        /// The URL of the request.
        url: String,
        /// What is wrong.
        source: Cause,
    },
    /// The connection broke.
    #[error("{url}: connection lost {}", if *.answered { "mid-response" } else { "before the response" })]
    Reset {
        /// The URL of the request.
        url: String,
        /// Whether a byte of the response had arrived.
        answered: bool,
        /// The connection's error.
        source: io::Error,
    },
    /// The connection ended before the body was complete.
    #[error("{url}: the body ended early, after {received} bytes")]
    Truncated {
        /// The URL of the request.
        url: String,
        /// Body bytes received.
        received: u64,
    },
    /// The caller's token was cancelled.
    #[error("{url}: cancelled")]
    Cancelled {
        /// The URL of the request.
        url: String,
    },
}

impl HttpError {
    /// Whether the same request may succeed later.
    ///
    /// It may after failures to resolve or connect, lost connections, deadlines, truncated bodies and
    /// a proxy's server errors. Certificates, limits, malformed responses, blocked addresses and
    /// cancellation are permanent.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::Reset { .. }
            | Self::Truncated { .. } => true,
            Self::Proxy { status, .. } => *status >= 500,
            _ => false,
        }
    }

    /// Whether it is certain that no response had begun. Then a retry is safe even where responses
    /// cost money, as those of models do.
    pub fn is_before_first_byte(&self) -> bool {
        match self {
            Self::Resolve { .. } | Self::Connect { .. } | Self::Proxy { .. } => true,
            Self::Timeout { phase, .. } => {
                matches!(phase, Phase::Queue | Phase::Resolve | Phase::Connect)
            }
            Self::Reset { answered, .. } => !answered,
            _ => false,
        }
    }

    /// The URL of the exchange; empty for [`HttpError::Config`].
    pub fn url(&self) -> &str {
        match self {
            Self::Config { .. } => "",
            Self::InvalidRequest { url, .. }
            | Self::Resolve { url, .. }
            | Self::BlockedAddress { url, .. }
            | Self::Connect { url, .. }
            | Self::Proxy { url, .. }
            | Self::Tls { url, .. }
            | Self::Timeout { url, .. }
            | Self::TooLarge { url, .. }
            | Self::HeaderTooLarge { url, .. }
            | Self::Ratio { url, .. }
            | Self::Decode { url, .. }
            | Self::Protocol { url, .. }
            | Self::Reset { url, .. }
            | Self::Truncated { url, .. }
            | Self::Cancelled { url } => url,
        }
    }
}
