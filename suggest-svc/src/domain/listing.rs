//! What is shown, once it is known who has agreed.

use super::{
    Subject,
    ranking::{self, Evidence, Prospect, Prospects, Rank, Tier, Tuning},
};
use crate::graph::Contact;

/// A suggestion as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Who.
    pub subject: Subject,
    /// Why.
    pub reason: Reason,
    /// How many mutual connections, as far as it is told.
    pub mutuals: Option<MutualRange>,
    /// By what it is ordered.
    pub rank: Rank,
    /// The places of the mutual connections that agreed, in [`Prospects::people`].
    pub through: Vec<u32>,
    /// Those of them who are named.
    pub named: Vec<Subject>,
}

/// Why somebody is suggested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Through mutual connections.
    MutualConnections,
    /// Each is in the other's contacts.
    ReciprocalContact,
    /// In the viewer's contacts, and open to be found.
    InYourContacts,
    /// Through connections of connections.
    WiderCircle,
    /// Popular among people near the viewer.
    PopularNearYou,
}

/// A number of mutual connections. Fewer than three are not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MutualRange {
    /// 3 to 5.
    From3,
    /// 6 to 10.
    From6,
    /// 11 to 20.
    From11,
    /// 21 to 50.
    From21,
    /// 51 or more.
    From51,
}

impl MutualRange {
    /// The range that a number falls in.
    pub fn of(count: usize) -> Option<Self> {
        match count {
            0..=2 => None,
            3..=5 => Some(Self::From3),
            6..=10 => Some(Self::From6),
            11..=20 => Some(Self::From11),
            21..=50 => Some(Self::From21),
            51.. => Some(Self::From51),
        }
    }
}

/// What is still to be done for a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Finish,
    /// Asking about the next round.
    Ask,
    /// Ranking more prospects: none of these is left, and others could belong in the list.
    Rank,
}

/// A list in the making: round after round some prospects and everybody behind them are asked
/// about, until nobody who was not can belong in it.
#[derive(Debug)]
pub struct Listing<'l> {
    prospects: &'l Prospects,
    tuning: &'l Tuning,
    limit: usize,
    a_round: usize,
    asked: usize,
    listed: Vec<Listed>,
}

impl<'l> Listing<'l> {
    /// Begins a list of at most `limit`, with so many prospects a round.
    pub fn new(prospects: &'l Prospects, tuning: &'l Tuning, limit: usize, a_round: usize) -> Self {
        Self { prospects, tuning, limit, a_round, asked: 0, listed: Vec::new() }
    }

    fn round(&self) -> &'l [Prospect] {
        let rest = &self.prospects.best[self.asked.min(self.prospects.best.len())..];
        &rest[..rest.len().min(self.a_round)]
    }

    /// Everybody to ask about in the next round, more than once perhaps; nobody: there is none.
    pub fn people(&self) -> Vec<&'l Subject> {
        let places = self.round().iter().flat_map(|one| {
            let paths = one.paths.iter().flat_map(|(first, second)| [*first, *second]);
            one.mutuals.iter().copied().chain(paths)
        });
        let mut is_asked = vec![false; self.prospects.people.len()];
        places.for_each(|place| is_asked[place as usize] = true);
        let between = self.prospects.people.iter().zip(is_asked);
        let between = between.filter(|(_, is_asked)| *is_asked).map(|(one, _)| &one.subject);
        self.round().iter().map(|one| &one.subject).chain(between).collect()
    }

    /// Takes in who of them has agreed, and who `fits` into a list.
    pub fn settle(
        &mut self,
        granted: impl Fn(&Subject) -> bool,
        fits: impl Fn(&Subject) -> bool,
    ) -> Next {
        let agreed: Vec<bool> =
            self.prospects.people.iter().map(|one| granted(&one.subject)).collect();
        for one in self.round() {
            if granted(&one.subject) && fits(&one.subject) {
                self.listed.extend(settle(one, self.prospects, &agreed, self.tuning));
            }
        }
        self.asked += self.round().len();
        // The best first, the same way on every replica.
        self.listed
            .sort_unstable_by(|a, b| a.rank.order(&b.rank).then_with(|| a.subject.cmp(&b.subject)));
        let next = self.round().first().map(|one| (one.rank, &one.subject));
        let beyond = || self.prospects.beyond.as_ref().map(|(rank, subject)| (*rank, subject));
        if is_settled(&self.listed, self.limit, next.or_else(beyond)) {
            Next::Finish
        } else if next.is_some() {
            Next::Ask
        } else {
            Next::Rank
        }
    }

    /// The list, best first.
    pub fn finish(mut self) -> Vec<Listed> {
        self.listed.truncate(self.limit);
        spread(&mut self.listed, self.prospects, self.tuning.weights.repetition);
        self.listed
    }
}

