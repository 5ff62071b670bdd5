//! How many new contacts an account may bring, and how soon. In this world: 60 in 30 days, and 50 in
//! one sync.

use std::time::Duration;

use proto::{
    errors::v1::Reason,
    status,
    suggest::v1::{Discoverability, SyncContactsRequest, SyncContactsResponse},
    types::v1::IdentifierKind,
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    on_both_stores,
    world::{TRANSFER, User, World, hashed, phone, reason},
};

const HALF_A_DAY: Duration = Duration::from_hours(12);

/// People nobody has heard of, by number.
fn people(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    numbers.into_iter().map(|n| format!("n{n}")).collect()
}

async fn full(
    user: &User<'_>,
    numbers: impl IntoIterator<Item = u32>,
) -> Result<SyncContactsResponse, Status> {
    let people = people(numbers);
    let people: Vec<_> = people.iter().map(String::as_str).collect();
    user.sync(vec![user.full(&people)]).await
}

async fn new_contacts_beyond_the_burst_are_refused_whole(world: World) {
    world.people(&["ann"]).await;
    let ann = world.user("ann");
    full(&ann, 0..50).await.unwrap();
    // 12 new ones among 30; 10 fit.
    let refused = full(&ann, 32..62).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(status::reason(&refused), Some(Reason::QuotaExceeded));
    assert!(refused.message().starts_with("12 of these contacts are new, and 10 new ones fit now"));
    let wait = refused.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert_eq!(wait, 2 * HALF_A_DAY);
    let violations = refused.get_details_quota_failure().unwrap().violations;
    assert_eq!(violations[0].subject, "contacts.burst");
    // Ten fit, known ones beside them, and then none until one has leaked.
    full(&ann, 20..60).await.unwrap();
    assert_eq!(reason(full(&ann, [60]).await), Reason::QuotaExceeded);
    world.clock.advance(Duration::from_millis(12 * 3_600_000 - 1));
    assert_eq!(reason(full(&ann, [60]).await), Reason::QuotaExceeded);
    world.clock.advance(Duration::from_millis(1));
    full(&ann, [60]).await.unwrap();
}

async fn a_sync_that_is_refused_changes_nothing(world: World) {
    world.people(&["ann", "bob", "cec"]).await;
    for person in ["bob", "cec"] {
        world.user(person).settings(Discoverability::Everyone, true).await;
    }
    let ann = world.user("ann");
    full(&ann, 0..50).await.unwrap();
    let token = ann.uploads(&["bob"]).await;
    let refused = people(100..110);
    let mut refused: Vec<_> = refused.iter().map(String::as_str).collect();
    refused.push("cec");
    assert_eq!(reason(ann.sync(vec![ann.full(&refused)]).await), Reason::QuotaExceeded);
    let delta = ann.delta(&token, &refused, &["bob"]);
    assert_eq!(reason(ann.sync(vec![delta.clone()]).await), Reason::QuotaExceeded);
    assert_eq!(ann.suggested().await, ["bob"]);
    // Neither the token nor the request id is used up, and nothing is known that was not before.
    world.clock.advance(2 * HALF_A_DAY);
    let refused = SyncContactsRequest {
        request_id: delta.request_id,
        ..ann.delta(&token, &["cec"], &["bob"])
    };
    ann.sync(vec![refused]).await.unwrap();
    assert_eq!(ann.suggested().await, ["cec"]);
}

async fn what_was_brought_once_costs_nothing_again(world: World) {
    world.people(&["ann"]).await;
    let ann = world.user("ann");
    full(&ann, 0..50).await.unwrap();
    full(&ann, 50..60).await.unwrap();
    for _ in 0..3 {
        full(&ann, 10..60).await.unwrap();
        full(&ann, 0..10).await.unwrap();
        ann.deletes_contacts().await;
    }
    let token = full(&ann, 0..1).await.unwrap().sync_token;
    let token = ann.sync(vec![ann.delta(&token, &["n5"], &["n0"])]).await.unwrap().sync_token;
    let token = ann.sync(vec![ann.delta(&token, &["n0"], &["n5"])]).await.unwrap().sync_token;
    // And earns nothing either.
    assert_eq!(
        reason(ann.sync(vec![ann.delta(&token, &["n60"], &["n0"])]).await),
        Reason::QuotaExceeded
    );
    ann.deletes_contacts().await;
    assert_eq!(reason(full(&ann, [60]).await), Reason::QuotaExceeded);
}

