//! Histories of more events than are held at a time.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::{StreamExt, stream};
use proto::{
    consent::v1::{
        Event, ExportSubjectRequest, ExportSubjectResponse, ListEventsRequest, ListEventsResponse,
        Outcome::{Denied, Granted},
        consent_service_client::ConsentServiceClient,
    },
    errors::v1::Reason,
    types::v1::ExportRecord,
};
use sea_orm::{ConnectionTrait, Database, Statement};
use tonic::{Status, Streaming};

use crate::harness::*;

on_every_store!(
    a_long_history_is_told_whole,
    what_was_tampered_with_is_not_told,
    an_export_goes_on_through_an_erasure,
);

/// What the store holds of a history at a time.
const PAGE: usize = 1_000;

/// Anna became known and decided 999 times on the first day, 1,000 times on each of the next two
/// and once on the fourth; each day otherwise than the day before.
async fn live(world: &World) {
    let spec = opt_in();
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("anna", "DE").await;
    for (day, times) in [PAGE - 1, PAGE, PAGE, 1].into_iter().enumerate() {
        let day = i64::try_from(day).unwrap();
        world.advance_to(START + day * DAY);
        let yes: &[&str] = if day % 2 == 0 { &[SHARE, ADS] } else { &[] };
        let decisions =
            (0..times).map(|_| world.decide(world.decision("anna", &policy, &spec, yes)));
        let decisions = stream::iter(decisions).buffer_unordered(100);
        decisions.for_each(async |made| drop(made.unwrap())).await;
        if day == 0 {
            // A whole page, and nothing after it.
            assert_eq!(world.exported("anna").await.unwrap().len(), PAGE);
        }
    }
}

impl World {
    async fn list(&self, page_token: String) -> Result<ListEventsResponse, Status> {
        let subject_id = "anna".to_owned();
        let message = ListEventsRequest { subject_id, page_size: 200, page_token };
        Ok(self.consent().list_events(self.app(message)).await?.into_inner())
    }

    async fn export(&self, subject_id: &str) -> Result<Streaming<ExportSubjectResponse>, Status> {
        // A connection that holds less than a page.
        let endpoint = self.endpoint().initial_stream_window_size(65_535);
        let endpoint = endpoint.initial_connection_window_size(65_535);
        let mut client = ConsentServiceClient::new(endpoint.connect_lazy());
        let message = ExportSubjectRequest { subject_id: subject_id.to_owned() };
        Ok(client.export_subject(self.app(message)).await?.into_inner())
    }

    async fn exported(&self, subject_id: &str) -> Result<Vec<ExportRecord>, Status> {
        rest(&mut self.export(subject_id).await?).await
    }
}

async fn rest(export: &mut Streaming<ExportSubjectResponse>) -> Result<Vec<ExportRecord>, Status> {
    let mut records = Vec::new();
    while let Some(part) = export.message().await? {
        records.extend(part.records);
    }
    Ok(records)
}

fn event_ids(records: &[ExportRecord]) -> Vec<&str> {
    let fields = records.iter().flat_map(|record| &record.fields);
    fields.filter(|field| field.name == "event_id").map(|field| field.value.as_str()).collect()
}

async fn a_long_history_is_told_whole(world: World) {
    live(&world).await;
    let mut events: Vec<Event> = Vec::new();
    let mut page_token = String::new();
    while events.is_empty() || !page_token.is_empty() {
        let page = world.list(page_token).await.unwrap();
        assert_eq!(page.events.len(), 200.min(3 * PAGE + 1 - events.len()));
        events.extend(page.events);
        page_token = page.next_page_token;
    }
    assert!(events.iter().map(|event| event.revision).eq(1..=3_001));

    let listed: Vec<&str> = events.iter().map(|event| event.event_id.as_str()).collect();
    assert_eq!(event_ids(&world.exported("anna").await.unwrap()), listed);

    let keys = world.receipt_keys().await;
    for revision in [1, 1_000, 1_001, 2_500, 3_001] {
        let receipt = world.receipt("anna", listed[revision - 1]).await.unwrap();
        let verified = receipt.verify(&keys);
        assert_eq!(verified.failures, []);
        let integrity = verified.record.unwrap().integrity;
        assert_eq!(integrity.revision, revision as u64);
        assert_eq!(integrity.digest, hex::encode(&events[revision - 1].digest));
    }

    let days = [(1_000, Granted), (2_000, Denied), (3_000, Granted), (3_001, Denied)];
    for (day, (revision, outcome)) in (0..).zip(days) {
        let shown = world.shown("anna", Some(START + day * DAY)).await.unwrap();
        assert_eq!(shown.subject.unwrap().revision, revision);
        let ads = shown
            .purposes
            .iter()
            .find(|line| line.purpose.as_ref().is_some_and(|purpose| purpose.purpose_id == ADS));
        assert_eq!(ads.unwrap().outcome(), outcome, "day {day}");
    }
}

