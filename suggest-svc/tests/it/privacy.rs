//! Pairs of worlds that differ in whether somebody uploaded the viewer's address: what the viewer
//! sees is the same, byte for byte, unless that somebody lets the viewer find them.

use proto::suggest::v1::Discoverability;

use crate::{on_both_stores, world::World};

/// ann knows bob and cec in the app, who know dan; vic and vera are people whose uploads ann must
/// not see, each connected to wes.
async fn society(world: &World, setting: Discoverability) {
    world.people(&["ann", "bob", "cec", "dan", "vic", "vera", "wes"]).await;
    let friends = [("ann", "bob"), ("ann", "cec"), ("dan", "bob"), ("dan", "cec")];
    world.connect(&friends).await.unwrap();
    world
        .connect(&[("vic", "wes"), ("vera", "wes"), ("vic", "bob"), ("dan", "vera")])
        .await
        .unwrap();
    for hidden in ["vic", "vera"] {
        world.user(hidden).settings(setting, true).await;
    }
}

/// What ann sees in the world where vic and vera hold her address and in the one where they do not.
async fn worlds_apart(world: &World) -> [Vec<u8>; 2] {
    let mut seen = Vec::new();
    for contacts in [&[][..], &["ann"]] {
        for hidden in ["vic", "vera"] {
            world.user(hidden).uploads(contacts).await;
        }
        seen.push(world.user("ann").bytes().await);
    }
    seen.try_into().unwrap()
}

async fn an_upload_by_somebody_found_by_nobody_shows_nowhere(world: World) {
    society(&world, Discoverability::Nobody).await;
    // Even though ann holds their addresses.
    world.user("ann").uploads(&["vic", "vera", "bob"]).await;
    let [without, with] = worlds_apart(&world).await;
    assert!(!without.is_empty());
    assert_eq!(without, with);
}

async fn an_upload_by_somebody_whose_address_ann_has_not_shows_nowhere(world: World) {
    for setting in [Discoverability::Everyone, Discoverability::Reciprocal, Discoverability::Nobody]
    {
        society(&world, setting).await;
        world.user("ann").uploads(&["bob"]).await;
        let [without, with] = worlds_apart(&world).await;
        assert!(!without.is_empty());
        assert_eq!(without, with, "{setting:?}");
    }
}

async fn a_third_person_does_not_see_it_either(world: World) {
    society(&world, Discoverability::Nobody).await;
    world.user("ann").uploads(&["vic", "vera"]).await;
    let mut seen = Vec::new();
    for contacts in [&[][..], &["ann"]] {
        for hidden in ["vic", "vera"] {
            world.user(hidden).uploads(contacts).await;
        }
        let mut all = Vec::new();
        for viewer in ["bob", "cec", "dan", "wes"] {
            all.push(world.user(viewer).bytes().await);
        }
        seen.push(all);
    }
    assert_eq!(seen[0], seen[1]);
}

async fn who_lets_the_viewer_find_them_is_seen(world: World) {
    society(&world, Discoverability::Reciprocal).await;
    world.user("ann").uploads(&["vic", "vera"]).await;
    let [without, with] = worlds_apart(&world).await;
    assert_ne!(without, with, "else the tests above prove nothing");
    let suggested = world.user("ann").suggested().await;
    assert!(["vic", "vera", "wes"].iter().all(|one| suggested.contains(&(*one).to_owned())));
}

on_both_stores! {
    an_upload_by_somebody_found_by_nobody_shows_nowhere,
    an_upload_by_somebody_whose_address_ann_has_not_shows_nowhere,
    a_third_person_does_not_see_it_either,
    who_lets_the_viewer_find_them_is_seen,
}
