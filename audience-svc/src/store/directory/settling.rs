//! Changing the directory.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use identifiers::MatchKey;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, QueryFilter,
    QueryOrder, Statement, Value,
    sea_query::{ArrayType, Expr, OnConflict},
};
use service_kit::clock::UnixMillis;

use super::{Changes, Stored, reading::read_counter, versions::Counted, written};
use crate::{
    domain::{Agreed, NOBODY},
    error::Error,
    index::{Change, Mark},
    store::{
        columns::{big, number},
        entity::{
            directory_change as change, directory_counter as counter, directory_subject as subject,
        },
        failed,
    },
};

/// The most rows of one statement: with eight columns a row this stays below the 32,766 values
/// that SQLite binds.
const SOME: usize = 4_000;

/// New subjects, a column a parameter: PostgreSQL is much quicker with eight arrays than with as many
/// parameters as there are values.
const INSERT: &str = "
INSERT INTO directory_subject (subject_id, ordinal, valid_until, ads_until, revision, registered_at,
  secret_version, match_keys)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
  $6::bigint[], $7::int[], $8::bytea[])";

/// What more there is to say of subjects that are there already. It costs a third more, so it is
/// not said of others: nobody else can have stored them meanwhile.
const REPLACE: &str = "
ON CONFLICT (subject_id) DO UPDATE SET valid_until = excluded.valid_until,
  ads_until = excluded.ads_until, revision = excluded.revision,
  registered_at = excluded.registered_at, secret_version = excluded.secret_version,
  match_keys = excluded.match_keys";

/// What is to become of a subject.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Whose.
    pub(crate) subject_id: String,
    /// What it has agreed to. Without consent to the transfer it leaves the directory.
    pub(crate) agreed: Agreed,
    /// By which keys it is found from now on, in place of all earlier ones; none of them: it
    /// leaves. Nothing: as it is, and who is not in the directory stays out.
    pub(crate) keys: Option<Vec<MatchKey>>,
    /// What other versions of the secret make of the same identifiers: nobody else is found by
    /// these any more.
    pub(crate) other_keys: Vec<MatchKey>,
}

impl Entry {
    /// What was heard of a subject's consent, which changes nothing of its keys.
    pub(crate) const fn heard(subject_id: String, agreed: Agreed) -> Self {
        Self { subject_id, agreed, keys: None, other_keys: Vec::new() }
    }

    /// A subject leaves the directory, whatever it has agreed to.
    pub(crate) const fn gone(subject_id: String, agreed: Agreed) -> Self {
        Self { subject_id, agreed, keys: Some(Vec::new()), other_keys: Vec::new() }
    }
}

/// A subject that is in the directory after the transaction.
struct Staying {
    /// Whether it was not there before.
    is_new: bool,
    subject_id: String,
    ordinal: u32,
    agreed: Agreed,
    registered_at: UnixMillis,
    secret_version: u16,
    keys: Vec<MatchKey>,
}

/// The only one who changes the directory until its transaction ends.
#[derive(Debug)]
pub(crate) struct Writer {
    counter: counter::Model,
}

/// Waits until nobody else changes the directory.
pub(crate) async fn begin(tx: &DatabaseTransaction) -> Result<Writer, Error> {
    let unchanged = Expr::col(counter::Column::LastChange);
    counter::Entity::update_many()
        .col_expr(counter::Column::LastChange, unchanged)
        .filter(counter::Column::Id.eq(1))
        .exec(tx)
        .await
        .map_err(failed)?;
    Ok(Writer { counter: read_counter(tx).await? })
}

impl Writer {
    /// The subjects among these that are in the directory, whether or not their rows still count.
    pub(crate) async fn known(
        &self,
        tx: &DatabaseTransaction,
        subject_ids: impl Iterator<Item = &str> + Send,
    ) -> Result<HashMap<String, Stored>, Error> {
        let ids: Vec<&str> = subject_ids.collect();
        let mut known = HashMap::with_capacity(ids.len());
        for some in ids.chunks(SOME) {
            let these = match tx.get_database_backend() {
                // One statement, however many there are.
                DbBackend::Postgres => {
                    let ids = some.iter().map(|id| (*id).into()).collect();
                    let ids = Value::Array(ArrayType::String, Some(Box::new(ids)));
                    Expr::cust_with_values("subject_id = ANY($1)", [ids])
                }
                _ => subject::Column::SubjectId.is_in(some.iter().copied()),
            };
            let rows = subject::Entity::find().filter(these).all(tx).await.map_err(failed)?;
            for row in rows {
                let stored = Stored::of(row)?;
                known.insert(stored.subject_id.clone(), stored);
            }
        }
        Ok(known)
    }

