//! What is kept of lists in memory: who is in which, and which may be targeted. It follows the
//! database by the sequence in which lists changed.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicI64, Ordering},
    },
};

use roaring::RoaringBitmap;
use service_kit::clock::UnixMillis;
use tokio::sync::Mutex;

use crate::{
    domain::{MemberDay, day_of},
    error::Error,
    membership::{Cohort, Memberships, Refused},
    store::{
        Store,
        audiences::{self, Target},
        list_changes::{self, ListChange, Tail},
        members::{self, Row},
    },
};

/// How many changes are read at once.
const PAGE: u64 = 1_000;
/// How many blocks are swept at a time.
const SWEPT: usize = 4_096;

/// Lists in memory.
#[derive(Debug)]
pub(crate) struct Lists {
    store: Store,
    known: RwLock<Arc<Known>>,
    /// The last change that is in it. Held while changes are read and applied, so that what was
    /// read first is applied first.
    position: Mutex<i64>,
    /// The same, for who only wants to know whether there are others.
    reached: AtomicI64,
}

/// Who is in which list, and what the numbers there mean.
#[derive(Debug, Default)]
struct Known {
    memberships: Memberships,
    names: RwLock<Names>,
}

#[derive(Debug, Default)]
struct Names {
    numbers: HashMap<String, u32>,
    targets: HashMap<u32, Target>,
    next: u32,
}

impl Lists {
    /// Loads them.
    pub(crate) async fn load(store: Store) -> Result<Self, Error> {
        let (known, position) = loaded(&store).await?;
        let known = RwLock::new(Arc::new(known));
        let (position, reached) = (Mutex::new(position), AtomicI64::new(position));
        let lists = Self { store, known, position, reached };
        lists.catch_up().await?;
        Ok(lists)
    }

    /// Applies every change up to this one: for look-ups, who have read its number, so that whoever
    /// was told of a change is not answered without it by another replica.
    pub(crate) async fn reach(&self, change: i64) -> Result<(), Error> {
        if change > self.reached.load(Ordering::Acquire) {
            self.catch_up().await?;
        }
        Ok(())
    }

    /// Applies every change that was committed, by whatever replica, before this was called.
    pub(crate) async fn catch_up(&self) -> Result<(), Error> {
        let mut position = self.position.lock().await;
        let goal = list_changes::last(self.store.reads()).await?;
        while *position < goal {
            match list_changes::after(self.store.reads(), *position, PAGE).await? {
                Tail::Changes(changes, reached) if reached > *position => {
                    let known = self.known();
                    for change in in_order(changes) {
                        known.apply(&self.store, &change).await?;
                    }
                    *position = reached;
                    self.reached.store(reached, Ordering::Release);
                }
                // Pruned, or a store that was set back behind what was counted.
                Tail::Changes(..) | Tail::Gone => {
                    let (known, reached) = loaded(&self.store).await?;
                    *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
                    *position = reached;
                    self.reached.store(reached, Ordering::Release);
                }
            }
        }
        Ok(())
    }

    /// The audiences that somebody is in today, as business and audience; those that may be
    /// targeted, or all.
    pub(crate) fn of(
        &self,
        ordinal: u32,
        today: MemberDay,
        targetable: bool,
    ) -> Vec<(String, String)> {
        let (known, mut found) = (self.known(), Vec::new());
        known.memberships.audiences_of(ordinal, today, &mut found);
        let names = known.names();
        let targets = found.iter().filter_map(|cohort| names.targets.get(&cohort.audience));
        let told = targets.filter(|target| target.targetable || !targetable);
        told.map(|target| (target.business_id.clone(), target.audience_id.clone())).collect()
    }

    /// Gives the memory back of what has ended, a portion at a time.
    pub(crate) fn tidy(&self, now: UnixMillis) {
        let known = self.known();
        known.memberships.drop_ended(day_of(now));
        known.memberships.sweep(SWEPT);
    }

    fn known(&self) -> Arc<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Known {
    fn names(&self) -> RwLockReadGuard<'_, Names> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn naming(&self) -> RwLockWriteGuard<'_, Names> {
        self.names.write().unwrap_or_else(PoisonError::into_inner)
    }

    async fn apply(&self, store: &Store, change: &ListChange) -> Result<(), Error> {
        let ListChange { audience_id, chunks } = change;
        let target = audiences::targets(store.reads(), Some(audience_id)).await?.pop();
        let rows = members::of_chunks(store.reads(), audience_id, chunks).await?;
        let Some(target) = target else {
            if let Some(number) = self.naming().end(audience_id) {
                self.memberships.end_audience(number);
            }
            return Ok(());
        };
        // Whoever leaves by a change must not be found because the list may be targeted again.
        let ended = !target.targetable;
        if ended {
            self.naming().put(target);
            return self.set(audience_id, rows);
        }
        self.set(audience_id, rows)?;
        self.naming().put(target);
        Ok(())
    }

    fn set(
        &self,
        audience_id: &str,
        rows: impl IntoIterator<Item = (u16, Vec<Row>)>,
    ) -> Result<(), Error> {
        let audience = self.naming().number(audience_id);
        for (chunk, rows) in rows {
            let rows: Vec<_> = rows.into_iter().map(|row| cohort(row, audience)).collect();
            self.memberships.set_audience_chunk(audience, chunk, &rows)?;
        }
        Ok(())
    }
}

impl Names {
    /// The number of an audience, which nothing else ever has.
    fn number(&mut self, audience_id: &str) -> u32 {
        if let Some(number) = self.numbers.get(audience_id) {
            return *number;
        }
        self.numbers.insert(audience_id.to_owned(), self.next);
        self.next += 1;
        self.next - 1
    }

    fn put(&mut self, target: Target) {
        let number = self.number(&target.audience_id);
        self.targets.insert(number, target);
    }

    fn end(&mut self, audience_id: &str) -> Option<u32> {
        let number = self.numbers.remove(audience_id)?;
        self.targets.remove(&number);
        Some(number)
    }
}

impl From<Refused> for Error {
    fn from(_: Refused) -> Self {
        Self::Internal("stored members cannot be taken into memory")
    }
}

/// Each list once, where it changed last: what is read of it is what it is now.
fn in_order(changes: Vec<ListChange>) -> Vec<ListChange> {
    let mut of_list: HashMap<String, BTreeSet<u16>> = HashMap::new();
    for mut change in changes {
        of_list.entry(change.audience_id).or_default().append(&mut change.chunks);
    }
    of_list.into_iter().map(|(audience_id, chunks)| ListChange { audience_id, chunks }).collect()
}

// The business is in the target; memberships need not know it.
fn cohort(row: Row, audience: u32) -> (Cohort, RoaringBitmap) {
    (Cohort { audience, expires_on: row.expires_on, business: 0 }, row.members)
}

async fn loaded(store: &Store) -> Result<(Known, i64), Error> {
    let db = store.reads();
    let (known, position) = (Known::default(), list_changes::last(db).await?);
    for target in audiences::targets(db, None).await? {
        known.naming().put(target);
    }
    let mut from = 0;
    while let Some((chunk, rows)) = members::whole_chunk(db, from).await? {
        let rows: Vec<_> = {
            let names = known.names();
            // What came since the position was read comes again.
            let number = |row: &Row| names.numbers.get(&row.audience_id).copied();
            rows.into_iter().filter_map(|row| number(&row).map(|n| cohort(row, n))).collect()
        };
        known.memberships.load_chunk(chunk, &rows)?;
        from = i32::from(chunk) + 1;
    }
    Ok((known, position))
}
