//! What can go wrong in one exchange.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;

use thiserror::Error;

/// A cause of any type.
pub type Cause = Box<dyn Error + Send + Sync + 'static>;

/// The part of an exchange in which a deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Waiting for one of the connections that the host is allowed.
    Queue,
    /// Resolving the name.
    Resolve,
    /// Connecting, with the TLS handshake.
    Connect,
    /// Sending the request.
    Send,
    /// Waiting for the complete header of the answer.
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
            Self::FirstByte => "waiting for the answer",
            Self::Body => "receiving the body",
            Self::Total => "the whole exchange",
        })
    }
}

/// Why an exchange brought no answer. URLs are given without their user name and password.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The client cannot be built as asked.
    #[error("invalid client setting: {reason}")]
    Config {
        /// Which setting, and what is wrong with it.
        reason: String,
    },
    /// The request cannot be sent: its scheme is not http or https, a header is malformed …
    #[error("{url}: invalid request: {reason}")]
    InvalidRequest {
        /// The URL asked for.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The host's name has no address, or the resolver failed.
    #[error("{url}: the name does not resolve")]
    Resolve {
        /// The URL asked for.
        url: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// All addresses of the host are refused by the [`AddressPolicy`](super::AddressPolicy).
    #[error("{url}: address {address} may not be contacted")]
    BlockedAddress {
        /// The URL asked for.
        url: String,
        /// The first address that was refused.
        address: IpAddr,
    },
    /// No address of the host accepted a connection.
    #[error("{url}: cannot connect")]
    Connect {
        /// The URL asked for.
        url: String,
        /// The error of the last address tried.
        source: io::Error,
    },
    /// The proxy did not open the way.
    #[error("{url}: the proxy answered {status}")]
    Proxy {
        /// The URL asked for.
        url: String,
        /// Status of the proxy's answer to CONNECT.
        status: u16,
    },
    /// The TLS handshake or a TLS record failed: an invalid certificate for instance.
    #[error("{url}: TLS failed")]
    Tls {
        /// The URL asked for.
        url: String,
        /// What failed.
        source: Cause,
    },
    /// A deadline passed.
    #[error("{url}: timed out: {phase}")]
    Timeout {
        /// The URL asked for.
        url: String,
        /// Where the exchange stood.
        phase: Phase,
    },
    /// The body is larger than allowed, on the wire or decoded.
    #[error("{url}: body larger than {limit} bytes")]
    TooLarge {
        /// The URL asked for.
        url: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The header of the answer is larger than allowed, or has too many fields.
    #[error("{url}: header larger than {limit} bytes")]
    HeaderTooLarge {
        /// The URL asked for.
        url: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The body expands more than allowed.
    #[error("{url}: body expands more than {limit} times")]
    Ratio {
        /// The URL asked for.
        url: String,
        /// The limit: decoded bytes for one byte of the wire.
        limit: u64,
    },
    /// The body is not what its content encoding says.
    #[error("{url}: cannot decode {encoding}")]
    Decode {
        /// The URL asked for.
        url: String,
        /// The content encoding.
        encoding: String,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The answer is not HTTP/1.
    #[error("{url}: not a valid HTTP answer")]
    Protocol {
        /// The URL asked for.
        url: String,
        /// What is wrong with it.
        source: Cause,
    },
    /// The connection broke.
    #[error("{url}: connection lost {}", if *.answered { "amid the answer" } else { "before the answer" })]
    Reset {
        /// The URL asked for.
        url: String,
        /// Whether any byte of the answer had come.
        answered: bool,
        /// What the connection reported.
        source: io::Error,
    },
    /// The connection ended before the body was complete.
    #[error("{url}: body cut off after {received} bytes")]
    Truncated {
        /// The URL asked for.
        url: String,
        /// Body bytes that came.
        received: u64,
    },
    /// The caller's token was cancelled.
    #[error("{url}: cancelled")]
    Cancelled {
        /// The URL asked for.
        url: String,
    },
}

impl HttpError {
    /// Whether the same request may succeed later: names that do not resolve, refused or lost
    /// connections, deadlines, cut bodies and a failing proxy. Certificates, limits, malformed
    /// answers, blocked addresses and cancellation are permanent.
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

    /// Whether the request surely did not get an answer begun: safe to repeat even where the
    /// request is not idempotent in cost (a model call).
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
