//! Buckets: how much somebody may do, some at once and more as time passes.
//!
//! A bucket starts empty, takes what is done, and leaks. What does not fit any more is too much. An
//! empty bucket remembers nothing, so it can be thrown away.

use crate::limits::Rate;

/// See the module's page. One bucket is always used with the same rate.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bucket {
    /// What is in it, times the rate's window: so nothing is lost to rounding.
    level: u64,
    at: u64,
}

impl Bucket {
    fn leaked(&self, rate: Rate, now: u64) -> u64 {
        let elapsed = now.saturating_sub(self.at);
        self.level.saturating_sub(elapsed.saturating_mul(rate.burst))
    }

    /// What is in it.
    pub(super) fn level(&self, rate: Rate, now: u64) -> u64 {
        self.leaked(rate, now).div_ceil(rate.window_ms)
    }

    /// Takes an amount if it fits; returns whether it did.
    pub(super) fn pour(&mut self, amount: u64, rate: Rate, now: u64) -> bool {
        let poured = self.leaked(rate, now).saturating_add(amount.saturating_mul(rate.window_ms));
        let fits = poured <= rate.burst.saturating_mul(rate.window_ms);
        if fits {
            *self = Self { level: poured, at: now };
        }
        fits
    }

    /// Takes as much of an amount as fits.
    pub(super) fn fill(&mut self, amount: u64, rate: Rate, now: u64) {
        let poured = self.leaked(rate, now).saturating_add(amount.saturating_mul(rate.window_ms));
        *self = Self { level: poured.min(rate.burst.saturating_mul(rate.window_ms)), at: now };
    }

    /// Gives back what was taken and not used.
    pub(super) fn take_back(&mut self, amount: u64, rate: Rate) {
        self.level = self.level.saturating_sub(amount.saturating_mul(rate.window_ms));
    }
}
