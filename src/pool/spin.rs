//! Looking again for a moment before sleeping: waking a thread takes longer than that.
//!
//! The only place in the crate that spins. Each spin ends after 20 µs, which is about what it
//! takes to put a thread to sleep and to wake it, so waiting in this way costs at most twice what
//! the better of both ways would have cost.

#[cfg(not(all(test, gristmill_model)))]
use std::time::Duration;

/// How long a spin lasts at most.
#[cfg(not(all(test, gristmill_model)))]
const LIMIT: Duration = Duration::from_micros(20);

/// Looks for `condition` for at most 20 µs; tells whether it held. Where there is one core, only
/// once: whatever it waits for needs that core.
#[cfg(not(all(test, gristmill_model)))]
pub(super) fn briefly(condition: impl Fn() -> bool) -> bool {
    /// Looks between two readings of the clock: about a microsecond.
    const LOOKS: u32 = 32;
    /// Rounds of looks before the core is offered to others, which takes as long as one of them.
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
        for _ in 0..LOOKS {
            std::hint::spin_loop();
            if condition() {
                return true;
            }
        }
        rounds += 1;
        if rounds > ROUNDS_ALONE {
            // If what is waited for needs this very core, it gets it.
            std::thread::yield_now();
        }
    }
    false
}

/// In a model no time passes: one look.
#[cfg(all(test, gristmill_model))]
pub(super) fn briefly(condition: impl Fn() -> bool) -> bool {
    condition()
}

/// Cores that this process may use, control groups considered; read once.
pub(super) fn cores() -> usize {
    static CORES: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Whether spinning pays for one worker: after spins in vain it is left out, twice as often each
/// time, until one succeeds.
#[derive(Debug, Default)]
pub(super) struct Habit {
    vain: u32,
    left_out: u32,
}

impl Habit {
    /// Spins left out at most between two that are tried: 2^this.
    const MOST_LEFT_OUT: u32 = 6;

    /// Looks for `condition` as [`briefly`] does, or once.
    pub(super) fn spin(&mut self, condition: impl Fn() -> bool) -> bool {
        if self.left_out > 0 {
            self.left_out -= 1;
            return condition();
        }
        let found = briefly(condition);
        self.vain = if found { 0 } else { (self.vain + 1).min(Self::MOST_LEFT_OUT) };
        self.left_out = (1 << self.vain) - 1;
        found
    }
}

#[cfg(all(test, not(gristmill_model)))]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn spins_in_vain_become_rare_and_one_that_pays_brings_them_back() {
        let (mut habit, looks) = (Habit::default(), Cell::new(0_u32));
        let vain = || {
            looks.set(looks.get() + 1);
            false
        };
        let mut tried = 0;
        for _ in 0..1000 {
            looks.set(0);
            assert!(!habit.spin(vain));
            // One look is what is done where the spin is left out.
            tried += u32::from(looks.get() > 1);
        }
        assert!(tried <= 6 + 1000 / 64 + 1, "{tried} of 1000");
        while habit.left_out > 0 {
            habit.spin(vain);
        }
        assert!(habit.spin(|| true));
        assert_eq!(habit.left_out, 0);
    }
}
