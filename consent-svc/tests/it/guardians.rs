//! Who decides for a subject that is under age.

use proto::{
    consent::v1::{
        AgeBand,
        DecisionReason::{Explicit, GuardianRequired, NoticeNotServed, Withdrawn},
        EventKind, PolicyRef, PolicySpec, PutSubjectRequest, SetGuardianRequest,
    },
    errors::v1::Reason,
};

use service_kit::auth::Caller;

use crate::harness::*;

on_every_store!(
    only_the_guardians_yes_counts,
    a_no_counts_whoever_says_it,
    another_guardian_is_asked_anew,
    who_may_be_a_guardian,
    at_most_thirty_two_wards,
    coming_of_age,
    a_guardian_that_turns_out_to_be_under_age,
    a_guardian_that_is_erased,
    a_ward_that_is_erased,
    the_same_again,
);

/// A child in whose jurisdiction silence may become a yes, and its guardian.
async fn family(world: &World) -> (PolicyRef, PolicySpec) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    world.put_child("child", "US").await;
    world.put("mother", "US").await;
    (policy, spec)
}

/// The guardian says yes for the child.
async fn agree(world: &World, guardian: &str, policy: &PolicyRef, spec: &PolicySpec) {
    let mut decision = world.decision("child", policy, spec, &[SHARE, ADS]);
    decision.decided_by = guardian.into();
    world.decide(decision).await.unwrap();
}

const REQUIRED: Answer = (false, GuardianRequired, None);
const YES: Answer = (true, Explicit, None);

async fn only_the_guardians_yes_counts(world: World) {
    let (policy, spec) = family(&world).await;
    world.serve_notice("child", &policy, &spec).await.unwrap();
    world.decide(world.decision("child", &policy, &spec, &[SHARE, ADS])).await.unwrap();
    assert_eq!(world.everywhere("child", ADS).await, REQUIRED);
    // Silence is no yes either, whatever the policy makes of it.
    world.put_child("silent", "US").await;
    world.serve_notice("silent", &policy, &spec).await.unwrap();
    world.advance_to(START + 40 * DAY);
    assert_eq!(world.everywhere("silent", ADS).await, REQUIRED);

    // Nobody is the guardian yet, and afterwards nobody else is.
    let mut by_mother = world.decision("child", &policy, &spec, &[SHARE, ADS]);
    by_mother.decided_by = "mother".into();
    assert_eq!(reason(world.decide(by_mother.clone()).await), Reason::RelationInvalid);
    let subject = world.guard("child", "mother").await.unwrap();
    assert_eq!((subject.subject_id.as_str(), subject.age_band()), ("child", AgeBand::UnderAge));
    assert_eq!(subject.revision, world.events("child").await.last().unwrap().revision);
    assert_eq!(world.everywhere("child", ADS).await, REQUIRED);
    by_mother.decided_by = "father".into();
    assert_eq!(reason(world.decide(by_mother.clone()).await), Reason::RelationInvalid);
    // Nor does the child say so itself.
    let mut forged = world.decision("child", &policy, &spec, &[SHARE, ADS]);
    forged.decided_by = "mother".into();
    let forged = world.consent().record_decision(world.from(&Caller::user("child"), forged)).await;
    assert_eq!(reason(forged), Reason::NotOwnData);
    assert_eq!(world.everywhere("child", ADS).await, REQUIRED);
    agree(&world, "mother", &policy, &spec).await;
    assert_eq!(world.everywhere("child", ADS).await, YES);
    assert_eq!(world.check("child", MESSAGES).await, (false, Explicit, None));
    // A guardian says nothing about itself by that, nor for others.
    assert_eq!(world.everywhere("mother", ADS).await, (false, NoticeNotServed, None));
    let mut other = world.decision("silent", &policy, &spec, &[SHARE, ADS]);
    other.decided_by = "mother".into();
    assert_eq!(reason(world.decide(other).await), Reason::RelationInvalid);
    // A child's own yes takes nothing back, and adds nothing.
    let every = [SHARE, ADS, MESSAGES];
    world.decide(world.decision("child", &policy, &spec, &every)).await.unwrap();
    assert_eq!(world.everywhere("child", ADS).await, YES);
    assert!(!world.granted("child", MESSAGES).await);
}

async fn a_no_counts_whoever_says_it(world: World) {
    let (policy, spec) = family(&world).await;
    world.guard("child", "mother").await.unwrap();
    agree(&world, "mother", &policy, &spec).await;
    assert_eq!(world.everywhere("child", ADS).await, YES);
    world.withdraw("child", &[ADS]).await.unwrap();
    assert_eq!(world.everywhere("child", ADS).await, (false, Withdrawn, None));
    agree(&world, "mother", &policy, &spec).await;
    assert_eq!(world.everywhere("child", ADS).await, YES);
    world.decide(world.decision("child", &policy, &spec, &[SHARE])).await.unwrap();
    assert_eq!(world.everywhere("child", ADS).await, (false, Explicit, None));
    // The child's no, and then its yes: the no stays.
    world.decide(world.decision("child", &policy, &spec, &[SHARE, ADS])).await.unwrap();
    assert_eq!(world.everywhere("child", ADS).await, (false, Explicit, None));
}

