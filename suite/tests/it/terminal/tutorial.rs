//! docs/tutorial.md and docs/customer-lists.md are true: their commands run in order, and print what
//! they show.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::ran;
use crate::{
    bad_input::put_business,
    support::{Process, Suite, assent},
};

const TUTORIAL: &str = include_str!("../../../../docs/tutorial.md");
const LISTS: &str = include_str!("../../../../docs/customer-lists.md");

/// A command, and the lines that are shown under it.
#[derive(Debug, PartialEq)]
pub(crate) struct Step<'a> {
    pub(crate) command: &'a str,
    pub(crate) shown: Vec<&'a str>,
}

/// What stands in the blocks of a terminal.
pub(crate) fn steps(text: &str) -> Vec<Step<'_>> {
    let (mut steps, mut inside) = (Vec::<Step<'_>>::new(), false);
    for line in text.lines() {
        match line.strip_prefix("$ ") {
            _ if line.starts_with("```") => inside = line == "```console",
            _ if !inside => {}
            Some(command) => steps.push(Step { command, shown: Vec::new() }),
            None => steps.last_mut().unwrap().shown.push(line),
        }
    }
    steps
}

/// Whether a line is as shown, where `…` may be anything.
fn is_as_shown(line: &str, shown: &str) -> bool {
    let mut parts = shown.trim_end().split('…');
    let (first, mut rest) = (parts.next().unwrap(), line.trim_end());
    let Some(after) = rest.strip_prefix(first) else { return false };
    rest = after;
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Whether lines are as shown, where a line `…` may be any number of lines; else where it differs.
fn differs<'a>(printed: &[&str], shown: &[&'a str]) -> Option<&'a str> {
    match shown {
        [] => (!printed.is_empty()).then_some("(nothing more)"),
        ["…"] => None,
        ["…", rest @ ..] => {
            let found = (0..=printed.len()).any(|skip| differs(&printed[skip..], rest).is_none());
            (!found).then(|| rest[0])
        }
        [first, rest @ ..] => match printed.split_first() {
            Some((line, printed)) if is_as_shown(line, first) => differs(printed, rest),
            _ => Some(first),
        },
    }
}

/// Runs all commands in one shell, against this suite; each must print what is shown, and succeed.
#[track_caller]
fn run(steps: &[Step<'_>], directory: &Path, endpoint: &str) {
    run_with(steps, directory, endpoint, &[], &[]);
}

/// The same, with these folders of programs at hand as well, and this in the environment.
#[track_caller]
pub(crate) fn run_with(
    steps: &[Step<'_>],
    directory: &Path,
    endpoint: &str,
    programs: &[PathBuf],
    environment: &[(&str, &str)],
) {
    let mut script = String::new();
    for (step, number) in steps.iter().zip(0..) {
        writeln!(script, "{{ {}\n}} > {number}.out 2>&1\necho $? > {number}.code", step.command)
            .unwrap();
    }
    let assent = assent();
    let binaries = Path::new(assent.get_program()).parent().unwrap();
    let rest = std::env::var("PATH").unwrap();
    let own = programs.iter().map(PathBuf::as_path).chain([binaries]);
    let path: String = own.map(|folder| format!("{}:", folder.display())).chain([rest]).collect();
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(script).current_dir(directory).env("PATH", path);
    shell.env("ASSENT_ENDPOINT", endpoint).env("ASSENT_STATE", directory.join("state"));
    for name in ["ASSENT_TOKEN", "ASSENT_CA_FILE", "ASSENT_BUSINESS", "ASSENT_OWNER"] {
        shell.env_remove(name);
    }
    shell.envs(environment.iter().copied());
    ran(&mut shell);
    // What comes after a command that ended the shell was not run.
    let read = |name: String| fs::read_to_string(directory.join(name)).unwrap_or_default();
    for (step, number) in steps.iter().zip(0..) {
        let printed = read(format!("{number}.out"));
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(differs(&lines, &step.shown), None, "$ {}\n{printed}", step.command);
        assert_eq!(read(format!("{number}.code")), "0\n", "$ {}\n{printed}", step.command);
    }
}

#[test]
fn every_command_prints_what_the_tutorial_shows() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let policies = "consent-svc";
    std::os::unix::fs::symlink(repository.join(policies), directory.path().join(policies)).unwrap();
    let mut steps = steps(TUTORIAL);
    assert!(steps.len() > 30, "{} commands", steps.len());

    // The first one goes on until the end, and on a port that is free.
    let serve = steps.remove(0);
    assert_eq!(serve.command, "assent serve");
    let mut command = assent();
    command.args(["serve", "--address", "127.0.0.1:0"]).current_dir(directory.path());
    let mut suite = Process::spawn(command.stdout(Stdio::piped()));
    let first = suite.told(|line| Some(line.trim_end().to_owned())).unwrap();
    let endpoint = first.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    assert_eq!(first.replace(endpoint, "http://127.0.0.1:8080"), serve.shown[0]);
    run(&steps, directory.path(), endpoint);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_prints_what_is_shown_of_customer_lists() {
    let directory = tempfile::tempdir().unwrap();
    let suite = Suite::start(&directory.path().join("assent-data"));
    put_business(&suite).await;
    let steps = steps(LISTS);
    assert!(steps.len() > 12, "{} commands", steps.len());
    run(&steps, directory.path(), suite.gateway());
}

#[test]
fn what_differs_is_noticed() {
    let text = "```console\n$ a\nx … y\n…\nz\n$ b\n```\n$ c\n```sh\n$ d\n```\n";
    let shown = ["x … y", "…", "z"];
    assert_eq!(
        steps(text),
        [Step { command: "a", shown: shown.to_vec() }, Step { command: "b", shown: Vec::new() }]
    );
    assert_eq!(differs(&["x 1 y", "z"], &shown), None);
    assert_eq!(differs(&["x 1 y", "2", "3", "z"], &shown), None);
    assert_eq!(differs(&["x 1 yy", "w", "z"], &["x … yz", "…"]), Some("x … yz"));
    assert_eq!(differs(&["x 1 y", "2"], &shown), Some("z"));
    assert_eq!(differs(&["x 1 y", "z", "2"], &shown), Some("z"));
    assert_eq!(differs(&["a"], &[]), Some("(nothing more)"));
    assert_eq!(differs(&[], &["a"]), Some("a"));
}
