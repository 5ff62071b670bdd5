//! What one write changed, as it is written for the replicas that follow.

use serde::{Deserialize, Serialize};
use service_kit::store::StoreError;

use crate::domain::Subject;

/// Whose rows to read again, and pairs that came or went: a pair is the whole fact, and the lists
/// it belongs to may be long.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Change {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    people: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    identifiers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    books: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    settings: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    connections: Vec<(String, String, bool)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blocks: Vec<(String, String, bool)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dismissals: Vec<(String, String, i64)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    risks: Vec<(String, bool)>,
}

impl Change {
    pub(super) fn encode(&self) -> Result<Vec<u8>, StoreError> {
        serde_json::to_vec(self).map_err(|error| StoreError::Other(error.to_string()))
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let unreadable = |_| StoreError::Other("a change that cannot be read".to_owned());
        serde_json::from_slice(bytes).map_err(unreadable)
    }

    pub(super) fn person(&mut self, subject: &Subject) {
        self.people.push(subject.to_string());
    }

    pub(super) fn identifiers(&mut self, subject: &Subject) {
        self.identifiers.push(subject.to_string());
    }

    pub(super) fn book(&mut self, subject: &Subject) {
        self.books.push(subject.to_string());
    }

    pub(super) fn settings(&mut self, subject: &Subject) {
        self.settings.push(subject.to_string());
    }

    pub(super) fn connection(&mut self, one: &Subject, other: &Subject, is_there: bool) {
        self.connections.push((one.to_string(), other.to_string(), is_there));
    }

    pub(super) fn block(&mut self, one: &Subject, other: &Subject, is_there: bool) {
        self.blocks.push((one.to_string(), other.to_string(), is_there));
    }

    /// Until when; `i64::MIN`: no longer.
    pub(super) fn dismissal(&mut self, one: &Subject, other: &Subject, until: i64) {
        self.dismissals.push((one.to_string(), other.to_string(), until));
    }

    pub(super) fn risk(&mut self, account: &Subject, is_risky: bool) {
        self.risks.push((account.to_string(), is_risky));
    }

    pub(super) fn append(&mut self, mut later: Self) {
        self.people.append(&mut later.people);
        self.identifiers.append(&mut later.identifiers);
        self.books.append(&mut later.books);
        self.settings.append(&mut later.settings);
        self.connections.append(&mut later.connections);
        self.blocks.append(&mut later.blocks);
        self.dismissals.append(&mut later.dismissals);
        self.risks.append(&mut later.risks);
    }

    pub(super) fn into_parts(self) -> Parts {
        let distinct = |mut subjects: Vec<String>| {
            subjects.sort_unstable();
            subjects.dedup();
            subjects
        };
        Parts {
            people: distinct(self.people),
            identifiers: distinct(self.identifiers),
            books: distinct(self.books),
            settings: distinct(self.settings),
            connections: pairs(self.connections),
            blocks: pairs(self.blocks),
            dismissals: pairs(self.dismissals),
            risks: self.risks.into_iter().map(|(account, is)| (account.into(), is)).collect(),
        }
    }
}

/// One or more changes: whose rows to read, each once, and pairs in the order of the writes.
pub(super) struct Parts {
    pub(super) people: Vec<String>,
    pub(super) identifiers: Vec<String>,
    pub(super) books: Vec<String>,
    pub(super) settings: Vec<String>,
    pub(super) connections: Vec<(Subject, Subject, bool)>,
    pub(super) blocks: Vec<(Subject, Subject, bool)>,
    pub(super) dismissals: Vec<(Subject, Subject, i64)>,
    pub(super) risks: Vec<(Subject, bool)>,
}

fn pairs<T>(pairs: Vec<(String, String, T)>) -> Vec<(Subject, Subject, T)> {
    pairs.into_iter().map(|(one, other, is)| (one.into(), other.into(), is)).collect()
}

/// As a change that was stored: for the fuzz targets.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(data: &[u8]) {
    let Ok(change) = Change::decode(data) else { return };
    let again = change.encode().and_then(|bytes| Change::decode(&bytes));
    assert!(again.is_ok_and(|again| again.into_parts().people == change.into_parts().people));
}
