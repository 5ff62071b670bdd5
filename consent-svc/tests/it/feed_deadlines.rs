//! What the feed tells of deadlines, which nobody writes.

use std::time::Duration;

use proto::consent::v1::{
    ChangeEvent,
    DecisionReason::{
        DefaultAfterLapse, Expired, Explicit, LinkedSubject, NoticeNotServed, WindowPending,
    },
    EventKind, PolicySpec,
};
use service_kit::{
    clock::{Clock, UnixMillis},
    test_util::{Postgres, Redis},
};

use crate::{calls::*, harness::*};

on_every_store!(
    a_lapse_is_told_with_the_answers_after_it,
    every_deadline_of_a_subject_is_told,
    linked_accounts_are_told_too,
    an_announced_policy_is_told_again_when_it_takes_effect,
    a_change_of_policies_moves_deadlines,
    what_passed_while_nobody_was_there_is_told,
    of_many_at_once_none_is_left_out,
);

/// The deadlines among these: whose, and when they were told.
fn deadlines(events: &[ChangeEvent]) -> Vec<(&str, i64)> {
    let passed = events.iter().filter(|event| event.kind() == EventKind::DeadlinePassed);
    passed.map(|event| (event.subject_id.as_str(), event.recorded_at.map_or(0, millis))).collect()
}

/// Soon after an instant, and not before it.
fn soon_after(told: i64, instant: i64) -> bool {
    (instant..instant + 60_000).contains(&told)
}

async fn a_lapse_is_told_with_the_answers_after_it(world: World) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("silent", "US").await;
    world.serve_notice("silent", &policy, &spec).await.unwrap();
    world.put("calm", "US").await;
    let (_, cursor) = world.told(&[], &[]).await;
    let lapse = START + 30 * DAY;
    let mut stream = world.watch(&cursor, &[]).await.unwrap();
    world.advance_to(lapse - 1);
    // Long enough for who looks for deadlines to have looked; there is none to be told.
    world.put("passer-by", "US").await;
    let before = world.next_told(&mut stream).await;
    assert_eq!(deadlines(&before.events), []);
    if world.now() < lapse {
        world.advance_to(lapse);
    }
    let told = world.next_told(&mut stream).await;
    let [event] = &told.events[..] else { panic!("{told:?}") };
    let (who, when) = deadlines(&told.events)[0];
    assert!(who == "silent" && soon_after(when, lapse), "{when}");
    assert_eq!(answer(event, ADS), (true, DefaultAfterLapse, None));
    assert_eq!(answer(event, MESSAGES), (false, DefaultAfterLapse, None));
    assert_eq!(event.revision, 2, "it is no event of the subject's");
    // Once.
    world.clock.advance(Duration::from_mins(1));
    world.put("last", "US").await;
    assert_eq!(deadlines(&world.next_told(&mut stream).await.events), []);
}

async fn every_deadline_of_a_subject_is_told(world: World) {
    let mut spec = opt_out();
    let lifetimes = [(SHARE, 50), (ADS, 10), (MESSAGES, 20)];
    for (id, lifetime) in lifetimes {
        let purpose = spec.purposes.iter_mut().find(|purpose| purpose.purpose_id == id);
        purpose.unwrap().consent_lifetime = Some(days(lifetime));
    }
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("anna", "US").await;
    let yes = [SHARE, ADS, MESSAGES];
    world.decide(world.decision("anna", &policy, &spec, &yes)).await.unwrap();
    let (_, cursor) = world.told(&[], &[]).await;
    let mut stream = world.watch(&cursor, &[]).await.unwrap();
    for (id, after) in [(ADS, 10), (MESSAGES, 20), (SHARE, 50)] {
        world.advance_to(START + after * DAY);
        let told = world.next_told(&mut stream).await;
        let (who, when) = deadlines(&told.events)[0];
        assert!(who == "anna" && soon_after(when, START + after * DAY));
        assert_eq!(answer(&told.events[0], id), (false, Expired, None));
    }
}

async fn linked_accounts_are_told_too(world: World) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    for id in ["old", "new"] {
        world.put(id, "US").await;
    }
    world.decide(world.decision("old", &policy, &spec, &[SHARE, ADS])).await.unwrap();
    world.serve_notice("new", &policy, &spec).await.unwrap();
    world.link(&["old", "new"]).await.unwrap();
    let (events, cursor) = world.told(&[], &[]).await;
    let lapse = START + 30 * DAY;
    let old = events.iter().rfind(|event| event.subject_id == "old").unwrap();
    assert_eq!(answer(old, ADS), (false, LinkedSubject, Some(lapse)));
    let mut stream = world.watch(&cursor, &[]).await.unwrap();
    world.advance_to(lapse);
    let told = world.next_told(&mut stream).await;
    let mut who: Vec<&str> = deadlines(&told.events).iter().map(|told| told.0).collect();
    who.sort_unstable();
    assert_eq!(who, ["new", "old"]);
    for event in &told.events {
        assert!(answer(event, ADS).0, "{event:?}");
    }
}

