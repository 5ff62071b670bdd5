//! Whom people do not want to be suggested for a time.
//!
//! A dismissal is the viewer's own word: it needs no consent, stays until its time is over whatever
//! either of the two consents to meanwhile, and goes when either of them is erased.

use futures::TryStreamExt;
use sea_orm::{
    ActiveValue::Set, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, prelude::*,
    sea_query::OnConflict,
};
use service_kit::{clock::UnixMillis, store::StoreError};

use super::{
    Store,
    columns::ROWS,
    entity::{dismissal, spam_report, spam_risk},
    writing::Writing,
};
use crate::{domain::Subject, error::Error, feedback::Feedback};

/// Dismissals that are over, forgotten in one transaction: other writers wait.
const OVER: u64 = 1_000;

impl Store {
    /// All that is kept in memory of what people say, for a process that starts.
    ///
    /// Read after the graph, it may be of a later position than that; changes say how something
    /// is, not how it differs, so that following from the graph's position on comes to the same.
    pub(crate) async fn feedback(&self) -> Result<Feedback, StoreError> {
        let mut feedback = Feedback::default();
        let mut dismissals = dismissal::Entity::find().stream(&self.db).await?;
        while let Some(row) = dismissals.try_next().await? {
            feedback.dismiss(&row.subject.into(), &row.dismissed.into(), row.until);
        }
        drop(dismissals);
        let mut risks = spam_risk::Entity::find().stream(&self.db).await?;
        while let Some(row) = risks.try_next().await? {
            feedback.set_risky(&row.subject.into(), true);
        }
        drop(risks);
        Ok(feedback)
    }

    /// Forgets dismissals that are over by `now`.
    pub(crate) async fn forget_dismissals(&self, now: UnixMillis) -> Result<(), Error> {
        let over = || dismissal::Entity::find().filter(dismissal::Column::Until.lte(now.get()));
        // Looked up first: a write takes a sequence number also when it changes nothing.
        while over().one(&self.db).await.map_err(StoreError::from)?.is_some() {
            let forget = |writing: Writing| async move {
                let some = over().order_by_asc(dismissal::Column::Until).limit(OVER);
                let some = some.all(&*writing.tx).await.map_err(StoreError::from)?;
                Ok(writing.end_dismissals(some).await?)
            };
            self.write("forget dismissals", now, forget).await?;
        }
        Ok(())
    }
}

impl Writing {
    /// Stores that somebody is not to be suggested to a person until then. One who is dismissed
    /// already stays away for longer. The most at a time are `at_most`.
    pub(crate) async fn dismiss(
        &self,
        subject: &Subject,
        dismissed: &Subject,
        [at, until]: [UnixMillis; 2],
        at_most: u64,
    ) -> Result<(), Error> {
        let standing = dismissal::Entity::find()
            .filter(dismissal::Column::Subject.eq(subject.as_str()))
            .filter(dismissal::Column::Dismissed.ne(dismissed.as_str()))
            .filter(dismissal::Column::Until.gt(at.get()));
        let count = standing.clone().count(&*self.tx).await.map_err(StoreError::from)?;
        if count >= at_most {
            let soonest = standing.order_by_asc(dismissal::Column::Until).one(&*self.tx).await;
            let ends = soonest.map_err(StoreError::from)?.map_or(until.get(), |row| row.until);
            let retry_after = UnixMillis::new(ends).since(at);
            return Err(Error::TooManyDismissals { at_most, retry_after });
        }
        let row = dismissal::ActiveModel {
            subject: Set(subject.to_string()),
            dismissed: Set(dismissed.to_string()),
            until: Set(until.get()),
        };
        let replace =
            OnConflict::columns([dismissal::Column::Subject, dismissal::Column::Dismissed])
                .update_column(dismissal::Column::Until)
                .to_owned();
        let insert = dismissal::Entity::insert(row).on_conflict(replace);
        insert.exec_without_returning(&*self.tx).await.map_err(StoreError::from)?;
        self.note(|change| change.dismissal(subject, dismissed, until.get()));
        Ok(())
    }

    /// Forgets everything that these people said about suggestions and accounts, and everything
    /// that was said of them. For an erasure: a consent that ends leaves people their own word.
    pub(super) async fn forget_feedback(&self, people: &[Subject]) -> Result<(), StoreError> {
        for chunk in people.chunks(ROWS) {
            let named = || chunk.iter().map(Subject::as_str);
            let (from, of) = (dismissal::Column::Subject, dismissal::Column::Dismissed);
            let either = from.is_in(named()).or(of.is_in(named()));
            let rows = dismissal::Entity::find().filter(either).all(&*self.tx).await?;
            self.end_dismissals(rows).await?;
            let (from, of) = (spam_report::Column::Subject, spam_report::Column::Reported);
            let either = from.is_in(named()).or(of.is_in(named()));
            spam_report::Entity::delete_many().filter(either).exec(&*self.tx).await?;
        }
        self.forget_risk(people).await
    }

    async fn end_dismissals(&self, rows: Vec<dismissal::Model>) -> Result<(), StoreError> {
        for row in rows {
            let key = (row.subject.clone(), row.dismissed.clone());
            dismissal::Entity::delete_by_id(key).exec(&*self.tx).await?;
            let (one, other) = (row.subject.into(), row.dismissed.into());
            self.note(|change| change.dismissal(&one, &other, i64::MIN));
        }
        Ok(())
    }
}
