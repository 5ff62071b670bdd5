//! An answer that its caller does not take is given up.
//!
//! hyper asks an answer for its next part only when the caller has taken the last one, so a layer
//! around the answer never learns that its deadline has passed. What drives both is here.

use std::{
    cell::Cell,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

thread_local! {
    /// What the answer last said that was asked on this thread.
    static LAST: Cell<Last> = const { Cell::new(Last::NotAsked) };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    NotAsked,
    /// It has nothing to give: it is over, or waits itself.
    Nothing,
    /// It gave a part, to be taken by then.
    Given(Instant),
}

/// Said by an answer that gives a part of itself, which its caller must have taken by `deadline`.
pub(crate) fn given(deadline: Instant) {
    LAST.set(Last::Given(deadline));
}

/// Said by an answer that has nothing to give now.
pub(crate) fn nothing_to_give() {
    LAST.set(Last::Nothing);
}

pin_project! {
    /// A future that sends answers: `None` when it was given up for a part that was not taken.
    pub(super) struct Patient<F> {
        #[pin]
        future: F,
        limit: Duration,
        alarm: Option<Pin<Box<Sleep>>>,
    }
}

impl<F> Patient<F> {
    /// Of a part that is given, some must be taken within `limit`.
    pub(super) fn new(future: F, limit: Duration) -> Self {
        Self { future, limit, alarm: None }
    }
}

impl<F: Future> Future for Patient<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let this = self.project();
        LAST.set(Last::NotAsked);
        let polled = this.future.poll(cx);
        let last = LAST.replace(Last::NotAsked);
        if let Poll::Ready(output) = polled {
            return Poll::Ready(Some(output));
        }
        match last {
            Last::NotAsked => {}
            Last::Nothing => *this.alarm = None,
            Last::Given(deadline) => {
                let at = deadline.min(Instant::now() + *this.limit);
                match this.alarm {
                    Some(alarm) => alarm.as_mut().reset(at),
                    None => *this.alarm = Some(Box::pin(sleep_until(at))),
                }
            }
        }
        let Some(alarm) = this.alarm else { return Poll::Pending };
        ready!(alarm.as_mut().poll(cx));
        tracing::debug!("an answer was not taken");
        Poll::Ready(None)
    }
}

/// Runs the streams of HTTP/2 connections. One that is given up is reset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streams {
    pub(super) patience: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(Patient::new(stream, self.patience));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::future::poll_fn;

    use tokio::time::timeout;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(200);
    const LONG: Duration = Duration::from_hours(1);

    /// How long it takes until an answer that says this, once, is given up; `None`: much longer.
    async fn given_up(say: impl Fn()) -> Option<Duration> {
        let (began, mut said) = (Instant::now(), false);
        let answer = poll_fn(|_| {
            if !std::mem::replace(&mut said, true) {
                say();
            }
            Poll::<()>::Pending
        });
        let given_up = timeout(5 * LIMIT, Patient::new(answer, LIMIT)).await.ok()?;
        assert_eq!(given_up, None);
        Some(began.elapsed())
    }

    #[tokio::test]
    async fn a_part_that_is_not_taken_ends_the_answer_at_its_deadline_or_the_limit() {
        let soon = given_up(|| given(Instant::now() + LIMIT / 4)).await.unwrap();
        assert!((LIMIT / 4..LIMIT).contains(&soon), "{soon:?}");
        let late = given_up(|| given(Instant::now() + LONG)).await.unwrap();
        assert!(late >= LIMIT, "{late:?}");
        assert_eq!(given_up(nothing_to_give).await, None);
        assert_eq!(given_up(|| {}).await, None);
    }

    #[tokio::test]
    async fn an_answer_that_is_taken_goes_on() {
        let mut taken = Box::pin(sleep_until(Instant::now()));
        let mut parts = 0;
        let answer = poll_fn(|cx| {
            // Each part is taken after some time.
            while taken.as_mut().poll(cx).is_ready() {
                parts += 1;
                if parts == 10 {
                    return Poll::Ready(());
                }
                taken.as_mut().reset(Instant::now() + LIMIT / 4);
                given(Instant::now() + LONG);
            }
            Poll::Pending
        });
        assert_eq!(Patient::new(answer, LIMIT).await, Some(()));
    }
}
