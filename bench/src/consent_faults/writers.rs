//! Those who change their mind: each subject has one writer, who agrees and withdraws in turns,
//! and sends each again, to any replica, until it is acknowledged.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use proto::consent::v1::{
    CreatePolicyRequest, LinkSubjectsRequest, PublishPolicyRequest, RecordDecisionRequest,
    RetirePolicyRequest, WithdrawRequest, consent_service_client::ConsentServiceClient,
    policy_service_client::PolicyServiceClient,
};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::{history::History, run::WritesAt, tally::Tally, world::World};
use crate::svc::{Announced, request_id, withdrawal};

/// How long an acknowledgement is waited for before the write is sent again.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long one waits who was not answered.
const PAUSE: Duration = Duration::from_millis(30);
/// Of ten writes, how many go to the few subjects at the beginning of a writer's own.
const HOT_OF_TEN: u32 = 5;
/// How many of a writer's subjects are those few.
const HOT: usize = 4;

/// Writes, and tells of each the checkers who follow.
#[derive(Clone)]
pub(super) struct Writer {
    pub(super) world: Arc<World>,
    pub(super) history: Arc<History>,
    pub(super) tally: Arc<Tally>,
    pub(super) policies: Arc<[Announced; 2]>,
    /// What the subjects of [`governed`](super::governed) are asked.
    pub(super) governing: Announced,
    pub(super) writes_at: WritesAt,
    /// By replica.
    pub(super) followers: Vec<mpsc::Sender<usize>>,
}

/// What is sent.
#[derive(Clone)]
pub(super) enum Write {
    Grant(RecordDecisionRequest),
    Withdraw(WithdrawRequest),
    Link(LinkSubjectsRequest),
    Create(CreatePolicyRequest),
    Publish(PublishPolicyRequest),
    Retire(RetirePolicyRequest),
}

impl Writer {
    /// What a subject is asked.
    pub(super) fn policy(&self, subject: usize) -> &Announced {
        if self.history.is_governed(subject) {
            return &self.governing;
        }
        &self.policies[subject / 2 % 2]
    }

    /// Writes about its own subjects until it is stopped.
    pub(super) async fn run(
        self,
        own: Vec<usize>,
        pause: Duration,
        mut rng: ChaCha8Rng,
        stop: CancellationToken,
    ) {
        while !stop.is_cancelled() {
            let hot = rng.random_ratio(HOT_OF_TEN, 10);
            let among = if hot { own.len().min(HOT) } else { own.len() };
            let subject = own[rng.random_range(0..among)];
            tokio::select! {
                () = self.change(subject, &mut rng) => {}
                () = stop.cancelled() => return,
            }
            let pause = pause.mul_f64(rng.random_range(0.0..2.0));
            sleep(pause).await;
        }
    }

    /// Agrees, or withdraws; those who follow ask before and after it.
    async fn change(&self, subject: usize, rng: &mut ChaCha8Rng) {
        // Before it is written, so that there is something to be stale.
        self.follow(subject);
        self.write(subject, rng).await;
        self.follow(subject);
    }

    /// Agrees, or withdraws.
    pub(super) async fn write(&self, subject: usize, rng: &mut ChaCha8Rng) {
        let id = self.history.id(subject);
        let write = if self.history.is_granted(subject) {
            Write::Withdraw(withdrawal(id))
        } else {
            Write::Grant(self.policy(subject).grant(id))
        };
        let _gate = self.world.gate.read().await;
        self.history.begin(subject);
        if let Some(revision) = self.until_acknowledged(subject, &write, rng).await {
            self.history.acknowledge(subject, revision);
        }
    }

    /// Says that subjects are accounts of one person.
    pub(super) async fn link(&self, subjects: std::ops::Range<usize>, rng: &mut ChaCha8Rng) {
        let first = subjects.start;
        let subject_ids = subjects.map(|subject| self.history.id(subject).to_owned()).collect();
        let request_id = request_id("link");
        let message = LinkSubjectsRequest { request_id, subject_ids };
        self.until_acknowledged(first, &Write::Link(message), rng).await;
    }

    pub(super) fn follow(&self, subject: usize) {
        for follower in &self.followers {
            // When it has more than enough to do, it does without.
            let _ = follower.try_send(subject);
        }
    }

    /// Sends a write until it is acknowledged: the subject's revision, or the policy's version.
    /// Nothing when it was refused for a reason that no fault explains.
    pub(super) async fn until_acknowledged(
        &self,
        subject: usize,
        write: &Write,
        rng: &mut ChaCha8Rng,
    ) -> Option<u64> {
        let begun = Instant::now();
        for sent in 1.. {
            let replica = match &self.writes_at {
                WritesAt::Anywhere => rng.random_range(0..self.world.replicas.len()),
                WritesAt::Some(replicas) => replicas[rng.random_range(0..replicas.len())],
                WritesAt::ByNumber => subject % 2,
            };
            // Some lose patience early, and have it sent twice at the same time.
            let patience = if rng.random_ratio(1, 50) { PATIENCE / 20 } else { PATIENCE };
            let answer = timeout(patience, self.send(write.clone(), replica)).await;
            let status = match answer {
                Ok(Ok(revision)) => {
                    self.tally.written(sent, begun.elapsed());
                    return Some(revision);
                }
                Ok(Err(status)) => status,
                Err(_) => Status::cancelled("nobody waits any longer"),
            };
            self.tally.refused("write", status.code());
            if !may_pass(status.code()) {
                let (code, text) = (status.code(), status.message());
                self.tally.inexplicable(format!("a write was answered {code:?}: {text}"));
                return None;
            }
            sleep(PAUSE).await;
        }
        None
    }

    async fn send(&self, write: Write, replica: usize) -> Result<u64, Status> {
        let mut client = ConsentServiceClient::new(self.world.channel(replica));
        let mut policies = PolicyServiceClient::new(self.world.channel(replica));
        let keys = &self.world.keys;
        Ok(match write {
            Write::Grant(message) => {
                client.record_decision(keys.app(message, PATIENCE)).await?.into_inner().revision
            }
            Write::Withdraw(message) => {
                client.withdraw(keys.app(message, PATIENCE)).await?.into_inner().revision
            }
            Write::Link(message) => {
                client.link_subjects(keys.app(message, PATIENCE)).await?;
                0
            }
            Write::Create(message) => {
                let created = policies.create_policy(keys.admin(message, PATIENCE)).await?;
                let named = created.into_inner().policy.and_then(|policy| policy.r#ref);
                named.map_or(0, |named| named.version.into())
            }
            Write::Publish(message) => {
                policies.publish_policy(keys.admin(message, PATIENCE)).await?;
                0
            }
            Write::Retire(message) => {
                policies.retire_policy(keys.admin(message, PATIENCE)).await?;
                0
            }
        })
    }
}

/// Whether a fault explains it, and it may be otherwise the next time.
fn may_pass(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Aborted
            | Code::ResourceExhausted
            | Code::Unknown
    )
}
