//! What is left of an erased subject where it was stored.

use proto::consent::v1::{AgeBand, ExportSubjectRequest, PolicyRef, PolicySpec};
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};

use crate::harness::*;

on_every_store!(nothing_that_identifies_is_stored);

/// What is to disappear from the disk.
const CLIENT: &str = "distinctive-client-4711";
const APP: &str = "distinctive-app-4711";
const LOCALE: &str = "en-ZW";
const JURISDICTION: &str = "US-WY";

async fn decide(world: &World, policy: &PolicyRef, spec: &PolicySpec) {
    let mut decision = world.decision("paul", policy, spec, &[SHARE, ADS, MESSAGES]);
    let evidence = decision.evidence.as_mut().unwrap();
    evidence.client = CLIENT.into();
    evidence.locale = LOCALE.into();
    world.decide(decision).await.unwrap();
}

async fn nothing_that_identifies_is_stored(mut world: World) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    // In the midst of others, so that what is stored moves around.
    for n in 0..60 {
        world.put(&format!("other{n}"), "US").await;
    }
    let mut person = world.person("paul", JURISDICTION);
    person.apps.push(APP.to_owned());
    world.put_as(person).await;
    decide(&world, &policy, &spec).await;
    world.withdraw("paul", &[MESSAGES]).await.unwrap();
    for n in 0..60 {
        world.put(&format!("padding{n}"), "US").await;
    }
    // Whatever may write the attributes somewhere.
    world.put_child("child", "US").await;
    world.guard("child", "paul").await.unwrap();
    let mut ward = world.person("paul", JURISDICTION);
    ward.age_band = AgeBand::UnderAge as i32;
    ward.apps.push(APP.to_owned());
    world.put_as(ward).await;
    world.put("mother", "US").await;
    world.guard("paul", "mother").await.unwrap();
    for _ in 0..50 {
        decide(&world, &policy, &spec).await;
    }
    let found = |raw: &[u8]| -> Vec<&str> {
        let all = [CLIENT, APP, LOCALE, JURISDICTION].into_iter();
        all.filter(|text| raw.windows(text.len()).any(|part| part == text.as_bytes())).collect()
    };
    assert_eq!(found(&stored(&world).await), [CLIENT, APP, LOCALE, JURISDICTION]);
    world.erase("paul").await.unwrap();
    assert_eq!(found(&stored(&world).await), [""; 0], "at once");
    world.restart().await;
    assert_eq!(found(&stored(&world).await), [""; 0]);
    // Nor is it told.
    let message = ExportSubjectRequest { subject_id: "paul".to_owned() };
    let mut export = world.consent().export_subject(world.app(message)).await.unwrap().into_inner();
    while let Some(part) = export.message().await.unwrap() {
        assert_eq!(found(format!("{part:?}").as_bytes()), [""; 0]);
    }
}

/// Every byte of SQLite's files; every row of PostgreSQL's tables that may hold subjects' data.
async fn stored(world: &World) -> Vec<u8> {
    let url = world.config().store.url.expose();
    if let Some(path) = url.strip_prefix("sqlite:") {
        // By another process: a file that is opened and closed in this one loses its locks.
        let read = std::process::Command::new("cat")
            .args([path.to_owned(), format!("{path}-wal")])
            .output()
            .unwrap();
        assert!(!read.stdout.is_empty());
        return read.stdout;
    }
    let db = Database::connect(url).await.unwrap();
    let mut raw = Vec::new();
    for table in ["subject", "event", "request", "feed", "erasure", "erasure_follower", "fence"] {
        let text = format!("SELECT convert_to(t::text, 'UTF8') AS row FROM {table} t");
        let rows = db.query_all_raw(Statement::from_string(DbBackend::Postgres, text)).await;
        for row in rows.unwrap() {
            let text: Vec<u8> = row.try_get("", "row").unwrap();
            raw.extend_from_slice(&text);
            raw.extend(binary(&String::from_utf8(text).unwrap()));
        }
    }
    db.close().await.unwrap();
    raw
}

/// The bytes of the columns that stand as hexadecimal digits in a row's text.
fn binary(row: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for column in row.split("\\\\x").skip(1) {
        let digits: Vec<u32> = column.chars().map_while(|digit| digit.to_digit(16)).collect();
        bytes.extend(
            digits.chunks_exact(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()),
        );
    }
    bytes
}
