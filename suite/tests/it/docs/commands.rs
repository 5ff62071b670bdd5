//! What the pages say of our own programs: each subcommand and flag that is named is one.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use super::page::{self, Page, root};
use crate::support::{assent, service_binary};

/// What a command line of these begins with.
const BENCH: [&str; 2] = ["cargo run --release -p bench -- ", "target/release/bench "];
const ASSENT: [&str; 2] = ["assent ", "cargo run --release -- "];

#[test]
fn every_subcommand_and_flag_of_assent_is_one() {
    let program = PathBuf::from(assent().get_program());
    let checked = check(&program, &ASSENT);
    assert!(checked > 60, "{checked} command lines");
}

#[test]
fn every_subcommand_and_flag_of_bench_is_one() {
    let checked = check(&service_binary("bench"), &BENCH);
    assert!(checked > 5, "{checked} command lines");
}

#[test]
fn what_is_made_has_a_rule_and_what_is_run_is_there() {
    let makefile = Page::read("Makefile").text;
    let mut named = 0;
    for page in page::all() {
        for line in lines(&page) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["make", target, ..] => {
                    let rule = format!("\n{target}:");
                    assert!(makefile.contains(&rule), "{}: make {target}", page.name);
                }
                [script, ..] if script.starts_with("scripts/") || script == ".ci/run" => {
                    assert!(root().join(script).exists(), "{}: {script}", page.name);
                }
                _ => continue,
            }
            named += 1;
        }
    }
    assert!(named > 8, "{named} named");
}

#[test]
fn what_is_no_flag_is_noticed() {
    let program = PathBuf::from(assent().get_program());
    let wrong = |line: &str| wrong(&program, line, &mut BTreeMap::new()).is_some();
    assert!(!wrong("consent show ann [--as-of TIME]"));
    assert!(!wrong("audience upload - … | head --lines 3"));
    assert!(wrong("consent show ann --when TIME"));
    assert!(wrong("consents show ann"));
}

/// Checks each command line with one of these beginnings; how many there were.
fn check(program: &Path, beginnings: &[&str]) -> usize {
    let (mut help, mut faults, mut checked) = (BTreeMap::new(), Vec::new(), 0);
    for page in page::all() {
        for line in lines(&page) {
            let arguments = beginnings.iter().find_map(|beginning| line.strip_prefix(beginning));
            let Some(arguments) = arguments else { continue };
            if let Some(fault) = wrong(program, arguments, &mut help) {
                faults.push(format!("{}: {line}: {fault}", page.name));
            }
            checked += 1;
        }
    }
    assert_eq!(faults, [""; 0]);
    checked
}

/// Every command line of a page: those of its blocks, and what stands in backticks.
fn lines(page: &Page) -> Vec<String> {
    let mut lines = Vec::new();
    for block in page.blocks() {
        if matches!(block.language.as_str(), "sh" | "console") {
            let text = block.text.replace("\\\n", " ");
            let command = |line: &str| line.strip_prefix("$ ").unwrap_or(line).trim().to_owned();
            lines.extend(text.lines().map(command));
        }
    }
    let prose = page.prose();
    let inline = prose.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    lines.extend(inline.map(str::to_owned));
    lines
}

/// What is wrong with these arguments, by what the program's help says.
fn wrong(program: &Path, arguments: &str, help: &mut BTreeMap<String, String>) -> Option<String> {
    let arguments = arguments.split(';').next().unwrap_or_default();
    let ends = |word: &&str| !matches!(*word, "|" | ">" | "<" | "&&" | "#");
    let words: Vec<&str> = arguments
        .split_whitespace()
        .take_while(ends)
        .map(|word| word.trim_matches(['[', ']', ')', '(']))
        .collect();
    let (mut subcommands, mut flags) = (Vec::new(), Vec::new());
    for word in &words {
        if let Some(flag) = word.strip_prefix("--") {
            flags.push(flag.split('=').next().unwrap_or_default());
        } else if flags.is_empty()
            && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
            && *word != "-"
        {
            subcommands.push(*word);
        }
    }
    // Values look like subcommands: the longest beginning that is one is meant.
    let said = subcommands.join(" ");
    if !help.contains_key(&said) {
        let output = Command::new(program).args(&subcommands).arg("--help").output().unwrap();
        if !output.status.success() {
            return Some(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        help.insert(said.clone(), String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let known = &help[&said];
    let is_known = |flag: &&&str| {
        let mut words = known.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        words.any(|word| word.strip_prefix("--") == Some(**flag))
    };
    let unknown: Vec<&&str> = flags.iter().filter(|flag| !is_known(flag)).collect();
    (!unknown.is_empty()).then(|| format!("no flag {unknown:?}"))
}
