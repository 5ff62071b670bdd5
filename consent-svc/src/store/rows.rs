//! The rows that a batch of writes adds or replaces, and how they are stored.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, Set, Statement, Value,
    sea_query::{ArrayType, OnConflict},
};
use service_kit::store::StoreError;

use super::{
    Reply, Shared,
    apply::{Change, Command, Outcome},
    due,
    entity::{event, request, subject},
    erasure, events, feed, history, reply, request as requests,
    state::{self, State},
};
use crate::domain::{Event, EventContent, Moment, Policies, Subject};

/// The most rows of a table in one statement: SQLite takes 32,766 values.
const AT_ONCE: usize = 5_000;

/// Subjects by their ids, with their revisions.
pub(super) type Subjects = HashMap<String, (u64, State)>;

/// The rows.
pub(super) struct Rows<'a> {
    policies: &'a Policies,
    now: Moment,
    events: Vec<event::Model>,
    requests: Vec<request::Model>,
    /// Subjects whose state was replaced, in the order of their ids.
    changed: BTreeSet<String>,
    /// Subjects that were erased, and the salt of their history.
    erased: Vec<(String, [u8; 16])>,
    feed: Vec<feed::Entry>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(policies: &'a Policies, now: Moment) -> Self {
        Self {
            policies,
            now,
            events: Vec::new(),
            requests: Vec::new(),
            changed: BTreeSet::new(),
            erased: Vec::new(),
            feed: Vec::new(),
        }
    }

    /// Takes in what a write does, and gives its reply.
    pub(super) fn add(
        &mut self,
        command: &Command,
        outcome: Outcome,
        subjects: &mut Subjects,
    ) -> Reply {
        let (subject_id, mut reply) = (&command.subject_ids[0], outcome.reply);
        let mut digest = None;
        for change in outcome.changes {
            let about = change.subject_id == *subject_id;
            let head = self.change(change, subjects);
            if about {
                digest = Some(head);
            }
        }
        reply.revision = subjects.get(subject_id).map_or(0, |(revision, _)| *revision);
        if let Some(digest) = &digest {
            reply.event_id = Event::id_of(reply.revision, digest);
        }
        let remembered = reply::encode(&reply, digest.as_ref());
        self.requests.push(requests::row(command.request, self.now, remembered));
        reply
    }

    /// Applies a change; gives the digest of its event.
    fn change(&mut self, change: Change, subjects: &mut Subjects) -> [u8; 32] {
        let Change { subject_id, content, occurred_at } = change;
        let before = subjects.remove(&subject_id);
        let revision = before.as_ref().map_or(0, |(revision, _)| *revision) + 1;
        let (subject, previous, salt) = match before {
            Some((_, State { subject, head, salt })) => (Some(subject), head, salt),
            None => (None, [0; 32], rand::random()),
        };
        let kind = feed::kind(&content);
        let erases = content == EventContent::Erased;
        // Who was linked to an erased subject was told so when it left its links; ERASED is said of
        // nobody else, since followers act on it.
        let linked = subject.iter().filter(|_| !erases).flat_map(|subject| &subject.linked);
        self.feed.extend(linked.map(|other| feed::Entry::about(other.clone(), kind, 0)));
        self.feed.push(feed::Entry::about(subject_id.clone(), kind, revision));
        if erases {
            self.erased.push((subject_id.clone(), salt));
        }
        let salt = if erases { [0; 16] } else { salt };
        let bytes = history::encode(&content, occurred_at, self.now);
        let event_salt = history::event_salt(&salt, revision);
        let digest = history::content_digest(&event_salt, &subject_id, &bytes);
        let head = history::chain_digest(&previous, revision, &digest);
        self.events.push(event::Model {
            subject_id: subject_id.clone(),
            revision: stored(revision),
            content: bytes,
        });
        let after = Subject::after(subject, self.policies, &content, occurred_at, self.now);
        if let Some(subject) = after {
            self.changed.insert(subject_id.clone());
            subjects.insert(subject_id, (revision, State { subject, head, salt }));
        }
        head
    }

    /// Stores everything. Nothing much may follow but the commit: from here to it all other
    /// writers wait for their turn at the feed.
    pub(super) async fn store(
        self,
        shared: &Shared,
        tx: &DatabaseTransaction,
        subjects: &Subjects,
    ) -> Result<(), StoreError> {
        let rows = self.changed.iter().filter_map(|subject_id| {
            let (revision, state) = subjects.get(subject_id)?;
            Some(subject_row(self.policies, subject_id, *revision, state, self.now))
        });
        let rows: Vec<subject::Model> = rows.collect();
        for (subject_id, _) in &self.erased {
            erasure::begin(tx, subject_id, &shared.followers, self.now).await?;
        }
        let erased = self.erased.clone();
        match tx.get_database_backend() {
            DbBackend::Postgres => self.at_once(tx, rows).await?,
            _ => self.table_by_table(tx, rows).await?,
        }
        for (subject_id, salt) in &erased {
            events::erase(tx, subject_id, salt).await?;
        }
        Ok(())
    }

    async fn table_by_table(
        self,
        tx: &DatabaseTransaction,
        rows: Vec<subject::Model>,
    ) -> Result<(), StoreError> {
        if !rows.is_empty() {
            let replace = OnConflict::column(subject::Column::SubjectId)
                .update_columns([
                    subject::Column::Revision,
                    subject::Column::State,
                    subject::Column::Linked,
                    subject::Column::DueAt,
                ])
                .to_owned();
            let rows = rows.into_iter().map(|row| subject::ActiveModel {
                subject_id: Set(row.subject_id),
                revision: Set(row.revision),
                state: Set(row.state),
                linked: Set(row.linked),
                due_at: Set(row.due_at),
            });
            let rows: Vec<_> = rows.collect();
            for rows in rows.chunks(AT_ONCE) {
                let subjects = subject::Entity::insert_many(rows.to_vec());
                subjects.on_conflict(replace.clone()).exec_without_returning(tx).await?;
            }
            let events = self.events.into_iter().map(|row| event::ActiveModel {
                subject_id: Set(row.subject_id),
                revision: Set(row.revision),
                content: Set(row.content),
            });
            let events: Vec<_> = events.collect();
            for events in events.chunks(AT_ONCE) {
                event::Entity::insert_many(events.to_vec()).exec_without_returning(tx).await?;
            }
        }
        if !self.requests.is_empty() {
            let requests = self.requests.into_iter().map(requests::active);
            request::Entity::insert_many(requests).exec_without_returning(tx).await?;
        }
        feed::append(tx, self.feed, self.policies.epoch(), self.now).await
    }

    /// One statement whose text is the same for every number of rows, so that it is prepared once.
    async fn at_once(
        self,
        tx: &DatabaseTransaction,
        rows: Vec<subject::Model>,
    ) -> Result<(), StoreError> {
        let mut requests: [Vec<Value>; 3] = <_>::default();
        for row in self.requests {
            requests[0].push(row.request_key.into());
            requests[1].push(row.digest.into());
            requests[2].push(row.reply.into());
        }
        let mut values: Vec<Value> = requests.into_iter().map(|all| array(BYTES, all)).collect();
        values.push(self.now.millis().into());
        let mut text = REQUESTS_ONLY;
        let changes = !rows.is_empty();
        if changes {
            text = EVERYTHING;
            values.extend(subject_arrays(rows));
            values.extend(event_arrays(self.events));
            values.extend(feed_arrays(self.feed));
            values.push(self.policies.epoch().into());
        }
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, text, values);
        let stored = tx.execute_raw(statement).await?;
        if changes && stored.rows_affected() == 0 {
            return Err(feed::outdated());
        }
        Ok(())
    }
}

