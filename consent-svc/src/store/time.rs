//! What time it is for the database, on which all replicas agree.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use service_kit::clock::Clock;

use crate::{
    cache::{BootTime, drift},
    domain::{Interval, Moment},
};

/// The database's clock as seen from here. With SQLite, and with a clock that is moved by hand,
/// the process's own.
pub(crate) struct DatabaseTime {
    clock: Clock,
    seen: Option<ArcSwapOption<Seen>>,
}

/// The database said `at` between two instants.
struct Seen {
    asked: BootTime,
    answered: BootTime,
    at: Moment,
}

impl DatabaseTime {
    /// `remote`: whether the database has a clock of its own.
    pub(super) fn new(clock: Clock, remote: bool) -> Self {
        let seen = (remote && clock.is_system()).then(ArcSwapOption::empty);
        Self { clock, seen }
    }

    /// Whether what the database says of the time counts.
    pub(super) fn is_remote(&self) -> bool {
        self.seen.is_some()
    }

    pub(super) fn learn(&self, asked: BootTime, answered: BootTime, at: Moment) {
        if let Some(seen) = &self.seen {
            seen.store(Some(Arc::new(Seen { asked, answered, at })));
        }
    }

    /// Now, as exactly as is known: the database's time when it was last asked, and what has
    /// passed since on a clock that may go a little faster or slower than the database's.
    pub(crate) fn now(&self) -> Interval {
        let Some(seen) = self.seen.as_ref().and_then(ArcSwapOption::load_full) else {
            return self.local().into();
        };
        let now = BootTime::now();
        let (least, most) = (now.since(seen.answered), now.since(seen.asked));
        let after = |passed: std::time::Duration| {
            Moment::from_millis(
                seen.at
                    .millis()
                    .saturating_add(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX)),
            )
        };
        Interval {
            earliest: after(least.saturating_sub(drift(least))),
            // What is finer than a millisecond was cut off twice.
            latest: after(most + drift(most) + std::time::Duration::from_millis(2)),
        }
    }

    /// This process's own clock.
    pub(super) fn local(&self) -> Moment {
        Moment::from_millis(self.clock.now().get())
    }
}
