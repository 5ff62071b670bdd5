//! Whoever was registered in clear is found by contacts in clear and by contacts hashed under each
//! of the normalisation profiles, and whoever was registered hashed by that form.

use proto::{
    suggest::v1::{Discoverability, Registration, SyncContactsRequest},
    types::v1::{Identifier, IdentifierKind, NormalisationProfile, identifier::Value},
};
use sha2::{Digest as _, Sha256};

use crate::{
    on_both_stores,
    world::{World, hashed, phone},
};

const META: NormalisationProfile = NormalisationProfile::Meta;
const GOOGLE: NormalisationProfile = NormalisationProfile::Google;
const UID2: NormalisationProfile = NormalisationProfile::Uid2;

fn email(text: &str) -> Identifier {
    let value = Some(Value::Raw(text.to_owned()));
    Identifier { kind: IdentifierKind::Email.into(), value }
}

/// bob, by this identifier and open to everyone.
async fn bob_is_found_by(world: &World, identifier: Identifier) {
    world.agreed(&["ann", "bob"]);
    let registration = Registration {
        subject_id: "bob".to_owned(),
        identifiers: vec![identifier],
        default_region: "DE".to_owned(),
    };
    world.register(vec![registration]).await.unwrap();
    world.user("bob").settings(Discoverability::Everyone, true).await;
}

/// Whether ann finds bob by this contact.
async fn finds(world: &World, contact: Identifier, profile: NormalisationProfile) -> bool {
    let ann = world.user("ann");
    let sync = SyncContactsRequest {
        added: vec![contact],
        profile: profile.into(),
        default_region: "DE".to_owned(),
        ..ann.full(&[])
    };
    assert_eq!(ann.sync(vec![sync]).await.unwrap().accepted, 1);
    ann.suggested().await == ["bob"]
}

async fn a_number_in_clear_is_found_in_every_form(world: World) {
    bob_is_found_by(&world, phone("030 901820")).await;
    let form = |text| hashed(IdentifierKind::Phone, text);
    for (profile, text) in [(META, "4930901820"), (GOOGLE, "+4930901820"), (UID2, "+4930901820")] {
        assert!(finds(&world, form(text), profile).await, "{profile:?}");
        let text = Some(Value::Sha256Text(format!("{:x}", Sha256::digest(text))));
        let as_text = Identifier { kind: IdentifierKind::Phone.into(), value: text };
        assert!(finds(&world, as_text, profile).await, "{profile:?}");
        assert!(!finds(&world, form("+4930901821"), profile).await, "{profile:?}");
        for clear in ["030 90 18 20", "+49 30 901820"] {
            assert!(finds(&world, phone(clear), profile).await, "{profile:?}");
        }
    }
    assert!(!finds(&world, hashed(IdentifierKind::Email, "4930901820"), META).await);
}

async fn an_address_in_clear_is_found_in_every_form(world: World) {
    let folded = [(META, "b.o.b+x@gmail.com"), (GOOGLE, "bob@gmail.com"), (UID2, "bob@gmail.com")];
    let google = "b.o.b+x@googlemail.com";
    let other = [(META, google), (GOOGLE, "bob@googlemail.com"), (UID2, google)];
    for (registered, forms) in [("B.o.b+x@Gmail.com", folded), ("B.o.b+x@GoogleMail.com", other)] {
        bob_is_found_by(&world, email(registered)).await;
        for (profile, form) in forms {
            let contact = hashed(IdentifierKind::Email, form);
            assert!(finds(&world, contact, profile).await, "{profile:?} {form}");
            assert!(finds(&world, email(form), profile).await, "{profile:?} {form}");
        }
        assert!(!finds(&world, hashed(IdentifierKind::Email, "bob@example.org"), META).await);
    }
}

async fn who_was_registered_hashed_is_found_by_that_form_and_in_clear(world: World) {
    for form in ["4930901820", "+4930901820"] {
        bob_is_found_by(&world, hashed(IdentifierKind::Phone, form)).await;
        for contact in ["4930901820", "+4930901820"] {
            let found = finds(&world, hashed(IdentifierKind::Phone, contact), META).await;
            assert_eq!(found, contact == form, "{contact} for {form}");
        }
        assert!(finds(&world, phone("030 901820"), META).await, "{form}");
    }
}

on_both_stores! {
    a_number_in_clear_is_found_in_every_form,
    an_address_in_clear_is_found_in_every_form,
    who_was_registered_hashed_is_found_by_that_form_and_in_clear,
}
