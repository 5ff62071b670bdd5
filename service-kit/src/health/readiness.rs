//! Readiness: probes, asked again and again, and what they answered.

use std::{
    fmt::{self, Display},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::{BoxFuture, join_all};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How soon a probe that fails is asked again, so that starting takes no longer than it must.
const RETRY: Duration = Duration::from_millis(200);

/// Whether a service is ready: every required probe answered `Ok` when last asked, and no drain
/// has begun. Cheap to clone.
#[derive(Clone)]
pub struct Readiness(Arc<Shared>);

struct Shared {
    probes: Mutex<Vec<Probe>>,
    state: watch::Sender<State>,
}

#[derive(Clone)]
struct Probe {
    name: Arc<str>,
    required: bool,
    ask: Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

/// What the probes answered last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct State {
    /// Whether the probes have been asked since the start.
    pub(crate) asked: bool,
    /// Whether a drain has begun.
    pub(crate) draining: bool,
    /// By probe: its name, whether readiness depends on it, and whether it answered.
    pub(crate) answers: Vec<(Arc<str>, bool, bool)>,
}

impl State {
    pub(crate) fn is_ready(&self) -> bool {
        self.asked
            && !self.draining
            && self.answers.iter().all(|(_, required, ok)| *ok || !required)
    }

    /// Whether what `name` stands for answers; `None` when nothing has that name.
    pub(crate) fn of(&self, name: &str) -> Option<bool> {
        let observed = self.answers.iter().find(|(known, ..)| **known == *name);
        observed.map(|(_, _, ok)| *ok && !self.draining)
    }
}

impl Default for Readiness {
    fn default() -> Self {
        let (state, _) = watch::channel(State::default());
        Self(Arc::new(Shared { probes: Mutex::default(), state }))
    }
}

impl Readiness {
    /// Not ready until `probe` answers `Ok`, within the probe timeout, each time it is asked.
    /// Register before [`Service::build`](crate::boot::Service::build) returns. The error is
    /// logged, so it must not hold secrets.
    pub fn require<F, Fut, E>(&self, name: impl Into<Arc<str>>, probe: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        self.register(name.into(), true, probe);
    }

    /// Asked and shown like a required probe, in `/readyz` and as gRPC health under `name`, but
    /// the service is ready without it: for what only some calls need.
    pub fn observe<F, Fut, E>(&self, name: impl Into<Arc<str>>, probe: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        self.register(name.into(), false, probe);
    }

    fn register<F, Fut, E>(&self, name: Arc<str>, required: bool, probe: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        let ask = Arc::new(move || -> BoxFuture<'static, Result<(), String>> {
            let answer = probe();
            Box::pin(async move { answer.await.map_err(|error| error.to_string()) })
        });
        let mut probes = self.0.probes.lock().unwrap_or_else(PoisonError::into_inner);
        probes.push(Probe { name, required, ask });
    }

    /// Whether calls should be sent here.
    pub fn is_ready(&self) -> bool {
        self.0.state.borrow().is_ready()
    }

    /// Returns when the service is ready.
    pub async fn ready(&self) {
        let mut state = self.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = state.wait_for(State::is_ready).await;
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<State> {
        self.0.state.subscribe()
    }

    /// Not ready from now on, for good.
    pub(crate) fn drain(&self) {
        self.0.state.send_modify(|state| state.draining = true);
    }

    /// Asks every probe, again and again, until `stop`.
    pub(crate) async fn watch(
        self,
        interval: Duration,
        timeout: Duration,
        stop: CancellationToken,
    ) {
        loop {
            let all_answered = tokio::select! {
                () = stop.cancelled() => return,
                all_answered = self.ask(timeout) => all_answered,
            };
            let pause = if all_answered { interval } else { RETRY.min(interval) };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn ask(&self, timeout: Duration) -> bool {
        let probes = self.0.probes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answers = join_all(probes.iter().map(|probe| async {
            let answer = tokio::time::timeout(timeout, (probe.ask)()).await;
            answer.unwrap_or_else(|_| Err(format!("no answer within {timeout:?}")))
        }));
        let answers = answers.await;
        let before = self.0.state.borrow().clone();
        for (probe, answer) in probes.iter().zip(&answers) {
            let was_ok = before.of(&probe.name);
            match answer {
                Err(error) if was_ok != Some(false) => {
                    tracing::warn!(probe = %probe.name, error, "dependency does not answer");
                }
                Ok(()) if was_ok == Some(false) => {
                    tracing::info!(probe = %probe.name, "dependency answers again");
                }
                _ => {}
            }
        }
        let all_answered = answers.iter().all(Result::is_ok);
        let named = probes.into_iter().zip(answers);
        let answers = named.map(|(probe, answer)| (probe.name, probe.required, answer.is_ok()));
        let after = State { asked: true, draining: before.draining, answers: answers.collect() };
        self.0.state.send_if_modified(|state| {
            // A drain may have begun while the probes were asked.
            let after = State { draining: state.draining, ..after };
            let changed = *state != after;
            if state.is_ready() != after.is_ready() {
                tracing::info!(ready = after.is_ready(), "readiness changed");
            }
            *state = after;
            changed
        });
        all_answered
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Readiness").field(&*self.0.state.borrow()).finish()
    }
}
