//! When reclaiming space is worth its cost.

use crate::store::index::Totals;

/// Dead bytes, as a share of the live ones (in percent), above which space is reclaimed, and above
/// which writers are slowed down while it is.
const RECLAIM_PERCENT: u64 = 15;
const THROTTLE_PERCENT: u64 = 24;
/// Dead bytes that are never worth reclaiming, in segments.
const SLACK_SEGMENTS: u64 = 1;

/// The input of the decision.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Space {
    pub(in crate::store) totals: Totals,
    pub(in crate::store) segment_bytes: u64,
}

/// Whether reclaiming space is worth its cost.
pub(in crate::store) fn is_due(space: Space) -> bool {
    exceeds(space, RECLAIM_PERCENT, 0)
}

/// Whether writers use space faster than it is reclaimed. The `fresh` bytes logged since the last
/// checkpoint do not count: the next one may retire them without any copying.
pub(in crate::store) fn lags(space: Space, fresh: u64) -> bool {
    exceeds(space, THROTTLE_PERCENT, fresh)
}

/// Whether there are more dead bytes than `percent` of the live ones, and some segments of slack,
/// `fresh` bytes left out.
fn exceeds(space: Space, percent: u64, fresh: u64) -> bool {
    let Space { totals, segment_bytes } = space;
    let dead = totals.used.saturating_sub(totals.live + totals.ops + fresh);
    let slack = SLACK_SEGMENTS * segment_bytes;
    dead > slack + totals.live / 100 * percent
}
