//! Replicas that count together, in Redis: one script, one round trip.
//!
//! Calls never wait for a connection. One is made beside them ([`Shared::keep`]); the first that it
//! fails gives it up, and until the next one is made all others are told at once that there is none.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, IntoConnectionInfo as _, RedisError,
    ServerErrorKind, aio::MultiplexedConnection, io::tcp::TcpSettings,
};
use service_kit::auth::Principal;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::gcra::Limit;

const SCRIPT: &str = include_str!("gcra.lua");
/// What keys begin with; the class and 16 bytes of digest follow.
const PREFIX: &[u8] = b"quota:";
/// Counted now and then, to see that the script runs.
const PROBE: &[u8] = b"quota:probe";
/// How long connecting may take, TLS and authentication included.
const CONNECT: Duration = Duration::from_secs(2);
/// How long Redis is left alone after a failure, and how often it is asked whether it answers.
const REST: Duration = Duration::from_millis(250);
/// Calls that wait for room on the connection; beyond, they wait outside, and for no longer.
const QUEUE: usize = 1_024;

/// Why Redis was of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// The code and the kind only: texts of the server may quote what was sent.
    #[error("{0}")]
    Failed(String),
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        Self::Failed(match error.code() {
            Some(code) => format!("{:?}: {code}", error.kind()),
            None => format!("{:?}", error.kind()),
        })
    }
}

struct Connected {
    connection: MultiplexedConnection,
    /// The script by its SHA-1, as the server gave it.
    script: String,
}

/// A Redis primary by which replicas count together.
pub(super) struct Shared {
    client: Client,
    timeout: Duration,
    connected: ArcSwapOption<Connected>,
    /// Where the call that gives a connection up says why.
    lost: mpsc::Sender<Fault>,
}

impl Shared {
    /// The primary at `url`, and where its lost connections are told: for [`Shared::keep`].
    pub(super) fn new(
        url: &str,
        timeout: Duration,
    ) -> Result<(Self, mpsc::Receiver<Fault>), RedisError> {
        // Otherwise a small command waits for the acknowledgement of the one before it.
        let at_once = TcpSettings::default().set_nodelay(true);
        let client = Client::open(url.into_connection_info()?.set_tcp_settings(at_once))?;
        let (lost, losses) = mpsc::channel(1);
        Ok((Self { client, timeout, connected: ArcSwapOption::empty(), lost }, losses))
    }

    /// Whether there is a connection that has not failed.
    pub(super) fn is_up(&self) -> bool {
        self.connected.load().is_some()
    }

    /// Counts a call of the principal in this class: it may pass, or after how long it would.
    /// `None`, within the timeout and before `deadline`, if Redis does not say.
    pub(super) async fn take(
        &self,
        principal: Principal,
        class: usize,
        limit: Limit,
        deadline: Instant,
    ) -> Option<Result<(), Duration>> {
        let connected = self.connected.load_full()?;
        let mut key = [0; PREFIX.len() + 1 + 16];
        key[..PREFIX.len()].copy_from_slice(PREFIX);
        // Truncation safety: there are four classes.
        #[allow(clippy::cast_possible_truncation)]
        let digit = b'0' + class as u8;
        key[PREFIX.len()] = digit;
        key[PREFIX.len() + 1..].copy_from_slice(principal.as_bytes());
        // The rest of a short deadline is for the call itself.
        let patience = self.timeout.min(deadline.saturating_duration_since(Instant::now()) / 2);
        match timeout(patience, connected.take(&key, limit)).await {
            Ok(Ok(0)) => Some(Ok(())),
            Ok(Ok(micros)) => Some(Err(Duration::from_micros(micros))),
            Ok(Err(fault)) => {
                self.give_up(&connected, fault);
                None
            }
            Err(_) => {
                // Callers with little time are no measure of Redis.
                if patience == self.timeout {
                    self.give_up(&connected, Fault::Late(self.timeout));
                }
                None
            }
        }
    }

    /// The first that finds a connection of no use tells it; the others find none.
    fn give_up(&self, used: &Arc<Connected>, fault: Fault) {
        let was = self.connected.compare_and_swap(used, None);
        if was.as_ref().is_some_and(|was| Arc::ptr_eq(was, used)) {
            // There is room: it is read before the next connection is made.
            let _ = self.lost.try_send(fault);
        }
    }

    /// Keeps a connection, until `drained`. Tells once that there is none, and once that there is
    /// one again.
    pub(super) async fn keep(
        self: Arc<Self>,
        mut losses: mpsc::Receiver<Fault>,
        drained: CancellationToken,
    ) {
        let keeping = async {
            let mut well = true;
            loop {
                let fault = match self.connect().await {
                    Ok(connected) => {
                        if !well {
                            tracing::info!("Redis counts the quotas again");
                        }
                        well = true;
                        self.lose(&connected, &mut losses).await
                    }
                    Err(fault) => fault,
                };
                if well {
                    tracing::warn!(%fault, "Redis does not count the quotas: by this replica's share");
                }
                well = false;
                sleep(REST).await;
            }
        };
        drained.run_until_cancelled(keeping).await;
    }

    /// Returns when the connection has been given up. Asks for itself too: no call may be waiting
    /// as long as Redis may take.
    async fn lose(&self, connected: &Arc<Connected>, losses: &mut mpsc::Receiver<Fault>) -> Fault {
        loop {
            tokio::select! {
                Some(fault) = losses.recv() => return fault,
                () = sleep(REST) => if let Err(fault) = self.probe(connected).await {
                    self.give_up(connected, fault);
                }
            }
        }
    }

    async fn connect(&self) -> Result<Arc<Connected>, Fault> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(CONNECT))
            .set_pipeline_buffer_size(QUEUE);
        let connecting = async {
            let mut connection =
                self.client.get_multiplexed_async_connection_with_config(&config).await?;
            let mut load = redis::cmd("SCRIPT");
            let script = load.arg("LOAD").arg(SCRIPT).query_async(&mut connection).await?;
            Ok(Connected { connection, script })
        };
        let connected: Result<Connected, RedisError> =
            timeout(CONNECT, connecting).await.map_err(|_| Fault::Late(CONNECT))?;
        let connected = Arc::new(connected?);
        // A server that may not write, or that is too slow for calls, is found out before they
        // are: it would be lost again with the first.
        self.probe(&connected).await?;
        self.connected.store(Some(connected.clone()));
        Ok(connected)
    }

    async fn probe(&self, connected: &Connected) -> Result<(), Fault> {
        let probe = connected.take(PROBE, Limit::new(1e6, 1_000_000, 1));
        timeout(self.timeout, probe).await.map_err(|_| Fault::Late(self.timeout))?.map(drop)
    }
}

impl Connected {
    /// How many microseconds until the call would pass: 0 if it does.
    async fn take(&self, key: &[u8], limit: Limit) -> Result<u64, Fault> {
        let mut connection = self.connection.clone();
        let command = |name, script: &str| {
            let mut command = Cmd::with_capacity(6, 160);
            command.arg(name).arg(script).arg(1).arg(key).arg(limit.interval).arg(limit.span);
            command
        };
        let known = command("EVALSHA", &self.script).query_async(&mut connection).await;
        let is_unknown =
            |error: &RedisError| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript);
        match known {
            // Its scripts were flushed. EVAL runs and loads it.
            Err(error) if is_unknown(&error) => {
                Ok(command("EVAL", SCRIPT).query_async(&mut connection).await?)
            }
            known => Ok(known?),
        }
    }
}
