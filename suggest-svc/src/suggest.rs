//! Whom a person may know, everybody involved having agreed, asked at that moment.

use crate::{
    consents::Answers,
    domain::{
        Subject,
        listing::{self, Listed},
        ranking::{self, Prospect},
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
        // Half of the candidates may decline before another round is needed.
        let a_round = 2 * limit + 10;
        let ranked = self.live.rank(|graph, scratch| {
            let viewer = graph.ordinal(viewer)?;
            let at_most = a_round * self.max_rounds;
            Some(ranking::prospects(graph, viewer, &self.tuning, scratch, at_most))
        });
        let Some((prospects, beyond)) = ranked.await? else { return Ok(Vec::new()) };
        let mut listed = Vec::new();
        let mut rounds = prospects.chunks(a_round).peekable();
        while let Some(round) = rounds.next() {
            let answers = self.agreed(viewer, round).await?;
            if !answers.is_granted(viewer) {
                return Ok(Vec::new());
            }
            let min = self.tuning.min_mutuals;
            let granted = |subject: &Subject| answers.is_granted(subject);
            listed.extend(round.iter().filter_map(|one| listing::settle(one, granted, min)));
            listing::sort(&mut listed);
            let next = rounds.peek().and_then(|round| round.first()).map(|one| one.score);
            if listing::is_settled(&listed, limit, next.or(beyond)) {
                break;
            }
        }
        listed.truncate(limit);
        Ok(listed)
    }

    /// Who of all these has agreed: one strict check.
    async fn agreed(&self, viewer: &Subject, round: &[Prospect]) -> Result<Answers, Error> {
        let mut people = vec![viewer];
        for one in round {
            people.push(&one.subject);
            people.extend(one.mutuals.iter().map(|mutual| &mutual.subject));
        }
        self.consents.check(&self.purposes.friend_suggestions, people).await
    }
}
