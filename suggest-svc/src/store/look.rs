//! Looks at the store's position, which every list needs, on a connection of their own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, RuntimeErr,
    sqlx::{Error, Postgres, Row, pool::PoolConnection, query},
};
use service_kit::store::{Pool, StoreError};
use tokio::sync::Mutex;

use super::{columns, position};
use crate::graph::Position;

/// How long a connection is kept, so that looks move to a new database as others do.
const KEPT_FOR: Duration = Duration::from_mins(1);

/// The fewest connections of a pool of which one is kept.
const ONE_OF: u32 = 4;

const LOOK: &str = "SELECT seq, mark FROM head WHERE id = $1";

/// On PostgreSQL, a connection that is not given back to the pool after each look: the pool would
/// ask the database each time whether it is still there, which takes as long as the look.
#[derive(Debug, Clone, Default)]
pub(super) struct Looking(Arc<Mutex<Option<Kept>>>);

#[derive(Debug)]
struct Kept {
    connection: PoolConnection<Postgres>,
    since: Instant,
}

impl Looking {
    /// The last write that was acknowledged.
    pub(super) async fn look(&self, db: &Pool) -> Result<Position, StoreError> {
        if ConnectionTrait::get_database_backend(db) != DbBackend::Postgres {
            return position(db).await;
        }
        let pool = db.get_postgres_connection_pool();
        if pool.options().get_max_connections() < ONE_OF {
            return position(db).await;
        }
        // Taken out: a look that fails, or is given up, leaves nothing behind.
        let kept = self.0.lock().await.take();
        if let Some(mut kept) = kept.filter(|kept| kept.since.elapsed() < KEPT_FOR)
            // It may have been lost while nobody looked.
            && let Ok(position) = look(db, &mut kept.connection).await
        {
            *self.0.lock().await = Some(kept);
            return Ok(position);
        }
        let mut connection = pool.acquire().await.map_err(failed)?;
        let position = look(db, &mut connection).await.map_err(failed)?;
        *self.0.lock().await = Some(Kept { connection, since: Instant::now() });
        Ok(position)
    }
}

async fn look(db: &Pool, connection: &mut PoolConnection<Postgres>) -> Result<Position, Error> {
    let begun = Instant::now();
    let row = query(LOOK).bind(columns::HEAD).fetch_one(&mut **connection).await;
    db.done(LOOK, begun.elapsed(), row.is_err());
    let row = row?;
    let mark: Vec<u8> = row.try_get(1)?;
    Ok(Position { sequence: row.try_get(0)?, mark: columns::mark(&mark) })
}

fn failed(error: Error) -> StoreError {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error))).into()
}
