//! How far consent-svc's feed of changes has been followed, and what it says of people who are here.

use sea_orm::{
    EntityTrait, ExprTrait, IsolationLevel, QueryFilter, QuerySelect, Statement,
    prelude::*,
    sea_query::{Expr, OnConflict, Query, UpdateStatement},
};
use service_kit::{
    clock::UnixMillis,
    store::{self, StoreError, Tx},
};

use super::{
    Store, columns,
    columns::ROWS,
    entity::{feed_position as table, head, person},
    people,
    writing::Writing,
};
use crate::{
    consents::{Answers, NOT_AT_ALL, Said},
    domain::Subject,
    error::Error,
};

/// The columns that name people, in the order in which a sweep asks about everybody again.
/// Identifiers, connections and address books are of people who have a row; requests are under a
/// digest.
const STAGES: &[(&str, &str)] = &[
    ("person", "subject"),
    ("contact_settings", "subject"),
    ("block", "subject"),
    ("block", "blocked"),
    ("dismissal", "subject"),
    ("dismissal", "dismissed"),
    ("spam_report", "subject"),
    ("spam_report", "reported"),
    ("contact_quota", "subject"),
];

/// Where the replicas are together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// The feed's own.
    pub(crate) cursor: Vec<u8>,
    /// Raised by whoever follows.
    pub(crate) beat: i64,
    /// Where a sweep goes on; none is under way.
    pub(crate) sweep: Option<Sweep>,
    /// How many sweeps were asked for.
    pub(crate) sweeps: i64,
    /// When the last sweep ended.
    pub(crate) swept_at: UnixMillis,
}

/// Where a sweep goes on: after whom, in which of the columns that name people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sweep {
    stage: usize,
    after: String,
}

/// What a step of the feed says, or a page of a sweep has found out.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Of people, whether or not they are here.
    pub(crate) answers: Answers,
    /// Who is to be erased.
    pub(crate) erased: Vec<Erased>,
    /// Policies have changed, and with them anybody's answers.
    pub(crate) policies: bool,
    /// Somebody has agreed to the transfer no longer, who may be about to be stored.
    pub(crate) denial: bool,
}

/// Somebody who is erased, and under what their requests are remembered.
#[derive(Debug, Clone)]
pub(crate) struct Erased {
    pub(crate) subject: Subject,
    pub(crate) caller: String,
}

impl Sweep {
    /// Whether it is among those who are here, not only named.
    pub(crate) fn is_of_people_here(&self) -> bool {
        self.stage == 0
    }

    /// After this page; nothing: everybody was asked about.
    pub(crate) fn next(&self, page: &[Subject]) -> Option<Self> {
        let next = match page.last() {
            Some(last) => Self { stage: self.stage, after: last.to_string() },
            None => Self { stage: self.stage + 1, after: String::new() },
        };
        (next.stage < STAGES.len()).then_some(next)
    }

    fn read(column: &str) -> Self {
        // No subject's id has a slash.
        let (stage, after) = column.split_once('/').unwrap_or_default();
        Self { stage: stage.parse().unwrap_or(0), after: after.to_owned() }
    }

    fn column(&self) -> String {
        format!("{}/{}", self.stage, self.after)
    }
}

impl Position {
    fn of(row: Option<table::Model>) -> Result<Self, StoreError> {
        let missing = || StoreError::Other("the feed has no position".to_owned());
        let table::Model { cursor, beat, sweep, sweeps, swept_at, .. } = row.ok_or_else(missing)?;
        let sweep = sweep.map(|column| Sweep::read(&column));
        Ok(Self { cursor, beat, sweep, sweeps, swept_at: UnixMillis::new(swept_at) })
    }
}

impl Store {
    /// Where the replicas are.
    pub(crate) async fn feed_position(&self) -> Result<Position, StoreError> {
        position(&self.db).await
    }

    /// Asks for a sweep, and goes on from the oldest step that the feed has.
    pub(crate) async fn begin_feed_anew(&self) -> Result<(), StoreError> {
        self.beside("begin the feed anew", |tx| async move {
            count_denial(&tx).await?;
            begin_sweep(&tx).await?;
            advance(&tx, &[]).await
        })
        .await
    }

