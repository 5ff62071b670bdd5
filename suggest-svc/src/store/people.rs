//! What the app says of people: consent as it was seen, identifiers, connections.

use std::collections::{BTreeSet, HashMap};

use hashbrown::HashSet;
use identifiers::MatchKey;
use sea_orm::{
    ActiveValue::Set,
    DbBackend, EntityTrait, ExprTrait, QueryResult, Statement, Value,
    prelude::*,
    sea_query::{ArrayType, Expr, OnConflict},
};
use service_kit::{clock::UnixMillis, store::StoreError};

use super::{
    columns::{self, ROWS},
    entity::{connection, identifier, person},
    writing::Writing,
};
use crate::{consents::Answers, domain::Subject};

/// Connections that are known are written again only when a date comes with them.
const CONNECT: &str = "
INSERT INTO connection (subject, other, connected_at)
SELECT subject, other, NULLIF(at, -9223372036854775808)
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS new (subject, other, at)
ON CONFLICT (subject, other) DO UPDATE SET connected_at = excluded.connected_at
WHERE excluded.connected_at IS NOT NULL";

/// Stands for no date in [`CONNECT`]: an array of the ORM has no nulls.
const UNDATED: i64 = i64::MIN;

impl Writing {
    /// Stores how the consent to the transfer stands for `granted` people, who get a row, and
    /// forgets people for whom it is not granted. An answer older than the one that is stored
    /// changes nothing. After a denial nothing is stored to be older than: the answers must be
    /// those of `Suggest::still`.
    ///
    /// Of `settled` people all this is stored already: they are in force and not looked at.
    ///
    /// Gives those of `granted` whose consent is in force now: of the others nothing may be stored.
    pub(crate) async fn put_consents<'s>(
        &self,
        answers: &Answers,
        granted: impl IntoIterator<Item = &'s Subject>,
        settled: HashSet<Subject>,
        now: UnixMillis,
    ) -> Result<HashSet<Subject>, StoreError> {
        let granted = granted.into_iter().filter(|subject| !settled.contains(*subject));
        let granted: BTreeSet<&Subject> = granted.collect();
        let granted: Vec<&Subject> = granted.into_iter().collect();
        self.erase_lapsed(&granted, answers, now).await?;
        let rows: Vec<_> = granted
            .iter()
            .filter_map(|subject| {
                let said = answers.of(subject)?;
                Some(person::ActiveModel {
                    subject: Set(subject.to_string()),
                    consent_until: Set(said.until?),
                    suggest_until: Set(said.uses.map(|uses| uses.suggest)),
                    spam_until: Set(said.uses.map(|uses| uses.spam)),
                    revision: Set(said.revision),
                })
            })
            .collect();
        for chunk in rows.chunks(ROWS) {
            let newer = Expr::col(("excluded", person::Column::Revision))
                .gte(Expr::col((person::Entity, person::Column::Revision)));
            // What was not asked about stays as it is.
            let asked = |column| {
                Expr::col(("excluded", column)).if_null(Expr::col((person::Entity, column)))
            };
            let (suggest, spam) = (person::Column::SuggestUntil, person::Column::SpamUntil);
            let replace = OnConflict::column(person::Column::Subject)
                .update_columns([person::Column::ConsentUntil, person::Column::Revision])
                .value(suggest, asked(suggest))
                .value(spam, asked(spam))
                .action_and_where(newer)
                .to_owned();
            person::Entity::insert_many(chunk.to_vec())
                .on_conflict(replace)
                .exec_without_returning(&*self.tx)
                .await?;
        }
        self.note(|change| granted.iter().for_each(|subject| change.person(subject)));
        self.end_consents(answers).await?;
        let mut all = settled;
        all.extend(in_force(&*self.tx, &granted, now).await?);
        Ok(all)
    }

    /// Replaces people's identifiers. A key that stays keeps the sequence number since which it is
    /// theirs.
    pub(crate) async fn replace_identifiers(
        &self,
        people: &[(Subject, Vec<MatchKey>)],
    ) -> Result<(), StoreError> {
        let mut before: HashSet<(String, Vec<u8>)> = HashSet::new();
        for chunk in people.chunks(ROWS) {
            let subjects = chunk.iter().map(|(subject, _)| subject.as_str());
            let query =
                identifier::Entity::find().filter(identifier::Column::Subject.is_in(subjects));
            let rows = query.all(&*self.tx).await?;
            before.extend(rows.into_iter().map(|row| (row.subject, row.match_key)));
        }
        let mut new = Vec::new();
        for (subject, keys) in people {
            for key in keys.iter().collect::<BTreeSet<_>>() {
                let pair = (subject.to_string(), key.as_bytes().to_vec());
                if !before.remove(&pair) {
                    let (subject, match_key) = (Set(pair.0), Set(pair.1));
                    new.push(identifier::ActiveModel {
                        subject,
                        match_key,
                        since: Set(self.sequence),
                    });
                }
            }
        }
        self.leave_keys(before.iter().map(|(_, key)| key.clone()).collect()).await?;
        let gone = before.into_iter().map(|(subject, key)| [subject.into(), key.into()]);
        self.delete_pairs("identifier", ["subject", "match_key"], gone.collect()).await?;
        for chunk in new.chunks(ROWS) {
            let insert = identifier::Entity::insert_many(chunk.to_vec());
            insert.exec_without_returning(&*self.tx).await?;
        }
        self.note(|change| people.iter().for_each(|(subject, _)| change.identifiers(subject)));
        Ok(())
    }

    /// Stores connections, both directions of each. One that is known keeps its date when none
    /// comes with it. They are quickest in the order of [`ordered`].
    pub(crate) async fn connect(
        &self,
        connections: &[(&Subject, &Subject, Option<UnixMillis>)],
    ) -> Result<(), StoreError> {
        let row = |(one, other, at)| (ordered(one, other), Option::map(at, UnixMillis::get));
        let mut rows: Vec<_> = connections.iter().copied().map(row).collect();
        // In the order of the index; the later of two is the later one still.
        rows.sort_by_key(|(pair, _)| *pair);
        // One statement must not touch a row twice.
        rows.dedup_by(|later, known| {
            let is_known = later.0 == known.0;
            if is_known {
                known.1 = later.1.or(known.1);
            }
            is_known
        });
        if self.tx.get_database_backend() == DbBackend::Postgres {
            self.insert_connections(&rows).await?;
        } else {
            for chunk in rows.chunks(ROWS) {
                self.insert_some_connections(chunk).await?;
            }
        }
        self.note(|change| {
            for (one, other, _) in connections {
                change.connection(one, other, true);
            }
        });
        Ok(())
    }

    async fn insert_some_connections(
        &self,
        rows: &[((&Subject, &Subject), Option<i64>)],
    ) -> Result<(), StoreError> {
        let models = rows.iter().map(|((subject, other), at)| connection::ActiveModel {
            subject: Set(subject.to_string()),
            other: Set(other.to_string()),
            connected_at: Set(*at),
        });
        let date = connection::Column::ConnectedAt;
        let dated = Expr::col(("excluded", date)).if_null(Expr::col((connection::Entity, date)));
        let keep = OnConflict::columns([connection::Column::Subject, connection::Column::Other])
            .value(date, dated)
            .to_owned();
        let insert = connection::Entity::insert_many(models).on_conflict(keep);
        insert.exec_without_returning(&*self.tx).await?;
        Ok(())
    }

    /// The same in one statement, a column a parameter: PostgreSQL is much quicker with three arrays
    /// than with as many parameters as there are values.
    async fn insert_connections(
        &self,
        rows: &[((&Subject, &Subject), Option<i64>)],
    ) -> Result<(), StoreError> {
        let text = |subject: &Subject| Value::from(subject.as_str());
        let columns = [
            (ArrayType::String, rows.iter().map(|((subject, _), _)| text(subject)).collect()),
            (ArrayType::String, rows.iter().map(|((_, other), _)| text(other)).collect()),
            (
                ArrayType::BigInt,
                rows.iter().map(|(_, at)| Value::from(at.unwrap_or(UNDATED))).collect(),
            ),
        ];
        let arrays =
            columns.map(|(kind, values): (_, Vec<_>)| Value::Array(kind, Some(Box::new(values))));
        let insert = Statement::from_sql_and_values(DbBackend::Postgres, CONNECT, arrays);
        self.tx.execute_raw(insert).await?;
        Ok(())
    }

    /// Removes connections; those that are not there, silently.
    pub(crate) async fn disconnect(
        &self,
        connections: &[(Subject, Subject)],
    ) -> Result<(), StoreError> {
        let pairs = connections.iter().map(|(one, other)| {
            let (one, other) = ordered(one, other);
            [one.as_str().into(), other.as_str().into()]
        });
        let gone = self.delete_pairs("connection", ["subject", "other"], pairs.collect()).await?;
        for row in gone {
            let [one, other] = ["subject", "other"].map(|column| row.try_get("", column));
            let (one, other): (String, String) = (one?, other?);
            self.note(|change| change.connection(&one.into(), &other.into(), false));
        }
        Ok(())
    }

    /// Deletes rows by two columns; gives those columns of the rows that were there.
    async fn delete_pairs(
        &self,
        table: &str,
        columns: [&str; 2],
        pairs: Vec<[Value; 2]>,
    ) -> Result<Vec<QueryResult>, StoreError> {
        let [first, second] = columns;
        let mut gone = Vec::new();
        for chunk in pairs.chunks(ROWS) {
            let places: Vec<String> =
                (0..chunk.len()).map(|n| format!("(${}, ${})", 2 * n + 1, 2 * n + 2)).collect();
            // The ORM writes lists of pairs in a way that SQLite does not read.
            let sql = format!(
                r#"DELETE FROM "{table}" WHERE ("{first}", "{second}") IN (VALUES {})
                RETURNING "{first}", "{second}""#,
                places.join(", ")
            );
            let values = chunk.iter().flatten().cloned();
            let backend = self.tx.get_database_backend();
            let delete = Statement::from_sql_and_values(backend, sql, values);
            gone.append(&mut self.tx.query_all_raw(delete).await?);
        }
        Ok(gone)
    }
}

