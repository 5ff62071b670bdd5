//! What is sent again is applied once.

use proto::{consent::v1::*, errors::v1::Reason, options::v1::Role};
use service_kit::auth::Caller;

use crate::harness::*;

on_every_store!(
    the_same_again,
    after_its_retention_a_request_is_new,
    at_the_same_time,
    under_load_every_write_counts_once
);

async fn the_same_again(mut world: World) {
    let spec = opt_out();
    let create = CreatePolicyRequest {
        request_id: "create".to_owned(),
        policy_id: "sharing".to_owned(),
        spec: Some(spec.clone()),
    };
    let created = world.policies().create_policy(world.admin(create.clone())).await.unwrap();
    let policy = created.get_ref().policy.clone().unwrap().r#ref.unwrap();
    let publish =
        PublishPolicyRequest { request_id: "publish".to_owned(), policy: Some(policy.clone()) };
    let published = world.policies().publish_policy(world.admin(publish.clone())).await.unwrap();
    let again = world.policies().create_policy(world.admin(create)).await.unwrap();
    assert_eq!(again.into_inner(), created.into_inner(), "a draft then, and in the answer now");
    let again = world.policies().publish_policy(world.admin(publish)).await.unwrap();
    assert_eq!(again.into_inner(), published.into_inner());

    let person = world.person("tom", "US");
    let put = world.put_as(person.clone()).await;
    let decision = world.decision("tom", &policy, &spec, &[SHARE, ADS]);
    let decided = world.decide(decision.clone()).await.unwrap();
    world.withdraw("tom", &[ADS]).await.unwrap();
    world.advance_to(START + DAY);
    world.restart().await;
    assert_eq!(world.put_as(person.clone()).await, put);
    assert_eq!(world.decide(decision.clone()).await.unwrap(), decided);
    assert!(!world.granted("tom", ADS).await, "the decision was not applied again");
    assert_eq!(world.events("tom").await.len(), 3);

    // Other content, another method, another subject: refused.
    let mut other = decision.clone();
    other.choices[0].granted = false;
    assert_eq!(reason(world.decide(other).await), Reason::RequestIdReused);
    let mut other = decision.clone();
    other.subject_id = "una".into();
    assert_eq!(reason(world.decide(other).await), Reason::RequestIdReused);
    let message = SetObjectionSignalRequest {
        request_id: decision.request_id.clone(),
        subject_id: "tom".to_owned(),
        objects: true,
    };
    let answer = world.consent().set_objection_signal(world.app(message.clone())).await;
    assert_eq!(reason(answer), Reason::RequestIdReused);
    // Another caller's request ids are its own.
    for caller in [Caller::named(Role::App, "other"), Caller::user("tom")] {
        let request = world.from(&caller, message.clone());
        world.consent().set_objection_signal(request).await.unwrap();
    }
    // A request that was refused may be sent again when it has become right.
    let early = world.person("una", "US");
    let withdrawal = WithdrawRequest {
        request_id: "early".to_owned(),
        subject_id: "una".to_owned(),
        purpose_ids: vec![ADS.to_owned()],
    };
    let refused = world.consent().withdraw(world.app(withdrawal.clone())).await;
    assert_eq!(reason(refused), Reason::SubjectUnknown);
    world.put_as(early).await;
    world.consent().withdraw(world.app(withdrawal)).await.unwrap();
}

async fn at_the_same_time(world: World) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("vera", "US").await;
    let decision = world.decision("vera", &policy, &spec, &[SHARE]);
    let sendings = (0..32).map(|_| world.decide(decision.clone()));
    let answers = futures::future::join_all(sendings).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(world.events("vera").await.len(), 2);

    let spec = Some(spec);
    let create = CreatePolicyRequest { request_id: "one".into(), policy_id: "p".into(), spec };
    let sendings = (0..8).map(|_| {
        let request = world.admin(create.clone());
        let mut client = world.policies();
        async move { client.create_policy(request).await.unwrap().into_inner() }
    });
    let answers = futures::future::join_all(sendings).await;
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
}

async fn under_load_every_write_counts_once(world: World) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    // Many subjects at once, refusals among them, and many writes to one subject.
    let (world, spec, policy) = (&world, &spec, &policy);
    let many = (0..200).map(|number| async move {
        let id = format!("subject-{number}");
        world.put(&id, if number % 7 == 0 { "DE" } else { "US" }).await;
        let answer = world.decide(world.decision(&id, policy, spec, &[SHARE])).await;
        assert_eq!(answer.is_ok(), number % 7 != 0);
    });
    futures::future::join_all(many).await;
    world.put("wanda", "US").await;
    let flips = (0..100).map(|number| {
        let yes: &[&str] = if number % 2 == 0 { &[SHARE, ADS] } else { &[] };
        world.decide(world.decision("wanda", policy, spec, yes))
    });
    let mut revisions: Vec<u64> =
        futures::future::join_all(flips).await.into_iter().map(|a| a.unwrap().revision).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (2..=101).collect::<Vec<u64>>());
    for number in 0..200 {
        assert_eq!(world.granted(&format!("subject-{number}"), SHARE).await, number % 7 != 0);
    }
}

async fn after_its_retention_a_request_is_new(world: World) {
    let person = world.person("tom", "US");
    world.put_as(person.clone()).await;
    let moved = PutSubjectRequest { jurisdiction: "DE".to_owned(), ..person };
    world.advance_to(START + 6 * DAY);
    let refused = world.consent().put_subject(world.app(moved.clone())).await;
    assert_eq!(reason(refused), Reason::RequestIdReused);
    world.advance_to(START + 8 * DAY);
    // What is old is forgotten in the background.
    let put = async {
        loop {
            match world.consent().put_subject(world.app(moved.clone())).await {
                Ok(put) => return put.into_inner().subject.unwrap(),
                Err(still) => assert_eq!(reason::<()>(Err(still)), Reason::RequestIdReused),
            }
            // It may have looked just before the clock was moved.
            world.clock.advance(std::time::Duration::from_mins(1));
        }
    };
    let put = tokio::time::timeout(std::time::Duration::from_secs(20), put).await.unwrap();
    assert_eq!(put.jurisdiction, "DE");
}
