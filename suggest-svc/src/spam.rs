//! Reports of spam and the risk of accounts: for the platform, and so that risky accounts are not
//! suggested.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use prost::Message;
use service_kit::clock::UnixMillis;

use crate::{
    consents::Answers,
    domain::{
        Subject,
        spam::{self, Risk, Signals},
    },
    error::Error,
    graph::Sample,
    service::Suggest,
    sketch::CountMin,
    store::{Complaints, Once, Review},
};

/// Connections that began within this are new.
const LATELY: Duration = Duration::from_hours(24);
/// An account that is a risk is looked at again after this, if nothing happens before.
const AGAIN: Duration = Duration::from_hours(24);
/// Accounts reviewed before what was found is stored.
const REVIEWS: u64 = 20;
/// New connections of an account at a replica after which its risk is computed once more: fewer
/// than where the signal begins, since other replicas see others.
const BURST_STEP: u16 = 16;

/// How many new connections whoever has today, as far as this replica was told.
pub(crate) struct NewConnections(Mutex<(u32, CountMin)>, RandomState);

impl NewConnections {
    /// Nobody has any.
    pub(crate) fn new() -> Self {
        Self(Mutex::new((0, CountMin::new())), RandomState::new())
    }
}

/// Everything that may count of an account, before anybody's consent was asked.
struct Evidence {
    contacts: Sample<(Subject, bool)>,
    adjacent: Sample<Subject>,
    complaints: Complaints,
}

impl Suggest {
    /// Stores that a person reports an account. Whether there is such an account is not looked up.
    pub(crate) async fn report_spam<R: Message + Default>(
        &self,
        once: &Once,
        subject: &Subject,
        reported: &Subject,
        answer: impl Fn() -> R + Sync,
    ) -> Result<R, Error> {
        let (spam, answer) = (&self.spam, &answer);
        let since = once.at.minus(spam.reports_for.get());
        let at_most = spam.max_reports_per_person;
        let answer = self
            .store
            .once("report spam", once, |writing| async move {
                // There is nobody any more whom it is about.
                if writing.is_erased(&self.seal.person(reported)).await? {
                    return Ok(answer());
                }
                writing.report(subject, reported, [since, once.at], at_most).await?;
                Ok(answer())
            })
            .await?;
        self.reviews.notify_one();
        Ok(answer)
    }

    /// The risk of an account, and when it was computed. Nothing is known against one that has not
    /// agreed to be looked at for this, and nobody counts who has not.
    pub(crate) async fn spam_risk(&self, account: &Subject) -> Result<(Risk, UnixMillis), Error> {
        let (signals, at) = self.signals(account).await?;
        Ok((signals.map(|signals| spam::risk(&signals)).unwrap_or_default(), at))
    }

    /// Which of these accounts agree, at this moment, to be looked at for spam.
    pub(crate) async fn agreed_to_spam(&self, accounts: Vec<&Subject>) -> Result<Answers, Error> {
        self.consents.check(&self.purposes.spam, accounts).await
    }

    /// Ends of new connections of whom there were that many lately: their risk may have changed.
    pub(crate) fn bursts<'s>(
        &self,
        ends: impl Iterator<Item = (&'s Subject, UnixMillis)>,
    ) -> Vec<Subject> {
        let since = self.clock.now().minus(LATELY);
        let new = ends.filter(|(_, at)| *at >= since).map(|(end, _)| end);
        let mut counts = self.new_connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        let today = self.today();
        if counts.0 != today {
            *counts = (today, CountMin::new());
        }
        let hasher = &self.new_connections.1;
        let bursts =
            new.filter(|end| counts.1.count(hasher.hash_one(end)).is_multiple_of(BURST_STEP));
        let bursts: HashSet<&Subject> = bursts.collect();
        bursts.into_iter().cloned().collect()
    }

