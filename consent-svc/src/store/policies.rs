//! Policy versions: loading all of them, and altering one.

use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IsolationLevel, Set,
    Statement,
};
use service_kit::store::{StoreError, Tx, transaction_at};

use super::{
    Reply, RequestId, Store, apply, due,
    entity::{policy, request},
    feed, generation,
    reply::{self, PolicyReply, decode_policy_state, encode_policy_state},
    request as requests, unreadable,
};
use crate::{
    cache::Row,
    domain::{Moment, Policies, Policy, PolicyNumber, Spec},
    error::Error,
};

/// What a write does to the policies.
#[derive(Debug)]
pub(crate) enum Alteration {
    /// A new version; the store gives it the number after the highest.
    Draft(Policy),
    /// A version in another state.
    State(Policy),
}

/// Makes an alteration of the policies.
pub(crate) type PolicyRule =
    Box<dyn Fn(&Policies, Moment) -> Result<Alteration, Error> + Send + Sync>;

impl Store {
    /// Alters the policies by what `rule` makes of them, once per request id. All replicas use
    /// the altered set for whatever they begin to read after this returns: the epoch is counted
    /// up in the same transaction, first, so that such writes take their turn.
    ///
    /// That row is locked from then on: at READ COMMITTED nothing else can come between, and what
    /// other writers do with the rows that follow is waited for instead of being given up to.
    ///
    /// `closed`: the rows of a cache that was closed for this; if one was opened meanwhile, nothing
    /// is done and nothing is returned. Drafts change no answer and need none closed.
    pub(crate) async fn alter_policies(
        &self,
        request: RequestId,
        rule: &PolicyRule,
        closed: &[Row],
    ) -> Result<Option<(PolicyReply, std::sync::Arc<Policies>)>, Error> {
        let work = |tx: Tx| async move { self.altering(&tx, request, rule, closed).await };
        let level = IsolationLevel::ReadCommitted;
        let alter = || transaction_at(&self.shared.db, "alter_policies", level, work);
        let altered = match alter().await {
            // The same request at the same instant from another replica: it is known by now.
            Err(Error::Store(StoreError::Duplicate(_))) => alter().await?,
            altered => altered?,
        };
        let Some(altered) = altered else { return Ok(None) };
        self.feed_grew();
        let policies = self.policies().await?;
        Ok(Some((altered, policies)))
    }

    /// What [`Store::alter_policies`] would fail with, or what it answered to this request before.
    pub(crate) async fn rehearse_policies(
        &self,
        request: RequestId,
        rule: &PolicyRule,
    ) -> Result<Option<(PolicyReply, std::sync::Arc<Policies>)>, Error> {
        let policies = self.policies().await?;
        let before = requests::find(&self.shared.db, &[request]).await?;
        if let Some((_, content, reply)) = before.first() {
            let reply = request.replay(content, reply)?;
            return Ok(reply.policy.map(|reply| (reply, policies)));
        }
        rule(&policies, self.now().earliest).map(|_| None)
    }

    async fn altering(
        &self,
        tx: &DatabaseTransaction,
        request: RequestId,
        rule: &PolicyRule,
        closed: &[Row],
    ) -> Result<Option<PolicyReply>, Error> {
        let backend = tx.get_database_backend();
        let next = "UPDATE policy_epoch SET value = value + 1";
        let store = StoreError::from;
        tx.execute_raw(Statement::from_string(backend, next)).await.map_err(store)?;
        let before = requests::find(tx, &[request]).await?;
        if let Some((_, content, reply)) = before.first() {
            let reply = request.replay(content, reply)?;
            return reply.policy.map(Some).ok_or(Error::RequestIdReused);
        }
        if !generation::renew(tx, closed).await? {
            return Ok(None);
        }
        let policies = load(tx).await?;
        let header = apply::header(tx).await?;
        let now = self.shared.now(&header);
        let mut changes = Vec::new();
        let altered = match rule(&policies, now)? {
            Alteration::Draft(draft) => {
                let highest = policies.versions().last().map_or(0, |last| last.policy.number.0);
                let draft = Policy { number: PolicyNumber(highest + 1), ..draft };
                policy::Entity::insert(row(&draft)?)
                    .exec_without_returning(tx)
                    .await
                    .map_err(store)?;
                draft
            }
            // As every other write, and more so: it changes everyone's answers.
            Alteration::State(_) if header.cached && closed.is_empty() => {
                return Err(apply::without_cache().into());
            }
            Alteration::State(altered) => {
                row(&altered)?.update(tx).await.map_err(store)?;
                due::begin_scan(tx, now).await?;
                feed::begin_epoch(tx).await?;
                changes = vec![feed::Entry::policies()];
                altered
            }
        };
        let policy = PolicyReply { number: altered.number, state: altered.state };
        let reply = Reply { policy: Some(policy), ..Reply::default() };
        let remembered = requests::row(request, now, reply::encode(&reply, None));
        request::Entity::insert(requests::active(remembered))
            .exec_without_returning(tx)
            .await
            .map_err(store)?;
        feed::append(tx, changes, policies.epoch() + 1, now).await?;
        Ok(Some(policy))
    }
}

fn row(policy: &Policy) -> Result<policy::ActiveModel, StoreError> {
    let spec = serde_json::to_string(&policy.spec).map_err(|_| unreadable("policy"))?;
    Ok(policy::ActiveModel {
        number: Set(i64::from(policy.number.0)),
        policy_id: Set(policy.id.clone()),
        version: Set(i64::from(policy.version)),
        state: Set(i64::from(encode_policy_state(policy.state))),
        created_at: Set(policy.created_at.millis()),
        published_at: Set(policy.published_at.map(Moment::millis)),
        retired_at: Set(policy.retired_at.map(Moment::millis)),
        spec: Set(spec),
    })
}

/// All policies and their epoch, in one statement.
pub(super) async fn load(db: &impl ConnectionTrait) -> Result<Policies, StoreError> {
    let sql = "SELECT e.value AS epoch, p.number, p.policy_id, p.version, p.state, p.created_at, \
               p.published_at, p.retired_at, p.spec \
               FROM policy_epoch e LEFT JOIN policy p ON 1 = 1 ORDER BY p.number";
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let rows = db.query_all_raw(statement).await?;
    let epoch = rows.first().ok_or_else(|| unreadable("policy_epoch"))?.try_get("", "epoch")?;
    let mut policies = Vec::new();
    for row in &rows {
        let Some(number) = row.try_get::<Option<i64>>("", "number")? else { continue };
        let small = |number: i64| u32::try_from(number).map_err(|_| unreadable("policy"));
        let moment = |column: &str| -> Result<Option<Moment>, StoreError> {
            Ok(row.try_get::<Option<i64>>("", column)?.map(Moment::from_millis))
        };
        let spec: String = row.try_get("", "spec")?;
        policies.push(Policy {
            number: PolicyNumber(small(number)?),
            id: row.try_get("", "policy_id")?,
            version: small(row.try_get("", "version")?)?,
            state: decode_policy_state(small(row.try_get("", "state")?)?)?,
            created_at: moment("created_at")?.ok_or_else(|| unreadable("policy"))?,
            published_at: moment("published_at")?,
            retired_at: moment("retired_at")?,
            spec: serde_json::from_str::<Spec>(&spec).map_err(|_| unreadable("policy"))?,
        });
    }
    Ok(Policies::new(epoch, policies))
}
