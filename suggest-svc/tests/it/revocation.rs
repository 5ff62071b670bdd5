//! Whoever withdraws is gone from the very next list: as its viewer, from among those shown, and
//! from between them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use proto::{errors::v1::Reason, suggest::v1::MutualCount};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    on_both_stores,
    world::{TRANSFER, USE, World, reason},
};

const ROUNDS: usize = 200;
const FRIENDS: [&str; 4] = ["bob", "cec", "eve", "fay"];

/// ann and dan have four friends in common.
async fn settle(world: &World) {
    world.people(&["ann", "dan"]).await;
    world.people(&FRIENDS).await;
    let pairs: Vec<_> = FRIENDS.iter().flat_map(|one| [("ann", *one), ("dan", *one)]).collect();
    world.connect(&pairs).await.unwrap();
}

/// What ann has to see of dan when so many of their friends have agreed, and the two have or not.
fn expected(both: bool, friends: usize) -> Option<MutualCount> {
    match (both, friends) {
        (false, _) | (_, 0 | 1) => None,
        (_, 2) => Some(MutualCount::Unspecified),
        _ => Some(MutualCount::MutualCount3To5),
    }
}

async fn seen(world: &World) -> Option<MutualCount> {
    let answer = world.user("ann").answer(50).await;
    let dan = answer.suggestions.into_iter().find(|one| one.subject_id == "dan");
    dan.map(|one| one.mutual_connections())
}

async fn the_next_list_is_without_who_has_withdrawn(world: World) {
    settle(&world).await;
    let everybody = [&["ann", "dan"], FRIENDS.as_slice()].concat();
    let mut agrees = vec![true; everybody.len()];
    let rng = &mut StdRng::seed_from_u64(8);
    let (stop, meanwhile) = (AtomicBool::new(false), AtomicUsize::new(0));
    // Lists that are asked for all the time must not keep an answer of theirs for others.
    let others = async || {
        while !stop.load(Ordering::Relaxed) {
            seen(&world).await;
            meanwhile.fetch_add(1, Ordering::Relaxed);
        }
    };
    let (mut lists, mut gone, mut changed) = (0, 0, 0);
    let rounds = async {
        for round in 0..ROUNDS {
            let before = seen(&world).await;
            let who = rng.random_range(0..everybody.len());
            agrees[who] = rng.random_bool(0.8);
            if agrees[who] {
                world.grants.grant(USE, everybody[who]);
            } else {
                world.grants.deny(USE, everybody[who]);
            }
            let after = seen(&world).await;
            let friends = agrees[2..].iter().filter(|agrees| **agrees).count();
            let right = expected(agrees[0] && agrees[1], friends);
            assert_eq!(after, right, "round {round}: {} {}", everybody[who], agrees[who]);
            lists += 1;
            gone += usize::from(after.is_none());
            changed += usize::from(before != after);
        }
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(rounds, others(), others());
    println!(
        "revocation: {lists} of {lists} lists right that were asked for right after somebody \
         withdrew or agreed anew ({changed} changed by it, {gone} without a suggestion), beside {} others",
        meanwhile.into_inner()
    );
    assert!(changed > ROUNDS / 10 && (1..lists).contains(&gone), "{changed} of {lists}, {gone}");
}

async fn the_next_list_is_without_whom_the_service_has_heard_to_withdraw_the_transfer(
    world: World,
) {
    settle(&world).await;
    let mut lists = 0;
    for (who, friends, both) in
        [("bob", 3, true), ("cec", 2, true), ("eve", 1, true), ("dan", 1, false), ("ann", 1, false)]
    {
        world.grants.deny(TRANSFER, who);
        let user = world.user(who);
        assert_eq!(reason(user.sync(vec![user.full(&[])]).await), Reason::ConsentNotGranted);
        assert_eq!(seen(&world).await, expected(both, friends), "{who}");
        lists += 1;
    }
    println!("revocation of the transfer, heard of by a call: {lists} of {lists} lists right");
}

on_both_stores! {
    the_next_list_is_without_who_has_withdrawn,
    the_next_list_is_without_whom_the_service_has_heard_to_withdraw_the_transfer,
}
