//! Erasing a subject: what identifies it is gone, a tombstone and the chain remain.

use proto::{
    consent::v1::{
        AcknowledgeErasureRequest, DecisionReason::Erased, EraseSubjectRequest, Erasure, Event,
        EventKind, PolicyRef, PolicySpec, SetObjectionSignalRequest,
    },
    errors::v1::Reason,
    options::v1::Role,
};
use service_kit::auth::Caller;
use sha2::{Digest, Sha256};
use tonic::Status;

use crate::{calls::*, harness::*};

on_every_store!(
    every_check_is_denied_at_once,
    with_no_policy_at_all,
    by_the_person,
    its_id_is_never_used_again,
    the_chain_remains,
    followers_acknowledge,
    who_is_waited_for_is_counted,
    the_feed_tells,
    the_same_again,
);

const GONE: Answer = (false, Erased, None);

/// A person with a history.
async fn person(world: &World) -> (PolicyRef, PolicySpec) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("paul", "US").await;
    decide(world, &policy, &spec).await.unwrap();
    world.withdraw("paul", &[MESSAGES]).await.unwrap();
    (policy, spec)
}

async fn decide(world: &World, policy: &PolicyRef, spec: &PolicySpec) -> Result<(), Status> {
    let decision = world.decision("paul", policy, spec, &[SHARE, ADS, MESSAGES]);
    world.decide(decision).await.map(drop)
}

async fn every_check_is_denied_at_once(world: World) {
    let (policy, spec) = person(&world).await;
    for round in 0..20 {
        let id = format!("p{round}");
        world.put(&id, "US").await;
        world.decide(world.decision(&id, &policy, &spec, &[SHARE, ADS])).await.unwrap();
        assert!(world.granted(&id, ADS).await && world.granted(&id, ADS).await);
        world.erase(&id).await.unwrap();
        for purpose in [ADS, SHARE, ADS, "social.unheard_of", "social.unheard_of"] {
            assert_eq!(world.check(&id, purpose).await, GONE, "{purpose}");
        }
    }
    assert!(world.granted("paul", ADS).await);
    // For ever, whatever is published.
    world.retire(policy).await.unwrap();
    assert_eq!(world.check("p0", ADS).await, GONE);
    world.announce("sharing", spec).await;
    world.advance_to(START + 4_000 * DAY);
    assert_eq!(world.check("p0", ADS).await, GONE);
    assert_eq!(world.check("p0", ADS).await, GONE);
    assert_eq!(reason(world.shown("p0", None).await), Reason::SubjectErased);
    assert_eq!(reason(world.shown("p0", Some(START)).await), Reason::SubjectErased);
}

async fn with_no_policy_at_all(world: World) {
    world.put("early", "US").await;
    assert!(!world.granted("early", ADS).await);
    world.erase("early").await.unwrap();
    for _ in 0..3 {
        assert_eq!(world.check("early", ADS).await, GONE);
    }
}

async fn by_the_person(world: World) {
    person(&world).await;
    world.put("petra", "US").await;
    let paul = Caller::user("paul");
    assert_eq!(reason(world.erase_as(&paul, "petra").await), Reason::NotOwnData);
    let erasure = world.erase_as(&paul, "paul").await.unwrap();
    assert_eq!(world.check("paul", ADS).await, GONE);
    assert_eq!(erasure.subject_id, "paul");
    assert_eq!(erasure.requested_at.map(millis), Some(START));
    assert!(world.check("petra", ADS).await != GONE);
    assert_eq!(reason(world.erase_as(&paul, "nobody").await), Reason::NotOwnData);
    assert_eq!(reason(world.erase("nobody").await), Reason::SubjectUnknown);
    assert_eq!(reason(world.erasure("petra").await), Reason::RecordUnknown);
}

async fn its_id_is_never_used_again(mut world: World) {
    let (policy, spec) = person(&world).await;
    world.erase("paul").await.unwrap();
    world.restart().await;
    let put = world.consent().put_subject(world.app(world.person("paul", "US"))).await;
    assert_eq!(reason(put), Reason::SubjectErased);
    assert_eq!(reason(decide(&world, &policy, &spec).await), Reason::SubjectErased);
    assert_eq!(reason(world.withdraw("paul", &[ADS]).await), Reason::SubjectErased);
    let served = world.serve_notice("paul", &policy, &spec).await;
    assert_eq!(reason(served), Reason::SubjectErased);
    let message = SetObjectionSignalRequest {
        request_id: world.id(),
        subject_id: "paul".to_owned(),
        objects: true,
    };
    let objected = world.consent().set_objection_signal(world.app(message)).await;
    assert_eq!(reason(objected), Reason::SubjectErased);
    assert_eq!(world.check("paul", ADS).await, GONE);
}