const TEXTS: ArrayType = ArrayType::String;
const REVISIONS: ArrayType = ArrayType::Int;
const KINDS: ArrayType = ArrayType::Int;
const TIMES: ArrayType = ArrayType::BigInt;
const BYTES: ArrayType = ArrayType::Bytes;

fn subject_arrays(rows: Vec<subject::Model>) -> [Value; 5] {
    let mut subjects: [Vec<Value>; 5] = <_>::default();
    for row in rows {
        subjects[0].push(row.subject_id.into());
        subjects[1].push(row.revision.into());
        subjects[2].push(row.state.into());
        // Arrays hold no NULLs here: these stand for them.
        subjects[3].push(row.linked.unwrap_or_default().into());
        subjects[4].push(row.due_at.unwrap_or(i64::MIN).into());
    }
    let [ids, revisions, states, linked, due] = subjects;
    [
        array(TEXTS, ids),
        array(REVISIONS, revisions),
        array(BYTES, states),
        array(TEXTS, linked),
        array(TIMES, due),
    ]
}

fn event_arrays(rows: Vec<event::Model>) -> [Value; 3] {
    let mut events: [Vec<Value>; 3] = <_>::default();
    for row in rows {
        events[0].push(row.subject_id.into());
        events[1].push(row.revision.into());
        events[2].push(row.content.into());
    }
    let [ids, revisions, contents] = events;
    [array(TEXTS, ids), array(REVISIONS, revisions), array(BYTES, contents)]
}

