//! Two replicas on one PostgreSQL database: what one has acknowledged, the other's next check knows.

use std::time::Duration;

use service_kit::clock::{Clock, UnixMillis};

use crate::harness::*;

on_shared_stores!(
    a_withdrawal_at_one_is_denied_at_the_other,
    a_policy_published_or_retired_at_one_decides_at_the_other,
    writes_to_one_subject_at_both_are_one_after_the_other,
    a_withdrawal_at_a_replica_whose_clock_is_behind_counts,
);

async fn with_replica(one: World) -> (World, World) {
    let other = one.replica(one.clock.clone()).await;
    (one, other)
}

async fn a_withdrawal_at_one_is_denied_at_the_other(one: World) {
    let (one, other) = with_replica(one).await;
    let spec = opt_out();
    let policy = one.announce("sharing", spec.clone()).await;
    for round in 0..50 {
        let id = format!("subject-{round}");
        one.put(&id, "US").await;
        other.decide(other.decision(&id, &policy, &spec, &[SHARE, ADS])).await.unwrap();
        assert!(one.granted(&id, ADS).await);
        one.withdraw(&id, &[ADS]).await.unwrap();
        assert!(!other.granted(&id, ADS).await);
    }
}

async fn a_policy_published_or_retired_at_one_decides_at_the_other(one: World) {
    let (one, other) = with_replica(one).await;
    other.put("xenia", "US").await;
    assert!(!other.granted("xenia", SHARE).await);
    let spec = opt_out();
    let policy = one.announce("sharing", spec.clone()).await;
    other.decide(other.decision("xenia", &policy, &spec, &[SHARE])).await.unwrap();
    assert!(other.granted("xenia", SHARE).await);
    one.retire(policy).await.unwrap();
    assert!(!other.granted("xenia", SHARE).await);
}

async fn writes_to_one_subject_at_both_are_one_after_the_other(one: World) {
    let (one, other) = with_replica(one).await;
    let spec = opt_out();
    let policy = one.announce("sharing", spec.clone()).await;
    let put =
        (0..20).map(|n| if n % 2 == 0 { one.put("yves", "US") } else { other.put("yves", "US") });
    // Both make the subject known; one of them does, and the others find it so.
    let revisions: Vec<u64> =
        futures::future::join_all(put).await.into_iter().map(|subject| subject.revision).collect();
    assert_eq!(revisions, [1; 20]);
    let (policy, spec) = (&policy, &spec);
    let writes = (0..100).map(|n| {
        let world = if n % 2 == 0 { &one } else { &other };
        world.decide(world.decision("yves", policy, spec, &[SHARE]))
    });
    let mut revisions: Vec<u64> =
        futures::future::join_all(writes).await.into_iter().map(|a| a.unwrap().revision).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (2..=101).collect::<Vec<u64>>());
    assert_eq!(other.events("yves").await.len(), 101);
}

/// Clocks of replicas differ. A withdrawal at the one that is behind is still the later word.
async fn a_withdrawal_at_a_replica_whose_clock_is_behind_counts(ahead: World) {
    let behind = ahead.replica(Clock::manual(UnixMillis::new(START))).await;
    ahead.clock.advance(Duration::from_millis(700));
    let spec = opt_out();
    let policy = behind.announce("sharing", spec.clone()).await;
    behind.put("zoe", "US").await;
    ahead.decide(ahead.decision("zoe", &policy, &spec, &[SHARE, ADS])).await.unwrap();
    behind.withdraw("zoe", &[ADS]).await.unwrap();
    assert!(!ahead.granted("zoe", ADS).await && !behind.granted("zoe", ADS).await);
}
