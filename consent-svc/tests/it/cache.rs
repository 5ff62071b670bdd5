//! Checks of subjects whose answers are kept already, wherever that is.

use proto::{
    consent::v1::{
        BatchCheckRequest, BatchCheckResponse,
        DecisionReason::{
            DefaultAfterLapse, Expired, Explicit, NoPolicy, NoticeNotServed, UnknownSubject,
            WindowPending,
        },
        Outcome, PolicySpec,
    },
    errors::v1::Reason,
};
use tonic::Status;

use crate::harness::*;

on_every_store!(
    one_subject_too_many,
    the_largest_batch,
    policies_come_and_go,
    a_draft_changes_nothing,
    a_lapse_to_the_millisecond,
    an_expiry_to_the_millisecond,
    what_takes_effect_takes_effect,
    every_write_is_seen_by_the_next_check,
);

async fn batch(world: &World, subject_ids: Vec<String>) -> Result<BatchCheckResponse, Status> {
    let message = BatchCheckRequest { purpose_id: ADS.to_owned(), subject_ids, with_details: true };
    Ok(world.consent().batch_check(world.app(message)).await?.into_inner())
}

async fn one_subject_too_many(world: World) {
    let many = (0..10_001).map(|n| format!("s{n}")).collect();
    let refused = violations(batch(&world, many).await);
    assert_eq!(refused, (Reason::FieldsInvalid, vec!["subject_ids".to_owned()]));
    let none = violations(batch(&world, Vec::new()).await);
    assert_eq!(none, (Reason::FieldsInvalid, vec!["subject_ids".to_owned()]));
}

async fn the_largest_batch(world: World) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    for (id, yes) in [("says-yes", &[SHARE, ADS][..]), ("says-no", &[SHARE])] {
        world.put(id, "US").await;
        world.decide(world.decision(id, &policy, &spec, yes)).await.unwrap();
    }
    // Strangers, and two who are there many times.
    let id = |n: usize| match n % 5 {
        1 => "says-yes".to_owned(),
        3 => "says-no".to_owned(),
        _ => format!("stranger-{n}"),
    };
    // Cold, warm, and after a change.
    for round in 0..3 {
        if round == 2 {
            world.withdraw("says-yes", &[ADS]).await.unwrap();
        }
        let found = batch(&world, (0..10_000).map(id).collect()).await.unwrap();
        assert_eq!(found.checked_at.map(millis), Some(START));
        assert_eq!((found.outcomes.len(), found.revisions.len()), (10_000, 10_000));
        for n in 0..10_000 {
            let expected = match n % 5 {
                1 if round < 2 => (Outcome::Granted, Explicit, 2),
                1 => (Outcome::Denied, proto::consent::v1::DecisionReason::Withdrawn, 3),
                3 => (Outcome::Denied, Explicit, 2),
                _ => (Outcome::Denied, UnknownSubject, 0),
            };
            let (outcome, reason, revision) = expected;
            assert_eq!(
                (found.outcomes[n], found.reasons[n], found.revisions[n]),
                (outcome as i32, reason as i32, revision)
            );
        }
    }
}

async fn policies_come_and_go(world: World) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("anna", "US-CA").await;
    world.decide(world.decision("anna", &policy, &spec, &[SHARE, ADS])).await.unwrap();
    for _ in 0..2 {
        assert_eq!(world.check("anna", ADS).await, (true, Explicit, None));
        assert_eq!(world.check("anna", "social.surveys").await, (false, NoPolicy, None));
    }
    // One for her part of the country, which nobody has shown her, takes over.
    let local = PolicySpec { jurisdictions: vec!["US-CA".to_owned()], ..spec.clone() };
    let local = world.announce("local", local).await;
    for _ in 0..2 {
        assert_eq!(world.check("anna", ADS).await, (false, NoticeNotServed, None));
    }
    world.retire(local).await.unwrap();
    for _ in 0..2 {
        assert_eq!(world.check("anna", ADS).await, (true, Explicit, None));
    }
    // A version with a purpose that none had before.
    let mut next = spec.clone();
    let mut added = next.purposes[2].clone();
    added.purpose_id = "social.surveys".into();
    next.purposes.push(added);
    let next = world.announce("sharing", next).await;
    for _ in 0..2 {
        assert_eq!(world.check("anna", "social.surveys").await.1, NoticeNotServed);
        assert_eq!(world.check("anna", ADS).await, (true, Explicit, None));
    }
    world.retire(next).await.unwrap();
    world.retire(policy).await.unwrap();
    for _ in 0..2 {
        assert_eq!(world.check("anna", ADS).await, (false, NoPolicy, None));
    }
}

