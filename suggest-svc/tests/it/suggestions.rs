//! Who is suggested to whom, and whose consent it takes.

use proto::suggest::v1::{Discoverability, MutualCount, SuggestionReason};

use crate::{
    on_both_stores,
    world::{TRANSFER, USE, World},
};

/// `one` and `other` have these friends in common.
async fn share_friends(world: &World, one: &str, other: &str, friends: &[&str]) {
    let pairs: Vec<_> =
        friends.iter().flat_map(|friend| [(one, *friend), (other, *friend)]).collect();
    world.connect(&pairs).await.unwrap();
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("friend-{n:02}")).collect()
}

async fn everyone_involved_must_have_agreed(world: World) {
    let everyone = ["ann", "bob", "cec", "dan"];
    world.agreed(&everyone);
    share_friends(&world, "ann", "dan", &["bob", "cec"]).await;
    assert_eq!(world.user("ann").suggested().await, ["dan"]);
    // The viewer, the candidate, and either mutual connection.
    for person in ["ann", "dan", "bob", "cec"] {
        world.grants.deny(USE, person);
        assert!(world.user("ann").suggested().await.is_empty(), "without {person}");
        world.grants.grant(USE, person);
        assert_eq!(world.user("ann").suggested().await, ["dan"]);
    }
}

async fn one_mutual_connection_is_not_enough(world: World) {
    world.agreed(&["ann", "bob", "cec", "dan"]);
    share_friends(&world, "ann", "dan", &["bob"]).await;
    assert!(world.user("ann").suggested().await.is_empty());
    share_friends(&world, "ann", "dan", &["cec"]).await;
    assert_eq!(world.user("ann").suggested().await, ["dan"]);
}

async fn a_mutual_connection_counts_only_if_it_allows_that(world: World) {
    world.agreed(&["ann", "bob", "cec", "dan", "eve"]);
    share_friends(&world, "ann", "dan", &["bob", "cec", "eve"]).await;
    let counted = |n| (SuggestionReason::MutualConnections, n);
    let reasons = world.user("ann").reasons().await;
    assert_eq!(reasons["dan"], counted(MutualCount::MutualCount3To5));
    world.user("eve").settings(Discoverability::Reciprocal, false).await;
    assert_eq!(world.user("ann").reasons().await["dan"], counted(MutualCount::Unspecified));
    world.user("cec").settings(Discoverability::Reciprocal, false).await;
    assert!(world.user("ann").suggested().await.is_empty());
}

async fn mutual_connections_are_named_where_there_are_three_and_if_they_agree(mut world: World) {
    const NAME: &str = "social.name_connections";
    world.agreed(&["ann", "bob", "cec", "dan", "eve", "fay"]);
    share_friends(&world, "ann", "dan", &["bob", "cec", "eve"]).await;
    world.connect(&[("ann", "fay"), ("fay", "bob"), ("fay", "cec")]).await.unwrap();
    let named = async |world: &World| {
        let suggestions = world.user("ann").answer(50).await.suggestions;
        let dan = suggestions.into_iter().find(|one| one.subject_id == "dan").unwrap();
        dan.named_connections
    };
    world.grants.grant(NAME, "cec");
    assert_eq!(named(&world).await, [""; 0]);
    world.restart_with(|config| NAME.clone_into(&mut config.purposes.name_connections)).await;
    assert_eq!(named(&world).await, ["cec"]);
    world.grants.grant(NAME, "bob");
    let mut both = named(&world).await;
    both.sort();
    assert_eq!(both, ["bob", "cec"]);
    world.grants.deny(NAME, "cec");
    assert_eq!(named(&world).await, ["bob"]);
    // Fewer than three are not told of, and nobody is named.
    world.user("eve").settings(Discoverability::Reciprocal, false).await;
    assert_eq!(named(&world).await, [""; 0]);
}

async fn counts_are_told_from_three_up_and_in_ranges(world: World) {
    let friends = names(52);
    let friends: Vec<&str> = friends.iter().map(String::as_str).collect();
    world.agreed(&friends);
    world.agreed(&["ann", "dan"]);
    share_friends(&world, "ann", "dan", &friends).await;
    for friend in &friends {
        world.grants.deny(USE, friend);
    }
    let mut told = vec![None];
    for friend in &friends {
        world.grants.grant(USE, friend);
        told.push(world.user("ann").reasons().await.get("dan").map(|(_, count)| *count));
    }
    let first = |count| told.iter().position(|told| *told == Some(count));
    assert_eq!(told[..3], [None, None, Some(MutualCount::Unspecified)]);
    assert_eq!(first(MutualCount::MutualCount3To5), Some(3));
    assert_eq!(first(MutualCount::MutualCount6To10), Some(6));
    assert_eq!(first(MutualCount::MutualCount11To20), Some(11));
    assert_eq!(first(MutualCount::MutualCount21To50), Some(21));
    assert_eq!(first(MutualCount::MutualCount51OrMore), Some(51));
}

