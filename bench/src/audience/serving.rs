//! Look-ups of an ad server, with the strict check of consent inside.

use std::{sync::Arc, time::Duration};

use proto::{audience::v1::ListSubjectAudiencesRequest, options::v1::Role};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use service_kit::auth::Caller;

use super::{Options, stage::Stage, start};
use crate::{
    Result,
    client::{Connections, Unary, frame},
    consent::stage::id,
    open_loop::OpenLoop,
    report::{Report, Unit},
    schedule::Arrivals,
};

/// The audiences there are, the people in each, and of how many people.
const AUDIENCES: usize = 10_000;
const MEMBERS: usize = 2_000;
const AMONG: usize = 1_000_000;

/// People who are asked about: they agreed.
const ASKED: usize = 20_000;

/// Calls a second.
const RATE: f64 = 1_000.0;

/// Puts audiences in, starts the service again and asks.
pub(super) async fn measure(
    options: &Options,
    stage: &mut Stage,
    report: &mut Report,
) -> Result<()> {
    let asked = ASKED.min(options.people);
    stage.consent.seed(asked).await?;
    // As in the middle of a day, and not in the minute after a start.
    stage.consent.fill_all().await?;
    stage.stop()?;
    start::lists(stage, "serving", AUDIENCES, MEMBERS, AMONG.min(options.people), options.seed)
        .await?;
    stage.start()?;
    let connections = Connections::open(stage.service()?.address, 4).await?;
    let token = stage.consent.keys.token(&Caller::named(Role::AdServer, "bench-ads"));
    let method = "/assent.audience.v1.TargetingService/ListSubjectAudiences";
    let method = Unary::new(method, &(), Some(&token))?;
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let calls = (0..ASKED).map(|_| {
        let subject_id = id(rng.random_range(0..asked));
        let message = ListSubjectAudiencesRequest { subject_id, ..Default::default() };
        Ok(method.with(frame(&message)?))
    });
    let calls: Arc<Vec<Unary>> = Arc::new(calls.collect::<Result<_>>()?);
    let open = OpenLoop {
        arrivals: Arrivals::Poisson,
        per_second: RATE,
        seed: options.seed,
        warm_up: Duration::from_secs(5),
        measured: Duration::try_from_secs_f64(options.seconds)?,
    };
    let open = open.run(move |number| {
        #[allow(clippy::cast_possible_truncation)] // less than a usize
        let call = &calls[(number % calls.len() as u64) as usize];
        connections.call(number, call)
    });
    let open = open.await?;
    let times = open.calls.succeeded();
    eprintln!(
        "look-ups at {RATE}/s: {}; {times}; the generator was late {}",
        open.calls, open.lateness
    );
    if open.calls.failed() > 0 {
        report.invalid(format!("look-ups: {}", open.calls));
    }
    if !open.kept_schedule() {
        report.invalid("look-ups: the generator did not keep its schedule");
    }
    let p99 = times.quantile(0.99).as_secs_f64() * 1e3;
    report.figure("list-subject-audiences-p99-ms", p99, Unit::Milliseconds);
    Ok(())
}
