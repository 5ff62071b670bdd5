//! Writing subjects: many small writes, one commit.
//!
//! A commit waits for the disk, and SQLite has one connection. So writes go to a *lane*, a task
//! that takes whatever has queued up, reads all the subjects concerned in one statement, lets
//! each write's rule decide in memory, in order of arrival, stores all effects in three
//! statements, commits once, and only then acknowledges each. Under light load that is a write a
//! commit with nothing added; under heavy load the cost of a commit is shared.
//!
//! A rule is pure: one that refuses leaves nothing behind, so no write of a batch can undo
//! another's. A write outlives its caller: once queued it is carried out.
//!
//! Writes to one subject are in order: one lane per subject within this process; against other
//! replicas the row lock, and the primary key of `event`, which admits one event per revision.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::Arc,
};

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, IsolationLevel, Set, Statement,
    sea_query::OnConflict,
};
use serde::{Deserialize, Serialize};
use service_kit::{
    context::Context,
    store::{StoreError, Tx, transaction_at},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    Reply, RequestId, Shared, Store,
    entity::{event, request, subject},
    history,
    read::{among, list, revision_of},
    reply, request as requests,
    state::{self, State},
};
use crate::{
    domain::{Event, EventContent, Moment, Policies, Subject},
    error::Error,
};

/// How writes are gathered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct WriterConfig {
    /// The most writes in one commit. More share the disk better under load; all of them wait for
    /// the slowest, and fail together when the database does.
    pub batch: usize,
    /// How many writes may queue before further ones are answered UNAVAILABLE.
    pub queue: usize,
    /// PostgreSQL: how many commits may be under way at once, each on a connection of its own.
    /// SQLite has one.
    pub lanes: usize,
}

impl Default for WriterConfig {
    fn default() -> Self {
        Self { batch: 256, queue: 8_192, lanes: 4 }
    }
}

/// A write to one subject.
pub(crate) struct Command {
    /// Names it.
    pub(crate) request: RequestId,
    /// Whose state it changes.
    pub(crate) subject_id: String,
    /// What it does. May be asked more than once, and must depend on nothing but what it is given.
    pub(crate) rule: Rule,
}

/// What a write makes of what it finds.
pub(crate) type Rule = Box<dyn Fn(&Scene<'_>) -> Result<Outcome, Error> + Send + Sync>;

/// What a write finds.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    /// The policies in force.
    pub(crate) policies: &'a Policies,
    /// The subject, if it is known.
    pub(crate) subject: Option<&'a Subject>,
    /// Now.
    pub(crate) now: Moment,
}

/// What a write does and answers. The store fills in the reply's revision and event.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What changes; nothing, and there is no event.
    pub(crate) change: Option<Change>,
    /// What is answered, now and to the same request again.
    pub(crate) reply: Reply,
}

/// A change of a subject's state, and the event that says so.
#[derive(Debug)]
pub(crate) struct Change {
    /// The state after it.
    pub(crate) subject: Subject,
    /// What happened.
    pub(crate) content: EventContent,
    /// When, as the caller says.
    pub(crate) occurred_at: Moment,
}

struct Job {
    command: Command,
    done: oneshot::Sender<Result<Reply, Error>>,
}

/// The way to a task that commits.
pub(super) struct Lane(mpsc::Sender<Job>);

/// How often a batch is tried when another replica's writes were in the way.
const ATTEMPTS: u32 = 10;

impl Store {
    /// Carries out a write, or finds what was answered to it before. When this returns, the
    /// effect survives whatever the store's configuration promises to survive.
    pub(crate) async fn write(&self, command: Command) -> Result<Reply, Error> {
        let (done, answer) = oneshot::channel();
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let hash = hasher.hash_one(&command.subject_id) % self.lanes.len() as u64;
        // Truncation safety: less than the number of lanes.
        #[allow(clippy::cast_possible_truncation)]
        let lane = &self.lanes[hash as usize];
        lane.0.try_send(Job { command, done }).map_err(|_| Error::WriterBusy)?;
        answer.await.map_err(|_| Error::WriterBusy)?
    }
}

