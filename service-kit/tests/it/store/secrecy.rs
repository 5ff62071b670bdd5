//! What errors say of URLs and rows: nothing.

use proto::{errors::v1::Reason, status};
use service_kit::{
    config::{Secret, Span},
    store::{StoreConfig, StoreError, connect, migrate},
    test_util::Postgres,
};
use tonic::{Code, Status};

use super::{Fresh, Version2, run};

const PASSWORD: &str = "hunter2";

fn at(url: &str) -> StoreConfig {
    let acquire_timeout = Span::from_millis(500);
    StoreConfig { url: Secret::new(url), acquire_timeout, ..StoreConfig::default() }
}

#[tokio::test]
async fn urls_and_passwords_are_in_no_error() {
    // Nothing listens on a port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Postgres::shared().database();
    let (server, _) = server.rsplit_once('/').unwrap();
    let host = server.split_once('@').unwrap().1;
    for url in [
        String::new(),
        PASSWORD.to_owned(),
        format!("mysql://u:{PASSWORD}@localhost/db"),
        format!("postgres://u:{PASSWORD}@localhost:notaport/db"),
        format!("postgres://u:{PASSWORD}@[broken/db"),
        format!("postgres://u:{PASSWORD}@localhost/db?sslmode={PASSWORD}"),
        format!("postgres://u:{PASSWORD}@127.0.0.1:{port}/db"),
        format!("postgres://u:{PASSWORD}@{host}/no-such-database"),
        format!("postgres://assent:{PASSWORD}@{host}/no-such-database"),
        format!("postgres://127.0.0.1:{port}/db?user=u&password={PASSWORD}"),
        format!("sqlite:/nowhere/at/all.db?key={PASSWORD}"),
    ] {
        let config = at(&url);
        let error = connect(&config).await.unwrap_err();
        let said = format!("{error} {error:?} {config:?} {}", Status::from(error.clone()));
        assert!(!said.contains(PASSWORD), "{said}");
    }
}

#[tokio::test]
async fn values_are_in_no_error() {
    for store in Fresh::on_both() {
        let db = store.open().await;
        migrate::<Version2>(&db).await.unwrap();
        run(&db, "INSERT INTO names VALUES ('sesame')").await.unwrap();
        for sql in [
            "INSERT INTO names VALUES ('sesame')",
            "INSERT INTO names VALUES ('sesame, sesame, sesame')",
            "INSERT INTO counters VALUES ('sesame', 1)",
            "SELECT CAST('sesame' AS INTEGER) / 0 FROM counters, 'sesame'",
            "DO $$ BEGIN RAISE EXCEPTION 'sesame'; END $$",
        ] {
            // SQLite does not mind some of them.
            let Err(error) = run(&db, sql).await else { continue };
            let error = StoreError::from(error);
            let said = format!("{error} {error:?} {}", Status::from(error.clone()));
            let quoted_statement = sql.contains("SELECT") || sql.contains("DO");
            assert!(!said.contains("sesame") || quoted_statement, "{sql}: {said}");
        }
    }
}

#[test]
fn callers_learn_whether_to_try_again_and_nothing_else() {
    let cause = || "relation consent_decisions".to_owned();
    for (error, code, reason) in [
        (StoreError::Unavailable(cause()), Code::Unavailable, Reason::DependencyUnavailable),
        (StoreError::Conflict(cause()), Code::Unavailable, Reason::DependencyUnavailable),
        (StoreError::Duplicate(cause()), Code::Internal, Reason::Internal),
        (StoreError::Schema(cause()), Code::Internal, Reason::Internal),
        (StoreError::Other(cause()), Code::Internal, Reason::Internal),
    ] {
        let shown = Status::from(error);
        assert_eq!((shown.code(), status::reason(&shown)), (code, Some(reason)));
        assert!(!format!("{shown:?}").contains("consent_decisions"));
    }
}
