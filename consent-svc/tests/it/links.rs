//! Accounts of one person: each gets the strictest answer of all.

use proto::{
    consent::v1::{
        DecisionReason::{Explicit, LinkedSubject, NoticeNotServed, Withdrawn},
        EventKind, LinkSubjectsRequest, PolicyRef, PolicySpec, UnlinkSubjectsRequest,
    },
    errors::v1::Reason,
};

use crate::{calls::*, harness::*};

on_every_store!(
    the_strictest_answer_everywhere,
    links_are_transitive,
    a_withdrawal_is_denied_for_all_at_once,
    whatever_changes_one_changes_all,
    unlinking_restores,
    at_most_sixteen,
    what_cannot_be_linked,
    the_same_again,
    who_is_erased_leaves,
);

/// People who agreed to everything.
pub(crate) async fn agreed(world: &World, people: &[&str]) -> (PolicyRef, PolicySpec) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    for id in people {
        world.put(id, "US").await;
        world.decide(world.decision(id, &policy, &spec, &all(&spec))).await.unwrap();
    }
    (policy, spec)
}

pub(crate) fn all(spec: &PolicySpec) -> Vec<&str> {
    spec.purposes.iter().map(|purpose| purpose.purpose_id.as_str()).collect()
}

async fn the_strictest_answer_everywhere(world: World) {
    let (policy, spec) = agreed(&world, &["work", "home"]).await;
    world.put("old", "US").await;
    world.advance_to(START + 1);
    world.decide(world.decision("old", &policy, &spec, &[SHARE])).await.unwrap();
    assert_eq!(world.everywhere("work", ADS).await, (true, Explicit, None));
    assert_eq!(world.link(&["work", "old"]).await.unwrap(), ["old", "work"]);
    assert_eq!(world.everywhere("work", ADS).await, (false, LinkedSubject, None));
    assert_eq!(world.everywhere("work", SHARE).await, (true, Explicit, None));
    assert_eq!(world.everywhere("old", ADS).await, (false, Explicit, None));
    assert_eq!(world.everywhere("home", ADS).await, (true, Explicit, None));

    // The feed tells of both, with the answers that hold now.
    let (events, _) = world.told(&[], &[ADS]).await;
    let about = |id: &str| {
        let mut linked = events.iter().filter(|event| event.kind() == EventKind::Linked);
        answer(linked.find(|event| event.subject_id == id).unwrap(), ADS)
    };
    assert_eq!(about("work"), (false, LinkedSubject, None));
    assert_eq!(about("old"), (false, Explicit, None));

    // Deadlines are those of all: a window that lapses on one account ends the other's answer.
    world.put("new", "US").await;
    world.serve_notice("new", &policy, &spec).await.unwrap();
    world.link(&["home", "new"]).await.unwrap();
    let lapse = world.now() + 30 * DAY;
    assert_eq!(world.everywhere("home", ADS).await, (false, LinkedSubject, Some(lapse)));
    world.advance_to(lapse - 1);
    assert_eq!(world.everywhere("home", ADS).await, (false, LinkedSubject, Some(lapse)));
    world.advance_to(lapse);
    assert_eq!(world.everywhere("home", ADS).await, (true, Explicit, None));
}

async fn links_are_transitive(world: World) {
    let people = ["a", "b", "c", "d", "e"];
    let (policy, spec) = agreed(&world, &people).await;
    world.put("refuses", "US").await;
    world.decide(world.decision("refuses", &policy, &spec, &[])).await.unwrap();
    world.link(&["a", "b"]).await.unwrap();
    world.link(&["d", "c"]).await.unwrap();
    world.link(&["e", "refuses"]).await.unwrap();
    assert!(world.granted("a", ADS).await && world.granted("c", ADS).await);
    // One of each pair is named; all four are linked.
    assert_eq!(world.link(&["b", "c"]).await.unwrap(), ["a", "b", "c", "d"]);
    assert!(world.granted("a", ADS).await);
    let linked = world.link(&["d", "e"]).await.unwrap();
    assert_eq!(linked, ["a", "b", "c", "d", "e", "refuses"]);
    for id in people {
        assert_eq!(world.everywhere(id, ADS).await, (false, LinkedSubject, None), "{id}");
    }
}

