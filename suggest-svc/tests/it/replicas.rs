//! Two replicas on one PostgreSQL.

use proto::{errors::v1::Reason, suggest::v1::Discoverability};

use crate::world::{World, reason};

const SQUARE: [(&str, &str); 4] = [("ann", "bob"), ("ann", "cec"), ("dan", "bob"), ("dan", "cec")];

async fn two_replicas() -> World {
    let mut world = World::on_postgres().await;
    world.add_replica().await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_acknowledged_the_other_answers_by() {
    let world = two_replicas().await;
    world.people(&["ann", "bob", "cec", "dan"]).await;
    world.connect(&SQUARE).await.unwrap();
    assert_eq!(world.at(1, "ann").suggested().await, ["dan"]);
    world.at(1, "dan").blocks("ann").await;
    assert!(world.at(0, "ann").suggested().await.is_empty());
    world.at(0, "dan").unblocks("ann").await;
    assert_eq!(world.at(1, "ann").suggested().await, ["dan"]);
    world.disconnect(&SQUARE[2..]).await;
    assert!(world.at(1, "ann").suggested().await.is_empty());
    let token = world.at(0, "ann").uploads(&["dan"]).await;
    world.at(1, "dan").settings(Discoverability::Everyone, true).await;
    assert_eq!(world.at(0, "ann").suggested().await, ["dan"]);
    let other = world.at(1, "ann");
    other.sync(vec![other.delta(&token, &[], &["dan"])]).await.unwrap();
    assert!(world.at(0, "ann").suggested().await.is_empty());
    let first = world.at(0, "ann");
    assert_eq!(
        reason(first.sync(vec![first.delta(&token, &[], &[])]).await),
        Reason::SyncTokenUnknown
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writes_at_once_on_both_leave_both_with_the_same_answers() {
    let world = two_replicas().await;
    let names: Vec<String> = (0..24).map(|n| format!("person-{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.people(&names).await;
    let writes = (0..names.len()).map(|n| {
        let (world, names) = (&world, &names);
        async move {
            let next = |step: usize| names[(n + step) % names.len()];
            world.connect(&[(names[n], next(1)), (names[n], next(5))]).await.unwrap();
            world.at(n % 2, names[n]).uploads(&[next(2), next(22)]).await;
            if n % 6 == 0 {
                world.at((n + 1) % 2, names[n]).blocks(next(3)).await;
            }
        }
    });
    futures::future::join_all(writes).await;
    let mut total = 0;
    for name in &names {
        let answers = [world.at(0, name).answer(50).await, world.at(1, name).answer(50).await];
        assert_eq!(answers[0], answers[1], "{name}");
        total += answers[0].suggestions.len();
    }
    assert!(total > names.len(), "{total}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_started_later_ranks_alike() {
    let mut world = World::on_postgres().await;
    world.people(&["ann", "bob", "cec", "dan", "eve"]).await;
    world.connect(&[SQUARE.as_slice(), &[("eve", "bob"), ("eve", "cec")]].concat()).await.unwrap();
    world.add_replica().await;
    let answers = [world.at(0, "ann").bytes().await, world.at(1, "ann").bytes().await];
    assert_eq!(answers[0], answers[1]);
    assert_eq!(world.at(1, "ann").suggested().await, ["dan", "eve"]);
}
