//! What people have uploaded, and how much more they may.
//!
//! What was uploaded is about others, and goes with the person's consent. How full the bucket is
//! is one number about the person's own doing, and stays until the bucket is empty: otherwise
//! consent withdrawn and given anew would earn a new burst each time. With it gone, what was
//! uploaded before is new again, and paid again. An erasure ends both.

use sea_orm::{ActiveValue::Set, EntityTrait, QueryFilter, prelude::*, sea_query::OnConflict};
use service_kit::{clock::UnixMillis, store::StoreError};

use super::{
    Store,
    entity::{contact_quota, uploaded},
    writing::Writing,
};
use crate::domain::{Subject, uploaded::Uploaded};

impl Store {
    /// Forgets buckets that are empty: as good as unknown ones.
    pub(crate) async fn forget_empty_buckets(&self, now: UnixMillis) -> Result<(), StoreError> {
        contact_quota::Entity::delete_many()
            .filter(contact_quota::Column::EmptyAt.lte(now.get()))
            .exec(&self.db)
            .await?;
        Ok(())
    }
}

impl Writing {
    /// What a person has uploaded so far.
    pub(crate) async fn uploaded(&self, subject: &Subject) -> Result<Uploaded, StoreError> {
        let row = uploaded::Entity::find_by_id(subject.as_str()).one(&*self.tx).await?;
        Ok(row.map(|row| Uploaded::decode(&row.recent, &row.older)).unwrap_or_default())
    }

    /// Stores what a person has uploaded so far.
    pub(crate) async fn put_uploaded(
        &self,
        subject: &Subject,
        what: &Uploaded,
    ) -> Result<(), StoreError> {
        let [recent, older] = what.encode().map(Set);
        let row = uploaded::ActiveModel { subject: Set(subject.to_string()), recent, older };
        let replace = OnConflict::column(uploaded::Column::Subject)
            .update_columns([uploaded::Column::Recent, uploaded::Column::Older])
            .to_owned();
        let insert = uploaded::Entity::insert(row).on_conflict(replace);
        insert.exec_without_returning(&*self.tx).await?;
        Ok(())
    }

    /// When a person's bucket is empty, in Unix milliseconds; nothing: it is.
    pub(crate) async fn bucket(&self, subject: &Subject) -> Result<Option<i64>, StoreError> {
        let row = contact_quota::Entity::find_by_id(subject.as_str()).one(&*self.tx).await?;
        Ok(row.map(|row| row.empty_at))
    }

    /// Stores when a person's bucket will be empty.
    pub(crate) async fn put_bucket(
        &self,
        subject: &Subject,
        empty_at: i64,
    ) -> Result<(), StoreError> {
        let row = contact_quota::ActiveModel {
            subject: Set(subject.to_string()),
            empty_at: Set(empty_at),
        };
        let replace = OnConflict::column(contact_quota::Column::Subject)
            .update_column(contact_quota::Column::EmptyAt)
            .to_owned();
        let insert = contact_quota::Entity::insert(row).on_conflict(replace);
        insert.exec_without_returning(&*self.tx).await?;
        Ok(())
    }

    /// Forgets what people have uploaded: at most as many as rows of one statement.
    pub(super) async fn forget_uploaded(&self, people: &[Subject]) -> Result<(), StoreError> {
        let named = people.iter().map(Subject::as_str);
        uploaded::Entity::delete_many()
            .filter(uploaded::Column::Subject.is_in(named))
            .exec(&*self.tx)
            .await?;
        Ok(())
    }

    /// Forgets how full people's buckets are, when they are erased and not before: at most as many
    /// as rows of one statement.
    pub(super) async fn forget_buckets(&self, people: &[Subject]) -> Result<(), StoreError> {
        let named = people.iter().map(Subject::as_str);
        contact_quota::Entity::delete_many()
            .filter(contact_quota::Column::Subject.is_in(named))
            .exec(&*self.tx)
            .await?;
        Ok(())
    }
}
