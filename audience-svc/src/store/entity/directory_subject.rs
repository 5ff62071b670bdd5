//! Who can be found and by which keys, for as long as their consent holds.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "directory_subject")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) subject_id: String,
    pub(crate) ordinal: i64,
    pub(crate) valid_until: i64,
    pub(crate) ads_until: i64,
    pub(crate) revision: i64,
    pub(crate) registered_at: i64,
    pub(crate) secret_version: i32,
    pub(crate) match_keys: Vec<u8>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
