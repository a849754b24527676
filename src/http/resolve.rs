//! Where the addresses of names come from.

use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};

/// Where the addresses of names come from: the seam to the world's directories of names.
///
/// The client caches what it is told for its `dns_ttl`, failures for its `dns_negative_ttl`, and asks
/// for each name once at a time. Every address is then judged by the client's
/// [`AddressPolicy`](super::AddressPolicy), whoever named it. Hosts that are written as addresses
/// are not looked up.
///
/// ```
/// use std::io;
/// use std::net::IpAddr;
/// use std::sync::Arc;
///
/// use gristmill::http::{Client, Resolve, SystemResolver};
///
/// /// One name by hand, all others by the system.
/// #[derive(Debug)]
/// struct Pinned;
///
/// impl Resolve for Pinned {
///     fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
///         match host {
///             "staging.example.com" => Ok(vec![IpAddr::from([203, 0, 113, 7])]),
///             other => SystemResolver.resolve(other),
///         }
///     }
/// }
///
/// # fn main() -> Result<(), gristmill::http::HttpError> {
/// let client = Client::builder().resolver(Arc::new(Pinned)).build()?;
/// # Ok(())
/// # }
/// ```
pub trait Resolve: Send + Sync + fmt::Debug {
    /// All addresses of `host`, the preferred ones first; the first 16 are used. No address, an
    /// error and a panic all mean that the name does not resolve now.
    ///
    /// `host` is a domain name as URLs hold it: ASCII in lower case, international names in
    /// Punycode, with a final dot if the URL has one.
    ///
    /// It may block: it is called on threads of the client's own, at most 16 at a time, and no
    /// exchange waits for it beyond its own deadline. It cannot be cancelled, so it should end at a
    /// deadline of its own.
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver (`getaddrinfo`): the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        (host, 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect())
    }
}
