//! Why somebody was suggested.

use crate::{
    domain::{Subject, listing::Reason},
    error::Error,
    service::Suggest,
    suggestion_id::{NotYours, Suggested},
};

/// An explanation.
#[derive(Debug)]
pub(crate) struct Explanation {
    /// Why.
    pub(crate) reason: Reason,
    /// The same for people.
    pub(crate) text: &'static str,
    /// Under which purposes both people's data was used.
    pub(crate) purposes: [String; 2],
}

impl Suggest {
    /// What an id says that this viewer was given.
    ///
    /// An id that another viewer was given is refused as such: whoever holds it learns that it is
    /// genuine, which is all there is to learn, for nothing is looked up for it. One that nobody
    /// was given, or too long ago, is unknown.
    pub(crate) fn suggested(&self, viewer: &Subject, id: &str) -> Result<Suggested, Error> {
        self.suggestion_ids.open(viewer, id, self.today()).map_err(|why| match why {
            NotYours::Unknown => Error::SuggestionUnknown,
            NotYours::Another => Error::SuggestionOfAnother,
        })
    }

    /// Explains a suggestion, while both people agree to what it takes, asked at this moment.
    ///
    /// As soon as one of them no longer does, or blocks the other, the suggestion is unknown, as if
    /// it had never been made: which of all these it was is nobody's business.
    pub(crate) async fn explain(&self, viewer: &Subject, id: &str) -> Result<Explanation, Error> {
        let Suggested { subject, reason, .. } = self.suggested(viewer, id)?;
        let is_blocked = self.live.read(|graph| {
            let ends = [viewer, &subject].map(|end| graph.ordinal(end));
            matches!(ends, [Some(one), Some(other)] if graph.blocked(one, other))
        });
        let purposes = [&self.purposes.transfer, &self.purposes.friend_suggestions];
        let [transfer, suggestions] =
            purposes.map(|purpose| self.consents.check(purpose, vec![viewer, &subject]));
        let (transfer, suggestions) = futures::try_join!(transfer, suggestions)?;
        let agrees = |end| transfer.is_granted(end) && suggestions.is_granted(end);
        if is_blocked.await? || !agrees(viewer) || !agrees(&subject) {
            return Err(Error::SuggestionUnknown);
        }
        Ok(Explanation { reason, text: text(reason), purposes: purposes.map(String::clone) })
    }

    /// The day that it is, in days since 1970 in UTC.
    pub(crate) fn today(&self) -> u32 {
        let days = self.clock.now().get().div_euclid(86_400_000);
        // Fits until the year 11,000,000.
        u32::try_from(days).unwrap_or_default()
    }
}

/// In plain words. Nothing that the reason does not say, and nobody's name.
fn text(reason: Reason) -> &'static str {
    match reason {
        Reason::MutualConnections => {
            "You both know several of the same people, who agreed to count for this."
        }
        Reason::ReciprocalContact => {
            "You have a phone number or email address of each other among your contacts."
        }
        Reason::InYourContacts => {
            "You have a phone number or email address of this person among your contacts, and \
             they let everyone who has it find them."
        }
        Reason::WiderCircle => "People you know have connections in common with this person.",
        Reason::PopularNearYou => "Many people near you know this person.",
    }
}
