//! Reading everything, for a graph that starts.

use futures::TryStreamExt;
use sea_orm::{EntityTrait, IsolationLevel};
use service_kit::store::{self, StoreError};

use super::{
    Store, columns,
    entity::{address_book, block, connection, contact_settings, identifier, person},
    sequence,
};
use crate::{
    domain::address_book::entries,
    graph::{Builder, OwnedKey},
};

impl Store {
    /// Everything, as of one position, which comes with it.
    pub(crate) async fn load(&self) -> Result<(Builder, i64), StoreError> {
        // One snapshot: nothing that commits meanwhile is seen.
        store::transaction_at(&self.db, "load", IsolationLevel::RepeatableRead, |tx| async move {
            let mut builder = Builder::default();
            let mut people = person::Entity::find().stream(&*tx).await?;
            while let Some(row) = people.try_next().await? {
                let (subject, standing) = (row.subject.as_str().into(), columns::standing(&row));
                builder.consent(&subject, standing.transfer);
                builder.suggestible(&subject, standing.suggest);
            }
            drop(people);
            let mut keys = identifier::Entity::find().stream(&*tx).await?;
            while let Some(row) = keys.try_next().await? {
                let key = columns::match_key(&row.match_key)?;
                builder.key(&row.subject.into(), OwnedKey { key, since: row.since });
            }
            drop(keys);
            let mut all_settings = contact_settings::Entity::find().stream(&*tx).await?;
            while let Some(row) = all_settings.try_next().await? {
                let settings = columns::settings(&row)?;
                builder.settings(&row.subject.into(), settings);
            }
            drop(all_settings);
            let mut books = address_book::Entity::find().stream(&*tx).await?;
            while let Some(row) = books.try_next().await? {
                builder.book(&row.subject.into(), row.synced, entries(&row.entries));
            }
            drop(books);
            let mut connections = connection::Entity::find().stream(&*tx).await?;
            while let Some(row) = connections.try_next().await? {
                builder.connection(&row.subject.into(), &row.other.into());
            }
            drop(connections);
            let mut blocks = block::Entity::find().stream(&*tx).await?;
            while let Some(row) = blocks.try_next().await? {
                builder.block(&row.subject.into(), &row.blocked.into());
            }
            drop(blocks);
            Ok((builder, sequence(&*tx).await?))
        })
        .await
    }
}
