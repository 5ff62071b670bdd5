//! How far it has come, for people and for programs.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets::NOTHING};
use indicatif::HumanCount;
use proto::audience::v1::{
    ListMatchKeyVersionsResponse, MatchKeyVersion,
    MatchKeyVersionState::{self, Current, Next, Older, Unconfigured, Unspecified},
};
use serde_json::{Value, json};

/// The versions of the secret and their people.
#[derive(Debug)]
pub(super) struct Rotation {
    /// From new to old.
    versions: Vec<MatchKeyVersion>,
    replicas: u32,
}

impl Rotation {
    pub(super) fn new(answer: ListMatchKeyVersionsResponse) -> Self {
        Self { versions: answer.versions, replicas: answer.replicas }
    }

    /// Everybody in the directory.
    pub(super) fn people(&self) -> u64 {
        self.versions.iter().map(|one| one.people).sum()
    }

    /// How many of them are not keyed under the newest version that a replica has.
    pub(super) fn left(&self) -> u64 {
        let newest = self.versions.iter().find(|one| one.state() != Unconfigured);
        self.people() - newest.map_or(0, |one| one.people)
    }

    /// Whether nothing is left to wait for: every replica has the newest secret, and everybody is
    /// keyed under it.
    pub(super) fn is_done(&self) -> bool {
        self.left() == 0 && self.those(Next).next().is_none()
    }

    /// One version, if a replica has it or people are keyed under it.
    pub(super) fn version(&self, version: u16) -> Option<&MatchKeyVersion> {
        self.versions.iter().find(|one| one.version == u32::from(version))
    }

    /// How many of the replicas have a version: `1 of 3`.
    pub(super) fn replicas_with(&self, one: &MatchKeyVersion) -> String {
        format!("{} of {}", one.replicas, self.replicas)
    }

    fn those(&self, state: MatchKeyVersionState) -> impl Iterator<Item = &MatchKeyVersion> {
        self.versions.iter().filter(move |one| one.state() == state)
    }

    /// What is waited for, in one line.
    pub(super) fn waiting_for(&self) -> String {
        if let Some(next) = self.those(Next).next() {
            let on = self.replicas_with(next);
            return format!("version {} is on {on} replicas", next.version);
        }
        let (people, left) = (self.people(), self.left());
        let (done, all) = (HumanCount(people - left), HumanCount(people));
        format!("{done} of {all} people keyed under the newest version")
    }

    /// What to do next.
    pub(super) fn advice(&self) -> Vec<String> {
        let mut advice = Vec::new();
        for next in self.those(Next) {
            advice.push(format!(
                "Version {} is configured on {} replicas and not used before all have it: roll the \
                 configuration out to the others. Then let the app register everybody again.",
                next.version,
                self.replicas_with(next)
            ));
        }
        for older in self.those(Older) {
            advice.push(if older.people > 0 {
                format!(
                    "Under version {} people are found until the app registers them again \
                     (PutIdentifiers): keep it in match_keys.older until then.",
                    older.version
                )
            } else {
                format!(
                    "Nobody is keyed under version {} any more: take it out of match_keys.older.",
                    older.version
                )
            });
        }
        for lost in self.those(Unconfigured) {
            advice.push(format!(
                "No replica has version {0}: no new list finds whoever is keyed under it. Put its \
                 secret back into match_keys.older until the app has registered them again, or \
                 remove them: assent match-keys retire {0}",
                lost.version
            ));
        }
        if let (true, Some(current)) = (self.is_done(), self.those(Current).next()) {
            advice.push(format!("Everybody is keyed under version {}.", current.version));
        }
        advice
    }

    /// For programs.
    pub(super) fn as_json(&self) -> Value {
        let version = |one: &MatchKeyVersion| {
            json!({
                "version": one.version,
                "state": name(one.state()),
                "people": one.people,
                "share": self.share(one),
                "replicas": one.replicas,
            })
        };
        json!({
            "versions": self.versions.iter().map(version).collect::<Vec<_>>(),
            "replicas": self.replicas,
            "people": self.people(),
            "left": self.left(),
            "done": self.is_done(),
        })
    }

    #[allow(clippy::cast_precision_loss)] // a figure for people
    fn share(&self, one: &MatchKeyVersion) -> f64 {
        one.people as f64 / self.people().max(1) as f64
    }
}

fn name(state: MatchKeyVersionState) -> &'static str {
    match state {
        Next => "next",
        Current => "current",
        Older => "older",
        Unconfigured => "unconfigured",
        Unspecified => "unknown",
    }
}

impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_preset(NOTHING);
        table.set_header(["VERSION", "STATE", "REPLICAS", "PEOPLE", "SHARE"]);
        for one in &self.versions {
            table.add_row([
                one.version.to_string(),
                name(one.state()).to_owned(),
                self.replicas_with(one),
                HumanCount(one.people).to_string(),
                format!("{:.1} %", self.share(one) * 100.0),
            ]);
        }
        for column in table.column_iter_mut().skip(3) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        write!(f, "{}", table.trim_fmt())?;
        for line in self.advice() {
            write!(f, "\n\n{line}")?;
        }
        Ok(())
    }
}
