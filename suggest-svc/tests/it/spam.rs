//! Reports of spam, and what they come to.

use std::time::Duration;

use proto::{
    errors::v1::Reason,
    suggest::v1::{Connection, Discoverability, PutConnectionsRequest, SpamReason},
};
use service_kit::clock::UnixMillis;
use suggest_svc::config::SuggestConfig;
use tonic_types::StatusExt;

use crate::{
    on_both_stores,
    world::{SPAM, World, bad_fields, reason},
};

const SQUARE: [(&str, &str); 4] = [("ann", "bob"), ("ann", "cec"), ("spy", "bob"), ("spy", "cec")];

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}-{n:02}")).collect()
}

fn strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// spy is suggested to ann.
async fn square(world: &World) {
    world.people(&["ann", "bob", "cec", "spy"]).await;
    world.connect(&SQUARE).await.unwrap();
    assert_eq!(world.user("ann").suggested().await, ["spy"]);
}

/// That many people block an account, and as many others report it.
async fn complain_of(world: &World, account: &str, count: usize) -> [Vec<String>; 2] {
    let (blockers, reporters) = (names("blocker", count), names("reporter", count));
    world.agreed(&strs(&blockers));
    world.agreed(&strs(&reporters));
    for (blocker, reporter) in blockers.iter().zip(&reporters) {
        world.user(blocker).blocks(account).await;
        world.user(reporter).reports(account).await.unwrap();
    }
    [blockers, reporters]
}

async fn complain(world: &World, count: usize) -> [Vec<String>; 2] {
    complain_of(world, "spy", count).await
}

/// Asks until that is what ann is shown: accounts are reviewed in the background.
async fn ann_sees(world: &World, expected: &[&str]) {
    let seen = async { while world.user("ann").suggested().await != expected {} };
    let seen = tokio::time::timeout(Duration::from_secs(30), seen);
    assert!(seen.await.is_ok(), "{:?}", world.user("ann").suggested().await);
}

async fn a_risky_account_is_not_suggested_also_after_a_restart(mut world: World) {
    square(&world).await;
    complain(&world, 12).await;
    let risk = world.risk("spy").await;
    assert!(risk.score > 0.8, "{risk:?}");
    assert_eq!(risk.reasons().collect::<Vec<_>>(), [SpamReason::Reported, SpamReason::Blocked]);
    assert_eq!(risk.computed_at, Some(world.clock.now().into()));
    ann_sees(&world, &[]).await;
    world.restart().await;
    assert!(world.user("ann").suggested().await.is_empty());
    // Only while the account agrees to be looked at for that, asked at that moment.
    world.grants.deny(SPAM, "spy");
    assert_eq!(world.user("ann").suggested().await, ["spy"]);
    world.grants.grant(SPAM, "spy");
    assert!(world.user("ann").suggested().await.is_empty());
}

async fn reports_are_over_some_time(world: World) {
    square(&world).await;
    complain(&world, 12).await;
    ann_sees(&world, &[]).await;
    world.clock.advance(Duration::from_hours(24 * 90) + Duration::from_millis(1));
    ann_sees(&world, &["spy"]).await;
    assert!(world.risk("spy").await.score < 0.8);
}

async fn only_people_who_agreed_count(world: World) {
    square(&world).await;
    let [blockers, reporters] = complain(&world, 12).await;
    let all = world.risk("spy").await;
    for person in blockers.iter().chain(&reporters) {
        world.grants.deny(SPAM, person);
    }
    let none = world.risk("spy").await;
    assert_eq!((none.score, none.reasons), (0.0, vec![]));
    for reporter in &reporters {
        world.grants.grant(SPAM, reporter);
    }
    let half = world.risk("spy").await;
    assert_eq!(half.reasons().collect::<Vec<_>>(), [SpamReason::Reported]);
    assert!(half.score > 0.0 && half.score < all.score);
    // Not about an account that has not.
    world.grants.deny(SPAM, "spy");
    let risk = world.risk("spy").await;
    assert_eq!((risk.score, risk.reasons), (0.0, vec![]));
    // What nobody ever heard of is answered alike.
    let unknown = world.risk("nobody").await;
    assert_eq!((unknown.score, unknown.reasons), (0.0, vec![]));
}

