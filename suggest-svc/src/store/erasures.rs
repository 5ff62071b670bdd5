//! Erasures that consent-svc has not been told of. It is told when nothing of the person is left
//! here, their id in the log of changes included.

use sea_orm::{
    ActiveValue::Set, EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::*,
    sea_query::OnConflict,
};
use service_kit::{clock::UnixMillis, store::StoreError};

use super::{
    Store,
    columns::ROWS,
    entity::{erased, erasure as table, request},
    feed::Erased,
    writing::Writing,
};
use crate::domain::Subject;

impl Writing {
    /// Forgets everything of people, for good, and notes that consent-svc is to be told.
    pub(super) async fn forget_for_good(
        &self,
        people: &[Erased],
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let subjects: Vec<Subject> = people.iter().map(|one| one.subject.clone()).collect();
        self.forget_entirely(&subjects).await?;
        for chunk in people.chunks(ROWS) {
            let callers = chunk.iter().map(|one| one.caller.as_str());
            let requests = request::Entity::delete_many();
            let requests = requests.filter(request::Column::Caller.is_in(callers));
            requests.exec(&*self.tx).await?;
            // What still comes from them finds this.
            let rows = chunk.iter().map(|one| erased::ActiveModel {
                person: Set(one.caller.clone()),
                at: Set(now.get()),
            });
            let again = OnConflict::column(erased::Column::Person)
                .update_column(erased::Column::At)
                .to_owned();
            let insert = erased::Entity::insert_many(rows).on_conflict(again);
            insert.exec_without_returning(&*self.tx).await?;
            // No later change names them.
            let rows = chunk.iter().map(|one| table::ActiveModel {
                subject: Set(one.subject.to_string()),
                after_change: Set(self.sequence),
            });
            let again = OnConflict::column(table::Column::Subject)
                .update_column(table::Column::AfterChange)
                .to_owned();
            let insert = table::Entity::insert_many(rows).on_conflict(again);
            insert.exec_without_returning(&*self.tx).await?;
        }
        Ok(())
    }

    /// Whether a caller of this name was erased.
    pub(crate) async fn is_erased(&self, caller: &str) -> Result<bool, StoreError> {
        Ok(erased::Entity::find_by_id(caller).one(&*self.tx).await?.is_some())
    }
}

impl Store {
    /// Some of whom nothing is left.
    pub(crate) async fn erasures_done(&self, at_most: u64) -> Result<Vec<Subject>, StoreError> {
        let pruned = self.pruned().await?;
        // Their keys may still be in the address books of others.
        let cleared = self.first_left().await?.map_or(i64::MAX, |first| first - 1);
        let rows = table::Entity::find()
            .filter(table::Column::AfterChange.lte(pruned.min(cleared)))
            .order_by_asc(table::Column::AfterChange)
            .limit(at_most)
            .all(&self.db)
            .await?;
        Ok(rows.into_iter().map(|row| row.subject.into()).collect())
    }

    /// Forgets an erasure that consent-svc was told of.
    pub(crate) async fn erasure_told(&self, subject: &Subject) -> Result<(), StoreError> {
        table::Entity::delete_by_id(subject.as_str()).exec(&self.db).await?;
        Ok(())
    }
}
