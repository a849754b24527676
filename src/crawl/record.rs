//! The record of one URL, and its position in the queue of its host.

use serde::{Deserialize, Serialize};

use crate::model::{Hop, Reason};
use crate::time::Timestamp;
use crate::url::{Host, Url, UrlKey};

/// Ranks of one level of depth, within which scores order the URLs.
const RANKS_PER_LEVEL: u32 = 1024;

/// What kind of document a URL is expected to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DocumentKind {
    /// A page: content and links.
    #[default]
    Page,
    /// A sitemap or sitemap index.
    Sitemap,
    /// A feed.
    Feed,
}

/// How a URL became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Via {
    /// The user named it.
    Seed,
    /// A page links to it.
    Link,
    /// A sitemap, or `robots.txt`, lists it.
    Sitemap,
    /// A feed lists it.
    Feed,
    /// Another URL redirects to it.
    Redirect,
}

/// The record of one URL, which the engine stores under its [`UrlKey`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UrlRecord {
    /// The URL as it is fetched.
    pub url: Url,
    /// What it is expected to be.
    #[serde(default)]
    pub kind: DocumentKind,
    /// How it became known.
    pub via: Via,
    /// Whether the user named it, or only redirects led to it from such a URL.
    #[serde(default)]
    pub seed: bool,
    /// Links between a source and it.
    pub depth: u32,
    /// The page that linked, listed or redirected here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<UrlKey>,
    /// Redirects that led here, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hops: Vec<Hop>,
    /// Requests that were made for it and failed.
    #[serde(default)]
    pub attempts: u32,
    /// First part of its position in the queue.
    pub rank: u32,
    /// Second part: the order of admission.
    pub sequence: u64,
    /// Its state.
    pub reason: Reason,
    /// When it was admitted.
    pub admitted_at: Timestamp,
    /// When its state last changed.
    pub updated_at: Timestamp,
}

impl UrlRecord {
    /// The key under which it is known.
    pub fn key(&self) -> UrlKey {
        UrlKey::from_url(&self.url)
    }

    /// The host whose schedule its requests use.
    pub fn host(&self) -> Host {
        Host::of(&self.url)
    }

    pub(super) fn order(&self) -> Order {
        let mut tie = [0; 8];
        for (to, from) in tie.iter_mut().zip(self.key().0) {
            *to = from;
        }
        let tie = u64::from_be_bytes(tie);
        Order { rank: self.rank, sequence: self.sequence, tie }
    }
}

/// A position in the queue of a host: breadth first, then better scores within a level, then age.
/// `tie` is the beginning of the [`UrlKey`], because processes whose clocks agree assign equal
/// sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Order {
    pub(super) rank: u32,
    pub(super) sequence: u64,
    pub(super) tie: u64,
}

impl Order {
    pub(super) const FIRST: Self = Self { rank: 0, sequence: 0, tie: 0 };

    /// The position right after this one.
    pub(super) const fn next(self) -> Self {
        match (self.tie.checked_add(1), self.sequence.checked_add(1)) {
            (Some(tie), _) => Self { tie, ..self },
            (None, Some(sequence)) => Self { sequence, tie: 0, ..self },
            (None, None) => Self { rank: self.rank.saturating_add(1), ..Self::FIRST },
        }
    }
}

/// Rank of a URL of this depth and score; `score` is clamped to 0 (least) … 1, not a number is 0.
pub(super) fn rank_of(depth: u32, score: f32) -> u32 {
    let score = if score.is_nan() { 0.0 } else { score.clamp(0.0, 1.0) };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "between 0 and 1023 by the clamp"
    )]
    let behind = ((1.0 - score) * (RANKS_PER_LEVEL - 1) as f32) as u32;
    depth.saturating_mul(RANKS_PER_LEVEL).saturating_add(behind)
}

/// Beginning of the queue keys of a host: its name and a zero byte.
pub fn queue_prefix(host: &Host) -> Vec<u8> {
    let mut prefix = Vec::with_capacity(host.as_str().len() + 29);
    prefix.extend_from_slice(host.as_str().as_bytes());
    prefix.push(0);
    prefix
}

/// Key of a pending record in the queue that the engine stores: `host ‖ 0 ‖ rank (4 bytes) ‖
/// sequence (8) ‖ UrlKey (16)`, numbers big-endian. In key order the hosts follow one another, each
/// with its URLs in the order of fetching.
///
/// The key of a record never changes while it is pending.
pub fn queue_key(record: &UrlRecord) -> Vec<u8> {
    let mut key = queue_prefix(&record.host());
    key.extend_from_slice(&record.rank.to_be_bytes());
    key.extend_from_slice(&record.sequence.to_be_bytes());
    key.extend_from_slice(&record.key().0);
    key
}

/// The host at the beginning of a queue key; `None` if it is not a queue key.
pub fn queue_host(key: &[u8]) -> Option<Host> {
    let end = key.iter().position(|b| *b == 0)?;
    Some(Host::from(std::str::from_utf8(key.get(..end)?).ok()?))
}

/// The least queue key of `host` at or after `order`.
pub(super) fn queue_position(host: &Host, order: Order) -> Vec<u8> {
    let mut key = queue_prefix(host);
    key.extend_from_slice(&order.rank.to_be_bytes());
    key.extend_from_slice(&order.sequence.to_be_bytes());
    key.extend_from_slice(&order.tie.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_comes_before_score_and_score_before_age() {
        assert!(rank_of(0, 0.0) < rank_of(1, 1.0));
        assert!(rank_of(1, 0.9) < rank_of(1, 0.1));
        assert_eq!(rank_of(1, f32::NAN), rank_of(1, -3.0));
        assert_eq!(rank_of(u32::MAX, 0.0), u32::MAX);
        let host = Host::from("a.b");
        let at = |rank, sequence| queue_position(&host, Order { rank, sequence, tie: 0 });
        assert!(at(1, 9) < at(2, 0) && at(1, 255) < at(1, 256));
        assert_eq!(queue_host(&at(1, 2)), Some(host));
    }
}
