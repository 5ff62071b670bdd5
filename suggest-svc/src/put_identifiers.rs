//! The app registers by what people are found.

use identifiers::MatchKey;
use prost::Message;

use crate::{domain::Subject, error::Error, service::Suggest, store::Once};

impl Suggest {
    /// Replaces the identifiers of those people whose consent to the transfer is in force. Nothing
    /// is stored of the others. `answer` is told of each, in order, whether it was stored.
    pub(crate) async fn put_identifiers<R: Message + Default>(
        &self,
        once: &Once,
        people: &[(Subject, Vec<MatchKey>)],
        answer: impl Fn(&[bool]) -> R + Sync,
    ) -> Result<R, Error> {
        let subjects: Vec<&Subject> = people.iter().map(|(subject, _)| subject).collect();
        let consents = self.ask(subjects.clone()).await?;
        if consents.granted().next().is_none() && !self.store.has_any(&subjects).await? {
            // There is nothing to keep of these people, not even that somebody asked.
            return Ok(answer(&vec![false; people.len()]));
        }
        let (consents, answer) = (&consents, &answer);
        let answer = self
            .store
            .once("put identifiers", once, |writing| async move {
                let consents = &*self.still(&writing, consents).await?;
                let now = self.clock.now();
                let in_force = {
                    let settled = self.settled(&writing, consents);
                    writing.put_consents(consents, consents.granted(), settled, now).await?
                };
                let is_stored = |(subject, _): &(Subject, _)| in_force.contains(subject);
                let stored: Vec<_> = people.iter().filter(|one| is_stored(one)).cloned().collect();
                writing.replace_identifiers(&stored).await?;
                Ok(answer(&people.iter().map(is_stored).collect::<Vec<_>>()))
            })
            .await?;
        self.live.written();
        Ok(answer)
    }
}
