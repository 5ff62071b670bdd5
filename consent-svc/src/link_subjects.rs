//! Accounts of one person.

use std::collections::BTreeSet;

use crate::{
    domain::{EventContent, Subject},
    error::Error,
    past::at_revision,
    store::{Change, Command, Outcome, Reply, RequestId, Scene, Store},
    writer::Writer,
};

/// The most accounts that one person may have: every check of one of them looks at all.
const MOST: usize = 16;

/// Says that subjects are accounts of one person. Whoever is linked to one of them already is
/// linked to all of them from now on. Gives everyone who is.
pub(crate) async fn link_subjects(
    writer: &Writer,
    store: &Store,
    request: RequestId,
    subject_ids: Vec<String>,
) -> Result<Vec<String>, Error> {
    let named = subject_ids.clone();
    let first = subject_ids[0].clone();
    let rule = move |scene: &Scene<'_>| {
        let mut all = BTreeSet::new();
        for id in &named {
            all.extend(scene.known(id)?.linked.iter().cloned());
            all.insert(id.clone());
        }
        if all.len() < 2 {
            return Err(Error::Relation("a subject cannot be linked to itself"));
        }
        if all.len() > MOST {
            return Err(Error::Relation("more than 16 accounts would be linked"));
        }
        let mut changes = Vec::new();
        for id in &all {
            let others = without(&all, id);
            if scene.known(id)?.linked != others {
                changes.push(scene.change(id, EventContent::Linked { with: others }));
            }
        }
        Ok(Outcome { changes, reply: Reply::default() })
    };
    let reply = writer.write(Command { request, subject_ids, rule: Box::new(rule) }).await?;
    // From its history, since the same is to be answered again later, unless it is erased.
    let subject = at_revision(store, &first, reply.revision).await?;
    let mut all: BTreeSet<String> = subject.linked.into_iter().collect();
    all.insert(first);
    Ok(all.into_iter().collect())
}

/// Takes subjects out of their links. Those that stay behind stay linked to one another.
pub(crate) async fn unlink_subjects(
    writer: &Writer,
    request: RequestId,
    subject_ids: Vec<String>,
) -> Result<Reply, Error> {
    let named = subject_ids.clone();
    let rule = move |scene: &Scene<'_>| {
        let leaving: BTreeSet<&String> = named.iter().collect();
        let mut changes = Vec::new();
        let mut behind = BTreeSet::new();
        for id in &leaving {
            let subject = scene.known(id)?;
            behind.extend(subject.linked.iter().filter(|other| !leaving.contains(other)));
            if !subject.linked.is_empty() {
                changes.push(scene.change(id, EventContent::Unlinked { with: Vec::new() }));
            }
        }
        for id in behind {
            changes.push(scene.change(id, leave(scene.known(id)?, &leaving)));
        }
        Ok(Outcome { changes, reply: Reply::default() })
    };
    writer.write(Command { request, subject_ids, rule: Box::new(rule) }).await
}

/// What happens to a subject that stays behind when others leave its links.
pub(crate) fn leave(subject: &Subject, leaving: &BTreeSet<&String>) -> EventContent {
    let with = subject.linked.iter().filter(|other| !leaving.contains(other));
    EventContent::Unlinked { with: with.cloned().collect() }
}

fn without(all: &BTreeSet<String>, one: &String) -> Vec<String> {
    all.iter().filter(|other| *other != one).cloned().collect()
}

/// What happens to those who are linked to a subject that leaves.
pub(crate) fn left_behind(
    scene: &Scene<'_>,
    id: &String,
    subject: &Subject,
) -> Result<Vec<Change>, Error> {
    let leaving = BTreeSet::from([id]);
    let others = subject.linked.iter();
    others.map(|other| Ok(scene.change(other, leave(scene.known(other)?, &leaving)))).collect()
}
