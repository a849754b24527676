//! Infos and texts that were written but may not be visible in the store yet.

use std::collections::HashMap;

use url::Url;

use crate::engine::distil::InfoKey;
use crate::model::Info;
use crate::url::UrlKey;

/// Infos and texts remembered before a withdrawal flushes the store.
pub(super) const MAX_RECENT: usize = 10_000;

/// What was written since the flush before the last.
#[derive(Debug, Default)]
pub(super) struct Recent {
    pub(super) fresh: Written,
    pub(super) flushing: Written,
}

/// Writes that were queued for the store.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Infos with the keys of their rows; `None` where the row was deleted.
    pub(super) infos: HashMap<InfoKey, Option<(Vec<u8>, Info)>>,
    /// Pages whose text was replaced, with the hash of the new one if there is any.
    pub(super) texts: HashMap<UrlKey, Option<[u8; 32]>>,
}

impl Recent {
    pub(super) fn info(&self, key: &InfoKey) -> Option<&Option<(Vec<u8>, Info)>> {
        self.fresh.infos.get(key).or_else(|| self.flushing.infos.get(key))
    }

    pub(super) fn len(&self) -> usize {
        [&self.fresh, &self.flushing].iter().map(|it| it.infos.len() + it.texts.len()).sum()
    }

    /// Whether an info that may not be visible yet cites the page.
    pub(super) fn cites(&self, url: &Url) -> bool {
        let infos = self.fresh.infos.values().chain(self.flushing.infos.values());
        infos.flatten().any(|(_, info)| {
            info.url == *url || info.also_at.iter().any(|citation| citation.url == *url)
        })
    }
}
