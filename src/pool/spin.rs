//! Spinning for a moment before sleeping, because work that comes at once is met sooner than a
//! thread is woken. The only place in the crate that spins.
//!
//! Each spin ends after 20 µs, which is about what it takes to put a thread to sleep and wake it.
//! So spinning first costs at most twice what the better of both ways would have cost.

#[cfg(not(all(test, gristmill_model)))]
use std::time::Duration;

/// How long a spin lasts at most.
#[cfg(not(all(test, gristmill_model)))]
const LIMIT: Duration = Duration::from_micros(20);

/// Checks `condition` again and again for at most 20 µs; `true` once it holds. On a single core,
/// only once: whatever is to make it true needs that core.
#[cfg(not(all(test, gristmill_model)))]
pub(super) fn briefly(condition: impl Fn() -> bool) -> bool {
    /// Checks between two readings of the clock: about a microsecond.
    const CHECKS: u32 = 32;
    /// Rounds of checks before the core is offered to other threads, which takes as long as a
    /// round.
    const ROUNDS_ALONE: u32 = 5;
    if condition() {
        return true;
    }
    if cores() < 2 {
        return false;
    }
    let begun = std::time::Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < LIMIT {
        for _ in 0..CHECKS {
            std::hint::spin_loop();
            if condition() {
                return true;
            }
        }
        rounds += 1;
        if rounds > ROUNDS_ALONE {
            // The thread that is to make the condition true may need this very core.
            std::thread::yield_now();
        }
    }
    false
}

/// In a model no time passes: one check.
#[cfg(all(test, gristmill_model))]
pub(super) fn briefly(condition: impl Fn() -> bool) -> bool {
    condition()
}

/// Cores that this process may use, control groups considered; read once.
pub(super) fn cores() -> usize {
    static CORES: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Whether spinning pays for one worker. After each spin in vain, twice as many of the next ones
/// are skipped, until one succeeds.
#[derive(Debug, Default)]
pub(super) struct SpinBackoff {
    vain: u32,
    skip: u32,
}

impl SpinBackoff {
    /// Between two spins at most 2^this - 1 are skipped.
    const MAX_SKIPPED_LOG2: u32 = 6;

    /// Spins as [`briefly`] does, or checks once if this spin is skipped.
    pub(super) fn spin(&mut self, condition: impl Fn() -> bool) -> bool {
        if self.skip > 0 {
            self.skip -= 1;
            return condition();
        }
        let found = briefly(condition);
        self.vain = if found { 0 } else { (self.vain + 1).min(Self::MAX_SKIPPED_LOG2) };
        self.skip = (1 << self.vain) - 1;
        found
    }
}

#[cfg(all(test, not(gristmill_model)))]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn spins_in_vain_become_rare_and_one_that_pays_brings_them_back() {
        let (mut backoff, checks) = (SpinBackoff::default(), Cell::new(0_u32));
        let vain = || {
            checks.set(checks.get() + 1);
            false
        };
        let mut tried = 0;
        for _ in 0..1000 {
            checks.set(0);
            assert!(!backoff.spin(vain));
            // A skipped spin checks once.
            tried += u32::from(checks.get() > 1);
        }
        assert!(tried <= 6 + 1000 / 64 + 1, "{tried} of 1000");
        while backoff.skip > 0 {
            backoff.spin(vain);
        }
        assert!(backoff.spin(|| true));
        assert_eq!(backoff.skip, 0);
    }
}
