//! When an endpoint that was ejected is asked whether it serves again.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{endpoint::Endpoint, health};

/// The longest pause before a probe, unless a longer one is configured.
const LONGEST: Duration = Duration::from_secs(30);

/// An endpoint that is ejected so soon after it came back did not really serve.
const SOON: Duration = Duration::from_mins(1);

/// The pause before each probe of one endpoint. It doubles when the endpoint says that it serves
/// and is soon ejected again.
pub(super) struct Probing {
    first: Duration,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    pause: Duration,
    readmitted: Option<Instant>,
}

impl Probing {
    pub(super) fn new(first: Duration) -> Self {
        Self { first, last: Mutex::default() }
    }

    /// The pause before each probe after an ejection at `now`.
    pub(super) fn pause(&self, now: Instant) -> Duration {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let again = last.readmitted.take().is_some_and(|at| now.duration_since(at) < SOON);
        let longest = LONGEST.max(self.first);
        last.pause = if again { last.pause.saturating_mul(2).min(longest) } else { self.first };
        last.pause
    }

    pub(super) fn readmitted(&self, now: Instant) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).readmitted = Some(now);
    }
}

/// Asks an ejected endpoint again and again whether it serves, until it does or nobody has it
/// any more.
pub(super) async fn probe(endpoint: Weak<Endpoint>, pause: Duration) {
    loop {
        sleep(pause).await;
        let Some(this) = endpoint.upgrade() else { return };
        match health::check(&this).await {
            Ok(()) => return readmit(&this),
            Err(why) => tracing::debug!(endpoint = %this, why, "endpoint does not serve yet"),
        }
    }
}

fn readmit(endpoint: &Arc<Endpoint>) {
    endpoint.probing().readmitted(Instant::now());
    if let Some(roster) = endpoint.roster() {
        roster.readmit(endpoint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_while_ejections_follow_each_other_and_no_further_than_the_longest() {
        let probing = Probing::new(Duration::from_secs(1));
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            pauses.push(probing.pause(now).as_secs());
            now += Duration::from_secs(10);
            probing.readmitted(now);
            now += Duration::from_secs(10);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        now += SOON;
        assert_eq!(probing.pause(now).as_secs(), 1);
    }
}
