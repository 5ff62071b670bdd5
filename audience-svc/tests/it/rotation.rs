//! From one secret of match keys to the next.

use std::time::Duration;

use audience_svc::{MatchKeyConfig, OlderSecret};
use proto::{
    audience::v1::{
        self as wire,
        MatchKeyVersionState::{self, Current, Next, Older, Unconfigured},
        UploadMode,
    },
    errors::v1::Reason,
};
use service_kit::config::Secret;
use tonic::{Code, Status};

use crate::{
    consent::TRANSFER,
    rows::{batch, external, fresh, person, reason},
    world::{Callers, Engine, World, on_both_stores},
};

on_both_stores!(
    progress_is_told_until_nobody_is_left_under_the_older_version,
    a_version_is_given_up_only_when_no_replica_has_it,
    what_was_done_under_the_older_secret_is_not_done_again,
    a_step_back_is_a_step_forward_with_the_former_secret,
    counts_follow_everybody_who_comes_and_leaves,
    a_replica_of_which_nothing_is_heard_does_not_count,
);

/// The secret of a version; that of the first is the one a world begins with.
fn secret(version: u16) -> Secret {
    Secret::new(["s", "t", "u"][usize::from(version) - 1].repeat(32))
}

/// The configuration with these versions, the newest first.
fn with(versions: &[u16]) -> MatchKeyConfig {
    let (newest, older) = versions.split_first().unwrap();
    let older = older.iter();
    MatchKeyConfig {
        secret: secret(*newest),
        version: *newest,
        older: older.map(|one| OlderSecret { secret: secret(*one), version: *one }).collect(),
    }
}

type Told = Vec<(u32, MatchKeyVersionState, u64, u32)>;

impl Callers<'_> {
    async fn versions(&self) -> Told {
        let mut operator = self.operator();
        let asked = operator.list_match_key_versions(wire::ListMatchKeyVersionsRequest {}).await;
        let told = asked.unwrap().into_inner().versions;
        told.iter().map(|one| (one.version, one.state(), one.people, one.replicas)).collect()
    }

    /// Gives up a version: how many people were removed, and how many are left.
    async fn retire(&self, version: u32) -> Result<(u64, u64), Status> {
        let request = wire::RetireMatchKeyVersionRequest { request_id: fresh("retire"), version };
        let done = self.operator().retire_match_key_version(request).await?.into_inner();
        Ok((done.people_removed, done.people_left))
    }

    /// Registers people who agreed, each with the external id that is their name.
    async fn register_these(&self, subjects: &[&str]) {
        let people = subjects.iter().map(|one| {
            self.world.consents.grant(one, TRANSFER);
            person(one, vec![external(one)])
        });
        self.register_all(people.collect()).await;
    }

    /// Which of these a new list with their names finds.
    async fn found<'s>(&self, subjects: &[&'s str]) -> Vec<&'s str> {
        let audience = self.create_audience().await;
        let rows = subjects.iter().map(|one| external(one)).collect();
        self.upload(&audience, UploadMode::Replace, rows).await;
        let mut found = Vec::new();
        for subject in subjects {
            if self.is_listed(subject, "shop").await {
                found.push(*subject);
            }
        }
        let request =
            wire::DeleteAudienceRequest { request_id: fresh("del"), audience_id: audience };
        self.shop().delete_audience(request).await.unwrap();
        found
    }

    async fn is_listed(&self, subject: &str, business: &str) -> bool {
        let mut person = self.person(subject);
        let asked = person.explain_audiences(wire::ExplainAudiencesRequest {}).await;
        let explained = asked.unwrap().into_inner().explanations;
        explained.iter().any(|one| one.business_id == business)
    }
}

async fn progress_is_told_until_nobody_is_left_under_the_older_version(mut world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    callers.register_these(&["ann", "bob", "cay"]).await;
    assert_eq!(callers.versions().await, [(1, Current, 3, 1)]);

    world.restart_with(with(&[2, 1])).await;
    let callers = world.callers();
    assert_eq!(callers.versions().await, [(2, Current, 0, 1), (1, Older, 3, 1)]);
    callers.register_these(&["ann"]).await;
    assert_eq!(callers.versions().await, [(2, Current, 1, 1), (1, Older, 2, 1)]);
    assert_eq!(callers.found(&["ann", "bob", "cay"]).await, ["ann", "bob", "cay"]);
    // What is all refused leaves a person as they were, keyed as before.
    let refused = person("bob", vec![crate::rows::email("nobody")]);
    assert_eq!(callers.register(vec![refused]).await.unwrap()[0].rejections.len(), 1);
    assert_eq!(callers.versions().await, [(2, Current, 1, 1), (1, Older, 2, 1)]);
    callers.register_these(&["bob", "cay"]).await;
    assert_eq!(callers.versions().await, [(2, Current, 3, 1), (1, Older, 0, 1)]);

    world.restart_with(with(&[2])).await;
    let callers = world.callers();
    assert_eq!(callers.versions().await, [(2, Current, 3, 1)]);
    assert_eq!(callers.found(&["ann", "bob", "cay"]).await, ["ann", "bob", "cay"]);
}