async fn another_guardian_is_asked_anew(world: World) {
    let (policy, spec) = family(&world).await;
    world.put("father", "US").await;
    world.guard("child", "mother").await.unwrap();
    agree(&world, "mother", &policy, &spec).await;
    assert_eq!(world.everywhere("child", ADS).await, YES);
    world.guard("child", "father").await.unwrap();
    assert_eq!(world.everywhere("child", ADS).await, REQUIRED);
    let mut late = world.decision("child", &policy, &spec, &[SHARE, ADS]);
    late.decided_by = "mother".into();
    assert_eq!(reason(world.decide(late).await), Reason::RelationInvalid);
    agree(&world, "father", &policy, &spec).await;
    world.withdraw("child", &[MESSAGES]).await.unwrap();
    assert_eq!(world.everywhere("child", ADS).await, YES);
    // The same again changes nothing.
    let events = world.events("child").await.len();
    world.guard("child", "father").await.unwrap();
    assert_eq!(world.events("child").await.len(), events);
    assert_eq!(world.everywhere("child", ADS).await, YES);
    // With nobody, every yes is gone and every no is there.
    world.guard("child", "").await.unwrap();
    assert_eq!(world.everywhere("child", ADS).await, REQUIRED);
    assert_eq!(world.everywhere("child", MESSAGES).await, (false, Withdrawn, None));
    // And the same guardian again starts from nothing.
    world.guard("child", "father").await.unwrap();
    assert_eq!(world.everywhere("child", ADS).await, REQUIRED);

    let (events, _) = world.told(&[], &[ADS]).await;
    let set = |id: &str| {
        let of = events.iter().filter(move |event| event.subject_id == id);
        of.filter(|event| event.kind() == EventKind::GuardianSet).count()
    };
    assert_eq!((set("child"), set("mother"), set("father")), (4, 2, 3));
}

async fn who_may_be_a_guardian(world: World) {
    family(&world).await;
    world.put_child("sister", "US").await;
    world.put("gone", "US").await;
    world.erase("gone").await.unwrap();
    assert_eq!(reason(world.guard("child", "sister").await), Reason::RelationInvalid);
    assert_eq!(reason(world.guard("child", "child").await), Reason::RelationInvalid);
    assert_eq!(reason(world.guard("mother", "mother").await), Reason::RelationInvalid);
    assert_eq!(reason(world.guard("child", "nobody").await), Reason::SubjectUnknown);
    assert_eq!(reason(world.guard("nobody", "mother").await), Reason::SubjectUnknown);
    assert_eq!(reason(world.guard("child", "gone").await), Reason::SubjectErased);
    assert_eq!(reason(world.guard("gone", "mother").await), Reason::SubjectErased);
    world.put("adult", "US").await;
    assert_eq!(reason(world.guard("adult", "mother").await), Reason::RelationInvalid);
    assert_eq!(world.events("child").await.len(), 1, "none of it left a trace");
    assert_eq!(world.events("mother").await.len(), 1);
}

async fn at_most_thirty_two_wards(world: World) {
    family(&world).await;
    let wards: Vec<String> = (0..33).map(|n| format!("ward{n}")).collect();
    for ward in &wards {
        world.put_child(ward, "US").await;
    }
    // At once, so that they meet in one commit.
    let set = wards.iter().map(|ward| world.guard(ward, "mother"));
    let set = futures::future::join_all(set).await;
    let (done, refused): (Vec<_>, Vec<_>) = set.into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), refused.len()), (32, 1));
    for refused in refused {
        assert_eq!(reason(refused), Reason::RelationInvalid);
    }
    // One goes, and there is room for one.
    let first = done.into_iter().next().unwrap().unwrap().subject_id;
    world.guard(&first, "").await.unwrap();
    world.guard("child", "mother").await.unwrap();
    assert_eq!(reason(world.guard(&first, "mother").await), Reason::RelationInvalid);
}

