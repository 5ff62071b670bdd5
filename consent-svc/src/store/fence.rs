//! Fences: marks on subjects whose answers are about to change.
//!
//! What is read of a fenced subject may be answered, but not kept. A writer sets fences in a
//! transaction of its own before it invalidates, and its changes commit only if they still stand:
//! whoever fences a subject later, or clears a fence that stood for long, makes it start over.

use std::collections::HashSet;

use sea_orm::{ConnectionTrait, DatabaseTransaction, Statement, Value};
use service_kit::store::StoreError;

use super::{Store, sql};

/// Names the fences of one attempt of one writer.
pub(crate) type Token = [u8; 8];

/// How long a fence stands before anyone may clear it, in milliseconds: longer than any write
/// takes, its waits included, unless its process was stopped.
const STALE_AFTER: i64 = 60_000;

impl Store {
    /// Fences subjects, and those that are linked to them at present; gives all of them.
    ///
    /// One statement on a connection that does not wait for the disk, into a table that a crash of the
    /// database empties: whoever has lost a fence cannot commit the changes, and starts over.
    pub(crate) async fn fence(
        &self,
        subject_ids: &[String],
        token: Token,
        with_linked: bool,
    ) -> Result<HashSet<String>, StoreError> {
        let db = &self.shared.fences;
        let backend = db.get_database_backend();
        let (among, now) = (sql::among(backend), sql::now(backend));
        let linked = if with_linked {
            format!(
                " UNION SELECT {} FROM subject WHERE linked IS NOT NULL AND subject_id {among}",
                sql::elements("linked")
            )
        } else {
            String::new()
        };
        // In order of the ids, so that writers wait for one another instead of dying of it.
        let text = format!(
            "INSERT INTO fence (subject_id, token, set_at) \
             SELECT id, $2, {now} FROM (SELECT {} AS id{linked}) AS affected ORDER BY id \
             ON CONFLICT (subject_id) DO UPDATE SET token = excluded.token, set_at = excluded.set_at \
             RETURNING subject_id",
            sql::elements("$1"),
        );
        let values: [Value; 2] = [sql::list(backend, subject_ids), token.to_vec().into()];
        let fence = db.query_all_raw(Statement::from_sql_and_values(backend, text, values));
        let rows = self.shared.answered(async { Ok::<_, StoreError>(fence.await?) }).await?;
        rows.iter().map(|row| Ok(row.try_get("", "subject_id")?)).collect()
    }

    /// Clears fences whose owners must have died. One that was only paused starts over.
    pub(crate) async fn clear_stale_fences(&self) -> Result<(), StoreError> {
        let db = &self.shared.db;
        let backend = db.get_database_backend();
        let text = format!("DELETE FROM fence WHERE set_at < {} - $1", sql::now(backend));
        db.execute_raw(Statement::from_sql_and_values(backend, text, [STALE_AFTER.into()])).await?;
        Ok(())
    }
}

/// Clears own fences; gives those that still stood.
pub(super) async fn take(
    tx: &DatabaseTransaction,
    subject_ids: &HashSet<String>,
    token: Token,
) -> Result<HashSet<String>, StoreError> {
    let backend = tx.get_database_backend();
    // In order of the ids, as fences are set: see there.
    let text = format!(
        "DELETE FROM fence WHERE subject_id IN (\
           SELECT subject_id FROM fence WHERE subject_id {} AND token = $2 \
           ORDER BY subject_id FOR UPDATE) \
         RETURNING subject_id",
        sql::among(backend)
    );
    let ids: Vec<&String> = subject_ids.iter().collect();
    let values: [Value; 2] = [sql::list(backend, &ids), token.to_vec().into()];
    let rows = tx.query_all_raw(Statement::from_sql_and_values(backend, text, values)).await?;
    rows.iter().map(|row| Ok(row.try_get("", "subject_id")?)).collect()
}
