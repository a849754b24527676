//! Why a URL was or was not fetched and kept.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::time::Timestamp;

/// Why a URL is in its state. Its `Display` form is one line of text; its JSON form is `{"reason":
/// "...", ...}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// Fetched and stored.
    Done,
    /// Known and not fetched yet.
    Pending,
    /// To be requested again, not before a time.
    WaitingUntil {
        /// The earliest time of the next request.
        at: Timestamp,
        /// What happened at the last one.
        cause: String,
    },
    /// Outside the scope of the job.
    OutOfScope {
        /// The rule that excluded it.
        rule: String,
    },
    /// Disallowed by robots.txt.
    Robots {
        /// The line of robots.txt that decided, or why the file could not be read.
        line: String,
    },
    /// The same content, or the target of a redirect, is stored under another URL.
    DuplicateOf {
        /// That URL.
        url: Url,
    },
    /// More links away from a source than the job allows.
    TooDeep {
        /// How many.
        depth: u32,
    },
    /// A budget of the job was used up first.
    Budget {
        /// Which.
        kind: BudgetKind,
    },
    /// The URL looks like a crawler trap.
    Trap {
        /// The kind of trap.
        kind: TrapKind,
    },
    /// The host's address may not be contacted (private, loopback, link-local …).
    BlockedAddress {
        /// The address.
        address: String,
    },
    /// The server responded with this status, and no retry is left.
    Http {
        /// The status.
        status: u16,
    },
    /// The body exceeded a limit.
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The response has a media type that is not read.
    NotHtml {
        /// Its media type.
        media_type: String,
    },
    /// The request failed, and no retry is left.
    Failed {
        /// What failed, with its causes.
        cause: String,
    },
}

/// Budgets that can run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BudgetKind {
    /// Pages with stored content.
    Pages,
    /// Body bytes.
    Bytes,
    /// Seconds.
    Time,
    /// Model tokens.
    Tokens,
    /// Pages of one host.
    HostPages,
}

/// Kinds of crawler traps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TrapKind {
    /// The same path segments repeat.
    PathRepetition,
    /// The query grows with each link.
    QueryGrowth,
    /// An endless series of dates.
    Calendar,
    /// The URL is too long.
    LongUrl,
}

impl fmt::Display for BudgetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pages => "pages",
            Self::Bytes => "bytes",
            Self::Time => "seconds",
            Self::Tokens => "tokens",
            Self::HostPages => "pages of one host",
        })
    }
}

impl fmt::Display for TrapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PathRepetition => "repeating path",
            Self::QueryGrowth => "growing query",
            Self::Calendar => "endless calendar",
            Self::LongUrl => "overlong URL",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Pending => f.write_str("pending: known, not fetched yet"),
            Self::WaitingUntil { at, cause } => write!(f, "waiting until {at}: {cause}"),
            Self::OutOfScope { rule } => write!(f, "out of scope: {rule}"),
            Self::Robots { line } => write!(f, "disallowed by robots.txt: {line}"),
            Self::DuplicateOf { url } => write!(f, "duplicate of {url}"),
            Self::TooDeep { depth } => write!(f, "too deep: {depth} links from a source"),
            Self::Budget { kind } => write!(f, "budget used up: {kind}"),
            Self::Trap { kind } => write!(f, "trap: {kind}"),
            Self::BlockedAddress { address } => write!(f, "blocked address: {address}"),
            Self::Http { status } => write!(f, "the server answered {status}"),
            Self::TooLarge { limit } => write!(f, "larger than {limit} bytes"),
            Self::NotHtml { media_type } => write!(f, "not a document that is read: {media_type}"),
            Self::Failed { cause } => write!(f, "failed: {cause}"),
        }
    }
}
