//! The section `[cache]`: a size and a time to live for each cache.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ConfigError, check, duration};

/// Least size of a cache in bytes, unless it is 0: one entry may take an eighth of it.
const LEAST_BYTES: u64 = 1 << 16;
/// Most names, and most templates.
const MOST_ENTRIES: usize = 10_000_000;

/// Caches. A size of 0 turns a cache off, except for `robots_bytes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// Bytes of extracted content, which the distiller then need not read back. Default 8 MiB.
    pub content_bytes: u64,
    /// How long extracted content stays. Default 10 minutes.
    #[serde(with = "duration")]
    pub content_ttl: Duration,
    /// How long content stays without being read; 0 means until `content_ttl`. Default 5 minutes.
    #[serde(with = "duration")]
    pub content_idle: Duration,
    /// Bytes of results of queries for infos, pages and reasons. A result is used only until
    /// something it was read from is written, and is not cached if it exceeds an eighth of the
    /// size. Default 4 MiB.
    pub query_bytes: u64,
    /// How long such a result stays. Default 10 minutes.
    #[serde(with = "duration")]
    pub query_ttl: Duration,
    /// Focuses whose part of the prompt (instructions, schema, example) is cached. Default 256.
    pub template_entries: usize,
    /// How long that part stays. Default 1 hour.
    #[serde(with = "duration")]
    pub template_ttl: Duration,
    /// Bytes of a model's answers in memory; they are in the store as well. Default 8 MiB.
    pub llm_bytes: u64,
    /// How long a model's answer is used, from memory and from the store; 0 means for ever. Default
    /// 0.
    #[serde(with = "duration")]
    pub llm_ttl: Duration,
    /// Names whose addresses are cached, including failures. Default 10,000.
    pub dns_names: usize,
    /// How long a resolved address is used; 0 means a look-up for each connection. Default 5
    /// minutes.
    #[serde(with = "duration")]
    pub dns_ttl: Duration,
    /// How long a failed look-up is cached; at most `dns_ttl`. Default 10 seconds.
    #[serde(with = "duration")]
    pub dns_negative_ttl: Duration,
    /// Bytes of parsed robots.txt rules. Evicted rules are requested again, so 0 would mean one
    /// more request for each page. Default 16 MiB, at least 64 KiB.
    pub robots_bytes: u64,
    /// How long a robots.txt is used; RFC 9309 asks for at most 24 hours. Default 24 hours.
    #[serde(with = "duration")]
    pub robots_ttl: Duration,
    /// How much longer expired rules are kept, in case new ones cannot be fetched. Default 24
    /// hours.
    #[serde(with = "duration")]
    pub robots_stale: Duration,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            content_bytes: 8 << 20,
            content_ttl: Duration::from_mins(10),
            content_idle: Duration::from_mins(5),
            query_bytes: 4 << 20,
            query_ttl: Duration::from_mins(10),
            template_entries: 256,
            template_ttl: Duration::from_hours(1),
            llm_bytes: 8 << 20,
            llm_ttl: Duration::ZERO,
            dns_names: 10_000,
            dns_ttl: Duration::from_mins(5),
            dns_negative_ttl: Duration::from_secs(10),
            robots_bytes: 16 << 20,
            robots_ttl: Duration::from_hours(24),
            robots_stale: Duration::from_hours(24),
        }
    }
}

impl CacheConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (key, bytes) in [
            ("cache.content_bytes", self.content_bytes),
            ("cache.query_bytes", self.query_bytes),
            ("cache.llm_bytes", self.llm_bytes),
        ] {
            let fits = bytes == 0 || bytes >= LEAST_BYTES;
            check(fits, key, &bytes, "0 (off) or at least 65536")?;
        }
        check(
            self.robots_bytes >= LEAST_BYTES,
            "cache.robots_bytes",
            &self.robots_bytes,
            "at least 65536: rules that are not cached are requested before each page",
        )?;
        for (key, entries) in
            [("cache.template_entries", self.template_entries), ("cache.dns_names", self.dns_names)]
        {
            check(entries <= MOST_ENTRIES, key, &entries, "0 (off) to 10000000")?;
        }
        for (key, ttl) in [
            ("cache.content_ttl", self.content_ttl),
            ("cache.query_ttl", self.query_ttl),
            ("cache.template_ttl", self.template_ttl),
        ] {
            check(
                !ttl.is_zero(),
                key,
                &format!("{ttl:?}"),
                "longer than zero; a size of 0 turns a cache off",
            )?;
        }
        check(
            !self.robots_ttl.is_zero() && self.robots_ttl <= Duration::from_hours(24),
            "cache.robots_ttl",
            &format!("{:?}", self.robots_ttl),
            "longer than zero and at most 24 hours (RFC 9309, 2.4)",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn read(line: &str) -> Result<CacheConfig, ConfigError> {
        Config::parse(&format!("[cache]\n{line}\n"), "x").map(|config| config.cache)
    }

    #[test]
    fn caches_are_turned_off_by_their_size_and_no_other_way() {
        for line in ["content_bytes = 0", "query_bytes = 0", "llm_bytes = 0", "dns_names = 0"] {
            read(line).unwrap();
        }
        assert_eq!(read("template_entries = 0").unwrap().template_entries, 0);
        for line in ["query_bytes = 1000", "query_ttl = \"0s\"", "dns_names = 100000000"] {
            assert!(matches!(read(line), Err(ConfigError::Invalid { .. })), "{line}");
        }
    }

    #[test]
    fn rules_of_sites_cannot_do_without_memory_nor_outlive_a_day() {
        for line in ["robots_bytes = 0", "robots_ttl = \"25h\"", "robots_ttl = \"0s\""] {
            let Err(ConfigError::Invalid { key, .. }) = read(line) else { panic!("{line}") };
            assert!(line.starts_with(key.trim_start_matches("cache.")), "{key}");
        }
    }

    #[test]
    fn times_are_written_like_all_others() {
        let config = read("llm_ttl = \"30days\"\ncontent_idle = \"0s\"").unwrap();
        assert_eq!(config.llm_ttl, Duration::from_hours(720));
        assert_eq!((config.content_idle, config.query_bytes), (Duration::ZERO, 4 << 20));
    }
}
