//! What happened since a position: how a replica keeps up, with its own writes too.

use std::collections::HashMap;

use identifiers::MatchKey;
use sea_orm::{
    DatabaseTransaction, EntityTrait, IsolationLevel, QueryFilter, QueryOrder, QuerySelect,
    prelude::*,
};
use service_kit::store::{self, StoreError};

use super::{
    Store,
    change::{Change, Parts},
    columns::{self, ROWS},
    entity::{address_book, change, contact_settings, identifier, person},
    people, position,
};
use crate::{
    domain::{Settings, Standing, Subject, address_book::entries},
    graph::{OwnedKey, Position},
};

/// Changes read at once: they may have 10,000 connections each, and readers wait while they are
/// applied.
const CHANGES: u64 = 32;

/// What there is to follow.
pub(crate) enum News {
    /// Nothing.
    None,
    /// Some writes.
    Some(Box<Delta>),
    /// Writes that are no longer known one by one: everything is to be read again.
    Lost,
}

/// What some writes changed, to be applied in the order of the fields.
pub(crate) struct Delta {
    /// The position after them.
    pub(crate) position: Position,
    pub(crate) consents: Vec<(Subject, Standing)>,
    pub(crate) keys: Vec<(Subject, Vec<OwnedKey>)>,
    pub(crate) settings: Vec<(Subject, Settings)>,
    pub(crate) books: Vec<(Subject, i64, Vec<MatchKey>)>,
    pub(crate) connections: Vec<(Subject, Subject, bool)>,
    pub(crate) blocks: Vec<(Subject, Subject, bool)>,
    /// Until when; `i64::MIN`: no longer.
    pub(crate) dismissals: Vec<(Subject, Subject, i64)>,
    pub(crate) risks: Vec<(Subject, bool)>,
}

impl Store {
    /// What happened after a position, or the beginning of it.
    pub(crate) async fn news(&self, after: Position) -> Result<News, StoreError> {
        // One snapshot: nothing that commits meanwhile is seen.
        store::transaction_at(&self.db, "follow", IsolationLevel::RepeatableRead, |tx| async move {
            let rows = change::Entity::find()
                .filter(change::Column::Seq.gt(after.sequence))
                .order_by_asc(change::Column::Seq)
                .limit(CHANGES)
                .all(&*tx)
                .await?;
            let Some(last) = rows.last() else {
                // Of another store's history, or of this one before it was set back to a copy.
                let current = position(&*tx).await? == after;
                return Ok(if current { News::None } else { News::Lost });
            };
            let last = Position { sequence: last.seq, mark: columns::mark(&last.mark) };
            // Not one may be missing, at the beginning or between: it may be the one that matters.
            if usize::try_from(last.sequence - after.sequence) != Ok(rows.len()) {
                return Ok(News::Lost);
            }
            let mut all = Change::default();
            for row in &rows {
                all.append(Change::decode(&row.body)?);
            }
            Ok(News::Some(Box::new(delta(&tx, last, all.into_parts()).await?)))
        })
        .await
    }
}

async fn delta(
    tx: &DatabaseTransaction,
    position: Position,
    parts: Parts,
) -> Result<Delta, StoreError> {
    Ok(Delta {
        position,
        consents: consents(tx, parts.people).await?,
        keys: keys(tx, parts.identifiers).await?,
        settings: settings(tx, parts.settings).await?,
        books: books(tx, parts.books).await?,
        connections: parts.connections,
        blocks: parts.blocks,
        dismissals: parts.dismissals,
        risks: parts.risks,
    })
}

async fn consents(
    tx: &DatabaseTransaction,
    subjects: Vec<String>,
) -> Result<Vec<(Subject, Standing)>, StoreError> {
    let mut known = HashMap::new();
    for chunk in subjects.chunks(ROWS) {
        let query = person::Entity::find().filter(person::Column::Subject.is_in(chunk));
        let rows = query.all(tx).await?;
        known.extend(rows.into_iter().map(|row| (row.subject.clone(), columns::standing(&row))));
    }
    // Whoever has no row has no consent in force.
    Ok(read(subjects, |subject| known.remove(subject).unwrap_or(Standing::NONE)))
}

async fn keys(
    tx: &DatabaseTransaction,
    subjects: Vec<String>,
) -> Result<Vec<(Subject, Vec<OwnedKey>)>, StoreError> {
    let mut known = HashMap::new();
    for chunk in subjects.chunks(ROWS) {
        let query = identifier::Entity::find().filter(identifier::Column::Subject.is_in(chunk));
        known.extend(people::by_subject(query.all(tx).await?)?);
    }
    Ok(read(subjects, |subject| known.remove(subject).unwrap_or_default()))
}

async fn settings(
    tx: &DatabaseTransaction,
    subjects: Vec<String>,
) -> Result<Vec<(Subject, Settings)>, StoreError> {
    let mut known = HashMap::new();
    for chunk in subjects.chunks(ROWS) {
        let query =
            contact_settings::Entity::find().filter(contact_settings::Column::Subject.is_in(chunk));
        for row in query.all(tx).await? {
            known.insert(row.subject.clone(), columns::settings(&row)?);
        }
    }
    Ok(read(subjects, |subject| known.remove(subject).unwrap_or_default()))
}

async fn books(
    tx: &DatabaseTransaction,
    subjects: Vec<String>,
) -> Result<Vec<(Subject, i64, Vec<MatchKey>)>, StoreError> {
    let mut books = Vec::with_capacity(subjects.len());
    // One by one: a book may have hundreds of kilobytes.
    for subject in subjects {
        let row = address_book::Entity::find_by_id(&*subject).one(tx).await?;
        let (synced, keys) = row.map_or((0, Vec::new()), |row| (row.synced, entries(&row.entries)));
        books.push((subject.into(), synced, keys));
    }
    Ok(books)
}

fn read<T>(subjects: Vec<String>, mut value: impl FnMut(&String) -> T) -> Vec<(Subject, T)> {
    let with = |subject: String| {
        let value = value(&subject);
        (subject.into(), value)
    };
    subjects.into_iter().map(with).collect()
}
