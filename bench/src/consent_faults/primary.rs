//! A Redis primary, and another server that can take its place.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use redis::{Client, Cmd, FromRedisValue, aio::MultiplexedConnection};
use service_kit::test_util::{Proxy, Redis, Way};
use tokio::{
    task::{block_in_place, spawn_blocking},
    time::{Instant, sleep},
};

use crate::{Result, svc::Stopped};

/// How long a server may take to become another's replica.
const SYNC: Duration = Duration::from_secs(20);

/// Two servers, one of which is in use.
#[derive(Debug)]
pub(super) struct Pair {
    servers: [Redis; 2],
    current: AtomicUsize,
    /// From whichever is a replica to the primary.
    replication: Proxy,
}

impl Pair {
    pub(super) async fn start() -> Result<Self> {
        let servers = spawn_blocking(|| [Redis::start(), Redis::start()]).await?;
        let replication = Proxy::start(address(&servers[0])?).await?;
        Ok(Self { servers, current: AtomicUsize::new(0), replication })
    }

    /// Where the server in use listens.
    pub(super) fn address(&self) -> Result<SocketAddr> {
        address(self.primary())
    }

    fn primary(&self) -> &Redis {
        &self.servers[self.current.load(Ordering::SeqCst)]
    }

    fn other(&self) -> &Redis {
        &self.servers[1 - self.current.load(Ordering::SeqCst)]
    }

    /// `SIGSTOP`, until what is returned is dropped.
    pub(super) fn stop(&self) -> Result<Stopped> {
        Stopped::new(&[self.primary().pid()])
    }

    /// `kill -9`.
    pub(super) fn kill(&self) {
        block_in_place(|| self.primary().kill());
    }

    /// Starts the killed server again, with nothing in it.
    pub(super) fn restart_empty(&self) {
        // There may be none.
        let _ = std::fs::remove_file(self.primary().dump());
        block_in_place(|| self.primary().restart());
    }

    /// Starts the killed server again with what it last saved.
    pub(super) fn restart_with_dump(&self) {
        block_in_place(|| self.primary().restart());
    }

    /// The server in use writes what it holds to its disk.
    pub(super) async fn save(&self) -> Result<()> {
        ask(self.primary(), redis::cmd("SAVE")).await
    }

    /// Makes the other server a replica that has everything until now and gets nothing of what
    /// comes.
    pub(super) async fn leave_replica_behind(&self) -> Result<()> {
        self.replication.switch(self.address()?);
        self.replication.heal();
        self.replication.cut();
        follow(self.other(), self.primary(), self.replication.address).await?;
        self.replication.set(Way::Stalled, Way::Stalled, false);
        Ok(())
    }

    /// Promotes the other server as it is; gives where it listens. The former primary goes on as
    /// if nothing had happened.
    pub(super) async fn promote_other(&self) -> Result<SocketAddr> {
        ask::<()>(self.other(), replica_of(None)).await?;
        self.current.fetch_xor(1, Ordering::SeqCst);
        self.replication.cut();
        self.address()
    }

    /// Promotes the other server, makes the one in use its replica, with the data that the other
    /// has, and promotes it back: the same process on the same connections, but another past.
    pub(super) async fn replace_the_past(&self) -> Result<()> {
        ask::<()>(self.other(), replica_of(None)).await?;
        follow(self.primary(), self.other(), address(self.other())?).await?;
        ask(self.primary(), replica_of(None)).await
    }
}

/// Makes a server the replica of another, which it reaches at an address, and waits until it has
/// its data.
async fn follow(replica: &Redis, primary: &Redis, at: SocketAddr) -> Result<()> {
    // Otherwise the primary waits for 5 s whether more replicas come.
    let mut at_once = redis::cmd("CONFIG");
    at_once.arg("SET").arg("repl-diskless-sync-delay").arg(0);
    ask::<()>(primary, at_once).await?;
    ask::<()>(replica, replica_of(Some(at))).await?;
    let until = Instant::now() + SYNC;
    loop {
        let mut info = redis::cmd("INFO");
        info.arg("replication");
        // While it loads, it may answer nothing.
        let info: String = ask(replica, info).await.unwrap_or_default();
        if info.contains("master_link_status:up") {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!("a Redis replica did not get its data:\n{info}").into());
        }
        sleep(Duration::from_millis(20)).await;
    }
}

fn replica_of(primary: Option<SocketAddr>) -> Cmd {
    let mut command = redis::cmd("REPLICAOF");
    match primary {
        Some(at) => command.arg(at.ip().to_string()).arg(at.port()),
        None => command.arg("NO").arg("ONE"),
    };
    command
}

async fn ask<T: FromRedisValue>(server: &Redis, command: Cmd) -> Result<T> {
    let mut connection: MultiplexedConnection =
        Client::open(server.url())?.get_multiplexed_async_connection().await?;
    Ok(command.query_async(&mut connection).await?)
}

fn address(server: &Redis) -> Result<SocketAddr> {
    let url = server.url();
    Ok(url.strip_prefix("redis://").unwrap_or(&url).parse()?)
}
