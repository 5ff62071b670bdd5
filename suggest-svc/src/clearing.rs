//! Who leaves, leaves others' address books too: their match keys are overwritten with padding.
//!
//! Keys that lead to nobody have no effect, and a sync drops them. But they stand for people who
//! are not here any more, and some never sync again. All books are read through for those keys,
//! no more often than changes are pruned, and only where there are such keys.

use std::collections::HashSet;

use identifiers::MatchKey;
use rand::Rng;

use crate::{
    domain::{Subject, address_book::overwrite},
    error::Error,
    graph::Sequence,
    service::Suggest,
};

/// How many keys are looked for at once: some 10 MB.
const KEYS: u64 = 200_000;
/// How many books are read at once: of the largest, 32 MB.
const BOOKS: u64 = 100;

impl Suggest {
    /// Takes the keys of who has left out of all address books.
    pub(crate) async fn clear_books(&self) -> Result<(), Error> {
        // What is done is as of one moment: keys that are left again, and books that are synced, while
        // books are read are the next turn's.
        let pruned = self.store.pruned().await?;
        loop {
            let left = self.store.left_keys(pruned, KEYS).await?;
            if left.is_empty() {
                return Ok(());
            }
            self.clear_keys(&left, pruned).await?;
            self.store.forget_left_keys(&left, pruned).await?;
        }
    }

    /// Takes these keys out of all address books that were not synced since.
    async fn clear_keys(&self, left: &[MatchKey], pruned: Sequence) -> Result<(), Error> {
        // Somebody else may have the number now, or the same person again.
        let nobody = Subject::from("");
        let gone: HashSet<MatchKey> = self
            .live
            .read(|graph| {
                left.iter().filter(|key| !graph.is_found(key, &nobody)).copied().collect()
            })
            .await?;
        let mut after: Option<Subject> = None;
        loop {
            let books = self.store.books(after.as_ref(), pruned, BOOKS).await?;
            let Some(last) = books.last() else { break };
            after = Some(last.subject.clone());
            for mut book in books {
                let padding = |entry: &mut [u8]| rand::rng().fill(entry);
                if overwrite(&mut book.entries, |key| gone.contains(key), padding) {
                    self.store.pad_book(&book).await?;
                }
            }
        }
        Ok(())
    }
}
