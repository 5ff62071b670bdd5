//! The rows by which replicas agree on a cache: see [`lease`](crate::cache::Row).

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, QueryResult, Statement, Value};
use service_kit::store::{StoreError, Tx, transaction};

use super::{Store, sql, unreadable};
use crate::{
    cache::{BootTime, Row},
    domain::Moment,
};

/// Rows, and the instants between which they were read.
#[derive(Debug)]
pub(crate) struct Pulse {
    pub(crate) asked: BootTime,
    pub(crate) answered: BootTime,
    pub(crate) rows: Vec<Row>,
}

impl Store {
    /// Reads the rows, in order of their primaries, and the database's time.
    pub(crate) async fn pulse(&self) -> Result<Pulse, StoreError> {
        // Before a connection is waited for: a lease must not begin later than its read.
        let asked = BootTime::now();
        let db = &self.shared.db;
        let now = sql::now(db.get_database_backend());
        let text = format!(
            "SELECT {now} AS now, c.number, c.primaries, c.generation, c.open, c.identity, \
             c.held_until FROM policy_epoch e LEFT JOIN cache_primary c ON 1 = 1 ORDER BY c.number"
        );
        let statement = Statement::from_string(db.get_database_backend(), text);
        let pulse = async { Ok::<_, StoreError>(db.query_all_raw(statement).await?) };
        let found = self.shared.answered(pulse).await?;
        let answered = BootTime::now();
        let first = found.first().ok_or_else(|| unreadable("policy_epoch"))?;
        let at = Moment::from_millis(first.try_get("", "now")?);
        self.shared.time.learn(asked, answered, at);
        let rows = found.iter().filter_map(|found| row(found).transpose());
        Ok(Pulse { asked, answered, rows: rows.collect::<Result<_, _>>()? })
    }

    /// Makes it so that subjects are spread over this many primaries, closed at first. Whoever
    /// writes without a cache is refused from here on.
    pub(crate) async fn claim_primaries(&self, primaries: usize) -> Result<(), StoreError> {
        let work = |tx: Tx| async move {
            let backend = tx.get_database_backend();
            let known = "SELECT count(*) AS rows, max(primaries) AS primaries FROM cache_primary";
            let known = tx.query_one_raw(Statement::from_string(backend, known)).await?;
            let known = known.ok_or_else(|| unreadable("cache_primary"))?;
            let rows: i64 = known.try_get("", "rows")?;
            let wanted = stored(primaries);
            if rows == wanted && known.try_get::<Option<i64>>("", "primaries")? == Some(wanted) {
                return Ok(());
            }
            for number in 0..primaries {
                replace(&tx, number, primaries).await?;
            }
            let gone = "DELETE FROM cache_primary WHERE number >= $1";
            let gone = Statement::from_sql_and_values(backend, gone, [wanted.into()]);
            tx.execute_raw(gone).await?;
            // Takes turns with whoever changes policies, as that is counted first.
            let epoch = "UPDATE policy_epoch SET value = value + 1";
            tx.execute_raw(Statement::from_string(backend, epoch)).await?;
            if backend == DbBackend::Postgres {
                // Waits for every write that may not have seen the rows; later ones will.
                let all = "LOCK TABLE subject IN EXCLUSIVE MODE";
                tx.execute_raw(Statement::from_string(backend, all)).await?;
            }
            Ok::<_, StoreError>(())
        };
        transaction(&self.shared.db, "claim_primaries", work).await
    }

