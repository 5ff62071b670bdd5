//! Suggestion ids: asking why, and not being interested.

use std::time::Duration;

use proto::{
    errors::v1::Reason,
    suggest::v1::{Discoverability, DismissSuggestionRequest, SuggestionReason},
};
use tonic_types::StatusExt;

use crate::{
    on_both_stores,
    world::{TRANSFER, USE, World, bad_fields, reason},
};

const SQUARE: [(&str, &str); 4] = [("ann", "bob"), ("ann", "cec"), ("dan", "bob"), ("dan", "cec")];
const DAY: Duration = Duration::from_hours(24);

/// dan is suggested to ann through bob and cec.
async fn square(world: &World) {
    world.people(&["ann", "bob", "cec", "dan"]).await;
    world.connect(&SQUARE).await.unwrap();
    assert_eq!(world.user("ann").suggested().await, ["dan"]);
}

async fn who_is_dismissed_stays_away_for_the_time_also_after_a_restart(mut world: World) {
    square(&world).await;
    let id = world.user("ann").id_of("dan").await;
    world.user("ann").dismisses(&id).await.unwrap();
    assert!(world.user("ann").suggested().await.is_empty());
    // Only for that viewer.
    assert_eq!(world.user("dan").suggested().await, ["ann"]);
    world.restart().await;
    assert!(world.user("ann").suggested().await.is_empty());
    // In their contacts or not.
    world.user("dan").settings(Discoverability::Everyone, true).await;
    world.user("ann").uploads(&["dan"]).await;
    assert!(world.user("ann").suggested().await.is_empty());
    world.clock.advance(179 * DAY + Duration::from_millis(86_399_999));
    assert!(world.user("ann").suggested().await.is_empty());
    world.restart().await;
    assert!(world.user("ann").suggested().await.is_empty());
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.user("ann").suggested().await, ["dan"]);
}

async fn a_dismissal_outlives_a_consent_withdrawn_and_given_anew(world: World) {
    square(&world).await;
    let id = world.user("ann").id_of("dan").await;
    world.user("ann").dismisses(&id).await.unwrap();
    for person in ["ann", "dan"] {
        world.grants.deny(TRANSFER, person);
        // Which forgets them.
        world.connect(&[(person, "bob")]).await.unwrap();
        world.grants.grant(TRANSFER, person);
        world.people(&[person]).await;
        world.connect(&SQUARE).await.unwrap();
        assert!(world.user("ann").suggested().await.is_empty(), "{person}");
    }
    assert_eq!(world.user("dan").suggested().await, ["ann"]);
}

async fn a_dismissal_sent_again_is_done_once(world: World) {
    square(&world).await;
    let ann = world.user("ann");
    let suggestion_id = ann.id_of("dan").await;
    let message = DismissSuggestionRequest { request_id: "once".to_owned(), suggestion_id };
    for _ in 0..2 {
        let again = ann.request(message.clone());
        ann.suggestions().dismiss_suggestion(again).await.unwrap();
    }
    // Dismissed already: neither an error nor one more.
    for _ in 0..4 {
        ann.dismisses(&message.suggestion_id).await.unwrap();
    }
    let other =
        DismissSuggestionRequest { suggestion_id: world.user("dan").id_of("ann").await, ..message };
    let dan = world.user("dan");
    dan.suggestions().dismiss_suggestion(dan.request(other)).await.unwrap();
}

async fn nobody_dismisses_more_people_than_the_most(world: World) {
    let others = ["o1", "o2", "o3", "o4"];
    world.people(&["ann"]).await;
    world.people(&others).await;
    for other in others {
        world.user(other).settings(Discoverability::Everyone, true).await;
    }
    let ann = world.user("ann");
    ann.uploads(&others).await;
    for other in &others[..3] {
        ann.dismisses(&ann.id_of(other).await).await.unwrap();
    }
    let id = ann.id_of("o4").await;
    let refused = ann.dismisses(&id).await.unwrap_err();
    let retry = refused.get_details_retry_info().unwrap().retry_delay;
    assert_eq!(retry, Some(180 * DAY));
    assert_eq!(reason(ann.dismisses(&id).await), Reason::QuotaExceeded);
    assert_eq!(ann.suggested().await, ["o4"]);
    world.clock.advance(180 * DAY);
    ann.dismisses(&ann.id_of("o4").await).await.unwrap();
    assert_eq!(ann.suggested().await, ["o1", "o2", "o3"]);
}

