//! Pages, their blocks of code, and their links.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
};

use crate::terminal::tutorial::{Step, steps};

/// A page in Markdown.
pub(super) struct Page {
    /// Its path in the repository.
    pub(super) name: String,
    pub(super) text: String,
}

/// A fenced block.
pub(super) struct Block {
    pub(super) language: String,
    /// The file that it is the content of: the second word of its fence.
    pub(super) file: Option<String>,
    pub(super) text: String,
    /// The same as a shell or [`steps`] can have it.
    script: String,
}

/// The folder of the whole project.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every page that somebody is meant to read.
pub(super) fn all() -> Vec<Page> {
    let mut names = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"].map(PathBuf::from).to_vec();
    beneath(Path::new("docs"), &mut names);
    names.sort();
    names.iter().map(|name| Page::read(name.to_str().unwrap())).collect()
}

fn beneath(folder: &Path, names: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let name = folder.join(entry.unwrap().file_name());
        if root().join(&name).is_dir() {
            beneath(&name, names);
        } else if name.extension().is_some_and(|extension| extension == "md") {
            names.push(name);
        }
    }
}

impl Page {
    pub(super) fn read(name: &str) -> Self {
        let text = fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        Self { name: name.to_owned(), text }
    }

    /// The same, with the suite at this address.
    pub(super) fn at(&self, address: &str) -> Self {
        Self { name: self.name.clone(), text: self.text.replace("127.0.0.1:8080", address) }
    }

    pub(super) fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<(usize, Block)> = None;
        for line in self.text.lines() {
            let indent = line.len() - line.trim_start().len();
            match (&mut open, line.trim_start().strip_prefix("```")) {
                (None, Some(fence)) => {
                    let mut words = fence.split_whitespace().map(str::to_owned);
                    let language = words.next().unwrap_or_default();
                    let (file, text, script) = (words.next(), String::new(), String::new());
                    open = Some((indent, Block { language, file, text, script }));
                }
                (Some((_, block)), Some("")) => {
                    block.script = match block.language.as_str() {
                        "console" => format!("```console\n{}", block.text),
                        // Each of its commands must succeed.
                        _ => format!("set -e\n{}set +e", block.text),
                    };
                    blocks.extend(open.take().map(|(_, block)| block));
                }
                (Some((indent, block)), _) => {
                    block.text += line.get(*indent..).unwrap_or_default();
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block without an end", self.name);
        blocks
    }

    /// What is linked to within the repository: the file, and the heading in it.
    pub(super) fn links(&self) -> Vec<(String, Option<String>)> {
        let targets = self.prose();
        let targets = targets.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        targets
            .filter(|target| !target.contains("://"))
            .map(|target| match target.split_once('#') {
                Some((file, heading)) => (file.to_owned(), Some(heading.to_owned())),
                None => (target.to_owned(), None),
            })
            .collect()
    }

    /// The path in the repository of a file that is linked to.
    pub(super) fn beside(&self, file: &str) -> String {
        let mut path = PathBuf::new();
        for part in Path::new(&self.name).parent().unwrap().join(file).components() {
            match part {
                Component::ParentDir => drop(path.pop()),
                part => path.push(part),
            }
        }
        path.to_str().unwrap().to_owned()
    }

    /// What links to its headings say.
    pub(super) fn anchors(&self) -> BTreeSet<String> {
        let prose = self.prose();
        let headings = prose.lines().filter_map(|line| line.strip_prefix('#'));
        headings.map(|heading| anchor(heading.trim_start_matches('#').trim())).collect()
    }

    /// The text without its blocks.
    pub(super) fn prose(&self) -> String {
        let mut inside = false;
        let outside = self.text.lines().filter(|line| {
            let fence = line.trim_start().starts_with("```");
            inside ^= fence;
            !inside && !fence
        });
        outside.collect::<Vec<_>>().join("\n")
    }
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

impl Block {
    /// What its lines begin with, but for comments: programs, where they are commands.
    pub(super) fn programs(&self) -> impl Iterator<Item = &str> {
        let lines = self.text.lines().map(|line| line.strip_prefix("$ ").unwrap_or(line).trim());
        let commands = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        commands.filter_map(|line| line.split_whitespace().next())
    }

    /// As commands with what they print; of `sh` that is not shown.
    pub(super) fn steps(&self) -> Vec<Step<'_>> {
        match self.language.as_str() {
            "console" => steps(&self.script),
            _ => vec![Step { command: &self.script, shown: vec!["…"] }],
        }
    }
}
