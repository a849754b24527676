//! Numbers that look random and are the same in each run.

/// A sequence of 64-bit numbers: `SplitMix64` (Steele, Lea and Flood, 2014).
pub(crate) struct Numbers(u64);

/// 2^64 divided by the golden ratio; odd, so that multiplying by it loses nothing.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Numbers {
    /// Another seed gives another sequence.
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// The next of the sequence.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From 0 to below `end`, all alike but for `end` / 2^64; 0 if `end` is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }

    /// Brings the items into an order that has nothing to do with the one they had (Fisher and
    /// Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).unwrap_or(last);
            items.swap(last, other);
        }
    }
}

/// The key of a number, different for each, such that keys of neighbours are far apart.
pub(crate) fn spread(number: u64) -> u64 {
    number.wrapping_mul(GOLDEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_sequence_within_its_bounds() {
        let fractions = |seed| {
            let mut numbers = Numbers::from_seed(seed);
            (0..1000).map(|_| numbers.fraction()).collect::<Vec<_>>()
        };
        assert_eq!(fractions(1), fractions(1));
        assert_ne!(fractions(1), fractions(2));
        assert!(fractions(1).iter().all(|fraction| (0.0..1.0).contains(fraction)));
        let mut numbers = Numbers::from_seed(3);
        assert!((0..1000).all(|_| numbers.below(7) < 7));
        assert_eq!(numbers.below(0), 0);
    }

    #[test]
    fn a_shuffle_keeps_the_items_and_moves_them() {
        let ordered: Vec<u32> = (0..100).collect();
        let mut items = ordered.clone();
        Numbers::from_seed(1).shuffle(&mut items);
        assert_ne!(items, ordered);
        items.sort_unstable();
        assert_eq!(items, ordered);
    }

    #[test]
    fn neighbours_have_keys_that_are_far_apart() {
        assert!((0..1000).all(|number| spread(number + 1).abs_diff(spread(number)) > 1 << 32));
    }
}
