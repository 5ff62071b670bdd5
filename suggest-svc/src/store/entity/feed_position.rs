//! One row: how far consent-svc's feed of changes has been followed; a number that whoever follows
//! it raises to show that it does; after whom a sweep goes on, while there is one; how many were
//! asked for; when the last one ended.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "feed_position")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: i32,
    pub(crate) cursor: Vec<u8>,
    pub(crate) beat: i64,
    pub(crate) sweep: Option<String>,
    pub(crate) sweeps: i64,
    pub(crate) swept_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
