//! consent-svc is asked before something is stored, and what it said must still be so when it is.
//!
//! It is asked beside the database, so that no other writer waits for it. Whoever withdraws after
//! its answer is removed by the follower of its feed, if they are here by then. So that nobody is
//! put in behind the follower's back, each denial that the feed brings is counted: a write that
//! finds one more than there were when it asked asks again, while nobody else can write.

use std::{borrow::Cow, time::Duration};

use hashbrown::HashSet;
use tokio::time::timeout;

use crate::{
    consents::{Answers, Said},
    domain::Subject,
    error::Error,
    service::Suggest,
    store::Writing,
};

/// How long consent-svc may take while everybody who writes waits.
const PATIENCE: Duration = Duration::from_secs(1);

impl Suggest {
    /// What these people have agreed to, for a write. The uses of those who are here already are
    /// kept by the feed: only the others' are asked about.
    pub(crate) async fn ask(&self, subjects: Vec<&Subject>) -> Result<Answers, Error> {
        // First: what the feed brings later may be missing in the answer.
        let denials = self.store.denials().await?;
        let mut answers = self.consents.check(&self.purposes.transfer, subjects).await?;
        let new = self.live.at_hand(|graph, _| {
            let is_here = |subject: &Subject| {
                graph.ordinal(subject).is_some_and(|person| graph.is_live(person))
            };
            answers.granted().filter(|subject| !is_here(subject)).cloned().collect::<Vec<_>>()
        });
        let new = new.iter().collect();
        let uses = self.consents.uses(&self.purposes, new).await?;
        answers.add_uses(uses);
        answers.denials = denials;
        Ok(answers)
    }

    /// Those of whom exactly what these answers say is stored: known from memory where that is at
    /// the write before this one.
    pub(crate) fn settled(&self, writing: &Writing, answers: &Answers) -> HashSet<Subject> {
        self.live.at_hand(|graph, position| {
            if position.sequence + 1 != writing.sequence {
                return HashSet::new();
            }
            let stands = |subject: &Subject, said: &Said| {
                let person = graph.ordinal(subject).filter(|person| graph.is_live(*person));
                let known = person.and_then(|person| graph.standing(person));
                said.uses.is_none()
                    && known.is_some_and(|known| Some(known) == said.until.zip(Some(said.revision)))
            };
            let people = answers.people().filter_map(|one| Some((one, answers.of(one)?)));
            people.filter(|(one, said)| stands(one, said)).map(|(one, _)| one.clone()).collect()
        })
    }

    /// The same at the time of the write.
    pub(crate) async fn still<'a>(
        &self,
        writing: &Writing,
        answers: &'a Answers,
    ) -> Result<Cow<'a, Answers>, Error> {
        if writing.denials == answers.denials {
            return Ok(Cow::Borrowed(answers));
        }
        let again = self.consents.check(&self.purposes.transfer, answers.people().collect());
        let again = timeout(PATIENCE, again).await;
        let mut again = again.map_err(|_| Error::ConsentTimeout)??;
        again.add_uses(|subject| answers.of(subject).and_then(|said| said.uses));
        Ok(Cow::Owned(again))
    }
}
