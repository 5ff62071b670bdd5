//! Looking at what is in a service's store, and waiting until it is.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use crate::world::World;

impl World {
    /// What a query finds in the store, as text.
    pub(crate) async fn column(&self, query: &str) -> Vec<String> {
        let db = self.store().await;
        let query = Statement::from_string(db.get_database_backend(), query);
        let rows = db.query_all_raw(query).await.unwrap();
        rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
    }

    /// The keys by which a person is found.
    pub(crate) async fn keys_of(&self, person: &str) -> Vec<Vec<u8>> {
        let db = self.store().await;
        let query = format!("SELECT match_key FROM identifier WHERE subject = '{person}'");
        let query = Statement::from_string(db.get_database_backend(), query);
        let rows = db.query_all_raw(query).await.unwrap();
        rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
    }

    /// In which tables and columns something stands, if only as a part of something longer.
    pub(crate) async fn stands_in(&self, what: impl AsRef<[u8]>) -> Vec<String> {
        let what = what.as_ref();
        let mut places = Vec::new();
        for (table, column) in self.columns().await {
            let db = self.store().await;
            let query = Statement::from_string(
                db.get_database_backend(),
                format!(r#"SELECT "{column}" FROM "{table}""#),
            );
            for row in db.query_all_raw(query).await.unwrap() {
                let written = row.try_get_by_index::<String>(0).map(String::into_bytes);
                let bytes = written.or_else(|_| row.try_get_by_index::<Vec<u8>>(0));
                let bytes = bytes.unwrap_or_default();
                if bytes.windows(what.len()).any(|part| part == what) {
                    places.push(format!("{table}.{column}"));
                }
            }
        }
        places.sort();
        places.dedup();
        places
    }

    /// Every column of every table, but for numbers.
    async fn columns(&self) -> Vec<(String, String)> {
        let query = match self.store().await.get_database_backend() {
            DbBackend::Postgres => {
                "SELECT table_name || '/' || column_name FROM information_schema.columns
                WHERE table_schema = 'public' AND data_type IN ('text', 'bytea')"
            }
            _ => {
                "SELECT m.name || '/' || c.name FROM sqlite_master m, pragma_table_info(m.name) c
                WHERE m.type = 'table' AND c.type NOT LIKE '%int%'"
            }
        };
        let columns = self.column(query).await;
        assert!(columns.iter().any(|column| column == "change/body"), "{columns:?}");
        let split = |column: String| column.split_once('/').map(|(a, b)| (a.into(), b.into()));
        columns.into_iter().filter_map(split).collect()
    }

    /// Whether a person is here.
    pub(crate) async fn is_here(&self, person: &str) -> bool {
        let query = format!("SELECT subject FROM person WHERE subject = '{person}'");
        !self.column(&query).await.is_empty()
    }

    /// Waits until a person is not here any more.
    pub(crate) async fn until_gone(&self, person: &str) {
        while self.is_here(person).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until all that the feed has told so far is done: somebody's erasure is, told last.
    pub(crate) async fn until_heard(&self) {
        let last = self.new_id();
        self.grants.erase(&last);
        let query = format!("SELECT subject FROM erasure WHERE subject = '{last}'");
        while self.column(&query).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Lets the time pass until the erasure of a person was acknowledged.
    pub(crate) async fn until_acknowledged(&self, person: &str) {
        while !self.is_acknowledged(person) {
            self.clock.advance(Duration::from_mins(1));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn is_acknowledged(&self, person: &str) -> bool {
        self.grants.acknowledged().iter().any(|one| one == person)
    }
}
