//! Whom a person may know, everybody involved having agreed, asked at that moment.

use std::collections::HashSet;

use crate::{
    consents::Answers,
    domain::{
        Subject,
        listing::{self, Listed},
        ranking::{self, Prospect},
        showing,
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
        let now = self.clock.now().get();
        let ranked = self.live.rank(|graph, feedback, scratch| {
            let person = graph.ordinal(viewer)?;
            let at_most = a_round * self.max_rounds;
            let dismissed = feedback.dismissed_by(viewer, now);
            let is_hidden = |person| dismissed(graph.subject(person));
            let tuning = &self.tuning;
            let (prospects, beyond) =
                ranking::prospects(graph, person, tuning, &is_hidden, scratch, at_most);
            let subjects = prospects.iter().map(|one| &one.subject);
            let risky = subjects.filter(|subject| feedback.is_risky(subject)).cloned();
            let risky: HashSet<Subject> = risky.collect();
            Some((prospects, beyond, risky))
        });
        let Some((prospects, beyond, risky)) = ranked.await? else { return Ok(Vec::new()) };
        let (mut listed, mut counted) = (Vec::new(), Vec::new());
        let mut rounds = prospects.chunks(a_round).peekable();
        while let Some(round) = rounds.next() {
            let agreed = self.agreed(viewer, round);
            // Used against them only while they agree to that.
            let risky = round.iter().map(|one| &one.subject).filter(|one| risky.contains(*one));
            let (answers, risky) =
                futures::try_join!(agreed, self.agreed_to_spam(risky.collect()))?;
            if !answers.is_granted(viewer) {
                return Ok(Vec::new());
            }
            let min = self.tuning.min_mutuals;
            let granted = |subject: &Subject| answers.is_granted(subject);
            let fit = || round.iter().filter(|one| !risky.is_granted(&one.subject));
            let capped = |subject: &Subject| self.exposure.is_capped(subject);
            let settled = fit().filter_map(|one| listing::settle(one, granted, min));
            listed.extend(settled.map(|one| showing::demote(one, capped)));
            counted.extend(fit().filter_map(|one| showing::without_contacts(one, granted, min)));
            listing::sort(&mut listed);
            let next = rounds.peek().and_then(|round| round.first()).map(|one| one.score);
            if listing::is_settled(&listed, limit, next.or(beyond)) {
                break;
            }
        }
        listed.truncate(limit);
        self.exposure.shown(viewer, &showing::counted(counted, limit));
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
