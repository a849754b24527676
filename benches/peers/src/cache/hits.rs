//! Hit ratios.

use super::entries::Entries;

/// Which part of the keys, in percent, a cache finds that puts in what it does not find.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(crate) fn percent<E: Entries>(cache: &E, keys: &[u64]) -> f64 {
    let hits = keys.iter().filter(|key| cache.get_or_insert(**key)).count();
    100.0 * hits as f64 / keys.len().max(1) as f64
}
