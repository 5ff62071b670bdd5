use serde::{Deserialize, Serialize};
use service_kit::clock::UnixMillis;

use super::{Refusal, advice};

/// What the rows of an upload do to the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UploadMode {
    /// They are added.
    Add,
    /// They are removed.
    Remove,
    /// They become the list.
    Replace,
}

/// How far an upload has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UploadState {
    /// Takes batches.
    Open,
    /// Applied.
    Committed,
    /// Dropped by the business.
    Aborted,
    /// Dropped because nothing came.
    Expired,
}

impl UploadState {
    /// Its name in a sentence.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Committed => "committed",
            Self::Aborted => "aborted",
            Self::Expired => "expired",
        }
    }
}

/// Exact counts of rows: of what was sent, never of who matched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    /// All rows.
    pub received: u64,
    /// Of these, the same as another row of their batch.
    pub duplicate: u64,
    /// Of these, refused, by [`Refusal::code`].
    refused: [u64; Refusal::ALL.len()],
}

impl RowCounts {
    /// One more refused row.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.refused[usize::from(refusal.code())] += 1;
    }

    /// How many rows were refused.
    pub fn invalid(&self) -> u64 {
        self.refused.iter().sum()
    }

    /// The reason for which most rows were refused.
    pub fn main_refusal(&self) -> Option<Refusal> {
        let counted = self.refused.iter().zip(Refusal::ALL).filter(|(count, _)| **count > 0);
        counted.max_by_key(|(count, _)| **count).map(|(_, refusal)| refusal)
    }

    /// Adds the counts of another batch.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.duplicate += other.duplicate;
        for (mine, theirs) in self.refused.iter_mut().zip(other.refused) {
            *mine += theirs;
        }
    }

    /// The counts of refused rows, by [`Refusal::code`], to be stored.
    pub fn refused(&self) -> &[u64] {
        &self.refused
    }

    /// Takes back counts that were stored; reasons that were not known then have none.
    pub fn stored(received: u64, duplicate: u64, refused: &[u64]) -> Self {
        let mut counts = Self { received, duplicate, refused: [0; Refusal::ALL.len()] };
        for (mine, theirs) in counts.refused.iter_mut().zip(refused) {
            *mine = *theirs;
        }
        counts
    }
}

/// Which batches of an upload have been acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batches {
    /// How many.
    pub received: u32,
    /// The highest number among them.
    pub last: Option<u32>,
}

impl Batches {
    /// Whether numbers below the highest one are missing.
    pub fn has_gaps(self) -> bool {
        self.last.is_some_and(|last| self.received <= last)
    }

    /// The first `limit` numbers below `end` that `received`, which ascends, does not have.
    pub fn missing(received: impl Iterator<Item = u32>, end: u32, limit: usize) -> Vec<u32> {
        let mut missing = Vec::new();
        let mut expected = 0;
        for number in received.chain([end]) {
            let gap = expected..number.min(end);
            missing.extend(gap.take(limit - missing.len()));
            if missing.len() == limit {
                break;
            }
            expected = number.saturating_add(1);
        }
        missing
    }
}

/// An upload, as its business sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Names it.
    pub upload_id: String,
    /// To which audience.
    pub audience_id: String,
    /// What the rows do.
    pub mode: UploadMode,
    /// Whether it only checks.
    pub validate_only: bool,
    /// How far it has come.
    pub state: UploadState,
    /// Its rows so far.
    pub counts: RowCounts,
    /// Its batches so far.
    pub batches: Batches,
    /// When it ends if nothing more comes.
    pub expires_at: UnixMillis,
    /// When it was opened.
    pub created_at: UnixMillis,
}

impl Upload {
    /// The same, in the state that it is in at `now`: an open upload expires by the clock alone.
    #[must_use]
    pub fn at(mut self, now: UnixMillis) -> Self {
        if self.state == UploadState::Open && self.expires_at <= now {
            self.state = UploadState::Expired;
        }
        self
    }

    /// What to do next, in a sentence.
    pub fn advice(&self) -> String {
        advice::of_upload(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Batches;

    #[test]
    fn missing_batches_are_the_gaps() {
        let missing =
            |received: &[u32], end, limit| Batches::missing(received.iter().copied(), end, limit);
        assert_eq!(missing(&[], 3, 10), [0, 1, 2]);
        assert_eq!(missing(&[1, 3], 5, 10), [0, 2, 4]);
        assert_eq!(missing(&[0, 1, 2], 3, 10), [0; 0]);
        assert_eq!(missing(&[0, 7], 3, 10), [1, 2]);
        assert_eq!(missing(&[4_000_000_000], u32::MAX, 2), [0, 1]);
    }
}
