//! A server process that lives no longer than the test process.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use tempfile::TempDir;

/// Sets the server up, starts it and waits until its input ends, which it does when the test process is gone,
/// be it by `kill -9`; then stops the server, at once, and removes its directory, unless a line
/// said `keep`. The signal is repeated: one that comes before the server has set itself up
/// is lost. In a process group of its own, so that Ctrl-C does not take it along first.
const KEEPER: &str = r#"
signal=$1 directory=$2 setup=$3; shift 3
# Again when something that is about to end has just written there.
forget() { for _ in 1 2 3 4 5; do rm -rf "$directory" && return; sleep 0.2; done; }
eval "$setup" </dev/null || { forget; exit 70; }
"$@" </dev/null &
server=$!
echo "$server" >server.pid
read -r order
while kill -s "$signal" "$server" 2>/dev/null; do sleep 0.1; done &
wait "$server" 2>/dev/null
[ "$order" = keep ] || forget
"#;

/// What the keeper exits with when the setup failed: another port would not help.
const SETUP_FAILED: i32 = 70;

/// How long a server may take to start before the test gives up.
const START: Duration = Duration::from_mins(1);

/// How many ports are tried: between choosing one and using it, another process may take it.
const PORTS: usize = 5;

/// What to run and how to know that it runs.
pub(super) struct Program<'a> {
    /// A shell command that must succeed first, in the server's directory. Harmless when it runs
    /// again there.
    pub(super) setup: &'a str,
    /// The command for a port.
    pub(super) command: &'a dyn Fn(u16) -> Vec<String>,
    /// The signal that ends it at once, as a crash would.
    pub(super) signal: &'static str,
    /// What its output says when it accepts connections.
    pub(super) ready: &'static str,
}

#[derive(Debug)]
pub(super) struct Engine {
    keeper: Child,
    port: u16,
    /// What it has printed.
    log: Arc<Mutex<String>>,
}

impl Engine {
    /// Starts it on a port from the operating system, or on a given one.
    pub(super) fn start(program: &Program<'_>, directory: &Directory, port: Option<u16>) -> Self {
        let mut output = String::new();
        for _ in 0..PORTS {
            let port = port.unwrap_or_else(free_port);
            let command = (program.command)(port);
            match Self::try_start(program, &command, directory, port) {
                Ok(engine) => return engine,
                Err(failed) => output = failed,
            }
        }
        panic!("a server for tests did not start:\n{output}");
    }

    fn try_start(
        program: &Program<'_>,
        command: &[String],
        directory: &Directory,
        port: u16,
    ) -> Result<Self, String> {
        let mut shell = directory.user.command("sh");
        shell
            .args(["-c", KEEPER, "keeper", program.signal])
            .arg(directory.path())
            .arg(program.setup)
            .args(command)
            .current_dir(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0);
        // One stream for both: servers differ in which one they write to.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        shell.stdout(writer.try_clone().expect("a pipe")).stderr(writer);
        let keeper = shell.spawn().expect("sh");
        drop(shell);

        // Read to its end, or the server would stand still when the pipe is full.
        let (found, ready) = mpsc::channel();
        let mark = program.ready;
        let log = Arc::new(Mutex::new(String::new()));
        let seen = log.clone();
        thread::spawn(move || {
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.push_str(&line);
                seen.push('\n');
                if line.contains(mark) {
                    let _ = found.send(Ok(()));
                }
            }
            // The receiver is gone once the server had started.
            let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = found.send(Err(seen.clone()));
        });
        let mut engine = Self { keeper, port, log };
        match ready.recv_timeout(START) {
            Ok(Ok(())) => Ok(engine),
            Ok(Err(output)) => {
                let failed = engine.end("keep") == Some(SETUP_FAILED);
                assert!(
                    !failed,
                    "a server for tests could not be set up:
{output}"
                );
                Err(output)
            }
            Err(error) => panic!("a server for tests did not start within {START:?}: {error}"),
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// What it has printed so far.
    pub(super) fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The server's process, of those that are served from a directory.
    pub(super) fn pid(directory: &Directory) -> u32 {
        let text = fs::read_to_string(directory.path().join("server.pid"));
        let pid = text.ok().and_then(|text| text.trim().parse().ok());
        pid.expect("a server that was started has a process id")
    }

    /// Ends the server as a crash would and keeps its files.
    pub(super) fn kill(&mut self) {
        self.end("keep");
    }

    /// Ends the keeper: its exit code.
    fn end(&mut self, order: &str) -> Option<i32> {
        if let Some(mut input) = self.keeper.stdin.take() {
            // Fails when the keeper is gone, which is what is wanted.
            let _ = writeln!(input, "{order}");
        }
        self.keeper.wait().ok()?.code()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.end("");
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("a bound address").port()
}

/// A directory for a server, removed by its keeper.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    user: User,
}

impl Directory {
    pub(super) fn new(name: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix(&format!("assent-test-{name}-"))
            .tempdir()
            .expect("a temporary directory");
        let user = User::for_owner_of(&directory);
        user.take(directory.path());
        Self { path: directory.keep(), user }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A command that runs as the directory's user.
    pub(super) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.user.command(program);
        command.current_dir(&self.path);
        command
    }
}

/// Whom the servers run as. PostgreSQL refuses to run as root.
#[derive(Debug)]
enum User {
    Ourselves,
    Other { uid: u32, gid: u32 },
}

impl User {
    fn for_owner_of(directory: &TempDir) -> Self {
        // What we have just made belongs to our effective user.
        let owner = fs::metadata(directory.path()).expect("our own directory").uid();
        if owner != 0 {
            return Self::Ourselves;
        }
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let find = |name: &str| {
            users.lines().find_map(|line| {
                let mut fields = line.split(':');
                (fields.next()? == name).then_some(())?;
                let (uid, gid) = (fields.nth(1)?, fields.next()?);
                Some(Self::Other { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
            })
        };
        find("postgres").or_else(|| find("nobody")).expect("a user postgres or nobody to run as")
    }

    fn take(&self, path: &Path) {
        if let Self::Other { uid, gid } = self {
            chown(path, Some(*uid), Some(*gid)).expect("root may chown");
        }
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Self::Other { uid, gid } = self {
            command.uid(*uid).gid(*gid);
        }
        command
    }
}
