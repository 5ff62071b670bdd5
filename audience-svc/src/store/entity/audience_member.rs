//! Who is in an audience: 65,536 ordinals a row, for each day on which memberships end.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audience_member")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) chunk: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) audience_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) expires_on: i32,
    pub(crate) business_id: String,
    pub(crate) listed_on: i32,
    pub(crate) members: Vec<u8>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
