//! How often callers may call, counted in memory.

use std::{fs, time::Duration};

use futures::stream;
use gateway::{GatewayConfig, QuotaConfig, Rate, RoleQuota};
use proto::{
    audience::v1::{AppendUploadRequest, audience_service_client::AudienceServiceClient},
    consent::v1::{WatchChangesRequest, consent_service_client::ConsentServiceClient},
    errors::v1::Reason,
    options::v1::Role,
    suggest::v1::{SyncContactsRequest, contact_service_client::ContactServiceClient},
};
use service_kit::{
    auth::Caller,
    clock::Clock,
    config::{self, Config, Secret},
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    passing_through::check,
    services::Event,
    world::{World, app, assert_error, business, user},
};

/// Asks for the caller itself.
pub(crate) async fn checked(world: &World, caller: &Caller) -> Result<(), Status> {
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let mut request = world.by(caller, check("anna"));
    // As long as the edge allows: on a busy machine Redis may take its time.
    request.set_timeout(Duration::from_secs(3));
    client.check(request).await.map(drop)
}

/// The time that a refusal names, having made sure that it is one.
#[track_caller]
pub(crate) fn told_to_wait(refused: &Status) -> Duration {
    assert_error(refused, Code::ResourceExhausted, Reason::QuotaExceeded);
    refused.get_details_retry_info().unwrap().retry_delay.unwrap()
}

#[tokio::test]
async fn a_refusal_says_why_and_waiting_as_told_is_enough() {
    let clock = Clock::manual(Clock::system().now());
    let world = World::start_on(clock.clone(), |config| {
        config.service.quota.user.check = Rate { rate: 0.4, burst: 2 };
    })
    .await;
    for _ in 0..2 {
        checked(&world, &user()).await.unwrap();
    }
    let refused = checked(&world, &user()).await.unwrap_err();
    assert_eq!(told_to_wait(&refused), Duration::from_millis(2_500));
    let violations = refused.get_details_quota_failure().unwrap().violations;
    assert_eq!(violations.len(), 1);
    assert_eq!(violations[0].subject, "role:USER");
    assert_eq!(violations[0].description, "CHECK: 0.4 calls a second, 2 at once");
    assert!(!format!("{refused:?}").contains("anna"), "{refused:?}");

    clock.advance(Duration::from_micros(2_499_999));
    let refused = checked(&world, &user()).await.unwrap_err();
    assert_eq!(told_to_wait(&refused), Duration::from_micros(1));
    clock.advance(Duration::from_micros(1));
    checked(&world, &user()).await.unwrap();
    told_to_wait(&checked(&world, &user()).await.unwrap_err());
    // Nobody else's is touched: another person's, another role's.
    checked(&world, &Caller::user("bob")).await.unwrap();
    checked(&world, &Caller::named(Role::App, "anna")).await.unwrap();
}

/// One batch of an upload.
async fn uploaded(world: &World, caller: &Caller) -> Result<(), Status> {
    let mut client = AudienceServiceClient::new(world.channel.clone());
    let batch = AppendUploadRequest { upload_id: "u".to_owned(), ..Default::default() };
    let mut answers = client.append_upload(world.by(caller, stream::iter([batch]))).await?;
    while answers.get_mut().message().await?.is_some() {}
    Ok(())
}

#[tokio::test]
async fn the_businesses_of_one_owner_share_a_quota() {
    let world = World::start_with(|config| {
        config.service.quota.business.bulk = Rate { rate: 0.001, burst: 2 };
    })
    .await;
    uploaded(&world, &business()).await.unwrap();
    uploaded(&world, &Caller::business("second-shop", "shop-ltd")).await.unwrap();
    told_to_wait(&uploaded(&world, &Caller::business("third-shop", "shop-ltd")).await.unwrap_err());
    uploaded(&world, &Caller::business("shop", "other-ltd")).await.unwrap();
}

#[tokio::test]
async fn a_stream_costs_one_call_however_long_it_is() {
    let world = World::start_with(|config| {
        config.service.quota.user.bulk = Rate { rate: 0.001, burst: 1 };
    })
    .await;
    let mut client = ContactServiceClient::new(world.channel.clone());
    let messages = || stream::iter(vec![SyncContactsRequest::default(); 500]);
    client.sync_contacts(world.by(&user(), messages())).await.unwrap();
    let refused = client.sync_contacts(world.by(&user(), messages())).await.unwrap_err();
    told_to_wait(&refused);
    // Another class.
    checked(&world, &user()).await.unwrap();
}