async fn who_declines_is_replaced_by_the_next_best(world: World) {
    let others: Vec<String> = (0..40).map(|n| format!("other-{n:02}")).collect();
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    world.agreed(&others);
    world.agreed(&["ann", "bob", "cec"]);
    for other in &others {
        share_friends(&world, "ann", other, &["bob", "cec"]).await;
    }
    let before = world.grants.checks();
    let first: Vec<_> = world.user("ann").answer(5).await.suggestions;
    let shown = |n: usize| first[n].subject_id.as_str();
    assert_eq!((0..5).map(shown).collect::<Vec<_>>(), others[..5]);
    assert!(world.grants.checks() - before <= 3);
    for other in &others[..30] {
        world.grants.deny(USE, other);
    }
    let next = world.user("ann").answer(5).await.suggestions;
    let next: Vec<_> = next.iter().map(|one| one.subject_id.as_str()).collect();
    assert_eq!(next, others[30..35]);
}

async fn one_check_is_enough_when_all_have_agreed(world: World) {
    let everyone = ["ann", "bob", "cec", "dan", "eve"];
    world.agreed(&everyone);
    share_friends(&world, "ann", "dan", &["bob", "cec", "eve"]).await;
    share_friends(&world, "ann", "ema", &["bob"]).await;
    let before = world.grants.checks();
    assert_eq!(world.user("ann").suggested().await, ["dan"]);
    assert_eq!(world.grants.checks() - before, 1);
}

async fn a_doctors_patients_are_not_each_others_friends(world: World) {
    let patients = ["pat-1", "pat-2", "pat-3"];
    world.people(&["doc-1", "doc-2", "doc-3"]).await;
    world.people(&patients).await;
    // Every doctor holds every patient's number, and the other way round not.
    for doctor in ["doc-1", "doc-2", "doc-3"] {
        world.user(doctor).uploads(&patients).await;
    }
    for patient in patients {
        world.user(patient).settings(Discoverability::Everyone, true).await;
        assert!(world.user(patient).suggested().await.is_empty());
    }
    // Where patients hold the doctors' numbers and not the other way round: the same.
    for doctor in ["doc-1", "doc-2", "doc-3"] {
        world.user(doctor).uploads(&[]).await;
    }
    for patient in patients {
        world.user(patient).uploads(&["doc-1", "doc-2", "doc-3"]).await;
    }
    for patient in patients {
        assert!(world.user(patient).suggested().await.is_empty());
    }
    // Only where each holds the other's does the doctor connect.
    for doctor in ["doc-1", "doc-2", "doc-3"] {
        world.user(doctor).uploads(&patients[..2]).await;
    }
    let suggested = world.user("pat-1").suggested().await;
    assert!(suggested.contains(&"pat-2".to_owned()) && !suggested.contains(&"pat-3".to_owned()));
}

async fn contacts_are_suggested_as_their_setting_says(world: World) {
    world.people(&["ann", "bob"]).await;
    world.user("ann").uploads(&["bob"]).await;
    let ann = world.user("ann");
    let told = |reason| Some((reason, MutualCount::Unspecified));
    for (setting, one_way, mutual) in [
        (
            Discoverability::Everyone,
            told(SuggestionReason::InYourContacts),
            told(SuggestionReason::ReciprocalContact),
        ),
        (Discoverability::Reciprocal, None, told(SuggestionReason::ReciprocalContact)),
        (Discoverability::Nobody, None, None),
    ] {
        world.user("bob").settings(setting, true).await;
        world.user("bob").uploads(&[]).await;
        assert_eq!(ann.reasons().await.get("bob").copied(), one_way, "{setting:?}");
        world.user("bob").uploads(&["ann"]).await;
        assert_eq!(ann.reasons().await.get("bob").copied(), mutual, "{setting:?}");
    }
}

async fn who_is_connected_or_gone_is_not_suggested(world: World) {
    world.people(&["ann", "bob"]).await;
    world.user("ann").uploads(&["bob"]).await;
    world.user("bob").uploads(&["ann"]).await;
    assert_eq!(world.user("ann").suggested().await, ["bob"]);
    world.connect(&[("bob", "ann")]).await.unwrap();
    assert!(world.user("ann").suggested().await.is_empty());
    world.disconnect(&[("ann", "bob")]).await;
    assert_eq!(world.user("ann").suggested().await, ["bob"]);
    world.grants.deny(TRANSFER, "bob");
    world.connect(&[("bob", "ann")]).await.unwrap();
    assert!(world.user("ann").suggested().await.is_empty());
}

async fn a_stranger_gets_an_empty_list(world: World) {
    world.agreed(&["ann"]);
    assert!(world.user("ann").suggested().await.is_empty());
}

on_both_stores! {
    everyone_involved_must_have_agreed,
    one_mutual_connection_is_not_enough,
    a_mutual_connection_counts_only_if_it_allows_that,
    mutual_connections_are_named_where_there_are_three_and_if_they_agree,
    counts_are_told_from_three_up_and_in_ranges,
    who_declines_is_replaced_by_the_next_best,
    one_check_is_enough_when_all_have_agreed,
    a_doctors_patients_are_not_each_others_friends,
    contacts_are_suggested_as_their_setting_says,
    who_is_connected_or_gone_is_not_suggested,
    a_stranger_gets_an_empty_list,
}
