//! A business's audience.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audience")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) business_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) audience_id: String,
    pub(crate) display_name: String,
    pub(crate) description: String,
    pub(crate) source: i32,
    pub(crate) lifetime_ms: i64,
    pub(crate) version: i64,
    pub(crate) rows_received: i64,
    pub(crate) rows_duplicate: i64,
    pub(crate) rows_refused: Vec<u8>,
    pub(crate) size: Option<String>,
    pub(crate) sized_version: Option<i64>,
    pub(crate) targetable: bool,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