    /// Settles subjects, each named once. `holders` answers for each key in order whom it finds,
    /// or [`NOBODY`], by every change so far. A key that someone else was found by moves: it finds
    /// whoever verified it last.
    pub(crate) async fn settle(
        mut self,
        tx: &DatabaseTransaction,
        entries: &[Entry],
        known: &HashMap<String, Stored>,
        holders: impl FnOnce(&[MatchKey]) -> Vec<u32>,
        secret_version: u16,
        now: UnixMillis,
    ) -> Result<(), Error> {
        let (mut staying, mut changes) = (Vec::new(), Changes::default());
        // By ordinal: who leaves, and who had keys before.
        let (mut leaving, mut before) = (Vec::new(), BTreeMap::new());
        let (mut other, mut counted) = (BTreeSet::new(), Counted::default());
        for entry in entries {
            let held = known.get(&entry.subject_id);
            // Heard of later than this entry was.
            if held.is_some_and(|held| held.found.agreed.revision > entry.agreed.revision) {
                continue;
            }
            let stays = held.filter(|held| held.found.agreed.may_stay(now));
            let empty = entry.keys.as_ref().is_some_and(Vec::is_empty);
            let wanted = entry.agreed.may_stay(now) && !empty;
            if let Some(held) = held {
                if stays.is_none() || !wanted {
                    leaving.push(held.found.ordinal);
                    counted.leaves(held.secret_version);
                    changes.people.push((held.found.ordinal, false));
                }
                before.insert(held.found.ordinal, &held.keys);
            }
            if !wanted {
                continue;
            }
            // Whoever was gone, if only by the clock, comes back as somebody new: lists that were
            // made before do not find them again.
            let ordinal = match (stays, &entry.keys) {
                (Some(held), _) => held.found.ordinal,
                (None, Some(_)) => self.take_ordinal()?,
                (None, None) => continue,
            };
            // Whatever the clock says of what was known: memories still count who lapsed by it.
            if stays.is_none_or(|held| held.found.agreed != entry.agreed) {
                changes.people.push((ordinal, entry.agreed.counts(now)));
            }
            let old = stays.map(|held| (&held.keys, held.secret_version, held.found.registered_at));
            let (keys, version, registered_at) = match (&entry.keys, old) {
                (None, Some((keys, version, at))) => (keys, version, at),
                (Some(keys), _) => (keys, secret_version, now),
                (None, None) => continue,
            };
            let unchanged =
                stays.is_some_and(|held| held.found.agreed == entry.agreed && entry.keys.is_none());
            if unchanged {
                before.remove(&ordinal);
                continue;
            }
            if let Some((_, before, _)) = old {
                counted.leaves(before);
            }
            counted.comes(version);
            other.extend(entry.other_keys.iter().copied());
            staying.push(Staying {
                is_new: stays.is_none(),
                subject_id: entry.subject_id.clone(),
                ordinal,
                agreed: entry.agreed,
                registered_at,
                secret_version: version,
                keys: keys.clone(),
            });
        }
        let moving = Moving { before: &before, other };
        moving.apply(tx, &mut staying, holders, &mut changes).await?;
        remove(tx, &leaving).await?;
        save(tx, staying).await?;
        counted.save(tx).await?;
        self.record(tx, &changes, now).await
    }

    fn take_ordinal(&mut self) -> Result<u32, Error> {
        let ordinal = number(self.counter.next_ordinal)?;
        if ordinal == NOBODY {
            return Err(Error::Internal("all ordinals were given away"));
        }
        self.counter.next_ordinal += 1;
        Ok(ordinal)
    }