    /// Computes the risk of accounts whenever something happened that may change it, and stores
    /// which are not to be suggested. Does not end.
    pub(crate) async fn review(&self) {
        loop {
            tokio::select! {
                () = self.clock.sleep(self.spam.review_interval.get()) => {}
                () = self.reviews.notified() => {}
            }
            // What was not done is done at the next turn.
            if let Err(error) = self.review_all().await {
                tracing::warn!(%error, "cannot compute the risk of accounts");
            }
        }
    }

    async fn review_all(&self) -> Result<(), Error> {
        loop {
            let now = self.clock.now();
            let reviews = self.store.reviews(now.minus(AGAIN), REVIEWS).await?;
            if reviews.is_empty() {
                return Ok(());
            }
            let mut results: Vec<(Review, bool)> = Vec::with_capacity(reviews.len());
            for review in reviews {
                let (signals, _) = self.signals(&review.account).await?;
                let score = signals.map(|signals| spam::risk(&signals.without_uploads()).score);
                let is_risky = score.is_some_and(|score| score > self.spam.max_risk);
                results.push((review, is_risky));
            }
            self.store.reviewed(&results, now).await?;
            self.live.written();
        }
    }

    /// What is counted of an account at this moment: nothing when it has not agreed.
    async fn signals(&self, account: &Subject) -> Result<(Option<Signals>, UnixMillis), Error> {
        let now = self.clock.now();
        let evidence = self.evidence(account).await?;
        let answers = self.agreed_to_spam(evidence.people(account)).await?;
        let signals = answers.is_granted(account).then(|| evidence.count(&answers));
        Ok((signals, now))
    }

    async fn evidence(&self, account: &Subject) -> Result<Evidence, Error> {
        let at_most = self.spam.max_people;
        let now = self.clock.now();
        let since = [now.minus(self.spam.reports_for.get()), now.minus(LATELY)];
        let graph = self.live.read(|graph| {
            let person = graph.ordinal(account)?;
            Some((graph.sample_contacts(person, at_most), graph.sample_neighbours(person, at_most)))
        });
        let (contacts, adjacent) = graph.await?.unwrap_or_default();
        let complaints = self.store.complaints(account, since, at_most as u64).await?;
        Ok(Evidence { contacts, adjacent, complaints })
    }
}

impl Evidence {
    /// The account and everybody who may count.
    fn people<'s>(&'s self, account: &'s Subject) -> Vec<&'s Subject> {
        let Complaints { blockers, reporters, new_connections } = &self.complaints;
        let contacts = self.contacts.some.iter().map(|(subject, _)| subject);
        let lists = [&self.adjacent.some, blockers, reporters, new_connections];
        lists.into_iter().flatten().chain(contacts).chain([account]).collect()
    }

    /// Counts those who agreed. Of lists of which only some were looked at, as many of all as of
    /// those.
    fn count(&self, answers: &Answers) -> Signals {
        let granted = |subject: &&Subject| answers.is_granted(subject);
        let Complaints { blockers, reporters, new_connections } = &self.complaints;
        let adjacent: HashSet<&Subject> = self.adjacent.some.iter().filter(granted).collect();
        let mut complained: HashSet<&Subject> =
            blockers.iter().chain(reporters).filter(granted).collect();
        complained.retain(|subject| !adjacent.contains(subject));
        let contacts = self.contacts.some.iter().filter(|(subject, _)| granted(&subject));
        let returned = contacts.clone().filter(|(_, returned)| *returned);
        let of_contacts = |count| scaled(count, self.contacts.some.len(), self.contacts.total);
        let of_adjacent = scaled(adjacent.len(), self.adjacent.some.len(), self.adjacent.total);
        Signals {
            contacts: of_contacts(contacts.count()),
            returned: of_contacts(returned.count()),
            new_connections: number(new_connections.iter().filter(granted).count()),
            reached: of_adjacent.saturating_add(number(complained.len())),
            blocked: number(blockers.iter().filter(granted).count()),
            reported: number(reporters.iter().filter(granted).count()),
        }
    }
}

/// How many of all, when it is `count` of some.
fn scaled(count: usize, some: usize, all: usize) -> u32 {
    number(count.saturating_mul(all) / some.max(1))
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