/// What a prospect that has agreed comes to when only these people between have: nothing, if it is
/// no contact and too few of them have.
fn settle(
    prospect: &Prospect,
    prospects: &Prospects,
    agreed: &[bool],
    tuning: &Tuning,
) -> Option<Listed> {
    let min = tuning.min_mutuals;
    let has_agreed = |place: &u32| agreed[*place as usize];
    let mut listed = Listed {
        subject: prospect.subject.clone(),
        reason: Reason::PopularNearYou,
        mutuals: None,
        rank: prospect.rank,
        through: Vec::new(),
        named: Vec::new(),
    };
    match prospect.rank.tier {
        Tier::Popular => {}
        Tier::WiderCircle => {
            let is_whole = |(first, second): &(u32, u32)| has_agreed(first) && has_agreed(second);
            let paths: Vec<_> = prospect.paths.iter().copied().filter(is_whole).collect();
            let score = ranking::circle_score(&paths, &prospects.people, min)?;
            listed.rank.score = tuning.discounted(score, prospect.shown_too_often);
            listed.reason = Reason::WiderCircle;
        }
        Tier::Known => {
            listed.through = prospect.mutuals.iter().copied().filter(has_agreed).collect();
            let weights =
                listed.through.iter().map(|place| prospects.people[*place as usize].weight);
            let evidence = Evidence {
                weights: weights.sum(),
                mutuals: listed.through.len(),
                degree: prospect.degree,
                viewer_degree: prospects.viewer_degree,
            };
            let score = tuning.score(prospect.contact, &evidence);
            listed.rank.score = tuning.discounted(score, prospect.shown_too_often);
            listed.reason = match prospect.contact {
                Some(Contact::Reciprocal) => Reason::ReciprocalContact,
                Some(Contact::OneWay) => Reason::InYourContacts,
                None if evidence.mutuals < min => return None,
                None => Reason::MutualConnections,
            };
            if evidence.mutuals < min {
                // Not even the order of a list may say that there is one.
                listed.through.clear();
            }
            listed.mutuals = MutualRange::of(listed.through.len());
        }
    }
    Some(listed)
}

/// Whether nobody who was not asked about yet is expected among the first `limit`; `next` is the
/// best of them, as if everybody had agreed.
fn is_settled(sorted: &[Listed], limit: usize, next: Option<(Rank, &Subject)>) -> bool {
    match (next, limit.checked_sub(1).map(|last| sorted.get(last))) {
        (None, _) | (_, None) => true,
        (Some((rank, subject)), Some(last)) => last.is_some_and(|last| {
            last.rank.order(&rank).then_with(|| last.subject.cmp(subject)).is_lt()
        }),
    }
}

/// Puts a list in its final order: greedily the best one next, less what it repeats, so that one
/// mutual connection does not carry one suggestion after the other. Repeated is, of the weights of
/// a suggestion's mutual connections, the part that is of those who carried suggestions before it,
/// each as often as it did, over how many came before (maximal marginal relevance, Carbonell and
/// Goldstein, SIGIR 1998). Who is in the list does not change, nor does any tier move.
fn spread(listed: &mut [Listed], prospects: &Prospects, strength: f64) {
    #![allow(clippy::cast_precision_loss)] // rounded to the same value for the same sum
    let weight = |place: u32| prospects.people[place as usize].weight as f64;
    let mut carried = vec![0u32; prospects.people.len()];
    for next in 0..listed.len() {
        let marginal = |one: &Listed| {
            let all: f64 = one.through.iter().map(|place| weight(*place)).sum();
            let repeats = one
                .through
                .iter()
                .map(|place| weight(*place) * f64::from(carried[*place as usize]));
            let repeated = repeats.sum::<f64>() / (all * next.max(1) as f64);
            let score =
                if all > 0.0 { one.rank.score - strength * repeated } else { one.rank.score };
            Rank { score, ..one.rank }
        };
        let rest = listed[next..].iter().enumerate();
        let best =
            rest.map(|(place, one)| (place, marginal(one))).min_by(|(_, a), (_, b)| a.order(b));
        let place = next + best.map_or(0, |(place, _)| place);
        listed[next..=place].rotate_right(1);
        for place in &listed[next].through {
            carried[*place as usize] += 1;
        }
    }
}

#[cfg(test)]
mod tests;
