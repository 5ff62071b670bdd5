use std::time::Duration;

use proto::{
    audience::v1::{self as wire, UploadMode, UploadState},
    errors::v1::Reason,
    types::v1::{Identifier, IdentifierKind, RejectionReason, identifier::Value},
};
use tonic_types::StatusExt;

use crate::{
    rows::{batch, crowd, crowd_and, email, external, fresh, opening, raw, reason, sha256},
    world::{World, on_both_stores},
};

on_both_stores!(
    counts_are_exact_and_say_nothing_of_matches,
    batches_come_in_any_order_and_count_once,
    a_commit_names_the_missing_batches,
    a_commit_is_all_or_nothing,
    rows_are_added_removed_and_replaced,
    checking_only_changes_nothing,
    uploads_end,
    no_upload_is_kept_open_for_ever,
    open_uploads_are_limited_for_each_business,
    messages_that_are_no_batches_are_refused,
    memberships_end_after_their_lifetime,
);

fn text(kind: IdentifierKind, digest: &str) -> Identifier {
    Identifier { kind: kind.into(), value: Some(Value::Sha256Text(digest.to_owned())) }
}

async fn shop_with_upload(world: &World) -> (String, String) {
    let callers = world.callers();
    callers.open_business("shop").await;
    let audience = callers.create_audience().await;
    let upload = callers.open_upload(&audience, UploadMode::Add).await;
    (audience, upload)
}

async fn state(world: &World, upload: &str) -> wire::Upload {
    let request = wire::GetUploadRequest { upload_id: upload.to_owned() };
    world.callers().shop().get_upload(request).await.unwrap().into_inner().upload.unwrap()
}

async fn counts_are_exact_and_say_nothing_of_matches(world: World) {
    let (_, upload) = shop_with_upload(&world).await;
    let callers = world.callers();
    let rows = vec![
        email("ann@example.com"),
        email("ANN@example.com "),
        Identifier {
            kind: IdentifierKind::Email.into(),
            value: Some(Value::Sha256(sha256("ann@example.com").to_vec())),
        },
        // The same text as another kind is another row.
        external("ann@example.com"),
        email("nobody"),
        raw(IdentifierKind::Phone, "12"),
        text(IdentifierKind::Email, &hex::encode(sha256(""))),
        text(IdentifierKind::Email, &hex::encode(hex::encode(sha256("x")))),
        text(IdentifierKind::Email, "abc"),
        Identifier { kind: IdentifierKind::Email.into(), value: None },
        raw(IdentifierKind::Unspecified, "x"),
        external("tab\u{7}"),
    ];
    let packed = [sha256("p"), sha256("p"), sha256("")].concat();
    let message = wire::AppendUploadRequest {
        packed_sha256: packed,
        packed_kind: IdentifierKind::ExternalId.into(),
        ..batch(&upload, 0, rows.clone())
    };
    let answer = callers.append(vec![message.clone()]).await.unwrap().remove(0);
    assert_eq!((answer.rows_received, answer.rows_invalid, answer.rows_duplicate), (15, 9, 3));
    let refused: Vec<_> = answer.rejections.iter().map(|one| (one.index, one.reason())).collect();
    assert_eq!(
        refused,
        [
            (4, RejectionReason::NotAnEmail),
            (5, RejectionReason::RegionNeeded),
            (6, RejectionReason::DigestOfEmpty),
            (7, RejectionReason::DigestEncodedTwice),
            (8, RejectionReason::WrongLength),
            (9, RejectionReason::Empty),
            (10, RejectionReason::KindUnknown),
            (11, RejectionReason::NotAnExternalId),
            (14, RejectionReason::DigestOfEmpty),
        ]
    );
    // Now somebody matches. The same rows get the same answer, and so does the same batch.
    world.consents.grant_all("ann");
    callers.register_one("ann", vec![email("ann@example.com")]).await;
    let same = wire::AppendUploadRequest { batch_number: 1, ..message.clone() };
    let answers = callers.append(vec![same, message]).await.unwrap();
    assert_eq!(answers[0], wire::AppendUploadResponse { batch_number: 1, ..answer.clone() });
    assert_eq!(answers[1], answer);
    let upload = state(&world, &upload).await;
    assert_eq!((upload.rows_received, upload.rows_invalid, upload.rows_duplicate), (30, 18, 6));
    assert!(upload.advice.contains("Less than half of the rows"), "{}", upload.advice);

    let wrong = vec![email("nobody"); 300];
    let answers = callers.append(vec![batch(&upload.upload_id, 2, wrong)]).await.unwrap();
    assert_eq!((answers[0].rows_invalid, answers[0].rejections.len()), (300, 100));
}

