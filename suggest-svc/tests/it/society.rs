//! Small societies drawn from a seed, and who is shown to whom in them by the letter of the rules:
//! over the facts alone, with nothing of the engine.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, SeedableRng, rngs::StdRng};
use suggest_svc::domain::{Discoverability, Settings, Subject};

/// Somebody's place in a society.
pub(crate) type Who = usize;

/// What somebody has said of a purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Granted,
    Refused,
    Withdrawn,
    Expired,
    Pending,
}

impl State {
    pub(crate) const ALL: [Self; 5] =
        [Self::Granted, Self::Refused, Self::Withdrawn, Self::Expired, Self::Pending];

    /// Granted with this probability, else any of the others.
    fn draw(rng: &mut StdRng, granted: f64) -> Self {
        if rng.random_bool(granted) { Self::Granted } else { Self::ALL[rng.random_range(1..5)] }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) transfer: State,
    pub(crate) suggestions: State,
    pub(crate) settings: Settings,
    /// Whose addresses they have uploaded.
    pub(crate) book: BTreeSet<Who>,
}

#[derive(Debug, Clone)]
pub(crate) struct Society {
    pub(crate) people: Vec<Person>,
    /// The smaller one first.
    pub(crate) connected: BTreeSet<(Who, Who)>,
    /// Who blocks whom.
    pub(crate) blocks: BTreeSet<(Who, Who)>,
}

/// Why somebody is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    Mutual,
    Reciprocal,
    OneWay,
    /// Neither by a number nor by mutual connections.
    Other,
}

/// Why somebody is shown, and the least that the range of mutual connections says; 0: not told.
pub(crate) type Shown = (Why, u32);

/// The rules, or what is wrong with them: an oracle with a wrong one has to disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    Right,
    ViewersNeedNotAgree,
    CandidatesNeedNotAgree,
    MutualConnectionsNeedNotAgree,
    RefusedIsYes,
    WithdrawnIsYes,
    ExpiredIsYes,
    PendingIsYes,
    TransferIsNotAsked,
    OneMutualConnectionIsEnough,
    PrivatePeopleCount,
    OneWayUploadsConnect,
    NobodyIsFoundAllTheSame,
    BlocksHoldOneWay,
    BlockedPeopleConnect,
}

impl Rule {
    pub(crate) const WRONG: [Self; 14] = [
        Self::ViewersNeedNotAgree,
        Self::CandidatesNeedNotAgree,
        Self::MutualConnectionsNeedNotAgree,
        Self::RefusedIsYes,
        Self::WithdrawnIsYes,
        Self::ExpiredIsYes,
        Self::PendingIsYes,
        Self::TransferIsNotAsked,
        Self::OneMutualConnectionIsEnough,
        Self::PrivatePeopleCount,
        Self::OneWayUploadsConnect,
        Self::NobodyIsFoundAllTheSame,
        Self::BlocksHoldOneWay,
        Self::BlockedPeopleConnect,
    ];
}

/// How a society is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Odds {
    pub(crate) people: (usize, usize),
    pub(crate) connected: f64,
    pub(crate) uploaded: f64,
    pub(crate) blocked: f64,
    pub(crate) transfer: f64,
    pub(crate) suggestions: f64,
    /// Of having other settings than the default ones.
    pub(crate) settings: f64,
}

impl Society {
    pub(crate) fn draw(seed: u64, odds: Odds) -> Self {
        let rng = &mut StdRng::seed_from_u64(seed);
        let count = rng.random_range(odds.people.0..=odds.people.1);
        let mut society =
            Self { people: Vec::new(), connected: BTreeSet::new(), blocks: BTreeSet::new() };
        for who in 0..count {
            let mut settings = Settings::default();
            if rng.random_bool(odds.settings) {
                settings.discoverability = match rng.random_range(0..3) {
                    0 => Discoverability::Everyone,
                    1 => Discoverability::Reciprocal,
                    _ => Discoverability::Nobody,
                };
                settings.may_be_mutual = rng.random_bool(0.7);
            }
            let others = (0..count).filter(|other| *other != who);
            let book = others.filter(|_| rng.random_bool(odds.uploaded)).collect();
            let transfer = State::draw(rng, odds.transfer);
            let suggestions = State::draw(rng, odds.suggestions);
            society.people.push(Person { transfer, suggestions, settings, book });
        }
        for one in 0..count {
            for other in 0..count {
                if one < other && rng.random_bool(odds.connected) {
                    society.connected.insert((one, other));
                }
                if one != other && rng.random_bool(odds.blocked) {
                    society.blocks.insert((one, other));
                }
            }
        }
        society
    }

