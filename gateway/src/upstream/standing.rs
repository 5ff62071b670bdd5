//! How calls on an endpoint have gone of late.

use std::sync::{
    Weak,
    atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
};

use super::endpoint::Endpoint;

/// Failures in a row, and what follows from them. Shared by an endpoint and its connections, and
/// so by the calls on them.
pub(super) struct Standing {
    endpoint: Weak<Endpoint>,
    eject_after: u32,
    failures: AtomicU32,
    ejected: AtomicBool,
}

impl Standing {
    /// Of an endpoint that nothing is held against; `eject_after` failures in a row eject it.
    pub(super) fn new(endpoint: Weak<Endpoint>, eject_after: u32) -> Self {
        Self { endpoint, eject_after, failures: AtomicU32::new(0), ejected: AtomicBool::new(false) }
    }

    /// A call was answered.
    pub(super) fn succeeded(&self) {
        // As a rule there is nothing to forget, and looking does not take the line from others.
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }

    /// A call failed by the endpoint's fault, or a connection with the calls on it.
    pub(super) fn failed(&self) {
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        if failures >= self.eject_after
            && !self.is_ejected()
            && let Some(endpoint) = self.endpoint.upgrade()
        {
            endpoint.eject();
        }
    }

    /// Whether the endpoint gets no calls while others are there.
    pub(super) fn is_ejected(&self) -> bool {
        self.ejected.load(Relaxed)
    }

    pub(super) fn eject(&self) {
        self.ejected.store(true, Relaxed);
    }

    pub(super) fn readmit(&self) {
        self.failures.store(0, Relaxed);
        self.ejected.store(false, Relaxed);
    }
}
