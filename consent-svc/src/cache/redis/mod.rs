//! The cache that replicas share.
//!
//! Keys are `a`, the generation (8 bytes), and the subject's id: the only part whose length varies
//! stands last. A value is an answer (`v…`, see [`value`](super::value)) or the nonce of a fill
//! (`n` and 8 random bytes).
//!
//! Lookups of many callers are gathered into batches: while one is under way, the next fills up.
//! So the identity of the server is verified once a batch, and few packets carry many answers.

mod keeper;
mod primary;

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use opentelemetry::metrics::Meter;
use redis::RedisError;
use service_kit::telemetry::Operations;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{
    BootTime, CacheConfig, Metrics,
    lease::{Lease, Leases, Row, Terms},
    value,
};
use crate::mutant::{self, Mutant};
pub(super) use keeper::keep;
pub(crate) use primary::Fault;
use primary::{KEYS_A_CALL, Primary};

/// The most lookups in one call, and how many calls may be under way at a primary.
const BATCH: usize = 512;
const CALLS: usize = 2;
/// How many fills may wait to be sent; further ones are left out.
const FILLS: usize = 8_192;
/// How long a fill may take before another may begin.
const FILL_WITHIN: Duration = Duration::from_secs(1);

/// Answers in Redis, spread over its primaries.
pub(crate) struct Redis {
    nodes: Vec<Arc<Node>>,
    pub(crate) leases: Leases,
    pub(super) terms: Terms,
    metrics: Metrics,
}

/// A primary and the ways to it.
struct Node {
    primary: Primary,
    reads: mpsc::Sender<Read>,
    fills: mpsc::Sender<Fill>,
}

struct Read {
    lease: Arc<Lease>,
    key: Vec<u8>,
    done: oneshot::Sender<Found>,
}

/// What was found under a key.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    /// Answers.
    Value(Vec<u8>),
    /// Nothing: the caller may fill it.
    Nothing(Ticket),
    /// Somebody else is filling it, or the cache cannot be used now.
    Unusable,
}

/// Permits to fill one key, if nothing has happened to it meanwhile.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    lease: Arc<Lease>,
    nonce: [u8; 9],
}

