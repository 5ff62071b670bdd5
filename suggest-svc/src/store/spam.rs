//! Reports of spam, what is counted of an account, and which accounts were found to be a risk.
//!
//! A report is the reporter's own word and needs no consent to be kept, for a limited time; it
//! counts only while both consent to that.

use sea_orm::{
    ActiveValue::Set, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, prelude::*,
    sea_query::OnConflict,
};
use service_kit::{clock::UnixMillis, store::StoreError};

use super::{
    Store,
    columns::ROWS,
    entity::{block, connection, spam_report, spam_review, spam_risk},
    people,
    writing::Writing,
};
use crate::{domain::Subject, error::Error};

/// Who said or did something with an account, the newest of each.
#[derive(Debug)]
pub(crate) struct Complaints {
    /// Who blocks it.
    pub(crate) blockers: Vec<Subject>,
    /// Who reported it.
    pub(crate) reporters: Vec<Subject>,
    /// Whom it was connected to lately, by the app's own dates.
    pub(crate) new_connections: Vec<Subject>,
}

/// An account whose risk is to be computed.
#[derive(Debug, Clone)]
pub(crate) struct Review {
    pub(crate) account: Subject,
    /// The number of the last write that asked for it; 0: none, it is only a while ago.
    asked: i64,
}

impl Store {
    /// What is known against an account: reports and connections from these instants on, at most
    /// so many of each kind.
    pub(crate) async fn complaints(
        &self,
        account: &Subject,
        [reported_since, connected_since]: [UnixMillis; 2],
        at_most: u64,
    ) -> Result<Complaints, StoreError> {
        let blocks = block::Entity::find()
            .filter(block::Column::Blocked.eq(account.as_str()))
            .order_by_desc(block::Column::At)
            .limit(at_most);
        let reports = spam_report::Entity::find()
            .filter(spam_report::Column::Reported.eq(account.as_str()))
            .filter(spam_report::Column::At.gte(reported_since.get()))
            .order_by_desc(spam_report::Column::At)
            .limit(at_most);
        let this = account.as_str();
        let ends = [connection::Column::Subject, connection::Column::Other];
        let connections = connection::Entity::find()
            .filter(ExprTrait::or(ends[0].eq(this), ends[1].eq(this)))
            .filter(connection::Column::ConnectedAt.gte(connected_since.get()))
            .order_by_desc(connection::Column::ConnectedAt)
            .limit(at_most);
        let blocks = blocks.all(&self.db).await?.into_iter().map(|row| row.subject.into());
        let reports = reports.all(&self.db).await?.into_iter().map(|row| row.subject.into());
        let known =
            |row: connection::Model| if row.subject == this { row.other } else { row.subject };
        let connections = connections.all(&self.db).await?.into_iter();
        let connections = connections.map(|row| known(row).into());
        Ok(Complaints {
            blockers: blocks.collect(),
            reporters: reports.collect(),
            new_connections: connections.collect(),
        })
    }

    /// Accounts whose risk is to be computed: those for which it was asked, the longest waiting
    /// first, and those that were last found to be a risk before `stale`.
    pub(crate) async fn reviews(
        &self,
        stale: UnixMillis,
        at_most: u64,
    ) -> Result<Vec<Review>, StoreError> {
        let asked = spam_review::Entity::find().order_by_asc(spam_review::Column::Sequence);
        let asked = asked.limit(at_most).all(&self.db).await?;
        let old = spam_risk::Entity::find()
            .filter(spam_risk::Column::At.lt(stale.get()))
            .order_by_asc(spam_risk::Column::At);
        let old = old.limit(at_most).all(&self.db).await?;
        let mut reviews: Vec<Review> = asked
            .into_iter()
            .map(|row| Review { account: row.subject.into(), asked: row.sequence })
            .collect();
        for row in old {
            let account = row.subject.into();
            if reviews.iter().all(|review| review.account != account) {
                reviews.push(Review { account, asked: 0 });
            }
        }
        Ok(reviews)
    }

    /// Stores what reviews came to: whether each account is a risk.
    pub(crate) async fn reviewed(
        &self,
        results: &[(Review, bool)],
        at: UnixMillis,
    ) -> Result<(), Error> {
        let store = |writing: Writing| async move {
            for (review, is_risky) in results {
                writing.reviewed(review, *is_risky, at).await?;
            }
            Ok(())
        };
        self.write("reviewed", at, store).await
    }

    /// Forgets reports from before an instant.
    pub(crate) async fn forget_reports(&self, before: UnixMillis) -> Result<(), StoreError> {
        let old = spam_report::Entity::delete_many();
        old.filter(spam_report::Column::At.lt(before.get())).exec(&self.db).await?;
        Ok(())
    }
}

