//! The help teaches, and shells complete.

use std::{collections::BTreeSet, process::Command};

use super::ran;
use crate::support::assent;

fn help(command: &[String]) -> String {
    let ran = ran(assent().args(command).arg("--help"));
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.out
}

/// The commands that a help lists.
fn listed(help: &str) -> Vec<String> {
    let Some((_, commands)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let lines = commands.lines().take_while(|line| line.starts_with("  "));
    let names = lines
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Every command, with those that only hold others.
fn all() -> Vec<Vec<String>> {
    let (mut all, mut open) = (Vec::new(), vec![Vec::new()]);
    while let Some(command) = open.pop() {
        for name in listed(&help(&command)) {
            open.push([command.clone(), vec![name]].concat());
        }
        all.push(command);
    }
    all
}

#[test]
fn every_command_teaches_by_example() {
    let all = all();
    assert!(all.len() > 20, "{all:?}");
    let documented = include_str!("../../../../docs/cli.md");
    for command in &all {
        let (name, help) = (command.join(" "), help(command));
        let wide = help.lines().find(|line| line.chars().count() > 80);
        assert_eq!(wide, None, "assent {name} --help");
        let examples = help.split_once("\nExamples:\n").map(|(_, examples)| examples);
        let shown = examples.is_some_and(|examples| examples.contains(&format!("assent {name}")));
        assert!(shown, "assent {name} --help has no example of it:\n{help}");
        // Secrets are not given as arguments.
        assert!(!help.contains("--token <"), "assent {name}");
        let holds_others = !listed(&help).is_empty();
        let is_there = documented.contains(&format!("`assent {name}"));
        assert!(holds_others || is_there, "docs/cli.md does not have `assent {name}`");
    }
}

#[test]
fn exit_codes_are_told_the_same_in_the_help_and_the_documentation() {
    let codes = |line: &str| {
        line.split(|c: char| c == '|' || c.is_whitespace())
            .find(|word| !word.is_empty())
            .and_then(|word| word.parse::<u8>().ok())
    };
    let help = help(&[]);
    let (_, told) = help.split_once("Exit codes:").unwrap();
    let told: BTreeSet<u8> = told.lines().filter_map(codes).collect();
    let documented = include_str!("../../../../docs/cli.md");
    let (_, documented) = documented.split_once("## Exit codes").unwrap();
    let table = documented.lines().skip(1).take_while(|line| !line.starts_with('#'));
    assert_eq!(told, table.filter(|line| line.starts_with('|')).filter_map(codes).collect());
    assert_eq!(told, BTreeSet::from([0, 1, 2, 3, 4, 5, 6, 7, 141]));
}

#[test]
fn shells_complete_what_there_is() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = ran(assent().args(["completions", shell]));
        assert_eq!((ran.code, &*ran.err), (0, ""));
        for word in ["withdraw", "match-keys", "token-file"] {
            assert!(ran.out.contains(word), "{shell}: {word}");
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let script =
        super::write(directory.path(), "assent", ran(assent().args(["completions", "bash"])).out);
    let checked = ran(Command::new("bash").arg("-n").arg(&script));
    assert_eq!((checked.code, &*checked.err), (0, ""));
    // What bash offers after `assent consent wi`.
    let ask = r#". "$1"; COMP_WORDS=(assent consent wi); COMP_CWORD=2
        _assent assent wi consent; echo "${COMPREPLY[@]}""#;
    let offered = ran(Command::new("bash").args(["-c", ask, "bash"]).arg(&script));
    assert_eq!(offered.out.trim(), "withdraw", "{offered:?}");
}
