//! Any past instant, as it was then.

use proto::{
    consent::v1::{
        DecisionReason::{Explicit, LinkedSubject},
        GetConsentResponse, PolicySpec,
    },
    errors::v1::Reason,
};

use crate::harness::*;

on_every_store!(any_past_instant_is_answered_as_it_was_then, before_and_after_an_erasure);

/// Asks of everyone now, and remembers.
async fn look(world: &World, seen: &mut Vec<(i64, String, GetConsentResponse)>) {
    for id in ["anna", "bert", "child"] {
        if let Ok(shown) = world.shown(id, None).await {
            seen.push((world.now(), id.to_owned(), shown));
        }
    }
}

async fn any_past_instant_is_answered_as_it_was_then(mut world: World) {
    let mut seen = Vec::new();
    let mut spec = opt_out();
    spec.purposes[1].consent_lifetime = Some(days(9));
    let later = |spec: &PolicySpec, after: i64| PolicySpec {
        effective_at: Some(at(START + after * DAY)),
        ..spec.clone()
    };
    // Each step at an instant of its own, and everything is looked at after each; and then once
    // more where only time has passed.
    let mut day = 0;
    let step = |world: &World, day: &mut i64| {
        *day += 2;
        world.advance_to(START + *day * DAY);
    };
    macro_rules! steps {
        ($($what:expr;)*) => {$(
            step(&world, &mut day);
            let _ = $what;
            look(&world, &mut seen).await;
            world.advance_to(world.now() + DAY);
            look(&world, &mut seen).await;
        )*};
    }
    let first = world.announce("sharing", spec.clone()).await;
    let yes = [SHARE, ADS, "social.friend_suggestions", MESSAGES];
    let by_anna = |world: &World| {
        let mut decision = world.decision("child", &first, &spec, &yes);
        decision.decided_by = "anna".into();
        decision
    };
    steps! {
        world.put("anna", "US").await;
        world.put("bert", "US-CA").await;
        world.put_child("child", "US").await;
        world.serve_notice("anna", &first, &spec).await.unwrap();
        world.decide(world.decision("anna", &first, &spec, &yes)).await.unwrap();
        world.decide(world.decision("bert", &first, &spec, &yes)).await.unwrap();
        world.guard("child", "anna").await.unwrap();
        world.decide(by_anna(&world)).await.unwrap();
        world.link(&["anna", "bert"]).await.unwrap();
        world.withdraw("bert", &[ADS]).await.unwrap();
        world.object("anna", true).await;
        world.object("anna", false).await;
    }
    let mut local = later(&spec, day + 9);
    local.jurisdictions = vec!["US-CA".to_owned()];
    // At an instant of its own, too.
    world.advance_to(world.now() + 1);
    let local_policy = world.announce("local", local.clone()).await;
    steps! {
        world.serve_notice("bert", &local_policy, &local).await.unwrap();
        world.unlink(&["bert"]).await.unwrap();
        world.link(&["child", "bert"]).await.unwrap();
        world.put("anna", "DE").await;
        ();
    }
    world.advance_to(world.now() + 1);
    let second = world.announce("sharing", later(&spec, day + 5)).await;
    steps! {
        world.guard("child", "").await.unwrap();
        world.put("child", "US").await;
        ();
        world.retire(local_policy.clone()).await.unwrap();
        world.put("anna", "US").await;
        world.decide(world.decision("anna", &second, &spec, &[SHARE])).await.unwrap();
        world.retire(second.clone()).await.unwrap();
        world.retire(first.clone()).await.unwrap();
        ();
    }
    assert!(seen.len() > 100);
    for restarted in [false, true] {
        if restarted {
            world.restart().await;
        }
        for (instant, id, then) in &seen {
            let now = world.shown(id, Some(*instant)).await.unwrap();
            assert_eq!(now, *then, "{id} at day {}", (instant - START) / DAY);
        }
    }
    // The answers did differ.
    let granted = seen.iter().map(|(_, _, shown)| format!("{:?}", shown.purposes));
    assert!(granted.collect::<std::collections::HashSet<_>>().len() > 20);

    // To the millisecond: the last one before something, and the one at which it happened.
    let known = START + 2 * DAY;
    assert_eq!(reason(world.shown("anna", Some(known - 1)).await), Reason::SubjectUnknown);
    assert_eq!(world.shown("anna", Some(known)).await.unwrap().subject.unwrap().revision, 1);
    assert_eq!(reason(world.shown("nobody", Some(known)).await), Reason::SubjectUnknown);
    let now = world.shown("anna", None).await.unwrap();
    assert_eq!(world.shown("anna", Some(world.now())).await.unwrap(), now);
    let ahead = violations(world.shown("anna", Some(world.now() + 1)).await);
    assert_eq!(ahead, (Reason::FieldsInvalid, vec!["as_of".to_owned()]));
}

/// Of one that was erased nothing is known of any instant; to whom it was linked, it is a no.
async fn before_and_after_an_erasure(world: World) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    for id in ["anna", "bert"] {
        world.put(id, "US").await;
        world.decide(world.decision(id, &policy, &spec, &[SHARE, ADS])).await.unwrap();
    }
    world.link(&["anna", "bert"]).await.unwrap();
    let linked = world.now();
    world.advance_to(START + DAY);
    world.erase("bert").await.unwrap();
    world.advance_to(START + 2 * DAY);
    for instant in [START, START + DAY, START + 2 * DAY] {
        assert_eq!(reason(world.shown("bert", Some(instant)).await), Reason::SubjectErased);
    }
    let ads = |shown: GetConsentResponse| {
        let mut lines = shown.purposes.into_iter();
        let line = lines.find(|line| line.purpose.as_ref().unwrap().purpose_id == ADS).unwrap();
        line.reason()
    };
    assert_eq!(ads(world.shown("anna", Some(linked)).await.unwrap()), LinkedSubject);
    assert_eq!(ads(world.shown("anna", Some(START + DAY)).await.unwrap()), Explicit);
}
