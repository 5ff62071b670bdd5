//! How long answers take must not tell who matched.

use std::time::{Duration, Instant};

use proto::audience::v1::{
    self as wire, EstimateReachRequest, UploadMode, expression_term::Term as WireTerm,
};
use service_kit::clock::Clock;

use crate::{
    consent::Consents,
    rows::{batch, external, fresh},
    world::{Callers, Engine, World},
};

/// The steps of the grid for a few rows and for one audience.
const COMMIT: Duration = Duration::from_millis(250);
const REACH: Duration = Duration::from_millis(260);

/// How long a commit of these rows takes, and asking for the list's size.
async fn timed(callers: &Callers<'_>, rows: &[&str]) -> [Duration; 2] {
    let audience = callers.create_audience().await;
    let upload = callers.open_upload(&audience, UploadMode::Add).await;
    let rows = rows.iter().map(|row| external(row)).collect();
    callers.append(vec![batch(&upload, 0, rows)]).await.unwrap();
    let began = Instant::now();
    callers.commit(&upload, 1).await.unwrap();
    let commit = began.elapsed();
    let term = wire::ExpressionTerm { term: Some(WireTerm::AudienceId(audience)) };
    let expression = Some(wire::Expression { include: vec![term], ..Default::default() });
    let request = EstimateReachRequest { request_id: fresh("reach"), expression };
    let began = Instant::now();
    callers.shop().estimate_reach(request).await.unwrap();
    [commit, began.elapsed()]
}

/// That both come at the same time, however different the work, is shown where time is moved by
/// hand (`pace`); here, that both calls are held back by a real clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_and_estimates_are_held_back_whoever_matches() {
    let clock = Clock::system();
    let world = World::start_by(clock, Engine::Sqlite, true, Consents::default()).await;
    let callers = world.callers();
    callers.open_business("shop").await;
    for subject in ["ann", "bob"] {
        world.consents.grant_all(subject);
        callers.register_one(subject, vec![external(subject)]).await;
    }
    for rows in [["ann", "bob"], ["cid", "dan"]] {
        let [commit, reach] = timed(&callers, &rows).await;
        assert!(commit >= COMMIT && reach >= REACH, "{rows:?}: {commit:?}, {reach:?}");
    }
    // What was deleted or refused, too.
    let audience_id = callers.create_audience().await;
    let delete = wire::DeleteAudienceRequest { request_id: fresh("delete"), audience_id };
    let began = Instant::now();
    callers.shop().delete_audience(delete).await.unwrap();
    assert!(began.elapsed() >= COMMIT);
    let began = Instant::now();
    callers.commit("upl-nobodys", 1).await.unwrap_err();
    assert!(began.elapsed() >= COMMIT);
}