/// Starts the lanes.
pub(super) fn start(ctx: &Context, shared: &Arc<Shared>, config: &WriterConfig) -> Arc<[Lane]> {
    let count = match shared.db.get_database_backend() {
        DbBackend::Postgres => config.lanes.max(1),
        _ => 1,
    };
    let lane = |_| {
        let (sender, queue) = mpsc::channel(config.queue.max(1));
        let (shared, drained) = (shared.clone(), ctx.drained.clone());
        let batch = config.batch.clamp(1, 1_000);
        ctx.spawn("writer", run(shared, queue, batch, drained));
        Lane(sender)
    };
    (0..count).map(lane).collect()
}

async fn run(
    shared: Arc<Shared>,
    mut queue: mpsc::Receiver<Job>,
    batch: usize,
    drained: CancellationToken,
) {
    let mut jobs = Vec::new();
    loop {
        tokio::select! {
            count = queue.recv_many(&mut jobs, batch) => if count == 0 { return },
            // Nothing new comes in; what is queued is still carried out.
            () = drained.cancelled(), if !queue.is_closed() => queue.close(),
        }
        if !jobs.is_empty() {
            let (commands, done): (Vec<_>, Vec<_>) =
                jobs.drain(..).map(|job| (job.command, job.done)).unzip();
            let answers = commit(&shared, &commands).await;
            for (done, answer) in done.into_iter().zip(answers) {
                // A caller that has gone away does not need it.
                let _ = done.send(answer);
            }
        }
    }
}

async fn commit(shared: &Shared, commands: &[Command]) -> Vec<Result<Reply, Error>> {
    for attempt in 1.. {
        let work = |tx: Tx| async move { batch(shared, &tx, commands).await };
        // Weaker than SERIALIZABLE is enough: the rows that rules look at are locked first.
        match transaction_at(&shared.db, "write", IsolationLevel::ReadCommitted, work).await {
            Ok(answers) => return answers,
            // Another replica stored the same request or made the same subject known. What it
            // committed is there to be read now.
            Err(StoreError::Duplicate(_)) if attempt < ATTEMPTS => {}
            Err(error) => {
                return commands.iter().map(|_| Err(Error::Store(error.clone()))).collect();
            }
        }
    }
    unreachable!("the last attempt returns")
}

/// The rows that a batch adds or replaces.
#[derive(Default)]
struct Rows {
    events: Vec<event::ActiveModel>,
    requests: Vec<request::ActiveModel>,
    /// Subjects whose state was replaced, in the order of their ids.
    changed: std::collections::BTreeSet<String>,
}

async fn batch(
    shared: &Shared,
    tx: &DatabaseTransaction,
    commands: &[Command],
) -> Result<Vec<Result<Reply, Error>>, StoreError> {
    let mut subjects = lock(tx, commands).await?;
    let ids: Vec<RequestId> = commands.iter().map(|command| command.request).collect();
    let before = requests::find(tx, &ids).await?;
    let mut known: HashMap<_, _> =
        before.into_iter().map(|(key, content, reply)| (key, (content, reply))).collect();
    // Read after the subjects, so that no subject refers to a policy that is not there.
    let policies = shared.policies_since(tx, epoch(tx).await?).await?;
    let now = shared.now();
    let mut rows = Rows::default();
    let mut answers = Vec::with_capacity(commands.len());
    for command in commands {
        let id = command.request;
        if let Some((content, reply)) = known.get(&id.key) {
            answers.push(id.replay(content, reply));
            continue;
        }
        let found = subjects.get(&command.subject_id);
        let scene =
            Scene { policies: &policies, subject: found.map(|(_, state)| &state.subject), now };
        let answer = (command.rule)(&scene).map(|outcome| {
            let reply = rows.add(command, outcome, &mut subjects, now);
            known.insert(id.key, (id.content.to_vec(), reply.clone()));
            reply
        });
        answers.push(answer);
    }
    rows.store(tx, &subjects).await?;
    Ok(answers)
}

