//! PostgreSQL for tests.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use super::engine::{Directory, Engine, Program};

/// The oldest version that the services support.
const OLDEST: u32 = 15;

/// A private PostgreSQL server.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    directory: Directory,
    durable: bool,
    port: u16,
    engine: Mutex<Option<Engine>>,
    databases: AtomicU32,
}

impl Postgres {
    /// The server that all tests of this process share, each in a database of its own.
    ///
    /// # Panics
    /// When there is none to start; the text says which package has it.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<Postgres> = LazyLock::new(Postgres::start);
        &SHARED
    }

    /// A server of one's own, for tests that kill it. It does not wait for the disk: what is
    /// committed survives [`Postgres::kill`], not a crash of the machine.
    ///
    /// # Panics
    /// As [`Postgres::shared`].
    pub fn start() -> Self {
        Self::launch(false)
    }

    /// As [`Postgres::start`], waiting for the disk as in production: for measurements.
    ///
    /// # Panics
    /// As [`Postgres::shared`].
    pub fn durable() -> Self {
        Self::launch(true)
    }

    /// The URL of a new, empty database.
    ///
    /// # Panics
    /// When the server does not make one.
    pub fn database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        let port = self.port.to_string();
        self.run("createdb", &["-h", "127.0.0.1", "-p", &port, "-U", "assent", &name]);
        format!("postgres://assent@127.0.0.1:{port}/{name}")
    }

    /// The process of the server that starts all its others.
    ///
    /// # Panics
    /// When it was never started.
    pub fn pid(&self) -> u32 {
        Engine::pid(&self.directory)
    }

    /// Where the programs of this version are: `psql`, `pgbench`.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// What the server has logged since it was last started.
    pub fn log(&self) -> String {
        self.slot().as_ref().map(Engine::log).unwrap_or_default()
    }

    /// Ends the server at once, as a crash of it would.
    pub fn kill(&self) {
        if let Some(mut engine) = self.slot().take() {
            engine.kill();
        }
    }

    /// Starts it again, on the same port, with the data that survived.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&self) {
        self.kill();
        *self.slot() = Some(self.serve(Some(self.port)));
    }

    fn launch(durable: bool) -> Self {
        let mut postgres = Self {
            programs: programs(),
            directory: Directory::new("postgres"),
            durable,
            port: 0,
            engine: Mutex::default(),
            databases: AtomicU32::new(0),
        };
        let engine = postgres.serve(None);
        postgres.port = engine.port();
        postgres.engine = Mutex::new(Some(engine));
        postgres
    }

    fn serve(&self, port: Option<u16>) -> Engine {
        let command = |port: u16| {
            let mut settings = vec![
                format!("port={port}"),
                "listen_addresses=127.0.0.1".to_owned(),
                "unix_socket_directories=".to_owned(),
                "max_connections=200".to_owned(),
                // What is measured has tables of some hundred MB; tests have next to nothing, many at a time.
                format!("shared_buffers={}MB", if self.durable { 512 } else { 64 }),
                "logging_collector=off".to_owned(),
            ];
            if !self.durable {
                // Commits are still written, to survive the server, but not waited for, which
                // only matters to the machine's own end.
                settings.extend(["fsync=off", "full_page_writes=off"].map(str::to_owned));
            }
            let program = self.programs.join("postgres").display().to_string();
            let mut command = vec![program, "-D".to_owned(), "data".to_owned()];
            command.extend(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]));
            command
        };
        // Everyone on the machine may log in: what is in there is made up.
        let setup = format!(
            "[ -e data ] || '{}' -D data -U assent -A trust -E UTF8 --locale=C --no-sync",
            self.programs.join("initdb").display()
        );
        // SIGQUIT: every process of the server ends without writing anything more.
        let ready = "database system is ready to accept connections";
        let program = Program { setup: &setup, command: &command, signal: "QUIT", ready };
        Engine::start(&program, &self.directory, port)
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = self.directory.command(self.programs.join(program));
        let output = command.args(arguments).stdin(Stdio::null()).output().expect(program);
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Engine>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the programs are: Debian's place for the newest version, or the search path.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions.filter_map(|entry| {
        let version = entry.file_name().to_str()?.parse::<u32>().ok()?;
        Some((version, entry.path().join("bin")))
    });
    let usable = |(version, path): &(u32, PathBuf)| *version >= OLDEST && has_server(path);
    if let Some((_, path)) = debian.filter(usable).max() {
        return path;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).find(|path| has_server(path)).unwrap_or_else(|| {
        panic!(
            "these tests need PostgreSQL {OLDEST} or later: install the Debian package postgresql"
        )
    })
}

fn has_server(path: &Path) -> bool {
    ["postgres", "initdb", "createdb"].iter().all(|program| path.join(program).is_file())
}
