//! The effective settings: defaults, overlaid by the file, the environment and the flags.

use gristmill::Config;

use crate::arguments::{DataOptions, Model, Politeness, Wishes};
use crate::failure::Failure;

/// The settings without flags.
pub(crate) fn load(data: &DataOptions) -> Result<Config, Failure> {
    let config = match &data.config {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    // Variables outside UTF-8 cannot be settings.
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(config.apply_env(variables)?)
}

/// The settings, overlaid by the flags of a crawl.
pub(crate) fn with_flags(
    mut config: Config,
    politeness: &Politeness,
    model: &Model,
) -> Result<Config, Failure> {
    let crawl = &mut config.crawl;
    set(&mut crawl.concurrency, politeness.concurrency);
    set(&mut crawl.per_host, politeness.per_host);
    set(&mut crawl.delay, politeness.delay);
    set(&mut crawl.user_agent, politeness.user_agent.clone());
    crawl.allow_private |= politeness.allow_private;
    crawl.respect_robots &= !politeness.no_robots;
    crawl.headers.extend(politeness.header.iter().cloned());
    if politeness.proxy.is_some() {
        crawl.proxy.clone_from(&politeness.proxy);
    }
    let llm = &mut config.llm;
    if let Some(url) = &model.llm_url {
        llm.url = Some(url.to_string());
    }
    if model.model.is_some() {
        llm.model.clone_from(&model.model);
    }
    if model.api_key_env.is_some() {
        llm.api_key_env.clone_from(&model.api_key_env);
    }
    if config.llm.url.is_none() && (model.model.is_some() || model.api_key_env.is_some()) {
        return Err(Failure::Usage("--model and --api-key-env need --llm-url".to_owned()));
    }
    config.validate().map_err(Failure::Flag)?;
    Ok(config)
}

/// The settings, overlaid by what an extraction is asked to take for content.
pub(crate) fn with_wishes(mut config: Config, wishes: &Wishes) -> Config {
    let extract = &mut config.extract;
    set(&mut extract.favour, wishes.favour);
    set(&mut extract.comments, wishes.comments);
    extract.tables &= !wishes.no_tables;
    extract.images &= !wishes.no_images;
    extract.links &= !wishes.no_links;
    extract.keep.extend(wishes.keep.iter().cloned());
    extract.remove.extend(wishes.remove.iter().cloned());
    config
}

fn set<T>(setting: &mut T, flag: Option<T>) {
    if let Some(value) = flag {
        *setting = value;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser as _;

    use super::*;
    use crate::arguments::{Arguments, Command};
    use crate::failure::USAGE;

    fn with(flags: &[&str]) -> Result<Config, Failure> {
        let line = ["gristmill", "crawl", "https://example.com/"].iter().chain(flags);
        let Command::Crawl(crawl) = Arguments::try_parse_from(line).unwrap().command else {
            panic!("not a crawl");
        };
        with_flags(Config::default(), &crawl.politeness, &crawl.model)
    }

    #[test]
    fn flags_win_and_silence_keeps_the_setting() {
        let config = with(&["--delay", "250ms", "--no-robots", "--header", "X-A: 1"]).unwrap();
        assert_eq!(config.crawl.delay, Duration::from_millis(250));
        assert!(!config.crawl.respect_robots);
        assert_eq!(config.crawl.headers.get("X-A").map(String::as_str), Some("1"));
        assert_eq!(config.crawl.concurrency, Config::default().crawl.concurrency);
        assert_eq!(with(&[]).unwrap(), Config::default());
    }

    #[test]
    fn flags_that_make_no_sense_are_usage_errors() {
        for flags in [&["--per-host", "0"][..], &["--model", "tiny"], &["--user-agent", "(x)"]] {
            assert_eq!(with(flags).unwrap_err().status(), USAGE, "{flags:?}");
        }
    }
}
