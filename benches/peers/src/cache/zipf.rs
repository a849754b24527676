//! Draws of which few come often and most seldom.

use crate::numbers::Numbers;

/// Exponent of all Zipf distributions here.
const EXPONENT: f64 = 0.99;

/// Zipf's distribution over ranks: rank r comes in proportion to (r + 1)^-0.99.
pub(crate) struct Zipf {
    /// The weights of this and all better ranks.
    sums: Vec<f64>,
}

impl Zipf {
    /// Over the ranks from 0 to below `ranks`.
    pub(crate) fn over(ranks: u32) -> Self {
        let mut sum = 0.0;
        let add = |rank: u32| {
            sum += f64::from(rank).powf(-EXPONENT);
            sum
        };
        Self { sums: (1..=ranks).map(add).collect() }
    }

    /// One rank; the best is 0.
    pub(crate) fn draw(&self, numbers: &mut Numbers) -> u64 {
        let drawn = numbers.fraction() * self.sums.last().copied().unwrap_or(0.0);
        self.sums.partition_point(|sum| *sum < drawn) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: u32 = 100_000;

    #[test]
    fn ranks_come_as_often_as_their_weights_say() {
        let zipf = Zipf::over(100);
        let mut numbers = Numbers::from_seed(1);
        let mut times = [0_u32; 100];
        for _ in 0..DRAWS {
            times[usize::try_from(zipf.draw(&mut numbers)).unwrap()] += 1;
        }
        let total: f64 = (1..=100).map(|rank| f64::from(rank).powf(-EXPONENT)).sum();
        for (rank, times) in (1_u32..).zip(times) {
            let expected = f64::from(DRAWS) * f64::from(rank).powf(-EXPONENT) / total;
            let difference = (f64::from(times) - expected).abs();
            assert!(difference < 5.0 * expected.sqrt(), "{rank}: {times}, not {expected}");
        }
    }

    #[test]
    fn a_single_rank_always_comes() {
        let mut numbers = Numbers::from_seed(1);
        assert!((0..100).all(|_| Zipf::over(1).draw(&mut numbers) == 0));
    }
}
