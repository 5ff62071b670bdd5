//! Everything that is kept about a person, for the person.
//!
//! Not in it: identifiers and contacts, which are kept as keyed digests alone and tell nothing to
//! anybody, so that only how many there are is told (of contacts as many as were accepted: how many
//! of them were found would say who is here); and what others say of the person, such as who
//! blocks them, which is about those others; nor whether the account was found to be a risk, which is
//! for the platform and computed from the same.

use proto::types::v1::{ExportField, ExportRecord};
use service_kit::clock::UnixMillis;

use crate::{
    domain::{Discoverability, Subject},
    error::Error,
    service::Suggest,
    store::Held,
};

/// How many connections are read at once.
const CONNECTIONS: u64 = 5_000;

/// An export in progress: what comes next.
pub(crate) enum Export {
    /// Everything but connections.
    Beginning,
    /// The connections after this one.
    Connections(Option<Subject>),
    /// Nothing.
    Done,
}

impl Suggest {
    /// The next part of what is kept about a person; nothing at the end.
    pub(crate) async fn export_part(
        &self,
        subject: &Subject,
        export: Export,
    ) -> Result<Option<(Vec<ExportRecord>, Export)>, Error> {
        let after = match export {
            Export::Beginning => {
                let records = self.held_records(subject).await?;
                return Ok(Some((records, Export::Connections(None))));
            }
            Export::Connections(after) => after,
            Export::Done => return Ok(None),
        };
        let page = self.store.connected(subject, after.as_ref(), CONNECTIONS).await?;
        let next = match page.last() {
            Some((last, _)) => Export::Connections(Some(last.clone())),
            None => Export::Done,
        };
        let connection = |(other, since): &(Subject, Option<UnixMillis>)| {
            record("suggest.connection", *since, &[("subject_id", other.to_string())])
        };
        Ok(Some((page.iter().map(connection).collect(), next)))
    }

    /// Each kind of data has its lines here; what is added to the store adds its own.
    async fn held_records(&self, subject: &Subject) -> Result<Vec<ExportRecord>, Error> {
        let mut records = Vec::new();
        let Held {
            standing,
            keys,
            ranges,
            contacts,
            uploaded,
            quota_full_at,
            settings,
            blocks,
            dismissals,
            reports,
        } = self.store.held(subject).await?;
        if let Some(standing) = standing {
            let fields = [
                ("transfer", until(standing.transfer)),
                ("friend_suggestions", until(standing.suggest)),
                ("spam", until(standing.spam)),
            ];
            records.push(record("suggest.consent", None, &fields));
            let fields =
                [("identifier_keys", keys.to_string()), ("number_ranges", ranges.to_string())];
            records.push(record("suggest.registration", None, &fields));
        }
        if let Some(contacts) = contacts {
            records.push(record("suggest.contacts", None, &[("accepted", contacts.to_string())]));
        }
        if let Some(uploaded) = uploaded {
            let fields = [("fingerprints", uploaded.to_string())];
            records.push(record("suggest.uploaded", None, &fields));
        }
        if let Some(at) = quota_full_at {
            let fields = [("full_at", prost_types::Timestamp::from(at).to_string())];
            records.push(record("suggest.contact_quota", None, &fields));
        }
        if let Some(settings) = settings {
            let discoverability = match settings.discoverability {
                Discoverability::Everyone => "everyone",
                Discoverability::Reciprocal => "reciprocal",
                Discoverability::Nobody => "nobody",
            };
            let fields = [
                ("discoverability", discoverability.to_owned()),
                ("may_be_mutual_connection", settings.may_be_mutual.to_string()),
            ];
            records.push(record("suggest.settings", None, &fields));
        }
        for (blocked, at) in blocks {
            records.push(record("suggest.block", Some(at), &[("subject_id", blocked.to_string())]));
        }
        for (dismissed, until) in dismissals {
            let until = prost_types::Timestamp::from(until).to_string();
            let fields = [("subject_id", dismissed.to_string()), ("until", until)];
            records.push(record("suggest.dismissal", None, &fields));
        }
        for (reported, at) in reports {
            let fields = [("subject_id", reported.to_string())];
            records.push(record("suggest.spam_report", Some(at), &fields));
        }
        Ok(records)
    }
}

/// Until when a consent is granted, as far as is known here.
fn until(until: i64) -> String {
    match until {
        i64::MIN => "not granted".to_owned(),
        i64::MAX => "granted".to_owned(),
        end => format!("granted until {}", prost_types::Timestamp::from(UnixMillis::new(end))),
    }
}

fn record(
    category: &str,
    recorded_at: Option<UnixMillis>,
    fields: &[(&str, String)],
) -> ExportRecord {
    let field =
        |(name, value): &(&str, String)| ExportField { name: (*name).into(), value: value.clone() };
    ExportRecord {
        category: category.to_owned(),
        recorded_at: recorded_at.map(Into::into),
        fields: fields.iter().map(field).collect(),
    }
}