async fn each_reason_is_explained_with_the_purposes(world: World) {
    square(&world).await;
    world.people(&["eve", "fay"]).await;
    world.user("eve").settings(Discoverability::Everyone, true).await;
    world.user("fay").uploads(&["ann"]).await;
    let ann = world.user("ann");
    ann.uploads(&["eve", "fay"]).await;
    let mut texts = Vec::new();
    for (person, reason) in [
        ("dan", SuggestionReason::MutualConnections),
        ("eve", SuggestionReason::InYourContacts),
        ("fay", SuggestionReason::ReciprocalContact),
    ] {
        let explanation = ann.explains(&ann.id_of(person).await).await.unwrap();
        assert_eq!(explanation.reason(), reason);
        assert_eq!(explanation.purpose_ids, [TRANSFER, USE]);
        // Nobody is named.
        let names = ["ann", "bob", "cec", "dan", "eve", "fay"];
        assert!(names.iter().all(|name| !explanation.text.split(' ').any(|word| word == *name)));
        texts.push(explanation.text);
    }
    assert!(texts[0] != texts[1] && texts[1] != texts[2] && texts[0] != texts[2]);
}

async fn the_same_suggestion_has_the_same_id_that_day(mut world: World) {
    square(&world).await;
    let id = world.user("ann").id_of("dan").await;
    assert_eq!(world.user("ann").id_of("dan").await, id);
    world.restart().await;
    assert_eq!(world.user("ann").id_of("dan").await, id);
    assert_ne!(world.user("dan").id_of("ann").await, id);
    world.clock.advance(DAY);
    let tomorrow = world.user("ann").id_of("dan").await;
    assert_ne!(tomorrow, id);
    assert_eq!(tomorrow.len(), id.len());
    // Both are good, the old one for a while.
    for id in [&id, &tomorrow] {
        world.user("ann").explains(id).await.unwrap();
    }
    world.clock.advance(30 * DAY);
    assert_eq!(reason(world.user("ann").explains(&id).await), Reason::SuggestionUnknown);
    world.user("ann").explains(&tomorrow).await.unwrap();
}

async fn nothing_is_explained_once_somebody_no_longer_agrees(world: World) {
    square(&world).await;
    let ann = world.user("ann");
    let id = ann.id_of("dan").await;
    for purpose in [TRANSFER, USE] {
        for person in ["ann", "dan"] {
            world.grants.deny(purpose, person);
            assert_eq!(reason(ann.explains(&id).await), Reason::SuggestionUnknown, "{person}");
            world.grants.grant(purpose, person);
            ann.explains(&id).await.unwrap();
        }
    }
    // A block cannot be told from that.
    let withdrawn = {
        world.grants.deny(USE, "dan");
        let refused = ann.explains(&id).await.unwrap_err();
        world.grants.grant(USE, "dan");
        refused
    };
    world.user("dan").blocks("ann").await;
    let blocked = ann.explains(&id).await.unwrap_err();
    assert_eq!((blocked.code(), blocked.message()), (withdrawn.code(), withdrawn.message()));
    assert_eq!(blocked.details(), withdrawn.details());
    // The viewer's own word counts all the same.
    ann.dismisses(&id).await.unwrap();
}

async fn ids_of_others_and_ids_of_nobody_are_refused_each_for_its_own_reason(world: World) {
    square(&world).await;
    let (ann, dan) = (world.user("ann"), world.user("dan"));
    let id = ann.id_of("dan").await;
    let before = world.grants.checks();
    assert_eq!(reason(dan.explains(&id).await), Reason::NotOwnData);
    assert_eq!(reason(dan.dismisses(&id).await), Reason::NotOwnData);
    let mut forged = id.clone().into_bytes();
    forged[100] = if forged[100] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    for odd in [forged.as_str(), &id[1..], &id[..221], "dan", "\u{1f426}", &"A".repeat(512)] {
        assert_eq!(reason(ann.explains(odd).await), Reason::SuggestionUnknown, "{odd}");
        assert_eq!(reason(ann.dismisses(odd).await), Reason::SuggestionUnknown, "{odd}");
    }
    // Nothing is looked up for any of them.
    assert_eq!(world.grants.checks(), before);
    for odd in [String::new(), "A".repeat(513)] {
        assert_eq!(bad_fields(ann.explains(&odd).await), ["suggestion_id"]);
        assert_eq!(bad_fields(ann.dismisses(&odd).await), ["suggestion_id"]);
    }
    assert_eq!(ann.suggested().await, ["dan"]);
}

on_both_stores! {
    who_is_dismissed_stays_away_for_the_time_also_after_a_restart,
    a_dismissal_outlives_a_consent_withdrawn_and_given_anew,
    a_dismissal_sent_again_is_done_once,
    nobody_dismisses_more_people_than_the_most,
    each_reason_is_explained_with_the_purposes,
    the_same_suggestion_has_the_same_id_that_day,
    nothing_is_explained_once_somebody_no_longer_agrees,
    ids_of_others_and_ids_of_nobody_are_refused_each_for_its_own_reason,
}