    async fn record(
        mut self,
        tx: &DatabaseTransaction,
        changes: &Changes,
        now: UnixMillis,
    ) -> Result<(), Error> {
        if !changes.is_empty() {
            self.counter.last_change += 1;
            self.counter.last_mark = rand::random::<Mark>().to_vec();
            let row = change::ActiveModel {
                seq: Set(self.counter.last_change),
                recorded_at: Set(now.get()),
                mark: Set(self.counter.last_mark.clone()),
                changes: Set(changes.write()),
            };
            let insert = change::Entity::insert(row);
            insert.exec_without_returning(tx).await.map_err(failed)?;
        }
        self.save(tx).await
    }

    async fn save(self, tx: &DatabaseTransaction) -> Result<(), Error> {
        counter::Entity::update_many()
            .set(counter::ActiveModel {
                next_ordinal: Set(self.counter.next_ordinal),
                last_change: Set(self.counter.last_change),
                last_mark: Set(self.counter.last_mark),
                pruned_change: Set(self.counter.pruned_change),
                ..Default::default()
            })
            .filter(counter::Column::Id.eq(1))
            .exec(tx)
            .await
            .map(drop)
            .map_err(failed)
    }
}

/// Forgets changes recorded before `before`; a memory that has not seen them loads itself anew.
pub(crate) async fn prune_changes(
    tx: &DatabaseTransaction,
    before: UnixMillis,
) -> Result<(), Error> {
    let mut writer = begin(tx).await?;
    let old = change::Column::RecordedAt.lt(before.get());
    let last = change::Entity::find().filter(old).order_by_desc(change::Column::Seq);
    let Some(last) = last.one(tx).await.map_err(failed)? else { return Ok(()) };
    let gone = change::Entity::delete_many().filter(change::Column::Seq.lte(last.seq));
    gone.exec(tx).await.map_err(failed)?;
    writer.counter.pruned_change = last.seq;
    writer.save(tx).await
}

/// Keys on their way from one person to another.
struct Moving<'a> {
    /// The keys that those who are settled had before, by ordinal.
    before: &'a BTreeMap<u32, &'a Vec<MatchKey>>,
    /// Keys that nobody is to be found by.
    other: BTreeSet<MatchKey>,
}

impl Moving<'_> {
    /// Gives each key to the last of those who want it, takes it from whoever had it, and notes
    /// what changed.
    async fn apply(
        &self,
        tx: &DatabaseTransaction,
        staying: &mut [Staying],
        holders: impl FnOnce(&[MatchKey]) -> Vec<u32>,
        changes: &mut Changes,
    ) -> Result<(), Error> {
        let mut wanted: BTreeMap<MatchKey, u32> = BTreeMap::new();
        for one in staying.iter() {
            wanted.extend(one.keys.iter().map(|key| (*key, one.ordinal)));
        }
        for one in staying.iter_mut() {
            one.keys.retain(|key| wanted.get(key) == Some(&one.ordinal));
        }
        let held = self.before.iter();
        let held = held.flat_map(|(ordinal, keys)| keys.iter().map(|key| (*key, *ordinal)));
        let held: BTreeMap<MatchKey, u32> = held.collect();
        let gone = held.keys().filter(|key| !wanted.contains_key(key)).copied();
        let gone: BTreeSet<MatchKey> = gone.collect();
        let new = wanted.iter().filter(|(key, ordinal)| held.get(key) != Some(ordinal));
        let new: Vec<(MatchKey, u32)> = new.map(|(key, ordinal)| (*key, *ordinal)).collect();

        let other: Vec<MatchKey> = self.other.difference(&gone).copied().collect();
        let moved: Vec<MatchKey> = new.iter().map(|(key, _)| *key).chain(other).collect();
        let found = holders(&moved);
        let of_others = |holder: &u32| *holder != NOBODY && !self.before.contains_key(holder);
        let others: BTreeSet<u32> = found.iter().copied().filter(of_others).collect();
        take_from(tx, others.into_iter().collect(), &moved.iter().copied().collect()).await?;

        let other = moved.iter().zip(&found).skip(new.len());
        let other = other.filter(|(_, holder)| of_others(holder)).map(|(key, _)| *key);
        let nobody = gone.into_iter().chain(other);
        changes.keys.extend(nobody.map(|key| Change { key, ordinal: None }));
        let change = |(key, ordinal)| Change { key, ordinal: Some(ordinal) };
        changes.keys.extend(new.into_iter().map(change));
        Ok(())
    }
}

