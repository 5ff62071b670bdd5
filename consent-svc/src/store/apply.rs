//! Applying a batch of writes in one transaction.
//!
//! All subjects concerned are read and locked in one statement, each write's rule decides in
//! memory, in order of arrival, and all effects are stored in a few statements. A rule is pure: one
//! that refuses leaves nothing behind, so no write of a batch can undo another's.

use std::collections::{BTreeSet, HashMap, HashSet};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, IsolationLevel, Statement};
use service_kit::store::{InTransaction, StoreError, Tx, transaction_at};

use super::{
    Reply, RequestId, Shared, Store, Token, fence,
    read::revision_of,
    request as requests,
    rows::{Rows, Subjects},
    sql, state, unreadable,
};
use crate::{
    domain::{EventContent, Moment, Policies, Subject},
    error::Error,
    mutant::{self, Mutant},
};

/// A write.
pub(crate) struct Command {
    /// Names it.
    pub(crate) request: RequestId,
    /// The subjects that it names, at least one: the first is the one that it is about.
    pub(crate) subject_ids: Vec<String>,
    /// What it does. May be asked more than once, and must depend on nothing but what it is given.
    pub(crate) rule: Rule,
}

/// What a write makes of what it finds.
pub(crate) type Rule = Box<dyn Fn(&Scene<'_>) -> Result<Outcome, Error> + Send + Sync>;

/// What a write finds.
pub(crate) struct Scene<'a> {
    /// The policies in force.
    pub(crate) policies: &'a Policies,
    /// Now.
    pub(crate) now: Moment,
    subject_id: &'a str,
    subjects: &'a Subjects,
}

impl<'a> Scene<'a> {
    /// The subject that the write is about, which must be known and not erased.
    pub(crate) fn subject(&self) -> Result<&'a Subject, Error> {
        self.known(self.subject_id)
    }

    /// Any subject that the write names, which must be known and not erased.
    pub(crate) fn known(&self, subject_id: &str) -> Result<&'a Subject, Error> {
        let subject = self.found(subject_id).ok_or(Error::SubjectUnknown)?;
        if subject.erased_at.is_some() { Err(Error::SubjectErased) } else { Ok(subject) }
    }

    /// A change that happens now.
    pub(crate) fn change(&self, subject_id: &str, content: EventContent) -> Change {
        Change { subject_id: subject_id.to_owned(), content, occurred_at: self.now }
    }

    /// A subject that the write names, or that is linked to one, its guardian or its ward.
    pub(crate) fn found(&self, subject_id: &str) -> Option<&'a Subject> {
        self.subjects.get(subject_id).map(|(_, state)| &state.subject)
    }
}

/// What a write does and answers. The store fills in the reply's revision and event, which are
/// those of the subject that the write is about.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What changes; nothing, and there is no event.
    pub(crate) changes: Vec<Change>,
    /// What is answered, now and to the same request again.
    pub(crate) reply: Reply,
}

/// A change of a subject.
#[derive(Debug)]
pub(crate) struct Change {
    /// Whose.
    pub(crate) subject_id: String,
    /// What happened.
    pub(crate) content: EventContent,
    /// When, as the caller says.
    pub(crate) occurred_at: Moment,
}

