//! One write: applied once, in one transaction, with its answer.

use std::sync::{Arc, Mutex, PoisonError};

use prost::Message;
use sea_orm::{
    ActiveValue::Set, DatabaseTransaction, EntityTrait, ExprTrait, IsolationLevel, prelude::*,
};
use service_kit::{
    clock::UnixMillis,
    store::{self, StoreError, Tx},
};

use super::{
    Store,
    change::Change,
    columns,
    entity::{change, head, request},
};
use crate::{error::Error, graph::Mark};

/// Which write this is: the same request sent again is the same write.
#[derive(Debug, Clone)]
pub(crate) struct Once {
    /// The caller's role, and which of that role: request ids of different callers never meet.
    pub(crate) caller: String,
    /// Unique to one write of that caller.
    pub(crate) request_id: String,
    /// What it asks for.
    pub(crate) digest: [u8; 32],
    /// When it arrived.
    pub(crate) at: UnixMillis,
}

/// A write in progress. No other write happens until it is done.
#[derive(Clone)]
pub(crate) struct Writing {
    pub(super) tx: Tx,
    /// The sequence number of this write.
    pub(crate) sequence: i64,
    /// How many denials consent-svc's feed has brought so far.
    pub(crate) denials: i64,
    pub(super) change: Arc<Mutex<Change>>,
}

impl Writing {
    /// Notes what replicas have to follow.
    pub(super) fn note(&self, note: impl FnOnce(&mut Change)) {
        note(&mut self.change.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn take_notes(&self) -> Change {
        std::mem::take(&mut *self.change.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store {
    /// Does a write and records its answer, both or neither, durable on return; or, if this very
    /// write was done before, gives the answer that was recorded then.
    ///
    /// # Errors
    /// [`Error::SubjectErased`] when the caller was; [`Error::RequestIdReused`] when the caller used the id for something else; what `work`
    /// fails with, and then nothing is stored.
    pub(crate) async fn once<R, F, Fut>(
        &self,
        name: &'static str,
        once: &Once,
        work: F,
    ) -> Result<R, Error>
    where
        R: Message + Default,
        F: Fn(Writing) -> Fut,
        Fut: Future<Output = Result<R, Error>> + Send,
    {
        let work = &work;
        self.write(name, once.at, |writing| async move {
            if writing.is_erased(&once.caller).await? {
                return Err(Error::SubjectErased);
            }
            if let Some(answer) = recorded(&writing.tx, once).await? {
                return Ok(answer);
            }
            let answer = work(writing.clone()).await?;
            record(&writing.tx, once, &answer).await?;
            Ok(answer)
        })
        .await
    }

    /// Does a write that nobody asked for, and that does no harm when done again.
    pub(super) async fn write<R, F, Fut>(
        &self,
        name: &'static str,
        at: UnixMillis,
        work: F,
    ) -> Result<R, Error>
    where
        F: Fn(Writing) -> Fut,
        Fut: Future<Output = Result<R, Error>>,
    {
        let work = &work;
        store::transaction_at(&self.db, name, IsolationLevel::ReadCommitted, |tx| async move {
            let mark: Mark = rand::random();
            let head::Model { seq: sequence, denials, .. } = take_turn(&tx, mark).await?;
            let writing = Writing { tx: tx.clone(), sequence, denials, change: Arc::default() };
            let answer = work(writing.clone()).await?;
            // Also when nothing changed: sequence numbers have no gaps.
            let body = writing.take_notes().encode()?;
            let (seq, at, body) = (Set(sequence), Set(at.get()), Set(body));
            let mark = Set(mark.to_vec());
            let change = change::Entity::insert(change::ActiveModel { seq, at, body, mark });
            change.exec_without_returning(&*tx).await.map_err(StoreError::from)?;
            Ok(answer)
        })
        .await
    }
}

/// Waits for the writer before, keeps out those after, and gives this one its number.
async fn take_turn(tx: &DatabaseTransaction, mark: Mark) -> Result<head::Model, StoreError> {
    head::Entity::update_many()
        .col_expr(head::Column::Seq, Expr::col(head::Column::Seq).add(1))
        .col_expr(head::Column::Mark, Expr::value(mark.to_vec()))
        .filter(head::Column::Id.eq(columns::HEAD))
        .exec(tx)
        .await?;
    super::head(tx).await
}

async fn recorded<R: Message + Default>(
    tx: &DatabaseTransaction,
    once: &Once,
) -> Result<Option<R>, Error> {
    let key = (once.caller.clone(), once.request_id.clone());
    let row = request::Entity::find_by_id(key).one(tx).await.map_err(StoreError::from)?;
    let Some(row) = row else { return Ok(None) };
    if row.digest != once.digest {
        return Err(Error::RequestIdReused);
    }
    let unreadable = |_| StoreError::Other("an answer that cannot be read".to_owned());
    Ok(Some(R::decode(row.response.as_slice()).map_err(unreadable)?))
}

async fn record(
    tx: &DatabaseTransaction,
    once: &Once,
    answer: &impl Message,
) -> Result<(), StoreError> {
    let row = request::ActiveModel {
        caller: Set(once.caller.clone()),
        request_id: Set(once.request_id.clone()),
        digest: Set(once.digest.to_vec()),
        response: Set(answer.encode_to_vec()),
        at: Set(once.at.get()),
    };
    request::Entity::insert(row).exec_without_returning(tx).await?;
    Ok(())
}
