//! consent-svc is asked before something is stored, and what it said must still be so when it is.
//!
//! It is asked beside the database, so that no other writer waits for it. Whoever withdraws after
//! its answer is removed by the follower of its feed, if they are here by then. So that nobody is
//! put in behind the follower's back, each denial that the feed brings is counted: a write that
//! finds one more than there were when it asked asks again, while nobody else can write.

use std::{borrow::Cow, time::Duration};

use futures::try_join;
use tokio::time::timeout;

use crate::{consents::Answers, domain::Subject, error::Error, service::Suggest, store::Writing};

/// How long consent-svc may take while everybody who writes waits.
const PATIENCE: Duration = Duration::from_secs(1);

impl Suggest {
    /// What these people have agreed to, for a write. The uses of those who are here already are
    /// kept by the feed: only the others' are asked about.
    pub(crate) async fn ask(&self, subjects: Vec<&Subject>) -> Result<Answers, Error> {
        // First: what the feed brings later may be missing in the answer.
        let denials = self.store.denials().await?;
        let now = self.clock.now();
        let here = async { Ok(self.store.in_force(&subjects, now).await?) };
        let transfer = self.consents.check(&self.purposes.transfer, subjects.clone());
        let (mut answers, here) = try_join!(transfer, here)?;
        let new = answers.granted().filter(|subject| !here.contains(*subject)).collect();
        let uses = self.consents.uses(&self.purposes, new).await?;
        answers.add_uses(uses);
        answers.denials = denials;
        Ok(answers)
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
