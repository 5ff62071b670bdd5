//! Reading subjects and their events, with the policies of the same instant.

use std::{collections::HashMap, sync::Arc};

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};
use service_kit::store::StoreError;

use super::{Shared, Store, history, state, unreadable};
use crate::domain::{Event, Policies, Subject};

/// A subject as read.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// Counts its events.
    pub(crate) revision: u64,
    /// The subject.
    pub(crate) subject: Subject,
}

/// How often a read is repeated because policies changed meanwhile. They change a few times a year.
const ATTEMPTS: usize = 8;

impl Store {
    /// The policies in force.
    pub(crate) async fn policies(&self) -> Result<Arc<Policies>, StoreError> {
        let sql = "SELECT value AS epoch FROM policy_epoch";
        Ok(self.consistent(sql, &[]).await?.0)
    }

    /// A subject, and the policies at the same instant.
    pub(crate) async fn subject(
        &self,
        subject_id: &str,
    ) -> Result<(Arc<Policies>, Option<Known>), StoreError> {
        let sql = "SELECT e.value AS epoch, s.subject_id, s.revision, s.state \
                   FROM policy_epoch e LEFT JOIN subject s ON s.subject_id = $1";
        let (policies, rows) = self.consistent(sql, &[subject_id.into()]).await?;
        let known = rows.first().map(known).transpose()?.flatten();
        Ok((policies, known.map(|(_, known)| known)))
    }

    /// Many subjects by id, and the policies at the same instant. One statement, however many.
    /// Ids are of the contract's syntax: in particular they hold no commas and no quotes.
    pub(crate) async fn subjects(
        &self,
        ids: &[String],
    ) -> Result<(Arc<Policies>, HashMap<String, Known>), StoreError> {
        let backend = self.shared.db.get_database_backend();
        let sql = format!(
            "SELECT e.value AS epoch, s.subject_id, s.revision, s.state \
             FROM policy_epoch e LEFT JOIN subject s ON s.subject_id {}",
            among(backend)
        );
        let (policies, rows) = self.consistent(&sql, &[list(backend, ids)]).await?;
        let known = rows.iter().filter_map(|row| known(row).transpose());
        Ok((policies, known.collect::<Result<_, _>>()?))
    }

    /// A subject's events after a revision, oldest first; nothing for an unknown subject.
    pub(crate) async fn events(
        &self,
        subject_id: &str,
        after: u64,
        limit: u32,
    ) -> Result<(Arc<Policies>, Option<Vec<Event>>), StoreError> {
        let sql = "SELECT p.value AS epoch, s.subject_id, e.revision, e.content, e.digest \
                   FROM policy_epoch p \
                   LEFT JOIN subject s ON s.subject_id = $1 \
                   LEFT JOIN event e ON e.subject_id = s.subject_id AND e.revision > $2 \
                   ORDER BY e.revision LIMIT $3";
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let arguments = [subject_id.into(), after.into(), i64::from(limit).into()];
        let (policies, rows) = self.consistent(sql, &arguments).await?;
        let Some(first) = rows.first() else { return Ok((policies, None)) };
        if first.try_get::<Option<String>>("", "subject_id")?.is_none() {
            return Ok((policies, None));
        }
        let mut events = Vec::new();
        for row in &rows {
            let Some(revision) = row.try_get::<Option<i64>>("", "revision")? else { continue };
            let content: Vec<u8> = row.try_get("", "content")?;
            let digest: Vec<u8> = row.try_get("", "digest")?;
            events.push(history::decode(revision_of(revision)?, &content, &digest)?);
        }
        Ok((policies, Some(events)))
    }

    /// Runs a query of which every row carries the epoch, until its rows and the policies that
    /// are at hand are of one epoch.
    async fn consistent(
        &self,
        sql: &str,
        arguments: &[Value],
    ) -> Result<(Arc<Policies>, Vec<QueryResult>), StoreError> {
        let db = &self.shared.db;
        for _ in 0..ATTEMPTS {
            let arguments = arguments.iter().cloned();
            let statement =
                Statement::from_sql_and_values(db.get_database_backend(), sql, arguments);
            let rows = db.query_all_raw(statement).await?;
            let epoch = rows.first().ok_or_else(|| unreadable("policy_epoch"))?;
            let epoch: i64 = epoch.try_get("", "epoch")?;
            let policies = self.shared.policies_since(db, epoch).await?;
            if policies.epoch() == epoch {
                return Ok((policies, rows));
            }
        }
        Err(StoreError::Conflict("the policies kept changing".to_owned()))
    }
}

impl Shared {
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

/// "is in the list bound as $1". A list is one value, so that the statement is the same for
/// every length and is prepared once.
pub(super) fn among(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "= ANY(string_to_array($1, ','))",
        _ => "IN (SELECT value FROM json_each($1))",
    }
}

/// A list of ids as that one value.
pub(super) fn list(backend: DbBackend, ids: &[impl AsRef<str>]) -> Value {
    let ids: Vec<&str> = ids.iter().map(AsRef::as_ref).collect();
    match backend {
        DbBackend::Postgres => ids.join(",").into(),
        _ => format!("[\"{}\"]", ids.join("\",\"")).into(),
    }
}

pub(super) fn revision_of(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| unreadable("revision"))
}

fn known(row: &QueryResult) -> Result<Option<(String, Known)>, StoreError> {
    let Some(subject_id) = row.try_get::<Option<String>>("", "subject_id")? else {
        return Ok(None);
    };
    let revision = revision_of(row.try_get("", "revision")?)?;
    let state: Vec<u8> = row.try_get("", "state")?;
    Ok(Some((subject_id, Known { revision, subject: state::decode(&state)?.subject })))
}