async fn batches_come_in_any_order_and_count_once(world: World) {
    let (_, upload) = shop_with_upload(&world).await;
    let callers = world.callers();
    let one = |number: u32| batch(&upload, number, vec![external(&format!("row-{number}"))]);
    let answers = callers.append(vec![one(3), one(0), one(3), one(5)]).await.unwrap();
    let numbers: Vec<u32> = answers.iter().map(|answer| answer.batch_number).collect();
    assert_eq!(numbers, [3, 0, 3, 5]);
    let seen = state(&world, &upload).await;
    assert_eq!((seen.batches_received, seen.rows_received), (3, 3));
    assert_eq!(seen.missing_batches, [1, 2, 4]);
    assert_eq!(seen.last_batch_number, Some(5));
    assert!(seen.advice.contains("missing"), "{}", seen.advice);

    let other = batch(&upload, 3, vec![external("another")]);
    let refused = callers.append(vec![one(1), other]).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::BatchConflict);
    // What stood before the conflict was stored.
    assert_eq!(state(&world, &upload).await.missing_batches, [2, 4]);
}

async fn a_commit_names_the_missing_batches(world: World) {
    let (_, upload) = shop_with_upload(&world).await;
    let callers = world.callers();
    let one = |number: u32| batch(&upload, number, vec![external(&format!("row-{number}"))]);
    callers.append(vec![one(0), one(2)]).await.unwrap();
    let refused = callers.commit(&upload, 5).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::BatchMissing);
    let details = refused.get_details_bad_request().unwrap();
    let fields: Vec<_> = details.field_violations.iter().map(|one| &*one.field).collect();
    assert_eq!(fields, ["batches[1]", "batches[3]", "batches[4]"]);

    let refused = callers.commit(&upload, 2).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::FieldsInvalid);
    callers.append(vec![one(1)]).await.unwrap();
    let done = callers.commit(&upload, 3).await.unwrap();
    assert_eq!(done.upload.as_ref().unwrap().state(), UploadState::Committed);
    let again = callers.commit(&upload, 3).await.unwrap();
    assert_eq!(again.upload, done.upload);
    let refused = callers.commit(&upload, 4).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::UploadState);
    let refused = callers.append(vec![one(3)]).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::UploadState);
}

async fn a_commit_is_all_or_nothing(world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    callers.gather_crowd().await;
    for subject in ["ann", "bob"] {
        world.consents.grant_all(subject);
        callers.register_one(subject, vec![external(subject)]).await;
    }
    let audience = callers.create_audience().await;
    callers.upload(&audience, UploadMode::Add, crowd_and(&["ann"])).await;
    let upload = callers.open_upload(&audience, UploadMode::Replace).await;
    let batches = vec![batch(&upload, 0, crowd()), batch(&upload, 1, vec![external("bob")])];
    callers.append(batches).await.unwrap();
    // Until the commit the old list serves.
    assert!(callers.is_member("ann", &audience).await);
    assert!(!callers.is_member("bob", &audience).await);
    let done = callers.commit(&upload, 2).await.unwrap().audience.unwrap();
    assert!(!callers.is_member("ann", &audience).await);
    assert!(callers.is_member("bob", &audience).await);
    assert_eq!(done.state(), wire::AudienceState::Ready);
    assert!(done.targetable && done.advice.contains("Ready"), "{}", done.advice);
}

