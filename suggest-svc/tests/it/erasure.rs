//! Of who is erased, nothing is left, and then that is said.

use std::time::Duration;

use proto::{
    errors::v1::Reason,
    suggest::v1::{BlockSubjectRequest, DeleteContactsRequest, Discoverability},
};

use crate::{
    on_both_stores,
    world::{TRANSFER, World, reason, registration},
};

/// Who is erased: an id that is part of nothing else.
const PERSON: &str = "zoe-who-leaves";

/// zoe, of whom everything is kept that can be.
async fn with_zoe(world: &World) {
    let people = [PERSON, "ann", "bob", "cec"];
    world.people(&people).await;
    let pairs = [(PERSON, "bob"), (PERSON, "cec"), ("ann", "bob"), ("ann", "cec")];
    world.connect(&pairs).await.unwrap();
    for person in people {
        world.user(person).uploads(&people).await;
    }
    let zoe = world.user(PERSON);
    zoe.settings(Discoverability::Everyone, true).await;
    zoe.blocks("eve").await;
    assert_eq!(world.user("ann").suggested().await, [PERSON]);
    world.user("dan").blocks(PERSON).await;
}

async fn nothing_is_left_of_who_is_erased_when_that_is_acknowledged(world: World) {
    with_zoe(&world).await;
    let [key] = world.keys_of(PERSON).await.try_into().unwrap();
    assert_eq!(world.stands_in(&key).await, ["address_book.entries", "identifier.match_key"]);
    world.grants.erase(PERSON);
    world.until_heard().await;
    assert!(world.user("ann").suggested().await.is_empty());
    // Until replicas need them no more, changes name her, and who is to be told of.
    assert_eq!(world.stands_in(PERSON).await, ["change.body", "erasure.subject"]);
    assert!(!world.is_acknowledged(PERSON));
    world.until_acknowledged(PERSON).await;
    while !world.stands_in(PERSON).await.is_empty() {
        // Told, and about to be forgotten.
        assert_eq!(world.stands_in(PERSON).await, ["erasure.subject"]);
    }
    // Others know her no more either, and those who are here as before.
    assert_eq!(world.stands_in(&key).await, Vec::<String>::new());
    let [key] = world.keys_of("bob").await.try_into().unwrap();
    assert_eq!(world.stands_in(&key).await, ["address_book.entries", "identifier.match_key"]);
    assert!(world.is_here("ann").await);
    assert_eq!(world.column("SELECT subject FROM contact_settings").await.len(), 0);
    assert_eq!(world.column("SELECT subject FROM block").await.len(), 0);
}

async fn a_number_given_up_leaves_address_books_unless_it_is_somebody_elses(world: World) {
    with_zoe(&world).await;
    let keys = [world.keys_of("bob").await.remove(0), world.keys_of("cec").await.remove(0)];
    for person in ["bob", "cec"] {
        world.register(vec![registration(person, &[&format!("new-{person}")])]).await.unwrap();
    }
    world.register(vec![registration(PERSON, &["cec"])]).await.unwrap();
    while !world.stands_in(&keys[0]).await.is_empty() {
        world.clock.advance(Duration::from_mins(1));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.stands_in(&keys[1]).await, ["address_book.entries", "identifier.match_key"]);
}

async fn who_was_never_here_is_acknowledged_too(world: World) {
    world.grants.erase(PERSON);
    world.until_heard().await;
    world.until_acknowledged(PERSON).await;
}

async fn nothing_more_is_taken_from_or_about_who_was_erased(world: World) {
    with_zoe(&world).await;
    world.grants.erase(PERSON);
    world.until_heard().await;
    world.until_acknowledged(PERSON).await;
    let zoe = world.user(PERSON);
    let block = |subject: &str| BlockSubjectRequest {
        request_id: world.new_id(),
        blocked_subject_id: subject.to_owned(),
    };
    let answer = zoe.suggestions().block_subject(zoe.request(block("ann"))).await;
    assert_eq!(reason(answer), Reason::SubjectErased);
    let message = DeleteContactsRequest { request_id: world.new_id() };
    let answer = zoe.contacts().delete_contacts(zoe.request(message)).await;
    assert_eq!(reason(answer), Reason::SubjectErased);
    let answer = zoe.sync(vec![zoe.full(&["ann"])]).await;
    assert_eq!(reason(answer), Reason::ConsentNotGranted);
    // Others may still try; there is nobody to be kept away.
    world.user("dan").blocks(PERSON).await;
    world.connect(&[("ann", PERSON)]).await.unwrap();
    assert_eq!(world.stands_in(PERSON).await, Vec::<String>::new());
}

async fn erasures_that_the_feed_has_forgotten_are_made_up_for(mut world: World) {
    with_zoe(&world).await;
    // Of her nothing is kept but her settings; of him but that he is blocked.
    world.user("yan-who-leaves").settings(Discoverability::Nobody, true).await;
    world.user("ann").blocks("xen-who-leaves").await;
    // Of them but how much they may upload.
    world.people(&["wim-who-leaves"]).await;
    world.user("wim-who-leaves").uploads(&["ann"]).await;
    world.grants.withdraw(TRANSFER, "wim-who-leaves");
    world.until_gone("wim-who-leaves").await;
    let stands = world.stands_in("wim-who-leaves").await;
    assert_eq!(stands, ["change.body", "contact_quota.subject"]);
    world.stop(0).await;
    let erased = [PERSON, "yan-who-leaves", "xen-who-leaves", "wim-who-leaves"];
    for person in erased {
        world.grants.erase(person);
    }
    world.grants.purge();
    world.add_replica().await;
    for person in erased {
        world.until_acknowledged(person).await;
        assert!(!world.stands_in(person).await.contains(&"change.body".to_owned()), "{person}");
    }
    assert!(world.is_here("ann").await);
}

async fn a_request_is_remembered_without_the_name_of_who_sent_it(world: World) {
    with_zoe(&world).await;
    assert!(!world.stands_in(PERSON).await.iter().any(|place| place.starts_with("request.")));
    assert!(world.column("SELECT caller FROM request").await.len() > 5);
}

on_both_stores! {
    nothing_is_left_of_who_is_erased_when_that_is_acknowledged,
    a_number_given_up_leaves_address_books_unless_it_is_somebody_elses,
    who_was_never_here_is_acknowledged_too,
    nothing_more_is_taken_from_or_about_who_was_erased,
    erasures_that_the_feed_has_forgotten_are_made_up_for,
    a_request_is_remembered_without_the_name_of_who_sent_it,
}
