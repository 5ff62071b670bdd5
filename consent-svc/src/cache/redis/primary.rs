//! One Redis primary: a connection, and four scripts that each make sure whom they talk to.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use redis::{
    AsyncConnectionConfig, Client, Cmd, IntoConnectionInfo as _, RedisError, Value,
    aio::{ConnectionLike as _, MultiplexedConnection},
    io::tcp::TcpSettings,
};
use service_kit::telemetry::Operations;

use crate::mutant::{self, Mutant};

/// How many keys go into one call of a script: Lua passes no more than some 8,000 arguments.
pub(super) const KEYS_A_CALL: usize = 2_000;

/// Why a primary was of no use.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Fault {
    /// There is no connection, it failed, or there was no answer in time.
    #[error("{0}")]
    Unreachable(String),
    /// It is a part of a Redis Cluster.
    #[error(
        "a Redis Cluster cannot be used: set cache.redis to several single primaries, over which \
         subjects are spread"
    )]
    Cluster,
    /// It is not the server that the database names, or no primary at all.
    #[error("it is not the primary that is in use")]
    Identity,
}

impl From<RedisError> for Fault {
    /// The code and the kind only: texts of the server may quote what was sent.
    fn from(error: RedisError) -> Self {
        let text = match error.code() {
            Some(code) => format!("{:?}: {code}", error.kind()),
            None => format!("{:?}", error.kind()),
        };
        Self::Unreachable(text)
    }
}

struct Connected {
    connection: MultiplexedConnection,
    /// The scripts by their SHA-1, as the server gave them.
    read: String,
    begin: String,
    fill: String,
    delete: String,
    /// For the mutants that identify a server at another time or in another way.
    #[cfg(feature = "mutants")]
    first_identity: String,
}

/// A Redis server that is meant to be a primary.
pub(super) struct Primary {
    client: Client,
    timeout: Duration,
    operations: Operations,
    connected: ArcSwapOption<Connected>,
}

impl Primary {
    pub(super) fn new(
        url: &str,
        timeout: Duration,
        operations: Operations,
    ) -> Result<Self, RedisError> {
        // Otherwise a small command waits for the acknowledgement of the one before it, which the
        // other side holds back: 40 ms a time.
        let at_once = TcpSettings::default().set_nodelay(true);
        let client = Client::open(url.into_connection_info()?.set_tcp_settings(at_once))?;
        Ok(Self { client, timeout, operations, connected: ArcSwapOption::empty() })
    }

    /// Whether there is a connection that has not failed.
    pub(super) fn is_connected(&self) -> bool {
        self.connected.load().is_some()
    }

