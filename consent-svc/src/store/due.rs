//! Deadlines that pass.
//!
//! Each subject's row says when the clock alone will next change one of its answers (`due_at`).
//! When that instant passes, an entry is appended to the feed, and the next deadline is put in its
//! place. Answers do not depend on this: a check evaluates deadlines itself. It is for those who
//! keep copies and have no clock of policies.
//!
//! Publishing or retiring a policy moves deadlines of any number of subjects: they are computed
//! anew bit by bit, in the order of ids, remembered in `due_scan`.

use std::collections::BTreeSet;

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, IsolationLevel, QueryResult, Statement, Value,
};
use service_kit::store::{StoreError, Tx, transaction_at};

use super::{Store, feed, state};
use crate::domain::{Moment, Person, Policies, PolicyState, Subject, next_change};

/// How many subjects one transaction looks at.
const BATCH: i64 = 500;

impl Store {
    /// Tells the feed of deadlines that have passed; says whether there may be more at once.
    pub(crate) async fn feed_due(&self) -> Result<bool, StoreError> {
        let work = |tx: Tx| async move {
            let (policies, now) = self.setting(&tx).await?;
            let skip = skip_locked(&tx);
            let text = format!(
                "SELECT subject_id, state FROM subject WHERE due_at <= $1 \
                 ORDER BY due_at LIMIT {BATCH} {skip}"
            );
            let backend = tx.get_database_backend();
            let values = [now.millis().into()];
            let due =
                tx.query_all_raw(Statement::from_sql_and_values(backend, text, values)).await?;
            let mut entries = Vec::new();
            for row in &due {
                let (subject_id, subject) = read(row)?;
                set_due(&tx, &subject_id, next(&policies, &subject, now)).await?;
                let people: BTreeSet<String> =
                    subject.linked.into_iter().chain([subject_id]).collect();
                let entry = |id| feed::Entry::about(id, feed::Kind::DeadlinePassed, 0);
                entries.extend(people.into_iter().map(entry));
            }
            entries.extend(effects(&tx, &policies, now).await?);
            let fed = !entries.is_empty();
            feed::append(&tx, entries, policies.epoch(), now).await?;
            Ok::<_, StoreError>((fed, i64::try_from(due.len()).unwrap_or(BATCH) >= BATCH))
        };
        let level = IsolationLevel::ReadCommitted;
        let (fed, more) = transaction_at(&self.shared.db, "feed_due", level, work).await?;
        if fed {
            self.feed_grew();
        }
        Ok(more)
    }

    /// Computes some deadlines anew that a change of policies may have moved; says whether there
    /// are more.
    pub(crate) async fn scan_due(&self) -> Result<bool, StoreError> {
        let work = |tx: Tx| async move {
            let backend = tx.get_database_backend();
            let skip = skip_locked(&tx);
            let text = format!("SELECT after, since FROM due_scan {skip}");
            let scan = tx.query_one_raw(Statement::from_string(backend, text)).await?;
            // Otherwise another replica is at it.
            let Some(scan) = scan else { return Ok(false) };
            let Some(after) = scan.try_get::<Option<String>>("", "after")? else {
                return Ok(false);
            };
            let since = Moment::from_millis(scan.try_get("", "since")?);
            let (policies, now) = self.setting(&tx).await?;
            let lock = if backend == DbBackend::Postgres { "FOR UPDATE" } else { "" };
            // What is due already is left alone: it is yet to be told.
            let text = format!(
                "SELECT subject_id, state FROM subject WHERE subject_id > $1 \
                 AND (due_at IS NULL OR due_at > {}) ORDER BY subject_id LIMIT {BATCH} {lock}",
                now.millis()
            );
            let values = [after.into()];
            let rows =
                tx.query_all_raw(Statement::from_sql_and_values(backend, text, values)).await?;
            let mut last = None;
            for row in &rows {
                let (subject_id, subject) = read(row)?;
                // As of the change of policies: a deadline that has passed since is told late, but
                // told.
                set_due(&tx, &subject_id, next(&policies, &subject, since)).await?;
                last = Some(subject_id);
            }
            let text = "UPDATE due_scan SET after = $1";
            let values: [Value; 1] = [last.clone().into()];
            tx.execute_raw(Statement::from_sql_and_values(backend, text, values)).await?;
            Ok::<_, StoreError>(last.is_some())
        };
        transaction_at(&self.shared.db, "scan_due", IsolationLevel::ReadCommitted, work).await
    }