async fn a_report_counts_once_and_says_nothing(world: World) {
    square(&world).await;
    complain(&world, 3).await;
    let before = world.risk("spy").await;
    for _ in 0..20 {
        world.user("reporter-00").reports("spy").await.unwrap();
    }
    assert_eq!(world.risk("spy").await, before);
    let ann = world.user("ann");
    assert_eq!(ann.reports("bob").await.unwrap(), ann.reports("nobody").await.unwrap());
    assert_eq!(bad_fields(ann.reports("ann").await), ["reported_subject_id"]);
}

async fn nobody_reports_more_accounts_than_the_most(world: World) {
    let ann = world.user("ann");
    for account in ["a1", "a2", "a3", "a3"] {
        ann.reports(account).await.unwrap();
        world.clock.advance(Duration::from_secs(1));
    }
    let refused = ann.reports("a4").await.unwrap_err();
    let retry = refused.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert_eq!(reason(ann.reports("a4").await), Reason::QuotaExceeded);
    world.clock.advance(retry + Duration::from_millis(1));
    ann.reports("a4").await.unwrap();
}

fn large_books(config: &mut SuggestConfig) {
    (config.contacts.max_per_sync, config.contacts.burst) = (1_000, 1_000);
}

async fn contacts_and_bursts_speak_for_a_spammer(mut world: World) {
    world.restart_with(large_books).await;
    let (known, friends) = (names("known", 500), names("friend", 300));
    world.people(&["spy"]).await;
    world.people(&strs(&known)).await;
    world.agreed(&strs(&friends));
    assert!(world.risk("spy").await.reasons.is_empty());
    world.user("spy").uploads(&strs(&known)).await;
    let risk = world.risk("spy").await;
    let contacts = [SpamReason::LowReciprocity, SpamReason::OneSidedContacts];
    assert_eq!(risk.reasons().collect::<Vec<_>>(), contacts);
    // Of some hundred people whom it knew for long, that says less; of new ones that says more.
    let now = world.clock.now();
    let connect = |at: UnixMillis| PutConnectionsRequest {
        request_id: world.new_id(),
        connections: friends
            .iter()
            .map(|friend| Connection {
                subject_id: "spy".to_owned(),
                other_subject_id: friend.clone(),
                connected_at: Some(at.into()),
            })
            .collect(),
    };
    world.put_connections(connect(now.minus(Duration::from_hours(25)))).await.unwrap();
    let old = world.risk("spy").await;
    assert_eq!(old.reasons, risk.reasons);
    world.put_connections(connect(now)).await.unwrap();
    let new = world.risk("spy").await;
    assert!(new.reasons().any(|reason| reason == SpamReason::Burst));
    assert!(new.score > old.score);
}

/// Whom an account uploaded decides nothing that others see: the score for suggestions is without.
async fn an_upload_makes_nobody_disappear(mut world: World) {
    world.restart_with(large_books).await;
    square(&world).await;
    let known = names("known", 600);
    world.people(&strs(&known)).await;
    world.people(&["bad"]).await;
    world.connect(&[("bad", "bob"), ("bad", "cec")]).await.unwrap();
    world.user("spy").settings(Discoverability::Nobody, true).await;
    world.user("spy").uploads(&[strs(&known).as_slice(), &["ann"]].concat()).await;
    // Too much with the address book, and not enough without.
    complain(&world, 7).await;
    let risk = world.risk("spy").await;
    assert!(risk.score > 0.8, "{risk:?}");
    // What was asked for first is reviewed first: when this one is gone, that one has been.
    complain_of(&world, "bad", 12).await;
    ann_sees(&world, &["spy"]).await;
}

on_both_stores! {
    a_risky_account_is_not_suggested_also_after_a_restart,
    reports_are_over_some_time,
    only_people_who_agreed_count,
    a_report_counts_once_and_says_nothing,
    nobody_reports_more_accounts_than_the_most,
    contacts_and_bursts_speak_for_a_spammer,
    an_upload_makes_nobody_disappear,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_risky_account_is_suggested_by_no_replica() {
    let mut world = World::on_postgres().await;
    world.add_replica().await;
    square(&world).await;
    complain(&world, 12).await;
    ann_sees(&world, &[]).await;
    assert!(world.at(1, "ann").suggested().await.is_empty());
    let id = world.at(1, "bob").suggested().await;
    assert!(!id.contains(&"spy".to_owned()));
}