impl Writing {
    /// Stores that a person reports an account, which need not be here. One who has reported it
    /// since `since` has done so. The most from then on are `at_most`.
    pub(crate) async fn report(
        &self,
        subject: &Subject,
        reported: &Subject,
        [since, at]: [UnixMillis; 2],
        at_most: u64,
    ) -> Result<(), Error> {
        let mine = spam_report::Entity::find()
            .filter(spam_report::Column::Subject.eq(subject.as_str()))
            .filter(spam_report::Column::At.gte(since.get()));
        let known = mine.clone().filter(spam_report::Column::Reported.eq(reported.as_str()));
        if known.one(&*self.tx).await.map_err(StoreError::from)?.is_some() {
            return Ok(());
        }
        if mine.clone().count(&*self.tx).await.map_err(StoreError::from)? >= at_most {
            let oldest = mine.order_by_asc(spam_report::Column::At).one(&*self.tx).await;
            let oldest = oldest.map_err(StoreError::from)?.map_or(at.get(), |row| row.at);
            let retry_after = UnixMillis::new(oldest).since(since);
            return Err(Error::TooManyReports { at_most, retry_after });
        }
        let row = spam_report::ActiveModel {
            subject: Set(subject.to_string()),
            reported: Set(reported.to_string()),
            at: Set(at.get()),
        };
        let key = [spam_report::Column::Subject, spam_report::Column::Reported];
        let again = OnConflict::columns(key).update_column(spam_report::Column::At).to_owned();
        let insert = spam_report::Entity::insert(row).on_conflict(again);
        insert.exec_without_returning(&*self.tx).await.map_err(StoreError::from)?;
        Ok(self.review(std::slice::from_ref(reported)).await?)
    }

    /// Stores that the risk of accounts is to be computed anew.
    pub(crate) async fn review(&self, accounts: &[Subject]) -> Result<(), StoreError> {
        for chunk in accounts.chunks(ROWS) {
            let rows = chunk.iter().map(|account| spam_review::ActiveModel {
                subject: Set(account.to_string()),
                sequence: Set(self.sequence),
            });
            let later = OnConflict::column(spam_review::Column::Subject)
                .update_column(spam_review::Column::Sequence)
                .to_owned();
            let insert = spam_review::Entity::insert_many(rows).on_conflict(later);
            insert.exec_without_returning(&*self.tx).await?;
        }
        Ok(())
    }

    /// Forgets what was found out about the risk of people, and that it was to be.
    pub(super) async fn forget_risk(&self, people: &[Subject]) -> Result<(), StoreError> {
        for chunk in people.chunks(ROWS) {
            let named = || chunk.iter().map(Subject::as_str);
            let risky = spam_risk::Entity::find();
            let risky = risky.filter(spam_risk::Column::Subject.is_in(named()));
            for row in risky.all(&*self.tx).await? {
                self.note(|change| change.risk(&row.subject.into(), false));
            }
            let forget = spam_risk::Entity::delete_many();
            forget.filter(spam_risk::Column::Subject.is_in(named())).exec(&*self.tx).await?;
            let forget = spam_review::Entity::delete_many();
            forget.filter(spam_review::Column::Subject.is_in(named())).exec(&*self.tx).await?;
        }
        Ok(())
    }

    async fn reviewed(
        &self,
        review: &Review,
        is_risky: bool,
        at: UnixMillis,
    ) -> Result<(), StoreError> {
        let account = &review.account;
        // What was asked for meanwhile stays.
        spam_review::Entity::delete_many()
            .filter(spam_review::Column::Subject.eq(account.as_str()))
            .filter(spam_review::Column::Sequence.lte(review.asked))
            .exec(&*self.tx)
            .await?;
        let known = spam_risk::Entity::find_by_id(account.as_str()).one(&*self.tx).await?;
        // Nothing is stored about people who are not here, and they are not suggested anyway.
        let is_here = !people::people_here(&*self.tx, &[account]).await?.is_empty();
        let is_risky = is_risky && is_here;
        if is_risky {
            let row =
                spam_risk::ActiveModel { subject: Set(account.to_string()), at: Set(at.get()) };
            let again = OnConflict::column(spam_risk::Column::Subject)
                .update_column(spam_risk::Column::At)
                .to_owned();
            let insert = spam_risk::Entity::insert(row).on_conflict(again);
            insert.exec_without_returning(&*self.tx).await?;
        } else if known.is_some() {
            spam_risk::Entity::delete_by_id(account.as_str()).exec(&*self.tx).await?;
        }
        if is_risky != known.is_some() {
            self.note(|change| change.risk(account, is_risky));
        }
        Ok(())
    }
}
