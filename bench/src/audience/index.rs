//! The index alone: one thread, keys made from their numbers.

use std::{process, time::Duration};

use audience_svc::{
    domain::NOBODY,
    index::{Index, Loading},
};
use identifiers::MatchKey;
use rustix::time::{ClockId, clock_gettime};

use crate::{
    Result, machine,
    report::{Report, Unit},
};

/// Keys of one call, as of a hundred batches of a list.
const PROBES: u64 = 1_000_000;
/// How often they are probed.
const ROUNDS: u64 = 9;

/// Uniform keys, like those that HMAC gives, each made from its number: so many keys need no store.
#[derive(Debug, Clone, Copy)]
struct Keys {
    seed: u64,
    count: u64,
}

impl Keys {
    fn key(self, number: u64) -> MatchKey {
        let [high, low] = [0, 1].map(|half| mix(self.seed ^ mix(2 * number + half)));
        MatchKey::from_bytes((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
    }

    /// A key of the index and whom it finds.
    fn present(self, number: u64) -> (MatchKey, u32) {
        // Fewer than 2^32 keys.
        (self.key(number), u32::try_from(number).unwrap_or(NOBODY))
    }

    fn absent(self, number: u64) -> MatchKey {
        self.key(self.count + number)
    }
}

/// The finaliser of `SplitMix64` (Steele, Lea and Flood, 2014).
const fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What this thread has spent on a core: others on the machine count for less.
fn spent() -> Duration {
    let at = clock_gettime(ClockId::ThreadCPUTime);
    // Neither is negative.
    let (seconds, nanos) = (at.tv_sec.unsigned_abs(), at.tv_nsec.unsigned_abs());
    Duration::from_secs(seconds) + Duration::from_nanos(nanos)
}

/// What an index of so many keys does.
#[derive(Debug)]
struct Measured {
    /// The median time of a million probes.
    probes: Duration,
    bytes_per_key: f64,
}

/// Builds an index of 10⁸ keys, or as many as are asked for, and probes it.
pub(super) fn measure(
    identifiers: u64,
    match_rate: f64,
    seed: u64,
    report: &mut Report,
) -> Result<()> {
    let Measured { probes, bytes_per_key } = built(identifiers, match_rate, seed, report)?;
    #[allow(clippy::cast_precision_loss)] // a million
    let rate = PROBES as f64 / probes.as_secs_f64() / 1e6;
    report.figure("probe-million-per-second-1e8", rate, Unit::MillionPerSecond);
    report.figure("index-bytes-per-key", bytes_per_key, Unit::Bytes);
    if identifiers != 100_000_000 {
        report.invalid(format!("the index had {identifiers} keys and not 10^8"));
    }
    Ok(())
}

/// The same with 10⁹ keys, which takes 14 GB and some minutes.
pub(super) fn billion(match_rate: f64, seed: u64, report: &mut Report) -> Result<()> {
    let Measured { probes, bytes_per_key } = built(1_000_000_000, match_rate, seed, report)?;
    report.figure("probe-1e6-of-1e9-ms", probes.as_secs_f64() * 1e3, Unit::Milliseconds);
    report.figure("index-bytes-per-key-1e9", bytes_per_key, Unit::Bytes);
    let peak = machine::peak_memory(process::id())?;
    #[allow(clippy::cast_precision_loss)] // far below 2^53
    report.figure("probe-1e9-peak-mb", peak as f64 / 1e6, Unit::Megabytes);
    Ok(())
}

fn built(count: u64, match_rate: f64, seed: u64, report: &mut Report) -> Result<Measured> {
    let keys = Keys { seed, count };
    let begun = spent();
    let mut index = Loading::default();
    for number in 0..count {
        let (key, ordinal) = keys.present(number);
        index.insert(key, ordinal);
    }
    let index = index.finish();
    let (took, size) = (spent().saturating_sub(begun), index.size());
    #[allow(clippy::cast_precision_loss)] // far below 2^53
    let bytes_per_key = size.bytes as f64 / size.keys as f64;
    let peak = machine::peak_memory(process::id())? / 1_000_000;
    eprintln!(
        "{} keys: built in {:.1} s of one core, {bytes_per_key:.3} bytes a key; peak of the \
         process {peak} MB",
        size.keys,
        took.as_secs_f64()
    );
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        times.push(probed(&index, keys, match_rate, round, report));
    }
    times.sort_unstable();
    let [best, median] = [times[0], times[times.len() / 2]];
    eprintln!("{PROBES} probes, {match_rate} of them hits: median {median:.1?}, best {best:.1?}");
    Ok(Measured { probes: median, bytes_per_key })
}

fn probed(index: &Index, keys: Keys, match_rate: f64, round: u64, report: &mut Report) -> Duration {
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let hits = (match_rate * u64::MAX as f64) as u64;
    let draw = |probe| mix(keys.seed ^ mix(probe + ((round + 1) << 32)));
    let probe = |probe| {
        let draw = draw(probe);
        if mix(draw) < hits {
            keys.present(draw % keys.count)
        } else {
            (keys.absent(draw >> 8), NOBODY)
        }
    };
    let (batch, expected): (Vec<_>, Vec<_>) = (0..PROBES).map(probe).unzip();
    let mut found = Vec::with_capacity(batch.len());
    let begun = spent();
    index.probe_many(&batch, &mut found);
    let took = spent().saturating_sub(begun);
    if found != expected {
        report.invalid("the index finds others than were put in");
    }
    took
}
