//! Subjects, their events and the feed of them, policies, what was asked before, and the rows by
//! which replicas agree on a cache.

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0001_subjects"
    }
}

/// SQLite keeps a table with a key of its own as one tree: half the space and half the reads.
const SQLITE: &str = "
CREATE TABLE subject (
  subject_id TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  state BLOB NOT NULL,
  linked TEXT,
  due_at INTEGER
) WITHOUT ROWID;
CREATE INDEX subject_due_at ON subject (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE event (
  subject_id TEXT NOT NULL,
  revision INTEGER NOT NULL,
  content BLOB NOT NULL,
  PRIMARY KEY (subject_id, revision)
) WITHOUT ROWID;
CREATE TABLE feed (
  position INTEGER NOT NULL PRIMARY KEY,
  subject_id TEXT,
  kind INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  recorded_at INTEGER NOT NULL
);
CREATE TABLE feed_head (
  one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  position INTEGER NOT NULL,
  purged_to INTEGER NOT NULL,
  effects_to INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  cursor_key BLOB NOT NULL
);
INSERT INTO feed_head VALUES (1, 0, 0, 0, 0, randomblob(32));
CREATE TABLE due_scan (
  one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  since INTEGER NOT NULL,
  after TEXT
);
INSERT INTO due_scan VALUES (1, 0, NULL);
CREATE TABLE erasure (
  subject_id TEXT NOT NULL PRIMARY KEY,
  requested_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE erasure_follower (
  subject_id TEXT NOT NULL,
  follower TEXT NOT NULL,
  acknowledged_at INTEGER,
  PRIMARY KEY (subject_id, follower)
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
CREATE TABLE fence (
  subject_id TEXT NOT NULL PRIMARY KEY,
  token BLOB NOT NULL,
  set_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE cache_primary (
  number INTEGER NOT NULL PRIMARY KEY,
  primaries INTEGER NOT NULL,
  generation BLOB NOT NULL,
  open INTEGER NOT NULL,
  identity TEXT NOT NULL,
  held_until INTEGER NOT NULL
);
";

/// Ids are compared byte by byte, as the program does. Columns of fixed length stand first, the
/// longest before the others, so that none needs padding. Subjects' rows are rewritten in place,
/// so pages keep some room for that. A crash empties the table of fences, and whoever has lost
/// one starts over.
const POSTGRES: &str = r#"
CREATE TABLE subject (
  due_at bigint,
  revision int NOT NULL,
  subject_id text COLLATE "C" NOT NULL PRIMARY KEY,
  state bytea NOT NULL,
  linked text COLLATE "C"
) WITH (fillfactor = 90);
CREATE INDEX subject_due_at ON subject (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE event (
  revision int NOT NULL,
  subject_id text COLLATE "C" NOT NULL,
  content bytea NOT NULL,
  PRIMARY KEY (subject_id, revision)
);
CREATE TABLE feed (
  position bigint NOT NULL PRIMARY KEY,
  recorded_at bigint NOT NULL,
  kind int NOT NULL,
  revision int NOT NULL,
  subject_id text COLLATE "C"
);
CREATE TABLE feed_head (
  one bigint NOT NULL PRIMARY KEY CHECK (one = 1),
  position bigint NOT NULL,
  purged_to bigint NOT NULL,
  effects_to bigint NOT NULL,
  epoch bigint NOT NULL,
  cursor_key bytea NOT NULL
) WITH (fillfactor = 10);
INSERT INTO feed_head
  SELECT 1, 0, 0, 0, 0, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());
CREATE TABLE due_scan (
  one bigint NOT NULL PRIMARY KEY CHECK (one = 1),
  since bigint NOT NULL,
  after text COLLATE "C"
);
INSERT INTO due_scan VALUES (1, 0, NULL);
CREATE TABLE erasure (
  subject_id text COLLATE "C" NOT NULL PRIMARY KEY,
  requested_at bigint NOT NULL
);
CREATE TABLE erasure_follower (
  subject_id text COLLATE "C" NOT NULL,
  follower text COLLATE "C" NOT NULL,
  acknowledged_at bigint,
  PRIMARY KEY (subject_id, follower)
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
CREATE UNLOGGED TABLE fence (
  subject_id text COLLATE "C" NOT NULL PRIMARY KEY,
  token bytea NOT NULL,
  set_at bigint NOT NULL
);
CREATE TABLE cache_primary (
  number bigint NOT NULL PRIMARY KEY,
  primaries bigint NOT NULL,
  generation bytea NOT NULL,
  open bigint NOT NULL,
  identity text NOT NULL,
  held_until bigint NOT NULL
);
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
