//! The engine's caches: their construction, figures and upkeep.
//!
//! | figures | key | value | leaves when |
//! | --- | --- | --- | --- |
//! | `content_cache` | page | its content | its text is replaced, its time is over, or it goes unread |
//! | `query_cache` | query and generations of what it reads | its result | its time is over; a commit makes it unreachable |
//! | `template_cache` | focus | its part of a prompt | its time is over |
//! | `response_cache` | request to a model | answer | its time is over, if it has one |
//! | `dns_cache` | name | addresses, or a failure | its time is over, sooner for failures |
//! | `robots_cache` | origin | rules | its time is over |
//!
//! Any entry may be lost at any moment, because it can be restored from the store or the network.
//! So a size of 0 turns a cache off, except `robots_cache`, which is read before each page. The
//! holders of texts are different, although a [`Cache`] keeps them: the page that holds a text may
//! be in a batch that is not visible yet. They have a fixed size and no time to live, and memory
//! pressure does not shrink them.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::distil::PromptCache;
use super::query::results::{CachedRows, QueryKey, ResultCache};
use crate::cache::{Cache, CacheBuilder, CacheStats, Upkeep};
use crate::config::Config;
use crate::crawl::RulesCache;
use crate::model::Content;
use crate::time::SharedClock;
use crate::url::UrlKey;

/// Texts whose holder is known in memory. The holder's batch may not be visible yet, so this must
/// be far more than the pages in flight.
const HOLDERS: u64 = 1 << 16;
/// How often the caches are swept.
pub(super) const UPKEEP_EVERY: Duration = Duration::from_secs(10);
/// Most expired entries that one pass removes from one cache.
const SWEEP_ENTRIES: usize = 10_000;
/// Largest share of its size that a cache keeps under memory pressure.
const UNDER_PRESSURE: f64 = 0.5;

/// A cache, unless a size of 0 has turned it off.
pub(super) struct OptionalCache<K, V>(Option<Cache<K, V>>);

/// The caches of an engine.
pub(super) struct Caches {
    /// Contents by page: the distiller need not read back what was just stored.
    pub(super) contents: OptionalCache<UrlKey, Arc<Content>>,
    /// The page that holds a text, by the BLAKE3 of the text.
    pub(super) holders: Cache<[u8; 32], Url>,
    pub(super) queries: Option<ResultCache>,
    pub(super) templates: Option<PromptCache>,
    pub(super) rules: RulesCache,
    /// The caches that are on, by the name of their figures.
    all: Vec<(&'static str, Box<dyn Upkeep>)>,
}

impl Caches {
    /// The caches that the engine fills.
    pub(super) fn new(config: &Config, clock: &SharedClock) -> Self {
        let has_model = config.llm.url.is_some();
        let config = &config.cache;
        let contents = (config.content_bytes > 0).then(|| {
            let builder = sized(config.content_bytes, config.content_ttl, clock)
                .weigher(|_, content: &Arc<Content>| content_weight(content));
            let idle = config.content_idle;
            made(if idle.is_zero() { builder } else { builder.idle(idle) })
        });
        let queries = (config.query_bytes > 0).then(|| {
            let builder = sized(config.query_bytes, config.query_ttl, clock);
            made(builder.weigher(|_: &QueryKey, kept: &CachedRows| kept.weight()))
        });
        let templates: Option<PromptCache> = (has_model && config.template_entries > 0)
            .then(|| made(sized(config.template_entries as u64, config.template_ttl, clock)));
        let stays = config.robots_ttl.saturating_add(config.robots_stale);
        let rules = RulesCache::new(config.robots_bytes, stays, Arc::clone(clock));
        let mut caches = Self {
            contents: OptionalCache(contents.clone()),
            holders: made(Cache::builder().capacity(HOLDERS)),
            queries: queries.clone().map(|cache| ResultCache::new(cache, config.query_bytes)),
            templates: templates.clone(),
            rules: rules.clone(),
            all: Vec::new(),
        };
        caches.add("content_cache", boxed(contents));
        caches.add("query_cache", boxed(queries));
        caches.add("template_cache", boxed(templates));
        caches.add("robots_cache", boxed(Some(rules)));
        caches
    }

    /// Adds a cache of a part, if it is on.
    pub(super) fn add(&mut self, name: &'static str, cache: Option<Box<dyn Upkeep>>) {
        self.all.extend(cache.map(|cache| (name, cache)));
    }