/// What has been done so that no cache keeps what the writes change.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Guard<'a> {
    /// Nothing: there is no cache.
    Uncached,
    /// These subjects are held out of this process's own cache.
    Held(&'a HashSet<String>),
    /// These subjects were fenced and invalidated under a token.
    Fenced(&'a HashSet<String>, Token),
}

/// What became of a write.
#[derive(Debug)]
pub(crate) enum Applied {
    /// It was carried out, or refused.
    Done(Result<Reply, Error>),
    /// It was not, because it changes the answers of these subjects, which are not all guarded.
    Unguarded(HashSet<String>),
}

/// How often a batch is tried when another replica's writes were in the way.
const ATTEMPTS: u32 = 10;

impl Store {
    /// Applies writes, each as if alone and in this order. When this returns, the effects survive
    /// whatever the store's configuration promises to survive.
    pub(crate) async fn apply(
        &self,
        commands: &[Command],
        guard: Guard<'_>,
    ) -> Result<Vec<Applied>, StoreError> {
        // With Redis, whoever is linked was found when they were fenced.
        let mut related: BTreeSet<String> = match guard {
            Guard::Fenced(fenced, _) => fenced.iter().cloned().collect(),
            _ => BTreeSet::new(),
        };
        for attempt in 1.. {
            let locked = &related;
            let work =
                |tx: Tx| async move { batch(&self.shared, &tx, commands, guard, locked).await };
            // Weaker than SERIALIZABLE is enough: the rows that rules look at are locked first.
            let level = IsolationLevel::ReadCommitted;
            let apply = transaction_at(&self.shared.db, "write", level, work);
            match self.shared.answered(apply).await {
                Ok(applied) => {
                    self.feed_grew();
                    return Ok(applied);
                }
                Err(Halt::Unlocked(more)) if attempt < ATTEMPTS => related.extend(more),
                // Another replica stored the same request or made the same subject known. What it
                // committed is there to be read now.
                Err(Halt::Store(StoreError::Duplicate(_))) if attempt < ATTEMPTS => {}
                Err(Halt::Store(error)) => return Err(error),
                Err(Halt::Unlocked(_)) => {
                    let why = "the relations of the subjects kept changing".to_owned();
                    return Err(StoreError::Conflict(why));
                }
            }
        }
        unreachable!("the last attempt returns")
    }
}

/// Why a batch was not carried out.
enum Halt {
    /// The store failed.
    Store(StoreError),
    /// These subjects must be locked too, from the beginning.
    Unlocked(BTreeSet<String>),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl InTransaction for Halt {
    fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Unlocked(_) => None,
        }
    }
}

async fn batch(
    shared: &Shared,
    tx: &DatabaseTransaction,
    commands: &[Command],
    guard: Guard<'_>,
    related: &BTreeSet<String>,
) -> Result<Vec<Applied>, Halt> {
    let guarded = match guard {
        Guard::Uncached => None,
        Guard::Held(held) => Some(held.clone()),
        Guard::Fenced(fenced, token) => Some(fence::take(tx, fenced, token).await?),
    };
    let unguarded_too = mutant::is(Mutant::UnconditionalCommit)
        || mutant::is(Mutant::NoFence)
        || mutant::is(Mutant::NoLinkedFence);
    let guarded = guarded.filter(|_| !unguarded_too);
    let named = commands.iter().flat_map(|command| &command.subject_ids);
    let wanted = named.clone().chain(related).map(String::as_str);
    let mut subjects = lock(tx, wanted.collect()).await?;
    let missing = related_to(named, &subjects);
    if !missing.is_empty() {
        // Locked now, they would be out of order among the others.
        if tx.get_database_backend() == DbBackend::Postgres {
            return Err(Halt::Unlocked(missing));
        }
        subjects.extend(lock(tx, missing.iter().map(String::as_str).collect()).await?);
    }
    let ids: Vec<RequestId> = commands.iter().map(|command| command.request).collect();
    let before = requests::find(tx, &ids).await?;
    let mut known: HashMap<_, _> =
        before.into_iter().map(|(key, content, reply)| (key, (content, reply))).collect();
    // Read after the subjects, so that no subject refers to a policy that is not there.
    let header = header(tx).await?;
    if header.cached && matches!(guard, Guard::Uncached) {
        return Err(without_cache().into());
    }
    let policies = shared.policies_since(tx, header.epoch).await?;
    let now = shared.now(&header);
    let mut rows = Rows::new(&policies, now);
    let mut applied = Vec::with_capacity(commands.len());
    for command in commands {
        let id = command.request;
        if let Some((content, reply)) = known.get(&id.key) {
            applied.push(Applied::Done(id.replay(content, reply)));
            continue;
        }
        let subject_id = &command.subject_ids[0];
        let scene = Scene { policies: &policies, now, subject_id, subjects: &subjects };
        let outcome = match (command.rule)(&scene) {
            Ok(outcome) => outcome,
            Err(error) => {
                applied.push(Applied::Done(Err(error)));
                continue;
            }
        };
        if let Some(guarded) = &guarded {
            let affected = affected(&outcome.changes, &subjects);
            if !affected.is_subset(guarded) {
                applied.push(Applied::Unguarded(affected));
                continue;
            }
        }
        let reply = rows.add(command, outcome, &mut subjects);
        known.insert(id.key, (id.content.to_vec(), reply.clone()));
        applied.push(Applied::Done(Ok(reply)));
    }
    rows.store(shared, tx, &subjects).await?;
    Ok(applied)
}

