//! Answering "may we?", for one subject or many.
//!
//! A check notes when it starts, and asks the cache; what it does not find it reads from the store,
//! in a statement that begins after that. So a change that was acknowledged before a check started
//! is in its answer. Deadlines are evaluated at an interval that the present instant is known to be
//! in.

use std::{collections::HashMap, sync::Arc};

use crate::{
    audit::Audit,
    cache::{Answers, BootTime, Cache, Lookup, Metrics, Permit, encode},
    domain::{Decision, Interval, Policies, Reason, answers, decide_throughout},
    error::Error,
    store::{Reading, Store},
};

/// Answers checks. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Checker {
    store: Store,
    cache: Arc<Cache>,
    metrics: Metrics,
    audit: Audit,
}

/// One answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) decision: Decision,
    /// 0 for an unknown subject.
    pub(crate) revision: u64,
}

/// When a check started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    at: BootTime,
    /// What time it was then for the database.
    pub(crate) now: Interval,
}

/// The most subjects in one statement: a larger batch takes several, one after the other.
const SUBJECTS_A_READ: usize = 2_500;

impl Checker {
    pub(crate) fn new(store: &Store, cache: &Arc<Cache>, metrics: Metrics, audit: Audit) -> Self {
        Self { store: store.clone(), cache: cache.clone(), metrics, audit }
    }

    /// A check starts.
    pub(crate) fn start(&self) -> Start {
        let at = BootTime::now();
        Start { at, now: self.store.now() }
    }

    /// May this be done with this subject's data?
    pub(crate) async fn check(
        &self,
        subject_id: &str,
        purpose_id: &str,
        start: Start,
    ) -> Result<Answer, Error> {
        let policies = self.store.policies_at_hand();
        let permit = match self.cache.get(subject_id, start.at).await {
            Lookup::Hit(bytes) => {
                if let Some(answer) = self.kept(&bytes, &policies, purpose_id, start.now) {
                    self.metrics.looked_up("hit", 1);
                    self.audit.offer(subject_id, purpose_id);
                    return Ok(answer);
                }
                self.metrics.looked_up("expired", 1);
                self.cache.renew(subject_id, start.at).await
            }
            Lookup::Miss(permit) => {
                let found = if permit.is_some() { "miss" } else { "unusable" };
                self.metrics.looked_up(found, 1);
                permit
            }
        };
        let reading = self.store.read(subject_id).await?;
        Ok(self.read(&reading, subject_id, purpose_id, start, permit))
    }

    /// The same for many subjects, by their index.
    pub(crate) async fn batch_check(
        &self,
        subject_ids: &[String],
        purpose_id: &str,
        start: Start,
    ) -> Result<Vec<Answer>, Error> {
        let policies = self.store.policies_at_hand();
        let unknown = Answer { decision: Decision::denied(Reason::UnknownSubject), revision: 0 };
        let mut answers = vec![unknown; subject_ids.len()];
        let mut missing: Vec<(usize, Option<Permit>)> = Vec::new();
        let (mut hits, mut misses, mut unusable, mut expired) = (0, 0, 0, 0);
        let found = self.cache.get_many(subject_ids, start.at).await;
        for (index, found) in found.into_iter().enumerate() {
            match found {
                Lookup::Hit(bytes) => {
                    if let Some(answer) = self.kept(&bytes, &policies, purpose_id, start.now) {
                        hits += 1;
                        self.audit.offer(&subject_ids[index], purpose_id);
                        answers[index] = answer;
                    } else {
                        // Renewed by whoever asks for it alone.
                        expired += 1;
                        missing.push((index, None));
                    }
                }
                Lookup::Miss(permit) => {
                    if permit.is_some() {
                        misses += 1;
                    } else {
                        unusable += 1;
                    }
                    missing.push((index, permit));
                }
            }
        }
        self.metrics.looked_up("hit", hits);
        self.metrics.looked_up("miss", misses);
        self.metrics.looked_up("unusable", unusable);
        self.metrics.looked_up("expired", expired);
        while !missing.is_empty() {
            let rest = missing.split_off(missing.len().min(SUBJECTS_A_READ));
            let ids: Vec<&String> = missing.iter().map(|(index, _)| &subject_ids[*index]).collect();
            let reading = self.store.read_many(&ids).await?;
            // A subject may stand there twice: its answer is the same.
            let mut evaluated: HashMap<&str, Answer> = HashMap::with_capacity(missing.len());
            for (index, permit) in missing {
                let subject_id = subject_ids[index].as_str();
                answers[index] = *evaluated
                    .entry(subject_id)
                    .or_insert_with(|| self.read(&reading, subject_id, purpose_id, start, permit));
            }
            missing = rest;
        }
        Ok(answers)
    }

    /// What the cache, and it alone, answers now.
    pub(crate) async fn kept_now(&self, subject_id: &str, purpose_id: &str) -> Option<Decision> {
        let start = self.start();
        let policies = self.store.policies_at_hand();
        let Lookup::Hit(bytes) = self.cache.get(subject_id, start.at).await else { return None };
        Some(self.kept(&bytes, &policies, purpose_id, start.now)?.decision)
    }

    /// The answer in what was read; keeps all of the subject's answers if that is permitted.
    fn read(
        &self,
        reading: &Reading,
        subject_id: &str,
        purpose_id: &str,
        start: Start,
        permit: Option<Permit>,
    ) -> Answer {
        let policies = &reading.policies;
        reading.with_person(subject_id, |person| {
            let known = reading.known(subject_id);
            // Unknown subjects are not kept: anybody could fill the cache with them.
            if let (Some(known), Some(permit)) = (known, permit)
                && !known.fenced
            {
                // From the earliest instant that now can be: they hold from then on.
                let all = answers(policies, person, start.now.earliest);
                // While there is no purpose at all, answers could not say that it is erased.
                if !all.is_empty() {
                    let value = encode(policies.epoch(), known.revision, &all);
                    self.cache.fill(subject_id, permit, value);
                }
            }
            let decision = decide_throughout(policies, person, purpose_id, start.now);
            Answer { decision, revision: known.map_or(0, |known| known.revision) }
        })
    }

    /// The answer in what was kept, if it is still good: not if it was computed with policies that
    /// are not at hand, nor if one of its deadlines may have passed.
    fn kept(
        &self,
        bytes: &[u8],
        policies: &Policies,
        purpose_id: &str,
        now: Interval,
    ) -> Option<Answer> {
        let kept = Answers::decode(bytes)?;
        let good = match &*self.cache {
            // A change of policies takes nothing out of it.
            Cache::InProcess(_) => kept.epoch == policies.epoch(),
            // A change of policies opens a new generation, so these differ in drafts at most.
            _ => kept.epoch <= policies.epoch(),
        };
        let answer = policies.slot(purpose_id).and_then(|slot| kept.of(slot));
        let decision = answer.unwrap_or_else(|| kept.of_unknown_purpose());
        (good && decision.still_holds(now)).then_some(Answer { decision, revision: kept.revision })
    }
}
