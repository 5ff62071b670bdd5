//! Subjects, their events, policies, and what was asked before.

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0001_initial"
    }
}

/// SQLite keeps a table with a key of its own as one tree: half the space and half the reads.
const SQLITE: &str = "
CREATE TABLE subject (
  subject_id TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  state BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE event (
  subject_id TEXT NOT NULL,
  revision INTEGER NOT NULL,
  content BLOB NOT NULL,
  digest BLOB NOT NULL,
  PRIMARY KEY (subject_id, revision)
) WITHOUT ROWID;
CREATE TABLE request (
  request_key BLOB NOT NULL PRIMARY KEY,
  digest BLOB NOT NULL,
  recorded_at INTEGER NOT NULL,
  reply BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX request_recorded_at ON request (recorded_at);
CREATE TABLE policy (
  number INTEGER NOT NULL PRIMARY KEY,
  policy_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  state INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  published_at INTEGER,
  retired_at INTEGER,
  spec TEXT NOT NULL,
  UNIQUE (policy_id, version)
);
CREATE TABLE policy_epoch (one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), value INTEGER NOT NULL);
INSERT INTO policy_epoch (one, value) VALUES (1, 0);
";

/// Ids are compared byte by byte, as the program does. Subjects' rows are rewritten in place,
/// so pages keep some room for that.
const POSTGRES: &str = r#"
CREATE TABLE subject (
  subject_id text COLLATE "C" NOT NULL PRIMARY KEY,
  revision bigint NOT NULL,
  state bytea NOT NULL
) WITH (fillfactor = 90);
CREATE TABLE event (
  subject_id text COLLATE "C" NOT NULL,
  revision bigint NOT NULL,
  content bytea NOT NULL,
  digest bytea NOT NULL,
  PRIMARY KEY (subject_id, revision)
);
CREATE TABLE request (
  request_key bytea NOT NULL PRIMARY KEY,
  digest bytea NOT NULL,
  recorded_at bigint NOT NULL,
  reply bytea NOT NULL
);
CREATE INDEX request_recorded_at ON request (recorded_at);
CREATE TABLE policy (
  number bigint NOT NULL PRIMARY KEY,
  policy_id text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  state bigint NOT NULL,
  created_at bigint NOT NULL,
  published_at bigint,
  retired_at bigint,
  spec text NOT NULL,
  UNIQUE (policy_id, version)
);
CREATE TABLE policy_epoch (one bigint NOT NULL PRIMARY KEY CHECK (one = 1), value bigint NOT NULL);
INSERT INTO policy_epoch (one, value) VALUES (1, 0);
"#;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql = match manager.get_database_backend() {
            DbBackend::Postgres => POSTGRES,
            _ => SQLITE,
        };
        manager.get_connection().execute_unprepared(sql).await.map(drop)
    }
}