    /// Closes a primary's cache, if its row is still this one, and keeps it closed for some time
    /// (milliseconds): whoever was in trouble with it should not be again at once.
    pub(crate) async fn close(&self, row: &Row, hold: i64) -> Result<(), StoreError> {
        let db = &self.shared.db;
        let now = sql::now(db.get_database_backend());
        let text = format!(
            "UPDATE cache_primary SET open = 0, held_until = {now} + $1 \
             WHERE number = $2 AND generation = $3 AND open = 1"
        );
        let values = [hold.into(), stored(row.primary).into(), row.generation.to_vec().into()];
        db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), text, values))
            .await?;
        Ok(())
    }

    /// Closes every primary's cache and keeps it closed for some time (milliseconds).
    pub(crate) async fn hold_closed(&self, hold: i64) -> Result<(), StoreError> {
        let db = &self.shared.db;
        let now = sql::now(db.get_database_backend());
        let text = format!(
            "UPDATE cache_primary SET open = 0, held_until = \
             CASE WHEN held_until < {BY_HAND} THEN {now} + $1 ELSE held_until END"
        );
        let statement =
            Statement::from_sql_and_values(db.get_database_backend(), text, [hold.into()]);
        db.execute_raw(statement).await?;
        Ok(())
    }

    /// Holds the caches closed no longer, unless an operator does.
    pub(crate) async fn release(&self) -> Result<(), StoreError> {
        let db = &self.shared.db;
        let text = format!("UPDATE cache_primary SET {RELEASED} WHERE open = 0");
        db.execute_raw(Statement::from_string(db.get_database_backend(), text)).await?;
        Ok(())
    }

    /// Opens a primary's cache in a new generation for the server of this identity, if its row is
    /// still this one and nobody holds it closed. Says whether it did.
    pub(crate) async fn open_generation(
        &self,
        row: &Row,
        identity: &str,
    ) -> Result<bool, StoreError> {
        let db = &self.shared.db;
        let now = sql::now(db.get_database_backend());
        let text = format!(
            "UPDATE cache_primary SET open = 1, generation = $1, identity = $2 \
             WHERE number = $3 AND generation = $4 AND open = $5 AND held_until <= {now}"
        );
        let values: [Value; 5] = [
            rand::random::<[u8; 8]>().to_vec().into(),
            identity.into(),
            stored(row.primary).into(),
            row.generation.to_vec().into(),
            i64::from(row.open).into(),
        ];
        let statement = Statement::from_sql_and_values(db.get_database_backend(), text, values);
        Ok(db.execute_raw(statement).await?.rows_affected() == 1)
    }
}

/// From this instant on, in the year 5138, a cache is held closed by an operator's hand, and stays so
/// whatever the service does.
const BY_HAND: i64 = 100_000_000_000_000;

/// Holds a cache closed no longer, unless an operator does ([`BY_HAND`]).
const RELEASED: &str = "held_until = CASE WHEN cache_primary.held_until < 100000000000000 \
                        THEN 0 ELSE cache_primary.held_until END";

/// Gives every row a new generation within a transaction that changes everyone's answers, if all
/// are still these and closed. Says whether they were.
pub(super) async fn renew(tx: &DatabaseTransaction, rows: &[Row]) -> Result<bool, StoreError> {
    let backend = tx.get_database_backend();
    for row in rows {
        let text = format!(
            "UPDATE cache_primary SET generation = $1, {RELEASED} \
             WHERE number = $2 AND generation = $3 AND open = 0"
        );
        let values: [Value; 3] = [
            rand::random::<[u8; 8]>().to_vec().into(),
            stored(row.primary).into(),
            row.generation.to_vec().into(),
        ];
        let statement = Statement::from_sql_and_values(backend, text, values);
        if tx.execute_raw(statement).await?.rows_affected() != 1 {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn replace(
    tx: &DatabaseTransaction,
    number: usize,
    primaries: usize,
) -> Result<(), StoreError> {
    let text = format!(
        "INSERT INTO cache_primary (number, primaries, generation, open, identity, held_until) \
         VALUES ($1, $2, $3, 0, '', 0) ON CONFLICT (number) DO UPDATE SET \
         primaries = excluded.primaries, generation = excluded.generation, open = 0, \
         identity = '', {RELEASED}"
    );
    let generation = rand::random::<[u8; 8]>().to_vec();
    let values: [Value; 3] = [stored(number).into(), stored(primaries).into(), generation.into()];
    let backend = tx.get_database_backend();
    tx.execute_raw(Statement::from_sql_and_values(backend, text, values)).await?;
    Ok(())
}

fn row(found: &QueryResult) -> Result<Option<Row>, StoreError> {
    let Some(number) = found.try_get::<Option<i64>>("", "number")? else { return Ok(None) };
    let place = |number: i64| usize::try_from(number).map_err(|_| unreadable("cache_primary"));
    let generation: Vec<u8> = found.try_get("", "generation")?;
    Ok(Some(Row {
        primary: place(number)?,
        primaries: place(found.try_get("", "primaries")?)?,
        generation: generation.try_into().map_err(|_| unreadable("cache_primary"))?,
        open: found.try_get::<i64>("", "open")? != 0,
        identity: found.try_get("", "identity")?,
        held_until: found.try_get("", "held_until")?,
    }))
}

fn stored(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
