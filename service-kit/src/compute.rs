//! Work that only computes, kept from the threads that calls are answered on.

use std::{num::NonZero, sync::LazyLock, thread::available_parallelism};

use tokio::{sync::Semaphore, task::spawn_blocking};

/// One place a processor. More threads would not be faster, and each keeps scratch memory of its
/// own: a phone number parser's is megabytes.
static PLACES: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(available_parallelism().map_or(2, NonZero::get)));

/// The work panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a computation panicked")]
pub struct Panicked;

/// Runs work that takes longer than a call should keep others waiting (parsing many phone numbers,
/// hashing a batch), on as many threads as there are processors, and answers with its result.
///
/// # Errors
/// [`Panicked`], when it did.
pub async fn compute<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Panicked> {
    // Never closed. Held by the work itself, which goes on when the caller is gone.
    let place = PLACES.acquire().await.map_err(|_| Panicked)?;
    let done = spawn_blocking(move || {
        let _place = place;
        work()
    });
    done.await.map_err(|_| Panicked)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn no_more_computes_at_once_than_there_are_processors() {
        static NOW: AtomicUsize = AtomicUsize::new(0);
        let most = join_all((0..100).map(|_| {
            compute(|| {
                let now = NOW.fetch_add(1, Ordering::SeqCst) + 1;
                std::thread::yield_now();
                NOW.fetch_sub(1, Ordering::SeqCst);
                now
            })
        }))
        .await;
        let most = most.into_iter().flatten().max();
        let processors = available_parallelism().map_or(2, NonZero::get);
        assert!(most.is_some_and(|most| most <= processors), "{most:?} on {processors}");
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_frees_its_place() {
        for _ in 0..2 * available_parallelism().map_or(2, NonZero::get) {
            assert_eq!(compute(|| panic!("on purpose")).await, Err::<(), _>(Panicked));
        }
        assert_eq!(compute(|| 7).await, Ok(7));
    }
}
