//! Holding answers back that would tell by their time who matched.
//!
//! Applying an upload, deleting a list and counting an expression take the same number of statements whoever
//! matched (`store::members`), but not the same time: bitmaps with many people are longer to read,
//! to work with and to write. So the answer is given at the next point of a grid that depends only
//! on what the business sent (`domain::pace`), and so are refusals.
//!
//! What this hides, as long as the work takes less than one step: how many rows matched, how the
//! matches are spread, how large lists have become, and how long a draw took. What it does not
//! hide: work that takes longer than a step shows in how many steps it took, so a list that grew by
//! many uploads, or a store that is overloaded, may still tell something, step by step; another call
//! that is sent meanwhile and waits for the same upload, audience or (`SQLite`) connection; and what
//! others feel of the load, such as replicas that take the change into memory afterwards.

use std::time::Duration;

use service_kit::clock::Clock;

use crate::domain::held_back;

/// Does `work`, and gives its answer at a point of the grid, whose step may depend on what in the
/// answer the caller knows already.
pub(crate) async fn on_grid<T>(
    clock: &Clock,
    step: impl FnOnce(&T) -> Duration,
    work: impl Future<Output = T>,
) -> T {
    let began = clock.instant();
    let answer = work.await;
    let taken = clock.instant().saturating_duration_since(began);
    clock.sleep(held_back(taken, step(&answer))).await;
    answer
}

#[cfg(test)]
mod tests {
    use futures::poll;
    use service_kit::clock::UnixMillis;

    use super::*;

    #[tokio::test]
    async fn quick_and_slow_work_is_answered_at_the_same_time() {
        let millis = Duration::from_millis;
        for taken in [1, 100, 249] {
            let clock = Clock::manual(UnixMillis::new(0));
            let work = async { clock.advance(millis(taken)) };
            let mut answer = Box::pin(on_grid(&clock, |()| millis(250), work));
            assert!(poll!(&mut answer).is_pending(), "{taken} ms");
            clock.advance(millis(249 - taken));
            assert!(poll!(&mut answer).is_pending(), "{taken} ms");
            clock.advance(millis(1));
            assert!(poll!(&mut answer).is_ready(), "{taken} ms");
        }
    }
}