async fn a_version_is_given_up_only_when_no_replica_has_it(mut world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    callers.register_these(&["ann", "bob", "cay"]).await;
    world.restart_with(with(&[2, 1])).await;
    let callers = world.callers();
    callers.register_these(&["ann"]).await;
    callers.open_business("bank").await;
    callers.upload_of("bank", ["ann", "bob"].map(external).to_vec()).await;
    assert!(callers.is_listed("bob", "bank").await);
    let refused = callers.retire(1).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::MatchKeyVersionConfigured);
    assert!(refused.message().contains("1 of 1 replicas"), "{}", refused.message());
    assert_eq!(callers.versions().await, [(2, Current, 1, 1), (1, Older, 2, 1)]);

    world.restart_with(with(&[2])).await;
    let callers = world.callers();
    assert_eq!(callers.versions().await, [(2, Current, 1, 1), (1, Unconfigured, 2, 0)]);
    assert_eq!(callers.found(&["ann", "bob", "cay"]).await, ["ann"]);
    let request = wire::RetireMatchKeyVersionRequest { request_id: fresh("retire"), version: 1 };
    for _ in 0..2 {
        let done = callers.operator().retire_match_key_version(request.clone()).await.unwrap();
        let removed = wire::RetireMatchKeyVersionResponse { people_removed: 2, people_left: 0 };
        assert_eq!(done.into_inner(), removed);
    }
    assert_eq!(callers.versions().await, [(2, Current, 1, 1)]);
    assert!(!world.is_in_store("bob").await && !world.is_in_store("cay").await);
    assert!(world.is_stored("ann").await);
    // Whoever is registered again is new to lists made before.
    callers.register_these(&["bob"]).await;
    assert!(callers.is_listed("ann", "bank").await && !callers.is_listed("bob", "bank").await);
    assert_eq!(callers.found(&["ann", "bob"]).await, ["ann", "bob"]);
    // There is nothing to give up where there is nobody.
    assert_eq!(callers.retire(7).await.unwrap(), (0, 0));
    assert_eq!(callers.versions().await, [(2, Current, 2, 1)]);
    let refused = callers.retire(70_000).await.unwrap_err();
    assert!(refused.message().contains("version"), "{}", refused.message());
}

/// What is sent again is compared with keyed digests of what was sent.
async fn what_was_done_under_the_older_secret_is_not_done_again(mut world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    let request = wire::CreateAudienceRequest {
        request_id: fresh("aud"),
        display_name: "Customers".to_owned(),
        customer_source: wire::CustomerSource::UserProvided.into(),
        ..Default::default()
    };
    let made = callers.shop().create_audience(request.clone()).await.unwrap().into_inner();
    let audience = made.audience.as_ref().unwrap().audience_id.clone();
    let upload = callers.open_upload(&audience, UploadMode::Add).await;
    let first = batch(&upload, 0, vec![external("ann")]);
    callers.append(vec![first.clone()]).await.unwrap();
    for versions in [&[2, 1][..], &[2], &[3, 2], &[3]] {
        world.restart_with(with(versions)).await;
        let callers = world.callers();
        let again = callers.shop().create_audience(request.clone()).await.unwrap().into_inner();
        assert_eq!(again, made);
        let report = callers.append(vec![first.clone()]).await.unwrap();
        assert_eq!(report[0].rows_received, 1);
        assert_eq!(callers.commit(&upload, 2).await.unwrap_err().code(), Code::FailedPrecondition);
        // What was sent under a version that is here is compared.
        let request = wire::CreateAudienceRequest { request_id: fresh("aud"), ..request.clone() };
        callers.shop().create_audience(request.clone()).await.unwrap();
        let other = wire::CreateAudienceRequest { display_name: "Others".to_owned(), ..request };
        let refused = callers.shop().create_audience(other).await.unwrap_err();
        assert_eq!(reason(&refused), Reason::RequestIdReused);
    }
    let listed = world.callers().shop().list_audiences(wire::ListAudiencesRequest::default()).await;
    assert_eq!(listed.unwrap().into_inner().audiences.len(), 5);
}

/// The same secret under two numbers makes the same keys.
async fn a_step_back_is_a_step_forward_with_the_former_secret(mut world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    callers.register_these(&["ann", "bob", "cay"]).await;
    world.restart_with(with(&[2, 1])).await;
    world.callers().register_these(&["bob"]).await;
    let former = MatchKeyConfig { secret: secret(1), ..with(&[3, 2, 1]) };
    world.restart_with(former).await;
    let callers = world.callers();
    callers.register_these(&["ann", "bob"]).await;
    // The identifier of one who is keyed under the first number goes to another.
    callers.register_one("ann", vec![external("ann"), external("cay")]).await;
    assert_eq!(callers.versions().await, [(3, Current, 2, 1), (2, Older, 0, 1), (1, Older, 1, 1)]);
    assert_eq!(callers.found(&["ann", "bob", "cay"]).await, ["ann", "bob"]);
}

