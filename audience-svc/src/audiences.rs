//! Making, changing and deleting audiences.

use crate::{
    domain::{Audience, BusinessScope, CustomerSource, Lifetime, RowCounts, commit_step},
    error::Error,
    pace::on_grid,
    service::{Service, new_id},
    store::{
        RequestKey, Tx,
        audiences::{self, After},
    },
};

/// What a business says of a new audience.
#[derive(Debug, Clone)]
pub(crate) struct NewAudience {
    pub(crate) display_name: String,
    pub(crate) description: String,
    pub(crate) source: CustomerSource,
    pub(crate) lifetime: Lifetime,
}

/// What a business changes of an audience; nothing: as it is.
#[derive(Debug, Clone)]
pub(crate) struct AudienceChange {
    pub(crate) audience_id: String,
    pub(crate) display_name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) lifetime: Option<Lifetime>,
}

impl Service {
    /// Makes an empty audience.
    pub(crate) async fn create_audience(
        &self,
        scope: &BusinessScope,
        request: &RequestKey,
        new: NewAudience,
    ) -> Result<Audience, Error> {
        let now = self.now();
        let audience = Audience {
            audience_id: new_id("aud"),
            display_name: new.display_name,
            description: new.description,
            source: new.source,
            lifetime: new.lifetime,
            version: 0,
            last_upload: RowCounts::default(),
            size: None,
            sized_version: None,
            created_at: now,
            updated_at: now,
        };
        let audience = &audience;
        let create = |tx: Tx| async move {
            audiences::insert(&tx, scope, audience).await?;
            Ok(audience.clone())
        };
        self.store.once(request, now, create).await
    }

    /// One audience.
    pub(crate) async fn get_audience(
        &self,
        scope: &BusinessScope,
        audience_id: &str,
    ) -> Result<Audience, Error> {
        audiences::find(self.store.reads(), scope, audience_id).await
    }

    /// Up to `limit` audiences, newest first, and where to go on if there may be more.
    pub(crate) async fn list_audiences(
        &self,
        scope: &BusinessScope,
        after: Option<&After>,
        limit: u32,
    ) -> Result<(Vec<Audience>, Option<After>), Error> {
        let wanted = limit as usize;
        let mut found =
            audiences::page(self.store.reads(), scope, after, u64::from(limit) + 1).await?;
        if found.len() <= wanted {
            return Ok((found, None));
        }
        found.truncate(wanted);
        let last = found.last().map(|last| After {
            created_at: last.created_at,
            audience_id: last.audience_id.clone(),
        });
        Ok((found, last))
    }

    /// Changes an audience.
    pub(crate) async fn update_audience(
        &self,
        scope: &BusinessScope,
        request: &RequestKey,
        change: AudienceChange,
    ) -> Result<Audience, Error> {
        let now = self.now();
        let change = &change;
        let update = |tx: Tx| async move {
            let change = change.clone();
            let mut audience = audiences::find(&*tx, scope, &change.audience_id).await?;
            audience.display_name = change.display_name.unwrap_or(audience.display_name);
            audience.description = change.description.unwrap_or(audience.description);
            audience.lifetime = change.lifetime.unwrap_or(audience.lifetime);
            audience.updated_at = now;
            audiences::save(&*tx, scope, &audience).await?;
            Ok(audience)
        };
        self.store.once(request, now, update).await
    }

    /// Ends an audience, its memberships and its uploads; answered at a point of a grid, as a commit
    /// is, so that its time does not tell how many they were.
    pub(crate) async fn delete_audience(
        &self,
        scope: &BusinessScope,
        request: &RequestKey,
        audience_id: &str,
    ) -> Result<(), Error> {
        let now = self.now();
        let delete = |tx: Tx| async move { audiences::delete(&tx, scope, audience_id, now).await };
        let deleted = self.store.once_locking(request, now, delete);
        on_grid(&self.clock, |_| commit_step(0), deleted).await
    }
}
