//! Match keys that lead to nobody any more, in the address books of others.

use identifiers::MatchKey;
use sea_orm::{
    ActiveValue::Set, EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::*,
    sea_query::OnConflict,
};
use service_kit::store::StoreError;

use super::{
    Store, columns,
    columns::ROWS,
    entity::{address_book, change, identifier, left_key as table},
    writing::Writing,
};
use crate::domain::Subject;

/// An address book whose bytes may have to be changed.
pub(crate) struct Book {
    pub(crate) subject: Subject,
    pub(crate) token: String,
    pub(crate) entries: Vec<u8>,
}

impl Writing {
    /// Notes that nobody is found by these keys because of this write.
    pub(super) async fn leave_keys(&self, keys: Vec<Vec<u8>>) -> Result<(), StoreError> {
        for chunk in keys.chunks(ROWS) {
            let rows = chunk.iter().map(|key| table::ActiveModel {
                match_key: Set(key.clone()),
                after_change: Set(self.sequence),
            });
            let again = OnConflict::column(table::Column::MatchKey)
                .update_column(table::Column::AfterChange)
                .to_owned();
            let insert = table::Entity::insert_many(rows).on_conflict(again);
            insert.exec_without_returning(&*self.tx).await?;
        }
        Ok(())
    }

    /// The same of all keys of these people, at most [`ROWS`].
    pub(super) async fn leave_keys_of(&self, people: &[Subject]) -> Result<(), StoreError> {
        let named = identifier::Column::Subject.is_in(people.iter().map(Subject::as_str));
        let keys = identifier::Entity::find().filter(named).all(&*self.tx).await?.into_iter();
        self.leave_keys(keys.map(|row| row.match_key).collect()).await
    }
}

impl Store {
    /// Some keys that were left by a change that is pruned: no sync that saw them then is still under
    /// way.
    pub(crate) async fn left_keys(
        &self,
        pruned: i64,
        at_most: u64,
    ) -> Result<Vec<MatchKey>, StoreError> {
        let rows = table::Entity::find()
            .filter(table::Column::AfterChange.lte(pruned))
            .order_by_asc(table::Column::AfterChange)
            .limit(at_most)
            .all(&self.db)
            .await?;
        rows.iter().map(|row| columns::match_key(&row.match_key)).collect()
    }

    /// Forgets keys that are in nobody's address book any more; those that were left once more since
    /// the change `pruned` stay.
    pub(crate) async fn forget_left_keys(
        &self,
        keys: &[MatchKey],
        pruned: i64,
    ) -> Result<(), StoreError> {
        for chunk in keys.chunks(ROWS) {
            let named = table::Column::MatchKey.is_in(chunk.iter().map(|key| &key.as_bytes()[..]));
            let gone = table::Entity::delete_many()
                .filter(named)
                .filter(table::Column::AfterChange.lte(pruned));
            gone.exec(&self.db).await?;
        }
        Ok(())
    }

    /// The next address books that were not synced after the change `until`, in ascending order of
    /// their subjects.
    pub(crate) async fn books(
        &self,
        after: Option<&Subject>,
        until: i64,
        at_most: u64,
    ) -> Result<Vec<Book>, StoreError> {
        let after = after.map_or("", Subject::as_str);
        let rows = address_book::Entity::find()
            .filter(address_book::Column::Subject.gt(after))
            .filter(address_book::Column::Synced.lte(until))
            .order_by_asc(address_book::Column::Subject)
            .limit(at_most)
            .all(&self.db)
            .await?;
        let book = |row: address_book::Model| Book {
            subject: row.subject.into(),
            token: row.token,
            entries: row.entries,
        };
        Ok(rows.into_iter().map(book).collect())
    }

    /// Replaces a book's bytes by others that lead to the same people, so that replicas need not
    /// be told; unless it was synced since.
    pub(crate) async fn pad_book(&self, book: &Book) -> Result<(), StoreError> {
        let row =
            address_book::ActiveModel { entries: Set(book.entries.clone()), ..Default::default() };
        let replace = address_book::Entity::update_many()
            .set(row)
            .filter(address_book::Column::Subject.eq(book.subject.as_str()))
            .filter(address_book::Column::Token.eq(book.token.as_str()));
        replace.exec(&self.db).await?;
        Ok(())
    }

    /// The first change that a key was left by which is still to be taken out, if there is one.
    pub(super) async fn first_left(&self) -> Result<Option<i64>, StoreError> {
        let first: Option<Option<i64>> = table::Entity::find()
            .select_only()
            .column_as(table::Column::AfterChange.min(), "first")
            .into_tuple()
            .one(&self.db)
            .await?;
        Ok(first.flatten())
    }

    /// The last change that is not kept any more.
    pub(crate) async fn pruned(&self) -> Result<i64, StoreError> {
        // First: what is written in between is not pruned.
        let head = super::head(&self.db).await?.seq;
        let kept: Option<Option<i64>> = change::Entity::find()
            .select_only()
            .column_as(change::Column::Seq.min(), "first")
            .into_tuple()
            .one(&self.db)
            .await?;
        // Changes are pruned from the first on.
        Ok(kept.flatten().map_or(head, |first| head.min(first - 1)))
    }
}
