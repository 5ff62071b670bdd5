//! Reading subjects, with the policies of the same instant.

use std::{collections::HashMap, sync::Arc};

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};
use service_kit::store::StoreError;

use super::{Shared, Store, sql, state, unreadable};
use crate::{
    domain::{Person, Policies, Subject},
    error::Error,
};

/// A subject as read.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// Counts its events.
    pub(crate) revision: u64,
    /// The subject.
    pub(crate) subject: Subject,
    /// Whether a write that may change its answers is under way: they must not be kept.
    pub(crate) fenced: bool,
}

/// Subjects and those that are linked to them, at one instant.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    pub(crate) policies: Arc<Policies>,
    known: HashMap<String, Known>,
}

impl Reading {
    /// What is known of a subject that was asked for.
    pub(crate) fn known(&self, subject_id: &str) -> Option<&Known> {
        self.known.get(subject_id)
    }

    /// The revisions of a subject and of those that are linked to it.
    pub(crate) fn revisions(&self, subject_id: &str) -> Vec<u64> {
        let known = self.known.get(subject_id);
        let linked = known.iter().flat_map(|known| &known.subject.linked);
        let others = linked.filter_map(|other| self.known.get(other));
        known.into_iter().chain(others).map(|known| known.revision).collect()
    }

    /// Hands over the person whose account this is.
    pub(crate) fn with_person<T>(&self, subject_id: &str, with: impl FnOnce(Person<'_>) -> T) -> T {
        let subject = self.known.get(subject_id).map(|known| &known.subject);
        match subject {
            Some(subject) if !subject.linked.is_empty() => {
                let others = subject.linked.iter().filter_map(|other| self.known.get(other));
                let linked: Vec<&Subject> = others.map(|other| &other.subject).collect();
                with(Person { subject: Some(subject), linked: &linked })
            }
            _ => with(Person { subject, linked: &[] }),
        }
    }
}

/// How often a read is repeated because policies changed meanwhile. They change a few times a year.
const ATTEMPTS: usize = 8;

impl Store {
    /// The policies in force.
    pub(crate) async fn policies(&self) -> Result<Arc<Policies>, StoreError> {
        let text = "SELECT value AS epoch FROM policy_epoch";
        Ok(self.shared.consistent(text, &[]).await?.0)
    }

    /// The policies that were in force when the store was last read.
    pub(crate) fn policies_at_hand(&self) -> Arc<Policies> {
        self.shared.policies.load_full()
    }

    /// Many subjects, by their ids. One statement, however many, that begins after this is called
    /// and takes its turn: a bounded number is under way at once.
    pub(crate) async fn read_many(&self, ids: &[impl AsRef<str>]) -> Result<Reading, Error> {
        let _turn = self.many.acquire().await.map_err(|_| Error::Stopping)?;
        Ok(self.shared.read(ids).await?)
    }
}

impl Shared {
    pub(super) async fn read(&self, ids: &[impl AsRef<str>]) -> Result<Reading, StoreError> {
        let backend = self.db.get_database_backend();
        let text = match backend {
            DbBackend::Postgres => POSTGRES,
            _ => SQLITE,
        };
        let (policies, rows) = self.consistent(text, &[sql::list(backend, ids)]).await?;
        let known = rows.iter().filter_map(|row| known(row).transpose());
        Ok(Reading { policies, known: known.collect::<Result<_, _>>()? })
    }

    /// Runs a query of which every row carries the epoch, until its rows and the policies that
    /// are at hand are of one epoch.
    pub(super) async fn consistent(
        &self,
        text: &str,
        arguments: &[Value],
    ) -> Result<(Arc<Policies>, Vec<QueryResult>), StoreError> {
        let db = &self.db;
        for _ in 0..ATTEMPTS {
            let arguments = arguments.iter().cloned();
            let statement =
                Statement::from_sql_and_values(db.get_database_backend(), text, arguments);
            let read = async { Ok::<_, StoreError>(db.query_all_raw(statement).await?) };
            let rows = self.answered(read).await?;
            let epoch = rows.first().ok_or_else(|| unreadable("policy_epoch"))?;
            let epoch: i64 = epoch.try_get("", "epoch")?;
            let policies = self.policies_since(db, epoch).await?;
            if policies.epoch() == epoch {
                return Ok((policies, rows));
            }
        }
        Err(StoreError::Conflict("the policies kept changing".to_owned()))
    }

    /// The policies of this epoch, or of a later one.
    pub(super) async fn policies_since(
        &self,
        db: &impl ConnectionTrait,
        epoch: i64,
    ) -> Result<Arc<Policies>, StoreError> {
        let at_hand = self.policies.load_full();
        if at_hand.epoch() >= epoch {
            return Ok(at_hand);
        }
        let loaded = Arc::new(super::policies::load(db).await?);
        self.policies.rcu(|known| {
            let newest = if known.epoch() < loaded.epoch() { &loaded } else { known };
            Arc::clone(newest)
        });
        Ok(self.policies.load_full())
    }
}

/// A fence on a subject covers what is linked to it: whoever changes one of them fences all.
const POSTGRES: &str = "
WITH asked AS MATERIALIZED (
  SELECT subject_id, revision, state, linked FROM subject
  WHERE subject_id = ANY(string_to_array($1, ','))
)
SELECT e.value AS epoch, r.subject_id, r.revision, r.state, r.fenced
FROM policy_epoch e LEFT JOIN (
  SELECT subject_id, revision, state,
    EXISTS (SELECT 1 FROM fence f WHERE f.subject_id = asked.subject_id) AS fenced
  FROM asked
  UNION ALL
  SELECT o.subject_id, o.revision, o.state, true
  FROM (
    SELECT DISTINCT unnest(string_to_array(linked, ',')) AS subject_id FROM asked
    WHERE linked IS NOT NULL
  ) l
  JOIN subject o ON o.subject_id = l.subject_id
  WHERE NOT EXISTS (SELECT 1 FROM asked a WHERE a.subject_id = l.subject_id)
) r ON true
";

const SQLITE: &str = "
WITH asked AS MATERIALIZED (
  SELECT subject_id, revision, state, linked FROM subject
  WHERE subject_id IN (SELECT value FROM json_each($1))
)
SELECT e.value AS epoch, r.subject_id, r.revision, r.state, r.fenced
FROM policy_epoch e LEFT JOIN (
  SELECT subject_id, revision, state, false AS fenced FROM asked
  UNION ALL
  SELECT o.subject_id, o.revision, o.state, true
  FROM (
    SELECT DISTINCT j.value AS subject_id
    FROM asked, json_each('[\"' || replace(linked, ',', '\",\"') || '\"]') j
    WHERE linked IS NOT NULL
  ) l
  JOIN subject o ON o.subject_id = l.subject_id
  WHERE l.subject_id NOT IN (SELECT subject_id FROM asked)
) r ON true
";

pub(super) fn revision_of(number: i32) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| unreadable("revision"))
}

fn known(row: &QueryResult) -> Result<Option<(String, Known)>, StoreError> {
    let Some(subject_id) = row.try_get::<Option<String>>("", "subject_id")? else {
        return Ok(None);
    };
    let revision = revision_of(row.try_get("", "revision")?)?;
    let state: Vec<u8> = row.try_get("", "state")?;
    let fenced = row.try_get("", "fenced")?;
    let subject = state::decode(&state)?.subject;
    Ok(Some((subject_id, Known { revision, subject, fenced })))
}
