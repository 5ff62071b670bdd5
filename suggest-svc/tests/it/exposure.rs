//! Nobody is shown to everybody. In these tests four times a day are enough.

use proto::suggest::v1::Discoverability;

use crate::{on_both_stores, world::World};

const FRIENDS: [&str; 2] = ["f1", "f2"];
const VIEWERS: [&str; 6] = ["v1", "v2", "v3", "v4", "v5", "v6"];

/// star shares two friends with every viewer and is suggested to each before anybody else; sun
/// knows nobody and is open to whoever has their address.
async fn sky(world: &mut World) {
    world.restart_with(|config| config.ranking.max_shown_per_day = 4).await;
    world.people(&VIEWERS).await;
    world.people(&FRIENDS).await;
    world.people(&["star", "sun"]).await;
    for open in ["star", "sun"] {
        world.user(open).settings(Discoverability::Everyone, true).await;
    }
    let everybody = VIEWERS.iter().chain(&["star"]);
    let pairs = everybody.flat_map(|one| FRIENDS.map(|friend| (*one, friend)));
    world.connect(&pairs.collect::<Vec<_>>()).await.unwrap();
}

/// Who is suggested first.
async fn first(world: &World, viewer: &str) -> String {
    world.user(viewer).answer(1).await.suggestions.remove(0).subject_id
}

async fn who_was_shown_often_enough_comes_after_the_others(mut world: World) {
    sky(&mut world).await;
    // Asking again and again counts once.
    for viewer in ["v1", "v1", "v1", "v1", "v1", "v2", "v3", "v4"] {
        assert_eq!(first(&world, viewer).await, "star", "{viewer}");
    }
    assert_ne!(first(&world, "v5").await, "star");
    assert_eq!(world.user("v5").suggested().await.last().unwrap(), "star");
    // Those who have the address look for that person.
    world.user("v6").uploads(&["star"]).await;
    assert_eq!(first(&world, "v6").await, "star");
    // The next day others had their turn.
    world.clock.advance(std::time::Duration::from_hours(48));
    assert_eq!(first(&world, "v5").await, "star");
}

async fn being_shown_because_of_an_upload_does_not_count(mut world: World) {
    sky(&mut world).await;
    let strangers = ["s1", "s2", "s3", "s4", "s5"];
    world.people(&strangers).await;
    for stranger in strangers {
        world.user(stranger).uploads(&["star"]).await;
        assert_eq!(first(&world, stranger).await, "star");
    }
    assert_eq!(first(&world, "v5").await, "star");
}

async fn whom_an_upload_pushes_off_a_list_counts_as_if_it_had_not(mut world: World) {
    sky(&mut world).await;
    for viewer in &VIEWERS[..4] {
        world.user(viewer).uploads(&["sun"]).await;
        assert_eq!(first(&world, viewer).await, "sun");
    }
    assert_ne!(first(&world, "v5").await, "star");
}

on_both_stores! {
    who_was_shown_often_enough_comes_after_the_others,
    being_shown_because_of_an_upload_does_not_count,
    whom_an_upload_pushes_off_a_list_counts_as_if_it_had_not,
}
