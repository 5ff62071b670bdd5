use base64::{Engine as _, prelude::BASE64_STANDARD};
use identifiers::{Kind, Profile, normalise};
use proto::{
    audience::v1 as wire,
    types::v1::{Identifier, IdentifierKind, NormalisationProfile, identifier::Value},
};

use crate::{
    rows::{batch, crowd, opening, person, raw, sha256},
    world::{World, on_both_stores},
};

on_both_stores!(every_kind_matches_in_every_profile_and_encoding);

const ENCODINGS: [&str; 5] = ["raw", "bytes", "hex", "base64", "packed"];

fn wire_kind(kind: Kind) -> IdentifierKind {
    match kind {
        Kind::Email => IdentifierKind::Email,
        Kind::Phone => IdentifierKind::Phone,
        Kind::ExternalId => IdentifierKind::ExternalId,
    }
}

/// As the person registered it.
fn registered(kind: Kind, n: usize) -> String {
    match kind {
        Kind::Email => format!("First.Last{n}+News@gmail.com"),
        Kind::Phone => format!("030 90182{n}"),
        Kind::ExternalId => format!("Customer/{n}"),
    }
}

/// As the business has it.
fn listed(kind: Kind, n: usize) -> String {
    match kind {
        Kind::Email => format!(" first.last{n}+news@GMAIL.com"),
        Kind::Phone => format!("+49 (30) 90182{n}"),
        Kind::ExternalId => format!("Customer/{n} "),
    }
}

async fn every_kind_matches_in_every_profile_and_encoding(world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    callers.gather_crowd().await;
    let cells: Vec<(Kind, usize)> = Kind::ALL
        .into_iter()
        .flat_map(|kind| (0..ENCODINGS.len()).map(move |n| (kind, n)))
        .collect();
    let subject = |kind: Kind, n: usize| format!("{kind}-{}", ENCODINGS[n]);
    let people = cells.iter().map(|(kind, n)| {
        let name = subject(*kind, *n);
        world.consents.grant_all(&name);
        let identifier = raw(wire_kind(*kind), &registered(*kind, *n));
        wire::Registration { default_region: "DE".to_owned(), ..person(&name, vec![identifier]) }
    });
    callers.register(people.collect()).await.unwrap();

    for (profile, sent) in [
        (Profile::Meta, NormalisationProfile::Meta),
        (Profile::Google, NormalisationProfile::Google),
        (Profile::Uid2, NormalisationProfile::Uid2),
    ] {
        let audience = callers.create_audience().await;
        let opening = wire::CreateUploadRequest {
            profile: sent.into(),
            ..opening(&audience, wire::UploadMode::Add)
        };
        let upload = callers.open(opening).await;
        let mut batches = vec![batch(&upload, 0, crowd())];
        for kind in Kind::ALL {
            let number = u32::from(kind.tag());
            let hash = |n| {
                let text = listed(kind, n);
                sha256(normalise(kind, profile, &text, None).unwrap().expose())
            };
            let row = |value| Identifier { kind: wire_kind(kind).into(), value: Some(value) };
            let rows = vec![
                row(Value::Raw(listed(kind, 0))),
                row(Value::Sha256(hash(1).to_vec())),
                row(Value::Sha256Text(hex::encode_upper(hash(2)))),
                row(Value::Sha256Text(BASE64_STANDARD.encode(hash(3)))),
            ];
            batches.push(wire::AppendUploadRequest {
                packed_sha256: hash(4).to_vec(),
                packed_kind: wire_kind(kind).into(),
                ..batch(&upload, number, rows)
            });
        }
        for answer in callers.append(batches).await.unwrap() {
            assert_eq!(answer.rows_invalid, 0, "{:?}", answer.rejections);
        }
        callers.commit(&upload, 4).await.unwrap();
        for (kind, n) in &cells {
            let name = subject(*kind, *n);
            assert!(callers.is_member(&name, &audience).await, "{profile} {name}");
        }
    }
}
