//! What is shown, once it is known who has agreed.

use super::{
    Subject,
    ranking::{Prospect, by_score, score},
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
    pub score: f64,
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

/// What one prospect comes to when only these people have agreed: nothing, if it has not itself,
/// or is no contact and too few of its mutual connections have.
pub fn settle(
    prospect: &Prospect,
    granted: impl Fn(&Subject) -> bool,
    min_mutuals: usize,
) -> Option<Listed> {
    if !granted(&prospect.subject) {
        return None;
    }
    let agreed = prospect.mutuals.iter().filter(|mutual| granted(&mutual.subject));
    let (weights, count) = agreed.fold((0, 0), |(sum, n), mutual| (sum + mutual.weight, n + 1));
    let reason = match prospect.contact {
        Some(Contact::Reciprocal) => Reason::ReciprocalContact,
        Some(Contact::OneWay) => Reason::InYourContacts,
        None if count < min_mutuals => return None,
        None => Reason::MutualConnections,
    };
    let score = score(prospect.contact, weights, count, prospect.damping, min_mutuals);
    let mutuals = if count < min_mutuals { None } else { MutualRange::of(count) };
    Some(Listed { subject: prospect.subject.clone(), reason, mutuals, score })
}

/// Puts the best first, the same way on every replica.
pub fn sort(listed: &mut [Listed]) {
    listed.sort_unstable_by(|a, b| {
        by_score(a.score, b.score).then_with(|| a.subject.cmp(&b.subject))
    });
}

/// Whether nobody who was not looked at yet can belong among the first `limit`; `next` is the
/// best score that any of them may have.
pub fn is_settled(sorted: &[Listed], limit: usize, next: Option<f64>) -> bool {
    match (next, limit.checked_sub(1).map(|last| sorted.get(last))) {
        (None, _) | (_, None) => true,
        (Some(next), Some(last)) => last.is_some_and(|last| last.score > next),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::ranking::Mutual;

    fn prospect(contact: Option<Contact>, mutuals: usize) -> Prospect {
        let mutual = |n| Mutual { subject: Subject::from(format!("z{n}")), weight: 1 << 30 };
        let mutuals: Vec<_> = (0..mutuals).map(mutual).collect();
        Prospect { subject: "v".into(), contact, mutuals, damping: 1.0, score: 99.0 }
    }

    fn granted<'p>(people: &'p [&str]) -> impl Fn(&Subject) -> bool + 'p {
        |subject| people.contains(&subject.as_str())
    }

    #[test]
    fn counts_fall_into_their_ranges() {
        let starts = [(3, MutualRange::From3), (6, MutualRange::From6), (11, MutualRange::From11)];
        let more = [(21, MutualRange::From21), (51, MutualRange::From51)];
        let mut expected = None;
        for count in 0..100 {
            let start = starts.iter().chain(&more).find(|(start, _)| *start == count);
            expected = start.map(|(_, range)| *range).or(expected);
            assert_eq!(MutualRange::of(count), expected, "{count}");
        }
    }

    #[test]
    fn only_mutual_connections_who_agreed_count() {
        let prospect = prospect(None, 4);
        let three = settle(&prospect, granted(&["v", "z0", "z1", "z2"]), 2).unwrap();
        assert_eq!(three.mutuals, Some(MutualRange::From3));
        let two = settle(&prospect, granted(&["v", "z0", "z1"]), 2).unwrap();
        assert_eq!((two.mutuals, two.reason), (None, Reason::MutualConnections));
        assert!(two.score < three.score);
        assert_eq!(settle(&prospect, granted(&["v", "z0"]), 2), None);
        assert_eq!(settle(&prospect, granted(&["z0", "z1", "z2", "z3"]), 2), None);
    }

    #[test]
    fn one_mutual_connection_does_not_move_a_contact() {
        let (with, without) =
            (prospect(Some(Contact::OneWay), 1), prospect(Some(Contact::OneWay), 0));
        let everyone = granted(&["v", "z0"]);
        assert_eq!(settle(&with, &everyone, 2), settle(&without, &everyone, 2));
    }

    #[test]
    fn a_list_is_settled_when_nobody_left_can_come_before_its_end() {
        let listed = |score| Listed {
            score,
            ..settle(&prospect(None, 3), granted(&["v", "z0", "z1"]), 2).unwrap()
        };
        let list = [listed(3.0), listed(2.0)];
        assert!(is_settled(&list, 2, Some(1.9)));
        // The one left could have the same score and the lesser id.
        assert!(!is_settled(&list, 2, Some(2.0)));
        assert!(!is_settled(&list, 3, Some(0.1)));
        assert!(is_settled(&list, 3, None));
    }
}
