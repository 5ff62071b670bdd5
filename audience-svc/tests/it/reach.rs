use proto::{
    audience::v1::{self as wire, expression_term::Term},
    errors::v1::Reason,
};
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::{
    consent::ADS,
    rows::{batch, crowd, crowd_and, external, fresh, person, reason},
    world::{Callers, World, on_both_stores},
};

on_both_stores!(
    a_size_is_drawn_once_and_given_again,
    a_budget_is_the_owners_and_renews,
    expressions_combine_lists,
    expressions_without_meaning_are_refused,
    a_commit_without_consent_svc_is_done_and_sized_later,
    a_list_is_never_targeted_by_the_size_of_an_earlier_one,
    every_bad_term_is_named,
);

fn list(id: &str) -> wire::ExpressionTerm {
    wire::ExpressionTerm { term: Some(Term::AudienceId(id.to_owned())) }
}

fn nested(expression: wire::Expression) -> wire::ExpressionTerm {
    wire::ExpressionTerm { term: Some(Term::Expression(expression)) }
}

fn any(include: Vec<wire::ExpressionTerm>) -> wire::Expression {
    wire::Expression { include, ..Default::default() }
}

fn all(intersect: Vec<wire::ExpressionTerm>) -> wire::Expression {
    wire::Expression { intersect, ..Default::default() }
}

async fn estimate(
    callers: &Callers<'_>,
    expression: wire::Expression,
) -> Result<wire::ReachEstimate, Status> {
    let request =
        wire::EstimateReachRequest { request_id: fresh("reach"), expression: Some(expression) };
    let answer = callers.shop().estimate_reach(request).await?;
    Ok(answer.into_inner().reach.unwrap())
}

/// 3,000 more people, `more-<n>`.
async fn gather_more(world: &World) {
    let people = (0..3_000).map(|n| {
        let subject = format!("more-{n}");
        world.consents.grant_all(&subject);
        person(&subject, vec![external(&subject)])
    });
    world.callers().register_all(people.collect()).await;
}

fn more(range: std::ops::Range<usize>) -> Vec<proto::types::v1::Identifier> {
    range.map(|n| external(&format!("more-{n}"))).collect()
}

async fn a_size_is_drawn_once_and_given_again(world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    callers.gather_crowd().await;
    let audience = callers.create_audience().await;
    let done = callers.upload(&audience, wire::UploadMode::Add, crowd()).await;
    let size = done.audience.unwrap().size.unwrap();
    assert!(!size.below_minimum);
    assert!((size.lower_bound..=size.upper_bound + 300).contains(&1_500), "{size:?}");

    // Whoever stops agreeing changes nothing of what was released.
    for n in 0..1_000 {
        world.consents.withdraw(&format!("crowd-{n}"), ADS);
    }
    world.consents.erase("nobody");
    world.until_heard("nobody").await;
    world.advance(std::time::Duration::from_mins(1));
    for same in [any(vec![list(&audience)]), all(vec![nested(any(vec![list(&audience)]))])] {
        assert_eq!(estimate(&callers, same).await.unwrap(), size);
    }
    assert!(callers.is_member("crowd-1000", &audience).await);
    // A new list, though it has the same rows, is drawn anew; people who did not agree to ads are
    // not counted.
    let done = callers.upload(&audience, wire::UploadMode::Replace, crowd()).await;
    let told = done.audience.unwrap();
    assert!(told.size.unwrap().below_minimum && !told.targetable);
    assert!(!callers.is_member("crowd-1000", &audience).await);
}

