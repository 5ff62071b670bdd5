//! Which showings of a person count, so that nobody is shown to everybody.

use super::{
    Subject,
    listing::{Listed, Reason},
    ranking::{Prospect, by_score, score},
};

/// What the score of somebody who was shown too often is multiplied with: whoever was not comes
/// first, and among themselves they keep their order.
const SHOWN_TOO_OFTEN: f64 = 1e-6;

/// Puts somebody who was shown too often behind all others, unless the viewer has their number:
/// those the viewer looks for.
pub fn demote(listed: Listed, is_shown_too_often: impl Fn(&Subject) -> bool) -> Listed {
    let is_contact = matches!(listed.reason, Reason::ReciprocalContact | Reason::InYourContacts);
    if is_contact || !is_shown_too_often(&listed.subject) {
        return listed;
    }
    Listed { score: listed.score * SHOWN_TOO_OFTEN, ..listed }
}

/// What a prospect's score is through mutual connections alone, if that is enough for showing
/// them.
///
/// By this it is decided whose showings count, not by the list as it was shown: whom the viewer
/// uploaded moves people up and down there, and how often somebody was shown would tell others
/// about it.
pub fn without_contacts(
    prospect: &Prospect,
    granted: impl Fn(&Subject) -> bool,
    min_mutuals: usize,
) -> Option<(f64, Subject)> {
    if !granted(&prospect.subject) {
        return None;
    }
    let agreed = prospect.mutuals.iter().filter(|mutual| granted(&mutual.subject));
    let (weights, count) = agreed.fold((0, 0), |(sum, n), mutual| (sum + mutual.weight, n + 1));
    let score = score(None, weights, count, prospect.damping, min_mutuals);
    (count >= min_mutuals).then(|| (score, prospect.subject.clone()))
}

/// The first `limit` of those.
pub fn counted(mut alone: Vec<(f64, Subject)>, limit: usize) -> Vec<Subject> {
    alone.sort_unstable_by(|(a, one), (b, other)| by_score(*a, *b).then_with(|| one.cmp(other)));
    alone.into_iter().take(limit).map(|(_, subject)| subject).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::ranking::Mutual, graph::Contact};

    fn prospect(name: &str, contact: Option<Contact>, mutuals: usize) -> Prospect {
        let mutual = |n| Mutual { subject: Subject::from(format!("z{n}")), weight: 1 << 30 };
        let mutuals = (0..mutuals).map(mutual).collect();
        Prospect { subject: name.into(), contact, mutuals, damping: 1.0, score: 99.0 }
    }

    #[test]
    fn whom_the_viewer_uploaded_changes_nobodys_count() {
        let uploads = [None, Some(Contact::OneWay), Some(Contact::Reciprocal)];
        let counts = uploads.map(|contact| {
            let people = [
                prospect("ann", contact, 3),
                prospect("bob", contact, 1),
                prospect("cec", None, 4),
                prospect("dan", None, 2),
            ];
            let alone = people.iter().filter_map(|one| without_contacts(one, |_| true, 2));
            counted(alone.collect(), 2)
        });
        for count in counts {
            assert_eq!(count, ["cec".into(), "ann".into()]);
        }
    }

    #[test]
    fn only_who_is_no_contact_is_demoted() {
        let listed = |reason| Listed { subject: "v".into(), reason, mutuals: None, score: 2.0 };
        for (reason, demoted) in [
            (Reason::MutualConnections, true),
            (Reason::PopularNearYou, true),
            (Reason::ReciprocalContact, false),
            (Reason::InYourContacts, false),
        ] {
            assert_eq!(demote(listed(reason), |_| true).score < 1.0, demoted);
            assert_eq!(demote(listed(reason), |_| false), listed(reason));
        }
    }
}
