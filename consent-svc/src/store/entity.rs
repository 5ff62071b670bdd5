//! The tables as sea-orm sees them. They never leave the store.

pub(super) mod subject {
    use sea_orm::entity::prelude::*;

    /// A subject: one row, one read.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "subject")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) subject_id: String,
        pub(crate) revision: i32,
        /// See `state.rs`.
        pub(crate) state: Vec<u8>,
        /// The ids of linked accounts, joined by commas, for reads; the state has them too.
        pub(crate) linked: Option<String>,
        /// When the clock alone will next change an answer.
        pub(crate) due_at: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod event {
    use sea_orm::entity::prelude::*;

    /// An event. Only ever inserted.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "event")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) subject_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) revision: i32,
        /// See `history.rs`.
        pub(crate) content: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod feed {
    use sea_orm::entity::prelude::*;

    /// An entry of the feed. Only ever appended, and forgotten after some time.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "feed")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) position: i64,
        pub(crate) subject_id: Option<String>,
        pub(crate) kind: i32,
        pub(crate) revision: i32,
        pub(crate) recorded_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod request {
    use sea_orm::entity::prelude::*;

    /// What was answered to a write, by who asked and under which request id.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "request")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) request_key: Vec<u8>,
        pub(crate) digest: Vec<u8>,
        pub(crate) recorded_at: i64,
        /// See `reply.rs`.
        pub(crate) reply: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod policy {
    use sea_orm::entity::prelude::*;

    /// A policy version.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "policy")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) number: i64,
        pub(crate) policy_id: String,
        pub(crate) version: i64,
        pub(crate) state: i64,
        pub(crate) created_at: i64,
        pub(crate) published_at: Option<i64>,
        pub(crate) retired_at: Option<i64>,
        /// The content as JSON.
        pub(crate) spec: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