/// The last is how many entries there are.
fn feed_arrays(entries: Vec<feed::Entry>) -> [Value; 4] {
    let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
    let mut fed: [Vec<Value>; 3] = <_>::default();
    for entry in entries {
        // Every entry of a batch is about somebody.
        fed[0].push(entry.subject_id.unwrap_or_default().into());
        fed[1].push((entry.kind as i32).into());
        fed[2].push(stored(entry.revision).into());
    }
    let [ids, kinds, revisions] = fed;
    [array(TEXTS, ids), array(KINDS, kinds), array(REVISIONS, revisions), count.into()]
}

fn array(kind: ArrayType, values: Vec<Value>) -> Value {
    Value::Array(kind, Some(Box::new(values)))
}

/// Positions of the feed are taken by counting up its head, whose row is locked until the commit:
/// see `feed.rs`. None are to be had for what was decided by policies of before.
const EVERYTHING: &str = "
WITH requests AS (
  INSERT INTO request (request_key, digest, reply, recorded_at)
  SELECT key, digest, reply, $4
  FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS r (key, digest, reply)
), subjects AS (
  INSERT INTO subject (subject_id, revision, state, linked, due_at)
  SELECT id, revision, state, NULLIF(linked, ''), NULLIF(due, '-9223372036854775808'::bigint)
  FROM unnest($5::text[], $6::int[], $7::bytea[], $8::text[], $9::bigint[])
    AS s (id, revision, state, linked, due)
  ON CONFLICT (subject_id) DO UPDATE SET revision = excluded.revision, state = excluded.state,
    linked = excluded.linked, due_at = excluded.due_at
), events AS (
  INSERT INTO event (subject_id, revision, content)
  SELECT * FROM unnest($10::text[], $11::int[], $12::bytea[])
), head AS (
  UPDATE feed_head SET position = position + $16 WHERE epoch <= $17
  RETURNING position - $16 AS base
)
INSERT INTO feed (position, subject_id, kind, revision, recorded_at)
SELECT head.base + f.place, f.id, f.kind, f.revision, $4
FROM head, unnest($13::text[], $14::int[], $15::int[])
  WITH ORDINALITY AS f (id, kind, revision, place)
";

/// When nothing changes, nobody need wait for the feed.
const REQUESTS_ONLY: &str = "
INSERT INTO request (request_key, digest, reply, recorded_at)
SELECT key, digest, reply, $4
FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS r (key, digest, reply)
";

fn subject_row(
    policies: &Policies,
    subject_id: &str,
    revision: u64,
    state: &State,
    now: Moment,
) -> subject::Model {
    let subject = &state.subject;
    subject::Model {
        subject_id: subject_id.to_owned(),
        revision: stored(revision),
        state: state::encode(state),
        linked: Some(subject.linked.join(",")).filter(|linked| !linked.is_empty()),
        due_at: due::next(policies, subject, now).map(Moment::millis),
    }
}

/// A revision as it stands in rows: enough for a change a second for 68 years.
pub(super) fn stored(revision: u64) -> i32 {
    i32::try_from(revision).unwrap_or(i32::MAX)
}
