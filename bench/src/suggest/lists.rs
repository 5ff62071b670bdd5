//! Lists over gRPC, with the strict check inside, and how soon a new connection shows in them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use proto::suggest::v1::{
    ListSuggestionsRequest, suggestion_service_client::SuggestionServiceClient,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use service_kit::auth::Caller;
use tonic::{Request, transport::Channel};

use super::{people::People, stage::Stage};
use crate::{
    Result,
    client::{Connections, Unary},
    closed_loop::ClosedLoop,
    consent::stage::id,
    open_loop::OpenLoop,
    recorder::Durations,
    report::{Report, Unit},
    schedule::Arrivals,
};

/// Who asks, drawn from those who know anybody.
const VIEWERS: usize = 5_000;
const CALLERS: u64 = 16;
/// Lists a second that are wanted at least.
const WANTED: f64 = 2_500.0;
const WARM_UP: Duration = Duration::from_secs(5);
/// How often a new connection is waited for.
const VISITS: usize = 200;

/// The most lists a second, and how long they take at half of that, and at 1,250 a second.
pub(super) async fn measure(
    stage: &Stage,
    people: &People,
    seconds: f64,
    seed: u64,
    report: &mut Report,
) -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let method = "/assent.suggest.v1.SuggestionService/ListSuggestions";
    let request = ListSuggestionsRequest::default();
    let mut calls = Vec::with_capacity(VIEWERS);
    while calls.len() < VIEWERS {
        let viewer = rng.random_range(0..people.len());
        if !people.row(viewer).is_empty() {
            let token = stage.consent.keys.token(&Caller::user(&id(viewer)));
            calls.push(Unary::new(method, &request, Some(&token))?);
        }
    }
    let calls = Arc::new(calls);
    let connections = Arc::new(Connections::open(stage.service.address, 4).await?);
    let measured = Duration::try_from_secs_f64(seconds)?;
    let call = {
        let (calls, connections) = (calls.clone(), connections.clone());
        move |number: u64| {
            #[allow(clippy::cast_possible_truncation)] // less than a usize
            let call = &calls[(number % calls.len() as u64) as usize];
            connections.call(number, call)
        }
    };
    let closed = ClosedLoop { callers: CALLERS, warm_up: WARM_UP, measured };
    let closed = closed.run(call.clone()).await?;
    eprintln!("lists, {CALLERS} callers: {}; {}", closed.calls, closed.calls.succeeded());
    if closed.calls.failed() > 0 {
        report.invalid(format!("lists: {}", closed.calls));
    }
    report.figure("lists-per-second", closed.per_second, Unit::PerSecond);
    // At half of the most, and at half of what is wanted, which does not depend on how much that is.
    let rates = [("lists-p99-ms", closed.per_second / 2.0), ("lists-p99-ms-at-1250", WANTED / 2.0)];
    for (figure, per_second) in rates {
        let open =
            OpenLoop { arrivals: Arrivals::Poisson, per_second, seed, warm_up: WARM_UP, measured };
        let open = open.run(call.clone()).await?;
        let times = open.calls.succeeded();
        eprintln!("{per_second:.0} lists/s: {}; {times}; late {}", open.calls, open.lateness);
        if open.calls.failed() > 0 || !open.kept_schedule() {
            report.invalid(format!("{figure}: {}, late {}", open.calls, open.lateness));
        }
        report.figure(figure, times.quantile(0.99).as_secs_f64() * 1e3, Unit::Milliseconds);
    }
    Ok(())
}

/// From the moment a connection is sent until a list shows what it brings: two people who know
/// nobody yet get two friends in common.
pub(super) async fn visible(stage: &Stage, strangers: usize, report: &mut Report) -> Result<()> {
    let channel = stage.channel().await?;
    let mut times = Durations::default();
    for visit in 0..VISITS {
        let [viewer, other, first, second] =
            [0, 1, 2, 3].map(|place| strangers + 4 * visit + place);
        stage.connect(&[(viewer, first), (viewer, second), (other, first)]).await?;
        if shows(stage, &channel, viewer, other).await? {
            return Err("a list shows who has one friend in common".into());
        }
        let begun = Instant::now();
        stage.connect(&[(other, second)]).await?;
        while !shows(stage, &channel, viewer, other).await? {
            if begun.elapsed() > Duration::from_secs(10) {
                return Err("a new connection is not seen".into());
            }
        }
        times.record(begun.elapsed());
    }
    eprintln!("a new connection, from sent to seen: {times}");
    let p99 = times.quantile(0.99).as_secs_f64() * 1e3;
    report.figure("edge-visible-p99-ms", p99, Unit::Milliseconds);
    Ok(())
}

/// How many people [`visible`] needs who know nobody.
pub(super) const STRANGERS: usize = 4 * VISITS;

async fn shows(stage: &Stage, channel: &Channel, viewer: usize, other: usize) -> Result<bool> {
    let mut request = Request::new(ListSuggestionsRequest::default());
    let token = stage.consent.keys.token(&Caller::user(&id(viewer)));
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    let answer = SuggestionServiceClient::new(channel.clone()).list_suggestions(request).await?;
    let list = answer.into_inner().suggestions;
    Ok(list.iter().any(|one| one.subject_id == id(other)))
}
