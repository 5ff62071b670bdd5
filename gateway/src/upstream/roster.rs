//! The endpoints of an upstream, and which of them the next call goes to.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use arc_swap::ArcSwap;
use futures::{
    future,
    stream::{FuturesUnordered, StreamExt as _},
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{
    connection::Lease,
    counts::Counts,
    ejection::{self, Standing},
    endpoint::{Endpoint, Spec},
};

/// How long it takes, at most, to see that connections have ended that were lost together.
const MOMENT: Duration = Duration::from_millis(20);

/// The endpoints of an upstream. A call looks at `ready` and at nothing else; whatever changes
/// makes `ready` anew.
pub(super) struct Roster {
    /// Those that a call may go to: connected and not ejected; or all that are connected, when all
    /// of them are ejected.
    ready: ArcSwap<Vec<Arc<Endpoint>>>,
    /// By configured endpoint.
    groups: Mutex<Vec<Group>>,
    /// Names that have not been looked up yet.
    unheard: watch::Sender<usize>,
    counts: Arc<Counts>,
}

/// A configured endpoint and its addresses.
struct Group {
    spec: Arc<Spec>,
    endpoints: Vec<Arc<Endpoint>>,
}

impl Roster {
    /// The configured endpoints, none of whose addresses is known.
    pub(super) fn new(specs: Vec<Arc<Spec>>, counts: Arc<Counts>) -> Arc<Self> {
        let groups: Vec<_> =
            specs.into_iter().map(|spec| Group { spec, endpoints: Vec::new() }).collect();
        Arc::new(Self {
            ready: ArcSwap::default(),
            unheard: watch::Sender::new(groups.len()),
            groups: Mutex::new(groups),
            counts,
        })
    }

    /// A connection for a call: of the less busy of two endpoints, picked at random, that are not
    /// among those already `tried`; of these only when there are no others.
    pub(super) fn lease(&self, tried: &[Arc<Standing>]) -> Option<Lease> {
        let ready = self.ready.load();
        if !tried.is_empty() {
            let is_other = |endpoint: &&Arc<Endpoint>| endpoint.is_none_of(tried);
            let others: Vec<_> = ready.iter().filter(is_other).cloned().collect();
            if let Some(lease) = choose(&others) {
                return Some(lease);
            }
        }
        choose(&ready)
    }

    /// Whether a call may go to any that are not among those already `tried`.
    pub(super) fn has_others(&self, tried: &[Arc<Standing>]) -> bool {
        self.ready.load().iter().any(|endpoint| endpoint.is_none_of(tried))
    }

    /// Connects to those that are not among those already `tried`, and returns when one is
    /// connected, or after `limit`; where there are none, after a moment, in which connections that
    /// are over are seen to be.
    pub(super) async fn wait_for_others(&self, tried: &[Arc<Standing>], limit: Duration) {
        let is_other = |endpoint: &Arc<Endpoint>| {
            endpoint.is_none_of(tried) && !endpoint.standing().is_ejected()
        };
        let others = self.all().into_iter().filter(is_other);
        let mut attempts: FuturesUnordered<_> = others.map(|one| one.attempt().0).collect();
        let moment = MOMENT.mul_f64(rand::random_range(0.5..1.0));
        let limit = if attempts.is_empty() { limit.min(moment) } else { limit };
        let one = async {
            while let Some(connected) = attempts.next().await {
                if connected {
                    return;
                }
            }
            future::pending::<()>().await;
        };
        // Whatever came of it: the call looks at what there is then.
        let _ = timeout(limit, one).await;
    }

    /// As [`Roster::lease`], when nothing is connected: connects to all endpoints at once and
    /// takes the first, within `limit`.
    pub(super) async fn connect(&self, tried: &[Arc<Standing>], limit: Duration) -> Option<Lease> {
        timeout(limit, self.first_connected(tried)).await.ok().flatten()
    }

    async fn first_connected(&self, tried: &[Arc<Standing>]) -> Option<Lease> {
        self.heard().await;
        // Twice: an attempt that began before the call may have come a moment too soon.
        for _ in 0..2 {
            let begun: Vec<_> = self.all().iter().map(Endpoint::attempt).collect();
            let all_fresh = begun.iter().all(|(_, fresh)| *fresh);
            let mut attempts: FuturesUnordered<_> =
                begun.into_iter().map(|(attempt, _)| attempt).collect();
            while let Some(connected) = attempts.next().await {
                if connected && let Some(lease) = self.lease(tried) {
                    return Some(lease);
                }
            }
            if all_fresh {
                break;
            }
        }
        None
    }

    /// Returns when an endpoint is known, or every name was looked up in vain.
    pub(super) async fn heard(&self) {
        let mut unheard = self.unheard.subscribe();
        let known = |unheard: &usize| *unheard == 0 || !self.all().is_empty();
        // The sender is this roster's own.
        let _ = unheard.wait_for(known).await;
    }

    /// Every endpoint, those that calls may go to first.
    pub(super) fn by_preference(&self) -> Vec<Arc<Endpoint>> {
        let mut all = self.all();
        if !all.is_empty() {
            let start = rand::random_range(0..all.len());
            all.rotate_left(start);
        }
        let ready = self.ready.load();
        all.sort_by_key(|one| !ready.iter().any(|other| Arc::ptr_eq(one, other)));
        all
    }

    /// The addresses that a configured endpoint has now. New ones are connected to; those that
    /// are gone get no more calls, and end when the calls on them do.
    pub(super) fn set(self: &Arc<Self>, group: usize, addresses: &[SocketAddr]) {
        let mut added = Vec::new();
        {
            let mut groups = self.groups();
            let Some(Group { spec, endpoints }) = groups.get_mut(group) else { return };
            endpoints.retain(|endpoint| {
                let stays = addresses.contains(&endpoint.address());
                if !stays {
                    tracing::debug!(%endpoint, "endpoint is gone");
                }
                stays
            });
            for address in addresses {
                if !endpoints.iter().any(|endpoint| endpoint.address() == *address) {
                    let new = Endpoint::new(spec.clone(), *address, Arc::downgrade(self));
                    tracing::debug!(endpoint = %new, "endpoint is new");
                    endpoints.push(new.clone());
                    added.push(new);
                }
            }
            self.publish(&groups);
        }
        for endpoint in added {
            endpoint.revive();
        }
    }

    /// A name was looked up for the first time, with whatever result; or an address needs no
    /// look-up.
    pub(super) fn was_heard(&self) {
        self.unheard.send_modify(|unheard| *unheard = unheard.saturating_sub(1));
    }

    /// A connection has come or gone.
    pub(super) fn refresh(&self) {
        self.publish(&self.groups());
    }

    /// Takes calls away from an endpoint until a probe says that it serves. The last one stays:
    /// there would be nobody else to call.
    pub(super) fn eject(&self, endpoint: &Arc<Endpoint>) {
        let pause;
        {
            let groups = self.groups();
            let mut all = groups.iter().flat_map(|group| &group.endpoints);
            let stays =
                |one: &Arc<Endpoint>| !Arc::ptr_eq(one, endpoint) && !one.standing().is_ejected();
            if endpoint.standing().is_ejected() || !all.any(stays) {
                return;
            }
            pause = endpoint.standing().eject(Instant::now());
            self.publish(&groups);
        }
        self.counts.ejections.fetch_add(1, Relaxed);
        tracing::warn!(%endpoint, ?pause, "endpoint is ejected: calls fail there");
        tokio::spawn(ejection::probe(Arc::downgrade(endpoint), pause));
    }

    /// Gives an endpoint calls again.
    pub(super) fn readmit(&self, endpoint: &Endpoint) {
        tracing::info!(%endpoint, "endpoint serves again");
        let groups = self.groups();
        endpoint.standing().readmit(Instant::now());
        self.publish(&groups);
    }

    fn all(&self) -> Vec<Arc<Endpoint>> {
        self.groups().iter().flat_map(|group| &group.endpoints).cloned().collect()
    }

    fn publish(&self, groups: &[Group]) {
        let all = groups.iter().flat_map(|group| &group.endpoints);
        let connected: Vec<_> = all.filter(|endpoint| endpoint.is_connected()).cloned().collect();
        let serves = |endpoint: &&Arc<Endpoint>| !endpoint.standing().is_ejected();
        let serving: Vec<_> = connected.iter().filter(serves).cloned().collect();
        self.ready.store(Arc::new(if serving.is_empty() { connected } else { serving }));
    }

    fn groups(&self) -> MutexGuard<'_, Vec<Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection of the less busy of two; of any other, when neither has one at this moment.
fn choose(endpoints: &[Arc<Endpoint>]) -> Option<Lease> {
    match endpoints {
        [] => None,
        [only] => only.lease(),
        several => {
            let one = rand::random_range(0..several.len());
            let other = (one + rand::random_range(1..several.len())) % several.len();
            let (one, other) = (&several[one], &several[other]);
            let (first, second) =
                if other.load() < one.load() { (other, one) } else { (one, other) };
            let any = || several.iter().find_map(Endpoint::lease);
            first.lease().or_else(|| second.lease()).or_else(any)
        }
    }
}