async fn a_withdrawal_is_denied_for_all_at_once(world: World) {
    for round in 0..20 {
        let ids: Vec<String> = (0..4).map(|n| format!("p{round}-{n}")).collect();
        let people: Vec<&str> = ids.iter().map(String::as_str).collect();
        let spec = opt_out();
        let policy = match round {
            0 => agreed(&world, &people).await.0,
            _ => PolicyRef { policy_id: "sharing".to_owned(), version: 1 },
        };
        for id in &people[..] {
            world.put(id, "US").await;
            world.decide(world.decision(id, &policy, &spec, &all(&spec))).await.unwrap();
        }
        world.link(&people).await.unwrap();
        // Twice, so that whatever can be kept is.
        for id in people.iter().chain(&people) {
            assert!(world.granted(id, ADS).await);
        }
        world.withdraw(people[round % 4], &[ADS]).await.unwrap();
        for (n, id) in people.iter().enumerate() {
            let reason = if n == round % 4 { Withdrawn } else { LinkedSubject };
            assert_eq!(world.check(id, ADS).await, (false, reason, None), "{id}");
        }
        assert!(world.granted(people[0], SHARE).await);
        // And a yes counts for all again.
        let again = world.decision(people[round % 4], &policy, &spec, &all(&spec));
        world.decide(again).await.unwrap();
        for id in &people {
            assert!(world.granted(id, ADS).await, "{id}");
        }
    }
}

async fn whatever_changes_one_changes_all(world: World) {
    agreed(&world, &["one", "other"]).await;
    world.link(&["one", "other"]).await.unwrap();
    assert!(world.granted("other", ADS).await);
    world.advance_to(START + 1);
    world.object("one", true).await;
    assert_eq!(world.everywhere("other", ADS).await.1, LinkedSubject);
    world.object("one", false).await;
    assert!(world.granted("other", ADS).await);
    // A move to where nothing was agreed to.
    let german = PolicySpec { jurisdictions: vec!["DE".to_owned()], ..opt_in() };
    world.announce("german", german).await;
    assert!(world.granted("other", ADS).await);
    world.put("one", "DE").await;
    assert_eq!(world.everywhere("other", ADS).await.1, LinkedSubject);
    assert_eq!(world.everywhere("one", ADS).await.1, NoticeNotServed);
    world.put("one", "US").await;
    assert!(world.granted("other", ADS).await);
    // A child has no yes of its own.
    world.put_child("one", "US").await;
    assert_eq!(world.everywhere("other", ADS).await.1, LinkedSubject);
}

async fn unlinking_restores(world: World) {
    use EventKind::{DecisionRecorded, Linked, SubjectPut, Unlinked};
    agreed(&world, &["a", "b", "c", "d"]).await;
    world.link(&["a", "b", "c", "d"]).await.unwrap();
    world.withdraw("d", &[ADS]).await.unwrap();
    world.withdraw("c", &[MESSAGES]).await.unwrap();
    assert!(!world.granted("a", ADS).await && !world.granted("a", MESSAGES).await);
    world.unlink(&["d"]).await.unwrap();
    assert_eq!(world.everywhere("a", ADS).await, (true, Explicit, None));
    assert_eq!(world.everywhere("d", MESSAGES).await, (true, Explicit, None));
    assert_eq!(world.everywhere("b", MESSAGES).await, (false, LinkedSubject, None));
    // Several at once are linked to nobody after it, not to one another either.
    world.unlink(&["c", "b"]).await.unwrap();
    assert_eq!(world.everywhere("a", MESSAGES).await, (true, Explicit, None));
    assert_eq!(world.everywhere("b", MESSAGES).await, (true, Explicit, None));
    assert_eq!(world.everywhere("c", MESSAGES).await, (false, Withdrawn, None));
    // Who is not linked cannot be unlinked any further, which is no error and no event.
    let before = world.events("a").await.len();
    world.unlink(&["a"]).await.unwrap();
    assert_eq!(world.events("a").await.len(), before);
    let kinds: Vec<EventKind> =
        world.events("a").await.iter().map(proto::consent::v1::Event::kind).collect();
    assert_eq!(kinds, [SubjectPut, DecisionRecorded, Linked, Unlinked, Unlinked]);
}

