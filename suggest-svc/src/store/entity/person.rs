//! A person, while the consent to the transfer is in force: until when it is, and until when the
//! consents to the uses are (nothing: not heard of yet), as of a revision of the person's consents.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "person")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) subject: String,
    pub(crate) consent_until: i64,
    pub(crate) suggest_until: Option<i64>,
    pub(crate) spam_until: Option<i64>,
    pub(crate) revision: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
