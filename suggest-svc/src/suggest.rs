//! Whom a person may know, everybody involved having agreed, asked at that moment.

use std::collections::HashSet;

use crate::{
    consents::Granted,
    domain::{
        Subject,
        listing::{Listed, Listing, Next},
        ranking::{self, Beside, Prospects},
    },
    error::Error,
    graph::{Ordinal, Position},
    service::Suggest,
};

/// How many prospects are asked about at first, for a list of so many: a third may decline. Few will,
/// since who does not agree, as far as is heard, is no prospect.
fn few(limit: usize) -> usize {
    limit.saturating_mul(3).div_ceil(2)
}

/// How many in a round when those were not enough.
fn many(limit: usize) -> usize {
    limit.saturating_mul(2).saturating_add(10)
}

/// The most mutual connections of one suggestion who are named, and who are asked whether they
/// agree: those who count most.
const NAMED: usize = 3;
const ASKED: usize = 20;

/// A list in the making.
#[derive(Default)]
struct List {
    /// As of which change; nothing: somebody's consent has lapsed since.
    as_of: Option<Position>,
    listed: Vec<Listed>,
    /// Who counts as shown.
    counted: Vec<Subject>,
}

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
        if self.live.has_written() {
            self.live.catch_up().await?;
        }
        // From what is at hand, while it is looked whether that is all there is: as a rule it is.
        let (head, list) = futures::join!(self.live.look(), self.list(viewer, limit));
        let (head, mut list) = (head?, list?);
        if list.as_of != Some(head) {
            self.live.catch_up().await?;
            list = self.list(viewer, limit).await?;
        }
        // At the end: what is counted here must not move this list.
        self.exposure.shown(viewer, &list.counted);
        Ok(list.listed)
    }

    /// The same from what is at hand.
    async fn list(&self, viewer: &Subject, limit: usize) -> Result<List, Error> {
        let mut list = List::default();
        let mut counted: Option<Vec<Subject>> = None;
        // Few prospects in one round as a rule; more in more, from the beginning, if those are not
        // enough.
        for (a_round, rounds) in [(few(limit), 1), (many(limit), self.max_rounds)] {
            let (as_of, (prospects, risky)) = self.rank(viewer, a_round.saturating_mul(rounds));
            list.as_of = as_of;
            if prospects.best.is_empty() {
                break;
            }
            counted.get_or_insert_with(|| prospects.alone.iter().take(limit).cloned().collect());
            let mut listing = Listing::new(&prospects, &self.tuning, limit, a_round);
            let mut next = Next::Ask;
            while next == Next::Ask {
                let people = listing.people();
                let suspects = people.iter().copied().filter(|one| risky.contains(*one)).collect();
                // Used against them only while they agree to that.
                let (agreed, risky) = futures::try_join!(
                    self.agreed(viewer, people),
                    self.consents.granted(&self.purposes.spam, suspects),
                )?;
                if !agreed.has(viewer) {
                    return Ok(List { as_of, ..List::default() });
                }
                next = listing.settle(|one| agreed.has(one), |one| !risky.has(one));
            }
            if next == Next::Finish || a_round == many(limit) {
                list.listed = listing.finish();
                list.counted = counted.unwrap_or_default();
                self.name(&prospects, &mut list.listed).await?;
                return Ok(list);
            }
        }
        Ok(list)
    }

    /// Whom a person may know, nobody having been asked, and who of them is taken for a risk; nobody
    /// if nothing is known of the person.
    fn rank(
        &self,
        viewer: &Subject,
        at_most: usize,
    ) -> (Option<Position>, (Prospects, HashSet<Subject>)) {
        let now = self.clock.now().get();
        let (as_of, ranked) = self.live.rank(|graph, feedback, communities, scratch| {
            let person = graph.ordinal(viewer)?;
            let dismissed = feedback.dismissed_by(viewer, now);
            let is_capped = self.exposure.reading();
            // Names are looked up only where they matter.
            let is_hidden =
                |person: Ordinal| dismissed.as_ref().is_some_and(|is| is(graph.subject(person)));
            let shown_too_often =
                |person: Ordinal| is_capped.as_ref().is_some_and(|is| is(graph.subject(person)));
            let (is_hidden, shown_too_often): (&dyn Fn(_) -> _, &dyn Fn(_) -> _) =
                (&is_hidden, &shown_too_often);
            let beside = Beside { communities, is_hidden, shown_too_often };
            let prospects =
                ranking::prospects(graph, person, &self.tuning, beside, scratch, at_most);
            let subjects = prospects.best.iter().map(|one| &one.subject);
            let risky = subjects.filter(|subject| feedback.is_risky(subject)).cloned().collect();
            Some((prospects, risky))
        });
        (as_of, ranked.unwrap_or_default())
    }

    /// Names mutual connections who agree to that.
    async fn name(&self, prospects: &Prospects, listed: &mut [Listed]) -> Result<(), Error> {
        let purpose = &self.purposes.name_connections;
        let mut told: Vec<_> = listed.iter_mut().filter(|one| one.mutuals.is_some()).collect();
        if purpose.is_empty() || told.is_empty() {
            return Ok(());
        }
        let through = |one: &Listed| {
            let places = one.through.iter().take(ASKED).map(|place| *place as usize);
            places.map(|place| &prospects.people[place].subject).collect::<Vec<_>>()
        };
        let people = told.iter().flat_map(|one| through(one)).collect();
        let agreed = self.consents.granted(purpose, people).await?;
        for one in &mut told {
            let named = through(one).into_iter().filter(|subject| agreed.has(subject));
            one.named = named.take(NAMED).cloned().collect();
        }
        Ok(())
    }

    /// Who of all these has agreed: one strict check.
    async fn agreed<'s>(
        &self,
        viewer: &'s Subject,
        mut people: Vec<&'s Subject>,
    ) -> Result<Granted<'s>, Error> {
        people.push(viewer);
        self.consents.granted(&self.purposes.friend_suggestions, people).await
    }
}