async fn at_most_sixteen(world: World) {
    let ids: Vec<String> = (0..18).map(|n| format!("p{n:02}")).collect();
    let people: Vec<&str> = ids.iter().map(String::as_str).collect();
    agreed(&world, &people).await;
    assert_eq!(world.link(&people[..15]).await.unwrap().len(), 15);
    world.link(&people[16..]).await.unwrap();
    // 15 and 2 are too many, whichever are named; nothing came of it.
    assert_eq!(reason(world.link(&[people[0], people[17]]).await), Reason::RelationInvalid);
    assert_eq!(world.link(&[people[14], people[15]]).await.unwrap(), ids[..16]);
    assert_eq!(reason(world.link(&[people[3], people[16]]).await), Reason::RelationInvalid);
    world.withdraw(people[15], &[ADS]).await.unwrap();
    for id in &people[..15] {
        assert_eq!(world.check(id, ADS).await.1, LinkedSubject);
    }
    assert!(world.granted(people[16], ADS).await);
    let too_many = violations(world.link(&people[..17]).await);
    assert_eq!(too_many, (Reason::FieldsInvalid, vec!["subject_ids".to_owned()]));
}

async fn what_cannot_be_linked(world: World) {
    agreed(&world, &["a", "b", "gone"]).await;
    assert_eq!(reason(world.link(&["a"]).await), Reason::RelationInvalid);
    assert_eq!(reason(world.link(&["a", "a"]).await), Reason::RelationInvalid);
    assert_eq!(reason(world.link(&["a", "nobody"]).await), Reason::SubjectUnknown);
    assert_eq!(reason(world.unlink(&["a", "nobody"]).await), Reason::SubjectUnknown);
    world.erase("gone").await.unwrap();
    assert_eq!(reason(world.link(&["gone", "a"]).await), Reason::SubjectErased);
    assert_eq!(reason(world.unlink(&["gone"]).await), Reason::SubjectErased);
    let none = violations(world.link(&[]).await);
    assert_eq!(none, (Reason::FieldsInvalid, vec!["subject_ids".to_owned()]));
    assert_eq!(world.events("a").await.len(), 2, "none of it left a trace");
    // One that stands there twice is one.
    assert_eq!(world.link(&["b", "a", "b"]).await.unwrap(), ["a", "b"]);
}

async fn the_same_again(mut world: World) {
    agreed(&world, &["a", "b", "c"]).await;
    let subject_ids = owned(&["a", "b"]);
    let link = LinkSubjectsRequest { request_id: "link".to_owned(), subject_ids };
    let first = world.consent().link_subjects(world.app(link.clone())).await.unwrap();
    world.link(&["b", "c"]).await.unwrap();
    let events = world.events("a").await;
    let again = world.consent().link_subjects(world.app(link.clone())).await.unwrap();
    assert_eq!(again.into_inner(), first.into_inner(), "as it was then");
    // Under another id it finds that they are linked already.
    assert_eq!(world.link(&["a", "b"]).await.unwrap(), ["a", "b", "c"]);
    assert_eq!(world.events("a").await, events);

    let subject_ids = owned(&["a"]);
    let unlink = UnlinkSubjectsRequest { request_id: "unlink".to_owned(), subject_ids };
    world.consent().unlink_subjects(world.app(unlink.clone())).await.unwrap();
    world.link(&["a", "b"]).await.unwrap();
    world.restart().await;
    world.withdraw("c", &[ADS]).await.unwrap();
    world.consent().unlink_subjects(world.app(unlink)).await.unwrap();
    assert_eq!(world.check("a", ADS).await.1, LinkedSubject, "it was not done again");
    let other = LinkSubjectsRequest { subject_ids: owned(&["a", "c"]), ..link };
    let refused = world.consent().link_subjects(world.app(other)).await;
    assert_eq!(reason(refused), Reason::RequestIdReused);
}

async fn who_is_erased_leaves(world: World) {
    agreed(&world, &["a", "b", "c"]).await;
    world.link(&["a", "b", "c"]).await.unwrap();
    world.withdraw("c", &[ADS]).await.unwrap();
    assert_eq!(world.check("a", ADS).await.1, LinkedSubject);
    world.erase("c").await.unwrap();
    assert_eq!(world.everywhere("a", ADS).await, (true, Explicit, None));
    world.withdraw("b", &[ADS]).await.unwrap();
    assert_eq!(world.everywhere("a", ADS).await, (false, LinkedSubject, None));
    // Nobody is told that the others were erased.
    let (events, _) = world.told(&[], &[]).await;
    let erased = events.iter().filter(|event| event.kind() == EventKind::Erased);
    let erased: Vec<&str> = erased.map(|event| event.subject_id.as_str()).collect();
    assert_eq!(erased, ["c"]);
}
