//! Whom a person may know, everybody involved having agreed, asked at that moment.

use crate::{
    consents::Answers,
    domain::{
        Subject,
        listing::{Listed, Listing, Next},
        ranking::{self, Beside, Prospects},
    },
    error::Error,
    service::Suggest,
};

impl Suggest {
    /// The best `limit` suggestions for a person, best first.
    ///
    /// Each round asks once for the viewer, some candidates and the mutual connections behind
    /// them. There are more candidates in a round than are shown, so that one round is the rule;
    /// another one follows only while somebody not asked about could still belong in the list.
    ///
    /// For a viewer who has not agreed the list is empty, as it is for one who knows nobody: it is
    /// not an error to have no suggestions, and what the viewer has not agreed to is said by
    /// their own settings page, which asks consent-svc.
    pub(crate) async fn suggestions(
        &self,
        viewer: &Subject,
        limit: usize,
    ) -> Result<Vec<Listed>, Error> {
        // Prospects for one round as a rule; for all of them, from the beginning, if that is too few.
        for rounds in [1, self.max_rounds] {
            let at_most = Listing::prospects_for(limit, rounds);
            let prospects = self.prospects(viewer, at_most).await?;
            if prospects.best.is_empty() {
                break;
            }
            let mut listing = Listing::new(&prospects, &self.tuning, limit);
            let mut next = Next::Ask;
            while next == Next::Ask {
                let answers = self.agreed(viewer, listing.people()).await?;
                if !answers.is_granted(viewer) {
                    return Ok(Vec::new());
                }
                next = listing.settle(|subject| answers.is_granted(subject));
            }
            if next == Next::Finish || rounds == self.max_rounds {
                return Ok(listing.finish());
            }
        }
        Ok(Vec::new())
    }

    /// Whom a person may know, nobody having been asked; nobody if nothing is known of the person.
    async fn prospects(&self, viewer: &Subject, at_most: usize) -> Result<Prospects, Error> {
        let ranked = self.live.rank(|graph, communities, scratch| {
            let viewer = graph.ordinal(viewer)?;
            // Nothing caps how often somebody is shown yet.
            let beside = Beside { communities, ..Beside::default() };
            Some(ranking::prospects(graph, viewer, &self.tuning, beside, scratch, at_most))
        });
        Ok(ranked.await?.unwrap_or_default())
    }

    /// Who of all these has agreed: one strict check.
    async fn agreed(&self, viewer: &Subject, mut people: Vec<&Subject>) -> Result<Answers, Error> {
        people.push(viewer);
        self.consents.check(&self.purposes.friend_suggestions, people).await
    }
}