    /// Does what a step says and moves on to `cursor`, both or neither. What is said is done even
    /// when another replica has moved on already; then there is no new position.
    pub(crate) async fn follow_step(
        &self,
        at: &Position,
        heard: &Heard,
        cursor: &[u8],
        now: UnixMillis,
    ) -> Result<Option<Position>, Error> {
        let step = |tx: Tx| async move {
            if heard.denial || heard.policies {
                count_denial(&tx).await?;
            }
            if lock(&tx).await?.cursor != at.cursor {
                return Ok(None);
            }
            if heard.policies {
                begin_sweep(&tx).await?;
            }
            advance(&tx, cursor).await?;
            position(&*tx).await.map(Some)
        };
        if !self.concerns(heard, now).await? {
            return Ok(self.beside("follow the feed", step).await?);
        }
        let both = |writing: Writing| async move {
            writing.hear(heard, now).await?;
            Ok(step(writing.tx.clone()).await?)
        };
        self.write("follow the feed", now, both).await
    }

    /// Does what a page of a sweep found out, and moves the sweep on; nothing, when it was moved or
    /// asked for anew meanwhile: what was found may be older than that.
    pub(crate) async fn sweep_step(
        &self,
        at: &Position,
        heard: &Heard,
        next: Option<&Sweep>,
        now: UnixMillis,
    ) -> Result<Position, Error> {
        let is_here = |tx: Tx| async move {
            let here = lock(&tx).await?;
            Ok::<_, StoreError>((here.sweeps, &here.sweep) == (at.sweeps, &at.sweep))
        };
        let step = |tx: Tx| async move {
            move_sweep(&tx, next, now).await?;
            position(&*tx).await
        };
        if self.concerns(heard, now).await? {
            let both = |writing: Writing| async move {
                if is_here(writing.tx.clone()).await? {
                    writing.hear(heard, now).await?;
                    step(writing.tx.clone()).await?;
                }
                Ok(position(&*writing.tx).await?)
            };
            return self.write("sweep", now, both).await;
        }
        let only = |tx: Tx| async move {
            if is_here(tx.clone()).await? { step(tx).await } else { position(&*tx).await }
        };
        Ok(self.beside("sweep", only).await?)
    }

    /// The next people to ask about again.
    pub(crate) async fn sweep_page(
        &self,
        sweep: &Sweep,
        at_most: u64,
    ) -> Result<Vec<Subject>, StoreError> {
        let Some((table, column)) = STAGES.get(sweep.stage) else { return Ok(Vec::new()) };
        let sql = format!(
            r#"SELECT DISTINCT "{column}" FROM "{table}" WHERE "{column}" > $1
            ORDER BY "{column}" LIMIT $2"#
        );
        let values = [sweep.after.as_str().into(), at_most.into()];
        let page = Statement::from_sql_and_values(self.db.get_database_backend(), sql, values);
        let rows = self.db.query_all_raw(page).await?;
        let named = |row: &QueryResult| Ok(row.try_get::<String>("", column)?.into());
        rows.iter().map(named).collect()
    }

    /// Whether anything is to be written about people: no sequence number is spent otherwise.
    async fn concerns(&self, heard: &Heard, now: UnixMillis) -> Result<bool, StoreError> {
        if !heard.erased.is_empty() {
            return Ok(true);
        }
        let rows = people::rows(&self.db, heard.answers.people()).await?;
        let becomes = |row| becomes(row, &heard.answers, now);
        Ok(rows.iter().map(becomes).any(|becomes| !matches!(becomes, Becomes::Same)))
    }

