//! How often callers may call: a rate for each principal and quota class, and a bound on its calls
//! in progress. docs/quotas.md tells operators of it.
//!
//! Calls are counted in memory, or by all replicas together in Redis. What is in progress is always
//! counted in memory: places are the replica's own.

mod config;
mod gcra;
mod metered;
mod metrics;
mod refusal;
mod shared;
mod table;

use std::sync::Arc;

use proto::options::v1::{QuotaClass, Role};
use service_kit::{
    auth::{Caller, Principal},
    boot::BootError,
    context::Context,
};
use tokio::time::Instant;
use tonic::Status;

pub use config::{QuotaConfig, Rate, RoleQuota};
pub(crate) use metered::Metered;

use gcra::Limit;
use metrics::Metrics;
use refusal::Refusal;
use shared::Shared;
use table::{Place, Table};

/// How many quota classes there are.
const CLASSES: usize = 4;

/// The quotas of all callers.
pub(crate) struct Quotas {
    config: QuotaConfig,
    store: Store,
    table: Arc<Table>,
    metrics: Arc<Metrics>,
}

/// Where calls are counted.
enum Store {
    /// In this process: its share.
    Memory,
    /// In Redis, by all replicas; while it does not answer, as in memory.
    Redis(Arc<Shared>),
}

/// How it is known whether a call may pass.
pub(crate) enum Admission {
    /// It may.
    Here(Place),
    /// Redis has to be asked.
    InRedis(Question),
}

/// A call that Redis is to count.
pub(crate) struct Question {
    place: Place,
    principal: Principal,
    role: Role,
    class: QuotaClass,
    shared: Arc<Shared>,
    /// When the call must have been answered.
    deadline: Instant,
}

impl Quotas {
    /// The quotas as configured; `None` when they are off.
    ///
    /// # Errors
    /// When the configuration cannot be meant: all that is wrong with it.
    pub(crate) fn open(ctx: &Context, config: &QuotaConfig) -> Result<Option<Self>, BootError> {
        let mut problems = config.problems();
        let shared = match config.redis_url.expose() {
            "" => None,
            url => Shared::new(url, config.redis_timeout.get())
                // The error may quote the URL, which holds a password.
                .map_err(|_| problems.push("quota.redis_url: not the URL of a Redis".to_owned()))
                .ok(),
        };
        if !problems.is_empty() {
            return Err(BootError::other(problems.join("; ")));
        }
        if !config.enabled {
            return Ok(None);
        }
        let table = Arc::new(Table::new(config.max_principals, ctx.clock.clone()));
        let shared = shared.map(|(shared, losses)| {
            let shared = Arc::new(shared);
            ctx.spawn("quotas", shared.clone().keep(losses, ctx.drained.clone()));
            shared
        });
        let metrics = Metrics::register(&ctx.meter, &table, shared.as_ref());
        let store = shared.map_or(Store::Memory, Store::Redis);
        Ok(Some(Self { config: config.clone(), store, table, metrics }))
    }

    /// Begins a call, or refuses it with RESOURCE_EXHAUSTED.
    #[allow(clippy::result_large_err)] // tonic's own error type
    fn admit(
        &self,
        caller: &Caller,
        class: QuotaClass,
        deadline: Instant,
    ) -> Result<Admission, Status> {
        let (principal, role) = (caller.principal, caller.role);
        let most = self.config.of(role).max_in_progress;
        let counted = match &self.store {
            Store::Redis(shared) if shared.is_up() => {
                // First what costs nothing to know.
                self.table.begin(principal, most, None).map(|place| {
                    let shared = shared.clone();
                    Admission::InRedis(Question { place, principal, role, class, shared, deadline })
                })
            }
            store => {
                if matches!(store, Store::Redis(_)) {
                    self.metrics.by_share();
                }
                let rate = Some((index(class), self.share(role, class)));
                self.table.begin(principal, most, rate).map(Admission::Here)
            }
        };
        counted.map_err(|refusal| self.refuse(role, class, refusal))
    }

    /// What this replica lets pass on its own.
    fn share(&self, role: Role, class: QuotaClass) -> Limit {
        let given = self.config.of(role).in_class(class);
        Limit::new(given.rate, given.burst, self.config.replicas)
    }

    fn refuse(&self, role: Role, class: QuotaClass, refusal: Refusal) -> Status {
        self.metrics.refused(role, index(class), refusal);
        refusal.status(role, class, self.config.of(role))
    }
}

impl Question {
    /// The call's place, if it may pass.
    #[allow(clippy::result_large_err)] // tonic's own error type
    async fn ask(self, quotas: &Quotas) -> Result<Place, Status> {
        let Self { place, principal, role, class, shared, deadline } = self;
        let given = quotas.config.of(role).in_class(class);
        let together = Limit::new(given.rate, given.burst, 1);
        let asked = shared.take(principal, index(class), together, deadline).await;
        let counted = asked.unwrap_or_else(|| {
            quotas.metrics.by_share();
            quotas.table.take(principal, index(class), quotas.share(role, class))
        });
        counted.map_err(|wait| quotas.refuse(role, class, Refusal::Rate(wait))).map(|()| place)
    }
}

/// A class's place in what is kept for a principal.
fn index(class: QuotaClass) -> usize {
    match class {
        QuotaClass::Check => 0,
        QuotaClass::Read => 1,
        // The contract tests refuse a method without a class.
        QuotaClass::Write | QuotaClass::Unspecified => 2,
        QuotaClass::Bulk => 3,
    }
}
