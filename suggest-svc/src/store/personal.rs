//! What a person says: contacts, settings, blocks.

use identifiers::MatchKey;
use sea_orm::{
    ActiveValue::Set, EntityTrait, QueryFilter, QuerySelect, prelude::*, sea_query::OnConflict,
};
use service_kit::{clock::UnixMillis, store::StoreError};

use super::{
    Store, columns,
    entity::{address_book, block, contact_settings},
    writing::Writing,
};
use crate::{
    domain::{Settings, Subject, address_book::entries},
    error::Error,
};

/// An address book as it is stored.
#[derive(Debug)]
pub(crate) struct StoredBook {
    /// The token of its last sync.
    pub(crate) token: String,
    /// Its entries, padding among them.
    pub(crate) entries: Vec<MatchKey>,
}

impl Store {
    /// A person's address book, if they synced one.
    pub(crate) async fn address_book(
        &self,
        subject: &Subject,
    ) -> Result<Option<StoredBook>, StoreError> {
        let row = address_book::Entity::find_by_id(subject.as_str()).one(&self.db).await?;
        Ok(row.map(|row| StoredBook { token: row.token, entries: entries(&row.entries) }))
    }
}

impl Writing {
    /// The token of a person's last sync, if their address book is there.
    pub(crate) async fn sync_token(&self, subject: &Subject) -> Result<Option<String>, StoreError> {
        let token = address_book::Entity::find_by_id(subject.as_str())
            .select_only()
            .column(address_book::Column::Token)
            .into_tuple();
        Ok(token.one(&*self.tx).await?)
    }

    /// Stores a person's address book in place of the one before.
    pub(crate) async fn put_address_book(
        &self,
        subject: &Subject,
        token: &str,
        entries: Vec<u8>,
    ) -> Result<(), StoreError> {
        let row = address_book::ActiveModel {
            subject: Set(subject.to_string()),
            token: Set(token.to_owned()),
            synced: Set(self.sequence),
            entries: Set(entries),
        };
        let replace = OnConflict::column(address_book::Column::Subject)
            .update_columns([
                address_book::Column::Token,
                address_book::Column::Synced,
                address_book::Column::Entries,
            ])
            .to_owned();
        let insert = address_book::Entity::insert(row).on_conflict(replace);
        insert.exec_without_returning(&*self.tx).await?;
        self.note(|change| change.book(subject));
        Ok(())
    }

    /// Forgets a person's address book.
    pub(crate) async fn delete_address_book(&self, subject: &Subject) -> Result<(), StoreError> {
        let delete = address_book::Entity::delete_by_id(subject.as_str());
        if delete.exec(&*self.tx).await?.rows_affected > 0 {
            self.note(|change| change.book(subject));
        }
        Ok(())
    }

    /// Stores a person's settings.
    pub(crate) async fn put_settings(
        &self,
        subject: &Subject,
        settings: Settings,
    ) -> Result<(), StoreError> {
        let row = contact_settings::ActiveModel {
            subject: Set(subject.to_string()),
            discoverability: Set(columns::discoverability(settings.discoverability)),
            may_be_mutual: Set(settings.may_be_mutual),
        };
        let replace = OnConflict::column(contact_settings::Column::Subject)
            .update_columns([
                contact_settings::Column::Discoverability,
                contact_settings::Column::MayBeMutual,
            ])
            .to_owned();
        let insert = contact_settings::Entity::insert(row).on_conflict(replace);
        insert.exec_without_returning(&*self.tx).await?;
        self.note(|change| change.settings(subject));
        Ok(())
    }

    /// Stores that a person blocks another, who need not be here: the most are `at_most`.
    pub(crate) async fn block(
        &self,
        subject: &Subject,
        blocked: &Subject,
        at: UnixMillis,
        at_most: u64,
    ) -> Result<(), Error> {
        let key = (subject.to_string(), blocked.to_string());
        let known = block::Entity::find_by_id(key).one(&*self.tx).await;
        if known.map_err(StoreError::from)?.is_some() {
            return Ok(());
        }
        let blocks = block::Entity::find().filter(block::Column::Subject.eq(subject.as_str()));
        if blocks.count(&*self.tx).await.map_err(StoreError::from)? >= at_most {
            return Err(Error::TooManyBlocks(at_most));
        }
        let row = block::ActiveModel {
            subject: Set(subject.to_string()),
            blocked: Set(blocked.to_string()),
            at: Set(at.get()),
        };
        let insert = block::Entity::insert(row).exec_without_returning(&*self.tx);
        insert.await.map_err(StoreError::from)?;
        self.note(|change| change.block(subject, blocked, true));
        Ok(())
    }

    /// Stores that they no longer do.
    pub(crate) async fn unblock(
        &self,
        subject: &Subject,
        blocked: &Subject,
    ) -> Result<(), StoreError> {
        let key = (subject.to_string(), blocked.to_string());
        if block::Entity::delete_by_id(key).exec(&*self.tx).await?.rows_affected > 0 {
            self.note(|change| change.block(subject, blocked, false));
        }
        Ok(())
    }
}
