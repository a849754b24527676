//! The fetcher.

use std::sync::Arc;

use url::Url;

use crate::cancel::CancelToken;
use crate::http::{Client, HttpStats, MediaGate, Request};
use crate::model::{Headers, Hop, Page};
use crate::time::{SharedClock, SystemClock};

use super::exchange::redirect_of;
use super::{Exchange, ExchangeRequest, FetchError, MediaTypes};

/// Preferred types: pages, then text and feeds, then anything.
const ACCEPT: &str = "text/html,application/xhtml+xml;q=0.9,text/plain;q=0.8,\
    application/atom+xml;q=0.8,application/rss+xml;q=0.8,application/feed+json;q=0.8,*/*;q=0.5";

/// Options of a [`Fetcher`].
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// Redirects that [`Fetcher::fetch`] follows; default 10.
    pub max_redirects: u32,
    /// Media types whose bodies are received; default [`MediaTypes::default`].
    pub media: MediaTypes,
    /// Most bytes of a body; default: the client's limit.
    pub max_body: Option<u64>,
    /// The clock for timestamps; default the system's.
    pub clock: SharedClock,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            max_redirects: 10,
            media: MediaTypes::default(),
            max_body: None,
            clock: SystemClock::shared(),
        }
    }
}

/// Fetches pages over a [`Client`]. Clones share the client's connections.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: Client,
    options: Arc<FetchOptions>,
    gate: MediaGate,
}

impl Fetcher {
    /// A fetcher over `client`.
    pub fn new(client: Client, options: FetchOptions) -> Self {
        let media = options.media.clone();
        // Only successful responses are checked: an error page may have any type.
        let gate = MediaGate::new(move |status, headers| {
            !is_success(status) || media.refused(headers).is_none()
        });
        Self { client, options: Arc::new(options), gate }
    }

    /// The client's figures.
    pub fn stats(&self) -> HttpStats {
        self.client.stats()
    }

    /// Makes one exchange. Redirects are reported, not followed; no status is an error.
    pub fn exchange(
        &self,
        request: &ExchangeRequest,
        cancel: &CancelToken,
    ) -> Result<Exchange, FetchError> {
        let mut asked = Request::get(request.url.clone());
        asked.headers.clone_from(&request.headers);
        asked.max_body = request.max_body.or(self.options.max_body);
        asked.accept_media = Some(self.gate.clone());
        let conditions =
            [("if-none-match", &request.etag), ("if-modified-since", &request.last_modified)];
        for (name, value) in conditions {
            if let Some(value) = value {
                asked.headers.push((name.to_owned(), value.clone()));
            }
        }
        if !asked.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
            asked.headers.push(("accept".to_owned(), ACCEPT.to_owned()));
        }
        let answer = self.client.send(&asked, cancel)?;
        let redirect = redirect_of(&request.url, answer.status, &answer.headers);
        let skipped_media = if answer.body_skipped { self.refused(&answer.headers) } else { None };
        Ok(Exchange {
            url: request.url.clone(),
            status: answer.status,
            headers: answer.headers,
            body: answer.body,
            wire_bytes: answer.wire_bytes,
            fetched_at: self.options.clock.wall(),
            elapsed: answer.elapsed,
            redirect,
            skipped_media,
        })
    }

    /// Fetches the page of `url`, following redirects. The page's status is that of the last
    /// response; no status is an error.
    ///
    /// Ignores politeness: robots.txt and delays are up to the caller.
    pub fn fetch(&self, url: &str, cancel: &CancelToken) -> Result<Page, FetchError> {
        let malformed = |source| FetchError::Url { url: url.to_owned(), source };
        let url = Url::parse(url).map_err(|error| malformed(Some(error)))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(malformed(None));
        }
        let mut hops: Vec<Hop> = Vec::new();
        let mut next = url.clone();
        next.set_fragment(None);
        loop {
            let answer = self.exchange(&ExchangeRequest::new(next), cancel)?;
            let Some(redirect) = answer.redirect else {
                return finish(url, hops, answer);
            };
            let location = redirect
                .map_err(|source| FetchError::Redirect { url: answer.url.to_string(), source })?;
            let (from, status, at) = (answer.url, answer.status, answer.fetched_at);
            hops.push(Hop { url: from, status, location: location.clone(), at });
            if hops.iter().any(|hop| hop.url == location) {
                return Err(FetchError::RedirectLoop { url: url.into(), again: location.into() });
            }
            let limit = self.options.max_redirects;
            if hops.len() > limit as usize {
                return Err(FetchError::TooManyRedirects { url: url.into(), limit });
            }
            next = location;
        }
    }

    fn refused(&self, headers: &Headers) -> Option<String> {
        self.options.media.refused(headers)
    }
}

const fn is_success(status: u16) -> bool {
    matches!(status, 200..=299)
}

fn finish(url: Url, hops: Vec<Hop>, answer: Exchange) -> Result<Page, FetchError> {
    if let Some(media_type) = answer.skipped_media {
        return Err(FetchError::Media { url: answer.url.into(), media_type });
    }
    Ok(Page {
        url,
        final_url: answer.url,
        hops,
        status: answer.status,
        headers: answer.headers,
        body: answer.body,
        wire_bytes: answer.wire_bytes,
        fetched_at: answer.fetched_at,
        elapsed: answer.elapsed,
    })
}