/// The default budget, used up: no attack gets more from one owner in 30 days.
async fn a_budget_is_the_owners_and_renews(world: World) {
    let callers = world.callers();
    for business in ["shop", "branch"] {
        let request = wire::PutBusinessRequest {
            request_id: fresh("put"),
            business_id: business.to_owned(),
            display_name: business.to_owned(),
            owner_id: "shop-ltd".to_owned(),
        };
        callers.admin().put_business(request).await.unwrap();
    }
    let draw = async |business: &str| {
        let mut business = callers.business_of(business, "shop-ltd");
        let request = wire::CreateAudienceRequest {
            request_id: fresh("aud"),
            display_name: "Customers".to_owned(),
            customer_source: wire::CustomerSource::UserProvided.into(),
            ..Default::default()
        };
        let made = business.create_audience(request).await.unwrap().into_inner().audience;
        let audience = made.unwrap().audience_id;
        let request = wire::EstimateReachRequest {
            request_id: fresh("reach"),
            expression: Some(any(vec![list(&audience)])),
        };
        (audience, business.estimate_reach(request).await)
    };
    let (first, drawn) = draw("shop").await;
    let size = drawn.unwrap().into_inner().reach.unwrap();
    world.advance(std::time::Duration::from_hours(1));
    for n in 1..300 {
        draw(if n % 2 == 0 { "shop" } else { "branch" }).await.1.unwrap();
    }
    let (second, refused) = draw("branch").await;
    let refused = refused.unwrap_err();
    assert_eq!(reason(&refused), Reason::QuotaExceeded);
    let details = refused.get_error_details();
    let wait = details.retry_info().unwrap().retry_delay.unwrap();
    assert_eq!(wait, std::time::Duration::from_hours(30 * 24 - 1));
    assert_eq!(details.quota_failure().unwrap().violations[0].subject, "releases");
    // What was released is told for nothing, and a list can be changed without a release.
    assert_eq!(estimate(&callers, any(vec![list(&first)])).await.unwrap(), size);
    let done = callers.upload(&first, wire::UploadMode::Add, vec![external("x")]).await;
    let audience = done.audience.unwrap();
    assert_eq!((audience.size, audience.targetable), (Some(size), false));
    // Another owner has its own.
    callers.open_business("other").await;
    world.advance(wait);
    let mut branch = callers.business_of("branch", "shop-ltd");
    let request = wire::EstimateReachRequest {
        request_id: fresh("reach"),
        expression: Some(any(vec![list(&second)])),
    };
    branch.estimate_reach(request).await.unwrap();
}

async fn expressions_combine_lists(world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    gather_more(&world).await;
    let (first, second) = (callers.create_audience().await, callers.create_audience().await);
    callers.upload(&first, wire::UploadMode::Add, more(0..2_000)).await;
    callers.upload(&second, wire::UploadMode::Add, more(500..3_000)).await;
    let is_near = async |expression, size| {
        let told = estimate(&callers, expression).await.unwrap();
        // Within three standard deviations nearly always, and within seven always.
        let (lower, upper) = (told.lower_bound - 300, told.upper_bound + 300);
        assert!((lower..=upper).contains(&size) && upper - lower < 1_500, "{size}: {told:?}");
    };
    let both = || vec![list(&first), list(&second)];
    is_near(any(both()), 3_000).await;
    is_near(all(both()), 1_500).await;
    let without = wire::Expression { exclude: vec![list(&second)], ..any(vec![list(&first)]) };
    assert!(estimate(&callers, without).await.unwrap().below_minimum);
}

async fn expressions_without_meaning_are_refused(world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    let audience = callers.create_audience().await;
    let mut deep = any(vec![list(&audience), list("aud-x")]);
    for n in 0..4 {
        deep = any(vec![nested(deep), list(&format!("aud-{n}"))]);
    }
    let only_exclude =
        wire::Expression { exclude: vec![list(&audience)], ..wire::Expression::default() };
    for bad in [
        wire::Expression::default(),
        only_exclude,
        any(vec![list(&audience), list(&audience)]),
        any(vec![wire::ExpressionTerm::default()]),
        deep,
    ] {
        let refused = estimate(&callers, bad).await.unwrap_err();
        assert_eq!(reason(&refused), Reason::ExpressionInvalid);
    }
    let unknown = any(vec![list(&audience), list("aud-of-somebody-else")]);
    let refused = estimate(&callers, unknown).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::AudienceUnknown);
    assert!(estimate(&callers, any(vec![list(&audience)])).await.unwrap().below_minimum);
}

async fn a_commit_without_consent_svc_is_done_and_sized_later(world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    callers.gather_crowd().await;
    let audience = callers.create_audience().await;
    let upload = callers.open_upload(&audience, wire::UploadMode::Add).await;
    callers.append(vec![crate::rows::batch(&upload, 0, crowd())]).await.unwrap();
    world.until_deaf().await;
    let done = callers.commit(&upload, 1).await.unwrap().audience.unwrap();
    assert!(done.size.is_none() && !done.targetable);
    world.consents.set_down(false);
    let size = estimate(&callers, any(vec![list(&audience)])).await.unwrap();
    assert!(!size.below_minimum);
    assert!(callers.is_member("crowd-1", &audience).await);
}

async fn told(callers: &Callers<'_>, audience: &str) -> wire::Audience {
    let request = wire::GetAudienceRequest { audience_id: audience.to_owned() };
    callers.shop().get_audience(request).await.unwrap().into_inner().audience.unwrap()
}