/// Everyone whose answers these changes can change: who is changed, and who is linked to them
/// before or after.
fn affected(changes: &[Change], subjects: &Subjects) -> HashSet<String> {
    let mut affected = HashSet::new();
    for change in changes {
        affected.insert(change.subject_id.clone());
        if let Some((_, state)) = subjects.get(&change.subject_id) {
            affected.extend(state.subject.linked.iter().cloned());
        }
        if let EventContent::Linked { with } | EventContent::Unlinked { with } = &change.content {
            affected.extend(with.iter().cloned());
        }
    }
    affected
}

/// Subjects, locked in the order of their ids, so that batches of several replicas wait for one
/// another instead of dying of it.
async fn lock(tx: &DatabaseTransaction, ids: Vec<&str>) -> Result<Subjects, StoreError> {
    let backend = tx.get_database_backend();
    let lock = if backend == DbBackend::Postgres { "FOR UPDATE" } else { "" };
    let text = format!(
        "SELECT subject_id, revision, state FROM subject WHERE subject_id {} \
         ORDER BY subject_id {lock}",
        sql::among(backend)
    );
    let statement = Statement::from_sql_and_values(backend, text, [sql::list(backend, &ids)]);
    let found = tx.query_all_raw(statement).await?;
    let found = found.iter().map(|row| {
        let subject_id: String = row.try_get("", "subject_id")?;
        let revision = revision_of(row.try_get("", "revision")?)?;
        let bytes: Vec<u8> = row.try_get("", "state")?;
        Ok((subject_id, (revision, state::decode(&bytes)?)))
    });
    found.collect()
}

/// Who is linked to these, their guardian or their ward, and not there. Few people have any.
fn related_to<'a>(
    named: impl Iterator<Item = &'a String>,
    subjects: &Subjects,
) -> BTreeSet<String> {
    let related = named.filter_map(|id| subjects.get(id)).flat_map(|(_, state)| {
        let Subject { linked, guardian, wards, .. } = &state.subject;
        linked.iter().chain(guardian).chain(wards)
    });
    related.filter(|id| !subjects.contains_key(*id)).cloned().collect()
}

/// A write would leave stale answers in the cache.
pub(super) fn without_cache() -> StoreError {
    let why = "other replicas use Redis with this database, and this one is not told of it: set \
               cache.redis";
    StoreError::Unavailable(why.to_owned())
}

/// What every write reads besides subjects.
pub(super) struct Header {
    pub(super) epoch: i64,
    /// Whether replicas use Redis.
    pub(super) cached: bool,
    /// The database's time.
    pub(super) now: Moment,
}

pub(super) async fn header(tx: &DatabaseTransaction) -> Result<Header, StoreError> {
    let backend = tx.get_database_backend();
    let text = format!(
        "SELECT value AS epoch, EXISTS (SELECT 1 FROM cache_primary) AS cached, {} AS now \
         FROM policy_epoch",
        sql::now(backend)
    );
    let row = tx.query_one_raw(Statement::from_string(backend, text)).await?;
    let row = row.ok_or_else(|| unreadable("policy_epoch"))?;
    Ok(Header {
        epoch: row.try_get("", "epoch")?,
        cached: row.try_get("", "cached")?,
        now: Moment::from_millis(row.try_get("", "now")?),
    })
}
