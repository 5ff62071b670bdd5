//! Blocked people.

use proto::{
    errors::v1::Reason,
    suggest::v1::{BlockSubjectRequest, ListBlockedRequest},
};

use crate::{
    on_both_stores,
    world::{World, bad_fields, reason},
};

const SQUARE: [(&str, &str); 4] = [("ann", "bob"), ("ann", "cec"), ("dan", "bob"), ("dan", "cec")];

async fn neither_is_suggested_to_the_other_also_after_a_restart(mut world: World) {
    world.people(&["ann", "bob", "cec", "dan"]).await;
    world.connect(&SQUARE).await.unwrap();
    world.user("ann").uploads(&["dan"]).await;
    world.user("dan").uploads(&["ann"]).await;
    assert_eq!(world.user("ann").suggested().await, ["dan"]);
    world.user("ann").blocks("dan").await;
    for viewer in ["ann", "dan"] {
        let other = if viewer == "ann" { "dan" } else { "ann" };
        assert!(!world.user(viewer).suggested().await.contains(&other.to_owned()));
    }
    world.restart().await;
    for viewer in ["ann", "dan"] {
        let other = if viewer == "ann" { "dan" } else { "ann" };
        assert!(!world.user(viewer).suggested().await.contains(&other.to_owned()));
    }
    world.user("ann").unblocks("dan").await;
    assert_eq!(world.user("ann").suggested().await, ["dan"]);
    assert_eq!(world.user("dan").suggested().await, ["ann"]);
}

async fn each_ends_only_their_own_block(world: World) {
    world.agreed(&["ann", "bob", "cec", "dan"]);
    world.connect(&SQUARE).await.unwrap();
    world.user("ann").blocks("dan").await;
    world.user("dan").blocks("ann").await;
    world.user("ann").unblocks("dan").await;
    assert!(world.user("ann").suggested().await.is_empty());
    world.user("dan").unblocks("ann").await;
    assert_eq!(world.user("ann").suggested().await, ["dan"]);
}

async fn a_blocked_person_is_no_mutual_connection(world: World) {
    world.agreed(&["ann", "bob", "cec", "dan"]);
    world.connect(&SQUARE).await.unwrap();
    world.user("bob").blocks("ann").await;
    assert!(world.user("ann").suggested().await.is_empty());
}

async fn blocks_are_listed_page_by_page_and_only_to_whom_they_belong(world: World) {
    let blocked: Vec<String> = (0..5).map(|n| format!("blocked-{n}")).collect();
    for other in &blocked {
        world.user("ann").blocks(other).await;
        // Again is the same.
        world.user("ann").blocks(other).await;
    }
    world.user("bob").blocks("ann").await;
    let list = |user: &'static str, page_token: String| {
        let user = world.user(user);
        let request = user.request(ListBlockedRequest { page_size: 2, page_token });
        async move { user.suggestions().list_blocked(request).await.map(tonic::Response::into_inner) }
    };
    let (mut all, mut token) = (Vec::new(), String::new());
    for size in [2, 2, 1] {
        let page = list("ann", token.clone()).await.unwrap();
        assert_eq!(page.subject_ids.len(), size);
        all.extend(page.subject_ids);
        if !page.next_page_token.is_empty() {
            assert_eq!(
                reason(list("bob", page.next_page_token.clone()).await),
                Reason::PageTokenInvalid
            );
        }
        token = page.next_page_token;
    }
    assert_eq!((all, token), (blocked, String::new()));
    assert_eq!(list("bob", String::new()).await.unwrap().subject_ids, ["ann"]);
}

async fn nobody_blocks_themselves(world: World) {
    let ann = world.user("ann");
    let message =
        BlockSubjectRequest { request_id: "r".to_owned(), blocked_subject_id: "ann".to_owned() };
    let answer = ann.suggestions().block_subject(ann.request(message)).await;
    assert_eq!(bad_fields(answer), ["blocked_subject_id"]);
}

async fn nobody_blocks_more_people_than_the_most(world: World) {
    let ann = world.user("ann");
    for n in 0..6 {
        ann.blocks(&format!("blocked-{n}")).await;
    }
    let message = || BlockSubjectRequest {
        request_id: world.new_id(),
        blocked_subject_id: "blocked-6".to_owned(),
    };
    let answer = ann.suggestions().block_subject(ann.request(message())).await;
    assert_eq!(bad_fields(answer), ["blocked_subject_id"]);
    // One who is blocked already is not one more.
    ann.blocks("blocked-5").await;
    ann.unblocks("blocked-0").await;
    ann.suggestions().block_subject(ann.request(message())).await.unwrap();
}

on_both_stores! {
    nobody_blocks_more_people_than_the_most,
    neither_is_suggested_to_the_other_also_after_a_restart,
    each_ends_only_their_own_block,
    a_blocked_person_is_no_mutual_connection,
    blocks_are_listed_page_by_page_and_only_to_whom_they_belong,
    nobody_blocks_themselves,
}
