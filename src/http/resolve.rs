//! Resolving host names.

use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};

/// Resolves host names: the seam to DNS.
///
/// The client caches addresses for its `dns_ttl` and failures for its `dns_negative_ttl`, and looks
/// up a name once at a time. It checks every address by its
/// [`AddressPolicy`](super::AddressPolicy). Hosts that are addresses already are not looked up.
///
/// ```
/// use std::io;
/// use std::net::IpAddr;
/// use std::sync::Arc;
///
/// use gristmill::http::{Client, Resolve, SystemResolver};
///
/// /// One name by hand, the others by the system.
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
    /// The addresses of `host`, preferred ones first; the first 16 are used. No address, an error and
    /// a panic all count as a failure to resolve.
    ///
    /// `host` is a domain name as in a URL: ASCII in lower case, international names in Punycode,
    /// with a final dot if the URL has one.
    ///
    /// It may block: it runs on threads of its own, at most 16 at a time, and an exchange waits for it
    /// only until the exchange's deadline. It cannot be cancelled, so it should have a deadline of
    /// its own.
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
