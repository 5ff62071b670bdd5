use proto::{audience::v1 as wire, errors::v1::Reason};

use crate::{
    consent::{ADS, TRANSFER},
    rows::{crowd, crowd_and, external, reason},
    world::{World, on_both_stores},
};

on_both_stores!(
    whoever_withdraws_is_not_in_the_next_answer,
    consent_svc_is_always_asked,
    without_consent_svc_there_is_no_answer,
    only_targetable_lists_are_told,
);

async fn whoever_withdraws_is_not_in_the_next_answer(world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    callers.gather_crowd().await;
    let audience = callers.create_audience().await;
    callers.upload(&audience, wire::UploadMode::Add, crowd()).await;
    assert_eq!(callers.audiences_of("crowd-1").await.unwrap(), vec![audience.clone()]);
    for (purpose, subject) in [(ADS, "crowd-1"), (TRANSFER, "crowd-2")] {
        assert!(callers.is_member(subject, &audience).await);
        world.consents.withdraw(subject, purpose);
        assert!(callers.audiences_of(subject).await.unwrap().is_empty());
        assert!(!callers.is_member(subject, &audience).await);
    }
    world.consents.grant("crowd-1", ADS);
    assert!(callers.is_member("crowd-1", &audience).await);
}

async fn consent_svc_is_always_asked(world: World) {
    let callers = world.callers();
    assert!(callers.audiences_of("stranger").await.unwrap().is_empty());
    assert!(!callers.is_member("stranger", "aud-unknown").await);
    assert_eq!(world.consents.checked(), ["stranger", "stranger"]);
    world.consents.grant_all("stranger");
    assert!(callers.audiences_of("stranger").await.unwrap().is_empty());
    assert_eq!(world.consents.checked().len(), 3);
    let tokens = world.consents.tokens();
    assert!(
        tokens.iter().all(|token| token.as_ref().is_some_and(|text| text.starts_with("Bearer ")))
    );
}

async fn without_consent_svc_there_is_no_answer(world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    callers.gather_crowd().await;
    let audience = callers.create_audience().await;
    callers.upload(&audience, wire::UploadMode::Add, crowd()).await;
    world.consents.set_down(true);
    for subject in ["crowd-1", "stranger"] {
        let refused = callers.audiences_of(subject).await.unwrap_err();
        assert_eq!(reason(&refused), Reason::DependencyUnavailable);
        let request = wire::CheckMembershipRequest {
            subject_id: subject.to_owned(),
            audience_ids: vec![audience.clone()],
        };
        let refused = callers.ad_server().check_membership(request).await.unwrap_err();
        assert_eq!(reason(&refused), Reason::DependencyUnavailable);
    }
}

async fn only_targetable_lists_are_told(world: World) {
    let callers = world.callers();
    for business in ["shop", "bank"] {
        callers.open_business(business).await;
    }
    callers.gather_crowd().await;
    world.consents.grant_all("ann");
    callers.register_one("ann", vec![external("ann")]).await;
    let small = callers.create_audience().await;
    let done = callers.upload(&small, wire::UploadMode::Add, vec![external("ann")]).await;
    let told = done.audience.unwrap();
    assert!(!told.targetable && told.size.unwrap().below_minimum);
    assert!(told.advice.contains("Too small"), "{}", told.advice);
    assert!(callers.audiences_of("ann").await.unwrap().is_empty());

    let large = callers.create_audience().await;
    callers.upload(&large, wire::UploadMode::Add, crowd_and(&["ann"])).await;
    assert_eq!(callers.audiences_of("ann").await.unwrap(), vec![large.clone()]);
    let request = wire::CheckMembershipRequest {
        subject_id: "ann".to_owned(),
        audience_ids: vec![small, large.clone(), "aud-unknown".to_owned(), large],
    };
    let answer = callers.ad_server().check_membership(request).await.unwrap().into_inner();
    assert_eq!(answer.memberships, [false, true, false, true]);
    for (business, expected) in [("shop", 1), ("bank", 0)] {
        let request = wire::ListSubjectAudiencesRequest {
            subject_id: "ann".to_owned(),
            business_id: business.to_owned(),
        };
        let answer = callers.ad_server().list_subject_audiences(request).await.unwrap();
        assert_eq!(answer.into_inner().audiences.len(), expected, "{business}");
    }
}