#[tokio::test]
async fn one_person_cannot_hold_all_places() {
    let mut world = World::start_with(|config| {
        config.service.quota.user.max_in_progress = 2;
    })
    .await;
    let hangs = || {
        let mut client = ConsentServiceClient::new(world.channel.clone());
        let request = world.by(&user(), check("hangs"));
        tokio::spawn(async move { client.check(request).await })
    };
    let calls = [hangs(), hangs()];
    for _ in &calls {
        assert!(matches!(world.noticed().await, Event::Called(_)));
    }
    let refused = checked(&world, &user()).await.unwrap_err();
    assert!(told_to_wait(&refused) > Duration::ZERO);
    let violations = refused.get_details_quota_failure().unwrap().violations;
    assert_eq!(violations[0].description, "at most 2 calls in progress");
    checked(&world, &Caller::user("bob")).await.unwrap();
    assert!(matches!(world.noticed().await, Event::Called(_)));

    calls[0].abort();
    assert!(matches!(world.noticed().await, Event::Dropped));
    checked(&world, &user()).await.unwrap();
}

#[tokio::test]
async fn a_call_is_in_progress_until_its_answer_has_ended() {
    let mut world = World::start_with(|config| {
        config.service.quota.app.max_in_progress = 1;
    })
    .await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let watch = |world: &World, cursor: &str| {
        world.by(&app(), WatchChangesRequest { cursor: cursor.into(), ..Default::default() })
    };
    let mut answers = client.watch_changes(watch(&world, "")).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());
    told_to_wait(&checked(&world, &app()).await.unwrap_err());
    drop(answers);
    assert!(matches!(world.noticed().await, Event::Dropped));
    // Three messages and an error: an end too.
    let mut answers = client.watch_changes(watch(&world, "three")).await.unwrap().into_inner();
    while let Ok(Some(_)) = answers.message().await {}
    checked(&world, &app()).await.unwrap();
}

#[tokio::test]
async fn without_quotas_nobody_is_refused() {
    let world = World::start_with(|config| {
        let nothing = Rate { rate: 0.001, burst: 1 };
        config.service.quota.user = RoleQuota { check: nothing, ..config.service.quota.user };
        config.service.quota.enabled = false;
    })
    .await;
    for _ in 0..100 {
        checked(&world, &user()).await.unwrap();
    }
}

fn read(text: &str) -> Result<QuotaConfig, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let read: Result<Config<GatewayConfig>, _> = config::load("gateway", Some(file.path()), []);
    read.map(|config| config.service.quota).map_err(|error| error.to_string())
}

#[test]
fn what_a_roles_table_does_not_give_keeps_its_default() {
    let quota = read("[quota.app]\nmax_in_progress = 7\nread = { rate = 0.5, burst = 3 }").unwrap();
    let default = RoleQuota::of(Role::App);
    let expected = RoleQuota { max_in_progress: 7, read: Rate { rate: 0.5, burst: 3 }, ..default };
    assert_eq!(quota.app, expected);
    assert_eq!(quota.user, RoleQuota::of(Role::User));
    assert_eq!(quota.ad_server, RoleQuota::of(Role::AdServer));
    let whole = read("[quota.user.check]\nrate = 3\nburst = 4").unwrap();
    assert_eq!(whole.user.check, Rate { rate: 3.0, burst: 4 });
    assert_eq!(
        read("[quota.user]\nchek = 1\n[quota.somebody]\nx = 1").unwrap_err(),
        "unknown keys: quota.somebody, quota.user.chek"
    );
}

#[tokio::test]
async fn limits_that_cannot_be_meant_are_all_named() {
    use crate::start::refused_config;
    let refused = refused_config(|config| {
        let quota = &mut config.quota;
        quota.replicas = 0;
        quota.redis_url = Secret::new("http://:hunter2@redis");
        quota.user.check = Rate { rate: 0.0, burst: 1 };
        quota.app.read = Rate { rate: f64::NAN, burst: 0 };
        quota.admin.bulk = Rate { rate: 0.000_1, burst: 1_000 };
        quota.business.max_in_progress = 0;
    })
    .await;
    for part in [
        "quota.replicas: ",
        "quota.redis_url: not the URL of a Redis",
        "quota.user.check.rate: ",
        "quota.app.read.rate: ",
        "quota.app.read.burst: ",
        "quota.admin.bulk: ",
        "quota.business.max_in_progress: ",
    ] {
        assert!(refused.contains(part), "{part} is not in {refused}");
    }
    assert!(!refused.contains("hunter2"));
}
