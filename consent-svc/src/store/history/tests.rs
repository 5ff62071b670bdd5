//! That rows read as they were written, and that chains hold.

use proptest::prelude::*;

use super::*;
use crate::{
    domain::{
        Subject,
        properties::{any_history, any_policies, fold::lived},
        replay,
    },
    store::state::{self, State},
};

const SALT: [u8; 16] = [7; 16];

/// The rows of a history: content and digest.
fn rows(events: &[Event], subject_id: &str) -> Vec<(Vec<u8>, [u8; 32])> {
    let mut head = [0; 32];
    let mut rows = Vec::new();
    for event in events {
        let content = encode(&event.content, event.occurred_at, event.recorded_at);
        let digest = content_digest(&SALT, subject_id, &content);
        head = chain_digest(&head, event.revision, &digest);
        rows.push((content, head));
    }
    rows
}

/// Whether every digest is what the salt, the content and the digest before it make it.
fn verifies(rows: &[(Vec<u8>, [u8; 32])], salt: &[u8; 16], subject_id: &str) -> bool {
    let mut head = [0; 32];
    (1..).zip(rows).all(|(revision, (content, digest))| {
        let content_digest = match decode(revision, content, digest).map(|e| e.content) {
            Ok(EventContent::ErasedContent { content_digest }) => content_digest,
            _ => content_digest(salt, subject_id, content),
        };
        head = chain_digest(&head, revision, &content_digest);
        head == *digest
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// What is stored of events and subjects reads as what they were, in every order; and what
    /// the stored events make of the subject is the stored subject.
    #[test]
    fn rows_read_as_they_were_written(policies in any_policies(), steps in any_history()) {
        let lived = lived(&policies, &steps);
        let mut read = Vec::new();
        for (event, subject) in &lived {
            let bytes = encode(&event.content, event.occurred_at, event.recorded_at);
            let again = decode(event.revision, &bytes, &event.digest).map_err(|e| e.to_string());
            prop_assert_eq!(again.as_ref(), Ok(event));
            read.extend(again);
            let kept = State { subject: subject.clone(), head: [1; 32], salt: SALT };
            let kept = state::decode(&state::encode(&kept))?;
            prop_assert_eq!(&kept.subject, subject);
            prop_assert_eq!((kept.head, kept.salt), ([1; 32], SALT));
            prop_assert_eq!(replay(&policies, &read), Some(kept.subject));
        }
    }

    /// A chain verifies, does not with another content, order, salt or subject, and does after
    /// an erasure, which leaves of every event nothing but digests.
    #[test]
    fn an_erased_history_still_verifies(
        policies in any_policies(), steps in any_history(), at in any::<prop::sample::Index>(),
    ) {
        let mut events: Vec<Event> = lived(&policies, &steps).into_iter().map(|(e, _)| e).collect();
        let mut kept = rows(&events, "anna");
        prop_assert!(verifies(&kept, &SALT, "anna"));
        prop_assert!(!verifies(&kept, &[8; 16], "anna"));
        prop_assert!(!verifies(&kept, &SALT, "ann"));
        let at = at.index(kept.len());
        let mut forged = kept.clone();
        forged[at].0.push(0);
        prop_assert!(!verifies(&forged, &SALT, "anna"));
        let mut shortened = kept.clone();
        shortened.remove(at);
        prop_assert_eq!(verifies(&shortened, &SALT, "anna"), at == kept.len() - 1);

        for ((content, digest), event) in kept.iter_mut().zip(&mut events) {
            let content_digest = content_digest(&SALT, "anna", content);
            let gone = EventContent::ErasedContent { content_digest };
            *content = encode(&gone, event.recorded_at, event.recorded_at);
            *event = decode(event.revision, content, digest)?;
        }
        // The event that says so is the only one that is still told, with a salt of zeros.
        let (revision, now) = (events.len() as u64 + 1, Moment::from_millis(9_999));
        let content = encode(&EventContent::Erased, now, now);
        let last = content_digest(&[0; 16], "anna", &content);
        let head = chain_digest(&kept[kept.len() - 1].1, revision, &last);
        events.push(decode(revision, &content, &head)?);
        kept.push((content, head));
        prop_assert!(verifies(&kept, &[0; 16], "anna"));
        prop_assert_eq!(replay(&policies, &events), Some(Subject::erased(now)));
        let other = EventContent::ErasedContent { content_digest: [9; 32] };
        kept[at].0 = encode(&other, now, now);
        prop_assert!(!verifies(&kept, &[0; 16], "anna"));
    }
}
