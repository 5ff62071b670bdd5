//! Match keys made of digests, on one core.

use std::hint::black_box;
use std::time::Instant;

use identifiers::{Digest, Kind, MatchKeySecret};

use super::people::SECRET;
use crate::{
    Result,
    report::{Report, Unit},
};

const KEYS: u64 = 2_000_000;
const ROUNDS: usize = 5;

/// Makes keys of two million digests, several times; the median counts.
pub(super) fn measure(report: &mut Report) -> Result<()> {
    let secret = MatchKeySecret::new(1, SECRET.as_bytes())?;
    let digest = |number: u64| {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        Digest::from_bytes(bytes)
    };
    let digests: Vec<Digest> = (0..KEYS).map(digest).collect::<std::result::Result<_, _>>()?;
    let round = |_| {
        let begun = Instant::now();
        for digest in &digests {
            black_box(secret.match_key(Kind::Email, digest));
        }
        begun.elapsed()
    };
    let mut times: Vec<_> = (0..ROUNDS).map(round).collect();
    times.sort_unstable();
    #[allow(clippy::cast_precision_loss)] // two million
    let rate = KEYS as f64 / times[ROUNDS / 2].as_secs_f64() / 1e6;
    report.figure("match-keys-million-per-second", rate, Unit::MillionPerSecond);
    Ok(())
}
