use futures::TryStreamExt as _;
use proto::{audience::v1 as wire, errors::v1::Reason};

use crate::{
    consent::{ADS, TRANSFER, USAGE},
    rows::{crowd_and, external, fresh, reason},
    world::{Callers, World, on_both_stores},
};

on_both_stores!(
    people_learn_who_lists_them_and_under_which_consent,
    whoever_leaves_a_business_is_in_none_of_its_lists_again,
    what_is_kept_of_a_person_is_exported,
    an_erasure_leaves_nothing_of_a_departure,
    nothing_is_stored_of_whoever_leaves_after_an_erasure,
);

async fn explained(callers: &Callers<'_>, subject: &str) -> Vec<wire::AudienceExplanation> {
    let request = wire::ExplainAudiencesRequest {};
    let answer = callers.person(subject).explain_audiences(request).await.unwrap();
    answer.into_inner().explanations
}

async fn leave(callers: &Callers<'_>, subject: &str, business: &str) -> Result<(), tonic::Status> {
    let request =
        wire::LeaveBusinessRequest { request_id: fresh("leave"), business_id: business.to_owned() };
    callers.person(subject).leave_business(request).await.map(drop)
}

async fn shop_lists_ann(world: &World) -> String {
    let callers = world.callers();
    callers.open_business("shop").await;
    callers.gather_crowd().await;
    world.consents.grant_all("ann");
    callers.register_one("ann", vec![external("ann-7")]).await;
    let audience = callers.create_audience().await;
    callers.upload(&audience, wire::UploadMode::Replace, crowd_and(&["ann-7"])).await;
    assert!(callers.is_member("ann", &audience).await);
    audience
}

async fn people_learn_who_lists_them_and_under_which_consent(world: World) {
    shop_lists_ann(&world).await;
    let callers = world.callers();
    let small = callers.create_audience().await;
    world.advance(std::time::Duration::from_hours(24));
    callers.upload(&small, wire::UploadMode::Add, vec![external("ann-7")]).await;
    let expected = wire::AudienceExplanation {
        business_id: "shop".to_owned(),
        display_name: "The shop".to_owned(),
        // The earlier of the two lists, though the later one is too small to be targeted.
        listed_since: "2027-01-15".to_owned(),
        purpose_id: ADS.to_owned(),
        policy_id: "policy".to_owned(),
        policy_version: 3,
    };
    assert_eq!(explained(&callers, "ann").await, std::slice::from_ref(&expected));
    assert!(explained(&callers, "stranger").await.is_empty());
    // Told as well while it is not used.
    world.consents.withdraw("ann", ADS);
    let unused =
        wire::AudienceExplanation { policy_id: String::new(), policy_version: 0, ..expected };
    assert_eq!(explained(&callers, "ann").await, [unused]);
}

async fn whoever_leaves_a_business_is_in_none_of_its_lists_again(world: World) {
    let audience = shop_lists_ann(&world).await;
    let callers = world.callers();
    leave(&callers, "ann", "shop").await.unwrap();
    assert!(!callers.is_member("ann", &audience).await);
    assert!(callers.audiences_of("ann").await.unwrap().is_empty());
    assert!(explained(&callers, "ann").await.is_empty());
    // Whatever it uploads later, and whoever she is then.
    callers.register_one("ann", vec![]).await;
    callers.register_one("ann", vec![external("ann-8")]).await;
    let other = callers.create_audience().await;
    callers.upload(&other, wire::UploadMode::Add, crowd_and(&["ann-8"])).await;
    assert!(callers.audiences_of("ann").await.unwrap().is_empty());
    assert!(callers.is_member("crowd-1", &other).await);
    // Of that business alone.
    callers.open_business("club").await;
    let club = callers.upload_of("club", crowd_and(&["ann-8"])).await;
    assert_eq!(callers.audiences_of("ann").await.unwrap(), [club]);
    let refused = leave(&callers, "ann", "nobodys").await.unwrap_err();
    assert_eq!(reason(&refused), Reason::BusinessUnknown);
}

async fn exported(callers: &Callers<'_>, subject: &str) -> Vec<(String, Vec<(String, String)>)> {
    let request = wire::ExportSubjectDataRequest { subject_id: subject.to_owned() };
    let parts = callers.service().export_subject_data(request).await.unwrap().into_inner();
    let parts: Vec<wire::ExportSubjectDataResponse> = parts.try_collect().await.unwrap();
    let records = parts.into_iter().flat_map(|part| part.records);
    let told = |record: proto::types::v1::ExportRecord| {
        let fields = record.fields.into_iter().map(|field| (field.name, field.value));
        (record.category, fields.collect())
    };
    records.map(told).collect()
}

async fn what_is_kept_of_a_person_is_exported(world: World) {
    shop_lists_ann(&world).await;
    let callers = world.callers();
    callers.open_business("club").await;
    leave(&callers, "ann", "club").await.unwrap();
    for subject in ["ann", "bob"] {
        world.consents.grant(subject, TRANSFER);
        world.consents.grant(subject, USAGE);
    }
    for (app, day, subject) in [
        ("social", "2027-01-15", "ann"),
        ("messenger", "2027-01-15", "ann"),
        ("messenger", "2027-01-15", "bob"),
        ("messenger", "2027-01-14", "bob"),
        ("messenger", "2027-01-14", "ann"),
    ] {
        callers.record(app, day, &[subject]).await;
    }
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let active = |app: &str, day: &str| {
        let fields = vec![field("app_id", app), field("day", day)];
        ("audience.activity".to_owned(), fields)
    };
    let expected = [
        ("audience.registration".to_owned(), vec![field("identifier_keys", "1")]),
        (
            "audience.membership".to_owned(),
            vec![field("business_id", "shop"), field("listed_since", "2027-01-15")],
        ),
        ("audience.departure".to_owned(), vec![field("business_id", "club")]),
        active("messenger", "2027-01-14"),
        active("messenger", "2027-01-15"),
        active("social", "2027-01-15"),
    ];
    assert_eq!(exported(&callers, "ann").await, expected);
    assert!(exported(&callers, "stranger").await.is_empty());
}

async fn nothing_is_stored_of_whoever_leaves_after_an_erasure(world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    world.consents.erase("ann");
    world.until_heard("ann").await;
    let refused = leave(&callers, "ann", "shop").await.unwrap_err();
    assert_eq!(reason(&refused), Reason::SubjectErased);
    assert!(!world.is_in_store("ann").await);
    // Whoever consent-svc says nothing else of may leave.
    leave(&callers, "bob", "shop").await.unwrap();
    assert!(world.is_in_store("bob").await);
}

async fn an_erasure_leaves_nothing_of_a_departure(world: World) {
    shop_lists_ann(&world).await;
    let callers = world.callers();
    leave(&callers, "ann", "shop").await.unwrap();
    assert!(world.is_in_store("ann").await);
    world.consents.erase("ann");
    world.until_acknowledged("ann").await;
    assert!(!world.is_in_store("ann").await);
}
