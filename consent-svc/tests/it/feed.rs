//! The feed of everything that changes an answer.

use std::time::Duration;

use proto::{
    consent::v1::{
        DecisionReason::{Explicit, Withdrawn},
        EventKind, WatchChangesRequest,
        consent_service_client::ConsentServiceClient,
    },
    errors::v1::Reason,
    options::v1::Role,
};
use service_kit::{auth::Caller, config::Span};

use crate::{calls::*, harness::*};

on_every_store!(
    everything_that_changes_an_answer_is_told,
    only_the_purposes_asked_for,
    checkpoints_when_idle,
    resuming_after_any_cursor_gives_exactly_the_rest,
    cursors_that_the_feed_did_not_give,
    a_cursor_that_is_too_old,
    draining_ends_streams_and_loses_nothing,
    a_slow_reader_ends_and_loses_nothing,
);

async fn everything_that_changes_an_answer_is_told(world: World) {
    use EventKind::*;
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("anna", "US").await;
    world.put("bert", "US").await;
    world.put_child("child", "US").await;
    world.serve_notice("anna", &policy, &spec).await.unwrap();
    world.decide(world.decision("anna", &policy, &spec, &[SHARE, ADS])).await.unwrap();
    world.withdraw("anna", &[ADS]).await.unwrap();
    world.object("anna", true).await;
    world.link(&["anna", "bert"]).await.unwrap();
    world.unlink(&["anna"]).await.unwrap();
    world.guard("child", "bert").await.unwrap();
    world.erase("anna").await.unwrap();
    world.retire(policy.clone()).await.unwrap();
    // What changes nothing is not told: the same again, what is refused, a draft.
    world.put("bert", "US").await;
    world.object("bert", false).await;
    world.withdraw("anna", &[ADS]).await.unwrap_err();
    world.draft("sharing", spec).await.unwrap();

    let (events, _) = world.told(&[], &[]).await;
    let mut told: Vec<_> = events
        .iter()
        .map(|event| (event.kind(), event.subject_id.as_str(), event.revision))
        .collect();
    let (anna, bert) = ("anna", "bert");
    let unlinked = |id| told.iter().any(|told| told.0 == Unlinked && told.1 == id);
    assert!(unlinked(anna) && unlinked(bert));
    told.retain(|event| event.0 != Unlinked);
    let expected = [
        (PolicyChanged, "", 0),
        (SubjectPut, anna, 1),
        (SubjectPut, bert, 1),
        (SubjectPut, "child", 1),
        (NoticeServed, anna, 2),
        (DecisionRecorded, anna, 3),
        (Withdrawn, anna, 4),
        (ObjectionSignalSet, anna, 5),
        (Linked, anna, 6),
        (Linked, bert, 2),
        (GuardianSet, bert, 4),
        (GuardianSet, "child", 2),
        (Erased, anna, 8),
        (PolicyChanged, "", 0),
    ];
    // Within one write there is no order that matters.
    let sorted = |told: &[(EventKind, &str, u64)]| {
        let mut sorted: Vec<_> = told.iter().map(|one| (one.1.to_owned(), one.2, one.0)).collect();
        sorted.sort_unstable();
        sorted
    };
    assert_eq!(sorted(&told), sorted(&expected));
    let order = |kind| told.iter().position(|event| event.0 == kind).unwrap();
    let kinds = [SubjectPut, NoticeServed, DecisionRecorded, Withdrawn, Linked, Erased];
    assert!(kinds.windows(2).all(|pair| order(pair[0]) < order(pair[1])));
}