async fn rows_are_added_removed_and_replaced(world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    callers.gather_crowd().await;
    for subject in ["ann", "bob", "cid"] {
        world.consents.grant_all(subject);
        callers.register_one(subject, vec![external(subject)]).await;
    }
    let audience = callers.create_audience().await;
    let members = async || {
        let mut members = Vec::new();
        for subject in ["ann", "bob", "cid"] {
            members.push(callers.is_member(subject, &audience).await);
        }
        members
    };
    callers.upload(&audience, UploadMode::Add, crowd_and(&["ann"])).await;
    assert_eq!(members().await, [true, false, false]);
    callers.upload(&audience, UploadMode::Add, vec![external("bob")]).await;
    assert_eq!(members().await, [true, true, false]);
    callers.upload(&audience, UploadMode::Remove, vec![external("ann"), external("cid")]).await;
    assert_eq!(members().await, [false, true, false]);
    callers.upload(&audience, UploadMode::Replace, crowd_and(&["cid"])).await;
    assert_eq!(members().await, [false, false, true]);
}

async fn checking_only_changes_nothing(world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    callers.gather_crowd().await;
    let audience = callers.create_audience().await;
    let opening =
        wire::CreateUploadRequest { validate_only: true, ..opening(&audience, UploadMode::Add) };
    let upload = callers.open(opening).await;
    let rows: Vec<_> = crowd().into_iter().chain([email("nobody")]).collect();
    let answers = callers.append(vec![batch(&upload, 0, rows)]).await.unwrap();
    assert_eq!((answers[0].rows_received, answers[0].rows_invalid), (1_501, 1));
    let refused = callers.commit(&upload, 2).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::BatchMissing);
    let done = callers.commit(&upload, 1).await.unwrap();
    assert_eq!(done.upload.unwrap().state(), UploadState::Committed);
    let audience = done.audience.unwrap();
    assert_eq!(audience.state(), wire::AudienceState::Empty);
    assert!(audience.size.is_none());
    assert!(!callers.is_member("crowd-1", &audience.audience_id).await);
}

async fn uploads_end(world: World) {
    let (audience, upload) = shop_with_upload(&world).await;
    let callers = world.callers();
    let one = |upload: &str| batch(upload, 0, vec![external("row")]);
    callers.append(vec![one(&upload)]).await.unwrap();
    let abort = wire::AbortUploadRequest { request_id: fresh("abort"), upload_id: upload.clone() };
    let ended = callers.shop().abort_upload(abort.clone()).await.unwrap().into_inner();
    assert_eq!(ended.upload.as_ref().unwrap().state(), UploadState::Aborted);
    let again = callers.shop().abort_upload(abort).await.unwrap().into_inner();
    assert_eq!(again, ended);
    assert_eq!(reason(&callers.commit(&upload, 1).await.unwrap_err()), Reason::UploadState);

    let idle = callers.open_upload(&audience, UploadMode::Add).await;
    callers.append(vec![one(&idle)]).await.unwrap();
    world.advance(Duration::from_hours(24));
    let callers = world.callers();
    assert_eq!(state(&world, &idle).await.state(), UploadState::Expired);
    let refused = callers.append(vec![one(&idle)]).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::UploadState);
}

