//! Migrations run twice, and by several processes at once; a program started on a schema that is
//! not its own.

use std::{
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use service_kit::test_util::Postgres;
use tokio::task::block_in_place;

use super::world::SERVICES;
use crate::{cluster::Cluster, support::service_binary};

/// How many processes migrate at once.
const AT_ONCE: usize = 4;

struct Store {
    name: &'static str,
    config: PathBuf,
    db: DatabaseConnection,
    _directory: tempfile::TempDir,
}

impl Store {
    async fn of(name: &'static str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (cluster, url) =
            block_in_place(|| (Cluster::new(directory.path(), ""), Postgres::shared().database()));
        let own = match name {
            "consent-svc" => String::new(),
            _ => format!(
                "[consent]\nendpoint = \"http://127.0.0.1:1\"\n[match_keys]\nsecret = \"{}\"\n",
                "s".repeat(32)
            ),
        };
        let service = format!("[store]\nurl = \"{url}\"\nmax_connections = 4\n{own}");
        // Once: several processes read it at once.
        let config = cluster.configuration(name, &service, "127.0.0.1:0");
        let db = Database::connect(url).await.unwrap();
        Self { name, config, db, _directory: directory }
    }

    fn command(&self, command: &str) -> Command {
        let mut started = Command::new(service_binary(self.name));
        started.arg("--config").arg(&self.config).arg(command);
        started.stdout(Stdio::piped()).stderr(Stdio::piped());
        started
    }

    /// It ends by itself, with an error that says all of this.
    fn refuses(&self, command: &str, says: &[&str]) -> String {
        let Output { status, stdout, stderr } =
            block_in_place(|| self.command(command).output()).unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{said}{}", String::from_utf8_lossy(&stdout));
        for what in says {
            assert!(said.contains(what), "{} {command}: {said}", self.name);
        }
        said.lines().find(|line| line.contains(says[0])).unwrap().trim().to_owned()
    }

    async fn run(&self, sql: &str) {
        self.db.execute_unprepared(sql).await.unwrap();
    }

    /// The migrations that have been applied.
    async fn applied(&self) -> Vec<String> {
        let sql = "SELECT version FROM seaql_migrations ORDER BY version";
        let statement = sea_orm::Statement::from_string(self.db.get_database_backend(), sql);
        let rows = self.db.query_all_raw(statement).await.unwrap();
        rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_that_run_twice_and_at_once_are_applied_once() {
    for name in SERVICES {
        let store = Store::of(name).await;
        let mut before = Vec::new();
        for round in ["on an empty database", "again"] {
            let running: Vec<_> =
                (0..AT_ONCE).map(|_| store.command("migrate").spawn().unwrap()).collect();
            for one in running {
                let Output { status, stderr, .. } =
                    block_in_place(|| one.wait_with_output()).unwrap();
                assert!(status.success(), "{name}, {round}: {}", String::from_utf8_lossy(&stderr));
            }
            let applied = store.applied().await;
            assert!(!applied.is_empty());
            assert!(before.is_empty() || before == applied);
            before = applied;
        }
        println!("RELIABILITY | {name}: {AT_ONCE} migrations at once, twice | {before:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_is_not_its_own_is_refused() {
    for name in SERVICES {
        let store = Store::of(name).await;
        let said = store.refuses("serve", &["not migrated yet", "migrate command"]);
        println!("RELIABILITY | {name}, nothing migrated | {said}");
        assert!(block_in_place(|| store.command("migrate").output()).unwrap().status.success());

        // One behind: the last migration is one that this database has not heard of.
        let last = store.applied().await.pop().unwrap();
        store.run(&format!("DELETE FROM seaql_migrations WHERE version = '{last}'")).await;
        let said = store.refuses("serve", &["not migrated yet", &last, "migrate command"]);
        println!("RELIABILITY | {name}, one behind | {said}");
        let known = "INSERT INTO seaql_migrations (version, applied_at) VALUES";
        store.run(&format!("{known} ('{last}', 0)")).await;

        // Two ahead: a program that is two versions newer has been here.
        let newer = ["m9998_next", "m9999_after_next"];
        for version in newer {
            store.run(&format!("{known} ('{version}', 0)")).await;
        }
        for command in ["serve", "migrate"] {
            let said = store.refuses(command, &["another version of this program"]);
            println!("RELIABILITY | {name} {command}, two ahead | {said}");
        }
        let applied = store.applied().await;
        assert!(applied.ends_with(&newer.map(str::to_owned)), "{applied:?}");
    }
}
