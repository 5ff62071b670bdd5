//! Not interested: whom a viewer does not want to be suggested for a time.

use std::collections::{HashMap, HashSet};

use prost::Message;
use service_kit::clock::UnixMillis;

use crate::{domain::Subject, error::Error, service::Suggest, store::Once};

/// What people say of suggestions, and which accounts were found to be a risk: beside the graph in
/// memory, and followed from the store like it. Some 100 bytes a dismissal.
#[derive(Debug, Default)]
pub(crate) struct Feedback {
    /// By viewer: whom and until when, in Unix milliseconds; sorted by whom.
    dismissed: HashMap<Subject, Vec<(Subject, i64)>>,
    risky: HashSet<Subject>,
}

impl Feedback {
    /// Nobody suggests `dismissed` to `viewer` before that instant; `i64::MIN`: anybody may.
    pub(crate) fn dismiss(&mut self, viewer: &Subject, dismissed: &Subject, until: i64) {
        if until == i64::MIN {
            let Some(list) = self.dismissed.get_mut(viewer) else { return };
            list.retain(|(subject, _)| subject != dismissed);
            if list.is_empty() {
                self.dismissed.remove(viewer);
            }
            return;
        }
        let list = self.dismissed.entry(viewer.clone()).or_default();
        match list.binary_search_by(|(subject, _)| subject.cmp(dismissed)) {
            Ok(place) => list[place].1 = until,
            Err(place) => list.insert(place, (dismissed.clone(), until)),
        }
    }

    /// Whether the viewer does not want to see a candidate at `now`, in Unix milliseconds: to be
    /// asked for many candidates; nothing: the viewer dismissed nobody.
    pub(crate) fn dismissed_by(
        &self,
        viewer: &Subject,
        now: i64,
    ) -> Option<impl Fn(&str) -> bool + use<'_>> {
        let list = self.dismissed.get(viewer)?;
        Some(move |candidate: &str| {
            let place = list.binary_search_by(|(subject, _)| subject.as_str().cmp(candidate));
            place.is_ok_and(|place| list[place].1 > now)
        })
    }

    #[cfg(test)]
    pub(crate) fn is_dismissed(&self, viewer: &Subject, candidate: &str, now: i64) -> bool {
        self.dismissed_by(viewer, now).is_some_and(|is_dismissed| is_dismissed(candidate))
    }

    /// An account is a risk, or no longer.
    pub(crate) fn set_risky(&mut self, account: &Subject, is_risky: bool) {
        if is_risky {
            self.risky.insert(account.clone());
        } else {
            self.risky.remove(account);
        }
    }

    /// Whether an account was found to be a risk.
    pub(crate) fn is_risky(&self, account: &Subject) -> bool {
        self.risky.contains(account)
    }
}

impl Suggest {
    /// Forgets dismissals and reports whose time is over.
    pub(crate) async fn forget_feedback(&self, now: UnixMillis) -> Result<(), Error> {
        self.store.forget_dismissals(now).await?;
        self.live.written();
        Ok(self.store.forget_reports(now.minus(self.spam.reports_for.get())).await?)
    }

    /// Notes that the person in a suggestion is not to be suggested to its viewer for a time. It
    /// is the viewer's own word, like a block: nobody's consent is asked for.
    pub(crate) async fn dismiss<R: Message + Default>(
        &self,
        once: &Once,
        viewer: &Subject,
        suggestion_id: &str,
        answer: impl Fn() -> R + Sync,
    ) -> Result<R, Error> {
        let suggested = self.suggested(viewer, suggestion_id)?;
        let dismissed = &suggested.subject;
        let until = once.at.plus(self.feedback.dismissed_for.get());
        let (at_most, answer) = (self.feedback.max_dismissed_per_person, &answer);
        let answer = self
            .store
            .once("dismiss", once, |writing| async move {
                // There is nobody any more who would be suggested.
                if writing.is_erased(&self.seal.person(dismissed)).await? {
                    return Ok(answer());
                }
                writing.dismiss(viewer, dismissed, [once.at, until], at_most).await?;
                Ok(answer())
            })
            .await?;
        self.live.written();
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dismissal_holds_for_one_viewer_until_its_time_is_over_or_it_ends() {
        let [ann, bob, cec] = ["ann", "bob", "cec"].map(Subject::from);
        let mut feedback = Feedback::default();
        feedback.dismiss(&ann, &cec, 100);
        feedback.dismiss(&ann, &bob, 50);
        let is = |feedback: &Feedback, viewer, who: &Subject, now| {
            feedback.is_dismissed(viewer, who.as_str(), now)
        };
        assert!(is(&feedback, &ann, &bob, 49) && !is(&feedback, &ann, &bob, 50));
        assert!(is(&feedback, &ann, &cec, 99));
        assert!(!is(&feedback, &bob, &ann, 0) && !is(&feedback, &cec, &bob, 0));
        feedback.dismiss(&ann, &bob, 200);
        assert!(is(&feedback, &ann, &bob, 199));
        feedback.dismiss(&ann, &bob, i64::MIN);
        assert!(!is(&feedback, &ann, &bob, 0) && is(&feedback, &ann, &cec, 0));
        feedback.dismiss(&ann, &cec, i64::MIN);
        assert!(feedback.dismissed.is_empty());
    }
}
