//! Businesses.

use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseTransaction, EntityTrait, sea_query::OnConflict,
};
use service_kit::clock::UnixMillis;

use super::{entity::business as table, failed};
use crate::{domain::Business, error::Error};

/// The business, if it was made known.
pub(crate) async fn find(
    db: &impl ConnectionTrait,
    business_id: &str,
) -> Result<Option<Business>, Error> {
    let found = table::Entity::find_by_id(business_id).one(db).await.map_err(failed)?;
    Ok(found.map(|row| Business {
        business_id: row.business_id,
        display_name: row.display_name,
        owner_id: row.owner_id,
        created_at: UnixMillis::new(row.created_at),
    }))
}

/// Stores a business; one that is known keeps the time of its creation.
pub(crate) async fn put(tx: &DatabaseTransaction, business: &Business) -> Result<(), Error> {
    let row = table::ActiveModel {
        business_id: Set(business.business_id.clone()),
        display_name: Set(business.display_name.clone()),
        owner_id: Set(business.owner_id.clone()),
        created_at: Set(business.created_at.get()),
    };
    let known = OnConflict::column(table::Column::BusinessId)
        .update_columns([table::Column::DisplayName, table::Column::OwnerId])
        .to_owned();
    let insert = table::Entity::insert(row).on_conflict(known);
    insert.exec_without_returning(tx).await.map(drop).map_err(failed)
}
