//! A policy that comes and goes. While it is in force, its subjects agree to it; when its
//! retirement was acknowledged, nothing is granted to anybody. For the [history](super::history)
//! that is a grant and a withdrawal like any other, only that one retirement withdraws for all.

use std::{convert::Infallible, time::Duration};

use proto::consent::v1::{CreatePolicyRequest, PublishPolicyRequest, RetirePolicyRequest};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use service_kit::clock::Clock;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::writers::{Write, Writer};
use crate::svc::{Announced, request_id};

impl Writer {
    /// Retires the policy and publishes it again, in turns, until it is stopped.
    pub(super) async fn govern(
        self,
        pause: Duration,
        mut rng: ChaCha8Rng,
        stop: CancellationToken,
    ) {
        tokio::select! {
            // It ends only by what is told already.
            _ = self.come_and_go(pause, &mut rng) => {}
            () = stop.cancelled() => {}
        }
    }

    async fn come_and_go(&self, pause: Duration, rng: &mut ChaCha8Rng) -> Option<Infallible> {
        let mut current = self.governing.clone();
        self.agree(&current, rng).await?;
        loop {
            sleep(pause.mul_f64(rng.random_range(0.0..2.0))).await;
            self.retire(&current, rng).await?;
            sleep(pause.mul_f64(rng.random_range(0.0..2.0))).await;
            current = self.publish_again(&current, rng).await?;
        }
    }

    /// All subjects agree.
    async fn agree(&self, policy: &Announced, rng: &mut ChaCha8Rng) -> Option<()> {
        for subject in self.history.governed() {
            self.history.begin(subject);
        }
        self.agree_anew(policy, rng).await
    }

    async fn agree_anew(&self, policy: &Announced, rng: &mut ChaCha8Rng) -> Option<()> {
        for subject in self.history.governed() {
            let grant = Write::Grant(policy.grant(self.history.id(subject)));
            let revision = self.until_acknowledged(subject, &grant, rng).await?;
            self.history.acknowledge(subject, revision);
            self.follow(subject);
        }
        Some(())
    }

    async fn retire(&self, policy: &Announced, rng: &mut ChaCha8Rng) -> Option<()> {
        let first = self.history.governed().start;
        for subject in self.history.governed() {
            self.follow(subject);
            self.history.begin(subject);
        }
        let policy = Some(policy.policy.clone());
        let retire =
            Write::Retire(RetirePolicyRequest { request_id: request_id("retire"), policy });
        self.until_acknowledged(first, &retire, rng).await?;
        self.tally.governed();
        for subject in self.history.governed() {
            self.history.acknowledge(subject, 0);
            self.follow(subject);
        }
        Some(())
    }

    /// The same in another version, to which all agree anew.
    async fn publish_again(&self, policy: &Announced, rng: &mut ChaCha8Rng) -> Option<Announced> {
        let first = self.history.governed().start;
        let effective_at = Some(Clock::system().now().into());
        let create = Write::Create(CreatePolicyRequest {
            request_id: request_id("create"),
            policy_id: policy.policy.policy_id.clone(),
            spec: Some(proto::consent::v1::PolicySpec { effective_at, ..policy.spec.clone() }),
        });
        let version = self.until_acknowledged(first, &create, rng).await?;
        let policy = policy.again(u32::try_from(version).ok()?);
        // From here on it may be granted what was agreed to before.
        for subject in self.history.governed() {
            self.history.begin(subject);
        }
        let named = Some(policy.policy.clone());
        let request_id = request_id("publish");
        let publish = Write::Publish(PublishPolicyRequest { request_id, policy: named });
        self.until_acknowledged(first, &publish, rng).await?;
        self.tally.governed();
        self.agree_anew(&policy, rng).await?;
        Some(policy)
    }
}