    /// A transaction of no write that replicas are told of.
    async fn beside<T, F, Fut>(&self, name: &'static str, work: F) -> Result<T, StoreError>
    where
        F: Fn(Tx) -> Fut,
        Fut: Future<Output = Result<T, StoreError>>,
    {
        store::transaction_at(&self.db, name, IsolationLevel::ReadCommitted, work).await
    }
}

impl Writing {
    /// Stores what was heard of people who are here; who has agreed to the transfer no longer is
    /// forgotten, and of who was erased everything is.
    async fn hear(&self, heard: &Heard, now: UnixMillis) -> Result<(), StoreError> {
        let (mut gone, mut changed) = (Vec::new(), Vec::new());
        for row in people::rows(&*self.tx, heard.answers.people()).await? {
            match becomes(&row, &heard.answers, now) {
                Becomes::Same => {}
                Becomes::Gone => gone.push(Subject::from(row.subject)),
                Becomes::Changed(row) => changed.push(row),
            }
        }
        self.erase(&gone).await?;
        for chunk in changed.chunks(ROWS) {
            let replace = OnConflict::column(person::Column::Subject)
                .update_columns([
                    person::Column::ConsentUntil,
                    person::Column::SuggestUntil,
                    person::Column::SpamUntil,
                    person::Column::Revision,
                ])
                .to_owned();
            let rows = chunk.iter().cloned().map(person::ActiveModel::from);
            let insert = person::Entity::insert_many(rows).on_conflict(replace);
            insert.exec_without_returning(&*self.tx).await?;
        }
        self.note(|change| {
            for row in &changed {
                change.person(&row.subject.as_str().into());
            }
        });
        let unwatched = changed.iter().filter(|row| row.spam_until == Some(NOT_AT_ALL));
        let unwatched: Vec<Subject> = unwatched.map(|row| row.subject.as_str().into()).collect();
        self.forget_risk(&unwatched).await?;
        self.forget_for_good(&heard.erased, now).await
    }
}

/// What is to become of a person's row.
enum Becomes {
    Same,
    Changed(person::Model),
    Gone,
}

fn becomes(row: &person::Model, answers: &Answers, now: UnixMillis) -> Becomes {
    let said = answers.of(&row.subject.as_str().into());
    let Some(Said { until, uses, revision, .. }) = said else { return Becomes::Same };
    if *revision < row.revision {
        return Becomes::Same;
    }
    // Whose consent had ended before starts from nothing.
    let Some(until) = until.filter(|_| row.consent_until > now.get()) else { return Becomes::Gone };
    let mut now = row.clone();
    (now.consent_until, now.revision) = (until, *revision);
    if let Some(uses) = uses {
        (now.suggest_until, now.spam_until) = (Some(uses.suggest), Some(uses.spam));
    }
    if now == *row { Becomes::Same } else { Becomes::Changed(now) }
}

async fn position(db: &impl ConnectionTrait) -> Result<Position, StoreError> {
    Position::of(table::Entity::find_by_id(1).one(db).await?)
}

/// As [`position`]; until the transaction ends nobody else moves it.
async fn lock(tx: &Tx) -> Result<Position, StoreError> {
    Position::of(table::Entity::find_by_id(1).lock_exclusive().one(&**tx).await?)
}

/// Lets those who asked consent-svc before this ask again before they write.
async fn count_denial(tx: &Tx) -> Result<(), StoreError> {
    let denials = Expr::col(head::Column::Denials).add(1);
    let count = head::Entity::update_many().col_expr(head::Column::Denials, denials);
    count.filter(head::Column::Id.eq(columns::HEAD)).exec(&**tx).await?;
    Ok(())
}

/// Says that everything up to `cursor` is done.
async fn advance(tx: &Tx, cursor: &[u8]) -> Result<(), StoreError> {
    update(tx, |row| row.value(table::Column::Cursor, cursor.to_vec())).await
}

/// Asks for a sweep of everybody, from the beginning.
async fn begin_sweep(tx: &Tx) -> Result<(), StoreError> {
    let sweeps = Expr::col(table::Column::Sweeps).add(1);
    let first = Sweep::default().column();
    update(tx, |row| row.value(table::Column::Sweep, first).value(table::Column::Sweeps, sweeps))
        .await
}

/// Says where the sweep goes on, or that it has come to its end.
async fn move_sweep(tx: &Tx, next: Option<&Sweep>, now: UnixMillis) -> Result<(), StoreError> {
    let column = next.map(Sweep::column);
    let swept_at = Expr::value(now.get());
    update(tx, |row| match column {
        Some(_) => row.value(table::Column::Sweep, column),
        None => row.value(table::Column::Sweep, column).value(table::Column::SweptAt, swept_at),
    })
    .await
}

/// Changes the position, and raises the beat.
async fn update(
    tx: &Tx,
    change: impl FnOnce(&mut UpdateStatement) -> &mut UpdateStatement,
) -> Result<(), StoreError> {
    let mut row = Query::update();
    row.table(table::Entity)
        .value(table::Column::Beat, Expr::col(table::Column::Beat).add(1))
        .and_where(table::Column::Id.eq(1));
    change(&mut row);
    tx.execute(&row).await?;
    Ok(())
}
