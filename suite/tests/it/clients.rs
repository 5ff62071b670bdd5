//! Clients that others would make: generated from `proto/` by the commands of docs/clients.md, in
//! Python and JavaScript, for servers and for pages in browsers, playing one story against four
//! processes over TLS, on PostgreSQL and Redis.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::json;
use service_kit::test_util::{Postgres, Redis};
use tempfile::TempDir;

use crate::{
    cluster::{Cluster, Plan},
    support::assent,
};

/// The commands that are run here are those of this page.
const PAGE: &str = include_str!("../../../docs/clients.md");

/// What the policy says; for whom is said by each story.
const POLICY: &str = include_str!("../../../consent-svc/policies/example-opt-in.json");

#[test]
fn generated_clients_play_the_story_over_tls() {
    let directory = tempfile::tempdir().unwrap();
    let redis = Redis::shared().database();
    let plan = Plan {
        replicas: 1,
        database: &|| Postgres::shared().database(),
        // A change of policies waits a little longer than a lease.
        consent: &format!("[cache]\nlease = \"200ms\"\nredis = [\"{redis}\"]"),
        gateway: &block("Browser", "toml"),
        telemetry: "",
        tls: true,
    };
    let cluster = Cluster::start(directory.path(), &plan);
    cluster.ready();
    let tell = |workshop: &Workshop, name: &str, jurisdiction: &str, command: &[&str]| {
        let mut story = workshop.command(command[0]);
        story.args(&command[1..]);
        story.envs(environment(directory.path(), &cluster, name, jurisdiction));
        let told = succeeded(name, &mut story);
        assert!(told.ends_with("DONE\n"), "{name}: {told}");
    };
    let python = Workshop::new();
    python.run(&commands("Python"));
    tell(&python, "python", "DE", &["python", &client("python/story.py"), "gen"]);
    let javascript = Workshop::new();
    javascript.run(&commands("JavaScript"));
    javascript.copy(&client("javascript/story.js"));
    tell(&javascript, "javascript", "FR", &["node", "story.js", "gen", "grpc"]);
    // A page is made of the same code.
    javascript.copy(&client("javascript/browser.js"));
    tell(&javascript, "page", "ES", &["node", "story.js", "gen", "web"]);
}

/// Every file of the contract compiles, by plain protoc and by buf, with nothing but its folder.
#[test]
fn the_contract_compiles_by_protoc_and_by_buf() {
    let workshop = Workshop::new();
    let proto = workshop.path("proto");
    let contract = files(&proto, ".proto").len();
    assert!(contract > 15, "{contract} files");
    workshop.run(&commands("Python"));
    assert_eq!(files(&workshop.path("gen"), "_pb2.py").len(), contract);
    workshop.run(&commands("buf"));
    assert_eq!(files(&proto.join("gen/python"), "_pb2.py").len(), contract);
    assert_eq!(files(&proto.join("gen/typescript"), "_pb.ts").len(), contract);
}

/// The folder of the whole project.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A file of `tests/clients`.
fn client(file: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(file);
    file.to_str().unwrap().to_owned()
}

/// What a story is told by its environment.
fn environment(
    directory: &Path,
    cluster: &Cluster,
    name: &str,
    jurisdiction: &str,
) -> Vec<(&'static str, String)> {
    let token = |role: &str| {
        let anna = format!("{name}-anna");
        let arguments = ["token", "--role", role, "--subject", &anna, "--data"];
        let output = assent().args(arguments).arg(directory).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let tokens = json!({
        "USER": token("user"), "APP": token("app"),
        "AD_SERVER": token("ad-server"), "ADMIN": token("admin"),
    });
    let mut policy: serde_json::Value = serde_json::from_str(POLICY).unwrap();
    policy["jurisdictions"] = json!([jurisdiction]);
    let ca = directory.join("ca.pem").to_str().unwrap().to_owned();
    vec![
        ("ASSENT_ADDRESS", cluster.gateway().trim_start_matches("https://").to_owned()),
        ("ASSENT_CA", ca.clone()),
        ("NODE_EXTRA_CA_CERTS", ca),
        ("ASSENT_ORIGIN", "https://app.example.com".to_owned()),
        ("ASSENT_TOKENS", tokens.to_string()),
        ("ASSENT_POLICY", policy.to_string()),
        ("ASSENT_NAME", name.to_owned()),
        ("ASSENT_JURISDICTION", jurisdiction.to_owned()),
    ]
}

/// The commands of a section of the page that generate: its blocks of shell without those that
/// install, which scripts/install-test-clients has done.
fn commands(section: &str) -> String {
    let blocks: Vec<_> =
        blocks(section, "sh").into_iter().filter(|block| !block.contains("install ")).collect();
    assert!(!blocks.is_empty(), "{section} says nothing to run");
    blocks.join("\n")
}

/// The only block in this language in a section of the page.
fn block(section: &str, language: &str) -> String {
    let blocks = blocks(section, language);
    assert_eq!(blocks.len(), 1, "{section}, {language}");
    blocks[0].to_owned()
}

/// The blocks in this language in a section of the page.
fn blocks(section: &str, language: &str) -> Vec<&'static str> {
    let (_, text) = PAGE.split_once(&format!("\n## {section}\n")).expect("a section of the page");
    let text = text.split("\n## ").next().unwrap();
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|block| block.split("```").next().unwrap()).collect()
}

/// A folder as somebody has it who makes a client: the contract's folder in it, and what
/// scripts/install-test-clients has installed at hand.
struct Workshop {
    directory: TempDir,
    search_path: String,
}

impl Workshop {
    fn new() -> Self {
        let tools = root().join("target/tools");
        let places = ["python/bin", "clients/node_modules/.bin", "node_modules/.bin"];
        let places = places.map(|place| tools.join(place));
        for place in &places {
            let hint = "make test, or scripts/install-test-clients and make target/tools/node_modules/.bin/buf";
            assert!(place.is_dir(), "{} is not there: {hint}", place.display());
        }
        // Beneath the packages, so that Node finds them.
        let directory = tempfile::tempdir_in(tools.join("clients")).unwrap();
        let packages = directory.path().join("node_modules");
        std::os::unix::fs::symlink(tools.join("clients/node_modules"), packages).unwrap();
        let rest = env::var("PATH").unwrap();
        let places = places.map(|place| place.to_str().unwrap().to_owned());
        let workshop = Self { directory, search_path: format!("{}:{rest}", places.join(":")) };
        let contract = root().join("proto");
        let mut copy = workshop.command("cp");
        succeeded("cp", copy.arg("-r").arg(contract).arg("proto"));
        workshop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn copy(&self, file: &str) {
        let file = Path::new(file);
        fs::copy(file, self.path(file.file_name().unwrap().to_str().unwrap())).unwrap();
    }

    fn command(&self, program: &str) -> Command {
        // The search path decides which program this is, too.
        let mut command = Command::new("env");
        command.arg(program).current_dir(&self.directory).env("PATH", &self.search_path);
        command
    }

    fn run(&self, script: &str) {
        succeeded(script, self.command("sh").args(["-euc", script]));
    }
}

/// Runs it; what it printed.
fn succeeded(what: &str, command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (told, errors) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{what}\n{told}\n{errors}");
    told.into_owned()
}

/// The files beneath a folder whose names end so.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // What was generated there is not the contract.
            if path.file_name().is_some_and(|name| name != "gen") {
                found.extend(files(&path, end));
            }
        } else if path.to_str().unwrap().ends_with(end) {
            found.push(path);
        }
    }
    found
}
