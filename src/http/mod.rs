//! HTTP/1.1: one exchange at a time on the caller's thread, bounded in time, bytes and connections.
//!
//! A [`Client`] makes exactly one exchange for a [`Request`]; following redirects and trying again
//! are up to the caller, and the module [`retry`](crate::retry) helps. What it guarantees:
//!
//! - Every wait has a deadline, and cancelling the caller's token ends it: the token shuts down the
//!   socket, so a blocked read returns at once.
//! - The [`AddressPolicy`] is checked on the resolved addresses of a name, and the socket is opened
//!   to the very address that was checked. Names are resolved by the system or by a [`Resolve`].
//! - Bodies are bounded on the wire, decoded, and in the ratio of the two; headers are bounded. A
//!   truncated body is an error.
//! - There are never more connections to an origin than `connections_per_host`, idle ones included.
//!
//! The protocol itself is left to `ureq`. Each exchange has an agent of its own, which costs about a
//! microsecond, keeps no connections and has a connector made for the exchange. This is how
//! the exchange's token and checkout reach the socket without shared state:
//!
//! ```text
//! Client::send ─▶ Connections::acquire ─▶ Checkout ─▶ ExchangeConnector ─▶ Pooled ─▶ ureq
//!                        ▲                         (idle, or resolve,      │
//!                        │                          judge, connect, TLS)   │
//!                        └──────────────── give_back when ended well ──────┘
//! ```

mod address;
mod builder;
mod client;
mod connections;
mod connector;
mod decode;
mod error;
mod fault;
mod names;
mod proxy;
mod request;
mod resolve;
mod stats;
mod transport;

pub use address::AddressPolicy;
pub use builder::ClientBuilder;
pub use client::Client;
pub use error::{Cause, HttpError, Phase};
pub use request::{MediaGate, Method, Request, Response, Timeouts};
pub use resolve::{Resolve, SystemResolver};
pub use stats::HttpStats;
