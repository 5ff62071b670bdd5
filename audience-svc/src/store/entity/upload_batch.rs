//! A batch of an upload that is not applied yet. The large column stands last.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "upload_batch")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) business_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) upload_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) batch_number: i64,
    pub(crate) content: Vec<u8>,
    pub(crate) rows_received: i64,
    pub(crate) rows_duplicate: i64,
    pub(crate) rows_refused: Vec<u8>,
    pub(crate) rejections: Vec<u8>,
    pub(crate) members: Vec<u8>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