/// Takes keys from people who are not found by them any more. They stay, with what they have left.
async fn take_from(
    tx: &DatabaseTransaction,
    ordinals: Vec<u32>,
    moved: &BTreeSet<MatchKey>,
) -> Result<(), Error> {
    for some in ordinals.chunks(SOME) {
        let these = subject::Column::Ordinal.is_in(some.iter().copied().map(i64::from));
        let rows = subject::Entity::find().filter(these).all(tx).await.map_err(failed)?;
        for row in rows {
            let stored = Stored::of(row)?;
            let left = stored.keys.into_iter().filter(|key| !moved.contains(key));
            let left: Vec<MatchKey> = left.collect();
            let match_keys = Set(written(&left));
            let left = subject::ActiveModel { match_keys, ..Default::default() };
            let update = subject::Entity::update_many()
                .set(left)
                .filter(subject::Column::SubjectId.eq(stored.subject_id));
            update.exec(tx).await.map_err(failed)?;
        }
    }
    Ok(())
}

async fn save_arrays(
    tx: &DatabaseTransaction,
    staying: Vec<Staying>,
    statement: impl Into<String>,
) -> Result<(), Error> {
    use ArrayType::{BigInt, Bytes, Int, String as Text};
    if staying.is_empty() {
        return Ok(());
    }
    let mut columns = [Text, BigInt, BigInt, BigInt, BigInt, BigInt, Int, Bytes]
        .map(|kind| (kind, Vec::with_capacity(staying.len())));
    for one in staying {
        let row: [Value; 8] = [
            one.subject_id.into(),
            i64::from(one.ordinal).into(),
            one.agreed.transfer.column().into(),
            one.agreed.ads.column().into(),
            big(one.agreed.revision).into(),
            one.registered_at.get().into(),
            i32::from(one.secret_version).into(),
            written(&one.keys).into(),
        ];
        columns.iter_mut().zip(row).for_each(|((_, column), value)| column.push(value));
    }
    let arrays = columns.map(|(kind, values)| Value::Array(kind, Some(Box::new(values))));
    let insert = Statement::from_sql_and_values(DbBackend::Postgres, statement, arrays);
    tx.execute_raw(insert).await.map(drop).map_err(failed)
}

async fn remove(tx: &DatabaseTransaction, ordinals: &[u32]) -> Result<(), Error> {
    for some in ordinals.chunks(SOME) {
        let leaving = subject::Column::Ordinal.is_in(some.iter().copied().map(i64::from));
        let delete = subject::Entity::delete_many().filter(leaving);
        delete.exec(tx).await.map_err(failed)?;
    }
    Ok(())
}

async fn save(tx: &DatabaseTransaction, staying: Vec<Staying>) -> Result<(), Error> {
    if tx.get_database_backend() == DbBackend::Postgres {
        let (new, known) = staying.into_iter().partition(|one| one.is_new);
        save_arrays(tx, new, INSERT).await?;
        return save_arrays(tx, known, format!("{INSERT}{REPLACE}")).await;
    }
    let mut rows = staying.into_iter().map(|one| subject::ActiveModel {
        subject_id: Set(one.subject_id),
        ordinal: Set(i64::from(one.ordinal)),
        valid_until: Set(one.agreed.transfer.column()),
        ads_until: Set(one.agreed.ads.column()),
        revision: Set(big(one.agreed.revision)),
        registered_at: Set(one.registered_at.get()),
        secret_version: Set(i32::from(one.secret_version)),
        match_keys: Set(written(&one.keys)),
    });
    loop {
        let some: Vec<subject::ActiveModel> = rows.by_ref().take(SOME).collect();
        if some.is_empty() {
            return Ok(());
        }
        let known = OnConflict::column(subject::Column::SubjectId)
            .update_columns([
                subject::Column::ValidUntil,
                subject::Column::AdsUntil,
                subject::Column::Revision,
                subject::Column::RegisteredAt,
                subject::Column::SecretVersion,
                subject::Column::MatchKeys,
            ])
            .to_owned();
        let insert = subject::Entity::insert_many(some).on_conflict(known);
        insert.exec_without_returning(tx).await.map_err(failed)?;
    }
}
