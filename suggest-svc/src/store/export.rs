//! What is kept of one person, read for them.

use sea_orm::{EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::*};
use service_kit::{clock::UnixMillis, store::StoreError};

use super::{
    Store, columns,
    entity::{
        address_book, block, connection, contact_quota, contact_settings, dismissal, identifier,
        number_range, person, spam_report, uploaded,
    },
};
use crate::domain::{Settings, Standing, Subject, address_book::ENTRY_BYTES, uploaded::Uploaded};

/// What is kept of a person in few rows.
#[derive(Debug)]
pub(crate) struct Held {
    /// What they agree to; nothing: they are not here.
    pub(crate) standing: Option<Standing>,
    /// How many match keys find them.
    pub(crate) keys: u64,
    /// In how many ranges of phone numbers these are.
    pub(crate) ranges: u64,
    /// How many contacts their address book has room for, found or not, those among them that were
    /// removed since.
    pub(crate) contacts: Option<usize>,
    /// How many fingerprints of contacts they uploaded are remembered, found or not.
    pub(crate) uploaded: Option<usize>,
    /// When they may bring as many new contacts as at first, if they may not now.
    pub(crate) quota_full_at: Option<UnixMillis>,
    /// Their settings, if they changed them.
    pub(crate) settings: Option<Settings>,
    /// Whom they block, and since when.
    pub(crate) blocks: Vec<(Subject, UnixMillis)>,
    /// Who is not to be suggested to them, and until when.
    pub(crate) dismissals: Vec<(Subject, UnixMillis)>,
    /// Whom they reported, and when.
    pub(crate) reports: Vec<(Subject, UnixMillis)>,
}

impl Store {
    /// What is kept of a person, but for connections.
    pub(crate) async fn held(&self, subject: &Subject) -> Result<Held, StoreError> {
        let id = subject.as_str();
        let person = person::Entity::find_by_id(id).one(&self.db).await?;
        let keys = identifier::Entity::find().filter(identifier::Column::Subject.eq(id));
        let ranges = number_range::Entity::find().filter(number_range::Column::Subject.eq(id));
        let uploaded = uploaded::Entity::find_by_id(id).one(&self.db).await?;
        let quota = contact_quota::Entity::find_by_id(id).one(&self.db).await?;
        let book = address_book::Entity::find_by_id(id).one(&self.db).await?;
        let settings = contact_settings::Entity::find_by_id(id).one(&self.db).await?;
        let blocks = block::Entity::find().filter(block::Column::Subject.eq(id));
        let blocks = blocks.order_by_asc(block::Column::Blocked).all(&self.db).await?;
        let dismissals = dismissal::Entity::find().filter(dismissal::Column::Subject.eq(id));
        let dismissals =
            dismissals.order_by_asc(dismissal::Column::Dismissed).all(&self.db).await?;
        let reports = spam_report::Entity::find().filter(spam_report::Column::Subject.eq(id));
        let reports = reports.order_by_asc(spam_report::Column::Reported).all(&self.db).await?;
        let dated = |(subject, at): (String, i64)| (subject.into(), UnixMillis::new(at));
        Ok(Held {
            standing: person.map(|row| columns::standing(&row)),
            keys: keys.count(&self.db).await?,
            ranges: ranges.count(&self.db).await?,
            contacts: book.map(|row| row.entries.len() / ENTRY_BYTES),
            uploaded: uploaded.map(|row| Uploaded::decode(&row.recent, &row.older).len()),
            quota_full_at: quota.map(|row| UnixMillis::new(row.empty_at)),
            settings: settings.map(|row| columns::settings(&row)).transpose()?,
            blocks: blocks.into_iter().map(|row| dated((row.blocked, row.at))).collect(),
            dismissals: dismissals
                .into_iter()
                .map(|row| dated((row.dismissed, row.until)))
                .collect(),
            reports: reports.into_iter().map(|row| dated((row.reported, row.at))).collect(),
        })
    }

    /// With whom a person is connected, and since when, in ascending order from after `after` on.
    pub(crate) async fn connected(
        &self,
        subject: &Subject,
        after: Option<&Subject>,
        at_most: u64,
    ) -> Result<Vec<(Subject, Option<UnixMillis>)>, StoreError> {
        let ends = [connection::Column::Subject, connection::Column::Other];
        let mut all = Vec::new();
        for [this, that] in [ends, [ends[1], ends[0]]] {
            let mut query = connection::Entity::find().filter(this.eq(subject.as_str()));
            if let Some(after) = after {
                query = query.filter(that.gt(after.as_str()));
            }
            let rows = query.order_by_asc(that).limit(at_most).all(&self.db).await?;
            all.extend(rows.into_iter().map(|row| {
                let is_lesser = row.subject == subject.as_str();
                let known = if is_lesser { row.other } else { row.subject };
                (known.into(), row.connected_at.map(UnixMillis::new))
            }));
        }
        all.sort_unstable();
        all.truncate(usize::try_from(at_most).unwrap_or(usize::MAX));
        Ok(all)
    }
}
