//! What a look-up needs of the database, in one statement.

use std::collections::HashSet;

use sea_orm::{ConnectionTrait, FromQueryResult, Statement};

use super::{columns::number, failed};
use crate::{
    domain::{Agreed, Until},
    error::Error,
};

/// Somebody who is looked up.
#[derive(Debug)]
pub(crate) struct Person {
    /// Stands for the subject in lists.
    pub(crate) ordinal: u32,
    /// What it has agreed to, as last heard.
    pub(crate) agreed: Agreed,
    /// The businesses that it has left.
    pub(crate) left: HashSet<String>,
    /// The last change of lists.
    pub(crate) lists_at: i64,
}

/// A row for each business that the subject has left, and one if there is none.
const PERSON: &str = "
SELECT person.ordinal, person.valid_until, person.ads_until, person.revision,
       lists.last_change, departure.business_id
FROM directory_subject AS person
JOIN list_counter AS lists ON lists.id = 1
LEFT JOIN departure ON departure.subject_id = person.subject_id
WHERE person.subject_id = $1";

#[derive(FromQueryResult)]
struct Row {
    ordinal: i64,
    valid_until: i64,
    ads_until: i64,
    revision: i64,
    last_change: i64,
    business_id: Option<String>,
}

/// A subject that is in the directory, whether or not its row still counts.
pub(crate) async fn person(
    db: &impl ConnectionTrait,
    subject_id: &str,
) -> Result<Option<Person>, Error> {
    let backend = db.get_database_backend();
    let query = Statement::from_sql_and_values(backend, PERSON, [subject_id.into()]);
    let rows = Row::find_by_statement(query).all(db).await.map_err(failed)?;
    let Some(first) = rows.first() else { return Ok(None) };
    let agreed = Agreed {
        transfer: Until::stored(first.valid_until),
        ads: Until::stored(first.ads_until),
        revision: number(first.revision)?,
    };
    let (ordinal, lists_at) = (number(first.ordinal)?, first.last_change);
    let left = rows.into_iter().filter_map(|row| row.business_id).collect();
    Ok(Some(Person { ordinal, agreed, left, lists_at }))
}