async fn a_sync_sent_again_costs_nothing_and_is_answered_when_nothing_fits(world: World) {
    world.people(&["ann"]).await;
    let ann = world.user("ann");
    let people = people(0..50);
    let people: Vec<_> = people.iter().map(String::as_str).collect();
    let sync = ann.full(&people);
    let first = ann.sync(vec![sync.clone()]).await.unwrap();
    full(&ann, 50..60).await.unwrap();
    assert_eq!(ann.sync(vec![sync]).await.unwrap(), first);
    assert_eq!(reason(full(&ann, [60]).await), Reason::QuotaExceeded);
}

async fn hits_and_misses_and_oneself_cost_the_same(world: World) {
    let known = people(0..20);
    let known: Vec<_> = known.iter().map(String::as_str).collect();
    world.people(&known).await;
    world.people(&["ann", "bob"]).await;
    let mut texts = Vec::new();
    for (user, first, own) in [("ann", 0, "ann"), ("bob", 500, "nobody")] {
        let user = world.user(user);
        full(&user, first..first + 20).await.unwrap();
        user.uploads(&[own]).await;
        full(&user, 600..638).await.unwrap();
        // One is left.
        texts.push(full(&user, 700..702).await.unwrap_err());
        full(&user, 700..701).await.unwrap();
    }
    let said =
        |status: &Status| (status.code(), status.message().to_owned(), status.details().to_vec());
    assert_eq!(said(&texts[0]), said(&texts[1]));
    let sizes = world.stolen::<i32>("SELECT length(recent) FROM uploaded").await;
    assert_eq!(sizes, [60 * 5; 2]);
}

async fn all_forms_of_a_contact_are_one(world: World) {
    world.people(&["ann"]).await;
    let ann = world.user("ann");
    full(&ann, 0..50).await.unwrap();
    full(&ann, 50..59).await.unwrap();
    let hash = |text| hashed(IdentifierKind::Phone, text);
    let sync =
        |added| SyncContactsRequest { added, default_region: "DE".to_owned(), ..ann.full(&[]) };
    let forms =
        vec![phone("030 901820"), phone("+49 30 901820"), hash("4930901820"), hash("+4930901820")];
    let answer = ann.sync(vec![sync(forms.clone())]).await.unwrap();
    assert_eq!(answer.accepted, 1);
    for form in forms {
        ann.sync(vec![sync(vec![form])]).await.unwrap();
    }
    let other = ann.sync(vec![sync(vec![phone("030 901821")])]).await;
    assert_eq!(reason(other), Reason::QuotaExceeded);
}

async fn consent_given_anew_finds_the_bucket_as_full_and_nothing_known(world: World) {
    world.people(&["ann"]).await;
    full(&world.user("ann"), 0..40).await.unwrap();
    world.grants.deny(TRANSFER, "ann");
    assert_eq!(reason(full(&world.user("ann"), []).await), Reason::ConsentNotGranted);
    assert!(world.stolen::<String>("SELECT subject FROM uploaded").await.is_empty());
    assert_eq!(world.stolen::<String>("SELECT subject FROM contact_quota").await, ["ann"]);
    world.grants.grant(TRANSFER, "ann");
    let refused = full(&world.user("ann"), 0..21).await.unwrap_err();
    assert!(refused.message().starts_with("21 of these contacts are new, and 20 new ones fit"));
    full(&world.user("ann"), 0..20).await.unwrap();
}

on_both_stores! {
    new_contacts_beyond_the_burst_are_refused_whole,
    a_sync_that_is_refused_changes_nothing,
    what_was_brought_once_costs_nothing_again,
    a_sync_sent_again_costs_nothing_and_is_answered_when_nothing_fits,
    hits_and_misses_and_oneself_cost_the_same,
    all_forms_of_a_contact_are_one,
    consent_given_anew_finds_the_bucket_as_full_and_nothing_known,
}
