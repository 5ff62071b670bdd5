//! Which endpoints get no calls because calls failed there, and until when.

use std::{
    sync::{
        Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{endpoint::Endpoint, health};

/// The longest pause before a probe, unless a longer one is configured.
const LONGEST: Duration = Duration::from_secs(30);

/// An endpoint that is ejected so soon after it came back did not really serve.
const SOON: Duration = Duration::from_mins(1);

/// Failures in a row, and what follows from them. Shared by an endpoint and its connections, and
/// so by the calls on them.
pub(super) struct Standing {
    endpoint: Weak<Endpoint>,
    eject_after: u32,
    failures: AtomicU32,
    ejected: AtomicBool,
    /// The shortest pause before a probe.
    first_pause: Duration,
    probing: Mutex<Probing>,
}

#[derive(Default)]
struct Probing {
    pause: Duration,
    readmitted: Option<Instant>,
}

impl Standing {
    /// Of an endpoint that nothing is held against; `eject_after` failures in a row eject it, and
    /// it is probed every `probe_pause` from then on.
    pub(super) fn new(endpoint: Weak<Endpoint>, eject_after: u32, probe_pause: Duration) -> Self {
        Self {
            endpoint,
            eject_after,
            failures: AtomicU32::new(0),
            ejected: AtomicBool::new(false),
            first_pause: probe_pause,
            probing: Mutex::default(),
        }
    }

    /// A call was answered.
    pub(super) fn succeeded(&self) {
        // As a rule there is nothing to forget, and looking does not take the line from others.
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }

    /// A call failed by the endpoint's fault, or a connection with the calls on it.
    pub(super) fn failed(&self) {
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        if failures >= self.eject_after
            && !self.is_ejected()
            && let Some(endpoint) = self.endpoint.upgrade()
        {
            endpoint.eject();
        }
    }

    /// Whether the endpoint gets no calls while others are there.
    pub(super) fn is_ejected(&self) -> bool {
        self.ejected.load(Relaxed)
    }

    /// Gives the pause before each probe from now on. It doubles when the endpoint said that it
    /// serves and is soon ejected again.
    pub(super) fn eject(&self, now: Instant) -> Duration {
        self.ejected.store(true, Relaxed);
        let mut probing = self.probing.lock().unwrap_or_else(PoisonError::into_inner);
        let again = probing.readmitted.is_some_and(|at| now.duration_since(at) < SOON);
        let longest = LONGEST.max(self.first_pause);
        let doubled = probing.pause.saturating_mul(2).min(longest);
        probing.pause = if again { doubled } else { self.first_pause };
        probing.pause
    }

    pub(super) fn readmit(&self, now: Instant) {
        self.probing.lock().unwrap_or_else(PoisonError::into_inner).readmitted = Some(now);
        self.failures.store(0, Relaxed);
        self.ejected.store(false, Relaxed);
    }
}

/// Asks an ejected endpoint again and again whether it serves, until it does or nobody has it
/// any more.
pub(super) async fn probe(endpoint: Weak<Endpoint>, pause: Duration) {
    loop {
        sleep(pause).await;
        let Some(this) = endpoint.upgrade() else { return };
        match health::check(&this).await {
            Ok(()) => return this.readmit(),
            Err(why) => tracing::debug!(endpoint = %this, why, "endpoint does not serve yet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_while_ejections_follow_each_other_and_no_further_than_the_longest() {
        let standing = Standing::new(Weak::new(), 1, Duration::from_secs(1));
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            pauses.push(standing.eject(now).as_secs());
            now += Duration::from_secs(10);
            standing.readmit(now);
            now += Duration::from_secs(10);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        now += SOON;
        assert_eq!(standing.eject(now).as_secs(), 1);
    }
}
