//! How many calls may be sent again.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::time::Instant;

/// Retries as a share of calls. A service that fails all calls gets a fifth more, not three times
/// as many.
const SHARE: f64 = 0.2;

/// Retries a second whatever the number of calls, so that few callers may retry too.
const FLOOR: f64 = 10.0;

/// How long calls and retries count, in seconds: they fade by e in that time.
const WINDOW: f64 = 10.0;

/// The retries of an upstream: at most `SHARE` of its calls and `FLOOR` a second, both over some
/// `WINDOW`, as in Finagle's and Linkerd's retry budgets. In t seconds with n calls, no more than
/// `SHARE` · n + `FLOOR` · (`WINDOW` + t).
pub(super) struct Budget {
    /// Since the start. All that a call which goes well pays for.
    calls: AtomicU64,
    spent: Mutex<Spent>,
}

/// Sums in which each call and retry weighs less the longer it is ago.
struct Spent {
    at: Instant,
    /// Calls that are in the sum.
    counted: u64,
    calls: f64,
    retries: f64,
}

impl Budget {
    pub(super) fn new(now: Instant) -> Self {
        let spent = Spent { at: now, counted: 0, calls: 0.0, retries: 0.0 };
        Self { calls: AtomicU64::new(0), spent: Mutex::new(spent) }
    }

    /// A call that may be sent again when it fails.
    pub(super) fn deposit(&self) {
        self.calls.fetch_add(1, Relaxed);
    }

    /// Whether a call may be sent again, which is then counted.
    pub(super) fn withdraw(&self, now: Instant) -> bool {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(spent.at).as_secs_f64() / WINDOW;
        let fade = (-passed).exp();
        let calls = self.calls.load(Relaxed);
        let new = u32::try_from(calls.wrapping_sub(spent.counted)).unwrap_or(u32::MAX);
        // When each came is not known: taken as evenly spread.
        let weight = if passed > 1e-9 { (1.0 - fade) / passed } else { 1.0 };
        spent.calls = spent.calls * fade + f64::from(new) * weight;
        spent.retries *= fade;
        (spent.at, spent.counted) = (now, calls);
        let allowed = spent.retries + 1.0 <= SHARE * spent.calls + FLOOR * WINDOW;
        if allowed {
            spent.retries += 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Retries granted when `calls` a second fail for `seconds`, each asking for one.
    fn granted(budget: &Budget, from: Instant, calls: u32, seconds: u32) -> u32 {
        let mut granted = 0;
        for second in 0..seconds {
            for call in 0..calls {
                budget.deposit();
                let now = from
                    + Duration::from_secs(second.into())
                    + Duration::from_secs(1) * call / calls;
                granted += u32::from(budget.withdraw(now));
            }
        }
        granted
    }

    #[test]
    fn a_storm_gets_a_share_of_its_calls_and_the_floor() {
        let now = Instant::now();
        let budget = Budget::new(now);
        let granted = granted(&budget, now, 1000, 60);
        assert!(granted <= 12_000 + 100 + 600, "{granted}");
        assert!(granted >= 12_000, "{granted}");
    }

    #[test]
    fn few_callers_may_retry_too() {
        let now = Instant::now();
        let budget = Budget::new(now);
        assert_eq!(granted(&budget, now, 5, 60), 300);
    }

    #[test]
    fn what_is_spent_comes_back_with_time_and_what_was_not_spent_is_not_hoarded() {
        let now = Instant::now();
        let budget = Budget::new(now);
        for _ in 0..100_000 {
            budget.deposit();
        }
        let later = now + Duration::from_hours(1);
        let burst = (0..10_000).filter(|_| budget.withdraw(later)).count();
        assert!((100..=200).contains(&burst), "{burst}: an hour ago is long ago");
        assert!(!budget.withdraw(later));
        assert!(budget.withdraw(later + Duration::from_secs(1)));
    }
}