/// Does something to the store while nobody else uses it.
async fn behind_its_back(world: &mut World, what: &str) {
    world.stop().stopped().await.unwrap();
    let db = Database::connect(world.config().store.url.expose()).await.unwrap();
    let changed = db.execute_raw(Statement::from_string(db.get_database_backend(), what));
    assert_eq!(changed.await.unwrap().rows_affected(), 1, "{what}");
    db.close().await.unwrap();
    world.start().await;
}

async fn what_was_tampered_with_is_not_told(mut world: World) {
    live(&world).await;
    let early = world.list(String::new()).await.unwrap().events[4].event_id.clone();
    let late = event_ids(&world.exported("anna").await.unwrap())[1_499].to_owned();
    let opened = world.receipt("anna", &late).await.unwrap();
    let opened = opened.verify(&world.receipt_keys().await).record.unwrap().integrity;
    // Another event's content; nothing but the right digest, as if the subject had been erased;
    // no event there; none at the end; one too many.
    let at = "WHERE subject_id = 'anna' AND revision";
    let on_sqlite = world.config().store.url.expose().starts_with("sqlite:");
    let binary = |hex: &str| if on_sqlite { format!("x'{hex}'") } else { format!("'\\x{hex}'") };
    let true_content = binary(&hex::encode(BASE64_STANDARD.decode(&opened.content).unwrap()));
    let hidden = binary(&format!("080ba20120{}", opened.content_digest));
    let moved = |from: i32, to: i32| format!("UPDATE event SET revision = {to} {at} = {from}");
    let content = |content: &str| format!("UPDATE event SET content = {content} {at} = 1500");
    let other = content(&format!("(SELECT content FROM event {at} = 7)"));
    let restored = content(&true_content);
    let tamperings = [
        (other, restored.clone()),
        (content(&hidden), restored),
        (moved(1_500, 9_999), moved(9_999, 1_500)),
        (moved(3_001, -1), moved(-1, 3_001)),
        (
            format!(
                "INSERT INTO event (subject_id, revision, content) \
                 SELECT subject_id, 3002, content FROM event {at} = 3001"
            ),
            format!("DELETE FROM event {at} = 3002"),
        ),
    ];
    for (tampering, restoring) in tamperings {
        behind_its_back(&mut world, &tampering).await;
        assert_eq!(reason(world.receipt("anna", &early).await), Reason::Internal, "{tampering}");
        assert_eq!(reason(world.list(String::new()).await), Reason::Internal, "{tampering}");
        assert_eq!(reason(world.exported("anna").await), Reason::Internal, "{tampering}");
        let shown = world.shown("anna", Some(START)).await;
        assert_eq!(reason(shown), Reason::Internal, "{tampering}");
        behind_its_back(&mut world, &restoring).await;
        world.receipt("anna", &early).await.unwrap();
    }
}

/// It began before the erasure, and tells of what comes after it only that it was.
async fn an_export_goes_on_through_an_erasure(world: World) {
    live(&world).await;
    let before = world.exported("anna").await.unwrap();
    let mut export = world.export("anna").await.unwrap();
    let mut told = export.message().await.unwrap().unwrap().records;
    world.erase("anna").await.unwrap();
    told.extend(rest(&mut export).await.unwrap());
    assert_eq!(told.len(), 3 * PAGE + 2);
    assert_eq!(event_ids(&told)[..before.len()], event_ids(&before));
    let erased = |record: &&ExportRecord| record.category == "consent.erased";
    let kept = told.iter().take_while(|record| !erased(record)).count();
    // Pages are read as they are taken.
    assert!((PAGE..=2 * PAGE).contains(&kept) && kept % PAGE == 0, "{kept}");
    assert_eq!(told[..kept], before[..kept]);
    assert!(told[kept..].iter().all(|record| erased(&record) && record.fields.len() == 3));
}
