use proto::{audience::v1 as wire, errors::v1::Reason};

use crate::{
    rows::{fresh, reason},
    world::{World, on_both_stores},
};

on_both_stores!(a_business_is_known_once_it_was_put, requests_are_done_once);

fn put(name: &str) -> wire::PutBusinessRequest {
    wire::PutBusinessRequest {
        request_id: fresh("put"),
        business_id: "shop".to_owned(),
        display_name: name.to_owned(),
        owner_id: "shop-ltd".to_owned(),
    }
}

fn create() -> wire::CreateAudienceRequest {
    wire::CreateAudienceRequest {
        request_id: fresh("aud"),
        display_name: "Customers".to_owned(),
        customer_source: wire::CustomerSource::Both.into(),
        ..Default::default()
    }
}

async fn a_business_is_known_once_it_was_put(world: World) {
    let callers = world.callers();
    let get = || wire::GetBusinessRequest { business_id: "shop".to_owned() };
    let unknown = callers.admin().get_business(get()).await.unwrap_err();
    assert_eq!(reason(&unknown), Reason::BusinessUnknown);
    let unknown = callers.shop().create_audience(create()).await.unwrap_err();
    assert_eq!(reason(&unknown), Reason::BusinessUnknown);

    let made = callers.admin().put_business(put("Shop")).await.unwrap().into_inner();
    world.advance(std::time::Duration::from_secs(5));
    callers.admin().put_business(put("New shop")).await.unwrap();
    let found = callers.admin().get_business(get()).await.unwrap().into_inner().business.unwrap();
    assert_eq!(found.display_name, "New shop");
    assert_eq!(found.created_at, made.business.unwrap().created_at);

    callers.shop().create_audience(create()).await.unwrap();
    let mut former = callers.business_of("shop", "former-owner");
    let refused = former.create_audience(create()).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::NotOwnData);
}

async fn requests_are_done_once(world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    let request = create();
    let first = callers.shop().create_audience(request.clone()).await.unwrap().into_inner();
    let again = callers.shop().create_audience(request.clone()).await.unwrap().into_inner();
    assert_eq!(first, again);
    let list = callers.shop().list_audiences(wire::ListAudiencesRequest::default()).await.unwrap();
    assert_eq!(list.into_inner().audiences.len(), 1);

    let other =
        wire::CreateAudienceRequest { display_name: "Others".to_owned(), ..request.clone() };
    let refused = callers.shop().create_audience(other).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::RequestIdReused);

    // Another business may happen to choose the same id.
    callers.open_business("bank").await;
    let mut bank = callers.business_of("bank", "bank-ltd");
    let theirs = bank.create_audience(request).await.unwrap().into_inner();
    assert_ne!(theirs.audience.unwrap().audience_id, first.audience.unwrap().audience_id);
}
