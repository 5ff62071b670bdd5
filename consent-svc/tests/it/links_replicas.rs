//! Accounts of one person, written at two replicas.

use proto::consent::v1::{
    CheckRequest,
    DecisionReason::{LinkedSubject, Withdrawn},
    PolicyRef,
};

use crate::{
    harness::*,
    links::{agreed, all},
};

on_shared_stores!(
    a_withdrawal_at_one_is_denied_for_all_at_the_other,
    a_link_racing_a_withdrawal_never_leaves_a_yes,
    links_that_cross_all_succeed,
);

async fn a_withdrawal_at_one_is_denied_for_all_at_the_other(one: World) {
    let other = one.replica(one.clock.clone()).await;
    agreed(&one, &["a", "b"]).await;
    one.link(&["a", "b"]).await.unwrap();
    let policy = PolicyRef { policy_id: "sharing".to_owned(), version: 1 };
    let spec = opt_out();
    for round in 0..50 {
        let (who, friend) = if round % 2 == 0 { ("a", "b") } else { ("b", "a") };
        assert!(one.granted(friend, ADS).await && other.granted(friend, ADS).await);
        let (here, there) = if round % 4 < 2 { (&one, &other) } else { (&other, &one) };
        here.withdraw(who, &[ADS]).await.unwrap();
        assert!(!there.granted(friend, ADS).await && !here.granted(friend, ADS).await);
        here.decide(here.decision(who, &policy, &spec, &all(&spec))).await.unwrap();
    }
}

async fn a_link_racing_a_withdrawal_never_leaves_a_yes(one: World) {
    let other = one.replica(one.clock.clone()).await;
    let spec = opt_out();
    let policy = one.announce("sharing", spec.clone()).await;
    for round in 0..30 {
        let (a, b) = (&*format!("a{round}"), &*format!("b{round}"));
        for id in [a, b] {
            one.put(id, "US").await;
            one.decide(one.decision(id, &policy, &spec, &all(&spec))).await.unwrap();
            assert!(one.granted(id, ADS).await && other.granted(id, ADS).await);
        }
        // Checks go on meanwhile, so that answers are read and kept at every moment.
        let ids = [a, b];
        let (linked, withdrawn, ..) = tokio::join!(
            one.link(&ids),
            other.withdraw(a, &[ADS]),
            asked(&one, b),
            asked(&other, b),
        );
        linked.unwrap();
        withdrawn.unwrap();
        for world in [&one, &other] {
            assert_eq!(world.check(a, ADS).await, (false, Withdrawn, None), "{round}");
            assert_eq!(world.check(b, ADS).await, (false, LinkedSubject, None), "{round}");
        }
    }
}

/// Some checks, whatever they answer.
async fn asked(world: &World, subject_id: &str) {
    for _ in 0..5 {
        let (subject_id, purpose_id) = (subject_id.to_owned(), ADS.to_owned());
        let message = CheckRequest { subject_id, purpose_id };
        world.consent().check(world.app(message)).await.unwrap();
    }
}

/// Replicas that write linked subjects at once take turns; none gives up.
async fn links_that_cross_all_succeed(one: World) {
    let other = one.replica(one.clock.clone()).await;
    let (policy, spec) = agreed(&one, &["a", "b", "c", "d"]).await;
    one.link(&["a", "b"]).await.unwrap();
    one.link(&["c", "d"]).await.unwrap();
    let (policy, spec, every) = (&policy, &spec, all(&spec));
    let every = &every;
    for round in 0..10 {
        let writes = (0..16).map(|n| {
            let world = if n % 2 == 0 { &one } else { &other };
            let id = ["a", "b", "c", "d"][(n + n / 4 + round) % 4];
            async move { world.decide(world.decision(id, policy, spec, every)).await.map(drop) }
        });
        for write in futures::future::join_all(writes).await {
            write.unwrap();
        }
        let pair = if round % 2 == 0 { ["b", "c"] } else { ["d", "a"] };
        let (linked, crossed) = tokio::join!(one.link(&pair), other.link(&["d", "b"]));
        linked.unwrap();
        crossed.unwrap();
        one.unlink(&["a"]).await.unwrap();
    }
}