/// What there is to recompute of a chain: each digest is over the one before, the revision and a
/// digest of the content, which alone is kept of what was erased.
async fn the_chain_remains(world: World) {
    let (policy, spec) = person(&world).await;
    world.put("petra", "US").await;
    let before = world.events("paul").await;
    world.advance_to(START + DAY);
    world.erase("paul").await.unwrap();
    let after = world.events("paul").await;
    let digests = |events: &[Event]| events.iter().map(|e| e.digest.clone()).collect::<Vec<_>>();
    let names = |events: &[Event]| events.iter().map(|e| e.event_id.clone()).collect::<Vec<_>>();
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(digests(&after)[..before.len()], digests(&before));
    assert_eq!(names(&after)[..before.len()], names(&before));
    for event in &after {
        assert_eq!(event.kind(), EventKind::Erased);
        assert_eq!((&event.policy, event.choices.len()), (&None, 0));
    }
    // The event that erases has no secret in its digest: it can be recomputed from the outside.
    let last = after.last().unwrap();
    assert_eq!(last.recorded_at.map(millis), Some(START + DAY));
    let chained = |content: &[u8]| {
        let mut hash = Sha256::new();
        hash.update(b"assent consent event v1\0");
        hash.update(&before.last().unwrap().digest);
        hash.update(last.revision.to_be_bytes());
        hash.update(content);
        hash.finalize().to_vec()
    };
    let mut salt = Sha256::new();
    salt.update(b"assent consent salt v1\0");
    salt.update([0; 16]);
    salt.update(last.revision.to_be_bytes());
    let mut content = Sha256::new();
    content.update(b"assent consent content v1\0");
    content.update(&salt.finalize()[..16]);
    content.update(4_u64.to_be_bytes());
    content.update("paul");
    // Kind 10 in field 1, and when it was recorded in field 2, zigzag.
    let mut bytes = vec![0x08, 10, 0x10];
    let mut rest = u64::try_from(START + DAY).unwrap() << 1;
    while rest >= 0x80 {
        bytes.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    bytes.push(u8::try_from(rest).unwrap());
    content.update(&bytes);
    assert_eq!(last.digest, chained(&content.finalize()));

    // Later writes of others, and what is refused, leave the chain's head alone.
    world.erase("paul").await.unwrap();
    let _ = decide(&world, &policy, &spec).await.unwrap_err();
    assert_eq!(digests(&world.events("paul").await), digests(&after));
}

async fn acknowledge(world: &World, who: &str, follower: &str, id: &str) -> Result<(), Status> {
    let message = AcknowledgeErasureRequest {
        request_id: world.id(),
        subject_id: id.to_owned(),
        follower: follower.to_owned(),
    };
    let caller = Caller::named(Role::Service, who);
    world.consent().acknowledge_erasure(world.from(&caller, message)).await.map(drop)
}

async fn who_is_waited_for_is_counted(world: World) {
    const PENDING: &str = "consent_erasures_pending";
    const AGE: &str = "consent_erasure_pending_age_seconds";
    person(&world).await;
    world.erase("paul").await.unwrap();
    acknowledge(&world, "audience-svc", "audience-svc", "paul").await.unwrap();
    let of = async |metric: &str, follower: &str| -> u64 {
        world.count(metric, &format!("follower=\"{follower}\"")).await
    };
    // It is looked once a minute.
    world.advance_to(START + 3_600_000);
    until("one is counted", || async { of(PENDING, "suggest-svc").await == 1 }).await;
    assert!(of(AGE, "suggest-svc").await >= 3_600);
    assert_eq!(of(PENDING, "audience-svc").await, 0);
    acknowledge(&world, "suggest-svc", "suggest-svc", "paul").await.unwrap();
    world.advance_to(START + 7_200_000);
    until("none is counted", || async { of(PENDING, "suggest-svc").await == 0 }).await;
    assert_eq!(of(AGE, "suggest-svc").await, 0);
}

async fn followers_acknowledge(world: World) {
    person(&world).await;
    let known = |erasure: &Erasure| -> Vec<(String, Option<i64>)> {
        let followers = erasure.followers.iter();
        followers.map(|one| (one.follower.clone(), one.acknowledged_at.map(millis))).collect()
    };
    let early = acknowledge(&world, "audience-svc", "audience-svc", "paul").await;
    assert_eq!(reason(early), Reason::RecordUnknown);
    let begun = world.erase("paul").await.unwrap();
    assert_eq!(known(&begun), [("audience-svc".into(), None), ("suggest-svc".into(), None)]);
    assert!(!begun.complete);
    assert_eq!(world.erasure("paul").await.unwrap(), begun);

    world.advance_to(START + 1);
    let wrong = acknowledge(&world, "suggest-svc", "audience-svc", "paul").await;
    assert_eq!(reason(wrong), Reason::NotOwnData);
    let unasked = acknowledge(&world, "report-svc", "report-svc", "paul").await;
    assert_eq!(reason(unasked), Reason::NotOwnData);
    let stranger = acknowledge(&world, "audience-svc", "audience-svc", "nobody").await;
    assert_eq!(reason(stranger), Reason::RecordUnknown);
    assert_eq!(world.erasure("paul").await.unwrap(), begun);
    acknowledge(&world, "audience-svc", "audience-svc", "paul").await.unwrap();
    let half = world.erasure("paul").await.unwrap();
    assert_eq!(known(&half)[0], ("audience-svc".into(), Some(START + 1)));
    assert!(!half.complete);
    world.advance_to(START + 2);
    acknowledge(&world, "audience-svc", "audience-svc", "paul").await.unwrap();
    assert_eq!(world.erasure("paul").await.unwrap(), half, "the first time counts");
    acknowledge(&world, "suggest-svc", "suggest-svc", "paul").await.unwrap();
    let whole = world.erasure("paul").await.unwrap();
    assert_eq!(known(&whole)[1], ("suggest-svc".into(), Some(START + 2)));
    assert!(whole.complete);
    // An app does not acknowledge.
    let app = Caller::named(Role::App, "audience-svc");
    let message = AcknowledgeErasureRequest {
        request_id: world.id(),
        subject_id: "paul".to_owned(),
        follower: "audience-svc".to_owned(),
    };
    let refused = world.consent().acknowledge_erasure(world.from(&app, message)).await;
    assert_eq!(reason(refused), Reason::RoleNotAllowed);
}

async fn the_feed_tells(world: World) {
    person(&world).await;
    let (_, cursor) = world.told(&[], &[ADS]).await;
    world.erase("paul").await.unwrap();
    let (events, _) = world.told(&cursor, &[ADS]).await;
    assert_eq!(facts(&events), [(EventKind::Erased, "paul".to_owned(), START)]);
    assert_eq!(answer(&events[0], ADS), GONE);
    assert_eq!(events[0].revision, world.events("paul").await.last().unwrap().revision);
    // What was told before is told again without anything that is gone.
    let (events, _) = world.told(&[], &[ADS]).await;
    let about = events.iter().filter(|event| event.subject_id == "paul");
    assert!(about.map(|event| answer(event, ADS)).all(|told| told == GONE));
}

async fn the_same_again(mut world: World) {
    person(&world).await;
    let message =
        EraseSubjectRequest { request_id: "erase".to_owned(), subject_id: "paul".to_owned() };
    let first = world.consent().erase_subject(world.app(message.clone())).await.unwrap();
    acknowledge(&world, "audience-svc", "audience-svc", "paul").await.unwrap();
    world.restart().await;
    world.advance_to(START + 1);
    let again = world.consent().erase_subject(world.app(message)).await.unwrap().into_inner();
    let (first, again) = (first.into_inner().erasure.unwrap(), again.erasure.unwrap());
    assert_eq!(again.requested_at, first.requested_at);
    let events = world.events("paul").await.len();
    let another = world.erase("paul").await.unwrap();
    assert_eq!(another.requested_at, first.requested_at);
    assert_eq!(world.events("paul").await.len(), events);
}
