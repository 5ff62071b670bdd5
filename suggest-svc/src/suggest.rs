//! Whom a person may know, everybody involved having agreed, asked at that moment.

use crate::{
    consents::Answers,
    domain::{
        Subject,
        listing::{Listed, Listing},
        ranking::{self, Beside},
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
        let at_most = Listing::prospects_for(limit, self.max_rounds);
        let ranked = self.live.rank(|graph, communities, scratch| {
            let viewer = graph.ordinal(viewer)?;
            // Nothing caps how often somebody is shown yet.
            let beside = Beside { communities, ..Beside::default() };
            Some(ranking::prospects(graph, viewer, &self.tuning, beside, scratch, at_most))
        });
        let Some(prospects) = ranked.await? else { return Ok(Vec::new()) };
        if prospects.best.is_empty() {
            return Ok(Vec::new());
        }
        let mut listing = Listing::new(&prospects, &self.tuning, limit);
        loop {
            let answers = self.agreed(viewer, listing.people()).await?;
            if !answers.is_granted(viewer) {
                return Ok(Vec::new());
            }
            if listing.settle(|subject| answers.is_granted(subject)) {
                return Ok(listing.finish());
            }
        }
    }

    /// Who of all these has agreed: one strict check.
    async fn agreed(&self, viewer: &Subject, mut people: Vec<&Subject>) -> Result<Answers, Error> {
        people.push(viewer);
        self.consents.check(&self.purposes.friend_suggestions, people).await
    }
}
