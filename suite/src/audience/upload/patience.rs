//! How long an upload waits for a service that does not answer.

use std::time::Duration;

use proto::{errors::v1::Reason, status::reason};
use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{client::is_passing, output::note};

/// How long nothing may be acknowledged.
const LONGEST: Duration = Duration::from_mins(1);
/// The least between two tries.
const PAUSE: Duration = Duration::from_millis(250);

/// When to give up.
#[derive(Debug)]
pub(super) struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { until: Instant::now() + LONGEST, pause: PAUSE }
    }

    /// Something was acknowledged.
    pub(super) fn renew(&mut self) {
        *self = Self::new();
    }

    /// Waits before another try; false if another is not worth it.
    pub(super) async fn wait(&mut self, status: &Status) -> bool {
        if !is_passing(status) && !is_broken(status) {
            return false;
        }
        let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
        let pause = asked.unwrap_or_default().max(self.pause);
        if Instant::now() + pause > self.until {
            return false;
        }
        if self.pause == PAUSE {
            note("the connection broke; going on as soon as it is back");
        }
        self.pause = (self.pause * 2).min(Duration::from_secs(4));
        tokio::time::sleep(pause).await;
        true
    }
}

/// Whether the connection broke, or one behind it.
fn is_broken(status: &Status) -> bool {
    match reason(status) {
        None => matches!(status.code(), Code::Unknown | Code::Internal),
        Some(reason) => reason == Reason::StreamIncomplete,
    }
}
