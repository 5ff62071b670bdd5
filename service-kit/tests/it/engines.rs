//! The engines that the tests of services stand on.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Barrier,
};

use service_kit::{
    config::Secret,
    store::{StoreConfig, connect},
    test_util::{Postgres, Redis},
};

use crate::store::{number, run};

/// What Redis says to some commands.
fn say(url: &str, commands: &str) -> String {
    let address = url.trim_start_matches("redis://").split('/').next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("{commands}\r\nQUIT\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn redis_starts_is_shared_and_comes_back_empty_on_its_port() {
    let redis = Redis::start();
    let (one, other) = (redis.database(), redis.database());
    assert_ne!(one, other);
    let number = other.rsplit('/').next().unwrap();
    assert_eq!(say(&other, &format!("SELECT {number}\r\nSET k v")), "+OK\r\n+OK\r\n+OK\r\n");
    redis.kill();
    assert!(TcpStream::connect(redis.url().trim_start_matches("redis://")).is_err());
    redis.restart();
    assert_eq!(say(&other, &format!("SELECT {number}\r\nGET k")), "+OK\r\n$-1\r\n+OK\r\n");
    assert!(std::ptr::eq(Redis::shared(), Redis::shared()));
}

#[tokio::test]
async fn what_postgres_has_committed_survives_its_kill() {
    let postgres = Postgres::start();
    let config = StoreConfig { url: Secret::new(postgres.database()), ..StoreConfig::default() };
    let db = connect(&config).await.unwrap();
    run(&db, "CREATE TABLE t (n BIGINT)").await.unwrap();
    for n in 0..20 {
        run(&db, &format!("INSERT INTO t VALUES ({n})")).await.unwrap();
    }
    postgres.restart();
    let again = connect(&config).await.unwrap();
    assert_eq!(number(&again, "SELECT count(*) FROM t").await, 20);
}

#[test]
fn many_tests_may_ask_for_databases_at_once() {
    let start = Barrier::new(8);
    let urls = std::thread::scope(|scope| {
        let ask = || {
            start.wait();
            Postgres::shared().database()
        };
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect::<Vec<_>>()
    });
    let mut different = urls.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), 8);
}