impl Rows {
    fn add(
        &mut self,
        command: &Command,
        outcome: Outcome,
        subjects: &mut HashMap<String, (u64, State)>,
        now: Moment,
    ) -> Reply {
        let subject_id = &command.subject_id;
        let mut reply = outcome.reply;
        let found = subjects.get(subject_id);
        reply.revision = found.map_or(0, |(revision, _)| *revision);
        let mut digest = None;
        if let Some(change) = outcome.change {
            let revision = reply.revision + 1;
            let (previous, salt) = found
                .map_or_else(|| ([0; 32], rand::random()), |(_, state)| (state.head, state.salt));
            let content = history::encode(&change.content, change.occurred_at, now);
            let link = history::Link {
                previous: &previous,
                salt: &salt,
                subject_id,
                revision,
                content: &content,
            };
            let head = link.digest();
            self.events.push(event::ActiveModel {
                subject_id: Set(subject_id.clone()),
                revision: Set(stored(revision)),
                content: Set(content),
                digest: Set(head.to_vec()),
            });
            let state = State { subject: change.subject, head, salt };
            subjects.insert(subject_id.clone(), (revision, state));
            self.changed.insert(subject_id.clone());
            reply.revision = revision;
            reply.event_id = Event::id_of(revision, &head);
            digest = Some(head);
        }
        let remembered = reply::encode(&reply, digest.as_ref());
        self.requests.push(requests::row(command.request, now, remembered));
        reply
    }

    async fn store(
        self,
        tx: &DatabaseTransaction,
        subjects: &HashMap<String, (u64, State)>,
    ) -> Result<(), StoreError> {
        if !self.changed.is_empty() {
            let rows = self.changed.into_iter().filter_map(|subject_id| {
                let (revision, state) = subjects.get(&subject_id)?;
                Some(subject::ActiveModel {
                    revision: Set(stored(*revision)),
                    state: Set(state::encode(state)),
                    subject_id: Set(subject_id),
                })
            });
            let replace = OnConflict::column(subject::Column::SubjectId)
                .update_columns([subject::Column::Revision, subject::Column::State])
                .to_owned();
            let subjects = subject::Entity::insert_many(rows).on_conflict(replace);
            subjects.exec_without_returning(tx).await?;
            event::Entity::insert_many(self.events).exec_without_returning(tx).await?;
        }
        if !self.requests.is_empty() {
            request::Entity::insert_many(self.requests).exec_without_returning(tx).await?;
        }
        Ok(())
    }
}

fn stored(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

/// The subjects that the writes are about, locked in the order of their ids, so that batches of
/// several replicas wait for one another instead of dying of it.
async fn lock(
    tx: &DatabaseTransaction,
    commands: &[Command],
) -> Result<HashMap<String, (u64, State)>, StoreError> {
    let backend = tx.get_database_backend();
    let lock = if backend == DbBackend::Postgres { "FOR UPDATE" } else { "" };
    let sql = format!(
        "SELECT subject_id, revision, state FROM subject WHERE subject_id {} \
         ORDER BY subject_id {lock}",
        among(backend)
    );
    let ids: Vec<&str> = commands.iter().map(|command| command.subject_id.as_str()).collect();
    let statement = Statement::from_sql_and_values(backend, sql, [list(backend, &ids)]);
    let rows = tx.query_all_raw(statement).await?;
    let found = rows.iter().map(|row| {
        let subject_id: String = row.try_get("", "subject_id")?;
        let revision = revision_of(row.try_get("", "revision")?)?;
        let bytes: Vec<u8> = row.try_get("", "state")?;
        Ok((subject_id, (revision, state::decode(&bytes)?)))
    });
    found.collect()
}

async fn epoch(tx: &DatabaseTransaction) -> Result<i64, StoreError> {
    let sql = "SELECT value FROM policy_epoch";
    let row = tx.query_one_raw(Statement::from_string(tx.get_database_backend(), sql)).await?;
    Ok(row.ok_or_else(|| super::unreadable("policy_epoch"))?.try_get("", "value")?)
}
