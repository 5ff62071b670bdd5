//! Everything that a running suite leaves behind, and what is found in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    thread::JoinHandle,
};

use sea_orm::{ConnectionTrait, Database};
use service_kit::test_util::{Postgres, Redis};

use super::needles::{CONTROLS, Needles, sent};
use crate::support::Process;

/// Bytes shown on each side of what was found.
const AROUND: usize = 60;
/// How much of what was found in one place is shown.
const LISTED: usize = 5;
/// What the lines of PostgreSQL's log that have a statement's values say; newer versions capitalise.
const VALUES: &str = "arameters: $1";

/// Places of several kinds, and the bytes in each.
#[derive(Default)]
pub(super) struct Places(BTreeMap<&'static str, Vec<(String, Vec<u8>)>>);

impl Places {
    pub(super) fn add(&mut self, kind: &'static str, name: impl Into<String>, bytes: Vec<u8>) {
        self.0.entry(kind).or_default().push((name.into(), bytes));
    }

    /// Every file below a directory.
    pub(super) fn add_files(&mut self, kind: &'static str, directory: &Path) {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                self.add_files(kind, &path);
            } else if let Ok(bytes) = fs::read(&path) {
                // Gone meanwhile otherwise, which a running database's files may be.
                self.add(kind, path.display().to_string(), bytes);
            }
        }
    }

    /// What a process prints when it prints the controls, through the same pipes as a service.
    pub(super) fn add_controls_printed(&mut self, kind: &'static str) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&controls()).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"cat "$0" >&2"#]).arg(file.path());
        let mut shell = Process::spawn(shell.stdout(Stdio::piped()).stderr(Stdio::piped()));
        assert!(shell.told(|_| None::<()>).is_none());
        self.add(kind, "a process that prints the controls", shell.printed());
    }

    /// Prints how much was searched. Nothing of what was sent may be found; of the controls, in
    /// each of the kinds of place where they were put, everything.
    pub(super) fn search(&self, controlled: &[&str]) {
        let sent = Needles::of(sent());
        let control = Needles::of(&CONTROLS);
        let mut leaks = Vec::new();
        println!("{:>4} needles, {} controls", sent.all.len(), control.all.len());
        for (kind, places) in &self.0 {
            let mut controls = BTreeSet::new();
            for (name, bytes) in places {
                let found = sent.within(bytes);
                // One leak is found by several needles, and often again.
                for (needle, at) in found.iter().take(LISTED) {
                    let around = at.saturating_sub(AROUND)..bytes.len().min(at + AROUND);
                    let around = String::from_utf8_lossy(&bytes[around]);
                    leaks.push(format!("{kind}, {name}: {} in {around:?}", sent.all[*needle].0));
                }
                controls.extend(control.within(bytes).into_iter().map(|(needle, _)| needle));
            }
            let total: usize = places.iter().map(|(_, bytes)| bytes.len()).sum();
            println!("{total:>12} bytes in {:>5} of: {kind}", places.len());
            assert!(total > 0, "nothing to search in: {kind}");
            if controlled.contains(kind) {
                let all = 0..control.all.len();
                let missed: Vec<_> =
                    all.filter(|n| !controls.contains(n)).map(|n| &control.all[n].0).collect();
                assert!(missed.is_empty(), "the search of {kind} does not find {missed:?}");
            }
        }
        assert!(controlled.iter().all(|kind| self.0.contains_key(kind)));
        assert!(leaks.is_empty(), "found, among others:\n{}", leaks.join("\n"));
    }
}

/// All control needles, one after the other.
pub(super) fn controls() -> Vec<u8> {
    Needles::of(&CONTROLS)
        .all
        .into_iter()
        .flat_map(|(_, bytes)| [bytes, vec![b'\n']].concat())
        .collect()
}

/// Puts each control into a table of its own in a database.
pub(super) async fn put_controls_into(database: &str) {
    let database = Database::connect(database).await.unwrap();
    let postgres = database.get_database_backend() == sea_orm::DatabaseBackend::Postgres;
    let bytes = if postgres { "BYTEA" } else { "BLOB" };
    let mut statements = vec![format!("CREATE TABLE controls (value {bytes} NOT NULL)")];
    statements.extend(Needles::of(&CONTROLS).all.into_iter().map(|(_, needle)| {
        let hex = hex::encode(needle);
        let value = if postgres { format!(r"'\x{hex}'") } else { format!("x'{hex}'") };
        format!("INSERT INTO controls VALUES ({value})")
    }));
    for statement in statements {
        database.execute_unprepared(&statement).await.unwrap();
    }
    database.close().await.unwrap();
}