struct Fill {
    ticket: Ticket,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Redis {
    /// The cache, and the tasks that work for it, to be run until the service has drained.
    pub(super) fn new(
        config: &CacheConfig,
        metrics: Metrics,
        meter: &Meter,
    ) -> Result<(Self, Vec<impl Future<Output = ()> + Send + use<>>), RedisError> {
        let mut nodes = Vec::new();
        let mut tasks = Vec::new();
        let operations = Operations::new(meter, "redis");
        for url in &config.redis {
            let (reads, queued_reads) = mpsc::channel(BATCH * 16);
            let (fills, queued_fills) = mpsc::channel(FILLS);
            let primary = Primary::new(url.expose(), config.timeout.get(), operations.clone())?;
            let node = Arc::new(Node { primary, reads, fills });
            let (weak, keep) = (Arc::downgrade(&node), config.keep.get());
            let metrics = metrics.clone();
            tasks.push(async move {
                let reading = run_reads(weak.clone(), queued_reads);
                tokio::join!(reading, run_fills(weak, queued_fills, keep, metrics));
            });
            nodes.push(node);
        }
        let terms = Terms { length: config.lease.get() };
        let leases = Leases::new(terms);
        Ok((Self { nodes, leases, terms, metrics }, tasks))
    }

    /// Makes sure that no primary is part of a Redis Cluster. One that cannot be reached now is found
    /// out later.
    pub(super) async fn refuse_clusters(&self) -> Result<(), Fault> {
        let connecting = self.nodes.iter().map(|node| node.primary.connect());
        let connected = join_all(connecting).await;
        match connected.into_iter().find(|found| matches!(found, Err(Fault::Cluster))) {
            Some(cluster) => cluster,
            None => Ok(()),
        }
    }

    /// How many primaries there are.
    pub(crate) fn primaries(&self) -> usize {
        self.nodes.len()
    }

    /// The lease under which a check that started at this instant may use a primary: none while
    /// subjects are spread over other primaries than this process knows, whose writers delete
    /// elsewhere.
    fn lease(&self, at: usize, start: BootTime) -> Option<Arc<Lease>> {
        let lease = self.leases.open(at, start)?;
        (lease.row.primaries == self.nodes.len() && lease.row.primary == at).then_some(lease)
    }

    /// Looks a subject up for a check that started at `start`.
    pub(crate) async fn get(&self, subject_id: &str, start: BootTime) -> Found {
        let at = self.place(subject_id);
        let Some(lease) = self.lease(at, start) else { return Found::Unusable };
        let node = &self.nodes[at];
        if !node.primary.is_connected() {
            return Found::Unusable;
        }
        let key = key(&lease.row, subject_id);
        let (done, found) = oneshot::channel();
        if node.reads.try_send(Read { lease, key, done }).is_err() {
            return Found::Unusable;
        }
        found.await.unwrap_or(Found::Unusable)
    }

    /// Looks many subjects up, by their index.
    pub(crate) async fn get_many(&self, subject_ids: &[String], start: BootTime) -> Vec<Found> {
        let mut found = vec![Found::Unusable; subject_ids.len()];
        let mut by_node: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        for (index, subject_id) in subject_ids.iter().enumerate() {
            by_node[self.place(subject_id)].push(index);
        }
        let calls = by_node.iter().enumerate().flat_map(|(at, indices)| {
            let lease = self.lease(at, start);
            let usable = lease.filter(|_| self.nodes[at].primary.is_connected());
            usable.into_iter().flat_map(move |lease| {
                let chunks = indices.chunks(KEYS_A_CALL);
                chunks.map(move |indices| {
                    let lease = Arc::clone(&lease);
                    async move {
                        let keys: Vec<Vec<u8>> =
                            indices.iter().map(|at| key(&lease.row, &subject_ids[*at])).collect();
                        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
                        (indices, read(&self.nodes[at].primary, &lease, &keys).await)
                    }
                })
            })
        });
        for (indices, values) in join_all(calls).await {
            for (at, value) in indices.iter().zip(values) {
                found[*at] = value;
            }
        }
        found
    }

    /// Announces a fill in the place of an answer that has run out.
    pub(crate) async fn begin(&self, subject_id: &str, start: BootTime) -> Option<Ticket> {
        let at = self.place(subject_id);
        let lease = self.lease(at, start)?;
        let (key, nonce) = (key(&lease.row, subject_id), nonce());
        let primary = &self.nodes[at].primary;
        primary.begin(&lease.row.identity, &[&key], &nonce, FILL_WITHIN).await.ok()?;
        Some(Ticket { lease, nonce })
    }

    /// Stores answers that were read after `ticket` was given. Does not wait for it.
    pub(crate) fn fill(&self, subject_id: &str, ticket: Ticket, value: Vec<u8>) {
        let key = key(&ticket.lease.row, subject_id);
        let node = &self.nodes[self.place(subject_id)];
        if node.fills.try_send(Fill { ticket, key, value }).is_err() {
            self.metrics.fills_discarded(1);
        }
    }

    /// Deletes subjects in the generations that these leases name. What is closed needs no
    /// deletion. Gives the primary where it failed.
    pub(crate) async fn delete(
        &self,
        leases: &[Arc<Lease>],
        subject_ids: &[String],
    ) -> Result<(), (usize, Fault)> {
        if mutant::is(Mutant::NoDelete) {
            return Ok(());
        }
        let deletions = leases.iter().filter(|lease| lease.row.open).map(async |lease| {
            let at = lease.row.primary;
            let node = self.nodes.get(at).filter(|_| lease.row.primaries == self.nodes.len());
            // Somebody spreads subjects over other primaries than this process knows.
            let Some(node) = node else { return Err((at, Fault::Identity)) };
            let here = subject_ids.iter().filter(|subject_id| self.place(subject_id) == at);
            let keys: Vec<Vec<u8>> = here.map(|subject_id| key(&lease.row, subject_id)).collect();
            if keys.is_empty() {
                return Ok(());
            }
            let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
            let deleted = node.primary.delete(&lease.row.identity, &keys).await;
            deleted.map_err(|fault| (at, fault))
        });
        join_all(deletions).await.into_iter().collect()
    }

    /// Which primary has a subject: by FNV-1a of its id, which no release may change.
    fn place(&self, subject_id: &str) -> usize {
        if self.nodes.len() == 1 {
            return 0;
        }
        let hash = subject_id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        // Truncation safety: less than the number of primaries.
        #[allow(clippy::cast_possible_truncation)]
        let place = (hash % self.nodes.len() as u64) as usize;
        place
    }
}

fn key(row: &Row, subject_id: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + row.generation.len() + subject_id.len());
    key.push(b'a');
    key.extend_from_slice(&row.generation);
    key.extend_from_slice(subject_id.as_bytes());
    key
}