/// A connection as it is stored: the lesser first.
pub(crate) fn ordered<'s>(one: &'s Subject, other: &'s Subject) -> (&'s Subject, &'s Subject) {
    if one <= other { (one, other) } else { (other, one) }
}

/// The keys of some people, for a graph.
pub(super) fn by_subject(
    rows: Vec<identifier::Model>,
) -> Result<HashMap<String, Vec<crate::graph::OwnedKey>>, StoreError> {
    let mut people: HashMap<String, Vec<_>> = HashMap::new();
    for row in rows {
        let key = columns::match_key(&row.match_key)?;
        let owned = crate::graph::OwnedKey { key, since: row.since };
        people.entry(row.subject).or_default().push(owned);
    }
    Ok(people)
}

/// Those of `people` whose consent, as it is stored, is in force at `now`.
pub(super) async fn in_force(
    db: &impl ConnectionTrait,
    people: &[&Subject],
    now: UnixMillis,
) -> Result<HashSet<Subject>, StoreError> {
    let rows = rows(db, people.iter().copied()).await?.into_iter();
    let in_force = rows.filter(|row| row.consent_until > now.get());
    Ok(in_force.map(|row| row.subject.into()).collect())
}

/// The rows of those of `subjects` who are here.
pub(super) async fn rows<'s>(
    db: &impl ConnectionTrait,
    subjects: impl IntoIterator<Item = &'s Subject>,
) -> Result<Vec<person::Model>, StoreError> {
    let subjects: Vec<&str> = subjects.into_iter().map(Subject::as_str).collect();
    let mut rows = Vec::new();
    for chunk in subjects.chunks(ROWS) {
        let named = person::Column::Subject.is_in(chunk.iter().copied());
        rows.append(&mut person::Entity::find().filter(named).all(db).await?);
    }
    Ok(rows)
}

/// Those of `subjects`, at most [`ROWS`], who have a row.
pub(super) async fn people_here(
    db: &impl ConnectionTrait,
    subjects: &[&Subject],
) -> Result<Vec<Subject>, StoreError> {
    let named = subjects.iter().map(|subject| subject.as_str());
    let rows = person::Entity::find().filter(person::Column::Subject.is_in(named)).all(db).await?;
    Ok(rows.into_iter().map(|row| row.subject.into()).collect())
}
