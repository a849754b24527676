//! The response cache's two tiers, and the form of answers in the durable one.

use std::sync::Arc;
use std::time::Duration;

use super::request::Completion;
use crate::cache::{Cache, InsertOptions, Tier};
use crate::time::{SharedClock, Timestamp};

/// The durable tier: bytes under the key of the exact request.
pub type DurableTier = dyn Tier<[u8; 32], Vec<u8>>;

/// Bytes that an entry takes besides its texts: key, map nodes, the structure itself.
const ENTRY_OVERHEAD: u64 = 512;

/// First byte of a stored answer that has its time. Older answers are JSON alone, which begins with
/// a brace, and have no time.
const WITH_TIME: u8 = 2;

/// The memory tier, measured in bytes.
#[derive(Debug)]
pub(super) struct MemoryTier {
    /// `None` if the tier is off.
    cache: Option<Cache<[u8; 32], CachedAnswer>>,
}

#[derive(Clone, Debug)]
pub(super) struct CachedAnswer {
    answer: Arc<Completion>,
    bytes: u64,
}

impl MemoryTier {
    /// A tier of at most `capacity` bytes (0: off) that keeps answers for `ttl` (zero: with no
    /// limit).
    pub(super) fn new(capacity: usize, ttl: Duration, clock: &SharedClock) -> Self {
        let cache = (capacity > 0).then(|| {
            let builder = Cache::builder()
                .capacity(capacity as u64)
                .weigher(|_, held: &CachedAnswer| held.bytes)
                .clock(Arc::clone(clock));
            let builder = if ttl.is_zero() { builder } else { builder.ttl(ttl) };
            builder.build().expect("invariant: the options go together")
        });
        Self { cache }
    }

    pub(super) fn get(&self, key: &[u8; 32]) -> Option<Arc<Completion>> {
        self.cache.as_ref()?.get(key).map(|held| held.answer)
    }

    /// Keeps an answer whose encoded form has `bytes` bytes, for `ttl` or the tier's own time.
    pub(super) fn put(
        &self,
        key: [u8; 32],
        answer: Arc<Completion>,
        bytes: usize,
        ttl: Option<Duration>,
    ) {
        let Some(cache) = &self.cache else { return };
        let bytes = (bytes as u64).saturating_add(ENTRY_OVERHEAD);
        let options = InsertOptions { ttl, ..InsertOptions::default() };
        cache.insert_with(key, CachedAnswer { answer, bytes }, options);
    }

    pub(super) fn cache(&self) -> Option<&Cache<[u8; 32], CachedAnswer>> {
        self.cache.as_ref()
    }
}

/// An answer's form in the durable tier: a byte for the form, the time in milliseconds since 1970
/// (8 bytes, little-endian), JSON.
pub(super) fn encode(answer: &Completion, at: Timestamp) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = vec![WITH_TIME];
    bytes.extend_from_slice(&at.as_millis().to_le_bytes());
    serde_json::to_writer(&mut bytes, answer)?;
    Ok(bytes)
}

/// Reads what [`encode`] wrote, or the form of earlier versions, which has no time.
pub(super) fn decode(bytes: &[u8]) -> Result<(Completion, Option<Timestamp>), serde_json::Error> {
    let (at, json) = match bytes.split_first().map(|(form, rest)| (form, rest.split_at_checked(8)))
    {
        Some((&WITH_TIME, Some((at, json)))) => {
            let at = at.first_chunk().map_or(0, |at| u64::from_le_bytes(*at));
            (Some(Timestamp(at)), json)
        }
        _ => (None, bytes),
    };
    Ok((serde_json::from_slice(json)?, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::{CacheTier, FinishReason, Usage};
    use crate::time::{ManualClock, SystemClock};

    fn answer(text: &str) -> Arc<Completion> {
        Arc::new(Completion {
            text: text.into(),
            value: None,
            model: String::new(),
            request_id: None,
            usage: Usage::default(),
            cache: CacheTier::Miss,
            finish_reason: FinishReason::Stop,
            requests: 1,
            repaired: false,
        })
    }

    #[test]
    fn the_tier_is_bounded_in_bytes_and_refuses_what_would_fill_it() {
        let tier = MemoryTier::new(10_000, Duration::ZERO, &SystemClock::shared());
        for n in 0..100 {
            tier.put([n; 32], answer("short"), 88, None);
        }
        tier.put([200; 32], answer("too large"), 5_000, None);
        let stats = tier.cache().unwrap().stats();
        assert_eq!((stats.entries, stats.weight, stats.refused), (16, 16 * 600, 1));
        assert!(tier.get(&[200; 32]).is_none());
    }

    #[test]
    fn an_answer_goes_at_its_own_time_or_the_tiers() {
        let (clock, second) = (ManualClock::new(Timestamp(0)), Duration::from_secs(1));
        let shared: SharedClock = clock.clone();
        let tier = MemoryTier::new(1 << 20, 10 * second, &shared);
        tier.put([1; 32], answer("of the tier"), 10, None);
        tier.put([2; 32], answer("of its own"), 10, Some(second));
        clock.advance(second);
        assert!(tier.get(&[1; 32]).is_some() && tier.get(&[2; 32]).is_none());
        clock.advance(9 * second);
        assert!(tier.get(&[1; 32]).is_none());
    }

    #[test]
    fn stored_answers_have_their_time_and_those_of_earlier_versions_are_read() {
        let answer = answer("blue");
        let bytes = encode(&answer, Timestamp(1_700_000_000_000)).unwrap();
        let read = decode(&bytes).unwrap();
        assert_eq!(read, ((*answer).clone(), Some(Timestamp(1_700_000_000_000))));
        let before = serde_json::to_vec(&*answer).unwrap();
        assert_eq!(decode(&before).unwrap(), ((*answer).clone(), None));
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{length} bytes");
        }
    }
}
