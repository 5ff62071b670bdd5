//! Those who ask: batches that sweep over everybody, and single checks of whom something has
//! just happened to.

use std::{sync::Arc, time::Duration};

use proto::consent::v1::{
    BatchCheckRequest, CheckRequest, Outcome, consent_service_client::ConsentServiceClient,
};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    history::{Before, History},
    tally::Tally,
    world::World,
};
use crate::svc::{ADS, SHARE};

/// How long an answer is waited for: longer than anything is stopped, so that what was asked
/// then is judged, too.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long one waits who was not answered.
const PAUSE: Duration = Duration::from_millis(20);
/// The largest answer: 10,000 with details.
const LARGEST: usize = 8 << 20;

/// Who checks, and what becomes of the answers.
#[derive(Clone)]
pub(super) struct Auditor {
    pub(super) world: Arc<World>,
    pub(super) history: Arc<History>,
    pub(super) tally: Arc<Tally>,
}

impl Auditor {
    /// Asks a replica about many subjects, again and again.
    pub(super) async fn sweep(
        self,
        replica: usize,
        batch: usize,
        pause: Duration,
        mut rng: ChaCha8Rng,
        stop: CancellationToken,
    ) {
        while !stop.is_cancelled() {
            let first = rng.random_range(0..self.history.len());
            let last = first + batch.min(self.history.len());
            let subjects: Vec<usize> =
                (first..last).map(|subject| subject % self.history.len()).collect();
            let purpose = if rng.random() { SHARE } else { ADS };
            tokio::select! {
                answered = self.batch(replica, &subjects, purpose) => {
                    sleep(if answered { pause } else { PAUSE }).await;
                }
                () = stop.cancelled() => return,
            }
        }
    }

    /// Asks a replica about single subjects as they come.
    pub(super) async fn follow(
        self,
        replica: usize,
        mut subjects: mpsc::Receiver<usize>,
        stop: CancellationToken,
    ) {
        while let Some(subject) = subjects.recv().await {
            tokio::select! {
                () = self.single(replica, subject) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn batch(&self, replica: usize, subjects: &[usize], purpose: &str) -> bool {
        let ids = subjects.iter().map(|subject| self.history.id(*subject).to_owned());
        let message = BatchCheckRequest {
            purpose_id: purpose.to_owned(),
            subject_ids: ids.collect(),
            with_details: true,
        };
        let client = ConsentServiceClient::new(self.world.channel(replica));
        let mut client = client.max_decoding_message_size(LARGEST);
        let request = self.world.keys.app(message, PATIENCE);
        let _gate = self.world.gate.read().await;
        let before: Vec<Before> =
            subjects.iter().map(|subject| self.history.before(*subject)).collect();
        let answer = match client.batch_check(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => {
                self.tally.refused("BatchCheck", status.code());
                return false;
            }
        };
        let mut telling = 0;
        let answers = answer.outcomes.iter().zip(&answer.revisions);
        for ((subject, before), (outcome, revision)) in subjects.iter().zip(&before).zip(answers) {
            let granted = *outcome == Outcome::Granted as i32;
            telling +=
                u64::from(self.judge(replica, *subject, before, granted, *revision, purpose));
        }
        self.tally.judged(answer.outcomes.len() as u64, telling);
        true
    }

    async fn single(&self, replica: usize, subject: usize) {
        let message = CheckRequest {
            subject_id: self.history.id(subject).to_owned(),
            purpose_id: SHARE.to_owned(),
        };
        let mut client = ConsentServiceClient::new(self.world.channel(replica));
        let request = self.world.keys.app(message, PATIENCE);
        let _gate = self.world.gate.read().await;
        let before = self.history.before(subject);
        match client.check(request).await {
            Ok(answer) => {
                let answer = answer.into_inner();
                let granted = answer.outcome() == Outcome::Granted;
                let telling =
                    self.judge(replica, subject, &before, granted, answer.revision, SHARE);
                self.tally.judged(1, u64::from(telling));
            }
            Err(status) => {
                self.tally.refused("Check", status.code());
                sleep(PAUSE).await;
            }
        }
    }

    /// Judges an answer; says whether a stale yes would have been seen.
    fn judge(
        &self,
        replica: usize,
        subject: usize,
        before: &Before,
        granted: bool,
        revision: u64,
        purpose: &str,
    ) -> bool {
        let verdict = self.history.judge(subject, before, granted, revision);
        if verdict.wrong.is_some() || verdict.inverted {
            self.tally.wrong(&verdict, || {
                let outcome = if granted { "GRANTED" } else { "DENIED" };
                format!(
                    "replica {replica} answered {outcome} at revision {revision} for {purpose}; \
                     before: {before:?}; now: {}",
                    self.history.describe(subject)
                )
            });
        }
        verdict.denied_throughout
    }
}
