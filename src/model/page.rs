//! Pages: the results of fetches.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::time::Timestamp;

/// The result of a fetch: the response of the last exchange, and the redirects that led to it.
#[derive(Clone, Debug)]
pub struct Page {
    /// The requested URL.
    pub url: Url,
    /// The URL of the response, after all redirects; equal to `url` if there were none.
    pub final_url: Url,
    /// Redirects followed, in order, each with its status.
    pub hops: Vec<Hop>,
    /// Status of the response.
    pub status: u16,
    /// Headers of the response.
    pub headers: Headers,
    /// Body after content decoding (gzip, brotli, …), before charset decoding.
    pub body: Vec<u8>,
    /// Body bytes received over the wire.
    pub wire_bytes: u64,
    /// When the response was complete.
    pub fetched_at: Timestamp,
    /// From the start of the last exchange to its last byte.
    pub elapsed: Duration,
}

/// One redirect that was followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// The URL that answered with a redirect.
    pub url: Url,
    /// Its status, such as 301.
    pub status: u16,
    /// Where it pointed.
    pub location: Url,
    /// When it responded.
    pub at: Timestamp,
}

/// One header field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Field name in lower case.
    pub name: String,
    /// Field value; bytes outside UTF-8 are replaced.
    pub value: String,
}

/// The header fields of a response, in the order received.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Headers(pub Vec<Header>);

impl Headers {
    /// The value of the first field called `name` (any case).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value.as_str())
    }

    /// The values of all fields called `name` (any case), in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.0.iter().filter(move |h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value.as_str())
    }

    /// Appends a field; the name is lower-cased.
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.0.push(Header { name: name.to_ascii_lowercase(), value: value.into() });
    }

    /// The media type of `content-type` in lower case, without its parameters.
    pub fn media_type(&self) -> Option<String> {
        let value = self.get("content-type")?;
        let media = value.split(';').next().unwrap_or(value).trim();
        (!media.is_empty()).then(|| media.to_ascii_lowercase())
    }
}
