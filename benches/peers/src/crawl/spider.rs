//! The spider crate as an engine of the comparison: pages are fetched and searched for links, and
//! dropped.

use spider::CaseInsensitiveString;
use spider::hashbrown::HashSet;
use spider::website::Website;

use super::engine::Setting;
use crate::error::AnyError;

/// Crawls with spider until it finds no more links.
pub(crate) fn crawl(setting: &Setting) -> Result<(), AnyError> {
    let first = setting.seeds.first().ok_or("no seed")?;
    let mut website = Website::new(first);
    website.with_concurrency_limit(Some(setting.connections)).with_delay(0).with_depth(0);
    // spider takes one address; further seeds go in as links that it has found before. Links found
    // before survive the start of a crawl only when they are marked as kept.
    website.persist_links();
    let seeds = setting.seeds.iter().map(|seed| CaseInsensitiveString::new(seed));
    website.set_extra_links(seeds.collect::<HashSet<_>>());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(website.crawl());
    Ok(())
}