async fn coming_of_age(world: World) {
    let (policy, spec) = family(&world).await;
    world.guard("child", "mother").await.unwrap();
    agree(&world, "mother", &policy, &spec).await;
    assert_eq!(world.everywhere("child", ADS).await, YES);
    world.advance_to(START + 1);
    world.put("child", "US").await;
    // The guardian's yes is not theirs, nor was what the guardian was told told to them.
    let unasked = (false, NoticeNotServed, None);
    assert_eq!(world.everywhere("child", ADS).await, unasked);
    let mut by_mother = world.decision("child", &policy, &spec, &[SHARE, ADS]);
    by_mother.decided_by = "mother".into();
    assert_eq!(reason(world.decide(by_mother).await), Reason::RelationInvalid);
    world.decide(world.decision("child", &policy, &spec, &[SHARE, ADS])).await.unwrap();
    assert_eq!(world.everywhere("child", ADS).await, YES);
    // The guardianship has ended, for both, and cannot begin again.
    let before = world.events("child").await.len();
    world.guard("child", "").await.unwrap();
    assert_eq!(world.events("child").await.len(), before);
    assert_eq!(reason(world.guard("child", "mother").await), Reason::RelationInvalid);
}

async fn a_guardian_that_turns_out_to_be_under_age(world: World) {
    let (policy, spec) = family(&world).await;
    world.put_child("brother", "US").await;
    for ward in ["child", "brother"] {
        world.guard(ward, "mother").await.unwrap();
    }
    agree(&world, "mother", &policy, &spec).await;
    // The ward has another account, which is warm too.
    world.put("child-at-work", "US").await;
    let yes = world.decision("child-at-work", &policy, &spec, &[SHARE, ADS]);
    world.decide(yes).await.unwrap();
    world.link(&["child", "child-at-work"]).await.unwrap();
    for id in ["child", "child-at-work"] {
        assert_eq!(world.everywhere(id, ADS).await, YES);
    }
    let age_band = AgeBand::UnderAge as i32;
    let young = PutSubjectRequest { age_band, ..world.person("mother", "US") };
    world.put_as(young).await;
    assert_eq!(world.everywhere("child", ADS).await, REQUIRED);
    assert!(!world.granted("child-at-work", ADS).await);
    let mut late = world.decision("child", &policy, &spec, &[SHARE, ADS]);
    late.decided_by = "mother".into();
    assert_eq!(reason(world.decide(late).await), Reason::RelationInvalid);
    // Of age again, it is nobody's guardian until it is set anew.
    world.put("mother", "US").await;
    assert_eq!(world.everywhere("child", ADS).await, REQUIRED);
    world.guard("brother", "mother").await.unwrap();
    world.guard("child", "mother").await.unwrap();
    agree(&world, "mother", &policy, &spec).await;
    assert_eq!(world.everywhere("child", ADS).await, YES);
}

async fn a_guardian_that_is_erased(world: World) {
    let (policy, spec) = family(&world).await;
    world.guard("child", "mother").await.unwrap();
    agree(&world, "mother", &policy, &spec).await;
    world.withdraw("child", &[MESSAGES]).await.unwrap();
    assert_eq!(world.everywhere("child", ADS).await, YES);
    world.erase("mother").await.unwrap();
    assert_eq!(world.everywhere("child", ADS).await, REQUIRED);
    assert_eq!(world.everywhere("child", MESSAGES).await, (false, Withdrawn, None));
    let mut late = world.decision("child", &policy, &spec, &[SHARE, ADS]);
    late.decided_by = "mother".into();
    assert_eq!(reason(world.decide(late).await), Reason::RelationInvalid);
    world.put("father", "US").await;
    world.guard("child", "father").await.unwrap();
    agree(&world, "father", &policy, &spec).await;
    assert_eq!(world.everywhere("child", ADS).await, YES);
}

async fn a_ward_that_is_erased(world: World) {
    family(&world).await;
    let wards: Vec<String> = (0..32).map(|n| format!("ward{n}")).collect();
    for ward in &wards {
        world.put_child(ward, "US").await;
        world.guard(ward, "mother").await.unwrap();
    }
    world.erase("ward7").await.unwrap();
    // It is no ward any more.
    world.guard("child", "mother").await.unwrap();
    assert_eq!(reason(world.guard("ward7", "").await), Reason::SubjectErased);
}

async fn the_same_again(mut world: World) {
    let (policy, spec) = family(&world).await;
    let set = SetGuardianRequest {
        request_id: "set".to_owned(),
        subject_id: "child".to_owned(),
        guardian_subject_id: "mother".to_owned(),
    };
    let first = world.consent().set_guardian(world.app(set.clone())).await.unwrap().into_inner();
    agree(&world, "mother", &policy, &spec).await;
    world.put_child("child", "CA").await;
    world.guard("child", "").await.unwrap();
    world.restart().await;
    let again = world.consent().set_guardian(world.app(set.clone())).await.unwrap().into_inner();
    assert_eq!(again, first, "as it was then");
    assert_eq!(world.everywhere("child", ADS).await, REQUIRED, "it was not done again");
    let other = SetGuardianRequest { guardian_subject_id: String::new(), ..set };
    let refused = world.consent().set_guardian(world.app(other)).await;
    assert_eq!(reason(refused), Reason::RequestIdReused);
}