fn nonce() -> [u8; 9] {
    let mut nonce: [u8; 9] = rand::random();
    nonce[0] = b'n';
    nonce
}

/// One call of a primary under one lease.
async fn read(primary: &Primary, lease: &Arc<Lease>, keys: &[&[u8]]) -> Vec<Found> {
    let nonce = nonce();
    match primary.read(&lease.row.identity, keys, &nonce, FILL_WITHIN).await {
        Err(_) => vec![Found::Unusable; keys.len()],
        Ok(values) => values
            .into_iter()
            .map(|value| match value {
                Some(value) if value.first() == Some(&value::TAG) => Found::Value(value),
                Some(_) => Found::Unusable,
                None => Found::Nothing(Ticket { lease: Arc::clone(lease), nonce }),
            })
            .collect(),
    }
}

async fn run_reads(node: std::sync::Weak<Node>, mut queue: mpsc::Receiver<Read>) {
    let calls = Arc::new(Semaphore::new(CALLS));
    let mut batch = Vec::new();
    while let Ok(permit) = calls.clone().acquire_owned().await {
        if queue.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        let Some(node) = node.upgrade() else { return };
        let reads = std::mem::take(&mut batch);
        tokio::spawn(async move {
            answer(&node.primary, reads).await;
            drop(permit);
        });
    }
}

/// Looks a batch up: almost always under one lease, and in one call.
async fn answer(primary: &Primary, mut reads: Vec<Read>) {
    while let Some(first) = reads.first() {
        let lease = Arc::clone(&first.lease);
        let (now, later) = reads.into_iter().partition(|read| read.lease.row == lease.row);
        reads = later;
        let now: Vec<Read> = now;
        let keys: Vec<&[u8]> = now.iter().map(|read| read.key.as_slice()).collect();
        let found = read(primary, &lease, &keys).await;
        for (read, found) in now.into_iter().zip(found) {
            // A caller that has gone away does not need it.
            let _ = read.done.send(found);
        }
    }
}

async fn run_fills(
    node: std::sync::Weak<Node>,
    mut queue: mpsc::Receiver<Fill>,
    keep: Duration,
    metrics: Metrics,
) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, KEYS_A_CALL).await > 0 {
        let Some(node) = node.upgrade() else { return };
        let mut fills = std::mem::take(&mut batch);
        while let Some(first) = fills.first() {
            let lease = Arc::clone(&first.ticket.lease);
            let same = |fill: &Fill| fill.ticket.lease.row == lease.row;
            let (now, later): (Vec<Fill>, Vec<Fill>) = fills.into_iter().partition(same);
            fills = later;
            let keys: Vec<&[u8]> = now.iter().map(|fill| fill.key.as_slice()).collect();
            let values: Vec<(&[u8], &[u8])> = now
                .iter()
                .map(|fill| (fill.ticket.nonce.as_slice(), fill.value.as_slice()))
                .collect();
            let stored = node.primary.fill(&lease.row.identity, &keys, &values, keep).await;
            let stored = stored.unwrap_or(0);
            metrics.fills_stored(stored);
            metrics.fills_discarded(now.len() - stored.min(now.len()));
        }
    }
}