async fn counts_follow_everybody_who_comes_and_leaves(mut world: World) {
    let callers = world.callers();
    callers.register_these(&["ann", "bob", "cay", "dan", "eve"]).await;
    world.consents.grant_until("fay", TRANSFER, world.clock.now().get() + 60_000);
    callers.register_one("fay", vec![external("fay")]).await;
    assert_eq!(callers.versions().await, [(1, Current, 6, 1)]);
    world.restart_with(with(&[2, 1])).await;
    let callers = world.callers();
    // Somebody withdraws, somebody is erased, and somebody has no identifiers any more.
    world.consents.withdraw("ann", TRANSFER);
    world.until_gone("ann").await;
    world.consents.erase("bob");
    world.until_gone("bob").await;
    callers.register(vec![person("cay", vec![])]).await.unwrap();
    assert_eq!(callers.versions().await, [(2, Current, 0, 1), (1, Older, 3, 1)]);
    // Somebody takes over the identifier of another, who stays with nothing.
    callers.register_one("eve", vec![external("dan")]).await;
    assert_eq!(callers.versions().await, [(2, Current, 1, 1), (1, Older, 2, 1)]);
    // Somebody lapses by the clock, and comes back as somebody new.
    world.advance(Duration::from_secs(61));
    world.consents.grant("fay", TRANSFER);
    callers.register_one("fay", vec![external("fay")]).await;
    assert_eq!(callers.versions().await, [(2, Current, 2, 1), (1, Older, 1, 1)]);
    for (version, people) in [(1, 1), (2, 2)] {
        let query = "SELECT 1 FROM directory_subject WHERE secret_version = $1";
        assert_eq!(world.rows(query, [version.into()]).await, people);
    }
}

/// Replicas of the configuration before and after run at the same time, in every step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_update_loses_no_match() {
    let mut world = World::start(Engine::Postgres).await;
    world.stop().await;
    let first = world.replica_with(with(&[1])).await;
    let before = world.at(&first);
    before.open_business("shop").await;
    before.register_these(&["ann", "bob"]).await;

    // The new secret comes: nobody is keyed under it before every replica has it.
    let second = world.replica_with(with(&[2, 1])).await;
    let after = world.at(&second);
    after.register_these(&["cay", "ann"]).await;
    before.register_these(&["dan"]).await;
    let everybody = ["ann", "bob", "cay", "dan"];
    for callers in [&before, &after] {
        assert_eq!(callers.found(&everybody).await, everybody);
        assert_eq!(callers.versions().await, [(2, Next, 0, 1), (1, Current, 4, 2)]);
    }
    // An identifier that moves, by either, finds nobody else any more.
    after.register_one("cay", vec![external("bob"), external("cay")]).await;
    before.register_one("dan", vec![external("dan"), external("ann")]).await;
    for callers in [&before, &after] {
        assert_eq!(callers.found(&everybody).await, ["cay", "dan"]);
    }
    first.stop().await;
    assert_eq!(after.versions().await, [(2, Current, 0, 1), (1, Older, 4, 1)]);
    after.register_these(&["ann"]).await;
    assert_eq!(after.versions().await, [(2, Current, 1, 1), (1, Older, 3, 1)]);
    assert_eq!(after.found(&everybody).await, ["ann", "cay", "dan"]);
    after.register_these(&["bob", "cay", "dan"]).await;

    // The older secret goes.
    let third = world.replica_with(with(&[2])).await;
    let last = world.at(&third);
    last.register_these(&["eve"]).await;
    after.register_these(&["fay"]).await;
    let everybody = ["ann", "bob", "cay", "dan", "eve", "fay"];
    for callers in [&after, &last] {
        assert_eq!(callers.versions().await, [(2, Current, 6, 2), (1, Older, 0, 1)]);
        assert_eq!(callers.found(&everybody).await, everybody);
    }
    second.stop().await;
    assert_eq!(last.versions().await, [(2, Current, 6, 1)]);
}

/// A replica that was killed cannot say that it ends.
async fn a_replica_of_which_nothing_is_heard_does_not_count(world: World) {
    let callers = world.callers();
    callers.register_these(&["ann"]).await;
    let killed = "INSERT INTO replica (replica_id, secret_versions, seen_at) VALUES ($1, $2, $3)";
    let now = world.clock.now().get();
    world.rows(killed, ["killed".into(), "[1,2]".into(), now.into()]).await;
    assert_eq!(callers.versions().await, [(2, Next, 0, 1), (1, Current, 1, 2)]);
    world.advance(Duration::from_secs(61));
    assert_eq!(callers.versions().await, [(1, Current, 1, 1)]);
}