    /// The figures of the caches that are on.
    pub(super) fn stats(&self) -> impl Iterator<Item = (&'static str, CacheStats)> {
        self.all.iter().map(|(name, cache)| (*name, cache.stats()))
    }

    /// One pass over all caches: removes what has expired and, under memory pressure, half of the
    /// rest.
    pub(super) fn upkeep(&self, memory_is_short: bool) {
        for (name, cache) in &self.all {
            let swept = cache.sweep(SWEEP_ENTRIES);
            if memory_is_short {
                cache.shrink_to(UNDER_PRESSURE);
            }
            tracing::trace!(cache = name, swept, memory_is_short, "swept a cache");
        }
    }
}

impl fmt::Debug for Caches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all.iter().map(|(name, _)| name)).finish()
    }
}

impl<K: Hash + Eq + Clone, V: Clone> OptionalCache<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.0.as_ref()?.get(key)
    }

    pub(super) fn insert(&self, key: K, value: V) {
        if let Some(cache) = &self.0 {
            cache.insert(key, value);
        }
    }

    pub(super) fn invalidate(&self, key: &K) {
        if let Some(cache) = &self.0 {
            cache.invalidate(key);
        }
    }
}

fn boxed<C: Upkeep + 'static>(cache: Option<C>) -> Option<Box<dyn Upkeep>> {
    cache.map(|cache| Box::new(cache) as _)
}

/// Builds a cache whose options cannot conflict: no jitter, no window without a time.
fn made<K: Hash + Eq, V: Clone>(builder: CacheBuilder<K, V>) -> Cache<K, V> {
    builder.build().expect("invariant: the options go together")
}

fn sized<K: Hash + Eq + Clone, V: Clone>(
    capacity: u64,
    ttl: Duration,
    clock: &SharedClock,
) -> CacheBuilder<K, V> {
    Cache::builder().capacity(capacity).ttl(ttl).clock(Arc::clone(clock))
}

fn content_weight(content: &Content) -> u64 {
    let blocks = content.blocks.len() * size_of::<crate::model::Block>();
    (content.text.len() + content.markdown.len() + blocks + size_of::<Content>()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CacheConfig;
    use crate::time::SystemClock;

    fn caches(config: CacheConfig) -> Caches {
        let mut config = Config { cache: config, ..Config::default() };
        config.llm.url = Some("http://127.0.0.1:9/v1".to_owned());
        Caches::new(&config, &SystemClock::shared())
    }

    fn names(caches: &Caches) -> Vec<&'static str> {
        caches.stats().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_size_of_zero_turns_a_cache_off_and_nothing_else() {
        let config = CacheConfig::default();
        let all = ["content_cache", "query_cache", "template_cache", "robots_cache"];
        assert_eq!(names(&caches(config.clone())), all);
        let off = CacheConfig { content_bytes: 0, query_bytes: 0, template_entries: 0, ..config };
        let caches = caches(off);
        assert_eq!(names(&caches), ["robots_cache"]);
        caches.contents.insert(UrlKey([1; 16]), Arc::default());
        assert!(caches.contents.get(&UrlKey([1; 16])).is_none());
    }

    #[test]
    fn an_engine_has_its_caches_gone_through() {
        let dir = tempfile::tempdir().unwrap();
        let engine = crate::engine::Engine::open(dir.path()).unwrap();
        let tasks = engine.parts().unwrap().crawl_pool.tasks();
        let upkeep = tasks.iter().find(|task| task.name == "upkeep of caches").unwrap();
        assert_eq!(upkeep.priority, crate::pool::Priority::Low);
    }

    #[test]
    fn short_memory_halves_what_can_be_made_again_and_spares_the_holders() {
        let config = CacheConfig { content_bytes: 1 << 20, ..CacheConfig::default() };
        let caches = caches(config);
        for n in 0..200_u8 {
            let content = Content { text: "x".repeat(20_000), ..Content::default() };
            caches.contents.insert(UrlKey([n; 16]), Arc::new(content));
            caches.holders.insert([n; 32], Url::parse("http://a.example/").unwrap());
        }
        let weight = || caches.stats().next().unwrap().1.weight;
        let full = weight();
        caches.upkeep(false);
        assert!(full > 900_000 && weight() == full, "{full}");
        caches.upkeep(true);
        assert!(weight() <= 1 << 19 && weight() > 400_000, "{}", weight());
        assert_eq!(caches.holders.len(), 200);
    }
}