async fn messages_that_are_no_batches_are_refused(world: World) {
    let (_, upload) = shop_with_upload(&world).await;
    let callers = world.callers();
    let packed = |bytes: usize| wire::AppendUploadRequest {
        packed_sha256: vec![1; bytes],
        packed_kind: IdentifierKind::Email.into(),
        ..batch(&upload, 0, vec![])
    };
    let too_many = wire::AppendUploadRequest { rows: vec![external("x")], ..packed(320_000) };
    let number = wire::AppendUploadRequest { batch_number: 1_000_000, ..packed(32) };
    for (message, field) in [
        (packed(0), "rows"),
        (packed(33), "packed_sha256"),
        (too_many, "packed_sha256"),
        (batch(&upload, 0, vec![external("x"); 10_001]), "rows"),
        (number, "batch_number"),
    ] {
        let refused = callers.append(vec![message]).await.unwrap_err();
        assert_eq!(reason(&refused), Reason::FieldsInvalid);
        assert!(refused.message().contains(field), "{field}: {}", refused.message());
    }
    let answers = callers.append(vec![packed(320_000)]).await.unwrap();
    assert_eq!((answers[0].rows_received, answers[0].rows_duplicate), (10_000, 9_999));
}

async fn memberships_end_after_their_lifetime(world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    callers.gather_crowd().await;
    let audience = callers.create_audience_for(Some(2)).await;
    callers.upload(&audience, UploadMode::Add, crowd()).await;
    world.advance(Duration::from_hours(24));
    let again: Vec<_> = crowd().into_iter().take(500).collect();
    world.callers().upload(&audience, UploadMode::Add, again).await;
    world.advance(Duration::from_hours(24));
    let callers = world.callers();
    assert!(callers.is_member("crowd-499", &audience).await);
    assert!(!callers.is_member("crowd-500", &audience).await);
    world.advance(Duration::from_hours(24));
    assert!(!world.callers().is_member("crowd-499", &audience).await);
}

async fn no_upload_is_kept_open_for_ever(world: World) {
    let (_, upload) = shop_with_upload(&world).await;
    let end = world.clock.now().plus(Duration::from_hours(7 * 24));
    for number in 0..7 {
        world.advance(Duration::from_hours(23));
        let more = batch(&upload, number, vec![external("row")]);
        world.callers().append(vec![more]).await.unwrap();
    }
    let seen = state(&world, &upload).await;
    assert_eq!((seen.state(), seen.expires_at), (UploadState::Open, Some(end.into())));
    world.advance(Duration::from_hours(7));
    assert_eq!(state(&world, &upload).await.state(), UploadState::Expired);
    let more = batch(&upload, 7, vec![external("row")]);
    let refused = world.callers().append(vec![more]).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::UploadState);
}

async fn open_uploads_are_limited_for_each_business(world: World) {
    let (audience, first) = shop_with_upload(&world).await;
    world.advance(Duration::from_hours(1));
    let callers = world.callers();
    for _ in 1..100 {
        callers.open_upload(&audience, UploadMode::Add).await;
    }
    let one_more = opening(&audience, UploadMode::Add);
    let refused = callers.shop().create_upload(one_more.clone()).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::QuotaExceeded);
    let retry = refused.get_details_retry_info().unwrap().retry_delay;
    assert_eq!(retry, Some(Duration::from_hours(23)));
    // Another business has its own.
    callers.open_business("bank").await;
    let mut bank = callers.business_of("bank", "bank-ltd");
    let new = wire::CreateAudienceRequest {
        request_id: fresh("aud"),
        display_name: "Clients".to_owned(),
        customer_source: wire::CustomerSource::UserProvided.into(),
        ..Default::default()
    };
    let theirs = bank.create_audience(new).await.unwrap().into_inner().audience.unwrap();
    bank.create_upload(opening(&theirs.audience_id, UploadMode::Add)).await.unwrap();

    // One that ends makes room: committed, aborted, or by the clock.
    callers.append(vec![batch(&first, 0, vec![external("row")])]).await.unwrap();
    callers.commit(&first, 1).await.unwrap();
    let second = callers.open(one_more).await;
    let another = opening(&audience, UploadMode::Add);
    callers.shop().create_upload(another.clone()).await.unwrap_err();
    let abort = wire::AbortUploadRequest { request_id: fresh("abort"), upload_id: second };
    callers.shop().abort_upload(abort).await.unwrap();
    callers.open(another).await;
    world.advance(Duration::from_hours(24));
    world.callers().open_upload(&audience, UploadMode::Add).await;
}
