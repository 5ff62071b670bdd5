//! Syncing address books.

use proto::{
    errors::v1::Reason,
    suggest::v1::{
        DeleteContactsRequest, Discoverability, GetContactSettingsRequest, SyncContactsResponse,
        SyncMode,
    },
    types::v1::{Identifier, IdentifierKind, RejectionReason, identifier::Value},
};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

use crate::{
    on_both_stores,
    world::{TRANSFER, World, bad_fields, reason, registration},
};

/// People who can be found by everyone.
async fn open_people(world: &World, people: &[&str]) {
    world.people(people).await;
    for person in people {
        world.user(person).settings(Discoverability::Everyone, true).await;
    }
}

async fn syncing_takes_the_callers_consent_to_the_transfer(world: World) {
    open_people(&world, &["ann", "bob"]).await;
    world.grants.deny(TRANSFER, "ann");
    let ann = world.user("ann");
    assert_eq!(reason(ann.sync(vec![ann.full(&["bob"])]).await), Reason::ConsentNotGranted);
    world.grants.grant(TRANSFER, "ann");
    ann.uploads(&["bob"]).await;
    assert_eq!(ann.suggested().await, ["bob"]);
}

async fn the_answer_is_the_same_for_hit_and_miss(world: World) {
    open_people(&world, &["ann", "bob", "cec"]).await;
    let ann = world.user("ann");
    let but_for_the_token = |mut answer: SyncContactsResponse| {
        assert_eq!(answer.sync_token.len(), 22);
        answer.sync_token.clear();
        prost::Message::encode_to_vec(&answer)
    };
    let mut answers = Vec::new();
    for people in [["bob", "cec"], ["bob", "nobody"], ["no-one", "nobody"]] {
        let full = ann.sync(vec![ann.full(&people)]).await.unwrap();
        let token = full.sync_token.clone();
        let delta = ann.sync(vec![ann.delta(&token, &people[..1], &people[1..])]).await.unwrap();
        answers.push((but_for_the_token(full), but_for_the_token(delta)));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

async fn full_replaces_and_delta_adds_and_removes(world: World) {
    open_people(&world, &["ann", "bob", "cec", "dan"]).await;
    let ann = world.user("ann");
    ann.uploads(&["bob", "cec", "nobody"]).await;
    assert_eq!(ann.suggested().await, ["bob", "cec"]);
    let token = ann.uploads(&["dan", "cec"]).await;
    assert_eq!(ann.suggested().await, ["cec", "dan"]);
    let delta = ann.delta(&token, &["bob", "no-one"], &["dan", "nobody"]);
    let token = ann.sync(vec![delta]).await.unwrap();
    assert_eq!(token.accepted, 4);
    assert_eq!(ann.suggested().await, ["bob", "cec"]);
    let token = ann.sync(vec![ann.delta(&token.sync_token, &[], &["bob"])]).await.unwrap();
    assert_eq!(ann.suggested().await, ["cec"]);
    // In several messages too.
    let first = ann.delta(&token.sync_token, &["bob"], &[]);
    let mut second = ann.delta(&token.sync_token, &["dan"], &["cec"]);
    second.request_id.clone_from(&first.request_id);
    assert_eq!(ann.sync(vec![first, second]).await.unwrap().accepted, 3);
    assert_eq!(ann.suggested().await, ["bob", "dan"]);
}

async fn only_the_latest_token_is_good_for_a_delta(world: World) {
    open_people(&world, &["ann", "bob"]).await;
    let (ann, bob) = (world.user("ann"), world.user("bob"));
    let never = ann.sync(vec![ann.delta("never", &["bob"], &[])]).await;
    assert_eq!(reason(never), Reason::SyncTokenUnknown);
    let old = ann.uploads(&["bob"]).await;
    let token = ann.sync(vec![ann.delta(&old, &[], &["bob"])]).await.unwrap().sync_token;
    assert_eq!(
        reason(ann.sync(vec![ann.delta(&old, &["bob"], &[])]).await),
        Reason::SyncTokenUnknown
    );
    let stolen = bob.sync(vec![bob.delta(&token, &["ann"], &[])]).await;
    assert_eq!(reason(stolen), Reason::SyncTokenUnknown);
    assert!(ann.suggested().await.is_empty());
    let message = DeleteContactsRequest { request_id: "forget".to_owned() };
    ann.contacts().delete_contacts(ann.request(message)).await.unwrap();
    let after = ann.sync(vec![ann.delta(&token, &["bob"], &[])]).await;
    assert_eq!(reason(after), Reason::SyncTokenUnknown);
}

async fn a_contact_who_joins_later_is_found_at_the_next_sync(world: World) {
    open_people(&world, &["ann"]).await;
    let ann = world.user("ann");
    ann.uploads(&["bob"]).await;
    open_people(&world, &["bob"]).await;
    assert!(ann.suggested().await.is_empty());
    ann.uploads(&["bob"]).await;
    assert_eq!(ann.suggested().await, ["bob"]);
}

async fn a_sync_sent_again_is_answered_alike_and_done_once(world: World) {
    open_people(&world, &["ann", "bob", "cec"]).await;
    let ann = world.user("ann");
    let token = ann.uploads(&["bob"]).await;
    let delta = ann.delta(&token, &["cec"], &["bob"]);
    let first = ann.sync(vec![delta.clone()]).await.unwrap();
    // Its token is no longer the latest one, but it was when this was done.
    assert_eq!(ann.sync(vec![delta.clone()]).await.unwrap(), first);
    let mut other = ann.full(&["cec"]);
    other.request_id = delta.request_id;
    assert_eq!(reason(ann.sync(vec![other]).await), Reason::RequestIdReused);
    assert_eq!(ann.suggested().await, ["cec"]);
}

async fn a_stream_that_contradicts_itself_stores_nothing(world: World) {
    open_people(&world, &["ann", "bob", "cec"]).await;
    let ann = world.user("ann");
    assert_eq!(reason(ann.sync(vec![]).await), Reason::StreamIncomplete);
    let token = ann.uploads(&["bob"]).await;
    let first = ann.delta(&token, &["cec"], &["bob"]);
    let mut second = ann.delta("another", &[], &[]);
    second.request_id.clone_from(&first.request_id);
    assert_eq!(bad_fields(ann.sync(vec![first.clone(), second.clone()]).await), ["sync_token"]);
    second.sync_token.clone_from(&token);
    "another".clone_into(&mut second.request_id);
    assert_eq!(bad_fields(ann.sync(vec![first.clone(), second.clone()]).await), ["request_id"]);
    second.mode = SyncMode::Full.into();
    let all = bad_fields(ann.sync(vec![first.clone(), second]).await);
    assert_eq!(all, ["request_id", "mode", "sync_token"]);
    let mut full = ann.full(&["cec"]);
    full.removed = full.added.clone();
    assert_eq!(bad_fields(ann.sync(vec![full]).await), ["removed"]);
    assert_eq!(ann.suggested().await, ["bob"]);
    assert_eq!(ann.sync(vec![first]).await.unwrap().accepted, 2);
}

async fn a_token_comes_with_a_delta_and_with_nothing_else(world: World) {
    world.people(&["ann"]).await;
    let ann = world.user("ann");
    let token = ann.uploads(&[]).await;
    assert_eq!(bad_fields(ann.sync(vec![ann.delta("", &[], &[])]).await), ["sync_token"]);
    let mut full = ann.full(&[]);
    full.sync_token.clone_from(&token);
    assert_eq!(bad_fields(ann.sync(vec![full.clone()]).await), ["sync_token"]);
    full.mode = SyncMode::Unspecified.into();
    assert_eq!(bad_fields(ann.sync(vec![full]).await), ["mode"]);
    ann.sync(vec![ann.delta(&token, &[], &[])]).await.unwrap();
}

async fn ones_own_address_is_a_contact_like_any_that_finds_nobody(world: World) {
    open_people(&world, &["ann", "bob"]).await;
    let ann = world.user("ann");
    let told = |answer: SyncContactsResponse| (answer.accepted, answer.rejections);
    let own = told(ann.sync(vec![ann.full(&["ann"])]).await.unwrap());
    assert!(ann.suggested().await.is_empty());
    let nobodys = told(ann.sync(vec![ann.full(&["nobody"])]).await.unwrap());
    assert_eq!(own, nobodys);
    // Whoever shares it is found, each by the other.
    world.register(vec![registration("bob", &["ann", "bob"])]).await.unwrap();
    ann.uploads(&["ann"]).await;
    assert_eq!(ann.suggested().await, ["bob"]);
    let bob = world.user("bob");
    bob.uploads(&["bob"]).await;
    assert!(bob.suggested().await.is_empty());
    bob.uploads(&["bob", "ann"]).await;
    assert_eq!(bob.suggested().await, ["ann"]);
}

async fn a_stream_that_breaks_off_stores_nothing(world: World) {
    open_people(&world, &["ann", "bob", "cec"]).await;
    let ann = world.user("ann");
    ann.uploads(&["bob"]).await;
    let full = ann.full(&["cec"]);
    let (send, receive) = tokio::sync::mpsc::channel(1);
    let (taken, is_taken) = tokio::sync::oneshot::channel();
    let mut taken = Some(taken);
    let messages = ReceiverStream::new(receive).map(move |message| {
        taken.take().map(|taken| taken.send(()));
        message
    });
    let (mut contacts, request) = (ann.contacts(), ann.request(messages));
    let call = tokio::spawn(async move { contacts.sync_contacts(request).await });
    send.send(full.clone()).await.unwrap();
    is_taken.await.unwrap();
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    // Had it been stored, its request id would be used up for other content.
    let other = proto::suggest::v1::SyncContactsRequest { added: vec![], ..full };
    assert_eq!(ann.sync(vec![other]).await.unwrap().accepted, 0);
    assert!(ann.suggested().await.is_empty());
}

async fn more_contacts_than_are_allowed_are_refused(world: World) {
    open_people(&world, &["ann", "bob"]).await;
    let ann = world.user("ann");
    let names: Vec<_> = (0..51).map(|n| format!("n{n}")).collect();
    let mut many: Vec<_> = names.iter().map(String::as_str).collect();
    many[49] = "bob";
    assert_eq!(bad_fields(ann.sync(vec![ann.full(&many)]).await), ["added"]);
    // One that is there already counts, too: what is held in memory is what was sent.
    assert_eq!(bad_fields(ann.sync(vec![ann.full(&["bob"; 51])]).await), ["added"]);
    let first = ann.full(&many[..30]);
    let second = proto::suggest::v1::SyncContactsRequest {
        added: first.added[..21].to_vec(),
        ..first.clone()
    };
    assert_eq!(bad_fields(ann.sync(vec![first, second]).await), ["added"]);
    let before = ann.uploads(&[]).await;
    assert_eq!(bad_fields(ann.sync(vec![ann.delta(&before, &[], &many)]).await), ["removed"]);
    let token = ann.uploads(&many[..50]).await;
    // The book is full, whoever was found.
    let more = ann.sync(vec![ann.delta(&token, &["bob"], &[])]).await;
    assert_eq!(reason(more), Reason::SyncTokenUnknown);
}

async fn refused_contacts_are_named_by_their_place_in_the_stream(world: World) {
    open_people(&world, &["ann", "bob"]).await;
    let ann = world.user("ann");
    let mut first = ann.full(&["bob"]);
    first.added.push(Identifier { kind: 0, value: Some(Value::Raw("x".to_owned())) });
    let mut second = first.clone();
    second.added.push(Identifier {
        kind: IdentifierKind::Phone.into(),
        value: Some(Value::Sha256(vec![1; 31])),
    });
    let answer = ann.sync(vec![first, second]).await.unwrap();
    assert_eq!(answer.accepted, 1, "the same address twice is one contact");
    let rejections: Vec<_> =
        answer.rejections.iter().map(|one| (one.index, one.reason())).collect();
    let unknown = RejectionReason::KindUnknown;
    assert_eq!(rejections, [(1, unknown), (3, unknown), (4, RejectionReason::WrongLength)]);
}

async fn contacts_and_settings_survive_a_restart_and_deletion_is_for_good(mut world: World) {
    open_people(&world, &["ann", "bob"]).await;
    let token = world.user("ann").uploads(&["bob", "nobody"]).await;
    world.user("ann").settings(Discoverability::Nobody, false).await;
    world.restart().await;
    let ann = world.user("ann");
    assert_eq!(ann.suggested().await, ["bob"]);
    let request = ann.request(GetContactSettingsRequest {});
    let settings = ann.contacts().get_contact_settings(request).await.unwrap().into_inner();
    let settings = settings.settings.unwrap();
    assert_eq!(settings.discoverability(), Discoverability::Nobody);
    assert!(!settings.may_be_mutual_connection);
    assert_eq!(ann.sync(vec![ann.delta(&token, &[], &[])]).await.unwrap().accepted, 0);
    let message = DeleteContactsRequest { request_id: "forget".to_owned() };
    ann.contacts().delete_contacts(ann.request(message)).await.unwrap();
    assert!(ann.suggested().await.is_empty());
    world.restart().await;
    assert!(world.user("ann").suggested().await.is_empty());
}

async fn settings_start_with_the_defaults(world: World) {
    let ann = world.user("ann");
    let request = ann.request(GetContactSettingsRequest {});
    let settings = ann.contacts().get_contact_settings(request).await.unwrap().into_inner();
    let settings = settings.settings.unwrap();
    assert_eq!(settings.discoverability(), Discoverability::Reciprocal);
    assert!(settings.may_be_mutual_connection);
}

on_both_stores! {
    syncing_takes_the_callers_consent_to_the_transfer,
    the_answer_is_the_same_for_hit_and_miss,
    full_replaces_and_delta_adds_and_removes,
    only_the_latest_token_is_good_for_a_delta,
    a_contact_who_joins_later_is_found_at_the_next_sync,
    a_sync_sent_again_is_answered_alike_and_done_once,
    a_stream_that_contradicts_itself_stores_nothing,
    a_token_comes_with_a_delta_and_with_nothing_else,
    ones_own_address_is_a_contact_like_any_that_finds_nobody,
    a_stream_that_breaks_off_stores_nothing,
    more_contacts_than_are_allowed_are_refused,
    refused_contacts_are_named_by_their_place_in_the_stream,
    contacts_and_settings_survive_a_restart_and_deletion_is_for_good,
    settings_start_with_the_defaults,
}