    /// The policies in force and the time, within a transaction.
    async fn setting(
        &self,
        tx: &DatabaseTransaction,
    ) -> Result<(std::sync::Arc<Policies>, Moment), StoreError> {
        let header = super::apply::header(tx).await?;
        let policies = self.shared.policies_since(tx, header.epoch).await?;
        Ok((policies, self.shared.now(&header)))
    }
}

/// Has all deadlines computed anew, within a transaction that changes policies.
pub(super) async fn begin_scan(tx: &DatabaseTransaction, now: Moment) -> Result<(), StoreError> {
    let backend = tx.get_database_backend();
    let text = "UPDATE due_scan SET since = CASE WHEN after IS NULL THEN $1 ELSE since END, \
                after = ''";
    tx.execute_raw(Statement::from_sql_and_values(backend, text, [now.millis().into()])).await?;
    Ok(())
}

/// Entries for policies that came into effect since the last ones were told of.
async fn effects(
    tx: &DatabaseTransaction,
    policies: &Policies,
    now: Moment,
) -> Result<Option<feed::Entry>, StoreError> {
    let backend = tx.get_database_backend();
    let published = policies.versions().iter().map(|version| &version.policy);
    let published = published.filter(|policy| policy.state == PolicyState::Published);
    // One that was in effect when it was published was told of then.
    let announced = published.filter(|policy| policy.published_at < Some(policy.spec.effective_at));
    let in_effect = announced.map(|policy| policy.spec.effective_at).filter(|at| *at <= now);
    let Some(latest) = in_effect.max() else { return Ok(None) };
    let text = "UPDATE feed_head SET effects_to = $1 WHERE effects_to < $1";
    let values = [latest.millis().into()];
    let told = tx.execute_raw(Statement::from_sql_and_values(backend, text, values)).await?;
    Ok((told.rows_affected() > 0).then(feed::Entry::policies))
}

/// When the clock alone will next change an answer of this account, links aside: linked accounts
/// have rows of their own.
pub(super) fn next(policies: &Policies, subject: &Subject, now: Moment) -> Option<Moment> {
    if subject.linked.is_empty() {
        return next_change(policies, Person::alone(subject), now);
    }
    let alone = Subject { linked: Vec::new(), ..subject.clone() };
    next_change(policies, Person::alone(&alone), now)
}

async fn set_due(
    tx: &DatabaseTransaction,
    subject_id: &str,
    due_at: Option<Moment>,
) -> Result<(), StoreError> {
    let text =
        "UPDATE subject SET due_at = $1 WHERE subject_id = $2 AND due_at IS DISTINCT FROM $1";
    let values: [Value; 2] = [due_at.map(Moment::millis).into(), subject_id.into()];
    let backend = tx.get_database_backend();
    tx.execute_raw(Statement::from_sql_and_values(backend, text, values)).await?;
    Ok(())
}

fn read(row: &QueryResult) -> Result<(String, Subject), StoreError> {
    let state: Vec<u8> = row.try_get("", "state")?;
    Ok((row.try_get("", "subject_id")?, state::decode(&state)?.subject))
}

/// Several replicas look for work at once: each takes what no other has taken.
fn skip_locked(tx: &DatabaseTransaction) -> &'static str {
    match tx.get_database_backend() {
        DbBackend::Postgres => "FOR UPDATE SKIP LOCKED",
        _ => "",
    }
}
