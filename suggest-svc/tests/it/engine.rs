//! Lists of suggestions without a service: a graph, its ranking and what is shown of it, over a
//! table of who has agreed. The only place of these tests that knows how they fit together.

use std::collections::BTreeMap;

use identifiers::MatchKey;
use suggest_svc::{
    config::SuggestConfig,
    domain::{
        Subject,
        listing::{Listed, Listing, MutualRange, Next, Reason},
        ranking::{self, Beside, Scratch, Tuning},
    },
    graph::{Builder, Graph, OwnedKey},
};

use crate::society::{Shown, Society, State, Who, Why, names};

/// When address books are synced, after everybody was registered.
const SYNCED: i64 = 2;

/// A society in a graph.
pub(crate) struct Engine {
    pub(crate) graph: Graph,
    pub(crate) names: Vec<Subject>,
    scratch: Scratch,
    tuning: Tuning,
    now: i64,
}

impl Engine {
    /// Event by event, as a replica that was there when it happened.
    pub(crate) fn following(society: &Society) -> Self {
        let mut engine = Self::empty(society.len());
        for who in 0..society.len() {
            engine.consent(who, society.people[who].transfer, true);
            let key = OwnedKey { key: key(who), since: 1 };
            engine.graph.set_keys(&engine.names[who], vec![key]);
        }
        for (who, person) in society.people.iter().enumerate() {
            engine.graph.set_settings(&engine.names[who], person.settings);
            engine.upload(who, society);
        }
        for (one, other) in &society.connected {
            engine.graph.connect(&engine.names[*one], &engine.names[*other]);
        }
        for (one, other) in &society.blocks {
            engine.graph.set_block(&engine.names[*one], &engine.names[*other], true);
        }
        engine
    }

    /// All at once, as a replica that starts, and named in another order.
    pub(crate) fn starting(society: &Society) -> Self {
        let mut engine = Self::empty(society.len());
        let mut builder = Builder::default();
        for (who, person) in society.people.iter().enumerate().rev() {
            let name = &engine.names[who];
            let until = if person.transfer == State::Granted { i64::MAX } else { i64::MIN };
            builder.consent(name, until, i64::MAX);
            builder.key(name, OwnedKey { key: key(who), since: 1 });
            builder.settings(name, person.settings);
            builder.book(name, SYNCED, person.book.iter().map(|who| key(*who)).collect());
        }
        for (one, other) in &society.connected {
            builder.connection(&engine.names[*one], &engine.names[*other]);
            builder.connection(&engine.names[*other], &engine.names[*one]);
        }
        for (one, other) in &society.blocks {
            builder.block(&engine.names[*one], &engine.names[*other]);
        }
        engine.graph = builder.finish(engine.now);
        engine
    }

    fn empty(people: usize) -> Self {
        Self {
            graph: Graph::default(),
            names: names("s", people),
            scratch: Scratch::default(),
            tuning: SuggestConfig::default().tuning().unwrap(),
            now: 0,
        }
    }

    /// Makes somebody's consent to the transfer what it is; `heard`: whether suggestions are
    /// thought to be agreed to, which is asked about anew in any case.
    pub(crate) fn consent(&mut self, who: Who, transfer: State, heard: bool) {
        let suggestions = if heard { i64::MAX } else { i64::MIN };
        let name = &self.names[who];
        match transfer {
            State::Granted => self.graph.set_consent(name, i64::MAX, suggestions),
            // Nobody who never agreed is known.
            State::Refused | State::Pending => {
                self.graph.set_consent(name, i64::MIN, suggestions);
            }
            State::Withdrawn => {
                self.graph.set_consent(name, i64::MAX, i64::MAX);
                self.graph.set_consent(name, i64::MIN, suggestions);
            }
            State::Expired => {
                self.graph.set_consent(name, self.now + 1, suggestions);
                self.now += 1;
                self.graph.advance(self.now);
            }
        }
    }

    /// Syncs somebody's whole address book.
    pub(crate) fn upload(&mut self, who: Who, society: &Society) {
        let book = society.people[who].book.iter().map(|who| key(*who));
        self.graph.set_book(&self.names[who], SYNCED, &book.collect::<Vec<_>>());
    }

    /// What a viewer is shown when these people have agreed, best first.
    pub(crate) fn list(&mut self, viewer: Who, agreed: impl Fn(Who) -> bool) -> Vec<Listed> {
        let who = |subject: &Subject| self.names.binary_search(subject).unwrap();
        let granted = |subject: &Subject| agreed(who(subject));
        let Some(person) = self.graph.ordinal(&self.names[viewer]) else { return Vec::new() };
        if !agreed(viewer) {
            return Vec::new();
        }
        let (graph, tuning) = (&self.graph, &self.tuning);
        let (beside, limit) = (Beside::default(), self.names.len());
        let prospects = ranking::prospects(graph, person, tuning, beside, &mut self.scratch, limit);
        let mut listing = Listing::new(&prospects, tuning, limit, limit);
        while listing.settle(granted, |_| true) == Next::Ask {}
        listing.finish()
    }

    /// The same as the oracle tells it.
    pub(crate) fn shown(
        &mut self,
        viewer: Who,
        agreed: impl Fn(Who) -> bool,
    ) -> BTreeMap<Who, Shown> {
        let listed = self.list(viewer, agreed);
        let who = |one: &Listed| self.names.binary_search(&one.subject).unwrap();
        listed.iter().map(|one| (who(one), (why(one.reason), least(one.mutuals)))).collect()
    }
}

fn key(who: Who) -> MatchKey {
    MatchKey::from_bytes([u8::try_from(who).unwrap() + 1; 16])
}

fn why(reason: Reason) -> Why {
    let reasons = [
        (Reason::MutualConnections, Why::Mutual),
        (Reason::ReciprocalContact, Why::Reciprocal),
        (Reason::InYourContacts, Why::OneWay),
    ];
    reasons.iter().find(|(known, _)| *known == reason).map_or(Why::Other, |(_, why)| *why)
}

fn least(range: Option<MutualRange>) -> u32 {
    match range {
        None => 0,
        Some(MutualRange::From3) => 3,
        Some(MutualRange::From6) => 6,
        Some(MutualRange::From11) => 11,
        Some(MutualRange::From21) => 21,
        Some(MutualRange::From51) => 51,
    }
}