async fn only_the_purposes_asked_for(world: World) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("anna", "US").await;
    world.decide(world.decision("anna", &policy, &spec, &[SHARE, ADS])).await.unwrap();
    let (events, cursor) = world.told(&[], &[ADS, SHARE]).await;
    let purposes = |event: &proto::consent::v1::ChangeEvent| -> Vec<String> {
        event.answers.iter().map(|answer| answer.purpose_id.clone()).collect()
    };
    assert_eq!(purposes(events.last().unwrap()), [SHARE, ADS]);
    // The order and repetitions do not make it another feed.
    world.withdraw("anna", &[ADS]).await.unwrap();
    let (rest, _) = world.told(&cursor, &[SHARE, ADS, ADS]).await;
    assert_eq!(rest.len(), 1);
    assert_eq!(answer(&rest[0], ADS), (false, proto::consent::v1::DecisionReason::Withdrawn, None));
    assert_eq!(answer(&rest[0], SHARE), (true, Explicit, None));
    // Answers are those of now, also to what happened before.
    let (events, _) = world.told(&[], &[ADS]).await;
    let about = events.iter().filter(|event| event.subject_id == "anna");
    let reasons: Vec<_> = about.map(|event| answer(event, ADS).1).collect();
    assert_eq!(reasons, [Withdrawn; 3]);
    let (events, _) = world.told(&[], &[]).await;
    assert_eq!(purposes(events.last().unwrap()).len(), spec.purposes.len());
    let bad = violations(world.watch(&[], &["no purpose"]).await.map(drop));
    assert_eq!(bad, (Reason::FieldsInvalid, vec!["purpose_ids[0]".to_owned()]));
    let by_anna = world.from(&Caller::user("anna"), WatchChangesRequest::default());
    let refused = world.consent().watch_changes(by_anna).await;
    assert_eq!(reason(refused.map(drop)), Reason::RoleNotAllowed);
}

async fn checkpoints_when_idle(mut world: World) {
    world.reconfigure(|config| config.feed.checkpoint = Span::from_millis(20)).await;
    world.put("anna", "US").await;
    let mut stream = world.watch(&[], &[]).await.unwrap();
    let first = step(&mut stream).await.unwrap();
    assert_eq!(first.events.len(), 1);
    assert_eq!(first.checkpoint.map(millis), Some(START));
    let mut last = START;
    for _ in 0..5 {
        world.clock.advance(Duration::from_secs(7));
        // The one that was under way may still be of before.
        let mut idle = step(&mut stream).await.unwrap();
        while idle.checkpoint.map(millis) == Some(last) {
            idle = step(&mut stream).await.unwrap();
        }
        last = world.now();
        assert_eq!((idle.events.len(), idle.checkpoint.map(millis)), (0, Some(last)));
        let (rest, _) = world.told(&idle.cursor, &[]).await;
        assert_eq!(rest, []);
    }
    // What is written is told without waiting for a checkpoint's time.
    world.put("bert", "US").await;
    let mut told = step(&mut stream).await.unwrap();
    while told.events.is_empty() {
        told = step(&mut stream).await.unwrap();
    }
    assert_eq!(facts(&told.events), [(EventKind::SubjectPut, "bert".to_owned(), last)]);
}

async fn resuming_after_any_cursor_gives_exactly_the_rest(mut world: World) {
    let mut stream = world.watch(&[], &[]).await.unwrap();
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    let mut cursors = Vec::new();
    for round in 0..30 {
        world.clock.advance(Duration::from_millis(3));
        let id = format!("p{}", round % 7);
        match round % 4 {
            0 | 1 => drop(world.put(&id, if round % 8 < 4 { "US" } else { "DE" }).await),
            2 => world.object("p0", round % 8 == 2).await,
            _ => drop(world.link(&["p0", "p1", "p4"]).await),
        }
        if let Ok(Ok(step)) =
            tokio::time::timeout(Duration::from_millis(50), step(&mut stream)).await
        {
            cursors.push(step.cursor);
        }
    }
    world.put("last", "US").await;
    world.serve_notice("last", &policy, &spec).await.unwrap();
    let (all, end) = world.told(&[], &[]).await;
    assert!(all.len() > 20);
    let positions: std::collections::HashSet<_> = cursors.iter().collect();
    assert!(positions.len() > 5);
    for restarted in [false, true] {
        if restarted {
            world.restart().await;
        }
        let mut longest = all.len();
        for cursor in &cursors {
            let (rest, _) = world.told(cursor, &[]).await;
            assert!(rest.len() <= longest);
            longest = rest.len();
            assert_eq!(rest, all[all.len() - rest.len()..]);
        }
        assert_eq!(world.told(&end, &[]).await.0, []);
    }
}

