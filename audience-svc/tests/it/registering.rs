//! Messages of registrations that come one upon another are stored together, and answered as if each
//! had come alone.

use proto::{
    audience::v1::{PutIdentifiersRequest, PutIdentifiersResponse},
    errors::v1::Reason,
    types::v1::StorageStatus,
};
use tonic::Status;

use crate::{
    rows::{external, fresh, person, reason},
    world::{World, on_both_stores},
};

on_both_stores!(
    many_messages_at_once_are_each_answered_in_their_order,
    what_is_wrong_with_one_message_is_told_after_the_answers_to_those_before,
    whoever_is_named_in_two_messages_has_what_came_last,
);

/// A message that names these people, each with an external id of a name.
fn message(people: impl IntoIterator<Item = usize>, name: &str) -> PutIdentifiersRequest {
    let one = |n| person(&format!("p-{n}"), vec![external(&format!("{name}-{n}"))]);
    PutIdentifiersRequest {
        request_id: fresh("reg"),
        verified: true,
        registrations: people.into_iter().map(one).collect(),
    }
}

/// Sends them as fast as they go; the answers, and how the stream ended.
async fn send(
    world: &World,
    messages: Vec<PutIdentifiersRequest>,
) -> (Vec<PutIdentifiersResponse>, Result<(), Status>) {
    let callers = world.callers();
    let mut app = callers.app();
    let mut stream = app.put_identifiers(tokio_stream::iter(messages)).await.unwrap().into_inner();
    let mut answers = Vec::new();
    loop {
        match stream.message().await {
            Ok(Some(answer)) => answers.push(answer),
            Ok(None) => return (answers, Ok(())),
            Err(status) => return (answers, Err(status)),
        }
    }
}

async fn many_messages_at_once_are_each_answered_in_their_order(world: World) {
    (0..60).filter(|n| n % 3 != 0).for_each(|n| world.consents.grant_all(&format!("p-{n}")));
    let messages: Vec<_> = (0..20).map(|n| message(3 * n..3 * n + 3, "id")).collect();
    let (answers, ended) = send(&world, messages.clone()).await;
    ended.unwrap();
    assert_eq!(answers.len(), 20);
    for (message, answer) in messages.iter().zip(&answers) {
        assert_eq!(answer.request_id, message.request_id);
        let stored: Vec<_> =
            answer.results.iter().map(|result| result.status() == StorageStatus::Stored).collect();
        assert_eq!(stored, [false, true, true]);
    }
    // Sent again, in other groups: the same answers.
    let (again, ended) = send(&world, messages.into_iter().rev().collect()).await;
    ended.unwrap();
    assert_eq!(again.into_iter().rev().collect::<Vec<_>>(), answers);
}

async fn what_is_wrong_with_one_message_is_told_after_the_answers_to_those_before(world: World) {
    (0..40).for_each(|n| world.consents.grant_all(&format!("p-{n}")));
    let first = message([0], "id");
    send(&world, vec![first.clone()]).await.1.unwrap();
    let reused = PutIdentifiersRequest { request_id: first.request_id, ..message([30], "id") };
    let twice = message([31, 31], "id");
    for (bad, why) in [(reused, Reason::RequestIdReused), (twice, Reason::FieldsInvalid)] {
        let mut messages: Vec<_> = (1..8).map(|n| message([n], "id")).collect();
        messages.insert(5, bad);
        let (answers, ended) = send(&world, messages.clone()).await;
        assert_eq!(reason(&ended.unwrap_err()), why);
        let answered: Vec<_> = answers.iter().map(|answer| &answer.request_id).collect();
        let before: Vec<_> = messages[..5].iter().map(|message| &message.request_id).collect();
        assert_eq!(answered, before);
    }
}

async fn whoever_is_named_in_two_messages_has_what_came_last(world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    callers.gather_crowd().await;
    let audience = callers.create_audience().await;
    (0..4).for_each(|n| world.consents.grant_all(&format!("p-{n}")));
    let messages = vec![message(0..4, "old"), message(2..4, "new"), message([3], "newest")];
    send(&world, messages).await.1.unwrap();
    let rows = ["old-0", "old-2", "new-3", "newest-3"];
    callers
        .upload(&audience, proto::audience::v1::UploadMode::Replace, crate::rows::crowd_and(&rows))
        .await;
    for (subject, listed) in [("p-0", true), ("p-1", false), ("p-2", false), ("p-3", true)] {
        assert_eq!(callers.is_member(subject, &audience).await, listed, "{subject}");
    }
}