async fn a_draft_changes_nothing(world: World) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("anna", "US").await;
    world.decide(world.decision("anna", &policy, &spec, &[SHARE, ADS])).await.unwrap();
    assert_eq!(world.check("anna", ADS).await, (true, Explicit, None));
    let mut next = spec.clone();
    next.purposes[0].purpose_id = "messenger.first_in_order".into();
    for purpose in &mut next.purposes[1..] {
        purpose.requires = vec!["messenger.first_in_order".to_owned()];
    }
    world.draft("sharing", next).await.unwrap();
    for _ in 0..2 {
        assert_eq!(world.check("anna", ADS).await, (true, Explicit, None));
        assert_eq!(world.check("anna", "messenger.first_in_order").await.1, NoPolicy);
    }
}

async fn a_lapse_to_the_millisecond(world: World) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("silent", "US").await;
    world.serve_notice("silent", &policy, &spec).await.unwrap();
    let lapse = START + 30 * DAY;
    for now in [START, START + DAY, lapse - 1] {
        world.advance_to(now);
        for _ in 0..2 {
            assert_eq!(world.check("silent", ADS).await, (false, WindowPending, Some(lapse)));
        }
    }
    for now in [lapse, lapse + 1, lapse + DAY] {
        world.advance_to(now);
        for _ in 0..2 {
            assert_eq!(world.check("silent", ADS).await, (true, DefaultAfterLapse, None));
            let messages = world.check("silent", MESSAGES).await;
            assert_eq!(messages, (false, DefaultAfterLapse, None));
        }
    }
}

async fn an_expiry_to_the_millisecond(world: World) {
    let mut spec = opt_out();
    for purpose in &mut spec.purposes {
        purpose.consent_lifetime = Some(days(if purpose.purpose_id == SHARE { 20 } else { 10 }));
    }
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("anna", "US").await;
    world.decide(world.decision("anna", &policy, &spec, &[SHARE, ADS])).await.unwrap();
    let (first, second) = (START + 10 * DAY, START + 20 * DAY);
    for now in [START, first - 1] {
        world.advance_to(now);
        for _ in 0..2 {
            assert_eq!(world.check("anna", ADS).await, (true, Explicit, Some(first)));
            assert_eq!(world.check("anna", SHARE).await, (true, Explicit, Some(second)));
        }
    }
    world.advance_to(first);
    for _ in 0..2 {
        assert_eq!(world.check("anna", ADS).await, (false, Expired, None));
        assert_eq!(world.check("anna", SHARE).await, (true, Explicit, Some(second)));
    }
    world.advance_to(second - 1);
    assert_eq!(world.check("anna", SHARE).await, (true, Explicit, Some(second)));
    world.advance_to(second);
    assert_eq!(world.check("anna", SHARE).await, (false, Expired, None));
}

async fn what_takes_effect_takes_effect(world: World) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("anna", "US-CA").await;
    world.decide(world.decision("anna", &policy, &spec, &[SHARE, ADS])).await.unwrap();
    let effective = START + 5 * DAY;
    let mut local = PolicySpec { jurisdictions: vec!["US-CA".to_owned()], ..spec };
    local.effective_at = Some(at(effective));
    world.announce("local", local).await;
    for now in [START, effective - 1] {
        world.advance_to(now);
        for _ in 0..2 {
            assert_eq!(world.check("anna", ADS).await, (true, Explicit, Some(effective)));
        }
    }
    world.advance_to(effective);
    for _ in 0..2 {
        assert_eq!(world.check("anna", ADS).await, (false, NoticeNotServed, None));
    }
}

async fn every_write_is_seen_by_the_next_check(world: World) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("anna", "US").await;
    for round in 0..100 {
        let yes = world.decision("anna", &policy, &spec, &[SHARE, ADS]);
        world.decide(yes).await.unwrap();
        assert!(world.granted("anna", ADS).await, "{round}");
        match round % 4 {
            0 => drop(world.withdraw("anna", &[ADS]).await.unwrap()),
            1 => drop(world.put("anna", "DE").await),
            2 => world.object("anna", true).await,
            _ => {
                let no = world.decision("anna", &policy, &spec, &[SHARE]);
                world.decide(no).await.unwrap();
            }
        }
        assert!(!world.granted("anna", ADS).await, "{round}");
        world.object("anna", false).await;
        world.put("anna", "US").await;
    }
}