async fn cursors_that_the_feed_did_not_give(mut world: World) {
    for id in ["anna", "bert", "carl"] {
        world.put(id, "US").await;
    }
    let (_, cursor) = world.told(&[], &[]).await;
    let (_, of_one) = world.told(&[], &[ADS]).await;
    let mut bad: Vec<Vec<u8>> = vec![of_one, b"x".to_vec(), vec![0xff; 50], vec![b'A'; 54]];
    for at in 0..cursor.len() {
        let mut tampered = cursor.clone();
        tampered[at] = if tampered[at] == b'A' { b'B' } else { b'A' };
        bad.push(tampered);
    }
    bad.push(cursor[..cursor.len() - 1].to_vec());
    // Of another database, where as much has happened.
    let other = World::on_sqlite().await;
    for id in ["anna", "bert", "carl"] {
        other.put(id, "US").await;
    }
    bad.push(other.told(&[], &[]).await.1);
    for cursor in bad {
        let refused = world.watch(&cursor, &[]).await.map(drop);
        assert_eq!(reason(refused), Reason::CursorInvalid, "{cursor:?}");
    }
    world.restart().await;
    world.watch(&cursor, &[]).await.unwrap();
}

async fn a_cursor_that_is_too_old(mut world: World) {
    world.reconfigure(|config| config.feed.retention = Span::from_secs(86_400)).await;
    world.put("anna", "US").await;
    let (_, old) = world.told(&[], &[]).await;
    world.put("bert", "US").await;
    world.clock.advance(Duration::from_hours(25));
    world.put("carl", "US").await;
    let (_, recent) = world.told(&[], &[]).await;
    // What is old is forgotten every minute: the clock is moved on until that has happened, however
    // slow the disk is, but never so far that carl is old too.
    let mut refused = None;
    for _ in 0..1_200 {
        world.clock.advance(Duration::from_mins(1));
        let mut stream = world.watch(&old, &[]).await.unwrap();
        match step(&mut stream).await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(status) => {
                refused = Some(status);
                break;
            }
        }
    }
    assert_eq!(reason::<()>(Err(refused.unwrap())), Reason::CursorTooOld);
    // A fresh start begins at what is kept; later cursors are good.
    let (kept, _) = world.told(&[], &[]).await;
    let kept: Vec<&str> = kept.iter().map(|event| event.subject_id.as_str()).collect();
    assert_eq!(kept, ["carl"]);
    assert_eq!(world.told(&recent, &[]).await.0, []);
}

async fn draining_ends_streams_and_loses_nothing(mut world: World) {
    world.put("anna", "US").await;
    let mut stream = world.watch(&[], &[]).await.unwrap();
    let cursor = step(&mut stream).await.unwrap().cursor;
    let running = world.stop();
    let ended = loop {
        if let Err(status) = step(&mut stream).await {
            break status;
        }
    };
    assert_eq!(reason::<()>(Err(ended)), Reason::NotServing);
    running.stopped().await.unwrap();
    world.start().await;
    world.put("bert", "US").await;
    let (rest, _) = world.told(&cursor, &[]).await;
    assert_eq!(facts(&rest), [(EventKind::SubjectPut, "bert".to_owned(), START)]);
}

async fn a_slow_reader_ends_and_loses_nothing(mut world: World) {
    world.reconfigure(|config| config.feed.patience = Span::from_millis(200)).await;
    world.announce("sharing", opt_out()).await;
    let ids: Vec<String> = (0..16).map(|n| format!("p{n}")).collect();
    for id in &ids {
        world.put(id, "US").await;
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    world.link(&ids).await.unwrap();
    let many = (0..150).map(|n| world.withdraw(ids[n % 16], &[ADS]));
    futures::future::join_all(many).await;
    let all = world.told(&[], &[]).await.0;
    assert!(all.len() > 2_000);

    // A connection that holds less than a step.
    let endpoint = world.endpoint().initial_stream_window_size(65_535);
    let endpoint = endpoint.initial_connection_window_size(65_535);
    let mut client = ConsentServiceClient::new(endpoint.connect_lazy());
    let caller = Caller::named(Role::Service, "slow-svc");
    let request = world.from(&caller, WatchChangesRequest::default());
    let mut stream = client.watch_changes(request).await.unwrap().into_inner();
    let first = step(&mut stream).await.unwrap();
    // Being slow is what this is about.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let (mut cursor, mut told) = (first.cursor, first.events);
    let ended = loop {
        match step(&mut stream).await {
            Ok(step) => {
                told.extend(step.events);
                cursor = step.cursor;
            }
            Err(status) => break status,
        }
    };
    assert_eq!(reason::<()>(Err(ended)), Reason::ReaderTooSlow);
    assert!(told.len() < all.len());
    told.extend(world.told(&cursor, &[]).await.0);
    assert_eq!(facts(&told), facts(&all));
}
