//! A history that somebody changed in the database is an error, and is never shown as it stands.

use proto::{
    consent::v1::{ExportSubjectRequest, GetReceiptRequest, ListEventsRequest},
    errors::v1::Reason,
};
use sea_orm::DatabaseConnection;
use tonic::Status;

use crate::{harness::*, inside::*};

on_every_store!(
    a_changed_byte_is_noticed,
    a_missing_tail_is_noticed,
    a_missing_event_is_noticed,
    exchanged_histories_are_noticed,
);

/// Two people, an event of each of several kinds; and the ids of their newest ones.
async fn histories(world: &World) -> [String; 2] {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    for id in ["anna", "bert"] {
        world.put(id, "US").await;
        world.serve_notice(id, &policy, &spec).await.unwrap();
        world.decide(world.decision(id, &policy, &spec, &[SHARE, ADS])).await.unwrap();
        world.advance_to(world.now() + 1);
        world.withdraw(id, &[ADS]).await.unwrap();
        world.object(id, true).await;
    }
    let newest = [newest(world, "anna").await, newest(world, "bert").await];
    intact(world, "anna", &newest[0]).await;
    intact(world, "bert", &newest[1]).await;
    newest
}

async fn newest(world: &World, subject_id: &str) -> String {
    let mut events = world.events(subject_id).await;
    assert_eq!(events.len(), 5);
    events.pop().unwrap().event_id
}

impl World {
    /// Changes what is stored. SQLite has to be stopped for that.
    async fn tamper(&mut self, statements: &[&str]) {
        let alone = self.config().store.url.expose().starts_with("sqlite:");
        if alone {
            self.stop().stopped().await.unwrap();
        }
        let db: DatabaseConnection = self.database().await;
        for text in statements {
            assert!(run(&db, text).await > 0, "{text}");
        }
        db.close().await.unwrap();
        if alone {
            self.start().await;
        }
    }

    /// All events on a page.
    async fn shown_page(&self, subject_id: &str) -> Result<(), Status> {
        let (subject_id, page_token) = (subject_id.to_owned(), String::new());
        let message = ListEventsRequest { subject_id, page_size: 100, page_token };
        self.consent().list_events(self.app(message)).await.map(drop)
    }

    async fn shown_receipt(&self, subject_id: &str, event_id: &str) -> Result<(), Status> {
        let (subject_id, event_id) = (subject_id.to_owned(), event_id.to_owned());
        let message = GetReceiptRequest { subject_id, event_id };
        self.consent().get_receipt(self.app(message)).await.map(drop)
    }

    async fn shown_export(&self, subject_id: &str) -> Result<(), Status> {
        let message = ExportSubjectRequest { subject_id: subject_id.to_owned() };
        let mut parts = self.consent().export_subject(self.app(message)).await?.into_inner();
        while parts.message().await?.is_some() {}
        Ok(())
    }

    /// Everything that shows a whole history, or follows from it.
    async fn all_shown(&self, subject_id: &str, newest: &str) -> Vec<(String, Result<(), Status>)> {
        let mut all = vec![
            ("the events".to_owned(), self.shown_page(subject_id).await),
            ("the newest event's receipt".to_owned(), self.shown_receipt(subject_id, newest).await),
            ("the export".to_owned(), self.shown_export(subject_id).await),
        ];
        for instant in [self.now() - 1, self.now()] {
            let past = self.shown(subject_id, Some(instant)).await.map(drop);
            all.push((format!("as of {instant}"), past));
        }
        all
    }
}

async fn intact(world: &World, subject_id: &str, newest: &str) {
    for (what, shown) in world.all_shown(subject_id, newest).await {
        assert!(shown.is_ok(), "{what}: {shown:?}");
    }
}

/// Nothing of it is shown as good. Of an event that is not there, there may be no receipt either.
async fn noticed(world: &World, subject_id: &str, newest: &str, how: &str) {
    let mut good = Vec::new();
    for (what, shown) in world.all_shown(subject_id, newest).await {
        match shown {
            Ok(()) => good.push(what),
            Err(status) => {
                let reason = proto::status::reason(&status).unwrap();
                let absent = what.contains("receipt") && reason == Reason::RecordUnknown;
                assert!(reason == Reason::Internal || absent, "{how}, {what}: {status:?}");
            }
        }
    }
    assert_eq!(good, [""; 0], "{how}: shown as good");
}

/// The statement that changes the last byte of an event.
fn change(world: &World, revision: u32) -> String {
    let content = if world.config().store.url.expose().starts_with("sqlite:") {
        // Of two blobs, `||` makes a text.
        "CAST(substr(content, 1, length(content) - 1) || \
         CASE substr(content, -1) WHEN x'01' THEN x'02' ELSE x'01' END AS BLOB)"
    } else {
        "set_byte(content, length(content) - 1, get_byte(content, length(content) - 1) # 3)"
    };
    let one = format!("subject_id = 'anna' AND revision = {revision}");
    format!("UPDATE event SET content = {content} WHERE {one}")
}

async fn a_changed_byte_is_noticed(mut world: World) {
    let [anna, bert] = histories(&world).await;
    // One after the other, so that each time there is one more.
    for revision in [5, 3, 1] {
        let statement = change(&world, revision);
        world.tamper(&[&statement]).await;
        noticed(&world, "anna", &anna, &format!("event {revision} changed")).await;
        intact(&world, "bert", &bert).await;
    }
}

async fn a_missing_tail_is_noticed(mut world: World) {
    let [anna, bert] = histories(&world).await;
    for last in [5, 4, 1] {
        let gone = format!("DELETE FROM event WHERE subject_id = 'anna' AND revision >= {last}");
        world.tamper(&[&gone]).await;
        noticed(&world, "anna", &anna, &format!("from event {last} on all gone")).await;
        intact(&world, "bert", &bert).await;
    }
}

async fn a_missing_event_is_noticed(mut world: World) {
    let [anna, bert] = histories(&world).await;
    for revision in [4, 1] {
        let gone = format!("DELETE FROM event WHERE subject_id = 'anna' AND revision = {revision}");
        world.tamper(&[&gone]).await;
        noticed(&world, "anna", &anna, &format!("event {revision} gone")).await;
        intact(&world, "bert", &bert).await;
    }
}

async fn exchanged_histories_are_noticed(mut world: World) {
    let [anna, bert] = histories(&world).await;
    let to = |from: &str, to: &str| {
        format!("UPDATE event SET subject_id = '{to}' WHERE subject_id = '{from}'")
    };
    world.tamper(&[&to("anna", "x"), &to("bert", "anna"), &to("x", "bert")]).await;
    noticed(&world, "anna", &anna, "bert's history").await;
    noticed(&world, "bert", &bert, "anna's history").await;
}
