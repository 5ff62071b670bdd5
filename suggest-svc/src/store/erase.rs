//! Forgetting people whose consent to the transfer has ended, so that a later one starts from
//! nothing. Their blocks and settings stay: those are their own word, and protect them. Of who is
//! erased, nothing stays.

use sea_orm::{EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::*};
use service_kit::{clock::UnixMillis, store::StoreError};

use super::{
    Store,
    columns::ROWS,
    entity::{address_book, block, connection, contact_settings, identifier, person},
    people,
    writing::Writing,
};
use crate::{consents::Answers, domain::Subject, error::Error};

/// People forgotten in one transaction of the sweep: each may have thousands of connections, and
/// other writers wait.
const PEOPLE: u64 = 100;

impl Store {
    /// Forgets everybody whose consent has ended by `now`, as far as is known here.
    pub(crate) async fn forget_lapsed(&self, now: UnixMillis) -> Result<(), Error> {
        // Looked up first: a write takes a sequence number also when it changes nothing.
        while !lapsed(&self.db, now, 1).await?.is_empty() {
            let forget = |writing: Writing| async move {
                // Once more: this is not the same transaction.
                let people = lapsed(&*writing.tx, now, PEOPLE).await?;
                Ok(writing.erase(&people).await?)
            };
            self.write("forget lapsed", now, forget).await?;
        }
        Ok(())
    }

    /// Forgets those whom these answers deny, at once.
    pub(crate) async fn end_consents(
        &self,
        answers: &Answers,
        at: UnixMillis,
    ) -> Result<(), Error> {
        let end = |writing: Writing| async move { Ok(writing.end_consents(answers).await?) };
        self.write("end consents", at, end).await
    }
}

impl Writing {
    /// Forgets those whom these answers deny. Only those who are here are named: nothing is
    /// written about the others. An answer older than the one that is stored changes nothing.
    pub(super) async fn end_consents(&self, answers: &Answers) -> Result<(), StoreError> {
        let here = people::rows(&*self.tx, answers.denied()).await?;
        self.erase(&subjects(here.into_iter().filter(|row| is_current(row, answers)))).await
    }

    /// Forgets those of some people, whom these answers grant again, whose consent had ended
    /// before: what was stored under that one is not brought back by another.
    pub(super) async fn erase_lapsed(
        &self,
        people: &[&Subject],
        answers: &Answers,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        for chunk in people.chunks(ROWS) {
            let lapsed = person::Entity::find()
                .filter(person::Column::Subject.is_in(chunk.iter().map(|one| one.as_str())))
                .filter(person::Column::ConsentUntil.lte(now.get()));
            let lapsed = lapsed.all(&*self.tx).await?.into_iter();
            self.erase(&subjects(lapsed.filter(|row| is_current(row, answers)))).await?;
        }
        Ok(())
    }

    /// Forgets everything of people that is kept under their id, by them and about them. Whoever
    /// keeps more adds to it here, and to the columns of a sweep (`feed`) where it may name
    /// somebody who has no row.
    pub(super) async fn forget_entirely(&self, subjects: &[Subject]) -> Result<(), StoreError> {
        let here = people::rows(&*self.tx, subjects).await?;
        self.erase(&here.into_iter().map(|row| row.subject.into()).collect::<Vec<_>>()).await?;
        for chunk in subjects.chunks(ROWS) {
            self.forget_settings(chunk).await?;
            self.forget_blocks(chunk).await?;
            self.forget_feedback(chunk).await?;
            self.forget_buckets(chunk).await?;
        }
        Ok(())
    }

    async fn forget_settings(&self, subjects: &[Subject]) -> Result<(), StoreError> {
        let named = subjects.iter().map(Subject::as_str);
        let settings = contact_settings::Entity::delete_many()
            .filter(contact_settings::Column::Subject.is_in(named));
        let gone = settings.exec_with_returning(&*self.tx).await?;
        self.note(|change| gone.iter().for_each(|row| change.settings(&row.subject[..].into())));
        Ok(())
    }

    async fn forget_blocks(&self, subjects: &[Subject]) -> Result<(), StoreError> {
        for column in [block::Column::Subject, block::Column::Blocked] {
            let blocks = block::Entity::delete_many()
                .filter(column.is_in(subjects.iter().map(Subject::as_str)));
            for row in blocks.exec_with_returning(&*self.tx).await? {
                let (one, other) = (row.subject.into(), row.blocked.into());
                self.note(|change| change.block(&one, &other, false));
            }
        }
        Ok(())
    }

    /// Forgets people: identifiers, connections in both directions, address books, what they have
    /// uploaded, and that they were here.
    pub(super) async fn erase(&self, people: &[Subject]) -> Result<(), StoreError> {
        for chunk in people.chunks(ROWS) {
            let named = || chunk.iter().map(Subject::as_str);
            for end in [connection::Column::Subject, connection::Column::Other] {
                let mine = connection::Entity::delete_many().filter(end.is_in(named()));
                let gone = mine.exec_with_returning(&*self.tx).await?;
                self.note(|change| {
                    for row in gone {
                        change.connection(&row.subject.into(), &row.other.into(), false);
                    }
                });
            }
            self.leave_keys_of(chunk).await?;
            identifier::Entity::delete_many()
                .filter(identifier::Column::Subject.is_in(named()))
                .exec(&*self.tx)
                .await?;
            address_book::Entity::delete_many()
                .filter(address_book::Column::Subject.is_in(named()))
                .exec(&*self.tx)
                .await?;
            self.forget_uploaded(chunk).await?;
            self.forget_ranges(chunk).await?;
            person::Entity::delete_many()
                .filter(person::Column::Subject.is_in(named()))
                .exec(&*self.tx)
                .await?;
            self.forget_risk(chunk).await?;
            self.note(|change| {
                for subject in chunk {
                    change.person(subject);
                    change.identifiers(subject);
                    change.book(subject);
                }
            });
        }
        Ok(())
    }
}

/// Whether what was said of a person is not older than what is stored.
fn is_current(row: &person::Model, answers: &Answers) -> bool {
    answers.of(&row.subject.as_str().into()).is_some_and(|said| said.revision >= row.revision)
}

/// Some of those whose consent has ended by `now`.
async fn lapsed(
    db: &impl ConnectionTrait,
    now: UnixMillis,
    at_most: u64,
) -> Result<Vec<Subject>, StoreError> {
    let rows = person::Entity::find()
        .filter(person::Column::ConsentUntil.lte(now.get()))
        .order_by_asc(person::Column::ConsentUntil)
        .limit(at_most)
        .all(db)
        .await?;
    Ok(subjects(rows))
}

fn subjects(rows: impl IntoIterator<Item = person::Model>) -> Vec<Subject> {
    rows.into_iter().map(|row| row.subject.into()).collect()
}
