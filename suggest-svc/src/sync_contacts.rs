//! A person's contacts take effect, all of a sync at once.
//!
//! Whether a contact was found shows in nothing that the sender can see: the answer has only what
//! was accepted, contacts are looked up in memory, what is stored has one entry for each accepted
//! contact, padding where nobody was found, and what may still be brought goes by what was brought.

use std::sync::{Mutex, PoisonError};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use prost::Message;
use rand::Rng;

use crate::{
    consents::Answers,
    domain::{
        Subject,
        address_book::{LookUp, Received, Settled},
        uploaded::{Brought, Offer, Uploaded},
    },
    error::Error,
    service::Suggest,
    store::{Once, Writing},
};

/// What a sync sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// All contacts.
    Full,
    /// What changed since the sync that gave this token.
    Delta(String),
}

impl Suggest {
    /// Asks whether the caller has agreed to the transfer. Who has not is forgotten.
    pub(crate) async fn transfer_consent(&self, subject: &Subject) -> Result<Answers, Error> {
        let consents = self.ask(vec![subject]).await?;
        if consents.is_granted(subject) {
            return Ok(consents);
        }
        if self.store.has_any(&[subject]).await? {
            self.store.end_consents(&consents, self.clock.now()).await?;
            self.live.written();
        }
        Err(Error::ConsentNotGranted)
    }

    /// Replaces or changes the contacts of a person who has agreed to the transfer. Of contacts by
    /// whom nobody is found now, nothing is kept. `answer` is told the token for the next sync.
    pub(crate) async fn sync_contacts<R: Message + Default>(
        &self,
        once: &Once,
        subject: &Subject,
        mode: &Mode,
        received: &Received,
        answer: impl Fn(&str) -> R + Sync,
    ) -> Result<R, Error> {
        let consents = self.transfer_consent(subject).await?;
        // Read before the graph, which then knows all that this book was made from.
        let before = match mode {
            Mode::Full => None,
            Mode::Delta(token) => {
                let book = self.store.address_book(subject).await?;
                book.filter(|book| book.token == *token)
            }
        };
        let before = before.map(|book| book.entries).unwrap_or_default();
        let settled = self.live.read(|graph| {
            let closed = self.ranges.closed();
            let is_contact = |key: &_| graph.is_contact(subject, key);
            let look_up = |key: &_| LookUp {
                found: graph.is_found(key, subject),
                closed: closed.contains(key),
            };
            received.settle(&before, is_contact, look_up, |bytes| rand::rng().fill(bytes))
        });
        let settled = settled.await?;
        let newly_found = &Mutex::new(Vec::new());
        let (consents, settled, answer) = (&consents, &settled, &answer);
        let answer = self
            .store
            .once("sync contacts", once, |writing| async move {
                let consents = &*self.still(&writing, consents).await?;
                let now = self.clock.now();
                let unchanged = self.settled(&writing, consents);
                let in_force = writing.put_consents(consents, [subject], unchanged, now).await?;
                if !in_force.contains(subject) {
                    return Err(Error::ConsentNotGranted);
                }
                // After that: nothing is added to what was stored under a consent that has ended.
                if let Mode::Delta(token) = mode {
                    // The book that was read is the one that is there.
                    let latest = writing.sync_token(subject).await?;
                    if latest.as_ref() != Some(token) {
                        return Err(Error::SyncTokenUnknown);
                    }
                }
                // Nothing was taken off for contacts that are removed: which of them had an entry
                // of their own and which were padding would show. A full sync starts anew.
                if settled.len() > self.max_contacts {
                    return Err(Error::SyncTokenUnknown);
                }
                let brought =
                    self.take_quota(&writing, subject, received, settled, now.get()).await?;
                let token = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>());
                let entries = settled.entries(&brought.admitted);
                writing.put_address_book(subject, &token, entries).await?;
                let keys = brought.counted.iter().filter_map(|index| settled.entry(*index));
                *newly_found.lock().unwrap_or_else(PoisonError::into_inner) = keys.collect();
                Ok(answer(&token))
            })
            .await?;
        self.live.written();
        // Nothing, when this sync was done before.
        let newly_found = newly_found.lock().unwrap_or_else(PoisonError::into_inner).split_off(0);
        self.ranges.found(newly_found);
        Ok(answer)
    }

    /// Takes the new ones among the contacts from what the account may bring.
    async fn take_quota(
        &self,
        writing: &Writing,
        subject: &Subject,
        received: &Received,
        settled: &Settled,
        now: i64,
    ) -> Result<Brought, Error> {
        let mut uploaded = writing.uploaded(subject).await?;
        let offers = received.added.iter().zip(&settled.results).map(|(contact, result)| Offer {
            marks: &contact.marks,
            found: result.found,
            closed: result.closed,
        });
        let brought = uploaded.offer(offers, Uploaded::keep(self.max_contacts));
        let empty_at = writing.bucket(subject).await?;
        // At most the contacts of one sync.
        let new = u64::try_from(brought.new).unwrap_or(u64::MAX);
        let empty_at = self.contact_bucket.take(empty_at, now, new).map_err(Error::ContactQuota)?;
        if new > 0 {
            writing.put_bucket(subject, empty_at).await?;
        }
        // Also when nothing is new: what came last is remembered longest.
        writing.put_uploaded(subject, &uploaded).await?;
        Ok(brought)
    }

    /// Forgets a person's contacts, at once and for good. No consent is needed for that. What was
    /// uploaded is still known as fingerprints, so that deleting and uploading again earns nothing.
    pub(crate) async fn delete_contacts<R: Message + Default>(
        &self,
        once: &Once,
        subject: &Subject,
        answer: impl Fn() -> R + Sync,
    ) -> Result<R, Error> {
        let answer = &answer;
        let answer = self
            .store
            .once("delete contacts", once, |writing| async move {
                writing.delete_address_book(subject).await?;
                Ok(answer())
            })
            .await?;
        self.live.written();
        Ok(answer)
    }
}