/// A list is replaced while consent-svc does not answer, so that no size of the new one is drawn.
async fn replace_unsized(
    world: &World,
    audience: &str,
    rows: Vec<proto::types::v1::Identifier>,
) -> wire::Audience {
    let callers = world.callers();
    let upload = callers.open_upload(audience, wire::UploadMode::Replace).await;
    callers.append(vec![batch(&upload, 0, rows)]).await.unwrap();
    world.until_deaf().await;
    let done = callers.commit(&upload, 1).await.unwrap().audience.unwrap();
    world.consents.set_down(false);
    assert_eq!(told(&callers, audience).await, done);
    done
}

async fn a_list_is_never_targeted_by_the_size_of_an_earlier_one(world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    callers.gather_crowd().await;
    world.consents.grant_all("ann");
    callers.register_one("ann", vec![external("ann")]).await;
    let audience = callers.create_audience().await;
    let done = callers.upload(&audience, wire::UploadMode::Add, crowd_and(&["ann"])).await;
    let first = done.audience.unwrap();
    assert!(first.targetable);
    assert_eq!(callers.audiences_of("ann").await.unwrap(), [&*audience]);

    world.advance(std::time::Duration::from_mins(1));
    let done = replace_unsized(&world, &audience, vec![external("ann")]).await;
    let callers = world.callers();
    assert!(!done.targetable && done.advice.contains("EstimateReach"), "{}", done.advice);
    // The last figure is still told, with its date.
    assert_eq!(done.size, first.size);
    assert!(callers.audiences_of("ann").await.unwrap().is_empty());
    assert!(!callers.is_member("ann", &audience).await);
    // Nor does another change, of its name, make it the size of this list.
    let rename = wire::UpdateAudienceRequest {
        request_id: fresh("rename"),
        audience_id: audience.clone(),
        display_name: "Others".to_owned(),
        ..Default::default()
    };
    callers.shop().update_audience(rename).await.unwrap();
    assert!(!told(&callers, &audience).await.targetable);
    assert!(callers.audiences_of("ann").await.unwrap().is_empty());

    let size = estimate(&callers, any(vec![list(&audience)])).await.unwrap();
    assert!(size.below_minimum);
    let small = told(&callers, &audience).await;
    assert_eq!((small.size, small.targetable), (Some(size), false));
    assert!(callers.audiences_of("ann").await.unwrap().is_empty());

    // A large list without a release waits for one; what is asked of it draws it.
    let done = replace_unsized(&world, &audience, crowd_and(&["ann"])).await;
    assert!(!done.targetable);
    assert!(callers.audiences_of("ann").await.unwrap().is_empty());
    assert!(!estimate(&callers, any(vec![list(&audience)])).await.unwrap().below_minimum);
    assert!(told(&callers, &audience).await.targetable);
    assert_eq!(callers.audiences_of("ann").await.unwrap(), [&*audience]);

    // So does the next commit.
    assert!(!replace_unsized(&world, &audience, vec![external("ann")]).await.targetable);
    let done = callers.upload(&audience, wire::UploadMode::Add, crowd()).await;
    assert!(done.audience.unwrap().targetable);
    assert_eq!(callers.audiences_of("ann").await.unwrap(), [&*audience]);
}

async fn every_bad_term_is_named(world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    let empty = wire::ExpressionTerm::default;
    let inner =
        wire::Expression { exclude: vec![list("aud-c"), empty()], ..wire::Expression::default() };
    let expression = wire::Expression {
        include: vec![empty(), list("aud-a"), nested(wire::Expression::default())],
        intersect: vec![list("aud-b"), list("aud-a"), nested(inner)],
        exclude: vec![empty()],
    };
    let fields = |refused: &Status| {
        let details = refused.get_details_bad_request().unwrap();
        details.field_violations.into_iter().map(|one| one.field).collect::<Vec<_>>()
    };
    let refused = estimate(&callers, expression.clone()).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::ExpressionInvalid);
    let bad = [
        "expression.include[0]",
        "expression.include[2].expression",
        "expression.intersect[1].audience_id",
        "expression.intersect[2].expression.exclude[1]",
        "expression.intersect[2].expression",
        "expression.exclude[0]",
    ];
    assert_eq!(fields(&refused), bad);
    // Together with what is wrong with the rest of the request.
    let request = wire::EstimateReachRequest {
        request_id: "not an id".to_owned(),
        expression: Some(expression),
    };
    let refused = callers.shop().estimate_reach(request).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::FieldsInvalid);
    assert_eq!(fields(&refused), [&["request_id"], &bad[..]].concat());
}
