//! Decisions and withdrawals, ready to be sent.

use rand::Rng;

use super::stage::{Stage, id};
use crate::{
    Result,
    client::{Connections, Unary, frame},
    recorder::Outcome,
    svc::{Announced, withdrawal},
};

/// Makes calls that write. Each is made only once: it has a request id of its own.
pub(super) struct Changes {
    grant: Unary,
    withdraw: Unary,
    policy: Announced,
}

impl Changes {
    pub(super) fn of(stage: &Stage) -> Result<Self> {
        Ok(Self {
            grant: stage.method("RecordDecision")?,
            withdraw: stage.method("Withdraw")?,
            policy: stage.policy.clone(),
        })
    }

    /// A subject withdraws.
    pub(super) fn withdrawal(&self, subject: usize) -> Result<Unary> {
        Ok(self.withdraw.with(frame(&withdrawal(&id(subject)))?))
    }

    /// A subject agrees or withdraws, as is drawn.
    pub(super) fn either(&self, subject: usize, rng: &mut impl Rng) -> Result<Unary> {
        if rng.random() {
            return Ok(self.grant.with(frame(&self.policy.grant(&id(subject)))?));
        }
        self.withdrawal(subject)
    }
}

/// Sends a call, if it could be made.
pub(super) fn send(
    connections: &Connections,
    number: u64,
    call: Result<Unary>,
) -> impl Future<Output = Outcome> + Send + use<> {
    let sent = call.map(|unary| connections.send(number, unary));
    async move {
        match sent {
            Ok(sent) => sent.await,
            Err(_) => Outcome::Unanswered,
        }
    }
}