async fn an_announced_policy_is_told_again_when_it_takes_effect(world: World) {
    let spec = opt_out();
    let effective = START + 5 * DAY;
    let announced = PolicySpec { effective_at: Some(at(effective)), ..spec.clone() };
    let retired = PolicySpec { effective_at: Some(at(effective + DAY)), ..spec.clone() };
    let mut stream = world.watch(&[], &[]).await.unwrap();
    let policy = world.announce("announced", announced.clone()).await;
    let other = world.announce("retired", retired).await;
    world.retire(other).await.unwrap();
    world.put("anna", "US").await;
    world.serve_notice("anna", &policy, &announced).await.unwrap();
    let mut events = Vec::new();
    while events.len() < 5 {
        events.extend(world.next_told(&mut stream).await.events);
    }
    let changed = |events: &[ChangeEvent]| -> Vec<i64> {
        let changes = events.iter().filter(|event| event.kind() == EventKind::PolicyChanged);
        changes.map(|event| event.recorded_at.map_or(0, millis)).collect()
    };
    assert_eq!(changed(&events).len(), 3);
    let pending = (false, WindowPending, Some(effective + 30 * DAY));
    assert_eq!(answer(events.last().unwrap(), ADS), pending);
    world.advance_to(effective);
    let mut events = Vec::new();
    while changed(&events).is_empty() {
        events.extend(world.next_told(&mut stream).await.events);
    }
    assert!(soon_after(changed(&events)[0], effective));
    world.decide(world.decision("anna", &policy, &announced, &[SHARE, ADS])).await.unwrap();
    assert_eq!(world.check("anna", ADS).await, (true, Explicit, None));
    // Nothing comes of the one that was retired.
    world.advance_to(effective + DAY);
    world.put("last", "US").await;
    let (all, _) = world.told(&[], &[]).await;
    assert_eq!(changed(&all).len(), 4);
}

async fn a_change_of_policies_moves_deadlines(world: World) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    for id in ["moved", "stays"] {
        world.put(id, if id == "moved" { "US-CA" } else { "US-NY" }).await;
        world.decide(world.decision(id, &policy, &spec, &[SHARE, ADS])).await.unwrap();
    }
    // None has a deadline. Another policy gives one of them one: when it takes effect.
    let effective = START + 7 * DAY;
    let mut local = PolicySpec { effective_at: Some(at(effective)), ..spec.clone() };
    local.jurisdictions = vec!["US-CA".to_owned()];
    world.announce("local", local).await;
    let (_, cursor) = world.told(&[], &[]).await;
    let mut stream = world.watch(&cursor, &[]).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    world.advance_to(effective);
    let mut events = Vec::new();
    while deadlines(&events).is_empty() {
        events.extend(world.next_told(&mut stream).await.events);
    }
    let (who, when) = deadlines(&events)[0];
    assert!(who == "moved" && soon_after(when, effective));
    let moved = events.iter().find(|event| event.subject_id == "moved").unwrap();
    assert_eq!(answer(moved, ADS), (false, NoticeNotServed, None));
    world.put("last", "US").await;
    let (all, _) = world.told(&[], &[]).await;
    assert_eq!(deadlines(&all).len(), 1, "{:?}", deadlines(&all));
}

async fn what_passed_while_nobody_was_there_is_told(mut world: World) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("silent", "US").await;
    world.serve_notice("silent", &policy, &spec).await.unwrap();
    let (_, cursor) = world.told(&[], &[]).await;
    world.stop().stopped().await.unwrap();
    world.advance_to(START + 31 * DAY);
    world.start().await;
    let mut stream = world.watch(&cursor, &[]).await.unwrap();
    let told = world.next_told(&mut stream).await;
    assert_eq!(deadlines(&told.events)[0].0, "silent");
    assert_eq!(answer(&told.events[0], ADS), (true, DefaultAfterLapse, None));
}

/// More than are looked at together.
async fn of_many_at_once_none_is_left_out(world: World) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    let ids: Vec<String> = (0..1_203).map(|n| format!("p{n:04}")).collect();
    let (world, policy, spec) = (&world, &policy, &spec);
    let put = ids.iter().map(async |id| {
        world.put(id, "US").await;
        world.serve_notice(id, policy, spec).await.unwrap();
    });
    futures::future::join_all(put).await;
    let (_, cursor) = world.told(&[], &[ADS]).await;
    let mut stream = world.watch(&cursor, &[ADS]).await.unwrap();
    world.advance_to(START + 30 * DAY);
    let mut events = Vec::new();
    while events.len() < ids.len() {
        events.extend(world.next_told(&mut stream).await.events);
    }
    let mut told: Vec<&str> = deadlines(&events).iter().map(|told| told.0).collect();
    told.sort_unstable();
    assert_eq!(told, ids.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(events.iter().all(|event| answer(event, ADS) == (true, DefaultAfterLapse, None)));
}

/// By clocks that nobody moves by hand: what a replica knows of the database's time lags behind,
/// but a deadline that is told of has passed in the answers that are told with it.
async fn by_the_databases_own_clock(redis: &[String]) {
    let url = Postgres::shared().database();
    let world = World::begin(url, redis, None, Clock::system()).await;
    let now = world.now();
    let mut spec = opt_out();
    spec.effective_at = Some(at(now));
    spec.accept_within = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let policy = world.announce("sharing", spec.clone()).await;
    let mut stream = world.watch(&[], &[ADS]).await.unwrap();
    let mut people = 0;
    while world.clock.now() < UnixMillis::new(now + 2_000) {
        let mut person = world.person(&format!("p{people}"), "US");
        person.account_created_at = Some(at(now - 730 * DAY));
        world.put_as(person).await;
        world.serve_notice(&format!("p{people}"), &policy, &spec).await.unwrap();
        people += 1;
    }
    let mut told = 0;
    while told < people {
        for event in step(&mut stream).await.unwrap().events {
            if event.kind() == EventKind::DeadlinePassed {
                told += 1;
                assert_eq!(answer(&event, ADS), (true, DefaultAfterLapse, None), "{event:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_postgresqls_own_clock() {
    by_the_databases_own_clock(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_postgresqls_own_clock_with_redis() {
    by_the_databases_own_clock(&[Redis::shared().database()]).await;
}
