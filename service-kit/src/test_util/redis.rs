//! Redis for tests.

use std::{
    env,
    path::PathBuf,
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use super::engine::{Directory, Engine, Program};

/// How many databases a server has, for as many tests.
const DATABASES: u32 = 1_000;

/// A private Redis server. It keeps nothing over a restart, as a cache may, except what it was told
/// to `SAVE`.
#[derive(Debug)]
pub struct Redis {
    directory: Directory,
    port: u16,
    engine: Mutex<Option<Engine>>,
    databases: AtomicU32,
}

impl Redis {
    /// The server that all tests of this process share, each in a database of its own. Commands
    /// that reach every database (pub/sub, FLUSHALL) want a server of their own.
    ///
    /// # Panics
    /// When there is none to start; the text says which package has it.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<Redis> = LazyLock::new(Redis::start);
        &SHARED
    }

    /// A server of one's own.
    ///
    /// # Panics
    /// As [`Redis::shared`].
    pub fn start() -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        assert!(
            env::split_paths(&path).any(|path| path.join("redis-server").is_file()),
            "these tests need Redis: install the Debian package redis-server"
        );
        let directory = Directory::new("redis");
        let engine = serve(&directory, None);
        let port = engine.port();
        let engine = Mutex::new(Some(engine));
        Self { directory, port, engine, databases: AtomicU32::new(0) }
    }

    /// The URL of the server.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The URL of a database that nobody has used.
    ///
    /// # Panics
    /// When all have been given away.
    pub fn database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        assert!(number < DATABASES, "more than {DATABASES} Redis databases in one test process");
        format!("{}/{number}", self.url())
    }

    /// The server's process.
    ///
    /// # Panics
    /// When it was never started.
    pub fn pid(&self) -> u32 {
        Engine::pid(&self.directory)
    }

    /// The file into which `SAVE` writes what the server holds, and from which it starts if it is
    /// there.
    pub fn dump(&self) -> PathBuf {
        self.directory.path().join("dump.rdb")
    }

    /// Ends the server at once; what it held is gone, except for its [dump](Redis::dump).
    pub fn kill(&self) {
        if let Some(mut engine) = self.slot().take() {
            engine.kill();
        }
    }

    /// Starts it again, empty or with its [dump](Redis::dump), on the same port.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&self) {
        self.kill();
        *self.slot() = Some(serve(&self.directory, Some(self.port)));
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Engine>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(directory: &Directory, port: Option<u16>) -> Engine {
    let command = |port: u16| {
        let text = format!(
            "redis-server --port {port} --bind 127.0.0.1 --databases {DATABASES} --appendonly no"
        );
        // An empty argument: no snapshots.
        let words = text.split(' ').chain(["--save", ""]);
        words.map(str::to_owned).collect()
    };
    let ready = "Ready to accept connections";
    Engine::start(
        &Program { setup: ":", command: &command, signal: "KILL", ready },
        directory,
        port,
    )
}
