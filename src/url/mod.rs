//! URLs: parsing, resolving, and the canonical form that tells duplicates.
//!
//! The URL that is fetched is what the page wrote; the [`CanonicalUrl`] is only the key.

use std::fmt;

use serde::{Deserialize, Serialize};
pub use url::Url;

/// The first 16 bytes of the BLAKE3 hash of a canonical URL: the key under which a URL is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UrlKey(pub [u8; 16]);

impl fmt::Debug for UrlKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UrlKey({:032x})", u128::from_be_bytes(self.0))
    }
}
