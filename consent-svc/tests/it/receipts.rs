//! Receipts: of every kind of event, checked as whoever keeps one checks it.

use consent_svc::receipt::{PublicKey, Receipt, Record, RetiredKey, verify_chains};
use proto::{consent::v1::*, errors::v1::Reason};
use service_kit::{auth::Caller, clock::UnixMillis};
use tonic::Status;

use crate::harness::{ADS, DAY, MESSAGES, SHARE, START, World, at, opt_in, reason};

on_every_store! {
    every_kind_of_event_has_a_receipt_that_verifies,
    a_decision_is_in_its_receipt_as_it_was_made,
    no_receipt_verifies_when_a_byte_was_changed,
    receipts_outlive_a_restart_and_keys_their_successors,
    of_an_erased_subject_there_is_the_receipt_of_its_erasure_alone,
    receipts_are_of_events_of_their_subject,
}

impl World {
    pub(crate) async fn receipt(
        &self,
        subject_id: &str,
        event_id: &str,
    ) -> Result<Receipt, Status> {
        let (subject_id, event_id) = (subject_id.to_owned(), event_id.to_owned());
        let message = GetReceiptRequest { subject_id, event_id };
        let given = self.consent().get_receipt(self.app(message)).await?.into_inner();
        let GetReceiptResponse { record, signature, key_id } = given;
        Ok(Receipt { record, signature, key_id })
    }

    pub(crate) async fn receipt_keys(&self) -> Vec<PublicKey> {
        let message = GetReceiptKeysRequest {};
        let given = self.consent().get_receipt_keys(self.app(message)).await.unwrap().into_inner();
        let key = |key: &ReceiptKey| {
            use base64::{Engine, prelude::BASE64_STANDARD};
            let not_before = UnixMillis::try_from(key.not_before.unwrap()).unwrap().get();
            let text = BASE64_STANDARD.encode(&key.public_key);
            let not_before = consent_svc::domain::Moment::from_millis(not_before);
            let public = PublicKey::parse(&text, not_before).unwrap();
            assert_eq!(public.id(), key.key_id);
            public
        };
        given.keys.iter().map(key).collect()
    }

    /// What the receipts of all events of a subject say: each verifies, and they follow one another.
    async fn records(&self, subject_id: &str) -> Vec<Record> {
        let keys = self.receipt_keys().await;
        let mut records = Vec::new();
        for event in self.events(subject_id).await {
            let receipt = self.receipt(subject_id, &event.event_id).await.unwrap();
            let verified = receipt.verify(&keys);
            assert_eq!(verified.failures, []);
            let record = verified.record.unwrap();
            assert_eq!(record.record_id, event.event_id);
            assert_eq!(record.integrity.digest, hex::encode(&event.digest));
            records.push(record);
        }
        let chains = verify_chains(&records);
        assert_eq!(chains.len(), 1);
        assert_eq!(chains[0].failures, []);
        records
    }

    async fn a_decision(&self, subject_id: &str) -> String {
        let policy = self.announce("sharing", opt_in()).await;
        self.put(subject_id, "DE").await;
        let made = self.decide(self.decision(subject_id, &policy, &opt_in(), &[SHARE, ADS])).await;
        made.unwrap().event_id
    }
}

fn kinds(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.events[0].event_type.as_str()).collect()
}

