//! The online auditor: it looks at cached answers again, and counts a yes that is stale.

use proto::consent::v1::{BatchCheckRequest, PolicyRef};

use crate::{calls::*, harness::*};

const AUDITED: &str = "consent_audited_checks_total";
const STALE: &str = "consent_stale_yes_total";

/// Someone who agreed, and an auditor that does not rest.
async fn audited() -> (World, PolicyRef) {
    let mut world = World::on_redis().await;
    world.reconfigure(|config| config.cache.audits_per_second = 1_000).await;
    let policy = world.announce("sharing", opt_out()).await;
    world.agreed("anna", &policy).await;
    world.kept("anna").await;
    (world, policy)
}

impl World {
    /// Asks so often that some of the answers are looked at again.
    async fn ask_often(&self) {
        let purpose_id = ADS.to_owned();
        let subject_ids = vec!["anna".to_owned(); 256];
        let message = BatchCheckRequest { purpose_id, subject_ids, with_details: false };
        self.consent().batch_check(self.app(message)).await.unwrap();
    }

    /// Asks until this many more answers have been looked at again.
    async fn audits(&self, more: u64) {
        let so_far = self.count(AUDITED, "").await;
        until("answers are looked at again", || async {
            self.ask_often().await;
            self.count(AUDITED, "").await >= so_far + more
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_looked_at_again_and_none_is_stale() {
    let (world, policy) = audited().await;
    world.audits(10).await;
    assert_eq!(world.metric(STALE, "").await, Some(0.0), "a series to watch");
    // Also while the answers change under the auditor's eyes.
    for _ in 0..5 {
        let (withdrawn, ()) = tokio::join!(world.withdraw("anna", &[ADS]), world.ask_often());
        withdrawn.unwrap();
        world.ask_often().await;
        let ((), ()) = tokio::join!(world.agreed("anna", &policy), world.ask_often());
        world.audits(1).await;
    }
    assert_eq!(world.metric(STALE, "").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_yes_that_is_put_back_after_a_withdrawal_is_counted() {
    let (world, policy) = audited().await;
    world.audits(1).await;
    let keys = world.redis_keys().await;
    let yes = keys.entry("anna").await.unwrap();
    world.withdraw("anna", &[ADS]).await.unwrap();
    assert!(!world.ask("anna").await.unwrap());
    assert_eq!(world.count(STALE, "").await, 0);
    keys.put(&yes).await;
    assert!(world.ask("anna").await.unwrap(), "what no program of ours does");
    until("the stale yes is counted", || async {
        world.ask_often().await;
        world.count(STALE, "").await > 0
    })
    .await;
    // The next change takes it away.
    world.agreed("anna", &policy).await;
    world.withdraw("anna", &[ADS]).await.unwrap();
    world.kept("anna").await;
    // One that was being looked at may still be counted.
    world.audits(2).await;
    let counted = world.count(STALE, "").await;
    world.audits(5).await;
    assert_eq!(world.count(STALE, "").await, counted);
}

/// Only a yes that the database denies is one too many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_no_and_an_old_yes_that_is_one_again_are_not_counted() {
    let (world, policy) = audited().await;
    let keys = world.redis_keys().await;
    let yes = keys.entry("anna").await.unwrap();
    world.withdraw("anna", &[ADS]).await.unwrap();
    world.kept("anna").await;
    let no = keys.entry("anna").await.unwrap();
    world.agreed("anna", &policy).await;
    for old in [no, yes] {
        keys.put(&old).await;
        world.audits(5).await;
        assert_eq!(keys.entry("anna").await, Some(old));
    }
    assert_eq!(world.metric(STALE, "").await, Some(0.0));
}
