//! Holding answers back that would tell by their time who was found.
//!
//! A sync takes the same statements and the same look-ups for hits and misses, but not quite the
//! same time: whoever is found has a place in memory that is looked at, and replicas, this one
//! among them, take more of what was found into their graphs, beside the answer or before the next
//! one. So the answer is given at the next point of a grid that depends only on what was sent
//! (`domain::pace`), and so are refusals.
//!
//! What this does not hide: work that takes longer than a step shows in how many steps it took; and
//! another call that is sent meanwhile may wait for the same graph or the same turn to write.

use std::time::Duration;

use service_kit::clock::Clock;

use crate::domain::pace::held_back;

/// Does `work`, and gives its answer at a point of the grid.
pub(crate) async fn on_grid<T>(clock: &Clock, step: Duration, work: impl Future<Output = T>) -> T {
    let began = clock.instant();
    let answer = work.await;
    let taken = clock.instant().saturating_duration_since(began);
    clock.sleep(held_back(taken, step)).await;
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
        for taken in [1, 40, 99] {
            let clock = Clock::manual(UnixMillis::new(0));
            let work = async { clock.advance(millis(taken)) };
            let mut answer = Box::pin(on_grid(&clock, millis(100), work));
            assert!(poll!(&mut answer).is_pending(), "{taken} ms");
            clock.advance(millis(99 - taken));
            assert!(poll!(&mut answer).is_pending(), "{taken} ms");
            clock.advance(millis(1));
            assert!(poll!(&mut answer).is_ready(), "{taken} ms");
        }
    }
}