async fn every_kind_of_event_has_a_receipt_that_verifies(world: World) {
    let policy = world.announce("sharing", opt_in()).await;
    for id in ["ann", "ann-too"] {
        world.put(id, "DE").await;
    }
    let child =
        PutSubjectRequest { age_band: AgeBand::UnderAge as i32, ..world.person("kim", "DE") };
    world.put_as(child).await;
    world.serve_notice("ann", &policy, &opt_in()).await.unwrap();
    let decision = world.decision("ann", &policy, &opt_in(), &[SHARE]);
    world.decide(decision).await.unwrap();
    world.withdraw("ann", &[SHARE]).await.unwrap();
    world.object("ann", true).await;
    let subject_ids = vec!["ann".to_owned(), "ann-too".to_owned()];
    let message = LinkSubjectsRequest { request_id: world.id(), subject_ids };
    world.consent().link_subjects(world.app(message)).await.unwrap();
    let subject_ids = vec!["ann-too".to_owned()];
    let message = UnlinkSubjectsRequest { request_id: world.id(), subject_ids };
    world.consent().unlink_subjects(world.app(message)).await.unwrap();
    let message = SetGuardianRequest {
        request_id: world.id(),
        subject_id: "kim".to_owned(),
        guardian_subject_id: "ann".to_owned(),
    };
    world.consent().set_guardian(world.app(message)).await.unwrap();
    let decision = world.decision("kim", &policy, &opt_in(), &[SHARE]);
    world.decide(RecordDecisionRequest { decided_by: "ann".to_owned(), ..decision }).await.unwrap();

    let ann = world.records("ann").await;
    let expected = [
        "subject_put",
        "notice_served",
        "decision_recorded",
        "withdrawn",
        "objection_signal_set",
        "linked",
        "unlinked",
        "wards_set",
    ];
    assert_eq!(kinds(&ann), expected);
    assert_eq!(ann[0].details.age_band.as_deref(), Some("adult"));
    assert_eq!(ann[0].pii_processing.jurisdiction.as_deref(), Some("DE"));
    assert_eq!(ann[1].pii_processing.purposes.len(), opt_in().purposes.len());
    assert_eq!(ann[1].events[0].event_state.as_deref(), Some("requested"));
    assert_eq!(ann[3].events.len(), 1);
    assert_eq!(ann[3].events[0].purpose.as_deref(), Some(SHARE));
    assert_eq!(ann[3].events[0].event_state.as_deref(), Some("withdrawn"));
    assert_eq!(ann[4].details.objects, Some(true));
    assert_eq!(ann[5].details.linked, Some(vec!["ann-too".to_owned()]));
    assert_eq!(ann[6].details.linked, Some(Vec::new()));
    assert_eq!(ann[7].details.wards, Some(vec!["kim".to_owned()]));

    let kim = world.records("kim").await;
    assert_eq!(kinds(&kim), ["subject_put", "guardian_set", "decision_recorded"]);
    assert_eq!(kim[1].details.guardian.as_deref(), Some("ann"));
    assert_eq!(kim[2].details.decided_by.as_deref(), Some("guardian"));
    assert!(kim[2].events.iter().all(|event| event.entity_id == "ann"));
    let guardian = |party: &consent_svc::receipt::Party| party.party_role == "guardian";
    assert_eq!(kim[2].party_identification.iter().filter(|party| guardian(party)).count(), 1);

    // One that is missing, and one put in another's place, show.
    let missing: Vec<&Record> = ann.iter().filter(|one| one.integrity.revision != 4).collect();
    assert_eq!(verify_chains(missing)[0].failures.len(), 1);
    let mut moved = ann.clone();
    moved[4].integrity.previous_digest.clone_from(&ann[2].integrity.digest);
    assert_eq!(verify_chains(&moved)[0].failures.len(), 1);
}

async fn a_decision_is_in_its_receipt_as_it_was_made(world: World) {
    let event_id = world.a_decision("ann").await;
    let receipt = world.receipt("ann", &event_id).await.unwrap();
    let record = receipt.verify(&world.receipt_keys().await).record.unwrap();
    assert_eq!(record.pii_principal_id, "ann");
    let notice = record.pii_processing.privacy_notice.as_ref().unwrap();
    assert_eq!((notice.policy.policy_id.as_str(), notice.policy.version), ("sharing", 1));
    assert_eq!(notice.locale, "en");
    assert_eq!(notice.sha256, hex::encode(crate::harness::digest(&opt_in())));
    let state = |id: &str| {
        let about = record.events.iter().find(|event| event.purpose.as_deref() == Some(id));
        about.unwrap().event_state.as_deref().unwrap()
    };
    assert_eq!([state(SHARE), state(ADS), state(MESSAGES)], ["given", "given", "refused"]);
    assert!(record.events.iter().all(|event| event.entity_id == "ann"));
    let written = at(world.now()).to_string();
    assert_eq!([&record.events[0].event_time, &record.issued_at], [&written, &written]);
    let share = &record.pii_processing.purposes[0];
    assert_eq!((share.purpose.as_str(), share.lawful_basis.as_str()), (SHARE, "consent"));
    assert_eq!(share.pii_information[0].pii_type, "phone number");
    let named: Vec<&str> =
        record.party_identification.iter().map(|party| party.party_id.as_str()).collect();
    let parties = share.pii_controllers.iter().chain(&share.recipient_third_parties);
    assert!(parties.clone().count() >= 2);
    assert!(parties.into_iter().all(|party| named.contains(&party.as_str())), "{named:?}");
    // The salt is this event's own: it opens no other digest.
    let records = world.records("ann").await;
    assert_ne!(records[0].integrity.salt, records[1].integrity.salt);
}

