//! Everything that is kept about a person, for the person.

use proto::types::v1::{ExportField, ExportRecord};
use service_kit::clock::UnixMillis;

use crate::{
    domain::date,
    error::Error,
    service::Service,
    store::{departures, directory, usage},
};

impl Service {
    /// What is kept about a person. Identifiers are not among it: they are kept as keyed digests
    /// alone, which tell nothing to anybody.
    pub(crate) async fn export_subject(
        &self,
        subject_id: &str,
    ) -> Result<Vec<ExportRecord>, Error> {
        let (db, mut records) = (self.store.reads(), Vec::new());
        if let Some(person) = directory::find_subject(db, subject_id).await? {
            let keys = person.keys.len().to_string();
            let at = Some(person.found.registered_at);
            records.push(record("audience.registration", at, &[("identifier_keys", keys)]));
        }
        for (business_id, since) in self.listed_since(subject_id).await? {
            let fields = [("business_id", business_id), ("listed_since", date(since))];
            records.push(record("audience.membership", None, &fields));
        }
        for (business_id, at) in departures::of_subject(db, subject_id).await? {
            let fields = [("business_id", business_id)];
            records.push(record("audience.departure", Some(at), &fields));
        }
        for (app_id, day) in usage::days_of(db, subject_id).await? {
            let fields = [("app_id", app_id), ("day", date(day.number()))];
            records.push(record("audience.activity", None, &fields));
        }
        Ok(records)
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
