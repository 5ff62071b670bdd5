use std::collections::BTreeSet;

use proto::{audience::v1 as wire, errors::v1::Reason};

use crate::{
    rows::{crowd, fresh, opening, reason},
    world::{World, on_both_stores},
};

on_both_stores!(
    pages_list_each_audience_once_newest_first,
    an_audience_is_changed_and_deleted,
    bad_fields_are_named_together,
    foreign_businesses_see_nothing,
);

async fn pages_list_each_audience_once_newest_first(world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    let mut made = Vec::new();
    for n in 0..7 {
        made.push(callers.create_audience().await);
        if n % 2 == 0 {
            world.advance(std::time::Duration::from_secs(1));
        }
    }
    let mut listed = Vec::new();
    let mut times = Vec::new();
    let mut request = wire::ListAudiencesRequest { page_size: 3, page_token: String::new() };
    loop {
        let page = callers.shop().list_audiences(request.clone()).await.unwrap().into_inner();
        times.extend(page.audiences.iter().map(|one| one.created_at.unwrap().seconds));
        listed.extend(page.audiences.into_iter().map(|one| one.audience_id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(listed.len(), 7);
    assert_eq!(listed.iter().collect::<BTreeSet<_>>(), made.iter().collect());
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");

    callers.open_business("bank").await;
    let mut bank = callers.business_of("bank", "bank-ltd");
    let refused = bank.list_audiences(request).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::PageTokenInvalid);
}

async fn an_audience_is_changed_and_deleted(world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    let id = callers.create_audience().await;
    let change = wire::UpdateAudienceRequest {
        request_id: fresh("update"),
        audience_id: id.clone(),
        description: Some("Bought last year".to_owned()),
        ..Default::default()
    };
    let changed = callers.shop().update_audience(change).await.unwrap().into_inner();
    let changed = changed.audience.unwrap();
    assert_eq!(changed.display_name, "Customers");
    assert_eq!(changed.description, "Bought last year");
    assert_eq!(changed.state(), wire::AudienceState::Empty);
    assert_eq!(changed.membership_lifetime.unwrap().seconds, 180 * 86_400);

    let upload = callers.open_upload(&id, wire::UploadMode::Add).await;
    let delete =
        wire::DeleteAudienceRequest { request_id: fresh("delete"), audience_id: id.clone() };
    callers.shop().delete_audience(delete.clone()).await.unwrap();
    callers.shop().delete_audience(delete).await.unwrap();
    let gone = callers.shop().get_audience(wire::GetAudienceRequest { audience_id: id }).await;
    assert_eq!(reason(&gone.unwrap_err()), Reason::AudienceUnknown);
    let gone = callers.shop().get_upload(wire::GetUploadRequest { upload_id: upload }).await;
    assert_eq!(reason(&gone.unwrap_err()), Reason::UploadUnknown);
}

async fn bad_fields_are_named_together(world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    let create = wire::CreateAudienceRequest {
        membership_lifetime: Some(prost_types::Duration { seconds: 541 * 86_400, nanos: 0 }),
        ..Default::default()
    };
    let refused = callers.shop().create_audience(create).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::FieldsInvalid);
    for field in ["request_id", "display_name", "customer_source", "membership_lifetime"] {
        assert!(refused.message().contains(field), "{field}: {}", refused.message());
    }
    let open = wire::CreateUploadRequest {
        may_use_list: false,
        default_region: "ZZ".to_owned(),
        ..opening("x", wire::UploadMode::Unspecified)
    };
    let refused = callers.shop().create_upload(open).await.unwrap_err();
    for field in ["may_use_list", "mode", "default_region"] {
        assert!(refused.message().contains(field), "{field}: {}", refused.message());
    }
}

async fn foreign_businesses_see_nothing(world: World) {
    let callers = world.callers();
    for business in ["shop", "bank"] {
        callers.open_business(business).await;
    }
    callers.gather_crowd().await;
    let audience = callers.create_audience().await;
    callers.upload(&audience, wire::UploadMode::Add, crowd()).await;
    let upload = callers.open_upload(&audience, wire::UploadMode::Add).await;

    let mut bank = callers.business_of("bank", "bank-ltd");
    let list = bank.list_audiences(wire::ListAudiencesRequest::default()).await.unwrap();
    assert!(list.into_inner().audiences.is_empty());
    let audience_id = audience.clone();
    let found = bank.get_audience(wire::GetAudienceRequest { audience_id }).await;
    assert_eq!(reason(&found.unwrap_err()), Reason::AudienceUnknown);
    let found = bank.create_upload(opening(&audience, wire::UploadMode::Add)).await;
    assert_eq!(reason(&found.unwrap_err()), Reason::AudienceUnknown);
    let upload_id = upload.clone();
    let found = bank.get_upload(wire::GetUploadRequest { upload_id }).await;
    assert_eq!(reason(&found.unwrap_err()), Reason::UploadUnknown);
    let batch = crate::rows::batch(&upload, 0, crowd());
    let refused = crate::rows::append(&mut bank, vec![batch]).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::UploadUnknown);
    let commit = wire::CommitUploadRequest {
        request_id: fresh("commit"),
        upload_id: upload,
        batch_count: 1,
    };
    let refused = bank.commit_upload(commit).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::UploadUnknown);
    let term = wire::expression_term::Term::AudienceId(audience);
    let estimate = wire::EstimateReachRequest {
        request_id: fresh("reach"),
        expression: Some(wire::Expression {
            include: vec![wire::ExpressionTerm { term: Some(term) }],
            ..Default::default()
        }),
    };
    let refused = bank.estimate_reach(estimate).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::AudienceUnknown);
}