/// Has a server log every statement, with the values that it is given.
pub(super) fn log_statements(server: &Postgres) {
    let database = server.database();
    let log = "ALTER SYSTEM SET log_statement = 'all'";
    run(server, "psql", &["-d", &database, "-c", log, "-c", "SELECT pg_reload_conf()"]);
}

/// Each of the databases as SQL, where nothing is compressed, bytes both as the digits that they are
/// written with and as themselves; the server's files, with everything written there; and its log.
pub(super) fn add_postgres(places: &mut Places, server: &Postgres, databases: &[String]) {
    for database in databases {
        let dump = run(server, "pg_dump", &["--data-only", "-d", database]);
        places.add("PostgreSQL, dumped, bytes decoded", database, decoded(&dump));
        places.add("PostgreSQL, dumped", database, dump);
    }
    let checkpoint =
        ["-XAtq", "-d", &databases[0], "-c", "CHECKPOINT", "-c", "SHOW data_directory"];
    let directory = String::from_utf8(run(server, "psql", &checkpoint)).unwrap();
    places.add_files("PostgreSQL, files (with pg_wal)", Path::new(directory.trim()));
    let log = server.log();
    let without_values = log.lines().filter(|line| !line.contains(VALUES)).collect::<Vec<_>>();
    places.add("PostgreSQL, log", "without values", without_values.join("\n").into_bytes());
}

/// Every statement so far, with the values that it was given.
pub(super) fn add_statements(places: &mut Places, server: &Postgres) {
    let log = server.log();
    assert!(log.contains(VALUES), "no values were logged");
    places.add("PostgreSQL, statements, bytes decoded", "log", decoded(log.as_bytes()));
    places.add("PostgreSQL, statements", "log", log.into_bytes());
}

fn run(server: &Postgres, program: &str, arguments: &[&str]) -> Vec<u8> {
    let done = Command::new(server.programs().join(program)).args(arguments).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// The bytes that stand in a text as `\x…`.
fn decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(2).position(|two| two == br"\x") {
        rest = &rest[at + 2..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count() & !1;
        bytes.extend(hex::decode(&rest[..digits]).unwrap());
        bytes.push(b'\n');
        rest = &rest[digits..];
    }
    bytes
}

/// Everything that a Redis server is told.
pub(super) struct Monitor(JoinHandle<Vec<u8>>);

impl Monitor {
    pub(super) fn start(server: &Redis) -> Self {
        let mut connection = open(server);
        tell(&mut connection, &[b"MONITOR"]);
        Self(std::thread::spawn(move || {
            let mut seen = Vec::new();
            // Until the server ends, however it does.
            let _ = connection.read_to_end(&mut seen);
            seen
        }))
    }

    /// Adds what is in the server, and everything that it was told since the start; ends it.
    pub(super) fn finish(self, places: &mut Places, server: &Redis) {
        let mut connection = open(server);
        for (number, (_, needle)) in Needles::of(&CONTROLS).all.into_iter().enumerate() {
            tell(&mut connection, &[b"SET", format!("control-{number}").as_bytes(), &needle]);
        }
        // So that values stand in the file as they are.
        tell(&mut connection, &[b"CONFIG", b"SET", b"rdbcompression", b"no"]);
        tell(&mut connection, &[b"SAVE"]);
        places.add("Redis, dumped", "dump.rdb", fs::read(server.dump()).unwrap());
        server.kill();
        let seen = self.0.join().unwrap();
        places.add("Redis, commands, bytes decoded", "MONITOR", unescaped(&seen));
        places.add("Redis, commands", "MONITOR", seen);
    }
}

fn open(server: &Redis) -> BufReader<TcpStream> {
    BufReader::new(TcpStream::connect(server.url().trim_start_matches("redis://")).unwrap())
}

/// Sends a command that is answered with one line.
fn tell(connection: &mut BufReader<TcpStream>, command: &[&[u8]]) {
    let mut message = format!("*{}\r\n", command.len()).into_bytes();
    for word in command {
        message.extend(format!("${}\r\n", word.len()).into_bytes());
        message.extend([*word, b"\r\n"].concat());
    }
    connection.get_mut().write_all(&message).unwrap();
    let mut answer = String::new();
    connection.read_line(&mut answer).unwrap();
    assert_eq!(answer, "+OK\r\n");
}

/// A text with the bytes for which `\x41` and the like stand.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let (byte, used) = match (first, after) {
            (b'\\', [b'x', high, low, ..]) => {
                (hex::decode([*high, *low]).map_or(b'x', |byte| byte[0]), 4)
            }
            (b'\\', [escaped, ..]) => (
                match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'a' => 7,
                    b'b' => 8,
                    other => *other,
                },
                2,
            ),
            _ => (first, 1),
        };
        bytes.push(byte);
        rest = &rest[used..];
    }
    bytes
}