async fn no_receipt_verifies_when_a_byte_was_changed(world: World) {
    let event_id = world.a_decision("ann").await;
    let receipt = world.receipt("ann", &event_id).await.unwrap();
    let keys = world.receipt_keys().await;
    let checks = |receipt: &Receipt| -> Vec<&'static str> {
        receipt.verify(&keys).failures.iter().map(|failure| failure.check).collect()
    };
    assert!(checks(&receipt).is_empty());
    for place in 0..receipt.record.len() {
        let mut changed = receipt.clone();
        changed.record[place] ^= 1;
        assert!(checks(&changed).contains(&"signature"), "byte {place} of the record");
    }
    for place in 0..receipt.signature.len() {
        let mut changed = receipt.clone();
        changed.signature[place] ^= 1;
        assert_eq!(checks(&changed), ["signature"], "byte {place} of the signature");
    }
    assert_eq!(checks(&Receipt { key_id: "0".repeat(16), ..receipt.clone() }), ["key"]);

    // What whoever has the key could sign all the same: a record that says what was not hashed.
    let record: Record = serde_json::from_slice(&receipt.record).unwrap();
    let lie = |change: &dyn Fn(&mut Record)| {
        let mut record = record.clone();
        change(&mut record);
        let record = serde_json_canonicalizer::to_vec(&record).unwrap();
        checks(&Receipt { record, ..receipt.clone() })
    };
    let refused = lie(&|record| record.events[0].event_state = Some("refused".to_owned()));
    assert_eq!(refused, ["signature", "content"]);
    let earlier = lie(&|record| record.events[0].event_time = at(START - DAY).to_string());
    assert_eq!(earlier, ["signature", "content"]);
    let other = lie(&|record| "bob".clone_into(&mut record.pii_principal_id));
    assert_eq!(other, ["signature", "digest", "content"]);
    let moved = lie(&|record| record.integrity.revision = 3);
    assert_eq!(moved, ["signature", "digest", "digest"]);
    let spaced = serde_json::to_vec_pretty(&record).unwrap();
    assert_eq!(checks(&Receipt { record: spaced, ..receipt.clone() }), ["signature", "canonical"]);

    // A key signs nothing that is older than it.
    let young: Vec<PublicKey> = keys
        .iter()
        .map(|key| key.since(consent_svc::domain::Moment::from_millis(START + DAY)))
        .collect();
    let failures = receipt.verify(&young).failures;
    assert_eq!(failures.iter().map(|one| one.check).collect::<Vec<_>>(), ["key-validity"]);
}

async fn receipts_outlive_a_restart_and_keys_their_successors(mut world: World) {
    let event_id = world.a_decision("ann").await;
    let receipt = world.receipt("ann", &event_id).await.unwrap();
    world.restart().await;
    assert_eq!(receipt.verify(&world.receipt_keys().await).failures, []);

    let former = world.receipt_keys().await[0].clone();
    let receipts = &mut world.config.receipts;
    receipts.signing_key = consent_svc::receipt::SigningKey::generate();
    receipts.not_before.0 = consent_svc::domain::Moment::from_millis(START);
    receipts.retired_keys = vec![RetiredKey {
        public_key: former,
        not_before: consent_svc::receipt::Instant::default(),
    }];
    world.restart().await;
    let keys = world.receipt_keys().await;
    assert_eq!(keys.len(), 2);
    assert_eq!(receipt.verify(&keys).failures, []);
    let anew = world.receipt("ann", &event_id).await.unwrap();
    assert_ne!(anew.key_id, receipt.key_id);
    assert_eq!(anew.verify(&keys).failures, []);
}

async fn of_an_erased_subject_there_is_the_receipt_of_its_erasure_alone(world: World) {
    let event_id = world.a_decision("ann").await;
    let kept = world.receipt("ann", &event_id).await.unwrap();
    let message = EraseSubjectRequest { request_id: world.id(), subject_id: "ann".to_owned() };
    world.consent().erase_subject(world.app(message)).await.unwrap();

    assert_eq!(reason(world.receipt("ann", &event_id).await), Reason::SubjectErased);
    assert_eq!(reason(world.receipt("ann", "9-0123456789abcdef").await), Reason::RecordUnknown);
    let events = world.events("ann").await;
    let keys = world.receipt_keys().await;
    let erasure = world.receipt("ann", &events.last().unwrap().event_id).await.unwrap();
    let erasure = erasure.verify(&keys);
    assert_eq!(erasure.failures, []);
    let erasure = erasure.record.unwrap();
    assert_eq!(kinds(std::slice::from_ref(&erasure)), ["erased"]);
    assert_eq!(erasure.pii_processing.jurisdiction, None);

    // What the person kept still verifies, and leads to the erasure.
    let kept = kept.verify(&keys);
    assert_eq!(kept.failures, []);
    assert_eq!(verify_chains([&kept.record.unwrap(), &erasure])[0].failures, []);
}

async fn receipts_are_of_events_of_their_subject(world: World) {
    let event_id = world.a_decision("ann").await;
    world.put("bob", "DE").await;
    assert_eq!(reason(world.receipt("bob", &event_id).await), Reason::RecordUnknown);
    assert_eq!(reason(world.receipt("nobody", &event_id).await), Reason::SubjectUnknown);
    for unknown in ["2-0000000000000000", "0-0000000000000000", "x", "18446744073709551615-00"] {
        assert_eq!(reason(world.receipt("ann", unknown).await), Reason::RecordUnknown);
    }
    let message = GetReceiptRequest { subject_id: "ann".to_owned(), event_id };
    let own = world.from(&Caller::user("ann"), message.clone());
    world.consent().get_receipt(own).await.unwrap();
    let others = world.from(&Caller::user("bob"), message);
    assert_eq!(reason(world.consent().get_receipt(others).await), Reason::NotOwnData);
}