    /// Connects, and hands the scripts to the server.
    pub(super) async fn connect(&self) -> Result<(), Fault> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout));
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = within(self.timeout * 2, connecting).await?;
        let info: String = redis::cmd("INFO").arg("cluster").query_async(&mut connection).await?;
        if info.contains("cluster_enabled:1") {
            return Err(Fault::Cluster);
        }
        let mut load = async |text: &str| -> Result<String, Fault> {
            let mut command = redis::cmd("SCRIPT");
            Ok(command.arg("LOAD").arg(text).query_async(&mut connection).await?)
        };
        let read = load(&scripts::mutated(scripts::READ)).await?;
        let begin = load(&scripts::mutated(scripts::BEGIN)).await?;
        let fill = load(&scripts::mutated(scripts::FILL)).await?;
        let delete = load(&scripts::mutated(scripts::DELETE)).await?;
        #[cfg(feature = "mutants")]
        let first_identity = replication(&mut connection).await?.1;
        let connected = Connected {
            connection,
            read,
            begin,
            fill,
            delete,
            #[cfg(feature = "mutants")]
            first_identity,
        };
        self.connected.store(Some(Arc::new(connected)));
        Ok(())
    }

    /// The identity of the server, if it is a primary.
    pub(super) async fn identity(&self) -> Result<String, Fault> {
        let connected = self.connected()?;
        #[cfg(feature = "mutants")]
        if mutant::is(Mutant::IdentityAtConnect) {
            return Ok(connected.first_identity.clone());
        }
        let found = replication(&mut connected.connection.clone()).await;
        let (primary, identity) = self.noticing(&connected, found)?;
        if primary { Ok(identity) } else { Err(Fault::Identity) }
    }

    /// What each key held; announces fills under `nonce` of those that held nothing.
    pub(super) async fn read(
        &self,
        identity: &str,
        keys: &[&[u8]],
        nonce: &[u8],
        fill_within: Duration,
    ) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        let within = fill_within.as_millis().to_string();
        let arguments = [identity.as_bytes(), nonce, within.as_bytes()];
        let found = self.call("read", |scripts| &scripts.read, keys, &arguments).await?;
        let Value::Array(values) = found else { return Err(Fault::Identity) };
        let value = |value| match value {
            Value::BulkString(bytes) => Some(bytes),
            _ => None,
        };
        Ok(values.into_iter().map(value).collect())
    }

    /// Announces fills under `nonce`, whatever the keys hold.
    pub(super) async fn begin(
        &self,
        identity: &str,
        keys: &[&[u8]],
        nonce: &[u8],
        fill_within: Duration,
    ) -> Result<(), Fault> {
        let within = fill_within.as_millis().to_string();
        let arguments = [identity.as_bytes(), nonce, within.as_bytes()];
        self.counted("begin", |scripts| &scripts.begin, keys, &arguments).await.map(drop)
    }

    /// Stores answers, each with the nonce of its fill; gives how many were stored.
    pub(super) async fn fill(
        &self,
        identity: &str,
        keys: &[&[u8]],
        values: &[(&[u8], &[u8])],
        keep: Duration,
    ) -> Result<usize, Fault> {
        let keep = keep.as_millis().to_string();
        let mut arguments = vec![identity.as_bytes(), keep.as_bytes()];
        arguments.extend(values.iter().flat_map(|(nonce, value)| [*nonce, *value]));
        self.counted("fill", |scripts| &scripts.fill, keys, &arguments).await
    }

    /// Forgets answers and fills.
    pub(super) async fn delete(&self, identity: &str, keys: &[&[u8]]) -> Result<(), Fault> {
        for keys in keys.chunks(KEYS_A_CALL) {
            self.counted("delete", |scripts| &scripts.delete, keys, &[identity.as_bytes()]).await?;
        }
        Ok(())
    }

    fn connected(&self) -> Result<Arc<Connected>, Fault> {
        self.connected.load_full().ok_or_else(|| Fault::Unreachable("not connected".to_owned()))
    }

    async fn counted(
        &self,
        operation: &'static str,
        script: impl Fn(&Connected) -> &String,
        keys: &[&[u8]],
        arguments: &[&[u8]],
    ) -> Result<usize, Fault> {
        match self.call(operation, script, keys, arguments).await? {
            Value::Int(count) => Ok(usize::try_from(count).unwrap_or(0)),
            _ => Err(Fault::Identity),
        }
    }

    async fn call(
        &self,
        operation: &'static str,
        script: impl Fn(&Connected) -> &String,
        keys: &[&[u8]],
        arguments: &[&[u8]],
    ) -> Result<Value, Fault> {
        let connected = self.connected()?;
        let mut command =
            Cmd::with_capacity(3 + keys.len() + arguments.len(), 64 * keys.len() + 64);
        command.arg("EVALSHA").arg(script(&connected)).arg(keys.len());
        for part in keys.iter().chain(arguments) {
            command.arg(*part);
        }
        let started = Instant::now();
        let answer = connected.connection.clone().req_packed_command(&command).await;
        let answer = answer.and_then(Value::extract_error).map_err(Fault::from);
        self.operations.done(operation, || "answers", started.elapsed(), answer.is_err());
        self.noticing(&connected, answer)
    }

    /// Gives up a connection that failed: whoever is to keep it will make another.
    fn noticing<T>(&self, used: &Arc<Connected>, answer: Result<T, Fault>) -> Result<T, Fault> {
        if let Err(Fault::Unreachable(_)) = &answer {
            self.connected.compare_and_swap(used, None);
        }
        answer
    }
}

/// Whether the server is a primary, and its identity.
async fn replication(connection: &mut MultiplexedConnection) -> Result<(bool, String), Fault> {
    if mutant::is(Mutant::RunId) {
        let info: String = redis::cmd("INFO").arg("server").query_async(connection).await?;
        return Ok((true, field(&info, "run_id").to_owned()));
    }
    let info: String = redis::cmd("INFO").arg("replication").query_async(connection).await?;
    let primary = field(&info, "role") == "master" || mutant::is(Mutant::NoIdentity);
    Ok((primary, field(&info, "master_replid").to_owned()))
}

fn field<'a>(info: &'a str, name: &str) -> &'a str {
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(known, _)| *known == name).map_or("", |(_, value)| value.trim_end())
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(Fault::Unreachable("no answer in time".to_owned())),
    }
}

mod scripts {
    use std::borrow::Cow;

    pub(super) const READ: &str = include_str!("read.lua");
    pub(super) const BEGIN: &str = include_str!("begin.lua");
    pub(super) const FILL: &str = include_str!("fill.lua");
    pub(super) const DELETE: &str = include_str!("delete.lua");

    /// The script as it is, except in mutants that believe too much.
    pub(super) fn mutated(text: &str) -> Cow<'_, str> {
        use crate::mutant::{self, Mutant};
        let mut text = Cow::Borrowed(text);
        if mutant::is(Mutant::NoIdentity) || mutant::is(Mutant::IdentityAtConnect) {
            text = Cow::Owned(text.replace("if not (info", "if false and not (info"));
        }
        if mutant::is(Mutant::RunId) {
            let by_run = "redis.call('INFO', 'server')";
            let text_by_run = text.replace("redis.call('INFO', 'replication')", by_run);
            let unknown = "info:find('role:master', 1, true) and info:find('master_replid:'";
            text = Cow::Owned(text_by_run.replace(unknown, "info:find('run_id:'"));
        }
        if mutant::is(Mutant::NoNonce) {
            let any = "if true or redis.call('GET'";
            text = Cow::Owned(text.replace("if redis.call('GET'", any));
        }
        text
    }
}
