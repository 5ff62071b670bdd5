//! Who is counted.

use std::collections::HashMap;

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, Statement, Value,
    sea_query::{Expr, OnConflict},
};
use service_kit::clock::UnixMillis;

use crate::{
    domain::{AgreedToCount, NOBODY, Until},
    error::Error,
    store::{
        columns::{big, number},
        entity::{usage_counter as counter, usage_person as table},
        failed,
    },
};

/// The most rows of one statement: with four columns a row this stays below the 32,766 values that
/// SQLite binds.
const SOME: usize = 8_000;

/// Somebody who is counted.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) subject_id: String,
    /// Stands for the person in bitmaps. Nobody else ever has it.
    pub(crate) ordinal: u32,
    /// As last heard.
    pub(crate) agreed: AgreedToCount,
}

impl Person {
    fn of(row: table::Model) -> Result<Self, Error> {
        let table::Model { subject_id, ordinal, valid_until, revision } = row;
        let agreed =
            AgreedToCount { until: Until::stored(valid_until), revision: number(revision)? };
        Ok(Self { subject_id, ordinal: number(ordinal)?, agreed })
    }

    fn row(self) -> table::ActiveModel {
        table::ActiveModel {
            subject_id: Set(self.subject_id),
            ordinal: Set(self.ordinal.into()),
            valid_until: Set(self.agreed.until.column()),
            revision: Set(big(self.agreed.revision)),
        }
    }
}

/// Those of the subjects who have a row here, whether or not it still counts.
pub(crate) async fn known<S: AsRef<str>>(
    db: &impl ConnectionTrait,
    subject_ids: impl IntoIterator<Item = S>,
) -> Result<HashMap<String, Person>, Error> {
    // One value, so that the statement is the same for every length. Ids of the contract's syntax
    // hold neither commas nor quotes.
    let joined = |separator| {
        let ids: Vec<_> = subject_ids.into_iter().collect();
        ids.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(separator)
    };
    let backend = db.get_database_backend();
    let (among, list) = match backend {
        DbBackend::Postgres => ("= ANY(string_to_array($1, ','))", joined(",")),
        _ => ("IN (SELECT value FROM json_each($1))", format!("[\"{}\"]", joined("\",\""))),
    };
    let query = format!(
        "SELECT subject_id, ordinal, valid_until, revision FROM usage_person WHERE subject_id {among}"
    );
    let query = Statement::from_sql_and_values(backend, query, [Value::from(list)]);
    let rows = table::Entity::find().from_raw_sql(query).all(db).await.map_err(failed)?;
    let person = |row| Person::of(row).map(|person| (person.subject_id.clone(), person));
    rows.into_iter().map(person).collect()
}

/// A page of those who have a row here after a subject, in the order of their ids.
pub(crate) async fn page_of(
    db: &impl ConnectionTrait,
    after: &str,
    limit: u64,
) -> Result<Vec<Person>, Error> {
    let rows = table::Entity::find()
        .filter(table::Column::SubjectId.gt(after))
        .order_by_asc(table::Column::SubjectId)
        .limit(limit)
        .all(db)
        .await
        .map_err(failed)?;
    rows.into_iter().map(Person::of).collect()
}

/// Removes those whose consent has run out.
pub(crate) async fn expire(db: &impl ConnectionTrait, now: UnixMillis) -> Result<(), Error> {
    let over = table::Column::ValidUntil.lte(now.get());
    table::Entity::delete_many().filter(over).exec(db).await.map(drop).map_err(failed)
}

/// The only one who adds and removes people until its transaction ends.
#[derive(Debug)]
pub(crate) struct Writer {
    next_ordinal: i64,
}

/// Waits until nobody else adds or removes people.
pub(crate) async fn people(tx: &DatabaseTransaction) -> Result<Writer, Error> {
    let row = counter::Entity::find_by_id(1).lock_exclusive().one(tx).await.map_err(failed)?;
    let row = row.ok_or(Error::Internal("usage has no counter"))?;
    Ok(Writer { next_ordinal: row.next_ordinal })
}

impl Writer {
    /// Adds those who agreed, each named once, and gives the ordinals of all who did.
    pub(crate) async fn admit(
        mut self,
        tx: &DatabaseTransaction,
        agreed: &[(&str, AgreedToCount)],
        now: UnixMillis,
    ) -> Result<Vec<u32>, Error> {
        let agreed = || agreed.iter().filter(|(_, agreed)| agreed.until.holds(now));
        let known = known(tx, agreed().map(|(subject_id, _)| *subject_id)).await?;
        let (mut ordinals, mut new) = (Vec::new(), Vec::new());
        for (subject_id, agreed) in agreed() {
            // Whoever was gone, if only by the clock, comes back as somebody new.
            let held = known.get(*subject_id).filter(|held| held.agreed.until.holds(now));
            let ordinal = match held {
                Some(held) => held.ordinal,
                None => self.take_ordinal()?,
            };
            ordinals.push(ordinal);
            if held.is_none() {
                let subject_id = (*subject_id).to_owned();
                new.push(Person { subject_id, ordinal, agreed: *agreed });
            }
        }
        save(tx, new).await?;
        counter::Entity::update_many()
            .col_expr(counter::Column::NextOrdinal, Expr::value(self.next_ordinal))
            .filter(counter::Column::Id.eq(1))
            .exec(tx)
            .await
            .map_err(failed)?;
        Ok(ordinals)
    }

    /// Settles what was heard of subjects: who does not agree any more is removed. Nobody is added.
    pub(crate) async fn hear(
        self,
        tx: &DatabaseTransaction,
        heard: &[(&str, AgreedToCount)],
        now: UnixMillis,
    ) -> Result<(), Error> {
        let known = known(tx, heard.iter().map(|(subject_id, _)| *subject_id)).await?;
        let (mut leaving, mut staying) = (Vec::new(), Vec::new());
        for (subject_id, agreed) in heard {
            let Some(held) = known.get(*subject_id) else { continue };
            // Heard of later than this was.
            if held.agreed.revision > agreed.revision || held.agreed == *agreed {
                continue;
            }
            if held.agreed.until.holds(now) && agreed.until.holds(now) {
                staying.push(Person { agreed: *agreed, ..held.clone() });
            } else {
                leaving.push(held.ordinal);
            }
        }
        for some in leaving.chunks(SOME) {
            let these = table::Column::Ordinal.is_in(some.iter().copied().map(i64::from));
            let delete = table::Entity::delete_many().filter(these);
            delete.exec(tx).await.map_err(failed)?;
        }
        save(tx, staying).await
    }

    fn take_ordinal(&mut self) -> Result<u32, Error> {
        let ordinal = number(self.next_ordinal)?;
        if ordinal == NOBODY {
            return Err(Error::Internal("all ordinals were given away"));
        }
        self.next_ordinal += 1;
        Ok(ordinal)
    }
}

async fn save(tx: &DatabaseTransaction, people: Vec<Person>) -> Result<(), Error> {
    let mut rows = people.into_iter().map(Person::row).peekable();
    while rows.peek().is_some() {
        let some: Vec<_> = rows.by_ref().take(SOME).collect();
        let columns = [table::Column::Ordinal, table::Column::ValidUntil, table::Column::Revision];
        let again = OnConflict::column(table::Column::SubjectId).update_columns(columns).to_owned();
        let insert = table::Entity::insert_many(some).on_conflict(again);
        insert.exec_without_returning(tx).await.map_err(failed)?;
    }
    Ok(())
}
