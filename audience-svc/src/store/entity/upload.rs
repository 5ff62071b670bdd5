//! An upload to an audience.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "upload")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) business_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) upload_id: String,
    pub(crate) audience_id: String,
    pub(crate) mode: i32,
    pub(crate) profile: String,
    pub(crate) default_region: Option<String>,
    pub(crate) validate_only: bool,
    pub(crate) state: i32,
    pub(crate) rows_received: i64,
    pub(crate) rows_duplicate: i64,
    pub(crate) rows_refused: Vec<u8>,
    pub(crate) batches_received: i64,
    pub(crate) last_batch: Option<i64>,
    pub(crate) expires_at: i64,
    pub(crate) created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
