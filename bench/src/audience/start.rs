//! How long a start takes and how much memory the service has.

use std::time::Instant;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use roaring::RoaringBitmap;

use super::{
    Options,
    stage::{Stage, now},
};
use crate::{
    Result, machine,
    report::{Report, Unit},
};

/// The audiences that memory is measured with, and the people in each.
const AUDIENCES: usize = 1_000;
const MEMBERS: usize = 100_000;

/// Puts lists in, starts the service without a snapshot and with one, and says how much memory it
/// has then.
pub(super) async fn measure(
    options: &Options,
    stage: &mut Stage,
    report: &mut Report,
) -> Result<()> {
    let begun = Instant::now();
    let members = MEMBERS.min(options.people / 2);
    lists(stage, "memory", AUDIENCES, members, options.people, options.seed).await?;
    eprintln!("{AUDIENCES} audiences of {members} people put in in {:.0?}", begun.elapsed());
    let without = stage.start()?;
    stage.stop()?;
    let with = stage.start()?;
    let process = stage.service()?.id();
    let (memory, peak) = (machine::memory(process)?, machine::peak_memory(process)?);
    eprintln!(
        "{} people, {AUDIENCES} audiences: start from the store {without:.2?}, from a snapshot \
         {with:.2?}; peak {} MB",
        options.people,
        peak / 1_000_000
    );
    #[allow(clippy::cast_precision_loss)] // far below 2^53
    report.figure("resident-mb-1e7", memory as f64 / 1e6, Unit::Megabytes);
    report.figure("start-from-snapshot-s", with.as_secs_f64(), Unit::Seconds);
    if options.people != 10_000_000 {
        report.invalid(format!("there were {} people and not 10^7", options.people));
    }
    Ok(())
}

/// Puts audiences in, each of so many of the first people, while the service is stopped.
pub(super) async fn lists(
    stage: &Stage,
    business: &str,
    audiences: usize,
    members: usize,
    of: usize,
    seed: u64,
) -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let of = u32::try_from(of)?;
    let lists = (0..audiences).map(|audience| {
        let people: RoaringBitmap = (0..members).map(|_| rng.random_range(0..of)).collect();
        (format!("aud-{business}-{audience}"), people)
    });
    Ok(stage.seeding().await?.lists(business, lists, now()).await?)
}
