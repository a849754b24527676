//! The hosts' names, as a resolver of the crawler's.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use gristmill::http::Resolve;

/// The first address.
const FIRST: u32 = u32::from_be_bytes([127, 1, 0, 1]);

/// The address of the host with this number.
pub(super) fn address(number: usize) -> Ipv4Addr {
    let number = u32::try_from(number).expect("fewer hosts than loopback addresses");
    Ipv4Addr::from(FIRST + number)
}

/// The name of the host with this number, where it has none of its own.
pub(super) fn name(number: usize) -> String {
    format!("site{number}.test")
}

/// Knows the hosts' addresses and no others.
#[derive(Debug)]
pub(crate) struct Names(HashMap<Arc<str>, Ipv4Addr>);

impl Names {
    pub(super) fn new(hosts: impl Iterator<Item = (Arc<str>, Ipv4Addr)>) -> Self {
        Self(hosts.collect())
    }

    /// The names of a server in another process that has `count` hosts without names of their own.
    pub(crate) fn numbered(count: usize) -> Self {
        Self::new((0..count).map(|number| (name(number).into(), address(number))))
    }
}

impl Resolve for Names {
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        match self.0.get(host) {
            Some(address) => Ok(vec![IpAddr::V4(*address)]),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "no such host in this test")),
        }
    }
}
