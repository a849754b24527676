//! The configuration of an engine: typed, validated, with documented defaults.
//!
//! A [`Config`] can be set by its fields, a TOML file ([`Config::load`]) and environment variables
//! ([`Config::apply_env`]). The command line applies defaults, the file of `--config`, the
//! environment and its flags, in this order; `gristmill config` prints the result. Unknown keys are
//! errors, and so are values out of range. Durations are written `"500ms"`, `"10s"`, `"2h 30m"`.
//!
//! ```toml
//! [crawl]
//! delay = "500ms"
//! user_agent = "ExampleBot/1.0 (+https://example.com/bot)"
//!
//! [llm]
//! url = "http://127.0.0.1:8080/v1"
//! model = "small"
//! api_key_env = "MODEL_KEY"   # the name of the variable, never the key itself
//!
//! [store]
//! raw_zstd_level = 3
//! ```
//!
//! An environment variable is called `GRISTMILL_SECTION_KEY`: `GRISTMILL_CRAWL_DELAY=2s`,
//! `GRISTMILL_LLM_MODEL=small`. It overrides the setting in the TOML form. A configuration never
//! contains API keys, and the environment's proxy variables are ignored.
//!
//! | section | type |
//! | --- | --- |
//! | `[crawl]` | [`CrawlConfig`]: politeness, limits of an exchange, what is read |
//! | `[extract]` | [`ExtractConfig`]: what is taken for content |
//! | `[llm]` | [`LlmConfig`]: the model |
//! | `[distil]` | [`DistilConfig`]: how much is distilled at once, and how much may wait |
//! | `[store]` | [`StoreConfig`]: memory, segments, compression, equal values |
//! | `[cache]` | [`CacheConfig`]: a size and a time for each cache |
//! | `[pool]` | [`PoolConfig`]: stacks and idle workers |

mod cache;
mod duration;
mod environment;
mod extract;
mod sections;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use cache::CacheConfig;
pub use extract::ExtractConfig;
pub use sections::{CrawlConfig, DistilConfig, LlmConfig, PoolConfig, StoreConfig};

/// A configuration file larger than this is refused.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// All settings of an engine. `Config::default()` is a polite crawl with the extractive distiller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Fetching and politeness.
    pub crawl: CrawlConfig,
    /// Extraction.
    pub extract: ExtractConfig,
    /// The model, if one is used.
    pub llm: LlmConfig,
    /// Distilling.
    pub distil: DistilConfig,
    /// The store.
    pub store: StoreConfig,
    /// Caches in front of the store and the network.
    pub cache: CacheConfig,
    /// Thread pools.
    pub pool: PoolConfig,
}

/// Why a configuration is invalid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is too large for a configuration.
    #[error("the configuration {} is larger than {MAX_FILE_BYTES} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The text is not a valid configuration; the source has the position and the cause.
    #[error("the configuration {} is not valid", origin)]
    Parse {
        /// The file, or the name of the environment variable.
        origin: String,
        /// Line, column and cause.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// An environment variable names no setting.
    #[error("the environment variable {variable} names no setting")]
    UnknownVariable {
        /// The variable.
        variable: String,
    },
    /// A value is outside its range.
    #[error("{key} = {value}: must be {expected}")]
    Invalid {
        /// Dotted name of the setting.
        key: &'static str,
        /// The given value.
        value: String,
        /// The expected range or form.
        expected: &'static str,
    },
    /// The environment variable that should hold the API key is missing or empty.
    #[error("the environment variable {variable}, which llm.api_key_env names, is not set")]
    MissingKey {
        /// The variable.
        variable: String,
    },
}

impl Config {
    /// Reads and validates a TOML file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let read = |source| ConfigError::Read { path: path.to_path_buf(), source };
        if std::fs::metadata(path).map_err(read)?.len() > MAX_FILE_BYTES {
            return Err(ConfigError::TooLarge { path: path.to_path_buf() });
        }
        let text = std::fs::read_to_string(path).map_err(read)?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads and validates TOML text; `origin` names it in errors.
    pub fn parse(text: &str, origin: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|source| ConfigError::Parse {
            origin: origin.to_owned(),
            source: Box::new(source),
        })?;
        config.validate()?;
        Ok(config)
    }

    /// The configuration as TOML with every setting; [`Config::parse`] reads it back.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("invariant: every setting has a TOML form")
    }

    /// Overlays variables called `GRISTMILL_SECTION_KEY`, `GRISTMILL_CRAWL_DELAY` for instance,
    /// and validates the result. Values are read as TOML, and as text where they are not TOML.
    pub fn apply_env(
        self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        environment::overlay(&self, variables)
    }

    /// Checks every range. [`Config::load`] and the engine call this themselves.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.crawl.validate()?;
        self.llm.validate()?;
        self.distil.validate()?;
        self.store.validate()?;
        self.cache.validate()?;
        self.pool.validate()
    }
}

/// `Ok` if `holds`, else an error that names the setting.
fn check(
    holds: bool,
    key: &'static str,
    value: &dyn std::fmt::Display,
    expected: &'static str,
) -> Result<(), ConfigError> {
    if holds {
        return Ok(());
    }
    Err(ConfigError::Invalid { key, value: value.to_string(), expected })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn defaults_are_valid_and_survive_toml() {
        let config = Config::default();
        config.validate().unwrap();
        assert_eq!(Config::parse(&config.to_toml(), "x").unwrap(), config);
    }

    #[test]
    fn a_file_sets_what_it_names_and_leaves_the_rest() {
        let config = Config::parse("[crawl]\ndelay = \"250ms\"\nper_host = 4\n", "x").unwrap();
        assert_eq!(config.crawl.delay, Duration::from_millis(250));
        assert_eq!(config.crawl.per_host, 4);
        assert_eq!(config.store, StoreConfig::default());
    }

    #[test]
    fn errors_name_the_place() {
        let unknown = Config::parse("[crawl]\n\ndelai = \"1s\"\n", "a.toml").unwrap_err();
        let ConfigError::Parse { origin, source } = &unknown else { panic!("{unknown:?}") };
        assert_eq!(origin, "a.toml");
        assert!(source.to_string().contains("line 3"), "{source}");
        assert!(source.to_string().contains("delai"), "{source}");
        let range = Config::parse("[crawl]\nper_host = 0\n", "x").unwrap_err();
        assert!(matches!(range, ConfigError::Invalid { key: "crawl.per_host", .. }), "{range:?}");
        let duration = Config::parse("[crawl]\ndelay = \"soon\"\n", "x").unwrap_err();
        assert!(matches!(duration, ConfigError::Parse { .. }), "{duration:?}");
    }

    #[test]
    fn the_environment_overlays_the_file() {
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let config = Config::default()
            .apply_env([
                set("PATH", "/bin"),
                set("GRISTMILL_CRAWL_DELAY", "2s"),
                set("GRISTMILL_CRAWL_PER_HOST", "3"),
                set("GRISTMILL_LLM_MODEL", "tiny"),
            ])
            .unwrap();
        assert_eq!(config.crawl.delay, Duration::from_secs(2));
        assert_eq!(config.crawl.per_host, 3);
        assert_eq!(config.llm.model.as_deref(), Some("tiny"));
        let unknown = Config::default().apply_env([set("GRISTMILL_CRAWL_DELAI", "1s")]);
        assert!(matches!(unknown, Err(ConfigError::UnknownVariable { .. })), "{unknown:?}");
        let wrong = Config::default().apply_env([set("GRISTMILL_CRAWL_PER_HOST", "many")]);
        assert!(matches!(wrong, Err(ConfigError::Parse { .. })), "{wrong:?}");
    }
}
