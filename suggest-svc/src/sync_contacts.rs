//! A person's contacts take effect, all of a sync at once.
//!
//! Whether a contact was found shows in nothing that the sender can see: the answer has only what
//! was accepted, contacts are looked up in memory, and what is stored has one entry for each
//! accepted contact, padding where nobody was found.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use prost::Message;
use rand::Rng;

use crate::{
    consents::Answers,
    domain::{
        Subject,
        address_book::{Received, padded},
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
        let kept = match mode {
            Mode::Full => Vec::new(),
            Mode::Delta(_) => self.store.address_book(subject).await?,
        };
        let matching = self.live.read(|graph| {
            let kept = kept.iter().filter(|key| graph.is_contact(subject, key)).copied();
            received.matching(kept, |key| graph.is_found(key, subject))
        });
        let matching = matching.await?;
        let (consents, matching, answer) = (&consents, &matching, &answer);
        let answer = self
            .store
            .once("sync contacts", once, |writing| async move {
                let consents = &*self.still(&writing, consents).await?;
                let in_force = {
                    let settled = self.settled(&writing, consents);
                    let now = self.clock.now();
                    writing.put_consents(consents, [subject], settled, now).await?
                };
                if !in_force.contains(subject) {
                    return Err(Error::ConsentNotGranted);
                }
                // After that: nothing is added to what was stored under a consent that has ended.
                let before = self.entries_before(&writing, subject, mode).await?;
                let entries = before + received.added.len();
                if entries > self.max_contacts {
                    return Err(Error::SyncTokenUnknown);
                }
                let (stored, token) = {
                    let mut rng = rand::rng();
                    let stored = padded(matching, entries, |bytes| rng.fill(bytes));
                    (stored, BASE64_URL_SAFE_NO_PAD.encode(rng.random::<[u8; 16]>()))
                };
                writing.put_address_book(subject, &token, stored).await?;
                Ok(answer(&token))
            })
            .await?;
        self.live.written();
        Ok(answer)
    }

    /// How many entries there are that this sync adds to.
    ///
    /// Nothing is taken off for contacts that are removed: which of them had an entry of their own
    /// and which were padding would show in the size. A full sync starts anew.
    async fn entries_before(
        &self,
        writing: &Writing,
        subject: &Subject,
        mode: &Mode,
    ) -> Result<usize, Error> {
        let before = writing.address_book(subject).await?;
        match (mode, before) {
            (Mode::Full, _) => Ok(0),
            (Mode::Delta(token), Some(book)) if book.token == *token => Ok(book.entries),
            (Mode::Delta(_), _) => Err(Error::SyncTokenUnknown),
        }
    }

    /// Forgets a person's contacts, at once and for good. No consent is needed for that.
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