    /// Draws anew what everybody has said.
    pub(crate) fn redraw_states(&mut self, rng: &mut StdRng, odds: Odds) {
        for person in &mut self.people {
            person.transfer = State::draw(rng, odds.transfer);
            person.suggestions = State::draw(rng, odds.suggestions);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.people.len()
    }

    pub(crate) fn is_connected(&self, one: Who, other: Who) -> bool {
        self.connected.contains(&(one.min(other), one.max(other)))
    }

    pub(crate) fn holds(&self, one: Who, other: Who) -> bool {
        self.people[one].book.contains(&other)
    }

    pub(crate) fn blocked(&self, one: Who, other: Who) -> bool {
        self.blocks.contains(&(one, other)) || self.blocks.contains(&(other, one))
    }

    pub(crate) fn found_by(&self, who: Who) -> Discoverability {
        self.people[who].settings.discoverability
    }

    pub(crate) fn is_live(&self, who: Who) -> bool {
        self.people[who].transfer == State::Granted
    }

    /// Whether somebody's own setting lets a viewer find them who holds their number, or does not,
    /// if they hold the viewer's: then, and only then, their upload may show.
    pub(crate) fn reveals(&self, hidden: Who, viewer: Who) -> bool {
        self.holds(viewer, hidden)
            && !self.blocked(viewer, hidden)
            && self.found_by(hidden) != Discoverability::Nobody
    }

    fn agrees(&self, who: Who, rule: Rule) -> bool {
        match self.people[who].suggestions {
            State::Granted => true,
            State::Refused => rule == Rule::RefusedIsYes,
            State::Withdrawn => rule == Rule::WithdrawnIsYes,
            State::Expired => rule == Rule::ExpiredIsYes,
            State::Pending => rule == Rule::PendingIsYes,
        }
    }

    /// Whether two people, both here, are kept apart.
    fn apart(&self, one: Who, other: Who, rule: Rule) -> bool {
        let is_here = |who| self.is_live(who) || rule == Rule::TransferIsNotAsked;
        !is_here(one)
            || !is_here(other)
            || match rule {
                Rule::BlocksHoldOneWay => self.blocks.contains(&(one, other)),
                _ => self.blocked(one, other),
            }
    }

    fn adjacent(&self, one: Who, other: Who, rule: Rule) -> bool {
        let holds = if rule == Rule::OneWayUploadsConnect {
            self.holds(one, other) || self.holds(other, one)
        } else {
            self.holds(one, other) && self.holds(other, one)
        };
        let is_hidden = |who| {
            self.found_by(who) == Discoverability::Nobody && rule != Rule::NobodyIsFoundAllTheSame
        };
        let is_apart = match rule {
            Rule::BlockedPeopleConnect => !self.is_live(one) || !self.is_live(other),
            _ => self.apart(one, other, rule),
        };
        one != other
            && !is_apart
            && (self.is_connected(one, other) || holds && !is_hidden(one) && !is_hidden(other))
    }

    fn contact(&self, viewer: Who, other: Who, rule: Rule) -> Option<Why> {
        if self.apart(viewer, other, rule) || !self.holds(viewer, other) {
            return None;
        }
        let is_nobody = self.found_by(other) == Discoverability::Nobody;
        if self.holds(other, viewer) && (!is_nobody || rule == Rule::NobodyIsFoundAllTheSame) {
            return Some(Why::Reciprocal);
        }
        (self.found_by(other) == Discoverability::Everyone).then_some(Why::OneWay)
    }

    /// How many mutual connections two people have who agreed and allow it.
    pub(crate) fn mutuals(&self, one: Who, other: Who, rule: Rule) -> usize {
        (0..self.len())
            .filter(|z| self.adjacent(one, *z, rule) && self.adjacent(*z, other, rule))
            .filter(|z| self.people[*z].settings.may_be_mutual || rule == Rule::PrivatePeopleCount)
            .filter(|z| self.agrees(*z, rule) || rule == Rule::MutualConnectionsNeedNotAgree)
            .count()
    }

    /// Who is shown to a viewer by their number or by mutual connections, and as what.
    pub(crate) fn expected(&self, viewer: Who, rule: Rule) -> BTreeMap<Who, Shown> {
        if !self.agrees(viewer, rule) && rule != Rule::ViewersNeedNotAgree {
            return BTreeMap::new();
        }
        let shown = |other: &Who| {
            let is_out = *other == viewer
                || self.is_connected(viewer, *other)
                || self.apart(viewer, *other, rule)
                || !self.agrees(*other, rule) && rule != Rule::CandidatesNeedNotAgree;
            if is_out {
                return None;
            }
            let count = self.mutuals(viewer, *other, rule);
            let min = if rule == Rule::OneMutualConnectionIsEnough { 1 } else { 2 };
            let why = self.contact(viewer, *other, rule);
            let why = why.or((count >= min).then_some(Why::Mutual))?;
            Some((*other, (why, told(count))))
        };
        (0..self.len()).filter_map(|other| shown(&other)).collect()
    }

    /// Whether a list is what the rules say. Who is shown for another reason than a number or
    /// mutual connections must be somebody who may be shown at all, and no count is told of them.
    pub(crate) fn agrees_with(&self, viewer: Who, list: &BTreeMap<Who, Shown>, rule: Rule) -> bool {
        let mut known = list.clone();
        known.retain(|_, (why, _)| *why != Why::Other);
        let mut others = list.iter().filter(|(_, (why, _))| *why == Why::Other);
        let may_be = |who: Who| {
            who != viewer
                && self.agrees(viewer, rule)
                && self.agrees(who, rule)
                && !self.is_connected(viewer, who)
                && !self.apart(viewer, who, rule)
        };
        known == self.expected(viewer, rule)
            && others.all(|(who, (_, count))| may_be(*who) && *count == 0)
    }
}

/// What is told of a number: the least of its range.
pub(crate) fn told(count: usize) -> u32 {
    match count {
        0..=2 => 0,
        3..=5 => 3,
        6..=10 => 6,
        11..=20 => 11,
        21..=50 => 21,
        _ => 51,
    }
}

/// The subjects of a society's people.
pub(crate) fn names(prefix: &str, count: usize) -> Vec<Subject> {
    (0..count).map(|who| Subject::from(format!("{prefix}.p{who:02}"))).collect()
}
